// What moves values of maps [batch, channels, height, width] without computing much: one thread for each value that is
// written.
#include "common.cuh"

// out = x + y, which may be one of the two.
KERNEL add_maps(const float *x, const float *y, float *out, unsigned count) {
    const unsigned i = thread_number();
    if (i < count) out[i] = x[i] + y[i];
}

// The channels of x and then those of y; `part_x` and `part_y` are the values of an image of each.
KERNEL join_channels(const float *x, const float *y, float *joined, unsigned part_x, unsigned part_y, unsigned count) {
    const unsigned i = thread_number();
    if (i >= count) return;
    const unsigned whole = part_x + part_y, image = i / whole, at = i % whole;
    joined[i] = at < part_x ? x[image * part_x + at] : y[image * part_y + (at - part_x)];
}

// The `part` values of each image from value `first` on, of images of `whole` values; plus `add`, which may be null, or
// the result itself.
KERNEL take_channels(const float *joined, const float *add, float *out, unsigned whole, unsigned first,
                     unsigned part, unsigned count) {
    const unsigned i = thread_number();
    if (i < count) out[i] = joined[i / part * whole + first + i % part] + (add ? add[i] : 0.f);
}

// `factor` times every pixel, twice in both directions: y has 2 height rows of 2 width; plus `add`, which may be null,
// or y itself. With a factor of 1 that is upsampling, with 1/4 the gradient of a mean over 2x2.
KERNEL repeat_pixels(const float *x, const float *add, float *y, float factor, unsigned height, unsigned width,
                     unsigned count) {
    const unsigned i = thread_number();
    if (i >= count) return;
    const unsigned row = i / (2 * width), map = row / (2 * height);
    y[i] = factor * x[(map * height + row % (2 * height) / 2) * width + i % (2 * width) / 2] + (add ? add[i] : 0.f);
}

// The gradient of that: `factor` times the sums of 2x2, in rows of `width`; plus `add` as above.
KERNEL sum_blocks(const float *x, const float *add, float *y, float factor, unsigned width, unsigned count) {
    const unsigned i = thread_number();
    if (i >= count) return;
    const float *at = x + i / width * 4 * width + i % width * 2;
    y[i] = factor * (at[0] + at[1] + (at[2 * width] + at[2 * width + 1])) + (add ? add[i] : 0.f);
}

// Every map of so many pixels backwards: turned by 180 degrees; plus `add` as above.
KERNEL half_turn(const float *x, const float *add, float *y, unsigned pixels, unsigned count) {
    const unsigned i = thread_number();
    if (i < count) y[i] = x[i / pixels * pixels + (pixels - 1 - i % pixels)] + (add ? add[i] : 0.f);
}

// A number for each image and channel, added to its pixels.
KERNEL shift_channels(const float *x, const float *shift, float *y, unsigned pixels, unsigned count) {
    const unsigned i = thread_number();
    if (i < count) y[i] = x[i] + shift[i / pixels];
}

// Where value number `i` of [.., factor factor, height, width] lies in [.., factor height, factor width].
INLINE unsigned shuffled(unsigned i, unsigned height, unsigned width, unsigned factor) {
    const unsigned x = i % width, y = i / width % height, plane = i / width / height;
    const unsigned sub = plane % (factor * factor), map = plane / (factor * factor);
    return ((map * height + y) * factor + sub / factor) * factor * width + x * factor + sub % factor;
}

// Blocks of pixels become channels: PyTorch's `pixel_unshuffle`. Sizes are those of y; plus `add`, which may be null,
// or the result itself.
KERNEL pixel_unshuffle(const float *x, const float *add, float *y, unsigned height, unsigned width, unsigned factor,
                       unsigned count) {
    const unsigned i = thread_number();
    if (i < count) y[i] = x[shuffled(i, height, width, factor)] + (add ? add[i] : 0.f);
}

// Channels become blocks of pixels: PyTorch's `pixel_shuffle`. Sizes are those of x; `add` as above.
KERNEL pixel_shuffle(const float *x, const float *add, float *y, unsigned height, unsigned width, unsigned factor,
                     unsigned count) {
    const unsigned i = thread_number();
    if (i >= count) return;
    const unsigned to = shuffled(i, height, width, factor);
    y[to] = x[i] + (add ? add[to] : 0.f);
}

// a_i x + b_i y for image i of `each` values.
KERNEL blend(const float *x, const float *a, const float *y, const float *b, float *out, unsigned each,
             unsigned count) {
    const unsigned i = thread_number();
    if (i < count) out[i] = a[i / each] * x[i] + b[i / each] * y[i];
}

// y += a_i x for image i of `each` values.
KERNEL add_scaled(const float *x, const float *a, float *y, unsigned each, unsigned count) {
    const unsigned i = thread_number();
    if (i < count) y[i] += a[i / each] * x[i];
}

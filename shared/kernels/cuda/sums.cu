// Sums over everything: losses, and norms of gradients. Every block writes one partial sum, and somebody adds these in
// the order of their numbers: no sum depends on chance. And sums over the pixels of a map, one block for each.
#include "common.cuh"

// The gradient of `shift_channels`: for each image and channel the sum of its pixels.
KERNEL sum_pixels(const float *x, float *sums, int pixels) {
    const size_t first = (size_t)blockIdx.x * pixels;
    float sum = 0.f;
#pragma unroll 8
    for (int i = threadIdx.x; i < pixels; i += blockDim.x) sum += x[first + i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// The sum of x v.
KERNEL dot_product(const float *x, const float *v, float *partial, unsigned count) {
    float sum = 0.f;
#pragma unroll 8
    for (unsigned i = thread_number(); i < count; i += gridDim.x * blockDim.x) sum += x[i] * v[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// The sum of w_i (x - target)^2, image i having `each` values.
KERNEL weighted_squares(const float *x, const float *target, const float *w, float *partial, unsigned each,
                        unsigned count) {
    float sum = 0.f;
#pragma unroll 8
    for (unsigned i = thread_number(); i < count; i += gridDim.x * blockDim.x)
        sum += w[i / each] * (x[i] - target[i]) * (x[i] - target[i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// factor times the sum of all partial sums. One block.
KERNEL sum_up(const float *partial, float *total, float factor, int count) {
    float sum = 0.f;
    for (int i = threadIdx.x; i < count; i += blockDim.x) sum += partial[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *total = factor * sum;
}

// dx += d v, the gradient of sum(x v), `d` being a number on the device.
KERNEL add_product(const float *v, const float *d, float *dx, unsigned count) {
    const unsigned i = thread_number();
    if (i < count) dx[i] += *d * v[i];
}

// dx += factor d w_i (x - target), with a factor of 2 / count the gradient of mean(w_i (x - target)^2).
KERNEL add_weighted_differences(const float *x, const float *target, const float *w, const float *d, float *dx,
                                float factor, unsigned each, unsigned count) {
    const unsigned i = thread_number();
    if (i < count) dx[i] += factor * *d * w[i / each] * (x[i] - target[i]);
}

// The sum of squares of one gradient, as gridDim.x partial sums.
KERNEL sum_of_squares(const float *x, float *partial, unsigned count) {
    float sum = 0.f;
#pragma unroll 8
    for (unsigned i = thread_number(); i < count; i += gridDim.x * blockDim.x) sum += x[i] * x[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

KERNEL scale(float *x, float factor, unsigned count) {
    const unsigned i = thread_number();
    if (i < count) x[i] *= factor;
}

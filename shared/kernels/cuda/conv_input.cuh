// The input of a convolution: a block cuts patches of 8x8 outputs out of the maps, and holds the pixels that these
// depend on in shared memory.
#pragma once
#include "copies.cuh"

// A batch of maps, and how it is read: every value x as act(x scale + shift), which is a group norm with its modulation
// and SiLU. So what lies between a norm and its convolution never exists in memory.
struct Input {
    const float *x;      // [batch, channels, stored_height, stored_width]
    const float *affine; // [batch, channels, 2], scale and shift; or null: values are read as they are
    int batch, channels;
    int height, width;               // as the convolution sees it
    int stored_height, stored_width; // in memory
    int silu;                        // whether `act` is SiLU; else it is nothing
    int spread; // how far apart the pixels are, with zeros between them: 2 for the input gradient of a stride of 2
};

// The pixels on which 8x8 outputs depend.
template <int SIZE, int STRIDE> struct Window {
    static constexpr int SIDE = 7 * STRIDE + SIZE;        // 10, 8 or 17
    static constexpr int PITCH = (SIDE + 3) / 4 * 4;      // of a row: rows begin at multiples of 16 bytes
    static constexpr int PIXELS = SIDE * SIDE;
};

// Which 8x8 outputs: of which image, from which row and column on.
struct Patch {
    int image, top, left;
    bool real;
};

INLINE int patches_of(int height, int width) { return ceil_div(height, 8) * ceil_div(width, 8); }

INLINE Patch patch_number(int number, int batch, int height, int width) {
    const int across = ceil_div(width, 8), each = patches_of(height, width);
    return {number / each, number % each / across * 8, number % across * 8, number < batch * each};
}

// Where in a stored map the pixels of a patch lie that one thread of `LANES` looks after, in every channel; -1:
// outside, where the input is zero.
template <int SIZE, int STRIDE, int LANES> struct Places {
    static constexpr int ROUNDS = (Window<SIZE, STRIDE>::PIXELS + LANES - 1) / LANES;
    int offset[ROUNDS];
};

template <int SIZE, int STRIDE, int LANES>
INLINE void find(Places<SIZE, STRIDE, LANES> &places, const Input &in, const Patch &patch, int lane) {
    using W = Window<SIZE, STRIDE>;
#pragma unroll
    for (int i = 0; i < places.ROUNDS; i++) {
        const int pixel = lane + i * LANES;
        const int y = patch.top * STRIDE + pixel / W::SIDE - SIZE / 2;
        const int x = patch.left * STRIDE + pixel % W::SIDE - SIZE / 2;
        const bool inside = patch.real && pixel < W::PIXELS && y >= 0 && y < in.height && x >= 0 && x < in.width;
        const bool stored = in.spread == 1 || (y % 2 == 0 && x % 2 == 0);
        places.offset[i] = inside && stored ? y / in.spread * in.stored_width + x / in.spread : -1;
    }
}

// Where a pixel of a patch lies in shared memory.
template <int SIZE, int STRIDE> INLINE int slot(int pixel) {
    using W = Window<SIZE, STRIDE>;
    return pixel / W::SIDE * W::PITCH + pixel % W::SIDE;
}

// Begins to copy this thread's pixels of `CHANNELS` channels, from number `first` on; a channel takes `PLANE` values.
// Channels that the input does not have become zeros.
template <int CHANNELS, int PLANE, int SIZE, int STRIDE, int LANES>
INLINE void load(const Places<SIZE, STRIDE, LANES> &places, const Input &in, const Patch &patch, int first, int lane,
                 float *to) {
    const int stored = in.stored_height * in.stored_width;
#pragma unroll
    for (int i = 0; i < places.ROUNDS; i++) {
        const int pixel = lane + i * LANES;
        if (pixel >= Window<SIZE, STRIDE>::PIXELS) break;
        const int channels = places.offset[i] >= 0 ? in.channels - first : 0;
        const float *from = in.x + ((size_t)patch.image * in.channels + first) * stored + places.offset[i];
        float *slots = to + slot<SIZE, STRIDE>(pixel);
#pragma unroll
        for (int c = 0; c < CHANNELS; c++) copy_one(slots + c * PLANE, from + (size_t)c * stored, c < channels);
    }
}

// Norm and SiLU, on what this very thread has loaded. The zeros around a map stay zeros.
template <int CHANNELS, int PLANE, int SIZE, int STRIDE, int LANES>
INLINE void activate(const Places<SIZE, STRIDE, LANES> &places, const Input &in, const Patch &patch, int first,
                     int lane, float *to) {
    if (!in.affine || !patch.real) return;
    const float2 *affine = (const float2 *)in.affine + (size_t)patch.image * in.channels;
    constexpr int STEP = 8; // So many pairs fit into registers.
#pragma unroll
    for (int c0 = 0; c0 < CHANNELS; c0 += STEP) {
        float2 pair[STEP];
#pragma unroll
        for (int c = 0; c < STEP; c++) pair[c] = affine[min(first + c0 + c, in.channels - 1)];
#pragma unroll
        for (int i = 0; i < places.ROUNDS; i++) {
            if (places.offset[i] < 0) continue;
            float *slots = to + c0 * PLANE + slot<SIZE, STRIDE>(lane + i * LANES);
#pragma unroll
            for (int c = 0; c < STEP; c++) {
                const float u = slots[c * PLANE] * pair[c].x + pair[c].y;
                if (first + c0 + c < in.channels) slots[c * PLANE] = in.silu ? silu(u) : u;
            }
        }
    }
}

// `N` values, from an address that is a multiple of 16 bytes.
template <int N> INLINE void read_row(float *to, const float *from) {
#pragma unroll
    for (int i = 0; i + 4 <= N; i += 4) {
        const float4 four = *(const float4 *)(from + i);
        to[i] = four.x, to[i + 1] = four.y, to[i + 2] = four.z, to[i + 3] = four.w;
    }
#pragma unroll
    for (int i = N / 4 * 4; i < N; i++) to[i] = from[i];
}

// Convolution of 3x3 or 1x1 with padding SIZE / 2 and stride 1 or 2, and its input gradient, which is a convolution as
// well: with weights that are turned round, inputs and outputs exchanged, and for a stride of 2 zeros between the
// pixels.
//
// A block computes OUT channels of PATCHES patches of 8x8 pixels. It walks over the input channels a few at a time: the
// next ones are copied to one half of shared memory while it computes on the other. A thread has OUT / 8 channels of a
// row of 8 pixels, so that a row in registers serves all places of a window that lie in it.
#include "conv_input.cuh"

struct Conv {
    Input in;
    const float *weights; // [in.channels, taps, padded channels], as `pack_weights` makes them
    const float *bias;    // [channels] or null
    const float *add;     // [batch, channels, height, width], added to the result; or null. May be `y`.
    float *y;
    float *partial;       // [tiles, splits, ...] where splits > 1
    unsigned *arrived;    // [tiles], zeros, which they are again at the end
    int channels, padded, height, width; // of the output
    int splits;           // so many blocks share the input channels of one tile
};

// Writes 8 pixels of a row of one channel.
INLINE void store_row(const Conv &a, const Patch &patch, int channel, int row, const float *values) {
    const int y = patch.top + row;
    if (!patch.real || channel >= a.channels || y >= a.height) return;
    const float bias = a.bias ? a.bias[channel] : 0.f;
    const size_t begin = (((size_t)patch.image * a.channels + channel) * a.height + y) * a.width + patch.left;
    if (a.width % 4 == 0) { // Rows begin at multiples of 16 bytes.
#pragma unroll
        for (int i = 0; i < 8; i += 4) {
            if (patch.left + i >= a.width) break;
            const float *v = values + i;
            float4 out = make_float4(v[0] + bias, v[1] + bias, v[2] + bias, v[3] + bias);
            if (a.add) {
                const float4 more = *(const float4 *)(a.add + begin + i);
                out.x += more.x, out.y += more.y, out.z += more.z, out.w += more.w;
            }
            *(float4 *)(a.y + begin + i) = out;
        }
        return;
    }
#pragma unroll
    for (int i = 0; i < 8; i++)
        if (patch.left + i < a.width) a.y[begin + i] = values[i] + bias + (a.add ? a.add[begin + i] : 0.f);
}

// The blocks that share a tile write their sums down; the one that comes last adds them all, in the order of their
// numbers, whoever came when: no sum depends on chance. Returns whether this block is the last.
template <int SUMS, int THREADS> INLINE bool join_splits(const Conv &a, float (&sums)[SUMS]) {
    __shared__ bool is_last;
    const int tile = blockIdx.y * gridDim.x + blockIdx.x;
    float *all = a.partial + (size_t)tile * a.splits * SUMS * THREADS + threadIdx.x;
    float *own = all + (size_t)blockIdx.z * SUMS * THREADS;
#pragma unroll
    for (int i = 0; i < SUMS; i++) __stcg(own + i * THREADS, sums[i]);
    __threadfence(); // Who sees this block counted sees its sums.
    __syncthreads();
    if (threadIdx.x == 0) {
        is_last = atomicAdd(a.arrived + tile, 1u) == (unsigned)a.splits - 1;
        if (is_last) a.arrived[tile] = 0;
    }
    __syncthreads();
    if (!is_last) return false;
    __threadfence();
#pragma unroll
    for (int i = 0; i < SUMS; i++) sums[i] = 0.f;
    for (int split = 0; split < a.splits; split++)
#pragma unroll
        for (int i = 0; i < SUMS; i++) sums[i] += __ldcg(all + ((size_t)split * SUMS + i) * THREADS);
    return true;
}

// Grid: (patches / PATCHES, channels / OUT, splits), 64 PATCHES threads.
template <int SIZE, int STRIDE, int OUT, int PATCHES> INLINE void conv(const Conv &a) {
    using W = Window<SIZE, STRIDE>;
    constexpr int TAPS = SIZE * SIZE, LANES = 64, THREADS = LANES * PATCHES;
    constexpr int IN = SIZE == 1 ? 16 : 8;                         // input channels at a time
    constexpr int PLANE = W::SIDE * W::PITCH + (SIZE == 1 ? 8 : 0); // 8 or 24 modulo 32: no conflicts of banks
    constexpr int ROW = OUT + 8;                                   // 56 or 24: the same
    constexpr int MINE = OUT / 8;
    __shared__ __align__(16) float pixels[2][PATCHES * IN * PLANE];
    __shared__ __align__(16) float weights[2][IN * TAPS * ROW];

    const int lane = threadIdx.x % LANES, patch_here = threadIdx.x / LANES;
    const int first_out = blockIdx.y * OUT;
    const Patch patch = patch_number(blockIdx.x * PATCHES + patch_here, a.in.batch, a.height, a.width);
    Places<SIZE, STRIDE, LANES> places;
    find(places, a.in, patch, lane);

    auto begin_to_load = [&](int chunk, int half) {
        const int channel = chunk * IN;
        load<IN, PLANE>(places, a.in, patch, channel, lane, pixels[half] + patch_here * IN * PLANE);
        // One row of weights for each channel and tap, of which a thread takes four values.
        constexpr int FOURS = OUT / 4, ROWS_AT_ONCE = THREADS / FOURS;
        const int column = threadIdx.x % FOURS * 4, rows = (a.in.channels - channel) * TAPS;
        if (threadIdx.x < ROWS_AT_ONCE * FOURS) {
#pragma unroll 4
            for (int row = threadIdx.x / FOURS; row < IN * TAPS; row += ROWS_AT_ONCE) {
                const float *from = a.weights + ((size_t)channel * TAPS + row) * a.padded + first_out + column;
                copy_four(weights[half] + row * ROW + column, from, row < rows);
            }
        }
        end_group();
    };

    float sums[MINE * 8];
#pragma unroll
    for (int i = 0; i < MINE * 8; i++) sums[i] = 0.f;

    const int chunks = ceil_div(a.in.channels, IN), split = blockIdx.z;
    const int begin = chunks * split / a.splits, end = chunks * (split + 1) / a.splits;
    const int row = lane % 8, group = lane / 8;
    begin_to_load(begin, 0);
    for (int chunk = begin; chunk < end; chunk++) {
        const int half = (chunk - begin) % 2;
        if (chunk + 1 < end) {
            begin_to_load(chunk + 1, 1 - half);
            await_groups<1>();
        } else {
            await_groups<0>();
        }
        float *here = pixels[half] + patch_here * IN * PLANE;
        activate<IN, PLANE>(places, a.in, patch, chunk * IN, lane, here);
        __syncthreads();
#pragma unroll 1
        for (int channel = 0; channel < IN; channel++) {
#pragma unroll
            for (int dy = 0; dy < SIZE; dy++) {
                float x[W::PITCH];
                read_row<W::SIDE>(x, here + channel * PLANE + (row * STRIDE + dy) * W::PITCH);
#pragma unroll
                for (int dx = 0; dx < SIZE; dx++) {
                    const float *from = weights[half] + (channel * TAPS + dy * SIZE + dx) * ROW + group * MINE;
                    float w[MINE];
#pragma unroll
                    for (int m = 0; m < MINE; m += 2) {
                        const float2 two = *(const float2 *)(from + m);
                        w[m] = two.x, w[m + 1] = two.y;
                    }
#pragma unroll
                    for (int m = 0; m < MINE; m++)
#pragma unroll
                        for (int i = 0; i < 8; i++) sums[m * 8 + i] += w[m] * x[i * STRIDE + dx];
                }
            }
        }
        __syncthreads(); // Nobody reads this half any more.
    }
    if (a.splits > 1 && !join_splits<MINE * 8, THREADS>(a, sums)) return;
#pragma unroll
    for (int m = 0; m < MINE; m++) store_row(a, patch, first_out + group * MINE + m, row, sums + m * 8);
}

// Many blocks at hand: large tiles. Few: small ones.
KERNEL __launch_bounds__(128, 4) conv3_large(Conv a) { conv<3, 1, 48, 2>(a); }
KERNEL __launch_bounds__(64, 8) conv3_small(Conv a) { conv<3, 1, 16, 1>(a); }
KERNEL __launch_bounds__(64, 8) conv3_stride2(Conv a) { conv<3, 2, 16, 1>(a); }
KERNEL __launch_bounds__(64, 8) conv1_large(Conv a) { conv<1, 1, 48, 1>(a); }
KERNEL __launch_bounds__(64, 8) conv1_small(Conv a) { conv<1, 1, 16, 1>(a); }

// Weights [c_out, c_in, taps] as [c_in, taps, padded c_out], filled up with zeros.
KERNEL pack_weights(const float *weights, float *packed, int c_out, int c_in, int taps, int padded) {
    const unsigned i = thread_number();
    if (i >= (unsigned)(c_in * taps * padded)) return;
    const int out = i % padded, tap = i / padded % taps, in = i / padded / taps;
    packed[i] = out < c_out ? weights[((size_t)out * c_in + in) * taps + tap] : 0.f;
}

// The same for the input gradient, as [c_out, taps backwards, padded c_in].
KERNEL pack_turned_weights(const float *weights, float *packed, int c_out, int c_in, int taps, int padded) {
    const unsigned i = thread_number();
    if (i >= (unsigned)(c_out * taps * padded)) return;
    const int in = i % padded, tap = taps - 1 - i / padded % taps, out = i / padded / taps;
    packed[i] = in < c_in ? weights[((size_t)out * c_in + in) * taps + tap] : 0.f;
}

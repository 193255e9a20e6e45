// The gradient of a convolution's weights, dw[o, i, tap] = sum of dy[o, pixel] x[i, pixel + tap] over pixels and
// images, and of its bias.
//
// A block has 48 output channels, IN input channels and all taps, and goes over its share of the patches. The input is
// read through norm and SiLU as in the forward pass, so that nothing needs to be kept of what lies between.
#include "conv_input.cuh"

struct WeightGradient {
    Input in;
    const float *dy; // [batch, channels, height, width]
    float *partial;  // [splits, channels, in.channels, taps]
    int channels, height, width, splits;
};

// Grid: (in.channels / IN, channels / 48, splits), 128 threads.
template <int SIZE, int STRIDE> INLINE void weight_gradient(const WeightGradient &a) {
    using W = Window<SIZE, STRIDE>;
    constexpr int TAPS = SIZE * SIZE, OUT = 48, THREADS = 128;
    constexpr int IN = SIZE == 1 ? 32 : 8;
    constexpr int PLANE = W::SIDE * W::PITCH + (STRIDE == 2 ? 0 : 4); // 124, 68 or 340: no conflicts of banks
    constexpr int PIXELS = 68;                                        // of an output's patch, 64 and a gap
    constexpr int STAGE = IN * PLANE + OUT * PIXELS;
    // A thread has 6 outputs (o, o + 8, ..) and INS inputs (i, i + 8, ..). Two groups of threads share the rows of a
    // patch.
    constexpr int OUTS = OUT / 8, INS = IN / 8, GROUPS = 2, SUMS = OUTS * INS * TAPS;
    static_assert(OUT * IN * TAPS <= 2 * STAGE, "the sums of a block must fit");
    __shared__ __align__(16) float stages[2 * STAGE];

    const int thread = threadIdx.x, first_in = blockIdx.x * IN, first_out = blockIdx.y * OUT;
    const int patches = a.in.batch * patches_of(a.height, a.width);
    const int begin = (int)((long long)patches * blockIdx.z / a.splits);
    const int end = (int)((long long)patches * (blockIdx.z + 1) / a.splits);
    Places<SIZE, STRIDE, THREADS> places;

    auto begin_to_load = [&](int number, float *stage) {
        const Patch patch = patch_number(number, a.in.batch, a.height, a.width);
        find(places, a.in, patch, thread);
        load<IN, PLANE>(places, a.in, patch, first_in, thread, stage);
        const int pixel = thread % 64, y = patch.top + pixel / 8, x = patch.left + pixel % 8;
        const bool inside = patch.real && y < a.height && x < a.width;
#pragma unroll 4
        for (int out = thread / 64; out < OUT; out += THREADS / 64) {
            const bool real = inside && first_out + out < a.channels;
            const size_t channel = (size_t)patch.image * a.channels + first_out + out;
            const float *from = real ? a.dy + (channel * a.height + y) * a.width + x : a.dy;
            copy_one(stage + IN * PLANE + out * PIXELS + pixel, from, real);
        }
        end_group();
    };

    const int out = thread % 8, in = thread / 8 % 8, group = thread / 64;
    float sums[SUMS];
#pragma unroll
    for (int i = 0; i < SUMS; i++) sums[i] = 0.f;
    if (begin < end) begin_to_load(begin, stages);
    for (int number = begin; number < end; number++) {
        const int half = (number - begin) % 2;
        float *stage = stages + half * STAGE;
        const Places<SIZE, STRIDE, THREADS> loaded = places;
        if (number + 1 < end) {
            begin_to_load(number + 1, stages + (1 - half) * STAGE);
            await_groups<1>();
        } else {
            await_groups<0>();
        }
        activate<IN, PLANE>(loaded, a.in, patch_number(number, a.in.batch, a.height, a.width), first_in, thread, stage);
        __syncthreads();
#pragma unroll 1
        for (int row = group * 4; row < group * 4 + 4; row++) {
            float dy[OUTS][8];
#pragma unroll
            for (int o = 0; o < OUTS; o++) read_row<8>(dy[o], stage + IN * PLANE + (out + 8 * o) * PIXELS + row * 8);
#pragma unroll
            for (int i = 0; i < INS; i++)
#pragma unroll
                for (int r = 0; r < SIZE; r++) {
                    float x[W::PITCH];
                    read_row<W::SIDE>(x, stage + (in + 8 * i) * PLANE + (row * STRIDE + r) * W::PITCH);
#pragma unroll
                    for (int s = 0; s < SIZE; s++)
#pragma unroll
                        for (int o = 0; o < OUTS; o++)
#pragma unroll
                            for (int j = 0; j < 8; j++)
                                sums[(o * INS + i) * TAPS + r * SIZE + s] += dy[o][j] * x[j * STRIDE + s];
                }
        }
        __syncthreads(); // Nobody reads this stage any more.
    }

    // The groups add up their sums one after the other, and the block writes them in the order of the weights.
    for (int turn = 0; turn < GROUPS; turn++) {
        if (group == turn) {
#pragma unroll
            for (int i = 0; i < SUMS; i++) {
                const int o = out + 8 * (i / TAPS / INS), c = in + 8 * (i / TAPS % INS);
                float *to = stages + (o * IN + c) * TAPS + i % TAPS;
                *to = turn == 0 ? sums[i] : *to + sums[i];
            }
        }
        __syncthreads();
    }
    for (int i = thread; i < OUT * IN * TAPS; i += THREADS) {
        const int o = first_out + i / (IN * TAPS), c = first_in + i / TAPS % IN;
        if (o >= a.channels || c >= a.in.channels) continue;
        a.partial[(((size_t)blockIdx.z * a.channels + o) * a.in.channels + c) * TAPS + i % TAPS] = stages[i];
    }
}

KERNEL __launch_bounds__(128, 3) weight_gradient3(WeightGradient a) { weight_gradient<3, 1>(a); }
KERNEL __launch_bounds__(128, 3) weight_gradient3_stride2(WeightGradient a) { weight_gradient<3, 2>(a); }
KERNEL __launch_bounds__(128, 3) weight_gradient1(WeightGradient a) { weight_gradient<1, 1>(a); }

// Adds what the blocks found to the gradient, in the order of their numbers.
KERNEL add_splits(const float *partial, float *gradient, int count, int splits) {
    const int i = (int)thread_number();
    if (i >= count) return;
    float sum = 0.f;
#pragma unroll 8
    for (int split = 0; split < splits; split++) sum += partial[(size_t)split * count + i];
    gradient[i] += sum;
}

// Adds the bias gradient: the sum of dy over pixels and images. One block for each channel, one warp for each image at
// a time.
KERNEL bias_gradient(const float *dy, float *gradient, int batch, int channels, int pixels) {
    const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
    float sum = 0.f;
    for (int image = threadIdx.x / 32; image < batch; image += warps) {
        const float *map = dy + ((size_t)image * channels + blockIdx.x) * pixels;
#pragma unroll 8
        for (int pixel = lane; pixel < pixels; pixel += 32) sum += map[pixel];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) gradient[blockIdx.x] += sum;
}

// Group normalisation (Wu and He 2018) with a scale and a shift per channel, and a modulation [a | b] per image:
// y = (xhat weight + bias)(1 + a) + b with xhat = (x - mean) / sqrt(variance + epsilon).
//
// In front of a convolution the normalised map is never written: these kernels find y = x scale + shift for each image
// and channel, and who reads x applies that (conv_input.cuh).
#include "common.cuh"

// statistics [batch, groups, 2]: mean and 1 / sqrt(variance + epsilon). affine [batch, channels, 2]: scale and shift.
// modulation [batch, 2 channels], or null: a = b = 0. One block for each image and group.
KERNEL norm_affine(const float *x, const float *weight, const float *bias, const float *modulation, float *statistics,
                   float *affine, int channels, int groups, int pixels, float epsilon) {
    const int image = blockIdx.x / groups, each = channels / groups, first = blockIdx.x % groups * each;
    const int count = each * pixels;
    const float *from = x + ((size_t)image * channels + first) * pixels;
    float sum = 0.f;
#pragma unroll 4
    for (int i = threadIdx.x; i < count; i += blockDim.x) sum += from[i];
    const float mean = block_sum(sum) / count;
    sum = 0.f;
#pragma unroll 4
    for (int i = threadIdx.x; i < count; i += blockDim.x) sum += (from[i] - mean) * (from[i] - mean);
    const float inverse = rsqrtf(block_sum(sum) / count + epsilon);
    if (threadIdx.x == 0) statistics[2 * blockIdx.x] = mean, statistics[2 * blockIdx.x + 1] = inverse;
    for (int c = first + threadIdx.x; c < first + each; c += blockDim.x) {
        const float *of_image = modulation + (size_t)image * 2 * channels;
        const float gain = modulation ? 1.f + of_image[c] : 1.f, b = modulation ? of_image[channels + c] : 0.f;
        const float scale = weight[c] * inverse;
        float *pair = affine + 2 * ((size_t)image * channels + c);
        pair[0] = scale * gain;
        pair[1] = (bias[c] - mean * scale) * gain + b;
    }
}

// Where no convolution reads x: act(x scale + shift). One thread for each value.
KERNEL norm_apply(const float *x, const float *affine, float *y, unsigned pixels, int act, unsigned count) {
    const unsigned i = thread_number();
    if (i >= count) return;
    const float2 pair = ((const float2 *)affine)[i / pixels];
    const float u = x[i] * pair.x + pair.y;
    y[i] = act ? silu(u) : u;
}

// With u = x scale + shift and du = dy act'(u): sums [batch, channels, 2] of du and of du xhat over the pixels, which
// are the gradients of (1 + a) bias + b and of (1 + a) weight. One block for each image and channel.
KERNEL norm_sums(const float *x, const float *dy, const float *statistics, const float *affine, float *sums,
                 int channels, int groups, int pixels, int act) {
    const int image = blockIdx.x / channels, group = blockIdx.x % channels / (channels / groups);
    const float mean = statistics[2 * (image * groups + group)], inverse = statistics[2 * (image * groups + group) + 1];
    const float2 pair = ((const float2 *)affine)[blockIdx.x];
    const size_t first = (size_t)blockIdx.x * pixels;
    float of_shift = 0.f, of_scale = 0.f;
#pragma unroll 4
    for (int i = threadIdx.x; i < pixels; i += blockDim.x) {
        const float v = x[first + i];
        const float du = dy[first + i] * (act ? silu_slope(v * pair.x + pair.y) : 1.f);
        of_shift += du;
        of_scale += du * (v - mean) * inverse;
    }
    of_shift = block_sum(of_shift);
    of_scale = block_sum(of_scale);
    if (threadIdx.x == 0) sums[2 * blockIdx.x] = of_shift, sums[2 * blockIdx.x + 1] = of_scale;
}

// dx = du scale - m - xhat d, with the means m of du scale and d of du scale xhat over the group, which are sums over
// its channels; plus `add`, which may be null, or dx itself. One block for each image and channel.
KERNEL norm_input_gradient(const float *x, const float *dy, const float *statistics, const float *affine,
                           const float *sums, const float *add, float *dx, int channels, int groups, int pixels,
                           int act) {
    const int image = blockIdx.x / channels, each = channels / groups, group = blockIdx.x % channels / each;
    const float mean = statistics[2 * (image * groups + group)], inverse = statistics[2 * (image * groups + group) + 1];
    const int first_channel = image * channels + group * each;
    float m = 0.f, d = 0.f;
    for (int c = threadIdx.x; c < each; c += blockDim.x) {
        const float scale = affine[2 * (first_channel + c)];
        m += scale * sums[2 * (first_channel + c)];
        d += scale * sums[2 * (first_channel + c) + 1];
    }
    m = block_sum(m) / (each * pixels);
    d = block_sum(d) / (each * pixels);
    const float2 pair = ((const float2 *)affine)[blockIdx.x];
    const size_t first = (size_t)blockIdx.x * pixels;
#pragma unroll 4
    for (int i = threadIdx.x; i < pixels; i += blockDim.x) {
        const float v = x[first + i];
        const float du = dy[first + i] * (act ? silu_slope(v * pair.x + pair.y) : 1.f);
        dx[first + i] = (add ? add[first + i] : 0.f) + du * pair.x - m - (v - mean) * inverse * d;
    }
}

// Adds the gradient of the bias (part 0) or of the weight (part 1), from `norm_sums`. One thread for each channel.
KERNEL norm_parameter_gradient(const float *sums, const float *modulation, float *gradient, int part, int batch,
                               int channels) {
    const int c = (int)thread_number();
    if (c >= channels) return;
    float sum = 0.f;
#pragma unroll 8
    for (int image = 0; image < batch; image++) {
        const float gain = modulation ? 1.f + modulation[(size_t)image * 2 * channels + c] : 1.f;
        sum += gain * sums[2 * ((size_t)image * channels + c) + part];
    }
    gradient[c] += sum;
}

// The gradient of the modulation [a | b], from `norm_sums`. One thread for each image and channel.
KERNEL modulation_gradient(const float *sums, const float *weight, const float *bias, float *gradient, int batch,
                           int channels) {
    const int i = (int)thread_number();
    if (i >= batch * channels) return;
    const int image = i / channels, c = i % channels;
    float *of_image = gradient + (size_t)image * 2 * channels;
    of_image[c] = weight[c] * sums[2 * i + 1] + bias[c] * sums[2 * i];
    of_image[channels + c] = sums[2 * i];
}

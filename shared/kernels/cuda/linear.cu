// The fully connected layer, y = x weight^T + bias with x [batch, inputs] and weight [outputs, inputs], and SiLU.
#include "common.cuh"

// One warp for each number of y.
KERNEL linear(const float *x, const float *weight, const float *bias, float *y, int batch, int inputs, int outputs) {
    const int i = (int)(thread_number() / 32), lane = threadIdx.x % 32;
    const bool real = i < batch * outputs;
    float sum = 0.f;
    for (int k = lane; k < inputs && real; k += 32)
        sum += x[(size_t)(i / outputs) * inputs + k] * weight[(size_t)(i % outputs) * inputs + k];
    sum = warp_sum(sum);
    if (lane == 0 && real) y[i] = sum + bias[i % outputs];
}

// dx = dy weight, plus `add`, which may be null, or dx itself. One thread for each number of dx.
KERNEL linear_input_gradient(const float *dy, const float *weight, const float *add, float *dx, int batch, int inputs,
                             int outputs) {
    const int i = (int)thread_number();
    if (i >= batch * inputs) return;
    float sum = 0.f;
    const float *row = dy + (size_t)(i / inputs) * outputs;
#pragma unroll 8
    for (int o = 0; o < outputs; o++) sum += row[o] * weight[(size_t)o * inputs + i % inputs];
    dx[i] = sum + (add ? add[i] : 0.f);
}

// Adds dy^T x to the gradient of the weight. One thread for each number of it.
KERNEL linear_weight_gradient(const float *x, const float *dy, float *gradient, int batch, int inputs, int outputs) {
    const int i = (int)thread_number();
    if (i >= inputs * outputs) return;
    const int o = i / inputs, k = i % inputs;
    float sum = 0.f;
#pragma unroll 8
    for (int n = 0; n < batch; n++) sum += dy[(size_t)n * outputs + o] * x[(size_t)n * inputs + k];
    gradient[i] += sum;
}

KERNEL silu_forward(const float *x, float *y, int count) {
    const int i = (int)thread_number();
    if (i < count) y[i] = silu(x[i]);
}

KERNEL silu_backward(const float *x, const float *dy, float *dx, int count) {
    const int i = (int)thread_number();
    if (i < count) dx[i] = dy[i] * silu_slope(x[i]);
}

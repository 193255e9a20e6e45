// One step of training, for one parameter: one thread for each number.
#include "common.cuh"

// Adam (Kingma and Ba 2015, algorithm 1), with its gradient scaled first. `rate` is the learning rate over 1 - beta1^t,
// and `correction` one over 1 - beta2^t. Decay of weights: `coupled` adds to the gradient, `decoupled` (times the
// learning rate) acts beside it (Loshchilov and Hutter 2019).
struct Adam {
    float scale, beta1, beta2, rate, correction, epsilon, coupled, decoupled;
};

KERNEL adam(Adam by, const float *gradient, float *first, float *second, float *values, unsigned count) {
    const unsigned i = thread_number();
    if (i >= count) return;
    const float value = values[i], g = by.scale * gradient[i] + by.coupled * value;
    const float m = by.beta1 * first[i] + (1.f - by.beta1) * g;
    const float v = by.beta2 * second[i] + (1.f - by.beta2) * g * g;
    first[i] = m;
    second[i] = v;
    values[i] = value - by.rate * m / (sqrtf(v * by.correction) + by.epsilon) - by.decoupled * value;
}

// average = decay average + (1 - decay) values.
KERNEL move_average(const float *values, float *average, float decay, unsigned count) {
    const unsigned i = thread_number();
    if (i < count) average[i] = decay * average[i] + (1.f - decay) * values[i];
}

// Softmax attention (Vaswani et al. 2017, equation 1), one head of one image at a time, for any number of tokens and
// any length of a head. qkv [batch, 3, heads, length, tokens]; the output [batch, heads, length, tokens].
//
// A block of 128 threads has one query: it is small work, done once in a network, so clarity comes before speed.
#include "common.cuh"

// Where a block's head begins in queries, keys and values, and in the output.
struct Head {
    const float *queries, *keys, *values;
    size_t in_output;
};

INLINE Head head_number(const float *qkv, int head, int heads, int length, int tokens) {
    const size_t map = (size_t)length * tokens, whole = heads * map;
    const float *queries = qkv + head / heads * 3 * whole + head % heads * map;
    return {queries, queries + whole, queries + 2 * whole, head * map};
}

// probabilities [batch, heads, queries, keys] = softmax(q^T k / sqrt(length)), and out = values probabilities^T.
// One block for each image, head and query.
KERNEL attend(const float *qkv, float *probabilities, float *out, int heads, int length, int tokens) {
    const Head head = head_number(qkv, blockIdx.x / tokens, heads, length, tokens);
    const int query = blockIdx.x % tokens, warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    float *row = probabilities + (size_t)blockIdx.x * tokens;
    const float factor = rsqrtf((float)length);
    float top = -3e38f;
    for (int key = threadIdx.x; key < tokens; key += blockDim.x) {
        float dot = 0.f;
        for (int d = 0; d < length; d++) dot += head.queries[d * tokens + query] * head.keys[d * tokens + key];
        row[key] = dot * factor;
        top = fmaxf(top, row[key]);
    }
    // The largest of all threads: exp cannot overflow.
    __shared__ float tops[128];
    tops[threadIdx.x] = top;
    __syncthreads();
    for (int i = 0; i < (int)blockDim.x; i++) top = fmaxf(top, tops[i]);
    float sum = 0.f;
    for (int key = threadIdx.x; key < tokens; key += blockDim.x) {
        row[key] = __expf(row[key] - top);
        sum += row[key];
    }
    const float inverse = 1.f / block_sum(sum);
    for (int key = threadIdx.x; key < tokens; key += blockDim.x) row[key] *= inverse;
    __syncthreads();
    for (int first = 0; first < length; first += warps) { // A warp for each value of the output.
        const int d = first + warp;
        float value = 0.f;
        for (int key = lane; key < tokens && d < length; key += 32) value += head.values[d * tokens + key] * row[key];
        value = warp_sum(value);
        if (lane == 0 && d < length) out[head.in_output + d * tokens + query] = value;
    }
}

// Of one query: the gradient of the logits, slopes [batch, heads, queries, keys], times the factor; and that of the
// query itself. One block for each image, head and query.
KERNEL attend_query_gradient(const float *qkv, const float *probabilities, const float *dout, float *slopes,
                             float *dqkv, int heads, int length, int tokens) {
    const Head head = head_number(qkv, blockIdx.x / tokens, heads, length, tokens);
    const int query = blockIdx.x % tokens, warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    const size_t begin = (size_t)blockIdx.x * tokens;
    const float *row = probabilities + begin;
    float *slope = slopes + begin;
    float mean = 0.f;
    for (int key = threadIdx.x; key < tokens; key += blockDim.x) {
        float dp = 0.f;
        for (int d = 0; d < length; d++)
            dp += dout[head.in_output + d * tokens + query] * head.values[d * tokens + key];
        slope[key] = dp;
        mean += dp * row[key];
    }
    mean = block_sum(mean);
    const float factor = rsqrtf((float)length);
    for (int key = threadIdx.x; key < tokens; key += blockDim.x) slope[key] = row[key] * (slope[key] - mean) * factor;
    __syncthreads();
    float *dqueries = dqkv + (head.queries - qkv);
    for (int first = 0; first < length; first += warps) {
        const int d = first + warp;
        float value = 0.f;
        for (int key = lane; key < tokens && d < length; key += 32) value += head.keys[d * tokens + key] * slope[key];
        value = warp_sum(value);
        if (lane == 0 && d < length) dqueries[d * tokens + query] = value;
    }
}

// The gradients of keys and values. One thread for each number of the output's shape.
KERNEL attend_key_gradient(const float *qkv, const float *probabilities, const float *dout, const float *slopes,
                           float *dqkv, int heads, int length, int tokens, unsigned count) {
    if (thread_number() >= count) return;
    const int map = length * tokens, number = thread_number() / map, i = thread_number() % map;
    const int d = i / tokens, key = i % tokens;
    const size_t square = (size_t)number * tokens * tokens;
    const Head head = head_number(qkv, number, heads, length, tokens);
    float dk = 0.f, dv = 0.f;
    for (int query = 0; query < tokens; query++) {
        const size_t at = square + (size_t)query * tokens + key;
        dk += slopes[at] * head.queries[d * tokens + query];
        dv += probabilities[at] * dout[head.in_output + d * tokens + query];
    }
    dqkv[head.keys - qkv + i] = dk;
    dqkv[head.values - qkv + i] = dv;
}

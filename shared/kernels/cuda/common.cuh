// What all kernels share. No headers: nvcc needs none for this, and the stand-in for CUDA brings its own words.
#pragma once

#define INLINE __device__ __forceinline__

// A function of this kind is a kernel that Rust launches by its name.
#define KERNEL extern "C" __global__ void

// The number of this thread where a kernel has one thread for each value. 32 bits, since a GPU divides numbers of 64 bits
// slowly, and indices are divided.
INLINE unsigned thread_number() { return blockIdx.x * blockDim.x + threadIdx.x; }

INLINE int ceil_div(int a, int b) { return (a + b - 1) / b; }

// 1 / (1 + exp(-v)), to a few units in the last place.
INLINE float sigmoid(float v) { return __fdividef(1.f, 1.f + __expf(-v)); }

INLINE float silu(float v) { return v * sigmoid(v); }

// The derivative of `silu`.
INLINE float silu_slope(float v) {
    const float s = sigmoid(v);
    return s * (1.f + v * (1.f - s));
}

// The sum of the `v` of a warp's 32 threads, known to all of them: always in the same order. Where one warp of a block
// calls this, all of them must, since the stand-in has no barrier smaller than a block's.
INLINE float warp_sum(float v) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) v += __shfl_xor_sync(0xffffffffu, v, distance);
    return v;
}

// The same for a block, whose threads fill whole warps.
INLINE float block_sum(float v) {
    __shared__ float warps[32];
    v = warp_sum(v);
    __syncthreads(); // Nobody reads the last sum any more.
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
    __syncthreads();
    float sum = 0.f;
    for (unsigned warp = 0; warp < blockDim.x / 32; warp++) sum += warps[warp];
    return sum;
}

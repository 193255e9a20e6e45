// Copies to shared memory in the background: a block fetches what it needs next while it computes (compute capability
// 8.0; PTX manual, `cp.async`). Elsewhere they are plain copies. Where `real` is false, zeros are written and nothing
// is read.
#pragma once
#include "common.cuh"

#if defined(__CUDA_ARCH__) && defined(__CUDACC__) && __CUDA_ARCH__ >= 800
INLINE unsigned shared_address(const float *place) { return (unsigned)__cvta_generic_to_shared(place); }

INLINE void copy_one(float *to, const float *from, bool real) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
                 ::"r"(shared_address(to)), "l"(from), "r"(real ? 4 : 0) : "memory");
}
INLINE void copy_four(float *to, const float *from, bool real) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 ::"r"(shared_address(to)), "l"(from), "r"(real ? 16 : 0) : "memory");
}
// The copies since the last call become a group.
INLINE void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for this thread's groups but for the newest `NEWER`.
template <int NEWER> INLINE void await_groups() { asm volatile("cp.async.wait_group %0;" ::"n"(NEWER) : "memory"); }
#else
INLINE void copy_one(float *to, const float *from, bool real) { *to = real ? *from : 0.f; }
INLINE void copy_four(float *to, const float *from, bool real) {
    *(float4 *)to = real ? *(const float4 *)from : make_float4(0.f, 0.f, 0.f, 0.f);
}
INLINE void end_group() {}
template <int NEWER> INLINE void await_groups() {}
#endif

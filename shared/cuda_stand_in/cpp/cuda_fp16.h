// The words of CUDA C++ that dfdx's kernels and ours use, for g++. Every .cu file of dfdx asks for a header of this name,
// so that nothing else needs to be put in front of them.
//
// A kernel becomes an ordinary function. The threads of a block take turns (launch.cpp), so that an atomic operation is
// a plain one, and memory that a block shares is static.
#pragma once

#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#define __CUDA_ARCH__ 900
#define __device__ static
#define __forceinline__ inline
#define __shared__ static
// Each file of kernels has its own copies of some.
#define __global__ __attribute__((weak))
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)

struct Dim3 {
    unsigned int x, y, z;
};
extern Dim3 blockIdx, threadIdx, blockDim, gridDim;
void __syncthreads();

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// Roughly computed on a GPU, and exactly here.
inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }

// One block runs after the other: what one has written, the next one sees.
inline void __threadfence() {}
inline float __ldcg(const float *place) { return *place; }
inline void __stcg(float *place, float value) { *place = value; }

// What the thread of the same warp has whose number differs by the bits of `mask`. All threads of the block must come
// here, or all that have not ended.
inline float __shfl_xor_sync(unsigned, float value, int mask) {
    static float values[1024];
    values[threadIdx.x] = value;
    __syncthreads();
    float others = values[threadIdx.x ^ mask];
    __syncthreads();
    return others;
}

using std::isnan;
using std::signbit;

template <class A, class B> std::common_type_t<A, B> max(A a, B b) {
    std::common_type_t<A, B> x = a, y = b;
    return x > y ? x : y;
}
template <class A, class B> std::common_type_t<A, B> min(A a, B b) {
    std::common_type_t<A, B> x = a, y = b;
    return x < y ? x : y;
}

// Half precision, which the project does not use on GPUs: enough for the kernels to compile. It computes in f32.
struct __half {
    float value;
    __half() = default;
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>> __half(T x) : value(static_cast<float>(x)) {}
    operator float() const { return value; }
    __half &operator+=(__half other) { return *this = value + other.value; }
    __half &operator-=(__half other) { return *this = value - other.value; }
    __half &operator*=(__half other) { return *this = value * other.value; }
};
inline __half operator+(__half a, __half b) { return a.value + b.value; }
inline __half operator-(__half a, __half b) { return a.value - b.value; }
inline __half operator*(__half a, __half b) { return a.value * b.value; }
inline __half operator/(__half a, __half b) { return a.value / b.value; }
inline __half operator-(__half a) { return -a.value; }
inline bool operator<(__half a, __half b) { return a.value < b.value; }
inline bool operator>(__half a, __half b) { return a.value > b.value; }
inline bool operator==(__half a, __half b) { return a.value == b.value; }
inline bool operator!=(__half a, __half b) { return a.value != b.value; }
inline bool __hisnan(__half a) { return std::isnan(a.value); }
inline float __half2float(__half a) { return a.value; }
inline __half __float2half(float a) { return a; }
inline __half __hmax_nan(__half a, __half b) { return a > b ? a : b; }
inline __half __hmin_nan(__half a, __half b) { return a < b ? a : b; }
inline __half hcos(__half a) { return std::cos(a.value); }
inline __half hsin(__half a) { return std::sin(a.value); }
inline __half hsqrt(__half a) { return std::sqrt(a.value); }
inline __half hlog(__half a) { return std::log(a.value); }
inline __half hexp(__half a) { return std::exp(a.value); }
inline __half __habs(__half a) { return std::fabs(a.value); }
inline unsigned short __half_as_ushort(__half a) { return static_cast<unsigned short>(a.value); }
inline __half __ushort_as_half(unsigned short a) { return a; }

template <class To, class From> To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}
inline unsigned __float_as_uint(float x) { return same_bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return same_bits<float>(x); }
inline int __float_as_int(float x) { return same_bits<int>(x); }
inline float __int_as_float(int x) { return same_bits<float>(x); }
inline long long __double_as_longlong(double x) { return same_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return same_bits<double>(x); }

// The second type is not deduced: a number of another type is converted, as CUDA's overloads do.
template <class T> T atomicAdd(T *place, std::common_type_t<T> x) {
    T before = *place;
    *place = before + x;
    return before;
}
template <class T> T atomicMax(T *place, std::common_type_t<T> x) {
    T before = *place;
    if (x > before) *place = x;
    return before;
}
template <class T> T atomicMin(T *place, std::common_type_t<T> x) {
    T before = *place;
    if (x < before) *place = x;
    return before;
}
template <class T> T atomicCAS(T *place, std::common_type_t<T> expected, std::common_type_t<T> x) {
    T before = *place;
    if (before == expected) *place = x;
    return before;
}

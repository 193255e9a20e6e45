// What the parts of the stand-in share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

// ---- kernels.cpp: which kernels there are

// A kernel, called with the addresses of its arguments as cuLaunchKernel gets them.
using Kernel = void (*)(void **);

// Makes a kernel known by its name, and by the program that it belongs to: the text that dfdx has compiled at run time,
// or nothing for one that it has compiled beforehand.
void add_kernel(const char *program, const char *name, Kernel kernel);
Kernel find_kernel(const std::string &program, const std::string &name);
bool is_known_program(const std::string &program);

template <auto F> struct Call;
template <class... A, void (*F)(A...)> struct Call<F> {
    template <size_t... I> static void with(void **arguments, std::index_sequence<I...>) {
        F(*static_cast<std::remove_cv_t<std::remove_reference_t<A>> *>(arguments[I])...);
    }
    static void call(void **arguments) { with(arguments, std::index_sequence_for<A...>{}); }
};
template <auto F> struct Known {
    Known(const char *program, const char *name) { add_kernel(program, name, &Call<F>::call); }
};

// ---- launch.cpp: running them

struct Dim3;
void run_grid(Kernel kernel, void **arguments, Dim3 blocks, unsigned threads);

// ---- faults.cpp: what goes wrong on demand

// Codes of the driver, as in cuda.h.
enum Code : int {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    NO_BINARY_FOR_GPU = 209,
    UNSUPPORTED_PTX_VERSION = 222,
    NOT_FOUND = 500,
    LAUNCH_FAILED = 719,
};

// NO_DEVICE where there is to be no driver.
Code fault_of_the_driver();
// What loading compiled kernels reports.
Code fault_of_the_kernels();
// The bytes that the device has.
size_t device_bytes();
// LAUNCH_FAILED for ever, once as many kernels have run as the device is to live for.
Code fault_of_the_device(uint64_t launches);

// ---- counts.cpp: what was asked of the device

void count(const char *what, uint64_t times = 1);
uint64_t counted(const char *what);
// Whether kernels are only counted, not run.
bool only_counting();

// ---- for all

// One thread at a time, and forgetting it is impossible: every call of the API begins with it.
std::recursive_mutex &the_lock();
#define ONE_AT_A_TIME std::lock_guard<std::recursive_mutex> lock_(the_lock())

// Ends the process: the caller did what no CUDA library would forgive.
[[noreturn]] void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define API extern "C" __attribute__((visibility("default")))

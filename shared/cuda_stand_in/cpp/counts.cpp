// Counts of what was asked of the device, written to the file that CUDA_STAND_IN_COUNTS names when the process ends, a
// name and a number a line. With CUDA_STAND_IN_ONLY_COUNT kernels and products are counted and not computed.
#include "stand_in.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>

namespace {
std::map<std::string, uint64_t> &counts() {
    static auto *counts = new std::map<std::string, uint64_t>; // Never destroyed: calls come until the very end.
    return *counts;
}

struct AtTheEnd {
    ~AtTheEnd() {
        the_lock().lock(); // And kept: a thread that still frees its memory waits here until it is gone.
        const char *path = std::getenv("CUDA_STAND_IN_COUNTS");
        std::FILE *file = path ? std::fopen(path, "w") : nullptr;
        if (!file) return;
        for (const auto &[what, times] : counts()) std::fprintf(file, "%s %llu\n", what.c_str(), (unsigned long long)times);
        std::fclose(file);
    }
} at_the_end;
} // namespace

void count(const char *what, uint64_t times) { counts()[what] += times; }

uint64_t counted(const char *what) { return counts()[what]; }

bool only_counting() {
    static const bool only = std::getenv("CUDA_STAND_IN_ONLY_COUNT") != nullptr;
    return only;
}

std::recursive_mutex &the_lock() {
    static auto *lock = new std::recursive_mutex;
    return *lock;
}

void give_up(const char *format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    std::fputs("CUDA stand-in: ", stderr);
    std::vfprintf(stderr, format, arguments);
    std::fputc('\n', stderr);
    std::abort();
}

// The driver's memory. What nobody has written yet and what was freed is full of NaN, so that a kernel that reads either
// shows; a few bytes behind each allocation are looked at when it is freed, so that one that writes beyond its end shows.
#include "stand_in.h"

#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>

namespace {
constexpr size_t FENCE = 64;
constexpr int NAN_BYTE = 0xFF;
constexpr int FENCE_BYTE = 0xA5;

// By their first byte. Never destroyed: a thread may free its memory while the process ends.
std::map<uint64_t, size_t> &allocations = *new std::map<uint64_t, size_t>;
size_t in_use, freed;
uint64_t threshold; // What the pool keeps at a synchronisation.

Code allocate(uint64_t *address, size_t bytes) {
    ONE_AT_A_TIME;
    if (Code code = fault_of_the_device(counted("kernels"))) return code;
    count("allocations");
    if (bytes > device_bytes() || in_use > device_bytes() - bytes) return OUT_OF_MEMORY;
    char *memory = static_cast<char *>(std::malloc(bytes + FENCE));
    if (!memory) return OUT_OF_MEMORY;
    // What is only counted must be numbers.
    std::memset(memory, only_counting() ? 0 : NAN_BYTE, bytes);
    std::memset(memory + bytes, FENCE_BYTE, FENCE);
    *address = reinterpret_cast<uint64_t>(memory);
    allocations[*address] = bytes;
    in_use += bytes;
    return SUCCESS;
}

Code release(uint64_t address) {
    ONE_AT_A_TIME;
    if (Code code = fault_of_the_device(counted("kernels"))) return code;
    count("frees");
    auto found = allocations.find(address);
    if (found == allocations.end()) give_up("memory is freed that is not allocated");
    char *memory = reinterpret_cast<char *>(address);
    size_t bytes = found->second;
    for (size_t i = 0; i < FENCE; i++)
        if (memory[bytes + i] != static_cast<char>(FENCE_BYTE))
            give_up("something was written beyond the end of an allocation of %zu bytes", bytes);
    std::memset(memory, NAN_BYTE, bytes);
    std::free(memory);
    in_use -= bytes;
    freed += bytes;
    allocations.erase(found);
    return SUCCESS;
}

// What is copied or filled must lie in one allocation.
void check_bounds(uint64_t address, size_t bytes) {
    auto next = allocations.upper_bound(address);
    if (next != allocations.begin()) {
        auto [begin, length] = *std::prev(next);
        if (address - begin <= length && bytes <= length - (address - begin)) return;
    }
    give_up("a copy or a fill of %zu bytes goes astray", bytes);
}

Code copy(const char *kind, void *to, const void *from, size_t bytes) {
    if (Code code = fault_of_the_device(counted("kernels"))) return code;
    count(kind);
    std::memcpy(to, from, bytes);
    return SUCCESS;
}
} // namespace

// A synchronisation hands back what is free beyond the pool's threshold.
void tidy_the_pool() {
    if (freed > threshold) count("times the pool gave memory back");
    freed = 0;
}

API int cuMemAllocAsync(uint64_t *address, size_t bytes, void *) { return allocate(address, bytes); }
API int cuMemAlloc_v2(uint64_t *address, size_t bytes) { return allocate(address, bytes); }
API int cuMemFreeAsync(uint64_t address, void *) { return release(address); }
API int cuMemFree_v2(uint64_t address) { return release(address); }

API int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *) {
    ONE_AT_A_TIME;
    check_bounds(to, bytes);
    return copy("copies to the device", reinterpret_cast<void *>(to), from, bytes);
}
API int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
    return cuMemcpyHtoDAsync_v2(to, from, bytes, nullptr);
}
API int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *) {
    ONE_AT_A_TIME;
    check_bounds(from, bytes);
    return copy("copies to the host", to, reinterpret_cast<void *>(from), bytes);
}
API int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
    return cuMemcpyDtoHAsync_v2(to, from, bytes, nullptr);
}
API int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *) {
    ONE_AT_A_TIME;
    check_bounds(from, bytes);
    check_bounds(to, bytes);
    return copy("copies on the device", reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes);
}
API int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes) {
    return cuMemcpyDtoDAsync_v2(to, from, bytes, nullptr);
}
API int cuMemsetD8Async(uint64_t address, unsigned char value, size_t bytes, void *) {
    ONE_AT_A_TIME;
    if (Code code = fault_of_the_device(counted("kernels"))) return code;
    check_bounds(address, bytes);
    count("fills");
    std::memset(reinterpret_cast<void *>(address), value, bytes);
    return SUCCESS;
}
API int cuMemsetD8_v2(uint64_t address, unsigned char value, size_t bytes) {
    return cuMemsetD8Async(address, value, bytes, nullptr);
}
API int cuMemGetInfo_v2(size_t *free_bytes, size_t *bytes) {
    ONE_AT_A_TIME;
    *bytes = device_bytes();
    *free_bytes = *bytes - in_use;
    return SUCCESS;
}
API int cuDeviceTotalMem_v2(size_t *bytes, int) {
    *bytes = device_bytes();
    return SUCCESS;
}
API int cuDeviceGetDefaultMemPool(void **pool, int) {
    *pool = &threshold;
    return SUCCESS;
}
API int cuMemPoolSetAttribute(void *pool, int attribute, void *value) {
    ONE_AT_A_TIME;
    constexpr int RELEASE_THRESHOLD = 4;
    if (pool != &threshold || attribute != RELEASE_THRESHOLD) return INVALID_VALUE;
    std::memcpy(&threshold, value, sizeof threshold);
    return SUCCESS;
}

// The driver but for its memory: one device, its streams (all of them at once done), modules and launches.
#include "cuda_fp16.h"
#include "stand_in.h"

#include <cstring>

void tidy_the_pool();

namespace {
struct Module {
    std::string program; // Empty for kernels compiled beforehand: dfdx's feature `ci-check` leaves those files empty.
};
struct Function {
    std::string name;
    Kernel kernel;
};
// Something to point at, for handles that nobody looks behind.
int anything;

Code lost() { return fault_of_the_device(counted("kernels")); }
} // namespace

API int cuInit(unsigned) { return fault_of_the_driver(); }
API int cuDeviceGetCount(int *devices) {
    *devices = 1;
    return SUCCESS;
}
API int cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return ordinal == 0 ? SUCCESS : INVALID_DEVICE;
}
API int cuDeviceGetAttribute(int *value, int attribute, int) {
    constexpr int CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76;
    *value = attribute == CAPABILITY_MAJOR ? 9 : attribute == CAPABILITY_MINOR ? 0 : 1;
    return SUCCESS;
}
API int cuDevicePrimaryCtxRetain(void **context, int) {
    ONE_AT_A_TIME;
    count("times the device was opened");
    *context = &anything;
    return SUCCESS;
}
API int cuDevicePrimaryCtxRelease_v2(int) { return lost(); }
API int cuCtxSetCurrent(void *) { return SUCCESS; }
API int cuCtxGetCurrent(void **context) {
    *context = &anything;
    return SUCCESS;
}
API int cuEventCreate(void **event, unsigned) {
    *event = &anything;
    return SUCCESS;
}
API int cuEventDestroy_v2(void *) { return lost(); }
API int cuEventRecord(void *, void *) {
    ONE_AT_A_TIME;
    count("events");
    return lost();
}
API int cuStreamCreate(void **stream, unsigned) {
    *stream = &anything;
    return SUCCESS;
}
API int cuStreamDestroy_v2(void *) { return lost(); }
API int cuStreamWaitEvent(void *, void *, unsigned) { return lost(); }
API int cuStreamSynchronize(void *) {
    ONE_AT_A_TIME;
    count("synchronisations");
    tidy_the_pool();
    return lost();
}

API int cuModuleLoadData(void **module, const void *image) {
    ONE_AT_A_TIME;
    if (Code code = fault_of_the_kernels()) return code;
    *module = new Module{static_cast<const char *>(image)};
    return lost();
}
API int cuModuleUnload(void *module) {
    delete static_cast<Module *>(module);
    return lost();
}
API int cuModuleGetFunction(void **function, void *module, const char *name) {
    ONE_AT_A_TIME;
    // One that is not there is missed when it is launched: dfdx asks for those of all types at once.
    *function = new Function{name, find_kernel(static_cast<Module *>(module)->program, name)};
    return SUCCESS;
}
API int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y,
                       unsigned threads_z, unsigned, void *, void **arguments, void **) {
    ONE_AT_A_TIME;
    if (Code code = lost()) return code;
    count("kernels");
    const auto &[name, kernel] = *static_cast<Function *>(function);
    if (!kernel) give_up("there is no kernel %s: add its file to KERNELS in build/kernels.rs", name.c_str());
    if (x == 0 || y == 0 || z == 0 || y > 65535 || z > 65535) return INVALID_VALUE;
    if (threads == 0 || threads > 1024) return INVALID_VALUE;
    if (threads_y != 1 || threads_z != 1) give_up("%s has blocks of more than one axis", name.c_str());
    if (!only_counting()) run_grid(kernel, arguments, {x, y, z}, threads);
    return SUCCESS;
}

namespace {
struct Name {
    int code;
    const char *name, *meaning;
};
constexpr Name NAMES[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available"},
    {UNSUPPORTED_PTX_VERSION, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the PTX is of a newer toolkit"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
};
int tell(int code, const char **text, const char *Name::*what) {
    for (const Name &name : NAMES)
        if (name.code == code) {
            *text = name.*what;
            return SUCCESS;
        }
    return INVALID_VALUE;
}
} // namespace
API int cuGetErrorName(int code, const char **text) { return tell(code, text, &Name::name); }
API int cuGetErrorString(int code, const char **text) { return tell(code, text, &Name::meaning); }

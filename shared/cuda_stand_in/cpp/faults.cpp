// Bad days, chosen by CUDA_STAND_IN_FAULT: `no-driver`, `old-driver`, `other-card`, `memory=MIB`, `lost=KERNELS`.
#include "stand_in.h"

#include <cstdlib>

namespace {
struct Fault {
    std::string name;
    uint64_t number = 0;
};

const Fault &fault() {
    static const Fault fault = [] {
        const char *text = std::getenv("CUDA_STAND_IN_FAULT");
        std::string name = text ? text : "";
        size_t equals = name.find('=');
        if (equals == std::string::npos) return Fault{name};
        return Fault{name.substr(0, equals), std::strtoull(name.c_str() + equals + 1, nullptr, 10)};
    }();
    return fault;
}
} // namespace

Code fault_of_the_driver() { return fault().name == "no-driver" ? NO_DEVICE : SUCCESS; }

Code fault_of_the_kernels() {
    if (fault().name == "old-driver") return UNSUPPORTED_PTX_VERSION;
    return fault().name == "other-card" ? NO_BINARY_FOR_GPU : SUCCESS;
}

size_t device_bytes() { return fault().name == "memory" ? fault().number << 20 : size_t{64} << 30; }

Code fault_of_the_device(uint64_t launches) {
    return fault().name == "lost" && launches >= fault().number ? LAUNCH_FAILED : SUCCESS;
}

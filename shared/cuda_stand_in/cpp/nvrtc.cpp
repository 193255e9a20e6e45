// NVRTC, the compiler of a running program: it knows the programs that were compiled with the stand-in, and no others.
#include "stand_in.h"

#include <cstring>

namespace {
constexpr int COMPILATION_FAILED = 6;
std::string &text(void *program) { return *static_cast<std::string *>(program); }
const char LOG[] = "the stand-in knows only the programs that build/kernels.rs found in dfdx's sources";
} // namespace

API int nvrtcCreateProgram(void **program, const char *source, const char *, int, const char *const *,
                           const char *const *) {
    *program = new std::string(source);
    return 0;
}
API int nvrtcCompileProgram(void *program, int, const char *const *) {
    ONE_AT_A_TIME;
    count("programs compiled at run time");
    return is_known_program(text(program)) ? 0 : COMPILATION_FAILED;
}
API int nvrtcDestroyProgram(void **program) {
    delete &text(*program);
    return 0;
}
// Its PTX is the text itself, by which the driver finds the kernels.
API int nvrtcGetPTXSize(void *program, size_t *bytes) {
    *bytes = text(program).size() + 1;
    return 0;
}
API int nvrtcGetPTX(void *program, char *ptx) {
    std::strcpy(ptx, text(program).c_str());
    return 0;
}
API int nvrtcGetProgramLogSize(void *, size_t *bytes) {
    *bytes = sizeof LOG;
    return 0;
}
API int nvrtcGetProgramLog(void *, char *log) {
    std::strcpy(log, LOG);
    return 0;
}

// The list of kernels, filled before main() by the files that build.rs writes.
#include "stand_in.h"

#include <map>
#include <set>

namespace {
struct List {
    std::map<std::pair<std::string, std::string>, Kernel> kernels;
    std::set<std::string> programs;
};
// A function's static: other files' constructors use it before this file's would have run.
List &list() {
    static auto *list = new List; // Never destroyed: calls come until the very end.
    return *list;
}
} // namespace

void add_kernel(const char *program, const char *name, Kernel kernel) {
    list().programs.insert(program);
    list().kernels.emplace(std::pair(program, name), kernel);
}

Kernel find_kernel(const std::string &program, const std::string &name) {
    auto found = list().kernels.find({program, name});
    return found == list().kernels.end() ? nullptr : found->second;
}

bool is_known_program(const std::string &program) { return list().programs.count(program) > 0; }

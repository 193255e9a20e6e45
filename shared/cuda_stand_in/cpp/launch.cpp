// Runs a grid: one block after the other, the threads of a block in turn.
//
// A thread runs until it ends or waits for its block in __syncthreads. So that it can wait, it has a stack of its own; a
// thread that never waits leaves its stack to the next one. On a GPU many run at once. Here their order is drawn anew each
// time, and that of the blocks for each launch, so that a kernel whose result depends on it does not give it twice.
#include "cuda_fp16.h"
#include "stand_in.h"

#include <algorithm>
#include <csetjmp>
#include <numeric>
#include <random>
#include <ucontext.h>
#include <vector>

Dim3 blockIdx, threadIdx, blockDim, gridDim;

namespace {
constexpr size_t STACK_BYTES = 64 << 10;

// A stack on which threads of the GPU run, and where it stopped.
struct Fibre {
    std::vector<char> stack = std::vector<char>(STACK_BYTES);
    ucontext_t begin;
    jmp_buf at;
    bool begun = false;
    bool waits = false;
    unsigned thread = 0;
};

Kernel kernel;
void **arguments;
std::vector<Fibre *> idle, waiting;
Fibre *running;
jmp_buf scheduler;
std::minstd_rand dice; // From the same seed in each process.

std::vector<unsigned> in_any_order(unsigned count) {
    std::vector<unsigned> order(count);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), dice);
    return order;
}

void back_to_the_scheduler() {
    if (_setjmp(running->at) == 0) _longjmp(scheduler, 1);
}

// What a fibre does: it runs the thread that it was given, and waits for the next.
void live() {
    for (;;) {
        kernel(arguments);
        running->waits = false;
        back_to_the_scheduler();
    }
}

void go_on(Fibre *fibre) {
    running = fibre;
    threadIdx = {fibre->thread, 0, 0};
    if (_setjmp(scheduler) == 0) {
        if (fibre->begun) _longjmp(fibre->at, 1);
        fibre->begun = true;
        setcontext(&fibre->begin);
    }
    (running->waits ? waiting : idle).push_back(running);
    running = nullptr;
}

Fibre *an_idle_fibre() {
    if (idle.empty()) {
        auto *fibre = new Fibre;
        getcontext(&fibre->begin);
        fibre->begin.uc_stack = {fibre->stack.data(), 0, STACK_BYTES};
        makecontext(&fibre->begin, live, 0);
        return fibre;
    }
    Fibre *fibre = idle.back();
    idle.pop_back();
    return fibre;
}

void run_block(unsigned threads) {
    for (unsigned thread : in_any_order(threads)) {
        Fibre *fibre = an_idle_fibre();
        fibre->thread = thread;
        go_on(fibre);
    }
    while (!waiting.empty()) {
        std::vector<Fibre *> round;
        round.swap(waiting);
        std::shuffle(round.begin(), round.end(), dice);
        for (Fibre *fibre : round) go_on(fibre);
    }
}
} // namespace

void __syncthreads() {
    running->waits = true;
    back_to_the_scheduler();
}

void run_grid(Kernel of, void **with, Dim3 blocks, unsigned threads) {
    kernel = of;
    arguments = with;
    gridDim = blocks;
    blockDim = {threads, 1, 1};
    for (unsigned block : in_any_order(blocks.x * blocks.y * blocks.z)) {
        blockIdx = {block % blocks.x, block / blocks.x % blocks.y, block / blocks.x / blocks.y};
        run_block(threads);
    }
}

// A thread of a kernel is a fiber: a stack of its own, left and entered again where the thread waits for others.

#pragma once
#include <cstddef>
#include <cstdlib>

#if defined(__x86_64__) && defined(__linux__)

namespace emulator {

// Saves what a function call must keep and the stack pointer, and goes on where `to` stopped.
extern "C" void emulator_switch(void** from, void* to);
asm(R"(.text
.type emulator_switch,@function
emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulator_switch,.-emulator_switch
)");

struct Context {
    void* stack_pointer = nullptr;

    // Entering this context begins `run`, which never returns.
    void start(char* stack, size_t bytes, void (*run)()) {
        void** top = (void**)(stack + bytes - 64);
        *--top = nullptr;  // the return address of `run`
        *--top = (void*)run;
        for (int saved = 0; saved < 6; saved++) *--top = nullptr;
        stack_pointer = top;
    }
};

inline void switch_to(Context& from, Context& to) { emulator_switch(&from.stack_pointer, to.stack_pointer); }

}  // namespace emulator

#else
#include <ucontext.h>

namespace emulator {

struct Context {
    ucontext_t context;

    void start(char* stack, size_t bytes, void (*run)()) {
        getcontext(&context);
        context.uc_stack.ss_sp = stack;
        context.uc_stack.ss_size = bytes;
        context.uc_link = nullptr;
        makecontext(&context, run, 0);
    }
};

inline void switch_to(Context& from, Context& to) { swapcontext(&from.context, &to.context); }

}  // namespace emulator
#endif

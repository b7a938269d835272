// Runs the blocks of a launch one after the other, and the threads of a block in turns: a thread runs until it waits for
// its warp or its block. What a kernel computes must not depend on the order, which is chosen from outside; where it does, a
// barrier is missing.

#pragma once
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>
#include "fibers.h"

struct uint3 {
    unsigned x, y, z;
};

namespace emulator {

enum class State { ready, at_warp, at_block, done };

struct Fiber {
    Context context;
    char* stack = nullptr;
    State state = State::done;
    uint3 thread = {0, 0, 0};
    int line = 0;             // of the program, where it waits
    unsigned operations = 0;  // warp-wide ones that it has begun
};

// What the lanes of a warp show each other. A lane may be one operation ahead of another that has yet to look: hence two.
struct Warp {
    uint64_t value[2][32];
    unsigned stamp[2][32];
};

// What any card has.
const unsigned MOST_THREADS = 1024, MOST_BLOCKS = 65535;

const size_t STACK = EMULATOR_STACK;

static std::vector<Fiber> fibers(MOST_THREADS);
static std::vector<Warp> warps(MOST_THREADS / 32);
static Fiber* current;
static Context scheduler;
static uint3 block_index, block_size, grid_size;
static void (*kernel_call)(void**);
static void** kernel_arguments;
static char failure[512];

// Notes what went wrong, the first time; the launch ends with it.
static void fail(const char* format, ...) {
    if (failure[0]) return;
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(failure, sizeof failure, format, arguments);
    va_end(arguments);
    if (n > 0 && n < (int)sizeof failure) {
        snprintf(failure + n, sizeof failure - n, " (block %u, %u, %u)", block_index.x, block_index.y, block_index.z);
    }
}

static void wait(State state, int line) {
    current->state = state;
    current->line = line;
    switch_to(current->context, scheduler);
}

static void begin() {
    kernel_call(kernel_arguments);
    wait(State::done, 0);
    abort();
}

// The orders: 0 ascending, 1 descending, others shuffled by that seed.
struct Turns {
    uint64_t order, random;

    explicit Turns(uint64_t order) : order(order), random(order * 0x9e3779b97f4a7c15ull + 1) {}

    // An order of 0..n.
    void permute(std::vector<unsigned>& turns, unsigned n) {
        turns.resize(n);
        for (unsigned i = 0; i < n; i++) turns[i] = order == 1 ? n - 1 - i : i;
        for (unsigned i = n; order > 1 && i > 1; i--) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            std::swap(turns[i - 1], turns[random % i]);
        }
    }
};

// Runs a warp until all its lanes wait for the block or are done.
static void run_warp(unsigned first, unsigned lanes, Turns& turns, std::vector<unsigned>& order) {
    while (!failure[0]) {
        turns.permute(order, lanes);
        for (unsigned lane : order) {
            Fiber& fiber = fibers[first + lane];
            if (fiber.state != State::ready) continue;
            current = &fiber;
            switch_to(scheduler, fiber.context);
            if (failure[0]) return;
        }
        const Fiber* waiting = nullptr;
        for (unsigned lane = 0; lane < lanes; lane++) {
            if (fibers[first + lane].state == State::at_warp) waiting = &fibers[first + lane];
        }
        if (!waiting) return;
        for (unsigned lane = 0; lane < lanes; lane++) {
            const Fiber& fiber = fibers[first + lane];
            if (fiber.state == State::at_block) {
                fail("lanes of a warp part: one waits for its warp in line %d, another for its block in line %d",
                     waiting->line, fiber.line);
            } else if (fiber.state == State::at_warp && fiber.line != waiting->line) {
                fail("lanes of a warp part: they wait in lines %d and %d", waiting->line, fiber.line);
            }
        }
        for (unsigned lane = 0; lane < lanes; lane++) {
            if (fibers[first + lane].state == State::at_warp) fibers[first + lane].state = State::ready;
        }
    }
}

// Shared variables of kernels lie in a section of their own, so that every block can begin with garbage in them.
extern "C" char __start_emulated_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_emulated_shared[] __attribute__((weak, visibility("hidden")));

static char* launch_room;
static unsigned launch_bytes;

__attribute__((no_sanitize("address"))) static void spoil(char* from, size_t bytes) {
    // All bits set is NaN as a float, and -1 as an integer.
    for (volatile char* p = from; p < from + bytes; p++) *p = (char)0xff;
}

static void run_block(Turns& turns) {
    static std::vector<unsigned> warp_order, lane_order;
    const unsigned threads = block_size.x, count = (threads + 31) / 32;
    spoil(__start_emulated_shared, __stop_emulated_shared - __start_emulated_shared);
    spoil(launch_room, launch_bytes);
    for (unsigned i = 0; i < threads; i++) {
        Fiber& fiber = fibers[i];
        if (!fiber.stack) fiber.stack = (char*)malloc(STACK);
        fiber.thread = {i, 0, 0};
        fiber.state = State::ready;
        fiber.operations = 0;
        fiber.context.start(fiber.stack, STACK, begin);
    }
    memset(warps.data(), 0, count * sizeof(Warp));
    while (!failure[0]) {
        turns.permute(warp_order, count);
        for (unsigned warp : warp_order) {
            run_warp(32 * warp, std::min(32u, threads - 32 * warp), turns, lane_order);
        }
        if (failure[0]) return;
        const Fiber* waiting = nullptr;
        bool left = false;
        for (unsigned i = 0; i < threads; i++) {
            const Fiber& fiber = fibers[i];
            left |= fiber.state == State::done;
            if (fiber.state != State::at_block) continue;
            if (waiting && waiting->line != fiber.line) {
                return fail("threads wait at different barriers, in lines %d and %d", waiting->line, fiber.line);
            }
            waiting = &fiber;
        }
        if (!waiting) return;
        if (left) return fail("deadlock: threads wait at the barrier in line %d, which others never reach", waiting->line);
        for (unsigned i = 0; i < threads; i++) fibers[i].state = State::ready;
    }
}

static void run_blocks(uint64_t order) {
    static std::vector<unsigned> turns_of_blocks;
    Turns turns(order);
    turns.permute(turns_of_blocks, grid_size.x * grid_size.y * grid_size.z);
    for (unsigned i : turns_of_blocks) {
        block_index = {i % grid_size.x, i / grid_size.x % grid_size.y, i / grid_size.x / grid_size.y};
        run_block(turns);
        if (failure[0]) return;
    }
}

// What lane `source` of the warp shows in this operation; garbage where that lane does not take part.
template <class T> T show(T value, unsigned source, int line) {
    static_assert(sizeof(T) <= 8, "lanes exchange at most 8 bytes");
    const unsigned index = (unsigned)(current - fibers.data()), lane = index & 31;
    Warp& warp = warps[index >> 5];
    const unsigned stamp = ++current->operations, side = stamp & 1;
    memcpy(&warp.value[side][lane], &value, sizeof value);
    warp.stamp[side][lane] = stamp;
    wait(State::at_warp, line);
    if (warp.stamp[side][source & 31] == stamp) {
        memcpy(&value, &warp.value[side][source & 31], sizeof value);
    } else {
        memset(&value, 0xff, sizeof value);
    }
    return value;
}

}  // namespace emulator

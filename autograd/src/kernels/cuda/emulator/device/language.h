// The part of CUDA C++ that the kernels are written in, as far as it is no C++.

#pragma once
#include <algorithm>
#include <cmath>
#include "block.h"

#define EMULATED 1
#define __global__
#define __device__
#define __forceinline__ inline
#define __grid_constant__
#define __shared__ static __attribute__((section("emulated_shared")))
#define KERNEL(name, threads)                      \
    static const unsigned name##_threads = threads; \
    static void name

#define threadIdx (emulator::current->thread)
#define blockIdx (emulator::block_index)
#define blockDim (emulator::block_size)
#define gridDim (emulator::grid_size)
#define launch_memory ((float4*)emulator::launch_room)

#define __syncthreads() emulator::wait(emulator::State::at_block, __LINE__)
#define __syncwarp() emulator::show(0, 0, __LINE__)
#define __shfl_sync(lanes, value, source) emulator::show(value, source, __LINE__)
#define __shfl_xor_sync(lanes, value, mask) emulator::show(value, (threadIdx.x & 31) ^ (mask), __LINE__)

struct alignas(16) float4 {
    float x, y, z, w;
};

inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

inline float __int_as_float(int bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

using std::max;
using std::min;

// What all kernels share. Sums are taken in an order that depends on nothing but sizes and alignment, so that every run
// gives the same bits; no kernel adds by atomics.

typedef unsigned long long u64;
typedef long long i64;

#ifndef EMULATED
#define KERNEL(name, threads) extern "C" __global__ void __launch_bounds__(threads) name
// The memory that a block is given at the launch.
extern __shared__ float4 launch_memory[];
#endif
#define INLINE static __device__ __forceinline__
#define WARPS (BLOCK / 32)
#define ALL_LANES 0xffffffffu

INLINE float minus_infinity() { return __int_as_float(0xff800000); }
INLINE float not_a_number() { return __int_as_float(0x7fffffff); }

INLINE unsigned lane_of_thread() { return threadIdx.x & 31; }
INLINE unsigned warp_of_thread() { return threadIdx.x >> 5; }

// The row of this warp where each warp of a block takes one.
INLINE int row_of_warp() { return (int)(blockIdx.x * WARPS + warp_of_thread()); }

// Whether float4 may be read from here: an access that straddles its own size is a fault.
INLINE bool aligned(const void* p) { return ((u64)p & 15) == 0; }

INLINE float4 add(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }
INLINE float sum(float4 v) { return (v.x + v.y) + (v.z + v.w); }

// Every lane gets the sum over the warp.
template <class T> INLINE T warp_sum(T v) {
    for (int distance = 16; distance; distance >>= 1) v += __shfl_xor_sync(ALL_LANES, v, distance);
    return v;
}

INLINE float warp_max(float v) {
    for (int distance = 16; distance; distance >>= 1) v = fmaxf(v, __shfl_xor_sync(ALL_LANES, v, distance));
    return v;
}

// Every thread gets the sum over the block; `room` holds one entry a warp and is free again afterwards.
template <class T> INLINE T block_sum(T v, T* room) {
    v = warp_sum(v);
    if (lane_of_thread() == 0) room[warp_of_thread()] = v;
    __syncthreads();
    v = room[0];
    for (int w = 1; w < WARPS; w++) v += room[w];
    __syncthreads();
    return v;
}

// The column of entry `i` of rows of `n`. Divisions take a tenth of the time in 32 bits.
INLINE unsigned column_of(u64 i, int n) { return i >> 32 ? (unsigned)(i % n) : (unsigned)i % (unsigned)n; }

// f of four entries, each of `v` holding four of an operand's.
template <class F, class... V> INLINE float4 four_of(F& f, u64 i, V... v) {
    return make_float4(f(i, v.x...), f(i + 1, v.y...), f(i + 2, v.z...), f(i + 3, v.w...));
}

// y[i] (+)= f(i, in[i]...), four entries at a time where all pointers allow it. Any grid will do.
template <class F, class... In> INLINE void map(float* y, u64 count, int keep, F f, const In*... in) {
    const u64 first = blockIdx.x * (u64)blockDim.x + threadIdx.x, step = gridDim.x * (u64)blockDim.x;
    const u64 fours = (aligned(y) && ... && aligned(in)) ? count / 4 : 0;
    for (u64 four = first; four < fours; four += step) {
        float4 v = four_of(f, 4 * four, ((const float4*)in)[four]...);
        if (keep) v = add(((const float4*)y)[four], v);
        ((float4*)y)[four] = v;
    }
    for (u64 i = 4 * fours + first; i < count; i += step) {
        const float v = f(i, in[i]...);
        y[i] = keep ? y[i] + v : v;
    }
}

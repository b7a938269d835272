// Dropout with a mask that is a function of a key and the entry's index alone: bit for bit that of the CPU's `dropout.rs`.

INLINE u64 mix(u64 z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

// The seed of sub-stream `index`: `rng::derive`.
INLINE u64 derive(u64 seed, u64 index) { return mix(mix(seed) + index * 0x9e3779b97f4a7c15ull); }

INLINE unsigned lowbias32(unsigned x) {
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

// The mask, and the key of the 2^32 entries around the last index that was asked for.
struct Mask {
    Dropout dropout;
    unsigned upper;
    u64 key;

    __device__ __forceinline__ explicit Mask(Dropout dropout) : dropout(dropout), upper(0), key(0) {
        if (dropout.threshold) key = of(0);
    }

    // The key of the entries whose index has this upper half.
    __device__ __forceinline__ u64 of(unsigned upper) const {
        return derive(dropout.seed ? derive(*dropout.seed, dropout.key) : dropout.key, upper);
    }

    // Has the key of this entry at hand.
    __device__ __forceinline__ void seek(u64 index) {
        if (dropout.threshold == 0 || (unsigned)(index >> 32) == upper) return;
        upper = (unsigned)(index >> 32);
        key = of(upper);
    }

    // x / (1 - p) where the entry is kept, zero elsewhere; the key of its upper half is at hand.
    __device__ __forceinline__ float at(unsigned lower, float x) const {
        if (dropout.threshold == 0) return x * dropout.factor;
        const unsigned hash = lowbias32(lowbias32(lower ^ (unsigned)(key >> 32)) ^ (unsigned)key);
        return hash >= dropout.threshold ? x * dropout.factor : 0.f;
    }

    __device__ __forceinline__ float operator()(u64 index, float x) {
        seek(index);
        return at((unsigned)index, x);
    }
};

KERNEL(dropout, BLOCK)(const float* x, float* y, u64 count, Dropout d) {
    Mask mask(d);
    map(y, count, 0, [&](u64 i, float x) { return mask(i, x); }, x);
}

KERNEL(dropout_backward, BLOCK)(const float* dy, float* dx, u64 count, Dropout d, int keep) {
    Mask mask(d);
    map(dx, count, keep, [&](u64 i, float dy) { return mask(i, dy); }, dy);
}

// y = x + dropout(a): the end of a sublayer and the connection around it
KERNEL(residual, BLOCK)(const float* x, const float* a, float* y, u64 count, Dropout d) {
    Mask mask(d);
    map(y, count, 0, [&](u64 i, float x, float a) { return x + mask(i, a); }, x, a);
}

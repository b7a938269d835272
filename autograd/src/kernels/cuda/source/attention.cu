// Scaled dot-product attention by tiles of 64 queries and 64 keys, after FlashAttention (Dao et al., 2022): where a new tile
// of keys has a larger score than all before, what was summed so far is scaled down to it, and no score is ever written to
// memory. What it computes is what the CPU's `attention.rs` does, its dropout mask included.

// The rows of one sentence, and where its head's columns begin.
struct Head {
    int queries, keys;
    u64 query_row;  // the first of its query rows
    u64 q, k;       // the first entry of its queries and keys, for this head
    u64 weight;     // the number of the head's first weight among those of the whole call
};

INLINE Head head_of(int sentence, int head, const unsigned* query_start, const unsigned* key_start, const u64* weight_start,
                    const Attention& p) {
    Head h;
    h.query_row = query_start[sentence];
    h.queries = (int)(query_start[sentence + 1] - query_start[sentence]);
    h.keys = (int)(key_start[sentence + 1] - key_start[sentence]);
    h.q = h.query_row * p.width + head * p.d;
    h.k = (u64)key_start[sentence] * p.width + head * p.d;
    h.weight = p.dropout.threshold ? weight_start[sentence] * p.heads + (u64)head * h.queries * h.keys : 0;
    return h;
}

// How many keys query `query` of the sentence may see.
INLINE int seen_by(int query, const Head& h, const unsigned* kept) {
    return kept ? (int)min(kept[h.query_row + query], (unsigned)h.keys) : h.keys;
}

// The largest of a tile's counts of keys: later keys are not looked at. Every thread must be past the barrier after which
// `seen` is written.
INLINE int most_seen(const int* seen) {
    int most = 0;
    for (int i = 0; i < TILE; i++) most = max(most, seen[i]);
    return most;
}

// A block takes TILE queries of a head: blockIdx is (tile, head, sentence). Launch memory: two tiles of rows, one of scores,
// TILE ints. Values lie where the keys did, once all threads have their scores.
template <int D>
INLINE void attend(const float* q, const float* k, const float* v, float* o, float* lse, const unsigned* query_start,
                   const unsigned* key_start, const u64* weight_start, const unsigned* kept, const Attention& p) {
    float* queries = (float*)launch_memory;
    float* keys = queries + TILE * ROW(D);
    float* weights = keys + TILE * ROW(D);
    int* seen = (int*)(weights + TILE * SCORES);
    const Head h = head_of(blockIdx.z, blockIdx.y, query_start, key_start, weight_start, p);
    const int first = blockIdx.x * TILE, rows = min(TILE, h.queries - first), tx = tile_x(), ty = tile_y();
    if (rows <= 0) return;
    load_tile<D>(queries, q + h.q + (u64)first * p.width, p.width, rows);
    if (threadIdx.x < TILE) seen[threadIdx.x] = (int)threadIdx.x < rows ? seen_by(first + threadIdx.x, h, kept) : 0;
    __syncthreads();
    const int limit = most_seen(seen);
    Mask mask(p.dropout);
    float most[4], total[4], out[4][D / 16];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        most[i] = minus_infinity();
        total[i] = 0.f;
#pragma unroll
        for (int e = 0; e < D / 16; e++) out[i][e] = 0.f;
    }
    for (int key = 0; key < limit; key += TILE) {
        const int count = min(TILE, h.keys - key);
        __syncthreads();
        load_tile<D>(keys, k + h.k + (u64)key * p.width, p.width, count);
        __syncthreads();
        float s[4][4];
        rows_by_rows<D>(queries, keys, s);
        float4 values[D / 16];
        fetch_tile<D>(values, v + h.k + (u64)key * p.width, p.width, count);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int row = 4 * ty + i;
            const float before = most[i];
#pragma unroll
            for (int j = 0; j < 4; j++) {
                s[i][j] = key + tx + 16 * j < seen[row] ? s[i][j] * p.scale : minus_infinity();
                most[i] = fmaxf(most[i], s[i][j]);
            }
            for (int distance = 8; distance; distance >>= 1) {
                most[i] = fmaxf(most[i], __shfl_xor_sync(ALL_LANES, most[i], distance));
            }
            // A row of nothing but -inf so far has summed nothing yet.
            const float shrink = before == minus_infinity() ? 0.f : expf(before - most[i]);
            float sum = 0.f;
            const u64 index = h.weight + (u64)(first + row) * h.keys + key;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const float e = s[i][j] == minus_infinity() ? 0.f : expf(s[i][j] - most[i]);
                sum += e;
                weights[row * SCORES + tx + 16 * j] = mask(index + tx + 16 * j, e);
            }
            for (int distance = 8; distance; distance >>= 1) sum += __shfl_xor_sync(ALL_LANES, sum, distance);
            total[i] = total[i] * shrink + sum;
#pragma unroll
            for (int e = 0; e < D / 16; e++) out[i][e] *= shrink;
        }
        // Nobody reads keys any more.
        __syncthreads();
        store_tile<D>(keys, values);
        __syncthreads();
        add_product<D>(weights, keys, out);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int row = 4 * ty + i;
        if (row >= rows) continue;
        // No key is seen, or none has any weight: the output is zero, not undefined.
        const float share = total[i] == 0.f ? 0.f : 1.f / total[i];
        float* to = o + h.q + (u64)(first + row) * p.width + tx;
#pragma unroll
        for (int e = 0; e < D / 16; e++) to[16 * e] = out[i][e] * share;
        if (tx == 0) lse[(h.query_row + first + row) * p.heads + blockIdx.y] = most[i] + logf(total[i]);
    }
}

#define ATTENTION(D)                                                                                                  \
    KERNEL(attention_##D, BLOCK)(const float* q, const float* k, const float* v, float* o, float* lse,                \
                                 const unsigned* query_start, const unsigned* key_start, const u64* weight_start,     \
                                 const unsigned* kept, Attention p) {                                                 \
        attend<D>(q, k, v, o, lse, query_start, key_start, weight_start, kept, p);                                    \
    }
ATTENTION(32)
ATTENTION(64)
ATTENTION(128)

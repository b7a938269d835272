// Attention for heads of any size, by one warp a row: for sizes that have no kernel of their own, for cards with too little
// shared memory for those, and for what lies in memory where float4 cannot read it. In each round, every lane takes a key (or
// a query), and then every 32nd column of the sum. Heads of more columns than a warp has registers for go through by parts,
// each of which computes the weights again: in kernels of their own, so that the others need no more registers for it.

#define LANE_COLUMNS 8
#define PART (32 * LANE_COLUMNS)

INLINE float dot(const float* a, const float* b, int n) {
    float total = 0.f;
    for (int i = 0; i < n; i++) total += a[i] * b[i];
    return total;
}

// sums[c] += sum of factors[j] * x[j, part + lane + 32 c] over `count` rows
INLINE void add_rows(float (&sums)[LANE_COLUMNS], const float* factors, const float* x, int count, int part,
                     const Attention& p) {
#pragma unroll
    for (int c = 0; c < LANE_COLUMNS; c++) {
        const int column = part + lane_of_thread() + 32 * c;
        if (column >= p.d) continue;
        for (int j = 0; j < count; j++) sums[c] += factors[j] * x[(u64)j * p.width + column];
    }
}

INLINE void put_row(float* to, const float (&sums)[LANE_COLUMNS], float scale, int keep, int part, const Attention& p) {
#pragma unroll
    for (int c = 0; c < LANE_COLUMNS; c++) {
        const int column = part + lane_of_thread() + 32 * c;
        if (column < p.d) to[column] = keep ? to[column] + scale * sums[c] : scale * sums[c];
    }
}

// The sentence that a row is of: the last one that starts there or before. Blocks count the rows of all sentences, so that
// their number depends on nothing but that.
INLINE int sentence_of(unsigned row, const unsigned* start, const Attention& p) {
    int first = 0, end = p.batch;
    while (first + 1 < end) {
        const int middle = (first + end) / 2;
        if (start[middle] <= row) first = middle;
        else end = middle;
    }
    return first;
}

template <bool WIDE>
INLINE void attend_any(const float* q, const float* k, const float* v, float* o, float* lse, const unsigned* query_start,
                       const unsigned* key_start, const u64* weight_start, const unsigned* kept, const Attention& p,
                       float* weights) {
    const int sentence = sentence_of(blockIdx.x, query_start, p);
    const Head h = head_of(sentence, blockIdx.y, query_start, key_start, weight_start, p);
    const int query = (int)(blockIdx.x - h.query_row), lane = lane_of_thread();
    const int seen = seen_by(query, h, kept);
    const u64 at = h.q + (u64)query * p.width;
    Mask mask(p.dropout);
    float most = minus_infinity(), total = 0.f;
    for (int part = 0; part == 0 || (WIDE && part < p.d); part += PART) {
        float out[LANE_COLUMNS] = {};
        most = minus_infinity();
        total = 0.f;
        for (int first = 0; first < seen; first += 32) {
            const int key = first + lane, count = min(32, seen - first);
            const u64 row = h.k + (u64)key * p.width;
            const float before = most, s = key < seen ? p.scale * dot(q + at, k + row, p.d) : minus_infinity();
            most = fmaxf(most, warp_max(s));
            const float shrink = before == minus_infinity() ? 0.f : expf(before - most);
            const float e = s == minus_infinity() ? 0.f : expf(s - most);
            total = total * shrink + warp_sum(e);
#pragma unroll
            for (int c = 0; c < LANE_COLUMNS; c++) out[c] *= shrink;
            weights[lane] = mask(h.weight + (u64)query * h.keys + key, e);
            __syncwarp();
            add_rows(out, weights, v + h.k + (u64)first * p.width, count, part, p);
            __syncwarp();
        }
        put_row(o + at, out, total == 0.f ? 0.f : 1.f / total, 0, part, p);
    }
    if (lane == 0) lse[(h.query_row + query) * p.heads + blockIdx.y] = most + logf(total);
}

// blockIdx is (row of queries, head).
#define ATTENTION_ANY(NAME, WIDE)                                                                                     \
    KERNEL(NAME, 32)(const float* q, const float* k, const float* v, float* o, float* lse, const unsigned* query_start, \
                     const unsigned* key_start, const u64* weight_start, const unsigned* kept, Attention p) {         \
        __shared__ float weights[32];                                                                                 \
        attend_any<WIDE>(q, k, v, o, lse, query_start, key_start, weight_start, kept, p, weights);                    \
    }
ATTENTION_ANY(attention_any, false)
ATTENTION_ANY(attention_any_wide, true)

// What the gradients need to know of the weight of one query and one key.
struct Pair {
    float dropped, change;
};

INLINE Pair pair(int query, int key, const float* q, const float* k, const float* v, const float* o, const float* dy,
                 const float* lse, const unsigned* kept, const Head& h, const Attention& p, Mask& mask) {
    const float log = lse[(h.query_row + query) * p.heads + blockIdx.y];
    if (key >= seen_by(query, h, kept) || log == minus_infinity()) return Pair{0.f, 0.f};
    const u64 a = h.q + (u64)query * p.width, b = h.k + (u64)key * p.width;
    const float factor = mask(h.weight + (u64)query * h.keys + key, 1.f);
    const float weight = expf(p.scale * dot(q + a, k + b, p.d) - log);
    const float sum = dot(dy + a, o + a, p.d);
    return Pair{weight * factor, weight * (dot(dy + a, v + b, p.d) * factor - sum)};
}

template <bool WIDE>
INLINE void attend_backward_any(const float* q, const float* k, const float* v, const float* o, const float* dy,
                                const float* lse, float* dq, float* dk, float* dv, const unsigned* query_start,
                                const unsigned* key_start, const u64* weight_start, const unsigned* kept,
                                const Attention& p, int keep_q, int keep_k, int keep_v, float* changes, float* dropped) {
    const int lane = lane_of_thread();
    Mask mask(p.dropout);
    if (dq && blockIdx.x < query_start[p.batch]) {
        const int sentence = sentence_of(blockIdx.x, query_start, p);
        const Head h = head_of(sentence, blockIdx.y, query_start, key_start, weight_start, p);
        const int row = (int)(blockIdx.x - query_start[sentence]);
        const int seen = seen_by(row, h, kept);
        for (int part = 0; part == 0 || (WIDE && part < p.d); part += PART) {
            float sums[LANE_COLUMNS] = {};
            for (int first = 0; first < seen; first += 32) {
                const int count = min(32, seen - first);
                if (lane < count) {
                    changes[lane] = pair(row, first + lane, q, k, v, o, dy, lse, kept, h, p, mask).change;
                }
                __syncwarp();
                add_rows(sums, changes, k + h.k + (u64)first * p.width, count, part, p);
                __syncwarp();
            }
            put_row(dq + h.q + (u64)row * p.width, sums, p.scale, keep_q, part, p);
        }
    }
    if ((dk || dv) && blockIdx.x < key_start[p.batch]) {
        const int sentence = sentence_of(blockIdx.x, key_start, p);
        const Head h = head_of(sentence, blockIdx.y, query_start, key_start, weight_start, p);
        const int row = (int)(blockIdx.x - key_start[sentence]);
        const u64 to = h.k + (u64)row * p.width;
        for (int part = 0; part == 0 || (WIDE && part < p.d); part += PART) {
            float of_key[LANE_COLUMNS] = {}, of_value[LANE_COLUMNS] = {};
            for (int first = 0; first < h.queries; first += 32) {
                const int count = min(32, h.queries - first);
                const u64 at = h.q + (u64)first * p.width;
                if (lane < count) {
                    const Pair weight = pair(first + lane, row, q, k, v, o, dy, lse, kept, h, p, mask);
                    changes[lane] = weight.change;
                    dropped[lane] = weight.dropped;
                }
                __syncwarp();
                if (dk) add_rows(of_key, changes, q + at, count, part, p);
                if (dv) add_rows(of_value, dropped, dy + at, count, part, p);
                __syncwarp();
            }
            if (dk) put_row(dk + to, of_key, p.scale, keep_k, part, p);
            if (dv) put_row(dv + to, of_value, 1.f, keep_v, part, p);
        }
    }
}

// blockIdx is (row, head): a block computes the gradient of a row of queries, and those of a row of keys and values, which may
// be of another sentence; as far as there are that many.
#define ATTENTION_BACKWARD_ANY(NAME, WIDE)                                                                            \
    KERNEL(NAME, 32)(const float* q, const float* k, const float* v, const float* o, const float* dy, const float* lse, \
                     float* dq, float* dk, float* dv, const unsigned* query_start, const unsigned* key_start,         \
                     const u64* weight_start, const unsigned* kept, Attention p, int keep_q, int keep_k, int keep_v) { \
        __shared__ float changes[32], dropped[32];                                                                    \
        attend_backward_any<WIDE>(q, k, v, o, dy, lse, dq, dk, dv, query_start, key_start, weight_start, kept, p,     \
                                  keep_q, keep_k, keep_v, changes, dropped);                                          \
    }
ATTENTION_BACKWARD_ANY(attention_backward_any, false)
ATTENTION_BACKWARD_ANY(attention_backward_any_wide, true)

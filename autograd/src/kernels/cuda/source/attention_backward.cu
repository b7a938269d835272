// The gradients of attention. With A the weights, m the dropout mask: dV = (m A)^T dO, dA = m (dO V^T), dS = A (dA - r),
// dQ = scale dS K, dK = scale dS^T Q, where r_i = <dO_i, O_i> is the sum of A_ij dA_ij over j.
//
// A block takes a head of a sentence, and its tiles of keys one after the other: so every gradient has a single writer, and
// sums have one order. blockIdx is (head, sentence). Launch memory: four tiles of rows, one of scores, TILE ints and twice
// TILE floats. The scores are first m A, of which dV is made, and then dS, of which dQ and dK are.

// Writes rows 4 ty .. of a gradient, or adds them.
template <int D> INLINE void put_rows(float* to, int stride, int rows, const float (&c)[4][D / 16], float scale, bool keep) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int row = 4 * tile_y() + i;
        if (row >= rows) continue;
        float* out = to + (u64)row * stride + tile_x();
#pragma unroll
        for (int e = 0; e < D / 16; e++) out[16 * e] = keep ? out[16 * e] + scale * c[i][e] : scale * c[i][e];
    }
}

template <int D> INLINE void clear(float (&c)[4][D / 16]) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int e = 0; e < D / 16; e++) c[i][e] = 0.f;
    }
}

template <int D>
INLINE void attend_backward(const float* q, const float* k, const float* v, const float* o, const float* dy, const float* lse,
                            float* dq, float* dk, float* dv, const unsigned* query_start, const unsigned* key_start,
                            const u64* weight_start, const unsigned* kept, const Attention& p, int keep_q, int keep_k,
                            int keep_v) {
    float* queries = (float*)launch_memory;
    float* upstream = queries + TILE * ROW(D);
    float* keys = upstream + TILE * ROW(D);
    float* values = keys + TILE * ROW(D);
    float* scores = values + TILE * ROW(D);
    float* sums = scores + TILE * SCORES;
    float* logs = sums + TILE;
    int* seen = (int*)(logs + TILE);
    const int tx = tile_x(), ty = tile_y();
    const Head h = head_of(blockIdx.y, blockIdx.x, query_start, key_start, weight_start, p);
    if (h.queries == 0 && h.keys == 0) return;
    Mask mask(p.dropout);
    float of_queries[4][D / 16], of_keys[4][D / 16], of_values[4][D / 16];
    // A sentence without keys still has gradients of its queries to write, all zero: hence one round at least.
    for (int key = 0; key == 0 || key < h.keys; key += TILE) {
        const int count = min(TILE, h.keys - key);
        clear<D>(of_keys);
        clear<D>(of_values);
        __syncthreads();
        load_tile<D>(keys, k + h.k + (u64)key * p.width, p.width, count);
        load_tile<D>(values, v + h.k + (u64)key * p.width, p.width, count);
        for (int first = 0; first < h.queries; first += TILE) {
            const int rows = min(TILE, h.queries - first);
            const u64 at = h.q + (u64)first * p.width;
            __syncthreads();
            load_tile<D>(queries, q + at, p.width, rows);
            load_tile<D>(upstream, dy + at, p.width, rows);
            {
                // Four threads a row.
                const int row = threadIdx.x >> 2;
                const u64 begin = at + (u64)row * p.width + (threadIdx.x & 3) * (D / 4);
                float sum = 0.f;
                if (row < rows) {
                    for (int c = 0; c < D / 4; c++) sum += o[begin + c] * dy[begin + c];
                }
                sum += __shfl_xor_sync(ALL_LANES, sum, 1);
                sum += __shfl_xor_sync(ALL_LANES, sum, 2);
                if ((threadIdx.x & 3) == 0) {
                    const float log = row < rows ? lse[(h.query_row + first + row) * p.heads + blockIdx.x] : minus_infinity();
                    sums[row] = sum;
                    logs[row] = log;
                    seen[row] = log == minus_infinity() ? 0 : seen_by(first + row, h, kept);
                }
            }
            __syncthreads();
            clear<D>(of_queries);
            if (key < most_seen(seen)) {
                float s[4][4], change[4][4];
                rows_by_rows<D>(queries, keys, s);
                rows_by_rows<D>(upstream, values, change);
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int row = 4 * ty + i;
                    const u64 index = h.weight + (u64)(first + row) * h.keys + key;
#pragma unroll
                    for (int j = 0; j < 4; j++) {
                        const int column = tx + 16 * j;
                        float weight = 0.f, factor = 0.f;
                        if (key + column < seen[row]) {
                            factor = mask(index + column, 1.f);
                            weight = expf(s[i][j] * p.scale - logs[row]);
                            change[i][j] = weight * (change[i][j] * factor - sums[row]);
                        } else {
                            change[i][j] = 0.f;
                        }
                        scores[row * SCORES + column] = weight * factor;
                    }
                }
                __syncthreads();
                if (dv) add_transposed<D>(scores, upstream, of_values);
                __syncthreads();
                if (dk || dq) {
                    store_scores(scores, change);
                    __syncthreads();
                    if (dk) add_transposed<D>(scores, queries, of_keys);
                    if (dq) add_product<D>(scores, keys, of_queries);
                }
            }
            if (dq) put_rows<D>(dq + at, p.width, rows, of_queries, p.scale, keep_q || key);
        }
        if (dk) put_rows<D>(dk + h.k + (u64)key * p.width, p.width, count, of_keys, p.scale, keep_k);
        if (dv) put_rows<D>(dv + h.k + (u64)key * p.width, p.width, count, of_values, 1.f, keep_v);
    }
}

#define ATTENTION_BACKWARD(D)                                                                                         \
    KERNEL(attention_backward_##D, BLOCK)(const float* q, const float* k, const float* v, const float* o,             \
                                          const float* dy, const float* lse, float* dq, float* dk, float* dv,         \
                                          const unsigned* query_start, const unsigned* key_start,                     \
                                          const u64* weight_start, const unsigned* kept, Attention p, int keep_q,     \
                                          int keep_k, int keep_v) {                                                   \
        attend_backward<D>(q, k, v, o, dy, lse, dq, dk, dv, query_start, key_start, weight_start, kept, p, keep_q,    \
                           keep_k, keep_v);                                                                           \
    }
ATTENTION_BACKWARD(32)
ATTENTION_BACKWARD(64)
ATTENTION_BACKWARD(128)

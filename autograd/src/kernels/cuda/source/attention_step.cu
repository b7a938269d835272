// Attention of one query a row over keys and values that lie where a search first wrote them: the CPU's `attention_step.rs`.

// Of a long context, so many positions are added up by themselves: in one long sum the last ones would lose digits.
#define STEP_TERMS 128

// `table` holds the addresses of rows of keys for each position, then those of values, then for each position the number of
// the row that each query sees there, then how many positions each query sees. Launch memory: a float for each position, and
// STEP_POSITIONS of them at most. More go through by parts, in a kernel of their own: where a later part has a larger score,
// what was summed so far is scaled down to it.
template <bool LONG>
INLINE void attend_step(const float* q, float* o, const u64* table, int queries, int positions, int heads, int width,
                        float scale, float* room) {
    float* weights = (float*)launch_memory;
    const float* const* keys = (const float* const*)table;
    const float* const* values = keys + positions;
    const unsigned* rows = (const unsigned*)(table + 2 * positions);
    const unsigned* kept = rows + (u64)positions * queries;
    const int query = blockIdx.x, d = width / heads, column = blockIdx.y * d;
    const int seen = (int)min(kept[query], (unsigned)positions);
    const u64 own = (u64)query * width + column;
    float most = minus_infinity(), total = 0.f;
    // A query that sees nothing has zeros to write: hence one round at least.
    for (int first = 0; first == 0 || (LONG && first < seen); first += STEP_POSITIONS) {
        const int end = LONG ? min(seen, first + STEP_POSITIONS) : seen;
        if (first) __syncthreads();
        // A warp takes a position, and its lanes the columns.
        for (int position = first + (int)warp_of_thread(); position < end; position += WARPS) {
            const float* key = keys[position] + (u64)rows[(u64)position * queries + query] * width + column;
            float score = 0.f;
            for (int i = lane_of_thread(); i < d; i += 32) score += q[own + i] * key[i];
            score = warp_sum(score);
            if (lane_of_thread() == 0) weights[position - first] = scale * score;
        }
        __syncthreads();
        const float before = most;
        for (int position = first; position < end; position++) most = fmaxf(most, weights[position - first]);
        __syncthreads();
        float part = 0.f;
        for (int position = first + threadIdx.x; position < end; position += BLOCK) {
            // A score of -inf has no weight, also where all are.
            const float score = weights[position - first];
            const float weight = score == minus_infinity() ? 0.f : expf(score - most);
            weights[position - first] = weight;
            part += weight;
        }
        const float shrink = before == minus_infinity() ? 0.f : expf(before - most);
        total = total * shrink + block_sum(part, room);
        const float share = end < seen ? 1.f : total == 0.f ? 0.f : 1.f / total;
        for (int i = threadIdx.x; i < d; i += BLOCK) {
            float sum = 0.f;
            for (int begin = first; begin < end; begin += STEP_TERMS) {
                const int stop = LONG ? min(end, begin + STEP_TERMS) : end;
                float terms = 0.f;
                for (int position = begin; position < stop; position++) {
                    const u64 row = (u64)rows[(u64)position * queries + query] * width;
                    terms += weights[position - first] * values[position][row + column + i];
                }
                sum += terms;
                if (!LONG) break;
            }
            if (first) sum += o[own + i] * shrink;
            o[own + i] = sum * share;
        }
    }
}

// blockIdx is (query, head).
#define ATTENTION_STEP(NAME, LONG)                                                                                    \
    KERNEL(NAME, BLOCK)(const float* q, float* o, const u64* table, int queries, int positions, int heads, int width, \
                        float scale) {                                                                                \
        __shared__ float room[WARPS];                                                                                 \
        attend_step<LONG>(q, o, table, queries, positions, heads, width, scale, room);                                \
    }
ATTENTION_STEP(attention_step, false)
ATTENTION_STEP(attention_step_long, true)

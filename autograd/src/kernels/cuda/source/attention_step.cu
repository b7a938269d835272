// Attention of one query a row over keys and values that lie where a search first wrote them: the CPU's `attention_step.rs`.

// blockIdx is (query, head). `table` holds the addresses of rows of keys for each position, then those of values, then for
// each position the number of the row that each query sees there, then how many positions each query sees. Launch memory:
// a float for each position.
KERNEL(attention_step, BLOCK)(const float* q, float* o, const u64* table, int queries, int positions, int heads, int width,
                              float scale) {
    __shared__ float room[WARPS];
    float* weights = (float*)launch_memory;
    const float* const* keys = (const float* const*)table;
    const float* const* values = keys + positions;
    const unsigned* rows = (const unsigned*)(table + 2 * positions);
    const unsigned* kept = rows + (u64)positions * queries;
    const int query = blockIdx.x, d = width / heads, column = blockIdx.y * d;
    const int seen = (int)min(kept[query], (unsigned)positions);
    const u64 own = (u64)query * width + column;
    // A warp takes a position, and its lanes the columns.
    for (int position = warp_of_thread(); position < seen; position += WARPS) {
        const float* key = keys[position] + (u64)rows[(u64)position * queries + query] * width + column;
        float score = 0.f;
        for (int i = lane_of_thread(); i < d; i += 32) score += q[own + i] * key[i];
        score = warp_sum(score);
        if (lane_of_thread() == 0) weights[position] = scale * score;
    }
    __syncthreads();
    float most = minus_infinity();
    for (int position = 0; position < seen; position++) most = fmaxf(most, weights[position]);
    __syncthreads();
    float total = 0.f;
    for (int position = threadIdx.x; position < seen; position += BLOCK) {
        // A score of -inf has no weight, also where all are.
        const float weight = weights[position] == minus_infinity() ? 0.f : expf(weights[position] - most);
        weights[position] = weight;
        total += weight;
    }
    total = block_sum(total, room);
    const float share = total == 0.f ? 0.f : 1.f / total;
    for (int i = threadIdx.x; i < d; i += BLOCK) {
        float sum = 0.f;
        for (int position = 0; position < seen; position++) {
            sum += weights[position] * values[position][(u64)rows[(u64)position * queries + query] * width + column + i];
        }
        o[own + i] = sum * share;
    }
}

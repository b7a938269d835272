// Rows of a table by their numbers. A warp takes a row.

// to (+)= the sum of rows[order[i]] for i in first..end, added up in that order, where `rows` are `n` entries long
INLINE void sum_of_rows(const float* rows, const unsigned* order, unsigned first, unsigned end, int n, float* to, int keep) {
    const int lane = lane_of_thread();
    if (n % 4 == 0 && aligned(rows) && aligned(to)) {
        for (int column = 4 * lane; column < n; column += 128) {
            float4 total = make_float4(0.f, 0.f, 0.f, 0.f);
#pragma unroll 4
            for (unsigned i = first; i < end; i++) total = add(total, *(const float4*)(rows + (u64)order[i] * n + column));
            if (keep) total = add(*(const float4*)(to + column), total);
            *(float4*)(to + column) = total;
        }
    } else {
        for (int column = lane; column < n; column += 32) {
            float total = 0.f;
#pragma unroll 4
            for (unsigned i = first; i < end; i++) total += rows[(u64)order[i] * n + column];
            to[column] = keep ? to[column] + total : total;
        }
    }
}

// y[i] = table[ids[i]]
KERNEL(embedding, BLOCK)(const float* table, const unsigned* ids, float* y, int count, int n) {
    const int row = row_of_warp();
    if (row < count) sum_of_rows(table, ids, row, row + 1, n, y + (u64)row * n, 0);
}

// dtable[segment_row[s]] += the sum of dy[order[i]] for i in segment_start[s]..segment_start[s + 1]. The host sorts the
// positions of each id together, so that no two warps write one row. Segments may be empty: how many are not depends on the
// ids, and recorded work must not.
KERNEL(embedding_backward, BLOCK)(const float* dy, const unsigned* segment_row, const unsigned* segment_start,
                                  const unsigned* order, float* dtable, int segments, int n) {
    const int segment = row_of_warp();
    if (segment >= segments) return;
    const unsigned first = segment_start[segment], end = segment_start[segment + 1];
    if (first < end) sum_of_rows(dy, order, first, end, n, dtable + (u64)segment_row[segment] * n, 1);
}

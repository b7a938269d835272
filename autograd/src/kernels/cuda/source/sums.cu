// Sums over all entries, and over rows. Each is two kernels: blocks leave partial sums in scratch memory, and a second
// kernel adds those up in their order.

// scratch[block] = the sum of every gridDim-th share of x
KERNEL(sum_partial, BLOCK)(const float* x, float* scratch, u64 count) {
    __shared__ float room[WARPS];
    const u64 first = blockIdx.x * (u64)BLOCK + threadIdx.x, step = gridDim.x * (u64)BLOCK;
    const u64 fours = aligned(x) ? count / 4 : 0;
    float total = 0.f;
    for (u64 i = first; i < fours; i += step) total += sum(((const float4*)x)[i]);
    for (u64 i = 4 * fours + first; i < count; i += step) total += x[i];
    total = block_sum(total, room);
    if (threadIdx.x == 0) scratch[blockIdx.x] = total;
}

// y[0] = k * the sum of `blocks` numbers; one block
KERNEL(sum_finish, BLOCK)(const float* scratch, float k, float* y, int blocks) {
    __shared__ double room[WARPS];
    double total = 0.;
    for (int i = threadIdx.x; i < blocks; i += BLOCK) total += scratch[i];
    total = block_sum(total, room);
    if (threadIdx.x == 0) y[0] = (float)(k * total);
}

// A block sums COLUMNS columns: its threads are GROUPS rows of them.
#define GROUPS (BLOCK / COLUMNS)

// The column of this thread, and the first of the rows it sums.
INLINE int column_of_thread() { return blockIdx.x * COLUMNS + threadIdx.x % COLUMNS; }
INLINE int group_of_thread() { return threadIdx.x / COLUMNS; }

// The first group's threads get the sum over all groups.
INLINE float sum_groups(float v, float (*room)[COLUMNS]) {
    const int column = threadIdx.x % COLUMNS;
    room[group_of_thread()][column] = v;
    __syncthreads();
    v = room[0][column];
    for (int group = 1; group < GROUPS; group++) v += room[group][column];
    __syncthreads();
    return v;
}

// scratch[chunk, n] = column sums of `chunk` rows of x [rows, n]; one chunk for each blockIdx.y
KERNEL(sum_rows_partial, BLOCK)(const float* x, float* scratch, int rows, int n, int chunk) {
    __shared__ float room[GROUPS][COLUMNS];
    const int column = column_of_thread(), first = blockIdx.y * chunk, end = min(rows, first + chunk);
    float total = 0.f;
    if (column < n) {
        for (int row = first + group_of_thread(); row < end; row += GROUPS) total += x[(u64)row * n + column];
    }
    total = sum_groups(total, room);
    if (column < n && group_of_thread() == 0) scratch[(u64)blockIdx.y * n + column] = total;
}

// The sum of a column of scratch memory, of which `stride` entries belong to a chunk.
INLINE float sum_chunks(const float* scratch, u64 stride, int chunks, bool inside, float (*room)[COLUMNS]) {
    float total = 0.f;
    if (inside) {
        for (int chunk = group_of_thread(); chunk < chunks; chunk += GROUPS) total += scratch[chunk * stride];
    }
    return sum_groups(total, room);
}

// y[n] (+)= the sum of all chunks
KERNEL(sum_rows_finish, BLOCK)(const float* scratch, float* y, int chunks, int n, int keep) {
    __shared__ float room[GROUPS][COLUMNS];
    const int column = column_of_thread();
    const float total = sum_chunks(scratch + column, n, chunks, column < n, room);
    if (column < n && group_of_thread() == 0) y[column] = keep ? y[column] + total : total;
}

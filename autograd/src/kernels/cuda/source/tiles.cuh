// Products of tiles of 64 rows in shared memory, by 256 threads that stand 16 by 16: thread (ty, tx) computes rows
// 4 ty .. 4 ty + 3 and every 16th column from tx on. Rows are padded by a float4, so that 8 rows at once are read from 32
// different banks.

#define ROW(D) ((D) + 4)
#define SCORES ROW(TILE)

INLINE int tile_x() { return threadIdx.x & 15; }
INLINE int tile_y() { return threadIdx.x >> 4; }

// Copies rows of D entries, `stride` apart, and zeros after the last.
template <int D> INLINE void load_tile(float* tile, const float* x, int stride, int rows) {
    for (int i = threadIdx.x; i < TILE * (D / 4); i += BLOCK) {
        const int row = i / (D / 4), column = 4 * (i % (D / 4));
        float4 v = make_float4(0.f, 0.f, 0.f, 0.f);
        if (row < rows) v = *(const float4*)(x + (u64)row * stride + column);
        *(float4*)(tile + row * ROW(D) + column) = v;
    }
}

// The same in two steps, with a thread's share of the rows in its registers between them: they are on their way while it
// computes with what the tile still holds.
template <int D> INLINE void fetch_tile(float4 (&held)[D / 16], const float* x, int stride, int rows) {
#pragma unroll
    for (int n = 0; n < D / 16; n++) {
        const int i = threadIdx.x + n * BLOCK, row = i / (D / 4), column = 4 * (i % (D / 4));
        held[n] = make_float4(0.f, 0.f, 0.f, 0.f);
        if (row < rows) held[n] = *(const float4*)(x + (u64)row * stride + column);
    }
}

template <int D> INLINE void store_tile(float* tile, const float4 (&held)[D / 16]) {
    static_assert(TILE * (D / 4) == D / 16 * BLOCK, "a thread holds D / 16 float4 of a tile");
#pragma unroll
    for (int n = 0; n < D / 16; n++) {
        const int i = threadIdx.x + n * BLOCK, row = i / (D / 4), column = 4 * (i % (D / 4));
        *(float4*)(tile + row * ROW(D) + column) = held[n];
    }
}

// Writes a thread's entries of a tile of scores.
INLINE void store_scores(float* scores, const float (&c)[4][4]) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) scores[(4 * tile_y() + i) * SCORES + tile_x() + 16 * j] = c[i][j];
    }
}

// c[i][j] = <row 4 ty + i of a, row tx + 16 j of b>
template <int D> INLINE void rows_by_rows(const float* a, const float* b, float (&c)[4][4]) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) c[i][j] = 0.f;
    }
    a += 4 * tile_y() * ROW(D);
    b += tile_x() * ROW(D);
#pragma unroll 4
    for (int k = 0; k < D; k += 4) {
        float4 u[4], v[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            u[i] = *(const float4*)(a + i * ROW(D) + k);
            v[i] = *(const float4*)(b + 16 * i * ROW(D) + k);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                c[i][j] += u[i].x * v[j].x;
                c[i][j] += u[i].y * v[j].y;
                c[i][j] += u[i].z * v[j].z;
                c[i][j] += u[i].w * v[j].w;
            }
        }
    }
}

// c[i][e] += sum over rows r of x of p[4 ty + i][r] * x[r][tx + 16 e]
template <int D> INLINE void add_product(const float* p, const float* x, float (&c)[4][D / 16]) {
    p += 4 * tile_y() * SCORES;
    x += tile_x();
#pragma unroll 2
    for (int r = 0; r < TILE; r += 4) {
        float4 w[4];
#pragma unroll
        for (int i = 0; i < 4; i++) w[i] = *(const float4*)(p + i * SCORES + r);
#pragma unroll
        for (int e = 0; e < D / 16; e++) {
            const float* column = x + r * ROW(D) + 16 * e;
            const float4 v = make_float4(column[0], column[ROW(D)], column[2 * ROW(D)], column[3 * ROW(D)]);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                c[i][e] += w[i].x * v.x;
                c[i][e] += w[i].y * v.y;
                c[i][e] += w[i].z * v.z;
                c[i][e] += w[i].w * v.w;
            }
        }
    }
}

// c[i][e] += sum over rows r of x of p[r][4 ty + i] * x[r][tx + 16 e]
template <int D> INLINE void add_transposed(const float* p, const float* x, float (&c)[4][D / 16]) {
    p += 4 * tile_y();
    x += tile_x();
#pragma unroll 4
    for (int r = 0; r < TILE; r++) {
        const float4 w = *(const float4*)(p + r * SCORES);
#pragma unroll
        for (int e = 0; e < D / 16; e++) {
            const float v = x[r * ROW(D) + 16 * e];
            c[0][e] += w.x * v;
            c[1][e] += w.y * v;
            c[2][e] += w.z * v;
            c[3][e] += w.w * v;
        }
    }
}

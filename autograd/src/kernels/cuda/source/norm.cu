// Layer normalisation: y = gamma * (x - mean) * rstd + beta. A warp takes a row. Rows of up to 1024 entries that float4
// can read stay in registers from the first look to the last; others are read again for each pass.

// float4 of a row that a lane holds.
#define QUADS 8

INLINE bool row_fits(int n) { return n % 4 == 0 && n <= 128 * QUADS; }

INLINE float4 minus(float4 v, float m) { return make_float4(v.x - m, v.y - m, v.z - m, v.w - m); }
INLINE float4 times(float4 a, float4 b) { return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w); }
INLINE float4 times(float4 a, float k) { return make_float4(a.x * k, a.y * k, a.z * k, a.w * k); }
// Of four entries from a multiple of four on, which share the upper half of their index.
INLINE float4 masked(Mask& mask, u64 i, float4 v) {
    mask.seek(i);
    const unsigned low = (unsigned)i;
    return make_float4(mask.at(low, v.x), mask.at(low + 1, v.y), mask.at(low + 2, v.z), mask.at(low + 3, v.w));
}

// h = x + dropout(a), where `a` is given, and y = norm(h)
INLINE void normalise(const float* x, const float* a, const float* gamma, const float* beta, float* h, float* y,
                      float* mean, float* rstd, int rows, int n, float eps, Dropout d) {
    const int row = row_of_warp(), lane = lane_of_thread();
    if (row >= rows) return;
    const u64 at = (u64)row * n;
    const float share = 1.f / n;
    Mask mask(d);
    float centre, factor, total = 0.f, squares = 0.f;
    // The variance is summed in a second pass: a difference of two means of squares would lose its digits.
    if (row_fits(n) && aligned(x) && aligned(a) && aligned(gamma) && aligned(beta) && aligned(h) && aligned(y)) {
        float4 v[QUADS];
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            const int i = 4 * (32 * q + lane);
            if (i >= n) continue;
            v[q] = *(const float4*)(x + at + i);
            if (a) {
                v[q] = add(v[q], masked(mask, at + i, *(const float4*)(a + at + i)));
                *(float4*)(h + at + i) = v[q];
            }
            total += sum(v[q]);
        }
        centre = warp_sum(total) * share;
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            if (4 * (32 * q + lane) >= n) continue;
            v[q] = minus(v[q], centre);
            squares += sum(times(v[q], v[q]));
        }
        factor = 1.f / sqrtf(warp_sum(squares) * share + eps);
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            const int i = 4 * (32 * q + lane);
            if (i >= n) continue;
            const float4 g = *(const float4*)(gamma + i), b = *(const float4*)(beta + i);
            *(float4*)(y + at + i) = add(times(times(v[q], factor), g), b);
        }
    } else {
        for (int i = lane; i < n; i += 32) {
            float v = x[at + i];
            if (a) h[at + i] = v = v + mask(at + i, a[at + i]);
            total += v;
        }
        // What a lane reads again of `h` it has written itself.
        const float* source = a ? h : x;
        centre = warp_sum(total) * share;
        for (int i = lane; i < n; i += 32) {
            const float deviation = source[at + i] - centre;
            squares += deviation * deviation;
        }
        factor = 1.f / sqrtf(warp_sum(squares) * share + eps);
        for (int i = lane; i < n; i += 32) y[at + i] = (source[at + i] - centre) * factor * gamma[i] + beta[i];
    }
    if (lane == 0) {
        mean[row] = centre;
        rstd[row] = factor;
    }
}

KERNEL(layer_norm, BLOCK)(const float* x, const float* gamma, const float* beta, float* y, float* mean, float* rstd,
                          int rows, int n, float eps) {
    normalise(x, nullptr, gamma, beta, nullptr, y, mean, rstd, rows, n, eps, Dropout());
}

// h = x + dropout(a), y = norm(h)
KERNEL(residual_layer_norm, BLOCK)(const float* x, const float* a, const float* gamma, const float* beta, float* h,
                                   float* y, float* mean, float* rstd, int rows, int n, float eps, Dropout d) {
    normalise(x, a, gamma, beta, h, y, mean, rstd, rows, n, eps, d);
}

// The gradient at the norm's input h, rstd * (g - mean(g) - xhat * mean(g * xhat)) with g = gamma * dy, and what reaches h
// from elsewhere, `dh`, where that is given: added to dx, and masked to da, each where it is wanted.
INLINE void normalise_backward(const float* h, const float* gamma, const float* mean, const float* rstd, const float* dy,
                               const float* dh, float* dx, float* da, int rows, int n, int keep_x, int keep_a, Dropout d) {
    const int row = row_of_warp(), lane = lane_of_thread();
    if (row >= rows) return;
    const u64 at = (u64)row * n;
    const float share = 1.f / n, centre = mean[row], factor = rstd[row];
    Mask mask(d);
    float plain = 0.f, along = 0.f;
    if (row_fits(n) && aligned(h) && aligned(gamma) && aligned(dy) && aligned(dh) && aligned(dx) && aligned(da)) {
        // Zeros cost nothing, and without them the compiler runs out of registers.
        float4 g[QUADS] = {}, deviation[QUADS] = {};
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            const int i = 4 * (32 * q + lane);
            if (i >= n) continue;
            g[q] = times(*(const float4*)(gamma + i), *(const float4*)(dy + at + i));
            deviation[q] = minus(*(const float4*)(h + at + i), centre);
            plain += sum(g[q]);
            along += sum(times(g[q], deviation[q]));
        }
        plain = warp_sum(plain) * share;
        along = warp_sum(along) * share * factor * factor;
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            const int i = 4 * (32 * q + lane);
            if (i >= n) continue;
            float4 v = times(add(minus(g[q], plain), times(deviation[q], -along)), factor);
            if (dh) v = add(v, *(const float4*)(dh + at + i));
            if (dx) *(float4*)(dx + at + i) = keep_x ? add(*(const float4*)(dx + at + i), v) : v;
            if (!da) continue;
            v = masked(mask, at + i, v);
            *(float4*)(da + at + i) = keep_a ? add(*(const float4*)(da + at + i), v) : v;
        }
    } else {
        for (int i = lane; i < n; i += 32) {
            const float g = gamma[i] * dy[at + i];
            plain += g;
            along += g * (h[at + i] - centre);
        }
        plain = warp_sum(plain) * share;
        along = warp_sum(along) * share * factor * factor;
        for (int i = lane; i < n; i += 32) {
            float v = (gamma[i] * dy[at + i] - plain - (h[at + i] - centre) * along) * factor;
            if (dh) v += dh[at + i];
            if (dx) dx[at + i] = keep_x ? dx[at + i] + v : v;
            if (!da) continue;
            v = mask(at + i, v);
            da[at + i] = keep_a ? da[at + i] + v : v;
        }
    }
}

KERNEL(layer_norm_backward, BLOCK)(const float* x, const float* gamma, const float* mean, const float* rstd, const float* dy,
                                   float* dx, int rows, int n, int keep) {
    normalise_backward(x, gamma, mean, rstd, dy, nullptr, dx, nullptr, rows, n, keep, 0, Dropout());
}

KERNEL(residual_layer_norm_backward, BLOCK)(const float* h, const float* gamma, const float* mean, const float* rstd,
                                            const float* dy, const float* dh, float* dx, float* da, int rows, int n,
                                            int keep_x, int keep_a, Dropout d) {
    normalise_backward(h, gamma, mean, rstd, dy, dh, dx, da, rows, n, keep_x, keep_a, d);
}

// scratch[chunk, 0, n] = sums of dy * xhat over `chunk` rows, scratch[chunk, 1, n] = sums of dy
KERNEL(layer_norm_parameters_partial, BLOCK)(const float* x, const float* mean, const float* rstd, const float* dy,
                                             float* scratch, int rows, int n, int chunk) {
    __shared__ float room[GROUPS][COLUMNS];
    const int column = column_of_thread(), first = blockIdx.y * chunk, end = min(rows, first + chunk);
    float along = 0.f, plain = 0.f;
    if (column < n) {
        for (int row = first + group_of_thread(); row < end; row += GROUPS) {
            const u64 i = (u64)row * n + column;
            along += dy[i] * ((x[i] - mean[row]) * rstd[row]);
            plain += dy[i];
        }
    }
    along = sum_groups(along, room);
    plain = sum_groups(plain, room);
    if (column < n && group_of_thread() == 0) {
        float* sums = scratch + (u64)blockIdx.y * 2 * n + column;
        sums[0] = along;
        sums[n] = plain;
    }
}

KERNEL(layer_norm_parameters_finish, BLOCK)(const float* scratch, float* dgamma, float* dbeta, int chunks, int n,
                                            int keep_gamma, int keep_beta) {
    __shared__ float room[GROUPS][COLUMNS];
    const int column = column_of_thread();
    const u64 stride = 2 * (u64)n;
    const float along = sum_chunks(scratch + column, stride, chunks, column < n, room);
    const float plain = sum_chunks(scratch + n + column, stride, chunks, column < n, room);
    if (column >= n || group_of_thread() != 0) return;
    if (dgamma) dgamma[column] = keep_gamma ? dgamma[column] + along : along;
    if (dbeta) dbeta[column] = keep_beta ? dbeta[column] + plain : plain;
}

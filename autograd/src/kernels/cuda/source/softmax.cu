// Softmax over rows, a warp a row. A score of -inf gets weight exactly 0, and a row of nothing else is all zeros.

KERNEL(softmax, BLOCK)(const float* x, float* y, int rows, int n, const unsigned char* flags) {
    const int row = row_of_warp(), lane = lane_of_thread();
    if (row >= rows) return;
    const u64 at = (u64)row * n;
    float most = minus_infinity(), total = 0.f;
    for (int i = lane; i < n; i += 32) {
        if (!flags || flags[at + i]) most = fmaxf(most, x[at + i]);
    }
    most = warp_max(most);
    for (int i = lane; i < n; i += 32) {
        const bool counts = (!flags || flags[at + i]) && most > minus_infinity();
        const float e = counts ? expf(x[at + i] - most) : 0.f;
        y[at + i] = e;
        total += e;
    }
    total = warp_sum(total);
    // A score that is not a number makes the whole row so; only a row without weight is zero instead.
    const float share = total == 0.f ? 0.f : 1.f / total;
    for (int i = lane; i < n; i += 32) y[at + i] *= share;
}

// dx (+)= y * (dy - <dy, y>)
KERNEL(softmax_backward, BLOCK)(const float* y, const float* dy, float* dx, int rows, int n, int keep) {
    const int row = row_of_warp(), lane = lane_of_thread();
    if (row >= rows) return;
    const u64 at = (u64)row * n;
    float product = 0.f;
    for (int i = lane; i < n; i += 32) product += y[at + i] * dy[at + i];
    product = warp_sum(product);
    for (int i = lane; i < n; i += 32) {
        const float v = y[at + i] * (dy[at + i] - product);
        dx[at + i] = keep ? dx[at + i] + v : v;
    }
}

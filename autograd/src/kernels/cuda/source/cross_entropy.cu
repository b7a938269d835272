// Cross entropy of logits with label smoothing: the target distribution is 1 - smoothing at the label plus smoothing/n at
// every class, so a row costs (1 - s) * (lse - x_label) + s * (lse - mean(x)), and its gradient is
// softmax(x) - (1 - s) * onehot(label) - s/n. Rows whose label is `ignore` cost nothing and have gradient zero. A block
// takes a row.

// Calls f(i, x[i]) for this thread's share of a row, by float4 from the first address on that allows it.
template <class F> INLINE void each(const float* x, int n, F f) {
    const int head = min(n, (int)((0 - ((u64)x >> 2)) & 3)), fours = (n - head) / 4, tail = head + 4 * fours;
    if ((int)threadIdx.x < head) f((int)threadIdx.x, x[threadIdx.x]);
    for (int four = threadIdx.x; four < fours; four += BLOCK) {
        const int i = head + 4 * four;
        const float4 v = *(const float4*)(x + i);
        f(i, v.x);
        f(i + 1, v.y);
        f(i + 2, v.z);
        f(i + 3, v.w);
    }
    if (tail + (int)threadIdx.x < n) f(tail + (int)threadIdx.x, x[tail + threadIdx.x]);
}

// y[i] (+)= f(i, x[i]), likewise. `y` may be `x`.
template <class F> INLINE void each_to(const float* x, float* y, int n, int keep, F f) {
    if (((u64)x & 15) != ((u64)y & 15)) {
        for (int i = threadIdx.x; i < n; i += BLOCK) {
            const float v = f(i, x[i]);
            y[i] = keep ? y[i] + v : v;
        }
        return;
    }
    const int head = min(n, (int)((0 - ((u64)x >> 2)) & 3)), fours = (n - head) / 4, tail = head + 4 * fours;
    for (int four = threadIdx.x; four < fours; four += BLOCK) {
        const int i = head + 4 * four;
        float4 v = *(const float4*)(x + i);
        v = make_float4(f(i, v.x), f(i + 1, v.y), f(i + 2, v.z), f(i + 3, v.w));
        if (keep) v = add(*(const float4*)(y + i), v);
        *(float4*)(y + i) = v;
    }
    // At most three entries before the first float4 and three after the last.
    const int edge = (int)threadIdx.x < head ? (int)threadIdx.x : tail + (int)threadIdx.x - head;
    if ((int)threadIdx.x < head + n - tail) {
        const float v = f(edge, x[edge]);
        y[edge] = keep ? y[edge] + v : v;
    }
}

// What a row's cost and gradient need to know of it.
struct RowSums {
    float most;       // the largest logit
    float exps;       // the sum of exp(x - most)
    float distances;  // the sum of x - most
};

// All threads of the block get them. One look at the row: where a thread meets a larger logit, what it has summed so far is
// scaled down to that.
INLINE RowSums row_sums(const float* x, int n) {
    __shared__ float mosts[WARPS], room[WARPS];
    // Logits may all be far from zero: their distance to one of them is small, and exact.
    const float near = fabsf(x[0]) <= 3e38f ? x[0] : 0.f;
    float most = minus_infinity(), exps = 0.f, distances = 0.f;
    each(x, n, [&](int, float x) {
        if (x > most) {
            exps *= expf(most - x);
            most = x;
        }
        // Of a thread that has seen nothing but -inf, -inf - -inf is no number.
        exps += x == minus_infinity() ? 0.f : expf(x - most);
        distances += x - near;
    });
    float all = warp_max(most);
    if (lane_of_thread() == 0) mosts[warp_of_thread()] = all;
    __syncthreads();
    all = mosts[0];
    for (int w = 1; w < WARPS; w++) all = fmaxf(all, mosts[w]);
    exps = block_sum(most > minus_infinity() ? exps * expf(most - all) : exps, room);
    distances = block_sum(distances, room);
    return RowSums{all, exps, distances + n * (near - all)};
}

// The cost of a row. A label that is no class costs NaN: nothing is read there.
INLINE float cost(RowSums sums, const float* x, unsigned label, float smoothing, int n) {
    if (label >= (unsigned)n) return not_a_number();
    const float log_sum = logf(sums.exps), hit = log_sum - (x[label] - sums.most);
    // A logit of -inf is a class that is ruled out, and only smoothing asks for its probability.
    return smoothing == 0.f ? hit : (1.f - smoothing) * hit + smoothing * (log_sum - sums.distances / n);
}

// losses[row], and lse[row] = log sum exp x for the gradient; both 0 where the label is ignored
KERNEL(cross_entropy, BLOCK)(const float* logits, const unsigned* labels, unsigned ignore, float smoothing, float* losses,
                             float* lse, int rows, int n) {
    const int row = blockIdx.x;
    const float* x = logits + (u64)row * n;
    if (labels[row] == ignore) {
        if (threadIdx.x == 0) losses[row] = lse[row] = 0.f;
        return;
    }
    const RowSums sums = row_sums(x, n);
    if (threadIdx.x == 0) {
        losses[row] = cost(sums, x, labels[row], smoothing, n);
        lse[row] = sums.most + logf(sums.exps);
    }
}

// dx (+)= k * *dy * (softmax(x) - (1 - s) * onehot(label) - s/n)
KERNEL(cross_entropy_backward, BLOCK)(const float* logits, const unsigned* labels, unsigned ignore, float smoothing,
                                      const float* lse, const float* dy, float k, float* dx, int rows, int n, int keep) {
    const int row = blockIdx.x, label = (int)labels[row];
    const u64 at = (u64)row * n;
    if (labels[row] == ignore) {
        if (!keep) each_to(dx + at, dx + at, n, 0, [](int, float) { return 0.f; });
        return;
    }
    const float scale = k * *dy, uniform = -scale * smoothing / n, hit = scale * (1.f - smoothing), shift = lse[row];
    each_to(logits + at, dx + at, n, keep, [=](int i, float x) {
        return scale * expf(x - shift) + uniform - (i == label ? hit : 0.f);
    });
}

// Both at once: losses as above, and the logits become k times their gradient.
KERNEL(cross_entropy_in_place, BLOCK)(float* logits, const unsigned* labels, unsigned ignore, float smoothing, float k,
                                      float* losses, int rows, int n) {
    const int row = blockIdx.x, label = (int)labels[row];
    float* x = logits + (u64)row * n;
    if (labels[row] == ignore) {
        each_to(x, x, n, 0, [](int, float) { return 0.f; });
        if (threadIdx.x == 0) losses[row] = 0.f;
        return;
    }
    const RowSums sums = row_sums(x, n);
    if (threadIdx.x == 0) losses[row] = cost(sums, x, labels[row], smoothing, n);
    // The label's logit is read above, before another thread writes its gradient.
    __syncthreads();
    const float scale = k / sums.exps, uniform = -k * smoothing / n, hit = k * (1.f - smoothing), most = sums.most;
    each_to(x, x, n, 0, [=](int i, float x) {
        return scale * expf(x - most) + uniform - (i == label ? hit : 0.f);
    });
}

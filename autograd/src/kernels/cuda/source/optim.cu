// The norm of all gradients, and a step of Adam.

// scratch[offset + blockIdx.y * gridDim.x + blockIdx.x] = a share of the sum of squares of tensor blockIdx.y. In double
// precision, as on the CPU: a gradient of 1e20 is large, not infinite.
KERNEL(squares_partial, BLOCK)(TensorList list, double* scratch, int offset) {
    __shared__ double room[WARPS];
    const float* x = list.p[blockIdx.y];
    const u64 count = list.n[blockIdx.y], fours = aligned(x) ? count / 4 : 0;
    const u64 first = blockIdx.x * (u64)BLOCK + threadIdx.x, step = gridDim.x * (u64)BLOCK;
    double total = 0.;
    for (u64 i = first; i < fours; i += step) {
        const float4 v = ((const float4*)x)[i];
        total += (double)v.x * v.x + (double)v.y * v.y + ((double)v.z * v.z + (double)v.w * v.w);
    }
    for (u64 i = 4 * fours + first; i < count; i += step) total += (double)x[i] * x[i];
    total = block_sum(total, room);
    if (threadIdx.x == 0) scratch[offset + blockIdx.y * gridDim.x + blockIdx.x] = total;
}

// norm[0] = the root of the sum of `n` partial sums; one block
KERNEL(squares_finish, BLOCK)(const double* scratch, int n, float* norm) {
    __shared__ double room[WARPS];
    double total = 0.;
    for (int i = threadIdx.x; i < n; i += BLOCK) total += scratch[i];
    total = block_sum(total, room);
    if (threadIdx.x == 0) norm[0] = (float)sqrt(total);
}

// As in the CPU's `adam.rs`. It lies in memory, where `AdamNumbers` puts it.
struct AdamStep {
    float beta1;
    float beta2;
    float step_size;
    float epsilon;
    float correction2_sqrt;
    float decoupled_decay;
    float l2;
    float grad_scale;
};

struct AdamEntry {
    float p, m, v;
};

INLINE AdamEntry adam_entry(AdamEntry e, float gradient, const AdamStep& s, float scale, float l2, float shrink) {
    const float g = gradient * scale + l2 * e.p;
    const float m = s.beta1 * e.m + (1.f - s.beta1) * g;
    const float v = s.beta2 * e.v + (1.f - s.beta2) * (g * g);
    const float root = sqrtf(v) / s.correction2_sqrt + s.epsilon;
    return AdamEntry{e.p * shrink - s.step_size * m / root, m, v};
}

// One step for tensor blockIdx.y of the list. The gradient is multiplied by grad_scale, and then by what makes it `clip` long
// where there is a norm, of the gradient as it is, `clip` is not 0, and it is longer; where the norm is not finite, nothing is
// changed.
KERNEL(adam, BLOCK)(AdamList list, const AdamStep* numbers, const float* norm, float clip) {
    const AdamStep s = *numbers;
    float scale = s.grad_scale;
    if (norm) {
        if (!(*norm <= 3.4028234e38f)) return;
        const float length = scale * *norm;
        if (clip != 0.f && length > clip) scale *= clip / length;
    }
    const int t = blockIdx.y;
    float *p = list.p[t], *m = list.m[t], *v = list.v[t];
    const float* g = list.g[t];
    const float l2 = list.decays[t] ? s.l2 : 0.f, shrink = list.decays[t] ? 1.f - s.decoupled_decay : 1.f;
    const u64 count = list.n[t], fours = aligned(p) && aligned(g) && aligned(m) && aligned(v) ? count / 4 : 0;
    const u64 first = blockIdx.x * (u64)BLOCK + threadIdx.x, step = gridDim.x * (u64)BLOCK;
    for (u64 i = first; i < fours; i += step) {
        float4 p4 = ((float4*)p)[i], m4 = ((float4*)m)[i], v4 = ((float4*)v)[i];
        const float4 g4 = ((const float4*)g)[i];
        const AdamEntry x = adam_entry({p4.x, m4.x, v4.x}, g4.x, s, scale, l2, shrink);
        const AdamEntry y = adam_entry({p4.y, m4.y, v4.y}, g4.y, s, scale, l2, shrink);
        const AdamEntry z = adam_entry({p4.z, m4.z, v4.z}, g4.z, s, scale, l2, shrink);
        const AdamEntry w = adam_entry({p4.w, m4.w, v4.w}, g4.w, s, scale, l2, shrink);
        ((float4*)p)[i] = make_float4(x.p, y.p, z.p, w.p);
        ((float4*)m)[i] = make_float4(x.m, y.m, z.m, w.m);
        ((float4*)v)[i] = make_float4(x.v, y.v, z.v, w.v);
    }
    for (u64 i = 4 * fours + first; i < count; i += step) {
        const AdamEntry e = adam_entry({p[i], m[i], v[i]}, g[i], s, scale, l2, shrink);
        p[i] = e.p;
        m[i] = e.m;
        v[i] = e.v;
    }
}

// Entry by entry with shapes that differ, and copies between orders of axes.

// Where the entry with number `i` lies under two sets of strides, by divisions of 32 bits or 64.
template <class Index, class A, class B>
INLINE void offsets(Index i, int rank, const int* sizes, const A* a_strides, const B* b_strides, i64& a, i64& b) {
    a = 0;
    b = 0;
    for (int axis = rank - 1; axis >= 0; axis--) {
        const Index size = (Index)sizes[axis], rest = i / size;
        const i64 at = (i64)(i - rest * size);
        a += at * a_strides[axis];
        b += at * b_strides[axis];
        i = rest;
    }
}

template <class A, class B>
INLINE void offsets_of(u64 i, u64 count, int rank, const int* sizes, const A* a_strides, const B* b_strides, i64& a, i64& b) {
    if (count >> 32) {
        offsets(i, rank, sizes, a_strides, b_strides, a, b);
    } else {
        offsets((unsigned)i, rank, sizes, a_strides, b_strides, a, b);
    }
}

INLINE float combine(int op, float a, float b) { return op == 0 ? a + b : op == 1 ? a - b : a * b; }

// y = a op b: 0 adds, 1 subtracts, 2 multiplies. Fastest where equal shapes come as one axis.
KERNEL(binary, BLOCK)(int op, const float* a, const float* b, float* y, const __grid_constant__ Broadcast s) {
    if (s.rank == 1 && s.a_strides[0] == 1 && s.b_strides[0] == 1) {
        map(y, s.count, 0, [=](u64, float a, float b) { return combine(op, a, b); }, a, b);
        return;
    }
    map(y, s.count, 0, [&](u64 i) {
        i64 at, bt;
        offsets_of(i, s.count, s.rank, s.sizes, s.a_strides, s.b_strides, at, bt);
        return combine(op, a[at], b[bt]);
    });
}

// dx (+)= k * the sum of dy (* factor) over the axes that were stretched. A warp takes an entry of dx, and its lanes every
// 32nd of what is summed; few at a time are summed by one thread.
KERNEL(reduce_broadcast, BLOCK)(const float* dy, const float* factor, float k, float* dx,
                                const __grid_constant__ Reduce s, int keep) {
    const bool by_warps = s.reduced >= 32;
    const u64 width = by_warps ? 32 : 1, lane = by_warps ? lane_of_thread() : 0;
    const u64 first = (blockIdx.x * (u64)BLOCK + threadIdx.x) / width, step = gridDim.x * (u64)BLOCK / width;
    for (u64 entry = first; entry < s.count; entry += step) {
        i64 target = 0, dy_entry = 0, factor_entry = 0, stride = 1;
        u64 rest = entry;
        for (int axis = s.rank - 1; axis >= 0; axis--) {
            if (s.dx_strides[axis]) {
                const i64 at = (i64)(rest % s.sizes[axis]);
                rest /= s.sizes[axis];
                target += at * s.dx_strides[axis];
                dy_entry += at * stride;
                factor_entry += at * s.factor_strides[axis];
            }
            stride *= s.sizes[axis];
        }
        float total = 0.f;
        for (u64 term = lane; term < s.reduced; term += width) {
            i64 dy_at = dy_entry, factor_at = factor_entry;
            rest = term;
            stride = 1;
            for (int axis = s.rank - 1; axis >= 0; axis--) {
                if (!s.dx_strides[axis]) {
                    const i64 at = (i64)(rest % s.sizes[axis]);
                    rest /= s.sizes[axis];
                    dy_at += at * stride;
                    factor_at += at * s.factor_strides[axis];
                }
                stride *= s.sizes[axis];
            }
            total += factor ? dy[dy_at] * factor[factor_at] : dy[dy_at];
        }
        if (by_warps) total = warp_sum(total);
        if (lane == 0) dx[target] = keep ? dx[target] + k * total : k * total;
    }
}

// y[offset by y_strides] (+)= x[offset by x_strides]: permutes axes, and copies to and from parts of a tensor
KERNEL(strided_copy, BLOCK)(const float* x, float* y, const __grid_constant__ Strided s, int keep) {
    const u64 step = gridDim.x * (u64)BLOCK;
    for (u64 i = blockIdx.x * (u64)BLOCK + threadIdx.x; i < s.count; i += step) {
        i64 from, to;
        offsets_of(i, s.count, s.rank, s.sizes, s.x_strides, s.y_strides, from, to);
        y[to] = keep ? y[to] + x[from] : x[from];
    }
}

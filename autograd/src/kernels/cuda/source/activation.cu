// Activation functions: ReLU; GELU in the tanh form, x * sigmoid(2u) with u = sqrt(2/pi) * (x + 0.044715 x^3); and SiLU,
// x * sigmoid(x).

#define RELU 0
#define GELU 1
#define SILU 2

// 2 sqrt(2/pi), and that times 0.044715
#define GELU_SLOPE 1.5957691216057308f
#define GELU_CUBE 0.07135481627f

// Far from 0 GELU and SiLU are 0 or x, and their slopes 0 or 1, exactly. The formulas are computed only nearer, where no power
// of x overflows: 0 * inf would be no number.
#define GELU_FAR 21.f
#define SILU_FAR 700.f

// x, no further from 0 than `far`; NaN stays what it is.
INLINE float near(float x, float far) { return x < -far ? -far : x > far ? far : x; }

// Where the exponential overflows, 1/(1 + inf) = 0 is what it should be.
INLINE float sigmoid(float z) { return 1.f / (1.f + expf(-z)); }

INLINE float activate(int kind, float x) {
    switch (kind) {
        case RELU: return x > 0.f ? x : 0.f;
        case GELU: {
            const float n = near(x, GELU_FAR);
            return x < -GELU_FAR ? 0.f : x * sigmoid(n * (n * n * GELU_CUBE + GELU_SLOPE));
        }
        case SILU: return x < -SILU_FAR ? 0.f : x * sigmoid(near(x, SILU_FAR));
        default: return x;
    }
}

INLINE float activation_slope(int kind, float x) {
    switch (kind) {
        case RELU: return x > 0.f ? 1.f : 0.f;
        case GELU: {
            const float n = near(x, GELU_FAR);
            const float s = x < -GELU_FAR ? 0.f : sigmoid(n * (n * n * GELU_CUBE + GELU_SLOPE));
            return s * (1.f + n * (n * n * (3.f * GELU_CUBE) + GELU_SLOPE) * (1.f - s));
        }
        case SILU: {
            const float n = near(x, SILU_FAR);
            const float s = x < -SILU_FAR ? 0.f : sigmoid(n);
            return s * (1.f + n * (1.f - s));
        }
        default: return 1.f;
    }
}

KERNEL(activation, BLOCK)(int kind, const float* x, float* y, u64 count) {
    map(y, count, 0, [=](u64, float x) { return activate(kind, x); }, x);
}

// For ReLU, the output serves as `x` as well as the input does.
KERNEL(activation_backward, BLOCK)(int kind, const float* x, const float* dy, float* dx, u64 count, int keep) {
    if (kind == RELU) {
        // A gradient that is not finite stops at a unit that is off: 0 * inf would not.
        map(dx, count, keep, [=](u64, float x, float dy) { return x > 0.f ? dy : 0.f; }, x, dy);
    } else {
        map(dx, count, keep, [=](u64, float x, float dy) { return dy * activation_slope(kind, x); }, x, dy);
    }
}

// y = act(y + bias), in place; `kind` -1 is no activation
KERNEL(bias_activation, BLOCK)(const float* bias, int kind, float* y, int rows, int n) {
    map(y, (u64)rows * n, 0, [=](u64 i, float y) { return activate(kind, y + bias[column_of(i, n)]); }, y);
}

// What launches pass by value. Each of these is declared once more in `arguments.rs`, from which the program gets
// assertions that both lie in memory alike. Axes are listed from the outermost on.

// y = a op b, where strides are 0 along axes that are stretched. `y` is contiguous.
struct Broadcast {
    u64 count;
    int rank;
    int sizes[RANK];
    int a_strides[RANK];
    int b_strides[RANK];
};

// dx = sum of dy over the axes along which `dx_strides` is 0. `sizes` are those of `dy`, which is contiguous.
struct Reduce {
    u64 count;    // entries of dx
    u64 reduced;  // entries of dy that are summed into each
    int rank;
    int sizes[RANK];
    int factor_strides[RANK];
    int dx_strides[RANK];
};

struct Strided {
    u64 count;
    i64 x_strides[RANK];
    i64 y_strides[RANK];
    int rank;
    int sizes[RANK];
};

// `threshold` is the least hash that is kept: 0 drops nothing. `factor` is 1/(1 - p). Where there is a `seed`, `key` is the
// place of a node, and the key is derived from both.
struct Dropout {
    const u64* seed;
    u64 key;
    unsigned threshold;
    float factor;
};

struct Attention {
    int batch;
    int heads;
    int d;      // columns of a head
    int width;  // columns of all heads, and entries from row to row
    float scale;
    Dropout dropout;
};

struct TensorList {
    const float* p[TENSORS];
    u64 n[TENSORS];
    int count;
};

struct AdamList {
    float* p[ADAM_TENSORS];
    const float* g[ADAM_TENSORS];
    float* m[ADAM_TENSORS];
    float* v[ADAM_TENSORS];
    u64 n[ADAM_TENSORS];
    int decays[ADAM_TENSORS];
    int count;
};

// Entry by entry.

KERNEL(fill, BLOCK)(float* y, u64 count, float value) {
    map(y, count, 0, [=](u64) { return value; });
}

// y += x
KERNEL(add_assign, BLOCK)(float* y, const float* x, u64 count) {
    map(y, count, 1, [=](u64, float x) { return x; }, x);
}

// y (+)= factor * x
KERNEL(scale, BLOCK)(const float* x, float factor, float* y, u64 count, int keep) {
    map(y, count, keep, [=](u64, float x) { return factor * x; }, x);
}

// y (+)= k * *factor * x
KERNEL(scale_by, BLOCK)(const float* x, const float* factor, float k, float* y, u64 count, int keep) {
    const float by = k * *factor;
    map(y, count, keep, [=](u64, float x) { return by * x; }, x);
}

// y (+)= k * *value everywhere
KERNEL(spread, BLOCK)(const float* value, float k, float* y, u64 count, int keep) {
    const float everywhere = k * *value;
    map(y, count, keep, [=](u64) { return everywhere; });
}

// Every row of y becomes `row`.
KERNEL(fill_rows, BLOCK)(const float* row, float* y, int rows, int n) {
    map(y, (u64)rows * n, 0, [=](u64 i) { return row[column_of(i, n)]; });
}

// y = x where the flag is set, `value` elsewhere
KERNEL(mask_fill, BLOCK)(const float* x, const unsigned char* flags, float value, float* y, u64 count) {
    map(y, count, 0, [=](u64 i, float x) { return flags[i] ? x : value; }, x);
}

KERNEL(mask_fill_backward, BLOCK)(const float* dy, const unsigned char* flags, float* dx, u64 count, int keep) {
    map(dx, count, keep, [=](u64 i, float dy) { return flags[i] ? dy : 0.f; }, dy);
}

//! The ops, one a file: formula, forward, rule, the method on [`Var`](crate::Var), and the cases that every test walks.

use crate::cases::Case;

macro_rules! ops {
    ($($op:ident),* $(,)?) => {
        $(pub mod $op;)*

        /// Every op with its cases. An op that is not here does not exist, and one without cases does not compile.
        pub const ALL: &[(&str, &[Case])] = &[$((stringify!($op), $op::CASES)),*];
    };
}

ops![
    add,
    attention,
    concat,
    cross_entropy,
    detach,
    dropout,
    embedding,
    gelu,
    layer_norm,
    linear,
    linear_cross_entropy,
    mask_fill,
    masked_softmax,
    matmul,
    mean,
    mul,
    permute,
    relu,
    reshape,
    scale,
    silu,
    slice,
    softmax,
    sub,
    sum,
];

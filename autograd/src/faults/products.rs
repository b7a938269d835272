//! Faults of matmul, linear and linear_relu.

use super::{Fault, Pass, rule};
use crate::ops::matmul::MatMul;
use crate::{Shape, Tape, Tensor};

pub(super) static FAULTS: &[Fault] = &[
    rule("linear_relu", "uncut", "the gradient passes where the output was cut to zero, too", |pass| {
        pass.through(&[0, 1, 2], |_, x| x[0].linear(x[1], Some(x[2])));
    }),
    rule(
        "linear_relu",
        "uncut bias",
        "the bias gets the gradient of entries that were cut to zero, too",
        |pass| {
            pass.through(&[2], |_, x| x[0].linear(x[1], Some(x[2])));
        },
    ),
    rule("matmul", "untransposed operand", "dA += dC·B with B's memory read as if it were Bᵀ", |pass| {
        let &MatMul { transpose_a: false, transpose_b: false } = pass.settings() else { return };
        let swapped = swapped(pass.inputs[1].shape());
        pass.through(&[0], |_, x| x[0].matmul(x[1].reshape(swapped).transpose()));
    }),
    rule(
        "matmul",
        "untransposed gradient",
        "the gradient of a transposed factor is not transposed back",
        |pass| {
            let &MatMul { transpose_a, transpose_b } = pass.settings();
            for (i, transposed) in [transpose_a, transpose_b].into_iter().enumerate() {
                if transposed {
                    read_transposed(pass, i);
                }
            }
        },
    ),
    rule(
        "matmul",
        "unsummed batch",
        "a factor for the whole batch gets its gradient from the first matrix only",
        |pass| {
            let (a, b) = (pass.inputs[0].shape(), pass.inputs[1].shape());
            if b.rank() < a.rank() {
                let one = pass.dy.shape()[a.rank() - 2..].iter().product();
                pass.dy =
                    Tensor::from_fn(pass.dy.shape(), |k| if k < one { pass.dy.as_slice()[k] } else { 0.0 });
                let &MatMul { transpose_a, transpose_b } = pass.settings();
                pass.through(&[1], |tape, x| tape.apply(MatMul { transpose_a, transpose_b }, [x[0], x[1]]));
            }
        },
    ),
    rule("linear", "no row sum", "the bias gets the gradient of the first row only", |pass| {
        if pass.grads.len() == 3 {
            pass.set(2, |pass, k| pass.dy.as_slice()[k]);
        }
    }),
    rule("linear", "averaged weight", "dW is averaged over the rows instead of summed", |pass| {
        pass.scale(1, 1.0 / pass.inputs[0].shape().rows() as f64);
    }),
    rule("linear", "untransposed operand", "dx += dy·W with W's memory read as if it were Wᵀ", |pass| {
        let swapped = swapped(pass.inputs[1].shape());
        pass.through(&[0], |_, x| x[0].linear(x[1].reshape(swapped).transpose(), None));
    }),
    rule("linear", "untransposed gradient", "dW += xᵀ·dy, written as if it were dyᵀ·x", |pass| {
        read_transposed(pass, 1);
    }),
    rule(
        "linear",
        "saved in half precision",
        "dW is computed from x as bfloat16 would have kept it",
        |pass| {
            let half = |x: f64| f64::from(f32::from_bits((x as f32).to_bits() & 0xffff_0000));
            pass.inputs[0] = pass.inputs[0].map(half);
            pass.through(&[1], |_, x| x[0].linear(x[1], None));
        },
    ),
];

/// The shape with its last two sizes exchanged.
fn swapped(shape: Shape) -> Shape {
    let rank = shape.rank();
    shape.with(rank - 2, shape[rank - 1]).with(rank - 1, shape[rank - 2])
}

/// Puts the entries of the transposed gradient into the memory of the gradient.
fn read_transposed(pass: &mut Pass<'_>, i: usize) {
    let right = &pass.grads[i];
    pass.grads[i] = Tape::infer().constant(right.clone()).transpose().value().reshape(right.shape());
}

//! Faults of add, sub, mul, scale, sum and mean.

use super::{Fault, Pass, rule};
use crate::Tensor;

pub(super) static FAULTS: &[Fault] = &[
    rule("add", "unsummed stretch", "a stretched input gets the first of what it should sum", |pass| {
        for i in 0..2 {
            first_of_stretch(pass, i);
        }
    }),
    rule(
        "add",
        "detached residual",
        "the first operand, the way around a sub-layer, gets no gradient",
        |pass| {
            pass.scale(0, 0.0);
        },
    ),
    rule("sub", "no sign", "db += dy instead of db −= dy", |pass| pass.scale(1, -1.0)),
    rule("sub", "averaged stretch", "a stretched input gets the mean of what it should sum", |pass| {
        for i in 0..2 {
            pass.scale(i, pass.inputs[i].len() as f64 / pass.dy.len() as f64);
        }
    }),
    // As if y = (a² + b²)/2.
    rule(
        "mul",
        "own factor",
        "da += dy ∘ a and db += dy ∘ b, each its own instead of the other",
        |pass| {
            pass.through(&[0, 1], |_, x| (x[0] * x[0] + x[1] * x[1]).scale(0.5));
        },
    ),
    rule("mul", "square counted once", "the gradient of x·x is dy ∘ x instead of 2·dy ∘ x", |pass| {
        if pass.inputs[0] == pass.inputs[1] {
            pass.scale(1, 0.0);
        }
    }),
    rule("scale", "no factor", "dx += dy, without k", |pass| pass.set(0, |pass, k| pass.dy.as_slice()[k])),
    rule("scale", "divided", "dx += dy / k instead of k · dy", |pass| {
        let factor = pass.settings::<crate::ops::scale::Scale>().factor;
        pass.scale(0, 1.0 / (factor * factor));
    }),
    rule("scale", "factor in f32", "the backward pass holds k in single precision", |pass| {
        let factor = pass.settings::<crate::ops::scale::Scale>().factor;
        pass.scale(0, f64::from(factor as f32) / factor);
    }),
    rule("sum", "as a mean", "the gradient of a sum is divided by the number of entries", |pass| {
        pass.scale(0, 1.0 / pass.inputs[0].len() as f64);
    }),
    rule("mean", "as a sum", "the gradient of a mean is not divided by the number of entries", |pass| {
        pass.scale(0, pass.inputs[0].len() as f64);
    }),
    rule("mean", "wrong axis", "divided by the number of columns instead of all entries", |pass| {
        pass.scale(0, pass.inputs[0].shape().rows() as f64);
    }),
];

/// Gives every entry of a stretched input what the first of its copies got.
fn first_of_stretch(pass: &mut Pass<'_>, i: usize) {
    let (own, shape) = (pass.inputs[i].shape(), pass.dy.shape());
    let Some(steps) = own.broadcast_strides(&shape) else { return };
    let strides = shape.strides();
    let mut wrong = Tensor::zeros(own);
    // Backwards, so that the first copy is written last.
    for k in (0..shape.len()).rev() {
        let at: usize = (0..shape.rank()).map(|axis| k / strides[axis] % shape[axis] * steps[axis]).sum();
        wrong.make_mut()[at] = pass.dy.as_slice()[k];
    }
    pass.grads[i] = wrong;
}

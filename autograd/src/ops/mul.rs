//! `y = a ∘ b`, with broadcasting.

use std::ops;

use super::add::broadcast;
use crate::kernels::cpu::broadcast::Binary;
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Tensor};

/// `y = a ∘ b`, entry by entry, broadcasting as [`Add`](super::add::Add) does.
#[derive(Debug)]
pub struct Mul;

impl<T: Float> Op<T, 2> for Mul {
    type Saved = ();
    const NAME: &'static str = "mul";
    const RULE: &'static str = "da += dy ∘ b  db += dy ∘ a";

    fn forward(&self, [a, b]: [&Tensor<T>; 2]) -> (Tensor<T>, ()) {
        (broadcast("mul", Binary::Mul, a, b), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 2>) {
        let ([a, b], [da, db]) = (cx.inputs, cx.grads);
        da.write(|kernels, out, keep| kernels.reduce(cx.dy, Some(b), out, keep));
        db.write(|kernels, out, keep| kernels.reduce(cx.dy, Some(a), out, keep));
    }
}

impl<'t, T: Float> ops::Mul for Var<'t, T> {
    type Output = Var<'t, T>;

    #[track_caller]
    fn mul(self, other: Self) -> Self {
        self.tape.apply(Mul, [self, other])
    }
}

cases! {
    "mul" [[2, 3], [2, 3]] |tape, a, b| a * b;
    "mul, broadcast" [[2, 1, 3], [4, 1]] |tape, a, b| a * b;
    "mul, by itself" [[2, 3]] |tape, a| a * a;
}

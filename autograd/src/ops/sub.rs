//! `y = a − b`, with broadcasting.

use std::ops;

use super::add::broadcast;
use crate::kernels::cpu::broadcast::Binary;
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Tensor};

/// `y = a − b`, broadcasting as [`Add`](super::add::Add) does.
#[derive(Debug)]
pub struct Sub;

impl<T: Float> Op<T, 2> for Sub {
    type Saved = ();
    const NAME: &'static str = "sub";
    const RULE: &'static str = "da += dy  db −= dy";

    fn forward(&self, [a, b]: [&Tensor<T>; 2]) -> (Tensor<T>, ()) {
        (broadcast("sub", Binary::Sub, a, b), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 2>) {
        let ([da, db], dy) = (cx.grads, cx.dy);
        da.write(|kernels, out, keep| kernels.reduce(dy, None, out, keep));
        db.write(|kernels, out, keep| {
            let minus_dy = dy.alike(dy.shape(), |kernels, y| kernels.scale(dy, -T::ONE, y, false));
            kernels.reduce(&minus_dy, None, out, keep);
        });
    }
}

impl<'t, T: Float> ops::Sub for Var<'t, T> {
    type Output = Var<'t, T>;

    #[track_caller]
    fn sub(self, other: Self) -> Self {
        self.tape.apply(Sub, [self, other])
    }
}

cases! {
    "sub" [[2, 3], [2, 3]] |tape, a, b| a - b;
    "sub, broadcast" [[3], [2, 1]] |tape, a, b| a - b;
}

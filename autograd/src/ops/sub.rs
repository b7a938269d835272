//! `y = a − b`, with broadcasting.

use std::ops;

use super::add::{broadcast, reduce};
use crate::kernels::cpu::broadcast::Binary;
use crate::kernels::cpu::elementwise::scale;
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
        let ([a, b], [da, db]) = (cx.inputs, cx.grads);
        da.accumulate(|out, keep| reduce(cx.dy, None, a.shape(), out, keep));
        let mut minus_dy = cx.dy.clone();
        db.accumulate(|out, keep| {
            scale(cx.dy.as_slice(), -T::ONE, minus_dy.make_mut(), false);
            reduce(&minus_dy, None, b.shape(), out, keep);
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

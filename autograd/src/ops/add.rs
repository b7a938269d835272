//! `y = a + b`, with broadcasting.

use std::ops;

use crate::kernels::cpu::broadcast::Binary;
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Tensor};

/// `y = a + b`. Axes are aligned at the end, and an axis of size 1 stretches; its gradient is the sum over the stretch.
#[derive(Debug)]
pub struct Add;

impl<T: Float> Op<T, 2> for Add {
    type Saved = ();
    const NAME: &'static str = "add";
    const RULE: &'static str = "da += dy  db += dy";

    fn forward(&self, [a, b]: [&Tensor<T>; 2]) -> (Tensor<T>, ()) {
        (broadcast("add", Binary::Add, a, b), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 2>) {
        let [da, db] = cx.grads;
        for slot in [da, db] {
            if slot.shape == cx.dy.shape() {
                slot.add(cx.dy);
            } else {
                slot.write(|kernels, out, keep| kernels.reduce(cx.dy, None, out, keep));
            }
        }
    }
}

/// Applies a binary function to two tensors that broadcast to each other.
#[track_caller]
pub(super) fn broadcast<T: Float>(name: &str, f: Binary, a: &Tensor<T>, b: &Tensor<T>) -> Tensor<T> {
    let Some(shape) = a.shape().broadcast(&b.shape()) else {
        panic!("{name}: {} and {} do not broadcast to each other", a.shape(), b.shape())
    };
    a.alike(shape, |kernels, y| kernels.binary(f, a, b, y))
}

impl<'t, T: Float> ops::Add for Var<'t, T> {
    type Output = Var<'t, T>;

    #[track_caller]
    fn add(self, other: Self) -> Self {
        self.tape.apply(Add, [self, other])
    }
}

cases! {
    "add" [[2, 3], [2, 3]] |tape, a, b| a + b;
    "add, broadcast" [[2, 1, 3], [4, 1]] |tape, a, b| a + b;
    "add, to itself" [[2, 3]] |tape, a| a + a;
}

//! The sum of all entries.

use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Tensor};

/// `y = Σ x`, a scalar. Summed in the [`Wide`](Float::Wide) type.
#[derive(Debug)]
pub struct Sum;

impl<T: Float> Op<T, 1> for Sum {
    type Saved = ();
    const NAME: &'static str = "sum";
    const RULE: &'static str = "dx += dy, to every entry";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        (x.alike([], |kernels, y| kernels.sum(x, 1.0, y)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let [dx] = cx.grads;
        dx.write(|kernels, out, keep| kernels.spread(cx.dy, 1.0, out, keep));
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// The sum of all entries.
    #[track_caller]
    pub fn sum(self) -> Self {
        self.tape.apply(Sum, [self])
    }
}

cases! {
    "sum" [[2, 3]] |tape, x| x.sum();
}

//! The sum of all entries.

use crate::kernels::cpu::elementwise;
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
        (Tensor::scalar(T::narrow(elementwise::sum(x.as_slice()))), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let [dx] = cx.grads;
        spread(dx, cx.dy.item());
    }
}

/// Adds `dy` to the gradient of every entry.
pub(super) fn spread<T: Float>(dx: &mut crate::Slot<T>, dy: T) {
    dx.accumulate(|out, keep| {
        for out in out {
            *out = if keep { *out + dy } else { dy };
        }
    });
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

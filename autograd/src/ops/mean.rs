//! The mean of all entries.

use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Tensor};

/// `y = Σ x / n`, a scalar. Summed in the [`Wide`](Float::Wide) type.
#[derive(Debug)]
pub struct Mean;

impl<T: Float> Op<T, 1> for Mean {
    type Saved = ();
    const NAME: &'static str = "mean";
    const RULE: &'static str = "dx += dy / n, to every entry";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        assert!(x.len() > 0, "mean: {} has no entries", x.shape());
        (x.alike([], |kernels, y| kernels.sum(x, x.len() as f64, y)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let ([x], [dx]) = (cx.inputs, cx.grads);
        dx.write(|kernels, out, keep| kernels.spread(cx.dy, x.len() as f64, out, keep));
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// The mean of all entries.
    ///
    /// # Panics
    /// Where there are none.
    #[track_caller]
    pub fn mean(self) -> Self {
        self.tape.apply(Mean, [self])
    }
}

cases! {
    "mean" [[2, 3]] |tape, x| x.mean();
}

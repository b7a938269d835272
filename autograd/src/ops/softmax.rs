//! `y = softmax(x)` along the last axis.

use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Tensor};

/// `yᵢ = e^{xᵢ} / Σⱼ e^{xⱼ}` along the last axis, shifted by the row's maximum so that nothing overflows.
#[derive(Debug)]
pub struct Softmax;

impl<T: Float> Op<T, 1> for Softmax {
    type Saved = ();
    const NAME: &'static str = "softmax";
    const RULE: &'static str = "dx += y ∘ (dy − ⟨dy, y⟩)";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        (x.alike(x.shape(), |kernels, y| kernels.softmax(x, None, y)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let [dx] = cx.grads;
        dx.write(|kernels, out, keep| kernels.softmax_backward(cx.output, cx.dy, out, keep));
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// The softmax along the last axis.
    #[track_caller]
    pub fn softmax(self) -> Self {
        self.tape.apply(Softmax, [self])
    }
}

cases! {
    "softmax" [[2, 3, 5]] |tape, x| x.softmax();
    "softmax, of one" [[3, 1]] |tape, x| x.softmax();
}

//! `y = softmax(x)` along the last axis.

use crate::kernels::cpu::softmax::{softmax, softmax_backward};
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
        let n = x.shape().last();
        (Tensor::fill_with(x.shape(), |y| softmax(x.as_slice(), y, n)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let [dx] = cx.grads;
        let (y, dy, n) = (cx.output.as_slice(), cx.dy.as_slice(), cx.output.shape().last());
        dx.accumulate(|out, keep| softmax_backward(y, dy, out, n, keep));
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

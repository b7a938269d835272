//! `y = x·½(1 + tanh(√(2/π)(x + 0.044715x³)))`, entry by entry.

use crate::kernels::cpu::activation::{gelu, gelu_backward};
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Tensor};

/// The Gaussian error linear unit in its tanh form (Hendrycks and Gimpel, 2016), PyTorch's `approximate="tanh"`.
#[derive(Debug)]
pub struct Gelu;

impl<T: Float> Op<T, 1> for Gelu {
    type Saved = ();
    const NAME: &'static str = "gelu";
    const RULE: &'static str = "dx += dy ∘ gelu′(x)";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        (Tensor::fill_with(x.shape(), |y| gelu(x.as_slice(), y)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let ([x], [dx]) = (cx.inputs, cx.grads);
        dx.accumulate(|out, keep| gelu_backward(x.as_slice(), cx.dy.as_slice(), out, keep));
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// `x·½(1 + tanh(√(2/π)(x + 0.044715x³)))`, entry by entry.
    #[track_caller]
    pub fn gelu(self) -> Self {
        self.tape.apply(Gelu, [self])
    }
}

cases! {
    "gelu" [[3, 7]] |tape, x| x.gelu();
}

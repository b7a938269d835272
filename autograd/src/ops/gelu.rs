//! `y = x·½(1 + tanh(√(2/π)(x + 0.044715x³)))`, entry by entry.

use crate::kernels::Activation;
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
        (x.alike(x.shape(), |kernels, y| kernels.activation(Activation::Gelu, x, y)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let ([x], [dx]) = (cx.inputs, cx.grads);
        dx.write(|kernels, out, keep| kernels.activation_backward(Activation::Gelu, x, cx.dy, out, keep));
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

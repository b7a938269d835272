//! `y = x·σ(x)`, entry by entry.

use crate::kernels::Activation;
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Tensor};

/// The sigmoid linear unit (Elfwing et al., 2017), also called swish.
#[derive(Debug)]
pub struct Silu;

impl<T: Float> Op<T, 1> for Silu {
    type Saved = ();
    const NAME: &'static str = "silu";
    const RULE: &'static str = "dx += dy ∘ σ(x)(1 + x(1 − σ(x)))";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        (x.alike(x.shape(), |kernels, y| kernels.activation(Activation::Silu, x, y)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let ([x], [dx]) = (cx.inputs, cx.grads);
        dx.write(|kernels, out, keep| kernels.activation_backward(Activation::Silu, x, cx.dy, out, keep));
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// `x·σ(x)`, entry by entry.
    #[track_caller]
    pub fn silu(self) -> Self {
        self.tape.apply(Silu, [self])
    }
}

cases! {
    "silu" [[3, 7]] |tape, x| x.silu();
}

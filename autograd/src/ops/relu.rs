//! `y = max(x, 0)`, entry by entry.

use crate::kernels::Activation;
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Tensor};

/// The rectifier (Nair and Hinton, 2010). Its derivative at 0 is taken to be 0.
#[derive(Debug)]
pub struct Relu;

impl<T: Float> Op<T, 1> for Relu {
    type Saved = ();
    const NAME: &'static str = "relu";
    const RULE: &'static str = "dx += dy where x > 0";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        (x.alike(x.shape(), |kernels, y| kernels.activation(Activation::Relu, x, y)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let ([x], [dx]) = (cx.inputs, cx.grads);
        dx.write(|kernels, out, keep| kernels.activation_backward(Activation::Relu, x, cx.dy, out, keep));
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// `max(x, 0)`, entry by entry.
    #[track_caller]
    pub fn relu(self) -> Self {
        self.tape.apply(Relu, [self])
    }
}

cases! {
    "relu" [[3, 7]] |tape, x| x.relu();
    // Zero wherever x is, so flat; the rule is asked at nothing but the corner.
    "relu, at zero" [[2, 3]] |tape, x| (x - x.detach()).relu();
}

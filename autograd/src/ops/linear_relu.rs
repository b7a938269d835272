//! `y = max(x·Wᵀ + b, 0)`: what a feed-forward network begins with.

use super::linear::{check_bias, product_backward, product_forward};
use crate::kernels::Activation;
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Tensor};

/// [`relu`](Var::relu) of [`linear`](Var::linear), its explained twin, in one: for `x [.., I]`, `W [O, I]`, `b [O]`;
/// `y [.., O]`. What is below zero before the cut is never kept, since the gradient asks only where `y > 0`.
#[derive(Debug)]
pub struct LinearRelu;

impl<T: Float> Op<T, 3> for LinearRelu {
    type Saved = ();
    const NAME: &'static str = "linear_relu";
    const RULE: &'static str = "dz = dy where y > 0  dx += dz·W  dW += dzᵀ·x  db += Σ dz";

    fn forward(&self, [x, w, b]: [&Tensor<T>; 3]) -> (Tensor<T>, ()) {
        let (shape, product) = product_forward("linear_relu", x, w);
        check_bias("linear_relu", w, b);
        (x.alike(shape, |kernels, y| kernels.product_relu(product, b, y)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 3>) {
        let ([x, w, _], [dx, dw, db]) = (cx.inputs, cx.grads);
        let dz = cx.dy.alike(cx.dy.shape(), |kernels, dz| {
            kernels.activation_backward(Activation::Relu, cx.output, cx.dy, dz, false);
        });
        product_backward(x, w, &dz, dx, dw);
        db.write(|kernels, out, keep| kernels.sum_rows(&dz, out, keep));
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// `max(x·Wᵀ + b, 0)`: `[.., I]` to `[.., O]` by a weight `[O, I]` and a bias `[O]`.
    ///
    /// # Panics
    /// Where the shapes do not fit.
    #[track_caller]
    pub fn linear_relu(self, weight: Self, bias: Self) -> Self {
        if self.tape.explains() {
            return self.linear(weight, Some(bias)).relu();
        }
        let y = self.tape.apply(LinearRelu, [self, weight, bias]);
        self.tape.fused(1);
        y
    }
}

cases! {
    "linear_relu" [[2, 3, 4], [5, 4], [5]] |tape, x, w, b| x.linear_relu(w, b), explained: x.linear(w, Some(b)).relu();
}

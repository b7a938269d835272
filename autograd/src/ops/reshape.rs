//! The same entries under another shape.

use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Shape, Tensor};

/// `y = x`, read with other axes. Copies nothing.
#[derive(Debug)]
pub struct Reshape {
    /// The new sizes.
    pub shape: Shape,
}

impl<T: Float> Op<T, 1> for Reshape {
    type Saved = ();
    const NAME: &'static str = "reshape";
    const RULE: &'static str = "dx += dy, reshaped";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        (x.reshape(self.shape), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let ([x], [dx]) = (cx.inputs, cx.grads);
        dx.add(&cx.dy.reshape(x.shape()));
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// The same entries under another shape.
    ///
    /// # Panics
    /// Where that has not as many.
    #[track_caller]
    pub fn reshape(self, shape: impl Into<Shape>) -> Self {
        self.tape.apply(Reshape { shape: shape.into() }, [self])
    }
}

cases! {
    "reshape" [[2, 6]] |tape, x| x.reshape([3, 4]);
}

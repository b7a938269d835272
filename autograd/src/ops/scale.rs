//! `y = k·x` for a fixed number `k`.

use std::ops;

use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Tensor};

/// `y = factor · x`
#[derive(Debug)]
pub struct Scale {
    /// The fixed number.
    pub factor: f64,
}

impl<T: Float> Op<T, 1> for Scale {
    type Saved = ();
    const NAME: &'static str = "scale";
    const RULE: &'static str = "dx += k · dy";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        (x.alike(x.shape(), |kernels, y| kernels.scale(x, T::of(self.factor), y, false)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let [dx] = cx.grads;
        dx.write(|kernels, out, keep| kernels.scale(cx.dy, T::of(self.factor), out, keep));
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// `factor · x`
    #[track_caller]
    pub fn scale(self, factor: f64) -> Self {
        self.tape.apply(Scale { factor }, [self])
    }
}

impl<'t, T: Float> ops::Neg for Var<'t, T> {
    type Output = Var<'t, T>;

    #[track_caller]
    fn neg(self) -> Self {
        self.scale(-1.0)
    }
}

cases! {
    "scale" [[2, 3]] |tape, x| x.scale(-0.7);
}

//! Writes one number wherever a mask does not keep the entry.

use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Keep, Tensor};

/// `y = x` where kept, `value` elsewhere.
#[derive(Debug)]
pub struct MaskFill {
    /// Which entries are kept; broadcasts to the input.
    pub keep: Keep,
    /// What the others become.
    pub value: f64,
}

impl<T: Float> Op<T, 1> for MaskFill {
    type Saved = ();
    const NAME: &'static str = "mask_fill";
    const RULE: &'static str = "dx += dy where kept";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        let (flags, value) = (self.keep.expand("mask_fill", x.shape()), T::of(self.value));
        (x.alike(x.shape(), |kernels, y| kernels.mask_fill(x, &flags, value, y)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let [dx] = cx.grads;
        let flags = self.keep.expand("mask_fill", cx.dy.shape());
        dx.add(&cx.dy.alike(cx.dy.shape(), |kernels, y| kernels.mask_fill(cx.dy, &flags, T::ZERO, y)));
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// The entries that `keep` keeps, and `value` in place of the others.
    ///
    /// # Panics
    /// Where the mask does not broadcast to it.
    #[track_caller]
    pub fn mask_fill(self, keep: &Keep, value: f64) -> Self {
        self.tape.apply(MaskFill { keep: keep.clone(), value }, [self])
    }
}

cases! {
    "mask_fill" [[2, 3]] |tape, x| x.mask_fill(&Keep::new([3], [true, false, true]), -5.0);
}

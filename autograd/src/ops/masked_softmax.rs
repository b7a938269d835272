//! The softmax over the kept entries of each row.

use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Keep, Tensor};

/// `yᵢ = e^{xᵢ} / Σ_{kept j} e^{xⱼ}` where `i` is kept, exactly 0 elsewhere. A row that keeps nothing is all zeros, and
/// so is its gradient: never NaN.
#[derive(Debug)]
pub struct MaskedSoftmax {
    /// Which entries are kept; broadcasts to the input.
    pub keep: Keep,
}

impl<T: Float> Op<T, 1> for MaskedSoftmax {
    type Saved = ();
    const NAME: &'static str = "masked_softmax";
    const RULE: &'static str = "dx += y ∘ (dy − ⟨dy, y⟩)";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        let flags = self.keep.expand("masked_softmax", x.shape());
        (x.alike(x.shape(), |kernels, y| kernels.softmax(x, Some(&flags), y)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let [dx] = cx.grads;
        dx.write(|kernels, out, keep| kernels.softmax_backward(cx.output, cx.dy, out, keep));
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// The softmax along the last axis over the entries that `keep` keeps.
    ///
    /// # Panics
    /// Where the mask does not broadcast to it.
    #[track_caller]
    pub fn masked_softmax(self, keep: &Keep) -> Self {
        self.tape.apply(MaskedSoftmax { keep: keep.clone() }, [self])
    }
}

cases! {
    // The second row keeps nothing, the third everything.
    "masked_softmax" [[2, 3, 4]] |tape, x| x.masked_softmax(&Keep::new(
        [3, 4],
        [true, false, true, true, false, false, false, false, true, true, true, true],
    ));
    "masked_softmax, broadcast" [[2, 3, 4]] |tape, x| x.masked_softmax(&Keep::new(
        [2, 1, 4],
        [true, true, false, false, true, true, true, false],
    ));
}

#[cfg(test)]
mod tests {
    use crate::{Keep, Tape, Tensor};

    #[test]
    fn a_fully_masked_row_is_zero_and_gets_no_gradient() {
        let tape = Tape::<f64>::eval();
        let x = tape.input(Tensor::new([2, 2], vec![f64::NEG_INFINITY, 3.0, 1.0, 2.0]));
        let y = x.masked_softmax(&Keep::new([2, 2], [false, false, true, true]));
        assert_eq!(y.value().as_slice()[..2], [0.0, 0.0]);
        let gradients = y.backward_with(Tensor::new([2, 2], vec![1.0, -2.0, 3.0, 4.0]));
        let dx = gradients.wrt(x).unwrap();
        assert_eq!(dx.as_slice()[..2], [0.0, 0.0]);
        assert!(dx.as_slice()[2..].iter().all(|d| d.is_finite() && *d != 0.0));
    }
}

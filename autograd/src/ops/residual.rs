//! `y = x + dropout(a)`: the end of a sub-layer, and the way around it.

use super::dropout::{Dropout, check_probability};
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Key, Shape, Tensor};

/// `y = x + m ∘ a / (1 − p)`, where each entry of `m` is 0 with probability `p` and 1 otherwise (Srivastava et al., 2014);
/// the explained twin is [`dropout`](Var::dropout), then `+`. The mask is a pure function of `key` and the entry's place.
#[derive(Debug)]
pub struct Residual {
    /// The probability that an entry of `a` is dropped.
    pub p: f64,
    /// The key of the random numbers.
    pub key: Key,
}

/// Stops where the sub-layer's output has another shape than its input.
#[track_caller]
pub(super) fn around(op: &str, x: Shape, a: Shape) {
    assert!(x == a, "{op}: {x} goes around {a}");
}

impl<T: Float> Op<T, 2> for Residual {
    type Saved = ();
    const NAME: &'static str = "residual";
    const RULE: &'static str = "dx += dy  da += m ∘ dy / (1 − p)";

    fn forward(&self, [x, a]: [&Tensor<T>; 2]) -> (Tensor<T>, ()) {
        around("residual", x.shape(), a.shape());
        check_probability("residual", self.p);
        (x.alike(x.shape(), |kernels, y| kernels.residual(x, a, (self.p, &self.key), y)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 2>) {
        let [dx, da] = cx.grads;
        da.write(|kernels, out, keep| kernels.dropout_backward(cx.dy, (self.p, &self.key), out, keep));
        dx.add(cx.dy);
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// `x + dropout(a)`, in one op where dropout drops; on other tapes this is `x + a`.
    ///
    /// # Panics
    /// Where `p` is not in `[0, 1)`, or the shapes differ.
    #[track_caller]
    pub fn residual(self, a: Self, p: f64) -> Self {
        around("residual", self.shape(), a.shape());
        if self.tape.explains() || !self.tape.is_training() || p == 0.0 {
            return self + a.dropout(p);
        }
        let Dropout { p, key } = Dropout::new(p, self.tape.next_key());
        let y = self.tape.apply(Residual { p, key }, [self, a]);
        self.tape.fused(1);
        y
    }
}

cases! {
    "residual" [[4, 10], [4, 10]] |tape, x, a| x.residual(a, 0.3), explained: {
        x + tape.apply(Dropout { p: 0.3, key: tape.next_key() }, [a])
    };
    "residual, of itself" [[4, 10]] |tape, x| x.residual(x, 0.3);
}

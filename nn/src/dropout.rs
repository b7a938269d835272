//! Dropout as a layer.

use autograd::{Float, Var};

/// Drops entries with probability `p` on a training tape, and scales the others by `1/(1 − p)` (Srivastava et al., 2014);
/// does nothing on other tapes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The probability that an entry is dropped, in `[0, 1)`.
    pub p: f64,
}

impl Dropout {
    /// Any shape to the same shape.
    ///
    /// # Panics
    /// Where the probability is not in [0, 1), on any tape.
    #[track_caller]
    pub fn forward<'t, T: Float>(&self, x: Var<'t, T>) -> Var<'t, T> {
        self.check();
        x.dropout(self.p)
    }

    #[track_caller]
    pub(crate) fn check(&self) {
        assert!((0.0..1.0).contains(&self.p), "dropout: the probability {} is not in [0, 1)", self.p);
    }
}

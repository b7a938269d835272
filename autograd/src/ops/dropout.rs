//! Dropout with a mask that is drawn again in the backward pass instead of being stored.

use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Key, Tensor};

/// `y = m ∘ x / (1 − p)`, where each entry of `m` is 0 with probability `p` and 1 otherwise (Srivastava et al., 2014).
/// The mask is a pure function of `key` and the entry's place.
#[derive(Debug)]
pub struct Dropout {
    /// The probability that an entry is dropped.
    pub p: f64,
    /// The key of the random numbers.
    pub key: Key,
}

#[track_caller]
pub(super) fn check_probability(op: &str, p: f64) {
    assert!((0.0..1.0).contains(&p), "{op}: the probability {p} is not in [0, 1)");
}

impl Dropout {
    /// # Panics
    /// Where `p` is not in `[0, 1)`.
    #[track_caller]
    pub(super) fn new(p: f64, key: Key) -> Self {
        check_probability("dropout", p);
        Self { p, key }
    }
}

impl<T: Float> Op<T, 1> for Dropout {
    type Saved = ();
    const NAME: &'static str = "dropout";
    const RULE: &'static str = "dx += m ∘ dy / (1 − p)";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        check_probability("dropout", self.p);
        (x.alike(x.shape(), |kernels, y| kernels.dropout(x, (self.p, &self.key), y)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let [dx] = cx.grads;
        dx.write(|kernels, out, keep| kernels.dropout_backward(cx.dy, (self.p, &self.key), out, keep));
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// Drops entries with probability `p` on a training tape; on others this is the value itself.
    ///
    /// # Panics
    /// Where `p` is not in `[0, 1)`.
    #[track_caller]
    pub fn dropout(self, p: f64) -> Self {
        let dropout = Dropout::new(p, self.tape.next_key());
        if !self.tape.is_training() || p == 0.0 {
            return self;
        }
        self.tape.apply(dropout, [self])
    }
}

cases! {
    "dropout" [[4, 10]] |tape, x| x.dropout(0.3);
}

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn dropout_is_for_training_only_and_follows_the_seed() {
        let x = Tensor::full([1000], 1.0f32);
        let run = |tape: Tape| tape.constant(x.clone()).dropout(0.5).value();
        assert_eq!(run(Tape::eval()), x);
        assert_eq!(run(Tape::train(1)), run(Tape::train(1)));
        assert_ne!(run(Tape::train(1)), run(Tape::train(2)));
    }
}

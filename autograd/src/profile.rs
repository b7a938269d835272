//! Where the time of a pass goes, op kind by op kind.

use std::collections::BTreeMap;
use std::time::Duration;

/// The time that ops of one kind took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpTime {
    /// How often the op was applied.
    pub calls: usize,
    /// In the forward pass.
    pub forward: Duration,
    /// In the reverse sweep, the adding up of contributions included.
    pub backward: Duration,
}

/// The times of a pass, or of several, by op. A tape keeps one if asked to: [`Tape::profiled`](crate::Tape::profiled).
///
/// ```
/// use autograd::{Tape, Tensor};
/// let tape = Tape::eval().profiled();
/// let x = tape.input(Tensor::scalar(3.0f64));
/// (x * x * x).backward();
/// let profile = tape.profile();
/// let (name, time) = profile.ops().next().unwrap();
/// assert_eq!((name, time.calls), ("mul", 2));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    ops: BTreeMap<&'static str, OpTime>,
}

impl Profile {
    /// The ops by name.
    pub fn ops(&self) -> impl Iterator<Item = (&'static str, OpTime)> {
        self.ops.iter().map(|(&name, &time)| (name, time))
    }

    /// The time in all ops.
    pub fn total(&self) -> Duration {
        self.ops.values().map(|time| time.forward + time.backward).sum()
    }

    /// Adds the times of another pass.
    pub fn add(&mut self, other: &Self) {
        for (name, time) in other.ops() {
            let sum = self.ops.entry(name).or_default();
            sum.calls += time.calls;
            sum.forward += time.forward;
            sum.backward += time.backward;
        }
    }

    pub(crate) fn add_forward(&mut self, name: &'static str, time: Duration) {
        let op = self.ops.entry(name).or_default();
        op.calls += 1;
        op.forward += time;
    }

    pub(crate) fn add_backward(&mut self, name: &'static str, time: Duration) {
        self.ops.entry(name).or_default().backward += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tape, Tensor};

    #[test]
    fn every_op_is_counted_once_and_only_where_asked_for() {
        for (tape, calls) in [(Tape::eval().profiled(), [3, 1]), (Tape::eval(), [0, 0])] {
            let x = tape.input(Tensor::new([2], vec![1.0f64, 2.0]));
            let product = x * x * x * x;
            product.sum().backward();
            let count = |name| tape.profile().ops().find(|op| op.0 == name).map_or(0, |op| op.1.calls);
            assert_eq!([count("mul"), count("sum")], calls);
        }
    }

    #[test]
    fn forward_and_backward_are_told_apart() {
        let tape = Tape::eval().profiled();
        let x = tape.input(Tensor::<f64>::zeros([64, 64]));
        let loss = x.matmul(x).sum();
        let before = tape.profile();
        assert!(before.ops().all(|(_, time)| time.forward > Duration::ZERO && time.backward.is_zero()));
        loss.backward();
        let mut both = tape.profile();
        assert!(both.ops().all(|(_, time)| time.backward > Duration::ZERO));
        let total = both.total();
        both.add(&before);
        assert_eq!(both.total(), total + before.total());
    }
}

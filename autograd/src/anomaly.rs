//! Where numbers stop being finite.

use std::fmt;

use crate::inspect::Place;
use crate::kernels::cpu::elementwise::all_finite;
use crate::tape::Var;
use crate::{Float, Parameters, Tensor};

/// What makes the first number that is not finite, in the order in which a training step computes.
#[derive(Clone, Debug)]
pub struct Anomaly {
    /// When.
    pub when: When,
    /// The number.
    pub value: f64,
    /// The node.
    pub place: Place,
}

/// A part of a training step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// The value of the node, whose inputs are finite.
    Forward,
    /// What the node's rule adds to the gradient of an input; the values of all nodes and the gradients that have reached
    /// it are finite.
    Backward,
    /// The sum of the gradients that reach the node, which one by one are finite.
    Sum,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { when, value, place } = self;
        match when {
            When::Forward if place.node.inputs.is_empty() => write!(f, "{place} holds {value}"),
            When::Forward => write!(f, "the forward pass of {place} is the first to give {value}"),
            When::Backward => write!(f, "the backward pass of {place} is the first to give {value}"),
            When::Sum => write!(f, "the sum of the gradients that reach {place} is the first to be {value}"),
        }
    }
}

impl<T: Float> Var<'_, T> {
    /// Looks for the first number that is not finite: in the forward pass, then in the backward pass of this scalar, which
    /// is run step by step. The tape must not have been swept; a training step is a function of its seed, so it can be run
    /// again to be looked at, and costs nothing extra when all is well.
    ///
    /// ```
    /// use autograd::{Param, Tape, Tensor, When};
    /// let weight = Param::new(Tensor::new([2], vec![0.0f32, 1.0]));
    /// let tape = Tape::eval();
    /// let x = tape.param(&weight).scale(1e30).label("huge");
    /// let anomaly = (x * x).sum().first_anomaly(&weight).unwrap();
    /// assert_eq!((anomaly.when, anomaly.place.node.op), (When::Forward, "mul"));
    /// ```
    ///
    /// # Panics
    /// Where it is not a scalar, or where a backward sweep has freed the tape.
    #[track_caller]
    pub fn first_anomaly(self, model: &dyn Parameters<T>) -> Option<Anomaly> {
        let tape = self.tape;
        if let Some((id, value)) = tape.first_not_finite() {
            return Some(Anomaly { when: When::Forward, value, place: tape.place(model, id) });
        }
        if !self.needs_grad() {
            return None;
        }
        let found = |when, value, id| Some(Anomaly { when, value, place: tape.place(model, id) });
        let mut steps = self.steps();
        for step in steps.by_ref() {
            if let Some(value) = not_finite(&step.dy) {
                return found(When::Sum, value, step.node);
            }
            if let Some(value) = step.contributions.iter().find_map(|(_, added)| not_finite(added)) {
                return found(When::Backward, value, step.node);
            }
        }
        let gradients = steps.finish();
        model
            .parameters()
            .into_iter()
            .find_map(|(_, param)| found(When::Sum, not_finite(gradients.get(param)?)?, tape.node_of(param)?))
    }
}

/// The first entry that is not finite.
pub(crate) fn not_finite<T: Float>(x: &Tensor<T>) -> Option<f64> {
    if all_finite(x.as_slice()) {
        return None;
    }
    x.as_slice().iter().find(|x| !x.is_finite()).map(|x| x.to_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Param, Tape};

    fn weight(value: f32) -> Param {
        Param::new(Tensor::full([2], value))
    }

    fn anomaly(weight: &Param, loss: impl for<'t> Fn(Var<'t>) -> Var<'t>) -> Option<Anomaly> {
        let tape = Tape::eval();
        loss(tape.param(weight)).first_anomaly(weight)
    }

    #[test]
    fn what_is_finite_has_none() {
        assert!(anomaly(&weight(1.0), |w| (w * w).sum()).is_none());
    }

    #[test]
    fn a_parameter_that_is_broken_itself_is_named() {
        struct Layer<T: Float> {
            weight: Param<T>,
        }
        crate::parameters!(Layer { weight });
        let layer = Layer { weight: weight(f32::INFINITY) };
        let tape = Tape::eval();
        let anomaly = tape.param(&layer.weight).sum().first_anomaly(&layer).unwrap();
        let said = anomaly.to_string();
        assert!(said.starts_with("#0 param [2] of weight (autograd/src/anomaly.rs:"), "{said}");
        assert!(said.ends_with(") holds inf"), "{said}");
    }

    #[test]
    fn the_forward_op_that_overflows_is_named_with_shapes_and_line() {
        let anomaly =
            anomaly(&weight(1e30), |w| (w.scale(2.0) * w.scale(3.0)).label("square").sum()).unwrap();
        assert_eq!(anomaly.when, When::Forward);
        let said = anomaly.to_string();
        let start = "the forward pass of #3 mul [2] · [2] → [2] \"square\" (";
        assert!(said.starts_with(start) && said.contains("anomaly.rs:"), "{said}");
        assert!(said.ends_with("is the first to give inf"), "{said}");
    }

    #[test]
    fn the_rule_that_overflows_is_named_where_all_values_are_finite() {
        // 1e-30 · 1e30 · 1e30 is finite, and so is the gradient 1e30 that reaches the first product; 1e60 is not.
        let anomaly = anomaly(&weight(1e-30), |w| w.scale(1e30).scale(1e30).sum()).unwrap();
        assert_eq!((anomaly.when, anomaly.place.node.op), (When::Backward, "scale"));
        assert_eq!((anomaly.place.node.id.index(), anomaly.value), (1, f64::INFINITY));
    }

    #[test]
    fn a_sum_of_gradients_that_overflows_is_named() {
        let weight = weight(1e-30);
        for inner in [false, true] {
            let tape = Tape::eval();
            let w = tape.param(&weight);
            let x = if inner { w.relu() } else { w };
            let anomaly = (x.scale(3e38) + x.scale(3e38)).sum().first_anomaly(&weight).unwrap();
            assert_eq!((anomaly.when, anomaly.place.node.id), (When::Sum, x.id()));
        }
    }
}

//! Before training: does every parameter of a whole model learn, and is its gradient right?
//!
//! Layers can each be right while the model still freezes a parameter: a `detach` too many, a layer that is built and
//! never called, a value that is read off the tape and put back as a constant. Only a sweep of the whole loss sees that.
//!
//! The price is that of one backward pass and a few forward passes, whatever the number of parameters: they are all moved
//! at once (see `differences`). Only a mismatch costs more, since it is then narrowed down to a parameter and an op.

mod differences;
mod failure;
mod path;

use std::fmt;

use crate::anomaly::not_finite;
use crate::gradcheck::{GradCheck, largest};
use crate::tape::{Tape, Var};
use crate::{Gradients, Param, Parameters, Tensor};

use differences::{Difference, Differences};
pub use failure::{AuditFailure, PathEnd};

/// A passed audit.
#[derive(Clone, Debug)]
pub struct AuditReport {
    /// The number of parameters, all of which the sweep has reached.
    pub parameters: usize,
    /// Those beside them that are frozen and get no gradient.
    pub frozen: usize,
    /// Those whose gradient is zero to rounding, with the reason that makes it so.
    pub zero: Vec<(String, &'static str)>,
    /// The distance of the gradients from differences of the loss, relative to the change of the loss to be expected.
    pub worst_difference: f64,
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "audit: {} parameters reached", self.parameters)?;
        if self.frozen > 0 {
            write!(f, ", {} frozen", self.frozen)?;
        }
        if !self.zero.is_empty() {
            let mut reasons: Vec<&str> = self.zero.iter().map(|(_, reason)| *reason).collect();
            reasons.sort_unstable();
            reasons.dedup();
            write!(f, ", {} zero by mathematics ({})", self.zero.len(), reasons.join("; "))?;
        }
        write!(f, ", worst difference {:.0e}", self.worst_difference)
    }
}

/// A gradient whose largest entry is at most this part of the largest entry of all is zero to rounding: what should
/// cancel leaves about 1e-16 of its terms.
const ZERO: f64 = 1e-12;

/// The seed of the tapes: all passes drop the same entries.
const SEED: u64 = 0xa0d1;

/// Checks that the scalar `loss` reaches every parameter of `model`, and that all gradients are finite, not zero, and
/// agree with differences of the loss. The model is as it was when this returns. Parameters that are
/// [frozen](Param::freeze) are held still and not looked at.
///
/// A gradient may be zero to rounding where `zero_by_mathematics` gives the reason for that path. A table is one
/// parameter: rows that the loss does not use are zeros within a gradient that is not. A reason never excuses a
/// parameter that the sweep does not reach, nor one whose gradient disagrees with the difference.
///
/// The tapes are those of training with a fixed seed, so that dropout's rules are audited too and every pass drops the
/// same entries: the loss stays one function, of which differences can be taken. A loss far below one is not told from
/// its rounding errors, so it should be a mean and not that divided by a large number.
///
/// ```
/// use autograd::{Param, Tensor, audit};
/// let mut weight = Param::new(Tensor::new([2, 2], vec![0.3, -0.2, 0.1, 0.7]));
/// let x = Tensor::new([1, 2], vec![1.0, 2.0]);
/// let report = audit(&mut weight, |_| None, |tape, weight| {
///     tape.constant(x.clone()).linear(tape.param(weight), None).gelu().sum()
/// });
/// assert_eq!(report.unwrap().parameters, 1);
///
/// let failure = audit(&mut weight, |_| None, |tape, weight| {
///     let frozen = tape.constant(x.clone()).linear(tape.param(weight).detach(), None);
///     frozen.gelu().sum()
/// });
/// assert!(failure.unwrap_err().to_string().contains("detach"));
/// ```
///
/// # Errors
/// The first parameter that fails, by its path, and the place on the tape to look at.
///
/// # Panics
/// Where the loss is not a scalar.
#[track_caller]
pub fn audit<M: Parameters<f64>>(
    model: &mut M,
    zero_by_mathematics: impl Fn(&str) -> Option<&'static str>,
    loss: impl for<'t> Fn(&'t Tape<f64>, &M) -> Var<'t, f64>,
) -> Result<AuditReport, AuditFailure> {
    let tape = Tape::train(SEED);
    let output = loss(&tape, model);
    let value = output.value().item();
    let swept = Swept::new(output);
    if let Some(place) = swept.first_not_finite(&*model, value) {
        let anomaly = output.first_anomaly(&*model);
        return Err(AuditFailure::NotFinite { place, anomaly: anomaly.map(Box::new) });
    }
    let gradients = swept.all_reached(&*model)?;
    let zero = swept.zeros(&*model, &gradients, zero_by_mathematics)?;

    // In the order of execution: of several wrong gradients, the one nearest to the wrong rule is that of the last.
    let nodes: Vec<_> = trained(model).into_iter().map(|(_, param)| tape.node_of(param)).collect();
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|&k| nodes[k]);
    let parameters = gradients.len();
    let frozen = model.parameters().len() - parameters;
    let differences = Differences::new(model, gradients, value, |model| {
        let tape = Tape::train(SEED);
        loss(&tape, model).value().item()
    });
    match differences.compare(&order) {
        Ok(worst_difference) => Ok(AuditReport { parameters, frozen, zero, worst_difference }),
        Err((k, Difference { analytic, numeric, error, .. })) => {
            let (path, _) = trained(model).swap_remove(k);
            // Differences of one op need not be fine to tell a wrong rule from a right one.
            let check = GradCheck { tolerance: 1e-4, entries: 0, directions: 2, ..GradCheck::default() };
            let reader = nodes[k].and_then(|node| path::first_reader(&tape, &*model, node)).map(Box::new);
            let culprit = check.culprit(&tape);
            Err(AuditFailure::Mismatch { path, analytic, numeric, error, culprit, reader })
        }
    }
}

/// The parameters that are not frozen.
fn trained(model: &dyn Parameters<f64>) -> Vec<(String, &Param<f64>)> {
    let mut parameters = model.parameters();
    parameters.retain(|(_, param)| !param.is_frozen());
    parameters
}

/// One sweep over a tape.
struct Swept<'t> {
    tape: &'t Tape<f64>,
    gradients: Gradients<f64>,
    /// The largest entry of the gradient that has reached each op; `None` where none has.
    reached: Vec<Option<f64>>,
}

impl<'t> Swept<'t> {
    fn new(output: Var<'t, f64>) -> Self {
        let tape = output.tape();
        let mut reached = vec![None; tape.len()];
        let mut gradients = Gradients::default();
        if output.needs_grad() {
            let mut steps = output.steps();
            for step in steps.by_ref() {
                reached[step.node.index()] = Some(largest(&step.dy));
            }
            gradients = steps.finish();
        }
        Self { tape, gradients, reached }
    }

    /// What is not finite: the loss, or the gradient of a parameter.
    fn first_not_finite(&self, model: &dyn Parameters<f64>, loss: f64) -> Option<String> {
        if !loss.is_finite() {
            return Some("the loss".to_owned());
        }
        let broken = |param| self.gradients.get(param).and_then(not_finite).is_some();
        let broken = model.parameters().into_iter().find(|(_, param)| broken(param));
        broken.map(|(path, _)| format!("the gradient of {path}"))
    }

    /// The gradients of all parameters that are not frozen, in the model's order.
    fn all_reached(&self, model: &dyn Parameters<f64>) -> Result<Vec<Tensor<f64>>, AuditFailure> {
        let (mut gradients, mut missing) = (Vec::new(), Vec::new());
        for (path, param) in trained(model) {
            match self.gradients.get(param) {
                Some(gradient) => gradients.push(gradient.clone()),
                None => missing.push((path, param)),
            }
        }
        let others = missing.len().saturating_sub(1);
        let Some((path, param)) = missing.into_iter().next() else { return Ok(gradients) };
        let end = self.end_of_path(model, param, |size| size.is_some());
        Err(AuditFailure::NotReached { path, others, end })
    }

    /// The parameters whose gradients are zero to rounding, where all of them may be.
    fn zeros(
        &self,
        model: &dyn Parameters<f64>,
        gradients: &[Tensor<f64>],
        reason: impl Fn(&str) -> Option<&'static str>,
    ) -> Result<Vec<(String, &'static str)>, AuditFailure> {
        let largest_of_all = gradients.iter().map(largest).fold(0.0, f64::max);
        let limit = ZERO * largest_of_all;
        let mut zero = Vec::new();
        for ((path, param), gradient) in trained(model).into_iter().zip(gradients) {
            let size = largest(gradient);
            if size > limit {
                continue;
            }
            let Some(reason) = reason(&path) else {
                // An op that still gets a gradient worth the name, and gives none on.
                let end = self.end_of_path(model, param, |size| size.is_some_and(|size| size > limit));
                return Err(AuditFailure::Zero { path, largest: size, largest_of_all, end });
            };
            zero.push((path, reason));
        }
        Ok(zero)
    }

    fn end_of_path(
        &self,
        model: &dyn Parameters<f64>,
        param: &Param<f64>,
        alive: impl Fn(Option<f64>) -> bool,
    ) -> PathEnd {
        match self.tape.node_of(param) {
            Some(node) => path::end(self.tape, model, node, |node| alive(self.reached[node])),
            None => PathEnd::NeverUsed,
        }
    }
}

#[cfg(test)]
mod tests;

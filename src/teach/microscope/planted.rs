//! Planted bugs: the same pass with a wrong rule in one of its ops, and what becomes of the gradients.

use autograd::faults::{self, Fault};
use autograd::{Tape, Tensor, Var};

use super::record::{Microscope, Swept, norm};
use super::verdict::{Cell, largest, rule_cell};

/// What a planted bug does.
#[derive(Debug)]
pub(super) struct Planted {
    pub(super) fault: &'static Fault,
    /// The node that is to blame: of those that have the bug, the one that the sweep reaches first.
    pub(super) culprit: usize,
    pub(super) wrong: Wrong,
    /// Nodes whose gradient is wrong, and by what part of its norm.
    pub(super) poisoned: Vec<(usize, f64)>,
    /// The loss of the pass with the bug.
    pub(super) loss: f64,
}

/// What is wrong at the culprit.
#[derive(Debug)]
pub(super) enum Wrong {
    /// What its rule adds to this input; the cell that is farthest off, beside a difference.
    Rule { input: usize, added: Tensor<f64>, cell: Cell, right: f64 },
    /// The sum of what its readers added.
    Sum { gradient: Tensor<f64>, at: usize, right: f64 },
    /// Its value: forward and backward pass are wrong together, and differences agree with the wrong gradient.
    Value { value: Tensor<f64>, at: usize, right: f64 },
}

/// Differences below this part of the norm are roundings.
const ROUNDING: f64 = 1e-9;

impl Microscope {
    /// Runs the pass again with every bug that fits an op on the tape. `loss` must build the very same pass on the tape
    /// it is given, which is made by `tape`.
    #[must_use]
    pub fn planted(
        mut self,
        tape: impl Fn() -> Tape<f64>,
        loss: impl for<'t> Fn(&'t Tape<f64>) -> Var<'t, f64>,
    ) -> Self {
        let right = tape();
        loss(&right);
        let fits = |fault: &&'static Fault| {
            fault.equivalent.is_none()
                && (fault.op == "sweep" || self.nodes.iter().any(|node| node.op == fault.op))
        };
        let planted = faults::all().filter(fits).filter_map(|fault| {
            let with = tape();
            with.plant(fault);
            let root = loss(&with);
            // A bug that makes other nodes cannot be shown beside the right ones.
            (root.id().index() == self.root).then(|| self.compare(fault, &right, root)).flatten()
        });
        self.planted = planted.collect();
        self
    }

    fn compare(&self, fault: &'static Fault, tape: &Tape<f64>, root: Var<'_, f64>) -> Option<Planted> {
        let swept = Swept::of(root);
        let off = |place: usize| {
            let (right, wrong) = (self.nodes[place].gradient.as_ref()?, swept.gradients.get(&place));
            let wrong = wrong.map_or_else(|| norm(right), |wrong| distance(right, wrong));
            let part = wrong / norm(right).max(f64::MIN_POSITIVE);
            (part > ROUNDING && wrong > f64::EPSILON).then_some((place, part))
        };
        let poisoned: Vec<_> = (0..self.nodes.len()).filter_map(off).collect();
        let (culprit, wrong) = (self.wrong_value(&root))
            .or_else(|| self.wrong_rule(fault, &swept, tape))
            .or_else(|| self.wrong_sum(&swept, &poisoned))?;
        Some(Planted { fault, culprit, wrong, poisoned, loss: root.value().as_slice()[0] })
    }

    /// The first node whose value is another.
    fn wrong_value(&self, root: &Var<'_, f64>) -> Option<(usize, Wrong)> {
        (self.nodes.iter().enumerate()).find_map(|(place, node)| {
            let value = root.tape().nth(node.id.index()).value();
            let at = farthest(&node.value, &value)?;
            Some((place, Wrong::Value { value, at, right: node.value.as_slice()[at] }))
        })
    }

    /// The first node in the sweep with the bug whose rule adds something else.
    fn wrong_rule(&self, fault: &Fault, swept: &Swept, tape: &Tape<f64>) -> Option<(usize, Wrong)> {
        let of_op = self.sweep.iter().copied().filter(|&place| self.nodes[place].op == fault.op);
        of_op.into_iter().find_map(|place| {
            let dy = swept.gradients.get(&place)?;
            self.nodes[place].inputs.iter().find_map(|&input| {
                let term = |terms: &[super::Term]| {
                    terms.iter().find(|term| term.from == place).map(|term| term.value.clone())
                };
                let right = term(&self.nodes[input].terms)?;
                let added = term(swept.terms.get(&input)?)?;
                let at = farthest(&right, &added)?;
                let cell = rule_cell(tape, &self.nodes, [place, input], at, dy, &added);
                Some((place, Wrong::Rule { input, added, cell, right: right.as_slice()[at] }))
            })
        })
    }

    /// The first node in the sweep whose gradient is no sum.
    fn wrong_sum(&self, swept: &Swept, poisoned: &[(usize, f64)]) -> Option<(usize, Wrong)> {
        let first =
            self.sweep.iter().copied().find(|place| poisoned.iter().any(|(other, _)| other == place))?;
        let (right, gradient) = (self.nodes[first].gradient.as_ref()?, swept.gradients.get(&first)?.clone());
        let at = farthest(right, &gradient)?;
        let right = right.as_slice()[at];
        Some((first, Wrong::Sum { gradient, at, right }))
    }
}

fn distance(a: &Tensor<f64>, b: &Tensor<f64>) -> f64 {
    a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// The entry by which `b` is farthest from `a`, where that is more than rounding.
fn farthest(a: &Tensor<f64>, b: &Tensor<f64>) -> Option<usize> {
    let differences = a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a - b).abs());
    let (at, difference) = differences.enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    // Also true of a difference that is no number.
    let rounding = difference <= ROUNDING * largest(a).max(f64::MIN_POSITIVE);
    (!rounding).then_some(at)
}

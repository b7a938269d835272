//! Verdicts: gradients of the tape beside central differences, cell by cell.

use autograd::rng::{self, Stream};
use autograd::{Tape, Tensor};
use serde::Serialize;

use super::record::{Microscope, NodeRecord};

/// What finite differences say of one node. Only the cells that are named were checked.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Whether nothing that was checked disagrees.
    pub ok: bool,
    /// What the differences tell.
    pub outcome: Outcome,
    /// Why the gradient is zero, where it is by mathematics: `key_bias`, or `other`.
    pub zero: Option<&'static str>,
    /// The largest entry of the gradient, which errors are relative to.
    pub largest: f64,
    /// ∂L/∂value, the whole way to the loss: cells of the node are moved, and all that depends on them runs again.
    pub loss: Vec<Cell>,
    /// The first cell of `loss` again with other steps: step size, and the error relative to the largest entry.
    pub curve: Vec<[f64; 2]>,
    /// The rule of the node's own op: what it adds to each input, beside differences of its own forward pass.
    pub rules: Vec<RuleCheck>,
}

/// What differences tell of a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All cells agree.
    Agrees,
    /// Some cell does not.
    Disagrees,
    /// Nothing: the gradient is zero by mathematics, and what is left of it and of the difference are roundings.
    Zero,
    /// Nothing: roundings of the difference are as large as the gradient.
    Blind,
}

/// The rule of an op, checked for one input.
#[derive(Clone, Debug, Serialize)]
pub struct RuleCheck {
    /// The input.
    pub input: usize,
    /// Whether all cells agree.
    pub ok: bool,
    /// The cells.
    pub cells: Vec<Cell>,
}

/// One cell, by the tape and by differences.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The entry's number in row-major order.
    pub at: usize,
    /// What the tape says.
    pub analytic: f64,
    /// What the central difference says.
    pub numeric: f64,
    /// How far they are apart, relative to the largest entry of the gradient.
    pub error: f64,
    /// How far roundings alone may take them apart, relative to the same.
    pub noise: f64,
    /// Whether the error is below 1e-6 and ten times the noise together.
    pub ok: bool,
}

/// Errors up to this part of the largest entry agree.
const TOLERANCE: f64 = 1e-6;

/// The step, for entries of size up to 1. Short, so that few rectifiers change sides; the noise that it costs is reported.
const STEP: f64 = 1e-6;

/// How many entries may be computed again for the verdicts of a page: some seconds.
const WORK: usize = 50_000_000_000;

/// Step sizes of the curve.
const CURVE: i32 = 11;

impl Microscope {
    /// Checks every node by finite differences on its tape: three cells of each, with a curve of the error against the
    /// step; fewer of a large model, and no curves.
    #[must_use]
    pub fn verified(mut self, tape: &Tape<f64>) -> Self {
        let entries: usize = self.nodes.iter().map(|node| node.value.len()).sum();
        let moved = self.nodes.iter().filter(|node| node.gradient.is_some()).count();
        // Half of the tape, on average, lies behind a node; an entry of a product costs about its inner size.
        let cost = entries * moved * 16;
        let cells = if cost * 6 <= WORK { 3 } else { 1 };
        let curves = cost * (6 + 2 * CURVE as usize) <= WORK;
        for place in 0..self.nodes.len() {
            self.nodes[place].verdict = self.verdict(tape, place, cells, curves);
        }
        self
    }

    fn verdict(&self, tape: &Tape<f64>, place: usize, count: usize, curves: bool) -> Option<Verdict> {
        let node = &self.nodes[place];
        let gradient = node.gradient.as_ref()?;
        let root = self.nodes[self.root].id;
        let at_loss = |moved| tape.replay(node.id, moved, root).as_slice()[0];
        let largest = largest(gradient);
        let compared = |&at: &usize| {
            let step = STEP * node.value.as_slice()[at].abs().max(1.0);
            let (numeric, noise) = slope(&node.value, at, step, self.loss().abs(), at_loss);
            Cell::new(at, gradient.as_slice()[at], numeric, noise, largest)
        };
        let chosen = chosen(gradient, count, place);
        let loss: Vec<Cell> = chosen.iter().map(compared).collect();
        let curve = if curves && place != self.root { chosen.first() } else { None };
        let curve = curve.map_or(Vec::new(), |&at| {
            let error = |step: f64| {
                let (numeric, _) = slope(&node.value, at, step, 0.0, at_loss);
                (numeric - gradient.as_slice()[at]).abs() / largest
            };
            (1..=CURVE).map(|power| 10f64.powi(-power)).map(|step| [step, error(step)]).collect()
        });
        let rules = rule_checks(tape, &self.nodes, place, gradient, |input| {
            self.nodes[input].terms.iter().find(|term| term.from == place).map(|term| term.value.clone())
        });
        let ok = loss.iter().all(|cell| cell.ok) && rules.iter().all(|rule| rule.ok);
        // With so much noise a gradient that is a tenth off would pass.
        let blind = loss.iter().all(|cell| 10.0 * cell.noise > 0.1);
        let outcome = match (ok, node.zero) {
            (false, _) => Outcome::Disagrees,
            (true, Some(_)) if blind => Outcome::Zero,
            // It is said to be zero, and is not.
            (true, Some(_)) => Outcome::Disagrees,
            (true, None) if blind => Outcome::Blind,
            (true, None) => Outcome::Agrees,
        };
        let key_bias = node.path.ends_with("k_proj.bias");
        let zero = (outcome == Outcome::Zero).then_some(if key_bias { "key_bias" } else { "other" });
        Some(Verdict { ok: outcome != Outcome::Disagrees, outcome, zero, largest, loss, curve, rules })
    }
}

/// Checks the rule of one node, where `dy` reached it and `contribution` is what it added to each input.
pub(super) fn rule_checks(
    tape: &Tape<f64>,
    nodes: &[NodeRecord],
    place: usize,
    dy: &Tensor<f64>,
    contribution: impl Fn(usize) -> Option<Tensor<f64>>,
) -> Vec<RuleCheck> {
    let mut inputs = nodes[place].inputs.clone();
    inputs.dedup();
    (inputs.into_iter())
        .filter_map(|input| {
            let added = contribution(input)?;
            let cells: Vec<Cell> = (chosen(&added, 2, place + input).into_iter())
                .map(|at| rule_cell(tape, nodes, [place, input], at, dy, &added))
                .collect();
            Some(RuleCheck { input, ok: cells.iter().all(|cell| cell.ok), cells })
        })
        .collect()
}

/// One cell of what a node adds to one of its inputs, beside a difference of its own forward pass.
pub(super) fn rule_cell(
    tape: &Tape<f64>,
    nodes: &[NodeRecord],
    [place, input]: [usize; 2],
    at: usize,
    dy: &Tensor<f64>,
    added: &Tensor<f64>,
) -> Cell {
    let node = &nodes[place];
    let product = |y: &Tensor<f64>| -> f64 {
        y.as_slice().iter().zip(dy.as_slice()).filter(|(_, dy)| **dy != 0.0).map(|(y, dy)| y * dy).sum()
    };
    let size = node.value.as_slice().iter().zip(dy.as_slice()).map(|(y, dy)| (y * dy).abs()).sum();
    let x = &nodes[input].value;
    let run = |moved: Tensor<f64>| {
        let values: Vec<&Tensor<f64>> = (node.inputs.iter())
            .map(|&other| if other == input { &moved } else { &nodes[other].value })
            .collect();
        // By its place: the tape may be another than that of the record, with a bug planted on it.
        let id = tape.nth(node.id.index()).id();
        tape.rerun(id, &values).map_or(f64::NAN, |y| product(&y))
    };
    // Alone, an op is not so curved, and a longer step is less rounded.
    let step = 10.0 * STEP * x.as_slice()[at].abs().max(1.0);
    let (numeric, noise) = slope(x, at, step, size, run);
    Cell::new(at, added.as_slice()[at], numeric, noise, largest(added))
}

impl Cell {
    fn new(at: usize, analytic: f64, numeric: f64, noise: f64, largest: f64) -> Self {
        let (distance, noise) = ((analytic - numeric).abs(), noise.max(f64::MIN_POSITIVE));
        // A gradient that is zero by mathematics, such as that of a key's bias, is held to roundings alone.
        let ok = distance <= TOLERANCE * largest + 10.0 * noise;
        let scale = largest.max(noise);
        Self { at, analytic, numeric, error: distance / scale, noise: noise / scale, ok }
    }
}

/// The central difference of `f` along one entry of `x`, and what its roundings may be where its terms are of this size.
fn slope(x: &Tensor<f64>, at: usize, step: f64, size: f64, f: impl Fn(Tensor<f64>) -> f64) -> (f64, f64) {
    let moved = |by: f64| {
        let mut moved = x.clone();
        moved.make_mut()[at] += by;
        // What was really added, after rounding.
        let by = moved.as_slice()[at] - x.as_slice()[at];
        (f(moved), by)
    };
    let ((up, ahead), (down, behind)) = (moved(step), moved(-step));
    ((up - down) / (ahead - behind), 4.0 * f64::EPSILON * size / (2.0 * step))
}

/// The largest entry, and others at random.
fn chosen(gradient: &Tensor<f64>, count: usize, seed: usize) -> Vec<usize> {
    let sizes = gradient.as_slice().iter().map(|g| g.abs());
    let largest = sizes.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(place, _)| place);
    let mut stream = Stream::new(rng::derive(1, seed as u64));
    let others = (1..count).map(|_| (stream.bits() % gradient.len().max(1) as u64) as usize);
    let mut chosen = vec![largest];
    for other in others {
        if !chosen.contains(&other) {
            chosen.push(other);
        }
    }
    chosen
}

pub(super) fn largest(x: &Tensor<f64>) -> f64 {
    x.as_slice().iter().map(|x| x.abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use autograd::Param;

    use super::*;

    /// What differences tell of a shift of all scores, which softmax does not see, and of a factor, which it sees.
    fn outcomes(excused: bool) -> [(Outcome, Option<&'static str>); 2] {
        let [shift, factor] = [0.3, 0.7].map(|x| Param::new(Tensor::new([1], vec![x])));
        let tape = Tape::<f64>::eval();
        let x = tape.input(Tensor::new([3], vec![0.1, -0.4, 0.9]));
        let weights = (x * tape.param(&factor) + tape.param(&shift)).softmax();
        let loss = (weights * tape.constant(Tensor::new([3], vec![1.0, -2.0, 0.5]))).sum();
        let record = Microscope::record(&tape, loss).excused(|_| excused.then_some("for the test"));
        let params = record.verified(&tape).nodes.into_iter().filter(|node| node.op == "param");
        let verdicts: Vec<_> = params.filter_map(|node| node.verdict).map(|v| (v.outcome, v.zero)).collect();
        let [factor, shift] = verdicts[..] else { panic!("{verdicts:?}") };
        [shift, factor]
    }

    #[test]
    fn nothing_is_said_to_agree_where_roundings_are_as_large_as_the_gradient() {
        assert_eq!(outcomes(false), [(Outcome::Blind, None), (Outcome::Agrees, None)]);
    }

    #[test]
    fn what_is_zero_by_mathematics_is_counted_apart_and_an_excuse_for_what_is_not_zero_is_refused() {
        assert_eq!(outcomes(true), [(Outcome::Zero, Some("other")), (Outcome::Disagrees, None)]);
    }
}

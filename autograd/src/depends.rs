//! Which rows of an output depend on which rows of an input: proofs from Jacobians that are exactly zero.
//!
//! A mask is right where the derivative of what must not see with respect to what must not be seen is zero: not small,
//! zero. Two passes say so independently of each other. The backward pass (*pulled*) sees what the rules let through,
//! a forward pass in [`Dual`] numbers (*pushed*) what the computation itself does; where they differ, a rule and its
//! forward disagree about the mask.
//!
//! A row is the run of entries along the last axis: of states `[B, T, D]`, row `b·T + t` is position `t` of sentence `b`.
//!
//! What is proved is proved at one point, for one direction in each row. Both are random, and a Jacobian that is not zero
//! sends a random direction to zero with probability zero. At that point a rectifier that is off is independent of its
//! input, so models are best asked with a smooth activation.

use std::fmt;
use std::ops::Range;

use crate::rng::{self, Stream};
use crate::tape::Var;
use crate::{Dual, Shape, Tensor};

/// Whether any of the rows `outputs` of `y` depends on any of the rows `inputs` of the leaf `x`, an input or a parameter, by the backward pass of
/// their tape: whether the vector-Jacobian product of a random cotangent on these outputs is anything but zero there.
///
/// ```
/// use autograd::{Keep, Tape, Tensor, depends, rng::Stream};
/// let tape = Tape::eval();
/// let x = tape.input(Tensor::normal([3, 1], 1.0, &mut Stream::new(1)));
/// let causal = Keep::new([3, 3], [true, false, false, true, true, false, true, true, true]);
/// let y = x.matmul_nt(x).masked_softmax(&causal).matmul(x);
/// assert!(depends((y, 2..3), (x, 0..1)), "the last sees the first");
/// assert!(!depends((y, 0..1), (x, 1..3)), "the first sees no later one");
/// ```
///
/// # Panics
/// Where rows are asked for that there are not, or the backward pass has freed the tape.
#[track_caller]
pub fn depends(
    (y, outputs): (Var<'_, f64>, Range<usize>),
    (x, inputs): (Var<'_, f64>, Range<usize>),
) -> bool {
    let (width, rows) = (x.shape().last(), x.shape().rows());
    assert!(inputs.start <= inputs.end && inputs.end <= rows, "depends: no rows {inputs:?} in {}", x.shape());
    let Some(gradient) = pull(y, outputs, x) else { return false };
    !is_zero(&gradient.as_slice()[inputs.start * width..inputs.end * width])
}

/// Which rows of an output depend on which rows of an input, as a matrix of flags.
///
/// ```
/// use autograd::{Dependence, Float, Tape, Tensor, Var, rng::Stream};
/// fn f<T: Float>(x: Var<'_, T>) -> Var<'_, T> {
///     x.slice(0, 0..2).concat(x.slice(0, 1..3) * x.slice(0, 0..2), 0)
/// }
/// let x = Tensor::normal([3, 2], 1.0, &mut Stream::new(1));
/// let tape = Tape::eval();
/// let input = tape.input(x.clone());
/// let pulled = Dependence::pulled(f(input), input);
/// let pushed = Dependence::pushed(&x, |x| f(Tape::eval().input(x)).value());
/// assert_eq!(pulled, pushed);
/// assert_eq!(pulled.to_string(), "█··\n·█·\n██·\n·██\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependence {
    flags: Vec<bool>,
    inputs: usize,
}

impl Dependence {
    /// What `sees(output, input)` says of every pair of rows: the dependence that ought to be.
    pub fn expected(outputs: usize, inputs: usize, sees: impl Fn(usize, usize) -> bool) -> Self {
        let sees = &sees;
        let flags = (0..outputs).flat_map(|output| (0..inputs).map(move |input| sees(output, input)));
        Self { flags: flags.collect(), inputs }
    }

    /// The dependence of `y` on the leaf `x`, an input or a parameter, by one backward pass for each row of `y`. The tape is not used up.
    ///
    /// # Panics
    /// Where a backward pass has freed the tape, or `x` is on another tape than `y`.
    #[track_caller]
    pub fn pulled(y: Var<'_, f64>, x: Var<'_, f64>) -> Self {
        let (outputs, inputs, width) = (y.shape().rows(), x.shape().rows(), x.shape().last());
        let mut flags = vec![false; outputs * inputs];
        for (output, flags) in flags.chunks_exact_mut(inputs.max(1)).enumerate() {
            let Some(gradient) = pull(y, output..output + 1, x) else { continue };
            for (flag, row) in flags.iter_mut().zip(gradient.as_slice().chunks_exact(width.max(1))) {
                *flag = !is_zero(row);
            }
        }
        Self { flags, inputs }
    }

    /// The dependence of `f(x)` on `x`, by one forward pass of `f` for each row of `x`.
    pub fn pushed(x: &Tensor<f64>, f: impl Fn(Tensor<Dual>) -> Tensor<Dual>) -> Self {
        let inputs = x.shape().rows();
        let columns: Vec<Vec<bool>> = (0..inputs)
            .map(|input| {
                let slope = f(Tensor::dual(x, &on_rows(x.shape(), input..input + 1))).tangents();
                slope.as_slice().chunks(slope.shape().last().max(1)).map(|row| !is_zero(row)).collect()
            })
            .collect();
        Self::expected(columns.first().map_or(0, Vec::len), inputs, |output, input| columns[input][output])
    }

    /// Whether row `output` depends on row `input`.
    ///
    /// # Panics
    /// Where there are no such rows.
    #[track_caller]
    pub fn sees(&self, output: usize, input: usize) -> bool {
        self.check(output..output.saturating_add(1), input..input.saturating_add(1));
        self.row(output)[input]
    }

    /// Whether any of the rows `outputs` depends on any of the rows `inputs`.
    ///
    /// # Panics
    /// Where there are no such rows.
    #[track_caller]
    pub fn any(&self, outputs: Range<usize>, inputs: Range<usize>) -> bool {
        self.check(outputs.clone(), inputs.clone());
        outputs.into_iter().any(|output| self.row(output)[inputs.clone()].contains(&true))
    }

    /// The number of output rows.
    pub fn outputs(&self) -> usize {
        self.flags.len() / self.inputs.max(1)
    }

    /// The number of input rows.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Stops where there are no such rows.
    #[track_caller]
    fn check(&self, outputs: Range<usize>, inputs: Range<usize>) {
        for (rows, there) in [(outputs, self.outputs()), (inputs, self.inputs)] {
            assert!(rows.start <= rows.end && rows.end <= there, "depends: no rows {rows:?} among {there}");
        }
    }

    fn row(&self, output: usize) -> &[bool] {
        &self.flags[output * self.inputs..][..self.inputs]
    }
}

/// A line for each output row, a column for each input row: `█` where it is seen, `·` where not.
impl fmt::Display for Dependence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for output in 0..self.outputs() {
            let line: String = self.row(output).iter().map(|&sees| if sees { '█' } else { '·' }).collect();
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// The vector-Jacobian product at `x` of a random cotangent on some rows of `y`.
#[track_caller]
fn pull(y: Var<'_, f64>, rows: Range<usize>, x: Var<'_, f64>) -> Option<Tensor<f64>> {
    assert!(std::ptr::eq(x.tape(), y.tape()), "depends: {x:?} is on another tape than {y:?}");
    let cotangent = on_rows(y.shape(), rows);
    if !y.needs_grad() {
        return None;
    }
    let gradients = y.steps_from(cotangent).finish();
    let param =
        x.tape().arena.borrow().params.iter().find_map(|(&param, &node)| (node == x.id()).then_some(param));
    match param {
        Some(param) => gradients.of_param(param).cloned(),
        None => gradients.wrt(x).cloned(),
    }
}

/// Random numbers in some rows, zero in the others.
#[track_caller]
fn on_rows(shape: Shape, rows: Range<usize>) -> Tensor<f64> {
    assert!(rows.start <= rows.end && rows.end <= shape.rows(), "depends: no rows {rows:?} in {shape}");
    let width = shape.last();
    let mut stream = Stream::new(rng::derive(1, rows.start as u64));
    let entries = rows.start * width..rows.end * width;
    // Between 1 and 2, and of both signs: no entry is so small that its product underflows to zero.
    let mut entry = || (1.0 + stream.uniform()) * if stream.bits() & 1 == 0 { 1.0 } else { -1.0 };
    Tensor::from_fn(shape, |i| if entries.contains(&i) { entry() } else { 0.0 })
}

/// A NaN is not zero: what is undefined may depend on anything.
fn is_zero(row: &[f64]) -> bool {
    row.iter().all(|&x| x == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Float, Keep, Tape};

    fn attend<'t, T: Float>(x: Var<'t, T>, keep: &Keep) -> Var<'t, T> {
        x.matmul_nt(x).masked_softmax(keep).matmul(x)
    }

    fn both_ways(keep: &Keep) -> Dependence {
        let x = Tensor::normal([4, 2], 1.0, &mut Stream::new(3));
        let tape = Tape::eval();
        let input = tape.input(x.clone());
        let pulled = Dependence::pulled(attend(input, keep), input);
        assert_eq!(pulled, Dependence::pushed(&x, |x| attend(Tape::eval().input(x), keep).value()));
        pulled
    }

    fn keep(kept: impl Fn(usize, usize) -> bool) -> Keep {
        Keep::new([4, 4], (0..16).map(|i| kept(i / 4, i % 4)).collect::<Vec<_>>())
    }

    #[test]
    fn a_causal_mask_is_seen_as_it_is_written() {
        let dependence = both_ways(&keep(|query, key| key <= query));
        assert_eq!(dependence.to_string(), "█···\n██··\n███·\n████\n");
        assert_eq!(dependence, Dependence::expected(4, 4, |output, input| input <= output));
        assert!(dependence.any(1..3, 2..3) && !dependence.any(0..2, 2..4));
        assert!(dependence.sees(3, 0) && !dependence.sees(0, 3));
        assert_eq!((dependence.outputs(), dependence.inputs()), (4, 4));
    }

    #[test]
    fn a_mask_that_is_off_by_one_is_seen_to_leak() {
        assert_eq!(both_ways(&keep(|query, key| key <= query + 1)).to_string(), "██··\n███·\n████\n████\n");
    }

    #[test]
    fn a_leak_of_the_smallest_number_is_a_leak() {
        let tape = Tape::eval();
        let x = tape.input(Tensor::new([2, 1], vec![1.0, 2.0]));
        let y = x.slice(0, 0..1) + x.slice(0, 1..2).scale(f64::MIN_POSITIVE);
        assert!(depends((y, 0..1), (x, 1..2)));
        assert!(!depends((x.slice(0, 0..1), 0..1), (x, 1..2)));
    }

    #[test]
    fn what_the_rule_does_not_say_the_computation_does() {
        let x = Tensor::normal([2, 1], 1.0, &mut Stream::new(3));
        let tape = Tape::eval();
        let input = tape.input(x.clone());
        let detached = input.concat(tape.constant(x.clone()), 1).detach();
        assert_eq!(Dependence::pulled(detached, input).to_string(), "··\n··\n");
        let pushed = Dependence::pushed(&x, |x| Tape::eval().input(x).detach().value());
        assert_eq!(pushed.to_string(), "█·\n·█\n");
    }

    #[test]
    #[should_panic(expected = "depends: no rows 1..3 in [2, 1]")]
    fn rows_that_are_not_there_are_named() {
        let tape = Tape::eval();
        let x = tape.input(Tensor::zeros([2, 1]));
        depends((x.scale(2.0), 1..3), (x, 0..1));
    }
}

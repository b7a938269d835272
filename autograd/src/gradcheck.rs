//! Finite differences: is a gradient right?
//!
//! For `y = f(x)` and a random cotangent `u`, the vector-Jacobian product `Jᵀu` of the backward pass is compared with
//! central differences of `⟨u, f⟩`, in `f64`. The cotangent is random and signed because a plain sum hides errors: the
//! entries of a softmax or of a normalised row sum to a constant, so the gradient of their sum is zero whatever the
//! rule says.
//!
//! The step is `ε^⅓·max(1, |x|)`, which balances truncation (`h²`) against rounding (`ε/h`); what is left of a right
//! rule is about 1e-10 of the largest entry. Where a function curves sharply, or many entries move at once, truncation
//! is larger than that: before a difference is called a mismatch, it is taken again at twice the step, and of both
//! together the term in `h²` cancels (Richardson). A wrong rule stays wrong.

use std::fmt;

use crate::kernels::cpu::elementwise::dot;
use crate::rng::{self, Stream};
use crate::tape::{Tape, Var};
use crate::{Param, Parameters, Shape, Tensor};

/// How thoroughly to check.
#[derive(Clone, Debug)]
pub struct GradCheck {
    /// The largest error that passes, relative to the largest entry of the gradient.
    pub tolerance: f64,
    /// An input of at most this many entries is checked entry by entry.
    pub entries: usize,
    /// A larger one is checked along this many random directions.
    pub directions: usize,
    /// The seed of the cotangent, of the directions, and of the dropout masks.
    pub seed: u64,
}

impl Default for GradCheck {
    fn default() -> Self {
        Self { tolerance: 1e-8, entries: 256, directions: 8, seed: 1 }
    }
}

/// A passed check.
#[derive(Clone, Debug)]
pub struct Report {
    /// The largest error found, relative to the largest entry of its gradient.
    pub worst_error: f64,
    /// The number of entries and directions compared.
    pub compared: usize,
}

/// A failed check.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// Which input: its number or its path.
    pub input: String,
    /// Where: an entry such as `[0, 2]`, or a direction.
    pub place: String,
    /// What the backward pass says.
    pub analytic: f64,
    /// What differences say.
    pub numeric: f64,
    /// Their distance, relative to the largest entry.
    pub error: f64,
    /// The largest error that would have passed.
    pub tolerance: f64,
    /// The first op on the tape whose own rule disagrees with its own forward, where one could be found.
    pub culprit: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, place, analytic, numeric, error, tolerance, culprit } = self;
        write!(
            f,
            "gradcheck: {input}, {place}: analytic {analytic:.9e}, numeric {numeric:.9e}, error {error:.1e} > {tolerance:.0e}"
        )?;
        match culprit {
            Some(culprit) => write!(f, "; the rule of {culprit} is wrong"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Mismatch {}

/// Checks the gradient of `f` with respect to each of `inputs`, with the default settings.
///
/// ```
/// use autograd::{Tensor, gradcheck, rng::Stream};
/// let mut stream = Stream::new(1);
/// let [a, b] = [Tensor::normal([2, 3], 1.0, &mut stream), Tensor::normal([3, 4], 1.0, &mut stream)];
/// let report = gradcheck(|_, [a, b]| a.matmul(b).softmax(), [a, b]).unwrap();
/// assert!(report.worst_error < 1e-8);
/// ```
///
/// # Errors
/// The first entry or direction that differs, and the op that is to blame.
pub fn gradcheck<const N: usize, F>(f: F, inputs: [Tensor<f64>; N]) -> Result<Report, Mismatch>
where
    F: for<'t> Fn(&'t Tape<f64>, [Var<'t, f64>; N]) -> Var<'t, f64>,
{
    GradCheck::default().run(&inputs, |tape, vars| f(tape, std::array::from_fn(|i| vars[i])))
}

/// Checks the gradient of the output of `f` with respect to every parameter of `model`, with the default settings.
///
/// # Errors
/// The first parameter entry or direction that differs, by its path.
pub fn gradcheck_model<M, F>(model: &mut M, f: F) -> Result<Report, Mismatch>
where
    M: Parameters<f64>,
    F: for<'t> Fn(&'t Tape<f64>, &M) -> Var<'t, f64>,
{
    GradCheck::default().run_model(model, f)
}

impl GradCheck {
    /// Checks the gradient of `f` with respect to each of `inputs`.
    ///
    /// # Errors
    /// The first entry or direction that differs.
    pub fn run<F>(&self, inputs: &[Tensor<f64>], f: F) -> Result<Report, Mismatch>
    where
        F: for<'t> Fn(&'t Tape<f64>, &[Var<'t, f64>]) -> Var<'t, f64>,
    {
        let tape = Tape::train(self.seed);
        let vars: Vec<_> = inputs.iter().map(|x| tape.input(x.clone())).collect();
        let output = f(&tape, &vars);
        let cotangent = self.cotangent(output.shape());
        let culprit = || self.culprit(&tape);
        let gradients = if output.needs_grad() {
            let gradients = steps_with(output, &cotangent);
            vars.iter().map(|&var| gradients.wrt(var).cloned()).collect()
        } else {
            vec![None; inputs.len()]
        };
        let analytic: Vec<Tensor<f64>> = gradients
            .into_iter()
            .zip(inputs)
            .map(|(gradient, x)| gradient.unwrap_or_else(|| Tensor::zeros(x.shape())))
            .collect();
        let largest_of_all = analytic.iter().map(largest).fold(0.0, f64::max);
        let mut inputs = inputs.to_vec();
        let mut report = Report { worst_error: 0.0, compared: 0 };
        for k in 0..inputs.len() {
            let x = inputs[k].clone();
            self.compare(
                &format!("input {k}"),
                &x,
                &analytic[k],
                largest_of_all,
                |moved| {
                    inputs[k] = moved;
                    let tape = Tape::train(self.seed);
                    let vars: Vec<_> = inputs.iter().map(|x| tape.input(x.clone())).collect();
                    f(&tape, &vars).value()
                },
                &cotangent,
                &mut report,
            )
            .map_err(|mismatch| Mismatch { culprit: culprit(), ..mismatch })?;
            inputs[k] = x;
        }
        Ok(report)
    }

    /// Checks the gradient of the output of `f` with respect to every parameter of `model`, which is as it was when
    /// this returns.
    ///
    /// # Errors
    /// The first parameter entry or direction that differs.
    pub fn run_model<M, F>(&self, model: &mut M, f: F) -> Result<Report, Mismatch>
    where
        M: Parameters<f64>,
        F: for<'t> Fn(&'t Tape<f64>, &M) -> Var<'t, f64>,
    {
        let names: Vec<String> = model.parameters().into_iter().map(|(path, _)| path).collect();
        let (cotangent, analytic, culprit) = {
            let tape = Tape::train(self.seed);
            let output = f(&tape, model);
            let cotangent = self.cotangent(output.shape());
            let gradients = steps_with(output, &cotangent);
            let of = |param: &Param<f64>| {
                gradients.get(param).cloned().unwrap_or_else(|| Tensor::zeros(param.value().shape()))
            };
            let analytic: Vec<_> = model.parameters().into_iter().map(|(_, param)| of(param)).collect();
            (cotangent, analytic, self.culprit(&tape))
        };
        let largest_of_all = analytic.iter().map(largest).fold(0.0, f64::max);
        let mut report = Report { worst_error: 0.0, compared: 0 };
        for (k, name) in names.iter().enumerate() {
            let x = model.parameters()[k].1.value().clone();
            let result = self.compare(
                name,
                &x,
                &analytic[k],
                largest_of_all,
                |moved| {
                    set_parameter(model, name, moved);
                    f(&Tape::train(self.seed), model).value()
                },
                &cotangent,
                &mut report,
            );
            set_parameter(model, name, x);
            result.map_err(|mismatch| Mismatch { culprit: culprit.clone(), ..mismatch })?;
        }
        Ok(report)
    }

    /// Entries of magnitude 1 to 2 and of random sign: none is near zero, so none hides an error.
    fn cotangent(&self, shape: Shape) -> Tensor<f64> {
        let mut stream = Stream::new(rng::derive(self.seed, 0));
        Tensor::from_fn(shape, |_| (1.0 + stream.uniform()) * sign(&mut stream))
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one comparison, used for inputs, parameters and single ops"
    )]
    fn compare(
        &self,
        name: &str,
        x: &Tensor<f64>,
        analytic: &Tensor<f64>,
        largest_of_all: f64,
        mut f: impl FnMut(Tensor<f64>) -> Tensor<f64>,
        cotangent: &Tensor<f64>,
        report: &mut Report,
    ) -> Result<(), Mismatch> {
        let mut along = |direction: &dyn Fn(usize) -> f64, steps: f64| {
            let step = steps * f64::EPSILON.cbrt();
            let (mut up, mut down) = (x.clone(), x.clone());
            let (mut travelled, mut squared) = (0.0, 0.0);
            for (i, (up, down)) in up.make_mut().iter_mut().zip(down.make_mut()).enumerate() {
                let d = direction(i);
                if d != 0.0 {
                    let h = step * if x.len() > self.entries { 1.0 } else { up.abs().max(1.0) };
                    *up += h * d;
                    *down -= h * d;
                    // What was really added, after rounding.
                    travelled += (*up - *down) * d;
                    squared += d * d;
                }
            }
            let (up, down) = (f(up), f(down));
            let (mut difference, mut size) = (0.0, 0.0);
            for ((up, down), u) in up.as_slice().iter().zip(down.as_slice()).zip(cotangent.as_slice()) {
                difference += (up - down) * u;
                size += (up * u).abs();
            }
            let travelled = travelled / squared;
            Slope { value: difference / travelled, rounding: ROUNDINGS * f64::EPSILON * size / travelled }
        };
        // An input whose gradient is zero by mathematics is held to the scale of its neighbours.
        let floor = 0.1 * largest_of_all;
        let mut verdict =
            |place: String, analytic: f64, numeric: Slope, scale: f64, twice: &mut dyn FnMut() -> Slope| {
                // No difference is finer than the function's own roundings. A gradient of zero, such as that of the
                // sum of a softmax, is held to them, and to nothing smaller.
                let scale = scale.max(floor).max(numeric.rounding / self.tolerance).max(f64::MIN_POSITIVE);
                let mut numeric = numeric.value;
                let mut error = (analytic - numeric).abs() / scale;
                // A NaN on either side is no agreement.
                let agrees = |error: f64| error <= self.tolerance;
                if !agrees(error) {
                    numeric = (4.0 * numeric - twice().value) / 3.0;
                    error = (analytic - numeric).abs() / scale;
                }
                report.compared += 1;
                report.worst_error = report.worst_error.max(error);
                if agrees(error) {
                    return Ok(());
                }
                let (input, tolerance) = (name.to_owned(), self.tolerance);
                Err(Mismatch { input, place, analytic, numeric, error, tolerance, culprit: None })
            };
        if x.len() <= self.entries {
            let numeric: Vec<Slope> = (0..x.len()).map(|i| along(&|j| one(i, j), 1.0)).collect();
            let scale = numeric.iter().map(|n| n.value.abs()).fold(largest(analytic), f64::max);
            for (i, numeric) in numeric.into_iter().enumerate() {
                let place = format!("entry {:?}", position(x.shape(), i));
                verdict(place, analytic.as_slice()[i], numeric, scale, &mut || along(&|j| one(i, j), 2.0))?;
            }
        } else {
            let norm = dot(analytic.as_slice(), analytic.as_slice()).sqrt();
            for k in 0..self.directions {
                let mut stream = Stream::new(rng::derive(self.seed, 1 + k as u64));
                let signs: Vec<f64> = (0..x.len()).map(|_| sign(&mut stream)).collect();
                let numeric = along(&|i| signs[i], 1.0);
                verdict(
                    format!("direction {k}"),
                    dot(analytic.as_slice(), &signs),
                    numeric,
                    norm,
                    &mut || along(&|i| signs[i], 2.0),
                )?;
            }
        }
        Ok(())
    }

    /// The first op on the tape whose own backward disagrees with differences of its own forward.
    fn culprit(&self, tape: &Tape<f64>) -> Option<String> {
        let arena = tape.arena.borrow();
        for (index, node) in arena.nodes.iter().enumerate() {
            let (Some(record), Some(value)) = (&node.record, &node.value) else { continue };
            let parents = record.parents();
            let inputs: Option<Vec<_>> =
                parents.iter().map(|id| arena.nodes[id.index()].value.as_ref()).collect();
            let Some(inputs) = inputs else { continue };
            let cotangent = self.cotangent(value.shape());
            let mut grads = vec![None; index];
            record.backward(&arena.nodes, index, &cotangent, &mut grads);
            for (k, id) in parents.iter().enumerate() {
                // A node used twice has one gradient for two inputs; it is moved in both places at once.
                if !arena.nodes[id.index()].needs_grad || parents[..k].contains(id) {
                    continue;
                }
                let analytic = grads[id.index()].take().unwrap_or_else(|| Tensor::zeros(inputs[k].shape()));
                let mut report = Report { worst_error: 0.0, compared: 0 };
                let result = self.compare(
                    "",
                    inputs[k],
                    &analytic,
                    largest(&analytic),
                    |moved| {
                        let moved: Vec<_> = (parents.iter().zip(&inputs))
                            .map(|(other, &x)| if other == id { &moved } else { x })
                            .collect();
                        record.rerun(&moved)
                    },
                    &cotangent,
                    &mut report,
                );
                if result.is_err() {
                    return Some(format!("{} #{index} ({})", node.name, node.location));
                }
            }
        }
        None
    }
}

/// A central difference.
struct Slope {
    /// The derivative it stands for.
    value: f64,
    /// How much of it may be roundings of the function.
    rounding: f64,
}

/// How many units in the last place a function's value may be off, being computed in many steps.
const ROUNDINGS: f64 = 4.0;

/// The gradients without freeing the tape, so that a mismatch can be traced to its op.
fn steps_with(output: Var<'_, f64>, cotangent: &Tensor<f64>) -> crate::Gradients<f64> {
    output.steps_from(cotangent.clone()).finish()
}

fn set_parameter<M: Parameters<f64>>(model: &mut M, name: &str, value: Tensor<f64>) {
    let mut value = Some(value);
    model.for_each_mut(|path, param| {
        if path == name
            && let Some(value) = value.take()
        {
            *param.value_mut() = value;
        }
    });
}

fn largest(x: &Tensor<f64>) -> f64 {
    x.as_slice().iter().map(|x| x.abs()).fold(0.0, f64::max)
}

/// The direction of entry `i`.
fn one(i: usize, j: usize) -> f64 {
    if i == j { 1.0 } else { 0.0 }
}

fn sign(stream: &mut Stream) -> f64 {
    if stream.bits() & 1 == 0 { 1.0 } else { -1.0 }
}

/// The index along each axis of entry `i`.
fn position(shape: Shape, i: usize) -> Vec<usize> {
    let strides = shape.strides();
    shape.iter().zip(strides).map(|(&size, stride)| i / stride % size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backward, Op};

    #[test]
    fn a_gradient_of_zero_passes_where_the_function_is_not_zero() -> Result<(), Mismatch> {
        let x = Tensor::normal([2, 4], 1.0, &mut Stream::new(3));
        gradcheck(|_, [x]| x.softmax().sum(), [x]).map(|_| ())
    }

    #[test]
    fn a_function_that_curves_sharply_passes() -> Result<(), Mismatch> {
        // Normalising rows of deviation 0.01 curves so much that a plain central difference is off by 5e-8.
        let inputs =
            [Tensor::normal([4, 8], 0.01, &mut Stream::new(3)), Tensor::full([8], 1.0), Tensor::zeros([8])];
        for entries in [256, 16] {
            let check = GradCheck { entries, ..GradCheck::default() };
            check.run(&inputs, |_, x| x[0].layer_norm(x[1], x[2], 0.0).softmax())?;
        }
        Ok(())
    }

    /// `y = x`, whose rule is off by one part in ten million.
    #[derive(Debug)]
    struct AlmostIdentity;

    impl Op<f64, 1> for AlmostIdentity {
        type Saved = ();
        const NAME: &'static str = "almost_identity";
        const RULE: &'static str = "dx += 1.0000001·dy";
        fn forward(&self, [x]: [&Tensor<f64>; 1]) -> (Tensor<f64>, ()) {
            (x.clone(), ())
        }
        fn backward(&self, _: &(), cx: Backward<'_, f64, 1>) {
            cx.grads[0].add(&cx.dy.map(|dy| 1.000_000_1 * dy));
        }
    }

    #[test]
    fn a_rule_that_is_off_by_very_little_is_rejected() {
        let x = Tensor::normal([4, 8], 1.0, &mut Stream::new(3));
        for entries in [256, 16] {
            let check = GradCheck { entries, ..GradCheck::default() };
            let wrong =
                check.run(std::slice::from_ref(&x), |tape, x| tape.apply(AlmostIdentity, [x[0]]).softmax());
            let mismatch = wrong.expect_err("the rule is wrong");
            assert!(
                mismatch.culprit.as_deref().is_some_and(|op| op.contains("almost_identity")),
                "{mismatch}"
            );
        }
    }
}

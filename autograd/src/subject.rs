//! One computation, written once for every number type, and all that can be checked of it.

use std::fmt;

use crate::cases::Case;
use crate::gradcheck::{GradCheck, Mismatch, Report, largest, sign};
use crate::rng::{self, Stream};
use crate::tape::{Tape, Var};
use crate::{Dual, Float, Gradients, Parameters, Tensor};

/// `u`, half of the distance from 1 to the next number of `f32`.
const ROUNDING: f64 = 0.5 * f32::EPSILON as f64;

/// How many times what `u` in all numbers does the roundings on the way may do. Of all layers and models, those that are off by
/// more than 2e-6 are off by 2 to 3 times as much, whatever it is.
const ROUNDINGS: f64 = 4.0;

/// How many random signs of roundings are tried.
const DRAWS: u64 = 8;

/// A computation to be checked: an op, a layer, or a model at work on inputs of its own.
///
/// It is written once for every number type, because every check wants another one: `f64` to compare with differences,
/// [`Dual`] to follow a direction exactly, `f32` to see what training sees.
///
/// ```
/// use autograd::{Float, GradCheck, Subject, Tape, Tensor, Var, rng::Stream, verify};
///
/// struct Gate;
///
/// impl Subject for Gate {
///     type Layer<T: Float> = ();
///     fn layer<T: Float>(&self) {}
///     fn inputs(&self) -> Vec<Tensor<f64>> {
///         let mut stream = Stream::new(1);
///         (0..2).map(|_| Tensor::normal([2, 3], 1.0, &mut stream)).collect()
///     }
///     fn run<'t, T: Float>(&self, _: &'t Tape<T>, _: &(), x: &[Var<'t, T>]) -> Var<'t, T> {
///         x[0].silu() * x[1].softmax()
///     }
/// }
///
/// let verdict = verify("gate", &Gate, &GradCheck::default());
/// assert!(verdict.ok(), "{verdict}");
/// assert!(verdict.duality_error < 1e-12);
/// ```
pub trait Subject {
    /// What has the parameters: `()` where there are none.
    type Layer<T: Float>: Parameters<T>;

    /// The layer with its parameters off their first values: biases of zero and gains of one hide rules that forget them.
    fn layer<T: Float>(&self) -> Self::Layer<T>;

    /// What goes in.
    fn inputs(&self) -> Vec<Tensor<f64>>;

    /// The computation.
    fn run<'t, T: Float>(
        &self,
        tape: &'t Tape<T>,
        layer: &Self::Layer<T>,
        inputs: &[Var<'t, T>],
    ) -> Var<'t, T>;
}

impl Subject for Case {
    type Layer<T: Float> = ();
    fn layer<T: Float>(&self) {}
    fn inputs(&self) -> Vec<Tensor<f64>> {
        Self::inputs(self)
    }
    fn run<'t, T: Float>(&self, tape: &'t Tape<T>, (): &(), inputs: &[Var<'t, T>]) -> Var<'t, T> {
        T::build(self)(tape, inputs)
    }
}

/// What all checks say of one subject.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What was checked.
    pub name: String,
    /// What differences in `f64` say.
    pub differences: Result<Report, Mismatch>,
    /// How far backward is from the adjoint of forward: [`duality_error`].
    pub duality_error: f64,
    /// How far outputs and gradients in `f32` are from those in `f64`, relative to the largest entry of each.
    pub f32_error: f64,
    /// How far they may be: [`F32`](Self::F32), or what the function makes of roundings where that is more.
    pub f32_tolerance: f64,
}

impl Verdict {
    /// The largest duality error that passes.
    pub const DUALITY: f64 = 1e-12;
    /// The distance between `f32` and `f64` that passes anywhere: `f32` rounds at 6e-8, and sums lose a digit or two. A function
    /// that enlarges what it is given is held to as much as it makes of roundings.
    pub const F32: f64 = 1e-5;
    /// The largest that passes, whatever the function makes of roundings.
    pub const F32_MOST: f64 = 1e-3;

    /// Whether every check has passed.
    pub fn ok(&self) -> bool {
        self.differences.is_ok() && self.is_adjoint() && self.holds_in_f32()
    }

    // A NaN is no agreement, in both.
    fn is_adjoint(&self) -> bool {
        self.duality_error <= Self::DUALITY
    }

    fn holds_in_f32(&self) -> bool {
        self.f32_error <= self.f32_tolerance
    }
}

/// What is wrong, or that nothing is.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, differences, duality_error, f32_error, f32_tolerance } = self;
        match differences {
            Err(mismatch) => write!(f, "{name}: {mismatch}"),
            Ok(_) if !self.is_adjoint() => {
                write!(f, "{name}: backward is not the adjoint of forward: duality error {duality_error:.1e}")
            }
            Ok(_) if !self.holds_in_f32() => {
                write!(
                    f,
                    "{name}: f32 is {f32_error:.1e} of the largest entry away from f64, more than {f32_tolerance:.0e}"
                )
            }
            Ok(report) => write!(f, "{name}: right, worst error {:.1e}", report.worst_error),
        }
    }
}

/// Checks a subject with all there is: differences, duality, and agreement of `f32` with `f64`.
pub fn verify<S: Subject>(name: impl Into<String>, subject: &S, check: &GradCheck) -> Verdict {
    let inputs = subject.inputs();
    let differences =
        check.run_layer(&mut subject.layer::<f64>(), &inputs, |tape, layer, x| subject.run(tape, layer, x));
    let (duality_error, Distance { error, tolerance }) =
        (duality_error(subject, check), f32_distance(subject, check));
    Verdict { name: name.into(), differences, duality_error, f32_error: error, f32_tolerance: tolerance }
}

/// `|⟨u, J·v⟩ − ⟨Jᵀu, v⟩|` relative to the terms of either side, for normal random `u` and `v`, where `J` is the derivative
/// with respect to inputs and parameters: `J·v` by [`Dual`] numbers, `Jᵀu` by the backward pass.
pub fn duality_error<S: Subject>(subject: &S, check: &GradCheck) -> f64 {
    let mut stream = Stream::new(check.seed);
    let mut direction = |shape| Tensor::normal(shape, 1.0, &mut stream);
    let inputs = subject.inputs();
    let layer = subject.layer::<f64>();
    let parameters = layer.parameters();
    let of_inputs: Vec<Tensor<f64>> = inputs.iter().map(|x| direction(x.shape())).collect();
    let of_parameters: Vec<Tensor<f64>> =
        parameters.iter().map(|(_, param)| direction(param.value().shape())).collect();

    let mut moving = subject.layer::<Dual>();
    replace(&mut moving, |k| Tensor::dual(parameters[k].1.value(), &of_parameters[k]));
    let tape = check.tape();
    let vars: Vec<_> = inputs.iter().zip(&of_inputs).map(|(x, v)| tape.input(Tensor::dual(x, v))).collect();
    let slope = subject.run(&tape, &moving, &vars).value().tangents();
    let cotangent = Tensor::normal(slope.shape(), 1.0, &mut stream);

    let (_, pulled) = pull(subject, &layer, inputs, &cotangent, check);
    let terms = |a: &Tensor<f64>, b: &Tensor<f64>| {
        let terms = a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| a * b);
        terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
    };
    let (pushed, size) = terms(&cotangent, &slope);
    let pulled = pulled.iter().zip(of_inputs.iter().chain(&of_parameters)).map(|(g, v)| terms(g, v));
    // A scalar's one term may be what is left of many that cancel: it is as coarse as they are.
    let (pulled, other) = pulled.fold((0.0, 0.0), |(sum, size), (s, t)| (sum + s, size + t));
    (pushed - pulled).abs() / (size.max(other) + f64::MIN_POSITIVE)
}

/// How far a result in `f32` is from that in `f64`, and how far it may be.
#[derive(Clone, Copy, Debug, Default)]
struct Distance {
    error: f64,
    tolerance: f64,
}

/// The distance of outputs and gradients in `f32` from those in `f64`, for the same numbers: those that `f32` can hold.
/// (Rounding them for one of the two would move its results as far as the function moves, which is not for `f32` to answer.)
/// Of all of them, the one that comes nearest to what it may be, or is farthest beyond.
///
/// What it may be is [`Verdict::F32`] where the function is tame. But roundings come on the way as well, and a function can
/// enlarge them: with some masks of dropout a LayerNorm divides by a small deviation, or a gradient is what is left of large
/// terms. Which roundings are made depends on the order of sums, and so on the width of the vector unit; what they can do
/// depends on the function alone. By backward analysis (Wilkinson, "Rounding errors in algebraic processes", 1963), what an op
/// computes in `f32` is what exact arithmetic would compute of operands that are off by a few `u = 2⁻²⁴` of themselves. So, to
/// first order, a result is off by no more than a few times what it moves by when all numbers that go in, inputs, parameters
/// and cotangent, are off by `u`:
///
/// ```text
/// |f₃₂(x) − f(x)| ≤ c · max |f(x ∘ (1 + u·ξ)) − f(x)|,   ξ = ±1
/// ```
///
/// The right side is measured in `f64`, with [`DRAWS`] draws of random signs. A wrong rule gains nothing by it: it moves as
/// little as a right one, and its error is what it was.
fn f32_distance<S: Subject>(subject: &S, check: &GradCheck) -> Distance {
    let narrow_inputs: Vec<Tensor<f32>> = subject.inputs().iter().map(Tensor::cast).collect();
    let inputs: Vec<Tensor<f64>> = narrow_inputs.iter().map(Tensor::cast).collect();
    let (mut layer, mut narrow) = (subject.layer::<f64>(), subject.layer::<f32>());
    let values: Vec<Tensor<f32>> = layer.parameters().iter().map(|(_, param)| param.value().cast()).collect();
    replace(&mut layer, |k| values[k].cast());
    replace(&mut narrow, |k| values[k].clone());
    let tape = Tape::<f64>::infer();
    let vars: Vec<_> = inputs.iter().map(|x| tape.constant(x.clone())).collect();
    let shape = subject.run(&tape, &layer, &vars).shape();
    let cotangent: Tensor<f64> = Tensor::<f32>::normal(shape, 1.0, &mut Stream::new(check.seed)).cast();

    let all = |(y, gradients): (Tensor<f64>, Vec<Tensor<f64>>)| -> Vec<Tensor<f64>> {
        [y].into_iter().chain(gradients).collect()
    };
    let exact = all(pull(subject, &layer, inputs.clone(), &cotangent, check));
    let (narrow_y, narrow_gradients) = pull(subject, &narrow, narrow_inputs, &cotangent.cast(), check);
    let rounded = [narrow_y].into_iter().chain(narrow_gradients).map(|x| x.cast());
    // What cancels in one gradient is rounded as the others are.
    let floor = 0.1 * exact[1..].iter().map(largest).fold(0.0, f64::max);
    let scales = exact.iter().enumerate().map(|(k, x)| largest(x).max(if k > 0 { floor } else { 0.0 }));
    let scales: Vec<f64> = scales.map(|scale| scale.max(f64::MIN_POSITIVE)).collect();
    let distances = |others: Vec<Tensor<f64>>| -> Vec<f64> {
        let off = |a: &Tensor<f64>, b: &Tensor<f64>| {
            worst(a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a - b).abs()))
        };
        (exact.iter().zip(&others).zip(&scales)).map(|((a, b), scale)| off(a, b) / scale).collect()
    };
    let errors = distances(rounded.collect());

    let mut moved = vec![0.0; exact.len()];
    for draw in 0..DRAWS {
        let mut stream = Stream::new(rng::derive(check.seed, draw));
        let mut off = |x: &Tensor<f64>| {
            let moved = x.as_slice().iter().map(|x| x * (1.0 + ROUNDING * sign(&mut stream)));
            Tensor::new(x.shape(), moved.collect::<Vec<_>>())
        };
        let inputs: Vec<Tensor<f64>> = inputs.iter().map(&mut off).collect();
        let values: Vec<Tensor<f64>> = values.iter().map(|value| off(&value.cast())).collect();
        let mut layer = subject.layer::<f64>();
        replace(&mut layer, |k| values[k].clone());
        let others = all(pull(subject, &layer, inputs, &off(&cotangent), check));
        for (moved, distance) in moved.iter_mut().zip(distances(others)) {
            *moved = distance.max(*moved);
        }
    }
    let tolerance = |moved: f64| (ROUNDINGS * moved).clamp(Verdict::F32, Verdict::F32_MOST);
    let of = errors.into_iter().zip(moved);
    let of = of.map(|(error, moved)| Distance { error, tolerance: tolerance(moved) });
    // A NaN is the worst of all.
    let beyond = |distance: &Distance| {
        let ratio = distance.error / distance.tolerance;
        if ratio.is_nan() { f64::INFINITY } else { ratio }
    };
    of.max_by(|a, b| beyond(a).total_cmp(&beyond(b))).unwrap_or_default()
}

/// The output and, for this cotangent, the gradients of inputs and parameters.
fn pull<T: Float, S: Subject>(
    subject: &S,
    layer: &S::Layer<T>,
    inputs: Vec<Tensor<T>>,
    cotangent: &Tensor<T>,
    check: &GradCheck,
) -> (Tensor<T>, Vec<Tensor<T>>) {
    let tape = check.tape();
    let vars: Vec<_> = inputs.into_iter().map(|x| tape.input(x)).collect();
    let y = subject.run(&tape, layer, &vars);
    let value = y.value();
    let gradients = if y.needs_grad() { y.backward_with(cotangent.clone()) } else { Gradients::default() };
    (value, gradients.collect(&vars, layer))
}

/// Gives parameter number `k` the value `value(k)`.
fn replace<T: Float>(layer: &mut impl Parameters<T>, value: impl Fn(usize) -> Tensor<T>) {
    let mut k = 0;
    layer.for_each_mut(|_, param| {
        *param.value_mut() = value(k);
        k += 1;
    });
}

/// The largest error, or NaN where there is one, which `max` would swallow.
fn worst(errors: impl Iterator<Item = f64>) -> f64 {
    errors.fold(0.0, |worst: f64, error| if worst.is_nan() || error <= worst { worst } else { error })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `x²` by way of numbers that `f32` cannot hold.
    struct TooLarge;

    impl Subject for TooLarge {
        type Layer<T: Float> = ();
        fn layer<T: Float>(&self) {}
        fn inputs(&self) -> Vec<Tensor<f64>> {
            vec![Tensor::full([2], 1.0)]
        }
        fn run<'t, T: Float>(&self, _: &'t Tape<T>, (): &(), x: &[Var<'t, T>]) -> Var<'t, T> {
            (x[0].scale(1e30) * x[0].scale(1e30)).scale(1e-60)
        }
    }

    #[test]
    fn what_only_f64_can_hold_is_rejected() {
        let verdict = verify("too large", &TooLarge, &GradCheck::default());
        assert!(verdict.differences.is_ok() && verdict.duality_error < 1e-12);
        assert!(!verdict.ok() && verdict.to_string().contains("f32"), "{verdict}");
    }

    /// A third of the difference of near numbers, which is enlarged in `f32` by this part.
    struct Cancels(f64);

    impl Subject for Cancels {
        type Layer<T: Float> = ();
        fn layer<T: Float>(&self) {}
        fn inputs(&self) -> Vec<Tensor<f64>> {
            let x = Tensor::from_fn([64], |i| 1.0 + i as f64 / 64.0);
            vec![x.map(|x| 0.999 * x), x]
        }
        fn run<'t, T: Float>(&self, _: &'t Tape<T>, (): &(), x: &[Var<'t, T>]) -> Var<'t, T> {
            let enlarged = if T::NAME == "f32" { 1.0 + self.0 } else { 1.0 };
            (x[1].scale(1.0 / 3.0) - x[0].scale(1.0 / 3.0)).scale(enlarged)
        }
    }

    #[test]
    fn what_a_function_makes_of_roundings_is_forgiven_and_nothing_else() {
        let right = verify("cancels", &Cancels(0.0), &GradCheck::default());
        assert!(right.f32_error > Verdict::F32, "it does enlarge them: {}", right.f32_error);
        assert!(right.ok(), "{right}");
        let wrong = verify("cancels", &Cancels(2e-3), &GradCheck::default());
        assert!(!wrong.ok() && wrong.to_string().contains("f32"), "{wrong}");
        assert!(wrong.f32_tolerance < Verdict::F32_MOST, "{}", wrong.f32_tolerance);
    }
}

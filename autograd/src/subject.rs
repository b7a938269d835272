//! One computation, written once for every number type, and all that can be checked of it.

use std::fmt;

use crate::cases::Case;
use crate::gradcheck::{GradCheck, Mismatch, Report, largest};
use crate::rng::Stream;
use crate::tape::{Tape, Var};
use crate::{Dual, Float, Gradients, Parameters, Tensor};

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
}

impl Verdict {
    /// The largest duality error that passes.
    pub const DUALITY: f64 = 1e-12;
    /// The largest distance between `f32` and `f64` that passes: `f32` rounds at 6e-8, and sums lose a digit or two.
    pub const F32: f64 = 1e-5;

    /// Whether every check has passed.
    pub fn ok(&self) -> bool {
        self.differences.is_ok() && self.is_adjoint() && self.holds_in_f32()
    }

    // A NaN is no agreement, in both.
    fn is_adjoint(&self) -> bool {
        self.duality_error <= Self::DUALITY
    }

    fn holds_in_f32(&self) -> bool {
        self.f32_error <= Self::F32
    }
}

/// What is wrong, or that nothing is.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, differences, duality_error, f32_error } = self;
        match differences {
            Err(mismatch) => write!(f, "{name}: {mismatch}"),
            Ok(_) if !self.is_adjoint() => {
                write!(f, "{name}: backward is not the adjoint of forward: duality error {duality_error:.1e}")
            }
            Ok(_) if !self.holds_in_f32() => {
                write!(f, "{name}: f32 is {f32_error:.1e} of the largest entry away from f64")
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
    let (duality_error, f32_error) = (duality_error(subject, check), f32_error(subject, check));
    Verdict { name: name.into(), differences, duality_error, f32_error }
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

/// The distance of outputs and gradients in `f32` from those in `f64`, for the same numbers: those that `f32` can hold.
/// (Rounding them for one of the two would move its results as far as the function moves, which is not for `f32` to answer.)
fn f32_error<S: Subject>(subject: &S, check: &GradCheck) -> f64 {
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

    let (y, exact) = pull(subject, &layer, inputs, &cotangent, check);
    let (narrow_y, rounded) = pull(subject, &narrow, narrow_inputs, &cotangent.cast(), check);
    // What cancels in one gradient is rounded as the others are.
    let floor = 0.1 * exact.iter().map(largest).fold(0.0, f64::max);
    let distance = |a: &Tensor<f64>, b: &Tensor<f32>, floor: f64| {
        let off = a.as_slice().iter().zip(b.as_slice()).map(|(&a, &b)| (a - f64::from(b)).abs());
        worst(off) / largest(a).max(floor).max(f64::MIN_POSITIVE)
    };
    let gradients = exact.iter().zip(&rounded).map(|(a, b)| distance(a, b, floor));
    worst(gradients.chain([distance(&y, &narrow_y, 0.0)]))
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
}

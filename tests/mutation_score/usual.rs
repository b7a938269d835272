//! What is usually done instead, on cases of the op or on a whole model: whether it stays silent.

use gradus::autograd::cases::Case;
use gradus::autograd::faults::Fault;
use gradus::autograd::rng::Stream;
use gradus::autograd::{Float, Gradients, Parameters, Tape, Tensor, Var};

use super::{batch, cases, model, tape};

/// What a usual check is tried on.
#[derive(Clone, Copy)]
pub(super) enum Subject {
    Case(&'static Case),
    Model,
}

pub(super) type Usual = fn(Subject, Option<&'static Fault>) -> bool;

/// The scalar that is differentiated.
#[derive(Clone, Copy)]
enum Loss<'a> {
    /// `Σ y`
    Sum,
    /// `Σ u∘y` for random signs `u`.
    Signs,
    /// `½·mean (y − target)²`
    Squares(&'a Tensor<f64>),
}

impl Loss<'_> {
    /// The loss of an output, and its gradient there.
    fn at(self, y: &Tensor<f64>) -> (f64, Tensor<f64>) {
        let slope = match self {
            Self::Sum => Tensor::full(y.shape(), 1.0),
            Self::Signs => {
                Tensor::normal(y.shape(), 1.0, &mut Stream::new(5)).map(|z: f64| z.signum() + 0.3 * z)
            }
            Self::Squares(target) => {
                Tensor::from_fn(y.shape(), |i| (y.as_slice()[i] - target.as_slice()[i]) / y.len() as f64)
            }
        };
        let product: f64 = slope.as_slice().iter().zip(y.as_slice()).map(|(slope, y)| slope * y).sum();
        match self {
            Self::Squares(_) => {
                (0.5 * y.len() as f64 * slope.as_slice().iter().map(|d| d * d).sum::<f64>(), slope)
            }
            _ => (product, slope),
        }
    }
}

impl Subject {
    pub(super) fn of(fault: &Fault) -> Vec<Self> {
        if fault.op == "sweep" { vec![Self::Model] } else { cases(Some(fault)).map(Self::Case).collect() }
    }

    /// The point at which it is differentiated.
    fn start(self) -> Vec<Tensor<f64>> {
        match self {
            Self::Case(case) => case.inputs(),
            Self::Model => model::<f64>().parameters().into_iter().map(|(_, p)| p.value().clone()).collect(),
        }
    }

    /// Runs it at `x` on `tape`, and hands the output to `then` with a way to read the gradients of all that moves.
    fn run<T: Float, R>(
        self,
        x: &[Tensor<f64>],
        fault: Option<&'static Fault>,
        then: impl FnOnce(Var<'_, T>, &dyn Fn(&Gradients<T>) -> Vec<Option<Tensor<f64>>>) -> R,
    ) -> R {
        let tape: Tape<T> = tape(fault);
        match self {
            Self::Case(case) => {
                let inputs: Vec<_> = x.iter().map(|x| tape.input(x.cast())).collect();
                let y = T::build(case)(&tape, &inputs);
                then(y, &|gradients| inputs.iter().map(|&x| gradients.wrt(x).map(Tensor::cast)).collect())
            }
            Self::Model => {
                let (mut model, batch, mut x) = (model::<T>(), batch(), x.iter());
                model.for_each_mut(|_, param| *param.value_mut() = x.next().unwrap().cast());
                let y = model.forward(&tape, &batch.source, &batch.target_in);
                let params = model.parameters();
                then(y, &|gradients| params.iter().map(|(_, p)| gradients.get(p).map(Tensor::cast)).collect())
            }
        }
    }

    /// The output at `x`.
    fn output<T: Float>(self, x: &[Tensor<f64>], fault: Option<&'static Fault>) -> Tensor<f64> {
        self.run::<T, _>(x, fault, |y, _| y.value().cast())
    }

    /// The loss at `x`, and its gradients.
    fn gradients<T: Float>(
        self,
        x: &[Tensor<f64>],
        loss: Loss<'_>,
        fault: Option<&'static Fault>,
    ) -> (f64, Vec<Option<Tensor<f64>>>) {
        self.run::<T, _>(x, fault, |y, read| {
            let (value, slope) = loss.at(&y.value().cast());
            (value, read(&y.backward_with(slope.cast())))
        })
    }

    /// Whether gradients agree with central differences at step `h` in some entries of every input.
    fn agrees<T: Float>(
        self,
        loss: Loss<'_>,
        fault: Option<&'static Fault>,
        h: f64,
        close: impl Fn(f64, f64) -> bool,
    ) -> bool {
        let mut x = self.start();
        let gradients = self.gradients::<T>(&x, loss, fault).1;
        let entries = if let Self::Model = self { 3 } else { 24 };
        for (k, gradient) in gradients.iter().enumerate() {
            let len = x[k].len();
            for i in (0..len).step_by(len.div_ceil(entries)) {
                let mut along = |step: f64| {
                    let here = x[k].as_slice()[i];
                    x[k].make_mut()[i] = here + step;
                    let value = loss.at(&self.output::<T>(&x, fault)).0;
                    x[k].make_mut()[i] = here;
                    value
                };
                let numeric = (along(h) - along(-h)) / (2.0 * h);
                if !close(gradient.as_ref().map_or(0.0, |g| g.as_slice()[i]), numeric) {
                    return false;
                }
            }
        }
        true
    }

    /// An output to be learned: that at another point.
    fn target(self) -> Tensor<f64> {
        let mut stream = Stream::new(8);
        let elsewhere = self.start().into_iter().map(|x| {
            let noise = Tensor::<f64>::normal(x.shape(), 0.3, &mut stream);
            Tensor::from_fn(x.shape(), |i| x.as_slice()[i] + noise.as_slice()[i])
        });
        self.output::<f64>(&elsewhere.collect::<Vec<_>>(), None)
    }
}

/// After a backward pass of a loss to be trained with, every input has a gradient that is not all zeros.
pub(super) fn gradients_are_there(subject: Subject, fault: Option<&'static Fault>) -> bool {
    let target = subject.target();
    let gradients = subject.gradients::<f32>(&subject.start(), Loss::Squares(&target), fault).1;
    let there = |g: &Tensor<f64>| {
        g.as_slice().iter().all(|g| g.is_finite()) && g.as_slice().iter().any(|&g| g != 0.0)
    };
    gradients.iter().all(|gradient| gradient.as_ref().is_some_and(there))
}

/// Central differences of `y.sum()` in `f64`, to six digits.
pub(super) fn differences_of_the_sum_agree(subject: Subject, fault: Option<&'static Fault>) -> bool {
    let close = |a: f64, n: f64| (a - n).abs() <= 1e-6 * a.abs().max(n.abs()).max(1e-2);
    subject.agrees::<f64>(Loss::Sum, fault, 1e-5, close)
}

/// Central differences in `f32`, with a relative and an absolute tolerance of 1e-2. The loss has random signs.
pub(super) fn coarse_differences_agree(subject: Subject, fault: Option<&'static Fault>) -> bool {
    let close = |a: f64, n: f64| (a - n).abs() <= 1e-2 + 1e-2 * n.abs();
    subject.agrees::<f32>(Loss::Signs, fault, 1e-3, close)
}

/// Twenty steps of gradient descent leave a smaller loss than they found.
pub(super) fn the_loss_falls(subject: Subject, fault: Option<&'static Fault>) -> bool {
    let target = subject.target();
    let (mut x, mut losses) = (subject.start(), Vec::new());
    for _ in 0..=20 {
        let (loss, gradients) = subject.gradients::<f32>(&x, Loss::Squares(&target), fault);
        losses.push(loss);
        for (x, gradient) in x.iter_mut().zip(&gradients) {
            let Some(gradient) = gradient else { continue };
            x.make_mut().iter_mut().zip(gradient.as_slice()).for_each(|(x, g)| *x -= 0.1 * g);
        }
    }
    losses[20] < losses[0]
}

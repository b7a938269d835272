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
//! together the term in `h²` cancels (Richardson); and so once more with four times the step, where what remains may be
//! rounding. A wrong rule stays wrong.
//!
//! Where one-sided differences disagree there is a kink. It is counted, and the gradient is held to the slope nearer by
//! or, at the kink itself, to lie between the slopes on both sides.
//!
//! Two more things are asked of a backward pass: that it gives the same bits when it is run again, and that it is linear
//! in the cotangent, exactly zero for zero.

mod culprit;
mod differences;
mod laws;
mod report;

use crate::faults::Fault;
use crate::rng::{self, Stream};
use crate::tape::{Tape, Var};
use crate::{Float, Parameters, Shape, Tensor};

use differences::Differences;
pub use report::{Law, Mismatch, Report};

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
    /// A bug to plant, to see whether it is found.
    pub plant: Option<&'static Fault>,
}

impl Default for GradCheck {
    fn default() -> Self {
        Self { tolerance: 1e-8, entries: 256, directions: 8, seed: 1, plant: None }
    }
}

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
        self.run_layer(&mut (), inputs, |tape, (), vars| f(tape, vars))
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
        self.run_layer(model, &[], |tape, model, _| f(tape, model))
    }

    /// Checks the gradient of the output of `f` with respect to each of `inputs` and to every parameter of `layer`,
    /// which is as it was when this returns.
    ///
    /// # Errors
    /// The first entry or direction that differs.
    pub fn run_layer<M, F>(&self, layer: &mut M, inputs: &[Tensor<f64>], f: F) -> Result<Report, Mismatch>
    where
        M: Parameters<f64>,
        F: for<'t> Fn(&'t Tape<f64>, &M, &[Var<'t, f64>]) -> Var<'t, f64>,
    {
        // This tape is kept, to ask it more than once; others are swept as in training.
        let tape = self.tape();
        let vars = on(&tape, inputs);
        let output = f(&tape, layer, &vars);
        let cotangent = self.cotangent(output.shape(), 0);
        let pull = |layer: &M| {
            let tape = self.tape();
            let vars = on(&tape, inputs);
            let output = f(&tape, layer, &vars);
            let swept = output.needs_grad().then(|| output.backward_with(cotangent.clone()));
            swept.unwrap_or_default().collect(&vars, layer)
        };
        let mut names: Vec<String> = (0..inputs.len()).map(|k| format!("input {k}")).collect();
        names.extend(layer.parameters().into_iter().map(|(path, _)| path));
        let analytic = pull(layer);
        let again = pull(layer);

        let floor = 0.1 * analytic.iter().map(largest).fold(0.0, f64::max);
        let centre = output.value();
        let mut report = Report::default();
        let mut inputs = inputs.to_vec();
        for (k, name) in names.iter().enumerate() {
            let x = if k < inputs.len() { inputs[k].clone() } else { parameter(layer, k - inputs.len()) };
            let moved = |moved| {
                set(&mut inputs, layer, k, moved);
                let tape = self.tape();
                f(&tape, layer, &on(&tape, &inputs)).value()
            };
            let mut differences = Differences {
                check: self,
                name,
                x: &x,
                analytic: &analytic[k],
                floor,
                cotangent: &cotangent,
                centre: &centre,
                f: moved,
            };
            let result = differences.compare(&mut report);
            set(&mut inputs, layer, k, x);
            result.map_err(|mismatch| Mismatch { culprit: self.culprit(&tape), ..mismatch })?;
        }
        laws::repeatable(&names, &analytic, &again)?;
        if output.needs_grad() {
            let pull = |cotangent| output.steps_from(cotangent).finish().collect(&vars, layer);
            laws::zero(&names, &pull(Tensor::zeros(output.shape())))?;
            let other = self.cotangent(output.shape(), u64::MAX);
            let sum = Tensor::from_fn(other.shape(), |i| cotangent.as_slice()[i] + other.as_slice()[i]);
            laws::linear(&names, &pull(sum), &analytic, &pull(other))?;
        }
        Ok(report)
    }

    /// A tape to check on.
    pub(crate) fn tape<T: Float>(&self) -> Tape<T> {
        let tape = Tape::train(self.seed);
        if let Some(fault) = self.plant {
            tape.plant(fault);
        }
        tape
    }

    /// Entries of magnitude 1 to 2 and of random sign: none is near zero, so none hides an error.
    fn cotangent(&self, shape: Shape, draw: u64) -> Tensor<f64> {
        let mut stream = Stream::new(rng::derive(self.seed, draw));
        Tensor::from_fn(shape, |_| (1.0 + stream.uniform()) * sign(&mut stream))
    }
}

/// The inputs as leaves of `tape`.
fn on<'t>(tape: &'t Tape<f64>, inputs: &[Tensor<f64>]) -> Vec<Var<'t, f64>> {
    inputs.iter().map(|x| tape.input(x.clone())).collect()
}

/// The value of parameter number `k`.
fn parameter<M: Parameters<f64>>(layer: &M, k: usize) -> Tensor<f64> {
    layer.parameters()[k].1.value().clone()
}

/// Gives number `k` of inputs and parameters another value.
fn set<M: Parameters<f64>>(inputs: &mut [Tensor<f64>], layer: &mut M, k: usize, value: Tensor<f64>) {
    let count = inputs.len();
    if let Some(input) = inputs.get_mut(k) {
        *input = value;
        return;
    }
    let (mut value, mut next) = (Some(value), count);
    layer.for_each_mut(|_, param| {
        if next == k
            && let Some(value) = value.take()
        {
            *param.value_mut() = value;
        }
        next += 1;
    });
}

pub(crate) fn largest(x: &Tensor<f64>) -> f64 {
    x.as_slice().iter().map(|x| x.abs()).fold(0.0, f64::max)
}

pub(crate) fn sign(stream: &mut Stream) -> f64 {
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
    fn kinks_are_counted_and_slopes_beside_them_are_right() -> Result<(), Mismatch> {
        // At the kink, so near it that a step crosses it, and away from it.
        for (x, kinks) in [(0.0, 1), (3e-6, 1), (-3e-6, 1), (5e-7, 1), (-5e-8, 1), (0.1, 0)] {
            let x = Tensor::new([2], vec![x, 1.0]);
            let report = gradcheck(|_, [x]| x.relu().scale(2.0) + x, [x.clone()])?;
            assert_eq!((report.kinks, report.compared), (kinks, 2), "{x}");
        }
        Ok(())
    }

    /// `relu`, with a rule that lets everything through.
    #[derive(Debug)]
    struct Leaky;

    impl Op<f64, 1> for Leaky {
        type Saved = ();
        const NAME: &'static str = "leaky";
        const RULE: &'static str = "dx += 1.5·dy";
        fn forward(&self, [x]: [&Tensor<f64>; 1]) -> (Tensor<f64>, ()) {
            (x.map(|x| x.max(0.0)), ())
        }
        fn backward(&self, _: &(), cx: Backward<'_, f64, 1>) {
            cx.grads[0].add(&cx.dy.map(|dy| 1.5 * dy));
        }
    }

    #[test]
    fn a_kink_excuses_nothing() {
        for x in [0.0, 1e-6, -1e-6] {
            let wrong = gradcheck(|tape, [x]| tape.apply(Leaky, [x]), [Tensor::new([1], vec![x])]);
            let mismatch = wrong.expect_err("no slope is 1.5");
            assert!(mismatch.error > 0.1, "{mismatch}");
        }
    }

    /// `y = x`, whose rule breaks a law where `Self` says so.
    #[derive(Debug)]
    enum Lawless {
        Unstable,
        NotZero,
        NotLinear,
    }

    impl Op<f64, 1> for Lawless {
        type Saved = ();
        const NAME: &'static str = "lawless";
        const RULE: &'static str = "dx += dy, more or less";
        fn forward(&self, [x]: [&Tensor<f64>; 1]) -> (Tensor<f64>, ()) {
            (x.clone(), ())
        }
        fn backward(&self, _: &(), cx: Backward<'_, f64, 1>) {
            use std::sync::atomic::{AtomicU32, Ordering};
            static CALLS: AtomicU32 = AtomicU32::new(0);
            cx.grads[0].add(&cx.dy.map(|dy| match self {
                Self::Unstable => dy * (1.0 + 1e-12 * f64::from(CALLS.fetch_add(1, Ordering::Relaxed))),
                Self::NotZero => dy + 1e-12,
                // Right for all that is at most 2 in size, as the entries of the first cotangent are.
                Self::NotLinear => dy.clamp(-2.0, 2.0),
            }));
        }
    }

    #[test]
    fn rules_that_break_a_law_are_rejected_though_their_slope_is_right() {
        let x = || [Tensor::normal([2, 3], 1.0, &mut Stream::new(3))];
        let law = |op: fn() -> Lawless| gradcheck(|tape, [x]| tape.apply(op(), [x]), x()).unwrap_err().law;
        assert_eq!(law(|| Lawless::Unstable), Law::Repeatable);
        assert_eq!(law(|| Lawless::NotZero), Law::Zero);
        assert_eq!(law(|| Lawless::NotLinear), Law::Linear);
    }

    #[test]
    fn noise_is_measured_and_reported() {
        let x = Tensor::normal([4, 8], 1.0, &mut Stream::new(3));
        let report = gradcheck(|_, [x]| x.softmax(), [x.clone()]).unwrap();
        assert!(report.noise_floor > 0.0 && report.noise_floor < 1e-8, "{report:?}");
        let wrong = gradcheck(|tape, [x]| tape.apply(AlmostIdentity, [x]).softmax(), [x]).unwrap_err();
        assert!(wrong.noise < 1e-9 && wrong.error > 1e-8, "{wrong}");
        assert!(wrong.to_string().contains("noise"), "{wrong}");
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

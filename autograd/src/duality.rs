//! Derivatives without differences: the forward pass run in [`Dual`] numbers.
//!
//! * `J·v`, a [`jvp`]: the tangents of `f(x + vε)`.
//! * [`duality`]: a rule computes `Jᵀu`, so `⟨u, J·v⟩ = ⟨Jᵀu, v⟩` for any `u` and `v`; nothing but rounding may lie
//!   between the two sides (Griewank and Walther, "Evaluating Derivatives", 2nd ed. 2008, section 3.2). It sees what
//!   finite differences cannot, an error in the tenth digit, and has no step to choose.
//! * `H·v`, an [`hvp`]: the tangents of the gradient, because the backward pass is code over the number type too
//!   (Pearlmutter, "Fast exact multiplication by the Hessian", 1994).
//!
//! All run on training tapes of one fixed seed, so dropout drops, and the same entries every time. A derivative looks
//! through [`detach`](Var::detach), which a rule does not: where one stands on the path, the two sides differ.

use crate::rng::Stream;
use crate::tape::{Tape, Var};
use crate::{Dual, Gradients, Tensor};

/// The seed of the tapes, from which dropout draws.
const SEED: u64 = 1;

/// `(f(x), J·v)`: the output of `f` at `inputs` and its derivative along `direction`, in one forward pass.
///
/// ```
/// use autograd::{Tensor, jvp};
/// let x = Tensor::new([2], vec![3.0, 5.0]);
/// let v = Tensor::new([2], vec![1.0, -1.0]);
/// let (y, slope) = jvp(|_, x| x[0] * x[0], &[x], &[v]);
/// assert_eq!(y.as_slice(), [9.0, 25.0]);
/// assert_eq!(slope.as_slice(), [6.0, -10.0]); // 2x∘v
/// ```
///
/// # Panics
/// Where the direction does not have the shapes of the inputs.
#[track_caller]
pub fn jvp<F>(f: F, inputs: &[Tensor<f64>], direction: &[Tensor<f64>]) -> (Tensor<f64>, Tensor<f64>)
where
    F: for<'t> Fn(&'t Tape<Dual>, &[Var<'t, Dual>]) -> Var<'t, Dual>,
{
    let tape = Tape::train(SEED);
    let y = f(&tape, &moving(&tape, inputs, direction)).value();
    (y.cast(), y.tangents())
}

/// `|⟨u, J·v⟩ − ⟨Jᵀu, v⟩| / Σ|u ∘ J·v|` for normal random `u` and `v`: 1e-15 or so where the rules of `f` are the
/// adjoints of its forward pass. Where the terms of `J·v` itself cancel, as the many of a scalar `f` may, rounding is
/// larger by that much: 1e-13 for some directions.
///
/// `J·v` comes from `dual` and `Jᵀu` from the backward pass of `f`; the two are one function for two number types, which
/// Rust cannot pass as one argument.
///
/// ```
/// use autograd::{Float, Tensor, Var, Tape, duality, rng::Stream};
/// fn f<'t, T: Float>(_: &'t Tape<T>, x: &[Var<'t, T>]) -> Var<'t, T> {
///     x[0].matmul(x[1]).softmax()
/// }
/// let mut stream = Stream::new(1);
/// let inputs = [Tensor::normal([2, 3], 1.0, &mut stream), Tensor::normal([3, 4], 1.0, &mut stream)];
/// assert!(duality(f, f, &inputs, 7) < 1e-12);
/// ```
#[track_caller]
pub fn duality<F, D>(f: F, dual: D, inputs: &[Tensor<f64>], seed: u64) -> f64
where
    F: for<'t> Fn(&'t Tape<f64>, &[Var<'t, f64>]) -> Var<'t, f64>,
    D: for<'t> Fn(&'t Tape<Dual>, &[Var<'t, Dual>]) -> Var<'t, Dual>,
{
    let mut stream = Stream::new(seed);
    let direction = random_like(inputs, &mut stream);
    let (_, slope) = jvp(dual, inputs, &direction);
    let cotangent = Tensor::normal(slope.shape(), 1.0, &mut stream);

    let tape = Tape::train(SEED);
    let vars: Vec<_> = inputs.iter().map(|x| tape.input(x.clone())).collect();
    let y = f(&tape, &vars);
    let gradients = y.needs_grad().then(|| y.backward_with(cotangent.clone()));
    let pulled: f64 = (vars.iter().zip(&direction))
        .filter_map(|(&var, v)| Some(inner(gradients.as_ref()?.wrt(var)?, v)))
        .sum();

    let terms = cotangent.as_slice().iter().zip(slope.as_slice()).map(|(u, slope)| u * slope);
    let (pushed, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
    (pushed - pulled).abs() / (size + f64::MIN_POSITIVE)
}

/// `H·v`: the Hessian of the scalar `f` at `inputs`, times `direction`; one tensor for each input.
///
/// Forward over reverse: with inputs `x + vε` the backward pass gives `∇f(x + vε) = ∇f(x) + H·v·ε`. It costs about four
/// times the arithmetic of a gradient, whatever the number of inputs, and no Hessian exists at any time.
///
/// ```
/// use autograd::{Tensor, hvp};
/// let x = Tensor::new([2], vec![3.0, 5.0]);
/// let v = Tensor::new([2], vec![1.0, -1.0]);
/// let curvature = hvp(|_, x| (x[0] * x[0] * x[0]).sum(), &[x], &[v]);
/// assert_eq!(curvature[0].as_slice(), [18.0, -30.0]); // 6x∘v
/// ```
///
/// # Panics
/// Where the output is not a scalar, or the direction does not have the shapes of the inputs.
#[track_caller]
pub fn hvp<F>(f: F, inputs: &[Tensor<f64>], direction: &[Tensor<f64>]) -> Vec<Tensor<f64>>
where
    F: for<'t> Fn(&'t Tape<Dual>, &[Var<'t, Dual>]) -> Var<'t, Dual>,
{
    let tape = Tape::train(SEED);
    let vars = moving(&tape, inputs, direction);
    let y = f(&tape, &vars);
    // What does not depend on its inputs has no curvature.
    let gradients = if y.needs_grad() { y.backward() } else { Gradients::default() };
    let curvature = |(&var, x): (&Var<'_, Dual>, &Tensor<f64>)| {
        gradients.wrt(var).map_or_else(|| Tensor::zeros(x.shape()), Tensor::tangents)
    };
    vars.iter().zip(inputs).map(curvature).collect()
}

/// The inputs on `tape`, on their way along `direction`.
#[track_caller]
fn moving<'t>(tape: &'t Tape<Dual>, inputs: &[Tensor<f64>], direction: &[Tensor<f64>]) -> Vec<Var<'t, Dual>> {
    let (count, directions) = (inputs.len(), direction.len());
    assert!(count == directions, "dual: {directions} directions for {count} inputs");
    let mut vars = Vec::with_capacity(count);
    for (x, v) in inputs.iter().zip(direction) {
        vars.push(tape.input(Tensor::dual(x, v)));
    }
    vars
}

fn random_like(inputs: &[Tensor<f64>], stream: &mut Stream) -> Vec<Tensor<f64>> {
    inputs.iter().map(|x| Tensor::normal(x.shape(), 1.0, stream)).collect()
}

fn inner(a: &Tensor<f64>, b: &Tensor<f64>) -> f64 {
    a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{Build, Case};
    use crate::{Float, Ids, ops};

    fn all() -> impl Iterator<Item = &'static Case> {
        ops::ALL.iter().flat_map(|(_, cases)| *cases)
    }

    /// `½ Σ c ∘ y²` for a fixed random `c` and `y` from `build`: a scalar that is curved even where `y` is linear.
    fn curved<'t, T: Float>(build: Build<T>, tape: &'t Tape<T>, x: &[Var<'t, T>]) -> Var<'t, T> {
        let y = build(tape, x);
        let c = tape.constant(Tensor::normal(y.shape(), 1.0, &mut Stream::new(11)));
        (c * y * y).sum().scale(0.5)
    }

    /// The gradient of the curved scalar at `x + step·v`, in `f64`.
    fn gradient(case: &Case, step: f64, v: &[Tensor<f64>]) -> Vec<Tensor<f64>> {
        let tape = Tape::train(SEED);
        let moved = |(x, v): (&Tensor<f64>, &Tensor<f64>)| {
            tape.input(Tensor::from_fn(x.shape(), |i| x.as_slice()[i] + step * v.as_slice()[i]))
        };
        let vars: Vec<_> = case.inputs().iter().zip(v).map(moved).collect();
        let gradients = curved(case.f64, &tape, &vars).backward();
        let zeros = |var: Var<'_, f64>| Tensor::zeros(var.shape());
        vars.iter().map(|&var| gradients.wrt(var).cloned().unwrap_or_else(|| zeros(var))).collect()
    }

    fn entries(tensors: &[Tensor<f64>]) -> impl Iterator<Item = f64> {
        tensors.iter().flat_map(|x| x.as_slice().iter().copied())
    }

    #[test]
    fn second_order_is_exact() {
        for case in all() {
            let (inputs, mut stream) = (case.inputs(), Stream::new(13));
            let [v, w] = [(); 2].map(|()| random_like(&inputs, &mut stream));
            let [hv, hw] = [&v, &w].map(|d| hvp(|tape, x| curved(case.dual, tape, x), &inputs, d));

            // Differences of gradients are good to about 1e-10 of the largest entry, times the higher derivatives.
            let h = f64::EPSILON.cbrt();
            let (up, down) = (gradient(case, h, &v), gradient(case, -h, &v));
            let numeric: Vec<f64> =
                entries(&up).zip(entries(&down)).map(|(up, down)| (up - down) / (2.0 * h)).collect();
            let largest = numeric.iter().fold(f64::MIN_POSITIVE, |largest, n| largest.max(n.abs()));
            for (exact, numeric) in entries(&hv).zip(&numeric) {
                let error = (exact - numeric).abs() / largest;
                assert!(error <= 1e-7, "{}: {exact} is not {numeric}: {error:e}", case.name);
            }

            let sides = |a: &[Tensor<f64>], b: &[Tensor<f64>]| {
                let terms = entries(a).zip(entries(b)).map(|(a, b)| a * b);
                terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
            };
            let ((left, size), (right, _)) = (sides(&w, &hv), sides(&v, &hw));
            let error = (left - right).abs() / (size + f64::MIN_POSITIVE);
            assert!(error <= 1e-10, "{}: ⟨w, Hv⟩ = {left}, ⟨v, Hw⟩ = {right}: {error:e}", case.name);
        }
    }

    #[test]
    fn an_upstream_gradient_of_one_may_be_on_its_way() {
        // In `s·loss(x)` at s = 1 the loss gets dy = 1, and the mixed derivative ∂²/∂x∂s is the gradient of the loss.
        fn f<'t, T: Float>(_: &'t Tape<T>, x: &[Var<'t, T>]) -> Var<'t, T> {
            x[0].linear_cross_entropy(x[1], &Ids::new([3], [1, 0, 1]), 0.1, None)
        }
        let mut stream = Stream::new(3);
        let [x, w] = [[3, 4], [2, 4]].map(|shape| Tensor::normal(shape, 1.0, &mut stream));
        let [still_x, still_w] = [&x, &w].map(|x| Tensor::zeros(x.shape()));
        let (inputs, one) = ([x, w, Tensor::scalar(1.0)], Tensor::scalar(1.0));
        let mixed = hvp(|tape, x| f(tape, x) * x[2], &inputs, &[still_x, still_w, one]);
        let tape = Tape::train(SEED);
        let vars: Vec<_> = inputs.iter().map(|x| tape.input(x.clone())).collect();
        let gradients = f(&tape, &vars).backward();
        for (mixed, &var) in mixed.iter().zip(&vars[..2]) {
            let gradient = gradients.wrt(var).unwrap();
            let off = entries(std::slice::from_ref(mixed)).zip(gradient.as_slice());
            assert!(off.map(|(mixed, g)| (mixed - g).abs()).fold(0.0, f64::max) < 1e-14);
        }
    }

    #[test]
    fn what_depends_on_nothing_is_flat() {
        let x = [Tensor::full([2], 1.0)];
        let curvature = hvp(|tape, _| tape.constant(Tensor::scalar(Dual::ONE)), &x, &x);
        assert_eq!(curvature, [Tensor::zeros([2])]);
    }
}

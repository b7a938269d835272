//! Lesson 3: an op of one's own.
//!
//! An op is an object with a forward, a rule, and the rule in code. This one is softplus, a smooth ReLU. A finite
//! difference check says whether the rule is right, and if not, which op is to blame.
//!
//! `cargo run --example 03_define_an_op`

use gradus::autograd::rng::Stream;
use gradus::autograd::{Backward, Float, Mismatch, Op, Param, Tape, Tensor, Var, gradcheck};

/// `y = ln(1 + eˣ)`, entry by entry. Its derivative is the logistic function σ(x) = 1/(1 + e⁻ˣ).
#[derive(Debug)]
struct Softplus;

impl<T: Float> Op<T, 1> for Softplus {
    /// The rule reads σ(x) off the output: from `y = ln(1 + eˣ)` follows `σ(x) = 1 − e⁻ʸ`. Nothing needs saving.
    type Saved = ();
    const NAME: &'static str = "softplus";
    const RULE: &'static str = "dx += dy ∘ (1 − exp(−y))";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        // ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|), in which no exponential can overflow.
        (x.map(|x| Float::max(x, T::ZERO) + Float::ln(T::ONE + Float::exp(-Float::abs(x)))), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let (y, dy) = (cx.output.as_slice(), cx.dy.as_slice());
        let [dx] = cx.grads;
        dx.add(&Tensor::from_fn(cx.dy.shape(), |i| dy[i] * (T::ONE - Float::exp(-y[i]))));
    }
}

/// The same with a slip of the pen: σ(y) instead of σ(x).
#[derive(Debug)]
struct WrongSoftplus;

impl Op<f64, 1> for WrongSoftplus {
    type Saved = ();
    const NAME: &'static str = "wrong_softplus";
    const RULE: &'static str = "dx += dy ∘ σ(y)";

    fn forward(&self, inputs: [&Tensor<f64>; 1]) -> (Tensor<f64>, ()) {
        Softplus.forward(inputs)
    }

    fn backward(&self, _: &(), cx: Backward<'_, f64, 1>) {
        let (y, dy) = (cx.output.as_slice(), cx.dy.as_slice());
        let [dx] = cx.grads;
        dx.add(&Tensor::from_fn(cx.dy.shape(), |i| dy[i] / (1.0 + (-y[i]).exp())));
    }
}

/// Makes `x.softplus()` read like the ops that came with the library.
trait SoftplusMethod {
    fn softplus(self) -> Self;
}

impl<T: Float> SoftplusMethod for Var<'_, T> {
    #[track_caller]
    fn softplus(self) -> Self {
        self.tape().apply(Softplus, [self])
    }
}

fn main() -> Result<(), Mismatch> {
    println!("1. Use it. It stands on the tape like any other op, with its rule:\n");
    let tape = Tape::eval();
    let x = tape.input(Tensor::new([4], vec![-2.0f64, 0.0, 1.0, 3.0])).label("x");
    let y = x.softplus().label("y");
    let loss = y.sum().label("L");
    let no_model: Option<Param<f64>> = None;
    for line in tape.table(&no_model).lines() {
        println!("  {line}");
    }

    let value = y.value();
    let gradients = loss.backward();
    let dx = gradients.wrt(x).expect("x leads to the loss");
    println!("\n       x   softplus(x)    dL/dx   σ(x) = 1/(1 + exp(−x))");
    for ((&x, y), dx) in [-2.0f64, 0.0, 1.0, 3.0].iter().zip(value.as_slice()).zip(dx.as_slice()) {
        let sigma = 1.0 / (1.0 + (-x).exp());
        println!("  {x:>6.1}  {y:>12.6}  {dx:>7.4}  {sigma:>7.4}");
        assert!((dx - sigma).abs() < 1e-15);
    }

    println!("\n2. Check it against finite differences, in f64, within a larger function:\n");
    let [a, b] = matrices();
    let report = gradcheck(|_, [a, b]| a.matmul(b).softplus().softmax(), [a, b])?;
    println!("  {} entries compared, worst error {:.1e}: right.", report.compared, report.worst_error);

    println!(
        "\n3. Check the wrong one within the same function. The check finds the op, and the line that called it:\n"
    );
    let [a, b] = matrices();
    let verdict = gradcheck(|tape, [a, b]| tape.apply(WrongSoftplus, [a.matmul(b)]).softmax(), [a, b]);
    let mismatch = verdict.expect_err("the rule is wrong");
    println!(
        "  {}",
        mismatch.to_string().replace(": analytic", ":\n    analytic").replace("; the", ";\n    the")
    );
    assert!(mismatch.culprit.is_some_and(|op| op.contains("wrong_softplus")));
    Ok(())
}

/// Two random matrices that can be multiplied.
fn matrices() -> [Tensor<f64>; 2] {
    let mut stream = Stream::new(1);
    [Tensor::normal([3, 4], 1.0, &mut stream), Tensor::normal([4, 2], 1.0, &mut stream)]
}

//! Lesson 4: how to know that a gradient is right.
//!
//! Numbers that were not computed by the rule under test are needed: finite differences. What is compared, with which
//! step and in which number type, decides whether such a check finds anything.
//!
//! `cargo run --example 04_gradient_check`

use gradus::autograd::ops::softmax::Softmax;
use gradus::autograd::rng::Stream;
use gradus::autograd::{
    Backward, Float, Ids, Mismatch, Op, Report, Tape, Tensor, gradcheck, gradcheck_model,
};
use gradus::nn::{
    Activation, FeedForward, Init, Objective, Preset, Sentences, Transformer, TransformerConfig,
};

fn main() -> Result<(), Mismatch> {
    a_layer_and_a_model()?;
    a_sum_hides_errors();
    the_step();
    Ok(())
}

fn a_layer_and_a_model() -> Result<(), Mismatch> {
    println!("1. A layer, with respect to its input and its parameters\n");
    let config =
        TransformerConfig { d_model: 8, activation: Activation::Gelu, ..Preset::Tiny.config(10, 10) };
    let mut layer = FeedForward::new(&config, &mut Init::seeded(1));
    let x = Tensor::normal([3, 8], 1.0, &mut Stream::new(1));
    show("input", &gradcheck(|_, [x]| layer.forward(x), [x.clone()])?);
    show("parameters", &gradcheck_model(&mut layer, |tape, layer| layer.forward(tape.constant(x.clone())))?);

    println!("\n2. A whole Transformer with its loss, dropout included: the tape's seed fixes the masks\n");
    let mut model = Transformer::new(&config, &mut Init::seeded(1));
    let source = Sentences::new(&[vec![3, 4, 5], vec![6, 7]], 0);
    let target_in = Sentences::new(&[vec![1, 5, 4], vec![1, 7]], 0);
    let target_out = Ids::new([2, 3], [5, 4, 2, 7, 2, 0]);
    let objective = Objective { smoothing: 0.1, ignore: Some(0), weight: 1.0 / 5.0 };
    let report = gradcheck_model(&mut model, |tape, model| {
        model.loss(tape, &source, &target_in, &target_out, &objective)
    })?;
    show("parameters", &report);
    println!();
    Ok(())
}

fn show(what: &str, report: &Report) {
    let Report { compared, worst_error, .. } = report;
    println!("  {what:<11} {compared:>5} numbers compared, worst error {worst_error:.1e}");
}

/// A softmax with a wrong rule: it subtracts the plain mean of dy instead of the mean weighted with y.
#[derive(Debug)]
struct WrongSoftmax;

impl Op<f64, 1> for WrongSoftmax {
    type Saved = ();
    const NAME: &'static str = "wrong_softmax";
    const RULE: &'static str = "dx += y ∘ (dy − mean(dy))";
    fn forward(&self, inputs: [&Tensor<f64>; 1]) -> (Tensor<f64>, ()) {
        Op::<f64, 1>::forward(&Softmax, inputs)
    }
    fn backward(&self, _: &(), cx: Backward<'_, f64, 1>) {
        let (y, dy) = (cx.output.as_slice(), cx.dy.as_slice());
        let mean = dy.iter().sum::<f64>() / dy.len() as f64;
        cx.grads[0].add(&Tensor::from_fn(cx.dy.shape(), |i| y[i] * (dy[i] - mean)));
    }
}

fn a_sum_hides_errors() {
    println!(
        "3. Why not simply check L = Σ softmax(x)? Because it is 1, whatever x is: every gradient is zero."
    );
    println!("   With L = Σ uᵢ·softmax(x)ᵢ and random signs in u, a wrong rule has nowhere to hide.\n");
    println!("   The wrong rule: {}\n", <WrongSoftmax as Op<f64, 1>>::RULE);
    let x = Tensor::new([4], vec![0.5, -1.0, 2.0, 0.0]);
    for (title, u) in [("a sum", [1.0; 4]), ("random weights", [1.3, -1.8, -1.1, 1.6])] {
        let tape = Tape::eval();
        let input = tape.input(x.clone());
        let gradients = tape.apply(WrongSoftmax, [input]).backward_with(Tensor::new([4], u.to_vec()));
        let wrong = gradients.wrt(input).expect("the input leads to the output").as_slice();
        let numeric: [f64; 4] = std::array::from_fn(|i| difference(&x, i, 1e-5, u));
        println!("   {title:<15} u  the wrong rule says  differences say");
        for i in 0..4 {
            // Adding zero turns −0 into 0.
            let rounded = [wrong[i], numeric[i]].map(|x| (x * 1e6).round() / 1e6 + 0.0);
            println!("   {:>16.1} {:>20.6} {:>16.6}", u[i], rounded[0], rounded[1]);
        }
        let off = (0..4).map(|i| (wrong[i] - numeric[i]).abs()).fold(0.0, f64::max);
        println!("   They differ by {off:.1e}: {}.\n", if off < 1e-8 { "nothing is seen" } else { "caught" });
    }
    assert!(gradcheck(|tape, [x]| tape.apply(WrongSoftmax, [x]).sum(), [x.clone()]).is_ok());
    assert!(gradcheck(|tape, [x]| tape.apply(WrongSoftmax, [x]), [x]).is_err());
}

/// The central difference of `Σ uₖ·softmax(x)ₖ` along entry `i`.
fn difference<T: Float>(x: &Tensor<T>, i: usize, step: f64, u: [f64; 4]) -> f64 {
    let at = |sign: f64| {
        let mut moved = x.clone();
        moved.make_mut()[i] += T::of(sign * step);
        let y = Tape::infer().constant(moved).softmax().value();
        y.as_slice().iter().zip(u).map(|(y, u)| u * y.to_f64()).sum::<f64>()
    };
    (at(1.0) - at(-1.0)) / (2.0 * step)
}

fn the_step() {
    println!(
        "4. The step. Large ones cut the curve short (error ~ h²), small ones drown in roundings (error ~ ε/h)."
    );
    println!("   The best is near ε^⅓, and what is left there shows why gradients are proved in f64:\n");
    println!("   step h   error in f64                        error in f32");
    let x = Tensor::new([4], vec![0.5, -1.0, 2.0, 0.0]);
    let first = [1.0, 0.0, 0.0, 0.0];
    // ∂y₀/∂x₀ of a softmax is y₀(1 − y₀).
    let y0 = Tape::infer().constant(x.clone()).softmax().value().as_slice()[0];
    let relative = |difference: f64| (difference / (y0 * (1.0 - y0)) - 1.0).abs();
    let (mut best64, mut best32) = (f64::MAX, f64::MAX);
    for exponent in 1..=12 {
        let step = 10f64.powi(-exponent);
        let error64 = relative(difference(&x, 0, step, first));
        let error32 = relative(difference(&x.cast::<f32>(), 0, step, first));
        (best64, best32) = (best64.min(error64), best32.min(error32));
        println!("   1e-{exponent:<2}    {:<35} {}", bar(error64), bar(error32).trim_end());
    }
    assert!(best64 < 1e-9 && best32 > 1e-7);
}

/// An error, and two characters for each power of ten above 1e-13.
fn bar(error: f64) -> String {
    let length = (2.0 * (error.max(1e-13).log10() + 13.0)).min(26.0);
    format!("{:<6} {}", format!("{error:.0e}"), "▪".repeat(length as usize))
}

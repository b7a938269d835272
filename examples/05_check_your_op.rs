//! Lesson 5: check an op of your own, in thirty lines, and see a wrong rule caught.
//!
//! `cargo run --example 05_check_your_op`

use gradus::autograd::{Backward, Float, Op, Tape, Tensor, Var, duality, gradcheck, rng::Stream};

/// `y = x³`, whose slope is `factor·x²`: right for 3.
#[derive(Debug)]
struct Cube {
    factor: f64,
}

impl<T: Float> Op<T, 1> for Cube {
    type Saved = ();
    const NAME: &'static str = "cube";
    const RULE: &'static str = "dx += 3x² ∘ dy";
    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        (x.map(|x| x * x * x), ())
    }
    fn backward(&self, (): &(), cx: Backward<'_, T, 1>) {
        let (x, dy) = (cx.inputs[0].as_slice(), cx.dy.as_slice());
        cx.grads[0].add(&Tensor::from_fn(cx.dy.shape(), |i| T::of(self.factor) * x[i] * x[i] * dy[i]));
    }
}

fn right<'t, T: Float>(tape: &'t Tape<T>, x: &[Var<'t, T>]) -> Var<'t, T> {
    tape.apply(Cube { factor: 3.0 }, [x[0]]).softmax()
}

fn main() {
    let x = Tensor::normal([2, 3], 1.0, &mut Stream::new(1));
    let report = gradcheck(|tape, x| right(tape, &x), [x.clone()]).expect("the rule is right");
    println!("right: worst error {:.0e}, noise {:.0e}", report.worst_error, report.noise_floor);
    let inputs = [x.clone()];
    println!("       duality error {:.0e}, without any differences", duality(right, right, &inputs, 1));
    // In the middle of other ops, and off by a hundred-thousandth.
    let wrong = gradcheck(|tape, [x]| tape.apply(Cube { factor: 3.00003 }, [x]).softmax(), [x]);
    let mismatch = wrong.expect_err("the rule is wrong").to_string();
    assert!(mismatch.contains("cube #1"), "the op is named: {mismatch}");
    println!("wrong: {mismatch}");
}

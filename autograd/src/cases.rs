//! The one list that every op test walks: each op brings its cases, written once for every number type.

use crate::rng::Stream;
use crate::tape::{Tape, Var};
use crate::{Dual, Tensor};

/// An op at work on small random inputs.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What is shown: `softmax`, `matmul, batched`.
    pub name: &'static str,
    /// The shapes of the inputs.
    pub shapes: &'static [&'static [usize]],
    /// The computation in `f32`.
    pub f32: Build<f32>,
    /// The computation in `f64`.
    pub f64: Build<f64>,
    /// The computation in [`Dual`] numbers, which gives derivatives in a direction along with the values.
    pub dual: Build<Dual>,
    /// For a fused op, the same computation made of small visible ops.
    pub explained: Option<Build<f64>>,
}

/// Applies an op to inputs on a tape.
pub type Build<T> = for<'t> fn(&'t Tape<T>, &[Var<'t, T>]) -> Var<'t, T>;

impl Case {
    /// The inputs: normal numbers, the same for the same case.
    pub fn inputs(&self) -> Vec<Tensor<f64>> {
        let seed =
            self.name.bytes().fold(0u64, |seed, byte| seed.wrapping_mul(257).wrapping_add(u64::from(byte)));
        let mut stream = Stream::new(seed);
        self.shapes.iter().map(|&shape| Tensor::normal(shape, 1.0, &mut stream)).collect()
    }
}

/// Declares the cases of an op: `cases! { "name" [[2, 3], [3]] |tape, a, b| a.op(b); … }`, where a fused op adds
/// `= |…| explained` made of small ops.
macro_rules! cases {
    ($($name:literal [$([$($dim:literal),*]),* $(,)?] |$tape:ident $(, $x:ident)*| $body:expr $(, explained: $explained:expr)?;)*) => {
        pub(crate) const CASES: &[$crate::cases::Case] = &[$({
            fn build<'t, T: $crate::Float>(
                $tape: &'t $crate::Tape<T>,
                x: &[$crate::Var<'t, T>],
            ) -> $crate::Var<'t, T> {
                let _ = $tape;
                let &[$($x),*] = x else { panic!("case {}: wrong number of inputs", $name) };
                $body
            }
            $crate::cases::Case {
                name: $name,
                shapes: &[$(&[$($dim),*]),*],
                f32: build::<f32>,
                f64: build::<f64>,
                dual: build::<$crate::Dual>,
                explained: cases!(@explained $name, $tape, [$($x),*] $(, $explained)?),
            }
        }),*];
    };
    (@explained $name:literal, $tape:ident, [$($x:ident),*]) => { None };
    (@explained $name:literal, $tape:ident, [$($x:ident),*], $explained:expr) => {{
        fn explained<'t>(
            $tape: &'t $crate::Tape<f64>,
            x: &[$crate::Var<'t, f64>],
        ) -> $crate::Var<'t, f64> {
            let _ = $tape;
            let &[$($x),*] = x else { panic!("case {}: wrong number of inputs", $name) };
            $explained
        }
        Some(explained)
    }};
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::GradCheck;
    use crate::rng;
    use std::slice::from_ref;

    use crate::{Backward, Float, Gradients, Op, duality, gradcheck, ops, verify};

    fn all() -> impl Iterator<Item = &'static Case> {
        ops::ALL.iter().flat_map(|(op, cases)| {
            assert!(!cases.is_empty(), "{op} has no cases");
            cases.iter()
        })
    }

    /// The outputs and the input gradients of a case, for a random cotangent, in `f64`.
    fn run<T: Float>(case: &Case, build: Build<T>) -> Vec<Tensor<f64>> {
        let tape = Tape::<T>::train(3);
        let vars: Vec<_> = case.inputs().iter().map(|x| tape.input(x.cast())).collect();
        let y = build(&tape, &vars);
        let value = y.value();
        let cotangent = Tensor::normal(value.shape(), 1.0, &mut Stream::new(9));
        let gradients: Gradients<T> = y.backward_with(cotangent);
        let zeros = |x: Tensor<f64>| Tensor::zeros(x.shape());
        let dx = vars.iter().zip(case.inputs());
        let dx = dx.map(|(&var, x)| gradients.wrt(var).map_or_else(|| zeros(x), Tensor::cast));
        [value.cast()].into_iter().chain(dx).collect()
    }

    /// The largest difference, relative to the largest entry.
    fn distance(a: &[Tensor<f64>], b: &[Tensor<f64>]) -> f64 {
        let scaled = |(a, b): (&Tensor<f64>, &Tensor<f64>)| {
            let largest = b.as_slice().iter().fold(f64::MIN_POSITIVE, |m, x| m.max(x.abs()));
            let off = a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a - b).abs());
            off.fold(0.0, f64::max) / largest
        };
        a.iter().zip(b).map(scaled).fold(0.0, f64::max)
    }

    #[test]
    fn every_rule_is_right() {
        for case in all() {
            let verdict = verify(case.name, case, &GradCheck::default());
            assert!(verdict.ok(), "{verdict}");
            let report = verdict.differences.unwrap();
            assert!(report.compared > 0, "{}: nothing was compared", case.name);
            assert_eq!(report.kinks, 0, "{}: its inputs are at a kink", case.name);
        }
    }

    #[test]
    fn every_fused_op_equals_its_explained_twin() {
        let mut twins = 0;
        for case in all() {
            let Some(explained) = case.explained else { continue };
            twins += 1;
            // Both do the same arithmetic in another order: a few roundings apart, relative to the largest entry.
            let distance = distance(&run(case, case.f64), &run(case, explained));
            assert!(distance < 1e-12, "{}: {distance:e}", case.name);
        }
        assert!(twins >= 7, "only {twins} twins");
    }

    /// A softmax whose rule forgets the inner product.
    #[derive(Debug)]
    struct ForgetfulSoftmax;

    impl<T: Float> Op<T, 1> for ForgetfulSoftmax {
        type Saved = ();
        const NAME: &'static str = "forgetful_softmax";
        const RULE: &'static str = "dx += y ∘ dy";
        fn forward(&self, x: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
            Op::<T, 1>::forward(&ops::softmax::Softmax, x)
        }
        fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
            let (y, dy) = (cx.output.as_slice(), cx.dy.as_slice());
            cx.grads[0].add(&Tensor::from_fn(cx.dy.shape(), |i| y[i] * dy[i]));
        }
    }

    #[test]
    fn a_wrong_rule_is_rejected_by_name() {
        let x = Tensor::normal([2, 3], 1.0, &mut Stream::new(4));
        let wrong = gradcheck(|tape, [x]| (tape.apply(ForgetfulSoftmax, [x]) * x).relu(), [x]);
        let mismatch = wrong.expect_err("the rule is wrong");
        let culprit = mismatch.culprit.as_deref().unwrap_or_default();
        assert!(culprit.contains("forgetful_softmax") && culprit.contains("cases.rs:"), "{mismatch}");
        assert!(mismatch.error > 1e-3 && mismatch.input == "input 0", "{mismatch}");
    }

    #[test]
    fn a_wrong_rule_is_no_adjoint() {
        fn wrong<'t, T: Float>(tape: &'t Tape<T>, x: &[Var<'t, T>]) -> Var<'t, T> {
            (tape.apply(ForgetfulSoftmax, [x[0]]) * x[0]).relu()
        }
        let x = Tensor::normal([2, 3], 1.0, &mut Stream::new(4));
        let error = duality(wrong, wrong, &[x], 1);
        assert!(error > 1e-3, "{error:e}");
    }

    #[test]
    fn every_rule_adds_to_what_others_have_left() {
        for case in all() {
            // The second reader comes later, so that the sweep meets it first, and the rule finds its gradient there.
            let gradients = |second: bool| -> Vec<Tensor<f64>> {
                let tape = Tape::train(3);
                let vars: Vec<_> = case.inputs().into_iter().map(|x| tape.input(x)).collect();
                let y = (case.f64)(&tape, &vars);
                let u = tape.constant(Tensor::normal(y.shape(), 1.0, &mut Stream::new(9)));
                let readers = vars.iter().map(|x| x.scale(3.0).sum());
                let root =
                    readers.fold((y * u).sum(), |root, reader| if second { root + reader } else { root });
                let gradients = root.backward();
                let of =
                    |&x: &Var<'_, f64>| gradients.wrt(x).cloned().unwrap_or_else(|| Tensor::zeros(x.shape()));
                vars.iter().map(of).collect()
            };
            let expected: Vec<_> = gradients(false).iter().map(|alone| alone.map(|g| g + 3.0)).collect();
            assert!(distance(&gradients(true), &expected) < 1e-12, "{}", case.name);
        }
    }

    #[test]
    fn steps_and_backward_give_the_same_gradients() {
        for case in all() {
            let tape = Tape::train(3);
            let vars: Vec<_> = case.inputs().into_iter().map(|x| tape.input(x)).collect();
            let y = (case.f64)(&tape, &vars);
            let cotangent = Tensor::normal(y.shape(), 1.0, &mut Stream::new(rng::derive(9, 1)));
            let slow = y.steps_from(cotangent.clone()).finish();
            let fast = y.backward_with(cotangent);
            for &var in &vars {
                let (slow, fast) = (slow.wrt(var), fast.wrt(var));
                assert_eq!(slow.is_some(), fast.is_some(), "{}", case.name);
                if let (Some(slow), Some(fast)) = (slow, fast) {
                    assert!(distance(from_ref(slow), from_ref(fast)) < 1e-14, "{}", case.name);
                }
            }
        }
    }

    #[test]
    fn backward_gives_parameters_back_their_storage() {
        let param = crate::Param::new(Tensor::full([2], 1.0f32));
        let tape = Tape::eval();
        let x = tape.param(&param);
        assert!(!param.value().is_unique());
        let gradients = (x * x).sum().backward();
        assert!(param.value().is_unique());
        assert_eq!(gradients.get(&param).map(|g| g.as_slice().to_vec()), Some(vec![2.0, 2.0]));
    }
}

//! The checks of this project, each in its strictest form: whether it stays silent.

use gradus::autograd::faults::Fault;
use gradus::autograd::rng::Stream;
use gradus::autograd::{GradCheck, Tape, Tensor, Var, duality};

use super::{batch, cases, model, plant, tape};
use crate::common::{PAD, distance, gradient_distance};

pub(super) fn differences_agree(fault: Option<&'static Fault>) -> bool {
    cases(fault).all(|case| {
        let planted = GradCheck::default().run(&case.inputs(), |tape, x| {
            plant(tape, fault);
            (case.f64)(tape, x)
        });
        planted.is_ok()
    })
}

pub(super) fn rules_are_adjoints(fault: Option<&'static Fault>) -> bool {
    cases(fault).all(|case| {
        let error = duality(
            |tape, x| {
                plant(tape, fault);
                (case.f64)(tape, x)
            },
            |tape, x| {
                plant(tape, fault);
                (case.dual)(tape, x)
            },
            &case.inputs(),
            1,
        );
        error <= 1e-12
    })
}

pub(super) fn twins_agree(fault: Option<&'static Fault>) -> bool {
    cases(None).all(|case| {
        let Some(explained) = case.explained else { return true };
        let [fused, small] = [case.f64, explained].map(|build| {
            let tape = tape(fault);
            let x: Vec<_> = case.inputs().into_iter().map(|x| tape.input(x)).collect();
            let y = build(&tape, &x);
            let value = y.value();
            let gradients = y.backward_with(Tensor::normal(value.shape(), 1.0, &mut Stream::new(9)));
            let zero = |x: Var<'_, f64>| Tensor::zeros(x.shape());
            let of_inputs = x.iter().map(|&x| gradients.wrt(x).cloned().unwrap_or_else(|| zero(x)));
            [value].into_iter().chain(of_inputs).collect::<Vec<_>>()
        });
        fused.iter().zip(&small).all(|(a, b)| distance(a, b, 0.0) < 1e-12)
    })
}

pub(super) fn a_model_agrees_with_differences(fault: Option<&'static Fault>) -> bool {
    let (mut model, batch) = (model(), batch());
    // Along one direction in each parameter: thoroughness is for the tests of layers.
    let check = GradCheck { entries: 0, directions: 1, ..GradCheck::default() };
    let outcome = check.run_model(&mut model, |tape, model| {
        plant(tape, fault);
        model.forward(tape, &batch.source, &batch.target_in)
    });
    outcome.is_ok()
}

pub(super) fn padding_changes_nothing(fault: Option<&'static Fault>) -> bool {
    let (model, batch) = (model(), batch());
    let [narrow, wide] = [batch.clone(), batch.padded_by(2, 1)].map(|batch| {
        let tape = Tape::eval();
        plant(&tape, fault);
        // The loss of rows without padding, and that of padded ones.
        let logits = model.forward(&tape, &batch.source, &batch.target_in);
        let padded = logits.cross_entropy_weighted(&batch.target_out, 0.1, Some(PAD), 0.2);
        let loss = batch.loss(&model, &tape, 0.2) + padded;
        (loss.value(), loss.backward())
    });
    distance(&narrow.0, &wide.0, 0.0) < 1e-12 && gradient_distance(&model, &narrow.1, &wide.1).0 < 1e-12
}

pub(super) fn detach_stops(fault: Option<&'static Fault>) -> bool {
    let tape = tape(fault);
    let x = tape.input(Tensor::scalar(3.0f64));
    let gradients = (x * x.detach()).backward();
    gradients.wrt(x).is_some_and(|gradient| gradient.item() == 3.0)
}

//! Fifty steps of Adam, with either kind of weight decay: losses, gradient norms, and the parameters on the way.

use gradus::autograd::{Parameters, Tape, Tensor};
use gradus::nn::{Activation, Init, NormPlacement, Transformer};
use gradus::optim::{Adam, Decay, Schedule};

use super::fixture::{Case, Fixture, Results};
use super::layers::config;
use super::report::Report;
use super::transformer::Batch;

/// Fifty steps multiply what the roundings of the first have begun.
const TRAJECTORY: f64 = 1e-9;

const STEPS: u64 = 50;
const KEPT_STEPS: [u64; 2] = [1, 50];

fn run(case: &Case, decay: Decay) -> Results {
    let config = config(NormPlacement::Pre, Activation::Relu);
    let mut model = Transformer::<f64>::new(&config, &mut Init::seeded(1));
    case.load(&mut model);
    let batches = [0, 1, 2, 3].map(|i| Batch::read(case, &format!("batch.{i}.")));
    let schedule = Schedule::InverseSqrt { peak: 0.01, warmup: 10 };
    let mut adam = Adam { betas: (0.9, 0.98), epsilon: 1e-9, weight_decay: 0.1, decay, ..Adam::default() };
    let (mut losses, mut norms, mut results) = (Vec::new(), Vec::new(), Results::new());
    for (step, batch) in (1..=STEPS).zip(batches.iter().cycle()) {
        let tape = Tape::train(step);
        let loss = batch.loss(&model, &tape);
        losses.push(loss.value().item());
        let mut gradients = loss.backward();
        norms.push(gradients.clip_norm(1.0));
        adam.step(&mut model, &gradients, schedule.rate(step));
        if KEPT_STEPS.contains(&step) {
            for (path, param) in model.parameters() {
                // Its gradient is zero by mathematics, and Adam turns the rounding noise that there is into full steps.
                if !path.ends_with("k_proj.bias") {
                    results.insert(format!("after {step}.{path}"), param.value().clone());
                }
            }
        }
    }
    assert!(norms.iter().any(|&norm| norm > 1.0) && norms.iter().any(|&norm| norm < 1.0), "{norms:?}");
    let list = |numbers: Vec<f64>| Tensor::new([numbers.len()], numbers);
    results.insert("losses".to_owned(), list(losses));
    results.insert("norms".to_owned(), list(norms));
    results
}

#[test]
fn fifty_steps_of_adam_are_those_of_pytorch() {
    let (mut fixture, mut report) = (Fixture::read("adam"), Report::new("steps of Adam"));
    for (name, decay) in [("decoupled decay", Decay::Decoupled), ("L2 decay", Decay::L2)] {
        let case = fixture.take(name);
        let theirs = case.expected("f64");
        report.compare(&case, "f64", &run(&case, decay), &theirs, TRAJECTORY);
        case.finish();
    }
    fixture.finish();
    report.conclude();
}

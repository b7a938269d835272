//! Every case of every op: its output and the gradients of its inputs for a random cotangent.

use gradus::autograd::cases::Build;
use gradus::autograd::{Float, Tape, Tensor, ops};

use super::fixture::{Case, Fixture, Results};
use super::report::Report;

/// Cases without a counterpart, because they draw random numbers of their own, or are zero throughout.
const OURS_ALONE: [&str; 7] = [
    "attention, masked, with dropout",
    "attention, packed, with dropout",
    "dropout",
    "relu, at zero",
    "residual",
    "residual, of itself",
    "residual_layer_norm",
];

fn run<T: Float>(case: &Case, build: Build<T>) -> Results {
    let tape = Tape::eval();
    let inputs: Vec<_> = case.inputs().into_iter().map(|x| tape.input(x)).collect();
    let output = build(&tape, &inputs);
    let mut results = Results::from([("output".to_owned(), output.value().cast())]);
    let gradients = output.backward_with(case.tensor("cotangent").cast());
    for (i, &input) in inputs.iter().enumerate() {
        let gradient = gradients.wrt(input).map_or_else(|| Tensor::zeros(input.shape()), Tensor::cast);
        results.insert(format!("gradient.{i}"), gradient);
    }
    results
}

#[test]
fn ops_are_those_of_pytorch() {
    let (mut fixture, mut report) = (Fixture::read("ops"), Report::new("ops"));
    let mut alone = Vec::new();
    for ours in ops::ALL.iter().flat_map(|(_, cases)| *cases) {
        if OURS_ALONE.contains(&ours.name) {
            alone.push(ours.name);
            continue;
        }
        let case = fixture.take(ours.name);
        report.compare_both(&case, &run(&case, ours.f64), &run(&case, ours.f32));
        case.finish();
    }
    assert_eq!(alone, OURS_ALONE);
    fixture.finish();
    report.conclude();
}

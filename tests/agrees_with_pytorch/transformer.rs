//! The whole model on padded sentences: logits, loss with label smoothing, and all gradients.

use gradus::autograd::{Float, Ids, Tape, Tensor, Var};
use gradus::nn::{
    Activation, Init, NormPlacement, Objective, Positions, Sentences, Tied, Transformer, TransformerConfig,
};

use super::fixture::{Case, Fixture, Results, gradients_of};
use super::layers::config;
use super::report::Report;
use crate::common::PAD;

/// What a step reads.
pub(super) struct Batch {
    source: Sentences,
    target_in: Sentences,
    target_out: Ids,
}

impl Batch {
    /// The batch whose keys begin with `prefix`.
    pub(super) fn read(case: &Case, prefix: &str) -> Self {
        let key = |name: &str| format!("{prefix}{name}");
        Self {
            source: case.sentences(&key("source"), &key("source_lengths")),
            target_in: case.sentences(&key("target_in"), &key("target_lengths")),
            target_out: case.ids(&key("target_out")),
        }
    }

    /// The mean loss of a target word.
    pub(super) fn loss<'t, T: Float>(&self, model: &Transformer<T>, tape: &'t Tape<T>) -> Var<'t, T> {
        let weight = 1.0 / self.target_in.lengths.iter().sum::<usize>() as f64;
        let objective = Objective { smoothing: 0.1, ignore: Some(PAD), weight };
        model.loss(tape, &self.source, &self.target_in, &self.target_out, &objective)
    }
}

fn run<T: Float>(case: &Case, config: &TransformerConfig) -> Results {
    let mut model = Transformer::<T>::new(config, &mut Init::seeded(1));
    case.load(&mut model);
    let batch = Batch::read(case, "");
    let tape = Tape::train(1);
    let logits = model.forward(&tape, &batch.source, &batch.target_in).value().cast();
    let loss = batch.loss(&model, &tape);
    let value = Tensor::scalar(loss.value().item().to_f64());
    let mut results = Results::from([("logits".to_owned(), logits), ("loss".to_owned(), value)]);
    results.extend(gradients_of(&model, &loss.backward()));
    results
}

#[test]
fn transformers_are_those_of_pytorch() {
    let (mut fixture, mut report) = (Fixture::read("transformer"), Report::new("transformers"));
    let (pre, post) = (NormPlacement::Pre, NormPlacement::Post);
    let models = [
        ("pre-norm, all tied, relu", config(pre, Activation::Relu)),
        ("post-norm, all tied, relu", config(post, Activation::Relu)),
        (
            "pre-norm, three tables, gelu",
            TransformerConfig {
                tied: Tied::None,
                positions: Positions::Learned,
                ..config(pre, Activation::Gelu)
            },
        ),
        (
            "post-norm, target tied, silu",
            TransformerConfig { source_vocab: 17, tied: Tied::Target, ..config(post, Activation::Silu) },
        ),
    ];
    for (name, config) in models {
        let case = fixture.take(name);
        report.compare_both(&case, &run::<f64>(&case, &config), &run::<f32>(&case, &config));
        case.finish();
    }
    fixture.finish();
    report.conclude();
}

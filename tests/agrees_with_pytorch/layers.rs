//! Attention and the layers of both stacks: outputs, and the gradients of inputs and parameters for a random cotangent.

use gradus::autograd::{Float, Parameters, Tape, Var};
use gradus::nn::{
    Activation, DecoderLayer, Dropouts, EncoderLayer, Init, Mask, MultiHeadAttention, NormPlacement, Preset,
    TransformerConfig,
};

use super::fixture::{Case, Fixture, Results, gradients_of};
use super::report::Report;

/// The sizes of `make.py`.
pub(super) fn config(norm: NormPlacement, activation: Activation) -> TransformerConfig {
    TransformerConfig {
        d_model: 12,
        ffn: 20,
        heads: 2,
        encoder_layers: 2,
        decoder_layers: 2,
        norm,
        activation,
        max_length: 9,
        dropout: Dropouts::all(0.0),
        ..Preset::Tiny.config(11, 11)
    }
}

/// Runs a layer with PyTorch's parameters on inputs of these names.
fn run<T: Float, M: Parameters<T>, const N: usize>(
    case: &Case,
    mut layer: M,
    names: [&str; N],
    forward: impl for<'t> Fn(&M, [Var<'t, T>; N]) -> Var<'t, T>,
) -> Results {
    case.load(&mut layer);
    let tape = Tape::train(1);
    let inputs = names.map(|name| tape.input(case.tensor(name).cast()));
    let output = forward(&layer, inputs);
    let mut results = Results::from([("output".to_owned(), output.value().cast())]);
    let gradients = output.backward_with(case.tensor("cotangent").cast());
    for (name, input) in names.iter().zip(inputs) {
        results.insert(format!("gradient.{name}"), gradients.wrt(input).unwrap().cast());
    }
    results.extend(gradients_of(&layer, &gradients));
    results
}

fn self_attention<T: Float>(case: &Case, mask: &Mask) -> Results {
    let layer =
        MultiHeadAttention::<T>::new(&config(NormPlacement::Pre, Activation::Relu), &mut Init::seeded(1));
    run(case, layer, ["query"], |layer, [x]| layer.forward(x, x, x, mask))
}

fn cross_attention<T: Float>(case: &Case, mask: &Mask) -> Results {
    let layer =
        MultiHeadAttention::<T>::new(&config(NormPlacement::Pre, Activation::Relu), &mut Init::seeded(1));
    run(case, layer, ["query", "key", "value"], |layer, [q, k, v]| layer.forward(q, k, v, mask))
}

fn encoder_layer<T: Float>(case: &Case, config: &TransformerConfig) -> Results {
    let mask = Mask::keep_lengths(case.lengths("lengths"));
    let layer = EncoderLayer::<T>::new(config, &mut Init::seeded(1));
    run(case, layer, ["x"], |layer, [x]| layer.forward(x, &mask))
}

fn decoder_layer<T: Float>(case: &Case, config: &TransformerConfig) -> Results {
    let mask = Mask::keep_lengths(case.lengths("lengths")).and_past();
    let memory_mask = Mask::keep_lengths(case.lengths("memory_lengths"));
    let layer = DecoderLayer::<T>::new(config, &mut Init::seeded(1));
    run(case, layer, ["x", "memory"], |layer, [x, memory]| layer.forward(x, memory, &mask, &memory_mask))
}

/// The mask that a case is about.
type MaskOf = fn(&Case) -> Mask;

#[test]
fn layers_are_those_of_pytorch() {
    let (mut fixture, mut report) = (Fixture::read("layers"), Report::new("layers"));

    let masks: [(&str, MaskOf); 3] = [
        ("attention, self", |_| Mask::keep_all()),
        ("attention, self, causal", |_| Mask::keep_past()),
        ("attention, self, causal, padding", |case| Mask::keep_lengths(case.lengths("lengths")).and_past()),
    ];
    for (name, mask) in masks {
        let case = fixture.take(name);
        let mask = mask(&case);
        report.compare_both(
            &case,
            &self_attention::<f64>(&case, &mask),
            &self_attention::<f32>(&case, &mask),
        );
        case.finish();
    }

    let masks: [(&str, MaskOf); 2] = [
        ("attention, cross", |_| Mask::keep_all()),
        ("attention, cross, padding", |case| Mask::keep_lengths(case.lengths("memory_lengths"))),
    ];
    for (name, mask) in masks {
        let case = fixture.take(name);
        let mask = mask(&case);
        report.compare_both(
            &case,
            &cross_attention::<f64>(&case, &mask),
            &cross_attention::<f32>(&case, &mask),
        );
        case.finish();
    }

    let kinds = [
        ("pre-norm, relu", NormPlacement::Pre, Activation::Relu),
        ("pre-norm, gelu", NormPlacement::Pre, Activation::Gelu),
        ("post-norm, relu", NormPlacement::Post, Activation::Relu),
        ("post-norm, silu", NormPlacement::Post, Activation::Silu),
    ];
    for (name, norm, activation) in kinds {
        let config = config(norm, activation);
        let case = fixture.take(&format!("encoder layer, {name}"));
        report.compare_both(
            &case,
            &encoder_layer::<f64>(&case, &config),
            &encoder_layer::<f32>(&case, &config),
        );
        case.finish();
        let case = fixture.take(&format!("decoder layer, {name}"));
        report.compare_both(
            &case,
            &decoder_layer::<f64>(&case, &config),
            &decoder_layer::<f32>(&case, &config),
        );
        case.finish();
    }

    fixture.finish();
    report.conclude();
}

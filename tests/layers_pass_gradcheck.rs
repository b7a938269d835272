//! Claim: the gradient of every layer and of whole models is that of finite differences, in `f64`, with respect to
//! parameters and inputs.
//!
//! The tolerance is that of [`GradCheck`]: 1e-8 of the largest entry, where right rules leave about 1e-10 in a layer. In
//! a whole model differences are coarser, because its curvature and its roundings are those of all layers together.

use gradus::autograd::{GradCheck, Ids, Parameters, Tape, Tensor, Var, gradcheck, gradcheck_model};
use gradus::nn::{
    Activation, Decoder, DecoderLayer, Embedding, Encoder, EncoderLayer, FeedForward, Init, LayerNorm,
    Linear, Mask, MultiHeadAttention, NormPlacement, PositionalEncoding, Positions, Tied, Transformer,
    TransformerConfig,
};

use crate::common::{Batch, normal, random_pairs, shake, tiny};

/// Checks `f` with respect to its inputs and to the layer's parameters, all off their first values.
fn check<M, F, const N: usize>(name: &str, layer: &mut M, inputs: &[Tensor<f64>; N], f: F)
where
    M: Parameters<f64>,
    F: for<'t> Fn(&'t Tape<f64>, &M, [Var<'t, f64>; N]) -> Var<'t, f64>,
{
    shake(layer);
    if N > 0 {
        let report = gradcheck(|tape, inputs| f(tape, layer, inputs), inputs.clone())
            .unwrap_or_else(|mismatch| panic!("{name}: {mismatch}"));
        println!("{name}, inputs: {:.1e} of {}", report.worst_error, report.compared);
    }
    if layer.parameter_count() > 0 {
        let report = gradcheck_model(layer, |tape, layer| {
            f(tape, layer, inputs.each_ref().map(|x| tape.constant(x.clone())))
        })
        .unwrap_or_else(|mismatch| panic!("{name}: {mismatch}"));
        assert!(report.compared > 0, "{name}: nothing was compared");
        println!("{name}, parameters: {:.1e} of {}", report.worst_error, report.compared);
    }
}

fn init() -> Init {
    Init::seeded(5)
}

/// Every kind of mask over three sentences of three keys; where there are lengths, the last sentence has no key at all.
fn masks() -> [(&'static str, Mask); 4] {
    [
        ("all", Mask::keep_all()),
        ("lengths", Mask::keep_lengths([3, 1, 0])),
        ("past", Mask::keep_past()),
        ("lengths and past", Mask::keep_lengths([3, 1, 0]).and_past()),
    ]
}

fn placements() -> [NormPlacement; 2] {
    [NormPlacement::Pre, NormPlacement::Post]
}

#[test]
fn linear_is_right_with_and_without_a_bias() {
    let x = [normal(&[2, 3, 4], 1)];
    check("linear", &mut Linear::new(4, 5, &mut init()), &x, |_, linear, [x]| linear.forward(x));
    let mut linear = Linear::without_bias(4, 5, &mut init());
    check("linear without bias", &mut linear, &x, |_, linear, [x]| linear.forward(x));
}

#[test]
fn embedding_is_right_where_words_repeat() {
    let ids = Ids::new([2, 3], [4, 0, 4, 4, 1, 0]);
    check("embedding", &mut Embedding::new(5, 3, &mut init()), &[], |tape, table, []| {
        table.forward(tape, &ids)
    });
}

#[test]
fn layer_norm_is_right() {
    let mut norm = LayerNorm::new(6, 1e-5, &mut init());
    check("layer norm", &mut norm, &[normal(&[2, 3, 6], 2)], |_, norm, [x]| norm.forward(x));
}

#[test]
fn feed_forward_is_right_with_every_activation() {
    for activation in [Activation::Relu, Activation::Gelu, Activation::Silu] {
        let config = TransformerConfig { activation, ..tiny() };
        let mut layer = FeedForward::new(&config, &mut init());
        let x = [normal(&[2, 2, 8], 3)];
        check(&format!("feed forward, {activation:?}"), &mut layer, &x, |_, layer, [x]| layer.forward(x));
    }
}

#[test]
fn positions_are_right_learned_and_sinusoidal() {
    for positions in [Positions::Sinusoidal, Positions::Learned] {
        let config = TransformerConfig { positions, ..tiny() };
        let mut layer = PositionalEncoding::new(&config, &mut init());
        check(&format!("{positions:?}"), &mut layer, &[normal(&[2, 3, 8], 4)], |tape, layer, [x]| {
            x * layer.forward(tape, 2, 3)
        });
    }
}

#[test]
fn self_attention_is_right_under_every_mask_fused_and_explained() {
    for (name, mask) in masks() {
        let mut layer = MultiHeadAttention::new(&tiny(), &mut init());
        let x = [normal(&[3, 3, 8], 5)];
        check(&format!("self-attention, {name}"), &mut layer, &x, |_, layer, [x]| {
            layer.forward(x, x, x, &mask)
        });
        check(&format!("self-attention explained, {name}"), &mut layer, &x, |_, layer, [x]| {
            layer.forward_explained(x, x, x, &mask).0
        });
    }
}

#[test]
fn cross_attention_is_right_under_every_mask_fused_and_explained() {
    for (name, mask) in masks() {
        let mut layer = MultiHeadAttention::new(&tiny(), &mut init());
        let inputs = || [normal(&[3, 2, 8], 6), normal(&[3, 3, 8], 7), normal(&[3, 3, 8], 8)];
        check(&format!("cross-attention, {name}"), &mut layer, &inputs(), |_, layer, [q, k, v]| {
            layer.forward(q, k, v, &mask)
        });
        check(&format!("cross-attention explained, {name}"), &mut layer, &inputs(), |_, layer, [q, k, v]| {
            layer.forward_explained(q, k, v, &mask).0
        });
    }
}

#[test]
fn encoder_layers_and_the_encoder_are_right() {
    let mask = Mask::keep_lengths([3, 1, 0]);
    for norm in placements() {
        let config = TransformerConfig { norm, ..tiny() };
        let x = [normal(&[3, 3, 8], 9)];
        let mut layer = EncoderLayer::new(&config, &mut init());
        check(&format!("encoder layer, {norm:?}"), &mut layer, &x, |_, layer, [x]| layer.forward(x, &mask));
        let mut encoder = Encoder::new(&config, &mut init());
        check(&format!("encoder, {norm:?}"), &mut encoder, &x, |_, encoder, [x]| encoder.forward(x, &mask));
    }
}

#[test]
fn decoder_layers_and_the_decoder_are_right() {
    let (mask, memory_mask) = (Mask::keep_lengths([2, 2, 1]).and_past(), Mask::keep_lengths([3, 1, 0]));
    for norm in placements() {
        let config = TransformerConfig { norm, ..tiny() };
        let inputs = || [normal(&[3, 2, 8], 10), normal(&[3, 3, 8], 11)];
        let mut layer = DecoderLayer::new(&config, &mut init());
        check(&format!("decoder layer, {norm:?}"), &mut layer, &inputs(), |_, layer, [x, memory]| {
            layer.forward(x, memory, &mask, &memory_mask)
        });
        let mut decoder = Decoder::new(&config, &mut init());
        check(&format!("decoder, {norm:?}"), &mut decoder, &inputs(), |_, decoder, [x, memory]| {
            decoder.forward(x, memory, &mask, &memory_mask)
        });
    }
}

#[test]
fn whole_models_are_right_whatever_is_tied_and_wherever_norms_stand() {
    // One source has no word at all. Matrices are checked along directions, vectors entry by entry.
    let batch = Batch::new(&random_pairs(&[(3, 2), (2, 1), (0, 1)], 11, 12));
    let thorough = GradCheck { entries: 16, ..GradCheck::default() };
    for norm in placements() {
        for tied in [Tied::None, Tied::Target, Tied::All] {
            for positions in [Positions::Sinusoidal, Positions::Learned] {
                let config = TransformerConfig { norm, tied, positions, ..tiny() };
                let name = format!("model, {norm:?}, tied {tied:?}, {positions:?}");
                let mut model = Transformer::new(&config, &mut init());
                shake(&mut model);
                let logits = thorough.run_model(&mut model, |tape, model| {
                    model.forward(tape, &batch.source, &batch.target_in)
                });
                let loss = thorough.run_model(&mut model, |tape, model| batch.loss(model, tape, 1.0));
                for (output, report) in [("logits", logits), ("loss", loss)] {
                    let report = report.unwrap_or_else(|mismatch| panic!("{name}, {output}: {mismatch}"));
                    assert!(report.compared > 500, "{name}: only {} compared", report.compared);
                    println!("{name}, {output}: {:.1e} of {}", report.worst_error, report.compared);
                }
            }
        }
    }
}

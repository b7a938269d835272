//! What a model reads while it writes.

use autograd::{Float, Tape, Tensor, Var};
use nn::{Mask, Sentences, Transformer};

/// The weights with which the last decoder layer reads the source, `[B, H, T, S]`: of each head, how much target position
/// `t` reads of source position `s`.
///
/// # Panics
/// Where the target does not have as many sentences as the source.
#[track_caller]
pub fn cross_attention<T: Float>(
    model: &Transformer<T>,
    source: &Sentences,
    target_in: &Sentences,
) -> Tensor<T> {
    decode(model, &Tape::infer(), source, target_in).1
}

/// What [`Transformer::encode`] and [`Transformer::decode`] compute without dropout, `[B, T, D]`, with the last layer's
/// cross-attention made of small ops, because the fused one never writes its weights down; and those.
#[track_caller]
fn decode<'t, T: Float>(
    model: &Transformer<T>,
    tape: &'t Tape<T>,
    source: &Sentences,
    target_in: &Sentences,
) -> (Var<'t, T>, Tensor<T>) {
    let memory = model.encode(tape, source); // [B, S, D]
    let words =
        model.target_embedding.forward(tape, &target_in.ids).scale((model.config.d_model as f64).sqrt());
    let mut x = words + model.target_positions.forward(tape, 0, target_in.width()); // [B, T, D]
    let mask = Mask::keep_lengths(target_in.lengths.clone()).and_past();
    let memory_mask = Mask::keep_lengths(source.lengths.clone());
    let Some((last, before)) = model.decoder.layers.split_last() else {
        unreachable!("a valid configuration has decoder layers")
    };
    for layer in before {
        x = layer.forward(x, memory, &mask, &memory_mask);
    }
    let mut weights = None;
    x = last.residual.around(x, &last.self_attn_norm, |x| last.self_attn.forward(x, x, x, &mask));
    x = last.residual.around(x, &last.cross_attn_norm, |x| {
        let (context, read) = last.cross_attn.forward_explained(x, memory, memory, &memory_mask);
        weights = Some(read.value());
        context
    });
    x = last.residual.around(x, &last.feed_forward_norm, |x| last.feed_forward.forward(x));
    let hidden = model.decoder.norm.as_ref().map_or(x, |norm| norm.forward(x));
    (hidden, weights.unwrap_or_else(|| unreachable!("the sub-layer has run")))
}

#[cfg(test)]
mod tests {
    use nn::{Init, NormPlacement, Preset, TransformerConfig};

    use super::*;

    #[test]
    fn the_weights_are_of_the_model_s_own_forward_pass() {
        for norm in [NormPlacement::Pre, NormPlacement::Post] {
            let config = TransformerConfig {
                d_model: 8,
                ffn: 8,
                heads: 2,
                encoder_layers: 1,
                decoder_layers: 2,
                norm,
                ..Preset::Tiny.config(12, 12)
            };
            let model: Transformer<f64> = Transformer::new(&config, &mut Init::seeded(3));
            let source = Sentences::new(&[vec![4, 5, 6], vec![7, 8]], 0);
            let target = Sentences::new(&[vec![1, 9], vec![1, 10]], 0);
            let tape = Tape::infer();
            let (hidden, weights) = decode(&model, &tape, &source, &target);
            let own = model.decode(&tape, &target, model.encode(&tape, &source), &source.lengths);
            for (a, b) in hidden.value().as_slice().iter().zip(own.value().as_slice()) {
                assert!((a - b).abs() < 1e-12, "{norm:?}: {a} is not {b}");
            }
            assert_eq!(weights.shape(), [2, 2, 2, 3].into());
            for row in weights.as_slice().chunks(3) {
                assert!(
                    (row.iter().sum::<f64>() - 1.0).abs() < 1e-12,
                    "a row of weights sums to one: {row:?}"
                );
            }
            assert!(
                weights.as_slice()[12..].chunks(3).all(|row| row[2] == 0.0),
                "nothing is read of padding"
            );
        }
    }
}

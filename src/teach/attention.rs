//! What a model reads while it writes.

use autograd::{Float, Tape, Tensor};
use nn::{Mask, Sentences, Transformer};

/// The weights with which the last decoder layer reads the source, `[B, H, T, S]`: of each head, how much target position
/// `t` reads of source position `s`.
///
/// This is the forward pass of [`Transformer::forward`] without dropout, with the last layer's cross-attention made of
/// small ops, because the fused one never writes its weights down.
///
/// # Panics
/// Where the target does not have as many sentences as the source, or none.
pub fn cross_attention<T: Float>(
    model: &Transformer<T>,
    source: &Sentences,
    target_in: &Sentences,
) -> Tensor<T> {
    let tape = Tape::infer();
    let memory = model.encode(&tape, source); // [B, S, D]
    let words =
        model.target_embedding.forward(&tape, &target_in.ids).scale((model.config.d_model as f64).sqrt());
    let mut x = words + model.target_positions.forward(&tape, 0, target_in.width()); // [B, T, D]
    let mask = Mask::keep_lengths(target_in.lengths.clone()).and_past();
    let memory_mask = Mask::keep_lengths(source.lengths.clone());
    let Some((last, before)) = model.decoder.layers.split_last() else {
        unreachable!("a valid configuration has decoder layers")
    };
    for layer in before {
        x = layer.forward(x, memory, &mask, &memory_mask);
    }
    let x = last.residual.around(x, &last.self_attn_norm, |x| last.self_attn.forward(x, x, x, &mask));
    let mut weights = None;
    let _ = last.residual.around(x, &last.cross_attn_norm, |x| {
        let (context, read) = last.cross_attn.forward_explained(x, memory, memory, &memory_mask);
        weights = Some(read.value());
        context
    });
    weights.unwrap_or_else(|| unreachable!("the sub-layer has run"))
}

#[cfg(test)]
mod tests {
    use nn::{Init, Preset, TransformerConfig};

    use super::*;

    /// With one head, values that are one word's identity come out as that word's weights: here the weights are held
    /// against what the fused attention, which never shows them, does with its values.
    #[test]
    fn the_weights_are_those_that_the_fused_attention_uses() {
        let config = TransformerConfig {
            d_model: 8,
            ffn: 8,
            heads: 2,
            encoder_layers: 1,
            decoder_layers: 2,
            ..Preset::Tiny.config(12, 12)
        };
        let model: Transformer<f64> = Transformer::new(&config, &mut Init::seeded(3));
        let source = Sentences::new(&[vec![4, 5, 6], vec![7, 8]], 0);
        let target = Sentences::new(&[vec![1, 9], vec![1, 10]], 0);
        let weights = cross_attention(&model, &source, &target);
        assert_eq!(weights.shape(), [2, 2, 2, 3].into());
        for row in weights.as_slice().chunks(3) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12, "a row of weights sums to one: {row:?}");
        }
        assert!(weights.as_slice()[12..].chunks(3).all(|row| row[2] == 0.0), "nothing is read of padding");

        // Were it not the model's own forward pass, moving what the last layer reads would move something else.
        let mut blind = model.clone();
        let last = blind.decoder.layers.last_mut().unwrap();
        last.cross_attn.k_proj.weight.value_mut().make_mut().fill(0.0);
        let even = cross_attention(&blind, &source, &target);
        let third = 1.0 / 3.0;
        assert!(even.as_slice()[..12].iter().all(|w| (w - third).abs() < 1e-12), "equal keys are read alike");
        assert!(weights.as_slice()[..12].iter().any(|w| (w - third).abs() > 1e-3));
    }
}

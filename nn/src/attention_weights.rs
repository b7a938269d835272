//! What a model looks at.

use autograd::{Float, Tape, Tensor, Var};

use crate::attention::MultiHeadAttention;
use crate::mask::Mask;
use crate::sentences::Sentences;
use crate::transformer::Transformer;

/// The attention weights of one pass: for each layer, first to last, what each query gives each key in each head. The
/// weights that a query gives sum to 1; those of keys that it may not see are 0.
#[derive(Clone, Debug)]
pub struct AttentionWeights<T: Float = f32> {
    /// Source positions among each other, `[B, H, S, S]`.
    pub encoder: Vec<Tensor<T>>,
    /// Target positions among each other, `[B, H, T, T]`.
    pub decoder: Vec<Tensor<T>>,
    /// Source positions seen from target positions, `[B, H, T, S]`.
    pub cross: Vec<Tensor<T>>,
}

impl<T: Float> Transformer<T> {
    /// All attention weights of the model as it reads `source` and `target_in`.
    #[track_caller]
    pub fn attention_weights(&self, source: &Sentences, target_in: &Sentences) -> AttentionWeights<T> {
        self.watched(&Tape::infer(), source, target_in).1
    }

    /// The decoder's output `[B, T, D]`, and all attention weights on the way there.
    #[track_caller]
    fn watched<'t>(
        &self,
        tape: &'t Tape<T>,
        source: &Sentences,
        target_in: &Sentences,
    ) -> (Var<'t, T>, AttentionWeights<T>) {
        let (mut encoder, mut decoder, mut cross) = (Vec::new(), Vec::new(), Vec::new());
        let memory_mask = Mask::keep_lengths(source.lengths.clone());
        let table = self.source_embedding.as_ref().unwrap_or(&self.target_embedding);
        let x = self.embed(tape, table, &self.source_positions, &source.ids); // [B, S, D]
        let x = self.encoder.layers.iter().fold(x, |x, layer| {
            layer.sublayers(x, |x| watch(&layer.self_attn, x, x, &memory_mask, &mut encoder))
        });
        let memory = self.encoder.norm.as_ref().map_or(x, |norm| norm.forward(x)); // [B, S, D]

        let mask = Mask::keep_lengths(target_in.lengths.clone()).and_past();
        let x = self.embed(tape, &self.target_embedding, &self.target_positions, &target_in.ids); // [B, T, D]
        let x = self.decoder.layers.iter().fold(x, |x, layer| {
            layer.sublayers(
                x,
                |x| watch(&layer.self_attn, x, x, &mask, &mut decoder),
                |x| watch(&layer.cross_attn, x, memory, &memory_mask, &mut cross),
            )
        });
        let hidden = self.decoder.norm.as_ref().map_or(x, |norm| norm.forward(x)); // [B, T, D]
        (hidden, AttentionWeights { encoder, decoder, cross })
    }
}

/// Attention whose weights are kept.
#[track_caller]
fn watch<'t, T: Float>(
    attention: &MultiHeadAttention<T>,
    queries: Var<'t, T>,
    keys: Var<'t, T>,
    mask: &Mask,
    kept: &mut Vec<Tensor<T>>,
) -> Var<'t, T> {
    let (output, weights) = attention.forward_explained(queries, keys, keys, mask);
    kept.push(weights.value());
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Init, NormPlacement, Preset, TransformerConfig};

    #[test]
    fn the_pass_that_is_watched_is_the_one_that_translates() {
        for norm in [NormPlacement::Pre, NormPlacement::Post] {
            let config = TransformerConfig { d_model: 16, ffn: 16, norm, ..Preset::Tiny.config(30, 30) };
            let model: Transformer<f64> = Transformer::new(&config, &mut Init::seeded(3));
            let source = Sentences::new(&[vec![5, 6, 7, 8, 2], vec![9, 2]], 0);
            let target_in = Sentences::new(&[vec![1, 4, 5], vec![1, 6, 7]], 0);
            let tape = Tape::infer();
            let (hidden, weights) = model.watched(&tape, &source, &target_in);
            let memory = model.encode(&tape, &source);
            let expected = model.decode(&tape, &target_in, memory, &source.lengths).value();
            for (a, b) in hidden.value().as_slice().iter().zip(expected.as_slice()) {
                assert!((a - b).abs() < 1e-12, "{a} {b}");
            }
            for (layers, shape) in [
                (&weights.encoder, [2, 4, 5, 5]),
                (&weights.decoder, [2, 4, 3, 3]),
                (&weights.cross, [2, 4, 3, 5]),
            ] {
                assert_eq!(layers.len(), 4);
                for layer in layers {
                    assert_eq!(layer.shape(), shape.into());
                    let sum = |row: &[f64]| row.iter().sum::<f64>();
                    assert!(layer.as_slice().chunks(shape[3]).all(|row| (sum(row) - 1.0).abs() < 1e-12));
                }
            }
            // The second source has two words, and a target position sees none that comes later.
            let cross = weights.cross[0].as_slice();
            assert!(cross[60..].chunks(5).all(|row| row[0] > 0.0 && row[2..] == [0.0; 3]));
            assert_eq!(weights.decoder[0].as_slice()[..3], [1.0, 0.0, 0.0]);
        }
    }
}

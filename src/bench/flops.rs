//! Arithmetic that no implementation can do without.

use nn::TransformerConfig;

/// The floating-point operations of matrix products in one training step, for sentences of these (source, target) lengths.
///
/// A product of `[m, k]` and `[k, n]` counts 2·m·k·n, and three times that with the two products of its backward pass.
/// With S and T a sentence's own lengths, so that padding counts nothing, the products of a forward pass are
///
/// ```text
/// encoder layer   S·(4·D² + 2·D·F)              projections, feed-forward network
///                 2·S²·D                        scores and mix, all heads together
/// decoder layer   T·(6·D² + 2·D·F) + S·2·D²     projections; keys and values of the source
///                 2·T²·D + 2·T·S·D              self-attention and cross-attention
/// output          T·D·V
/// ```
///
/// Causal attention counts in full, though half of it can be left out. What an implementation computes a second time,
/// such as attention weights in the backward pass, does not count; nor do lookups, normalisation, softmax or Adam.
pub fn training_flops(config: &TransformerConfig, lengths: impl IntoIterator<Item = (usize, usize)>) -> f64 {
    let TransformerConfig { encoder_layers, decoder_layers, target_vocab, .. } = *config;
    let (d, f) = (config.d_model, config.ffn);
    let sentence = |(s, t): (usize, usize)| {
        let encoder = s * (4 * d * d + 2 * d * f) + 2 * s * s * d;
        let decoder = t * (6 * d * d + 2 * d * f) + s * 2 * d * d + 2 * t * t * d + 2 * t * s * d;
        encoder_layers * encoder + decoder_layers * decoder + t * d * target_vocab
    };
    let multiply_adds: f64 = lengths.into_iter().map(|lengths| sentence(lengths) as f64).sum();
    3.0 * 2.0 * multiply_adds
}

#[cfg(test)]
mod tests {
    use nn::Preset;

    use super::super::Workload;
    use super::*;

    #[test]
    fn a_small_case_adds_up_by_hand() {
        let config = TransformerConfig {
            d_model: 2,
            ffn: 3,
            heads: 1,
            encoder_layers: 1,
            decoder_layers: 2,
            ..Preset::Tiny.config(7, 7)
        };
        // One sentence with S = 2, T = 3. Encoder: queries, keys, values, output 4·(2·2·2) = 32; network
        // (2·2·3) + (2·3·2) = 24; scores (2·2·2) and mix (2·2·2) = 16. A decoder layer: four projections of targets
        // 4·(3·2·2) = 48; query and output of the cross-attention 2·(3·2·2) = 24; its keys and values 2·(2·2·2) = 16;
        // network 2·(3·2·3) = 36; self-attention 2·(3·2·3) = 36; cross-attention 2·(3·2·2) = 24. Output 3·2·7 = 42.
        let one = 32 + 24 + 16 + 2 * (48 + 24 + 16 + 36 + 36 + 24) + 42;
        assert_eq!(training_flops(&config, [(2, 3)]), f64::from(6 * one));
        assert_eq!(training_flops(&config, [(2, 3), (2, 3), (0, 0)]), f64::from(2 * 6 * one));
    }

    #[test]
    fn full_batches_cost_what_they_are_known_to() {
        for (preset, billions) in [(Preset::Tiny, 24.5), (Preset::Small, 47.3), (Preset::Base, 81.1)] {
            let workload = Workload::named(preset);
            let lengths = (workload.source_length, workload.target_length);
            let flops = training_flops(&workload.model(0.1), vec![lengths; workload.sentences]);
            assert!((flops / 1e9 - billions).abs() < 0.1, "{preset}: {flops}");
        }
    }
}

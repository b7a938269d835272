//! Claims: how many parameters there are, what they are called, and that all of them learn.

use gradus::autograd::{Parameters, Tape};
use gradus::nn::{Init, NormPlacement, Positions, Preset, Tied, Transformer, TransformerConfig};

use crate::common::{Batch, largest, random_pairs, shake, tiny};

fn count(config: &TransformerConfig) -> usize {
    Transformer::<f32>::new(config, &mut Init::seeded(1)).parameter_count()
}

#[test]
fn presets_have_the_size_they_are_known_by() {
    // With everything tied, sinusoidal positions and pre-norm layers there are
    //
    //   V·D                                one table of words
    //   A = 4·(D² + D)                     an attention: four projections with biases
    //   N = 2·D·F + F + D                  a feed-forward network
    //   L · (A + N + 2·2D)                 L encoder layers with two norms of gain and bias
    //   L · (2A + N + 3·2D)                L decoder layers with two attentions and three norms
    //   2·2D                               the norms at the ends of both stacks
    //
    // tiny:  D 128, F  256, L 4:  1 280 000 + 4·(132 480 + 198 784) + 512
    // small: D 256, F 1024, L 3:  2 048 000 + 3·(789 760 + 1 053 440) + 1024
    // base:  D 512, F 2048, L 6:  8 192 000 + 6·(3 152 384 + 4 204 032) + 2048
    assert_eq!(count(&Preset::Tiny.config(10_000, 10_000)), 2_605_568);
    assert_eq!(count(&Preset::Small.config(8_000, 8_000)), 7_578_624);
    assert_eq!(count(&Preset::Base.config(16_000, 16_000)), 52_332_544);
}

#[test]
fn what_is_tied_exists_once() {
    let with = |tied, positions| count(&TransformerConfig { tied, positions, ..tiny() });
    let table = 11 * 8;
    let all = with(Tied::All, Positions::Sinusoidal);
    assert_eq!(with(Tied::Target, Positions::Sinusoidal), all + table);
    assert_eq!(with(Tied::None, Positions::Sinusoidal), all + 2 * table);
    assert_eq!(with(Tied::All, Positions::Learned), all + 2 * 16 * 8);
}

#[test]
fn paths_say_where_a_parameter_is() {
    let config = TransformerConfig { tied: Tied::None, positions: Positions::Learned, ..tiny() };
    let model = Transformer::<f32>::new(&config, &mut Init::seeded(1));
    let paths: Vec<String> = model.parameters().into_iter().map(|(path, _)| path).collect();
    let mut distinct = paths.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), paths.len(), "every parameter has a path of its own");
    for expected in [
        "source_embedding.weight",
        "target_embedding.weight",
        "output",
        "source_positions.weight",
        "target_positions.weight",
        "encoder.layers.0.self_attn.q_proj.weight",
        "encoder.layers.1.self_attn_norm.gamma",
        "encoder.layers.1.feed_forward.linear2.bias",
        "encoder.norm.beta",
        "decoder.layers.0.cross_attn.out_proj.bias",
        "decoder.layers.1.cross_attn_norm.gamma",
        "decoder.norm.gamma",
    ] {
        assert!(paths.iter().any(|path| path == expected), "{expected} is not among {paths:#?}");
    }
    // A layer of the encoder has 16 of them, one of the decoder 26; five tables, and the last norms.
    assert_eq!(paths.len(), 5 + 2 * 16 + 2 * 26 + 4);
}

#[test]
fn every_parameter_learns_but_key_biases() {
    let batch = Batch::new(&random_pairs(&[(4, 3), (2, 5)], 11, 1));
    for norm in [NormPlacement::Pre, NormPlacement::Post] {
        for tied in [Tied::None, Tied::Target, Tied::All] {
            let config = TransformerConfig { norm, tied, positions: Positions::Learned, ..tiny() };
            let mut model = Transformer::<f64>::new(&config, &mut Init::seeded(1));
            shake(&mut model);
            let gradients = batch.loss(&model, &Tape::train(2), batch.mean_weight()).backward();
            assert_eq!(gradients.len(), model.parameters().len());
            for (path, param) in model.parameters() {
                let gradient = gradients.get(param).unwrap_or_else(|| panic!("{path} gets no gradient"));
                let size = largest(gradient);
                if path.ends_with("k_proj.bias") {
                    // It moves all scores of a query alike, and softmax does not see that: roundings are left.
                    assert!(size < 1e-14, "{path}: {size:e}");
                } else {
                    assert!(size > 1e-6, "{path}: {size:e}");
                }
            }
        }
    }
}

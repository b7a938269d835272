//! Claims: a fresh model knows nothing, and the loss depends on nothing but the sentences.

use gradus::autograd::{Gradients, Tape};
use gradus::nn::{Init, NormPlacement, Preset, Tied, Transformer, TransformerConfig};

use crate::common::{Batch, Pair, gradient_distance, random_pairs, shake, tiny};

/// Sums are taken in another order, or with zeros between: a few roundings of 1e-16.
const TOLERANCE: f64 = 1e-12;

/// How much the first loss may differ from that of guessing.
const SURPRISE: f64 = 0.1;

/// The loss of a fresh model on random words, relative to `ln V`.
fn first_loss(config: &TransformerConfig) -> f64 {
    // A hundred words: their mean is within a tenth of a nat of that of all words.
    let batch = Batch::new(&random_pairs(&[(7, 12); 8], config.target_vocab, 1));
    let model = Transformer::<f32>::new(config, &mut Init::seeded(1));
    let loss = batch.loss(&model, &Tape::infer(), batch.mean_weight()).value().item();
    f64::from(loss) / (config.target_vocab as f64).ln()
}

#[test]
fn a_fresh_model_is_about_as_uncertain_as_a_guess() {
    // With few words the room is smallest: there a tied output is soon too sure of the word it has just seen.
    let small_vocabulary = [(Preset::Tiny, 500), (Preset::Small, 500), (Preset::Tiny, 30)];
    let known = [(Preset::Tiny, 10_000), (Preset::Small, 8_000), (Preset::Base, 16_000)];
    for (preset, vocab) in small_vocabulary.into_iter().chain(known) {
        for norm in [NormPlacement::Pre, NormPlacement::Post] {
            for tied in [Tied::None, Tied::Target, Tied::All] {
                if preset == Preset::Base && tied != Tied::All {
                    // Sixty million numbers each; nothing but the size sets it apart from the small model.
                    continue;
                }
                let config = TransformerConfig { norm, tied, ..preset.config(vocab, vocab) };
                let ratio = first_loss(&config);
                println!("{preset:<5}  V {vocab:>6}  {norm:?}  tied {tied:?}: {ratio:.3} ln V");
                let close = (1.0 - SURPRISE..1.0 + SURPRISE).contains(&ratio);
                assert!(close, "{preset}, V = {vocab}, {norm:?}, tied {tied:?}: {ratio:.3} ln V");
            }
        }
    }
}

/// Four sentence pairs of different lengths, and a model for them.
fn setting() -> (Vec<Pair>, Transformer<f64>) {
    let mut model = Transformer::new(&tiny(), &mut Init::seeded(4));
    shake(&mut model);
    (random_pairs(&[(4, 3), (2, 5), (6, 1), (1, 2)], 11, 4), model)
}

fn assert_same(
    what: &str,
    model: &Transformer<f64>,
    (loss, gradients): &(f64, Gradients<f64>),
    (loss2, gradients2): &(f64, Gradients<f64>),
) {
    assert!((loss - loss2).abs() < TOLERANCE * loss.abs(), "{what}: {loss} and {loss2}");
    let (off, path) = gradient_distance(model, gradients, gradients2);
    assert!(off < TOLERANCE, "{what}: {path} {off:e}");
}

#[test]
fn padding_changes_nothing() {
    let (pairs, model) = setting();
    let batch = Batch::new(&pairs);
    let weight = batch.mean_weight();
    let expected = batch.loss_and_gradients(&model, weight);
    for (source, target) in [(1, 0), (0, 1), (5, 3)] {
        let padded = batch.padded_by(source, target).loss_and_gradients(&model, weight);
        assert_same(&format!("{source} and {target} more columns"), &model, &padded, &expected);
    }
}

#[test]
fn parts_of_a_batch_add_up_to_the_whole_however_it_is_split() {
    let (pairs, model) = setting();
    let batch = Batch::new(&pairs);
    let weight = batch.mean_weight();
    let expected = batch.loss_and_gradients(&model, weight);
    let all = partitions(pairs.len());
    assert_eq!(all.len(), 15, "the fourth Bell number");
    for partition in all {
        let (mut loss, mut gradients) = (0.0, Vec::new());
        for part in &partition {
            // Each part is padded to its own longest sentence.
            let part: Vec<Pair> = part.iter().map(|&row| pairs[row].clone()).collect();
            let (part_loss, part_gradients) = Batch::new(&part).loss_and_gradients(&model, weight);
            loss += part_loss;
            gradients.push(part_gradients);
        }
        let sum = Gradients::sum(gradients, 2);
        assert_same(&format!("{partition:?}"), &model, &(loss, sum), &expected);
    }
}

#[test]
fn the_order_of_sentences_changes_nothing() {
    let (pairs, model) = setting();
    let batch = Batch::new(&pairs);
    let weight = batch.mean_weight();
    let expected = batch.loss_and_gradients(&model, weight);
    for order in [[1, 0, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 2, 3, 0]] {
        let ordered: Vec<Pair> = order.iter().map(|&row| pairs[row].clone()).collect();
        let got = Batch::new(&ordered).loss_and_gradients(&model, weight);
        assert_same(&format!("{order:?}"), &model, &got, &expected);
    }
}

/// All ways to split `0..n` into parts: the last number joins each part in turn, or is one of its own.
fn partitions(n: usize) -> Vec<Vec<Vec<usize>>> {
    if n == 0 {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for smaller in partitions(n - 1) {
        for part in 0..=smaller.len() {
            let mut larger = smaller.clone();
            match larger.get_mut(part) {
                Some(part) => part.push(n - 1),
                None => larger.push(vec![n - 1]),
            }
            all.push(larger);
        }
    }
    all
}

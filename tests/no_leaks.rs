//! Claims: exchanging what a position must not see leaves its value alone, to the last bit. That its derivatives are zero
//! as well is shown in `dependencies`.

use gradus::autograd::{Ids, Tape, Tensor};
use gradus::nn::{Init, NormPlacement, Sentences, Transformer, TransformerConfig};

use crate::common::{shake, tiny};

const D: usize = 8;
const SOURCE: usize = 5;
const TARGET: usize = 6;

fn configs() -> impl Iterator<Item = TransformerConfig> {
    [NormPlacement::Pre, NormPlacement::Post].into_iter().map(|norm| TransformerConfig { norm, ..tiny() })
}

fn model(config: &TransformerConfig) -> Transformer<f64> {
    let mut model = Transformer::new(config, &mut Init::seeded(6));
    shake(&mut model);
    model
}

/// Three sentences of this width: word `n` is `3 + (7n + salt) mod 8`.
fn sentences(width: usize, salt: usize, lengths: [usize; 3]) -> Sentences {
    let ids: Vec<u32> = (0..3 * width).map(|n| 3 + ((7 * n + salt) % 8) as u32).collect();
    Sentences::padded(Ids::new([3, width], ids), lengths)
}

/// The same with word `position` of sentence `row` exchanged for another.
fn exchange(sentences: &Sentences, row: usize, position: usize) -> Sentences {
    let mut ids = sentences.ids.as_slice().to_vec();
    let word = &mut ids[row * sentences.width() + position];
    *word = 3 + (*word - 3 + 1) % 8;
    Sentences::padded(Ids::new(sentences.ids.shape(), ids), sentences.lengths.clone())
}

/// Row `position` of sentence `row` in `[B, T, D]`.
fn at(x: &Tensor<f64>, row: usize, position: usize) -> &[f64] {
    &x.as_slice()[(row * x.shape()[1] + position) * D..][..D]
}

#[test]
fn a_later_target_word_changes_no_earlier_state() {
    for config in configs() {
        let model = model(&config);
        let source = sentences(SOURCE, 1, [5, 2, 3]);
        let target = sentences(TARGET, 2, [6, 4, 6]);
        let hidden = |target: &Sentences| {
            let tape = Tape::train(3);
            model.decode(&tape, target, model.encode(&tape, &source), &source.lengths).value() // [3, T, D]
        };
        let before = hidden(&target);
        for changed in 0..TARGET {
            let after = hidden(&exchange(&target, 0, changed));
            for t in 0..TARGET {
                let same = at(&before, 0, t) == at(&after, 0, t);
                assert_eq!(same, t < changed, "word {changed}, state {t}");
            }
        }
    }
}

#[test]
fn what_stands_in_padding_changes_nothing() {
    for config in configs() {
        let model = model(&config);
        let source = sentences(SOURCE, 1, [5, 2, 0]);
        let target = sentences(TARGET, 2, [6, 4, 1]);
        let hidden = |source: &Sentences, target: &Sentences| {
            let tape = Tape::train(3);
            let memory = model.encode(&tape, source);
            let hidden = model.decode(&tape, target, memory, &source.lengths);
            (memory.value(), hidden.value())
        };
        let (memory, states) = hidden(&source, &target);
        for (row, &length) in source.lengths.iter().enumerate() {
            for padding in length..SOURCE {
                let (memory2, states2) = hidden(&exchange(&source, row, padding), &target);
                assert_eq!(states, states2, "padding {padding} of source {row}");
                assert_ne!(at(&memory, row, padding), at(&memory2, row, padding), "it was exchanged");
                assert!((0..length).all(|s| at(&memory, row, s) == at(&memory2, row, s)));
            }
        }
        for (row, &length) in target.lengths.iter().enumerate() {
            for padding in length..TARGET {
                let (_, states2) = hidden(&source, &exchange(&target, row, padding));
                assert!((0..length).all(|t| at(&states, row, t) == at(&states2, row, t)));
            }
        }
    }
}

#[test]
fn sentences_of_a_batch_do_not_touch_each_other() {
    for config in configs() {
        let model = model(&config);
        let source = sentences(SOURCE, 1, [5, 2, 3]);
        let target = sentences(TARGET, 2, [6, 4, 6]);
        let logits = |source: &Sentences, target: &Sentences| {
            model.forward(&Tape::train(3), source, target).value() // [3, T, V]
        };
        let before = logits(&source, &target);
        let one = before.len() / 3;
        let shorter = Sentences::padded(source.ids.clone(), [5, 1, 3]);
        for after in [
            logits(&exchange(&source, 1, 0), &target),
            logits(&source, &exchange(&target, 1, 0)),
            logits(&shorter, &target),
        ] {
            let (before, after) = (before.as_slice(), after.as_slice());
            assert_eq!(before[..one], after[..one]);
            assert_ne!(before[one..2 * one], after[one..2 * one], "the sentence itself does change");
            assert_eq!(before[2 * one..], after[2 * one..]);
        }
    }
}

//! The samples once more, through the finished model: what it writes, and what it reads of the source for each token.

use autograd::Tensor;
use nn::{Positions, Sentences, Transformer};

use super::history::Sample;
use crate::data::tokenizer::{BOS, EOS, PAD, Tokenizer};
use crate::decode::{Search, Specials, search};

/// A sentence as the finished model reads and writes it.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Source tokens, the end included: S.
    pub(super) source: Vec<String>,
    /// What was written, the end included: T.
    pub(super) target: Vec<String>,
    /// The cross-attention of the last layer, `[H, T, S]`.
    pub(super) weights: Tensor,
}

/// The longest sentence that a map is drawn of.
const LONGEST: usize = 60;

/// Translates the samples greedily, as the validations did. Those that are blank, or too long to draw, are left out.
pub(super) fn read(
    model: &Transformer,
    (source, target): (&Tokenizer, &Tokenizer),
    samples: &[Sample],
) -> Vec<Reading> {
    let positions = match model.config.positions {
        Positions::Learned => model.config.max_length,
        Positions::Sinusoidal => usize::MAX,
    };
    let specials = Specials { bos: BOS, eos: EOS, pad: PAD };
    let greedy = Search { max_length: LONGEST.min(positions), ..Search::greedy() };
    let read = |sample: &Sample| {
        let mut ids = source.encode(&sample.source);
        ids.push(EOS);
        if ids.len() < 2 || ids.len() > LONGEST.min(positions) {
            return None;
        }
        let found = search(model, std::slice::from_ref(&ids), specials, &greedy);
        let mut written = found.into_iter().flatten().next()?.tokens;
        let begun = [&[BOS], &written[..]].concat();
        let all = model.attention_weights(&Sentences::new(&[&ids], PAD), &Sentences::new(&[begun], PAD));
        let last = all.cross.last()?;
        let [_, heads, rows, columns] = *last.shape() else { return None };
        written.push(EOS);
        let names = |tokenizer: &Tokenizer, ids: &[u32]| {
            let name = |&id: &u32| if id == EOS { "end".to_owned() } else { tokenizer.token(id) };
            ids.iter().map(name).collect()
        };
        let weights = last.reshape([heads, rows, columns]);
        Some(Reading { source: names(source, &ids), target: names(target, &written), weights })
    };
    samples.iter().filter_map(read).collect()
}

//! What a model looks at while it translates: the weights of every layer and head, as JSON and as a page of heat maps.

use autograd::Tensor;
use nn::{Sentences, Transformer};
use serde::Serialize;

use super::embed::script_data;
use crate::data::tokenizer::{BOS, EOS, PAD, Tokenizer};

/// The attention of one sentence and its translation. Maps are indexed by layer, head, query and key; the weights of a
/// query sum to 1, rounded to five digits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttentionMaps {
    /// The source's tokens and the end.
    pub source: Vec<String>,
    /// What the decoder reads: the beginning and the target's tokens.
    pub target_read: Vec<String>,
    /// What it should write at each of these positions: the target's tokens and the end.
    pub target_written: Vec<String>,
    /// The source among itself.
    pub encoder_self: Vec<Vec<Map>>,
    /// The target among itself.
    pub decoder_self: Vec<Vec<Map>>,
    /// The source as seen from the target.
    pub cross: Vec<Vec<Map>>,
}

/// The longest sentence, in tokens with its end, that maps are made of: there is a number for each pair of them, in every head.
pub const LONGEST: usize = 512;

/// The weights of one head, by query and key.
pub type Map = Vec<Vec<f64>>;

impl AttentionMaps {
    /// Those of `model` as it reads these tokens, without marks of beginning and end.
    ///
    /// # Panics
    /// Where one side is longer than the model can read.
    #[track_caller]
    pub fn new(
        model: &Transformer,
        (source, target): (&Tokenizer, &Tokenizer),
        source_ids: &[u32],
        target_ids: &[u32],
    ) -> Self {
        let ended = [source_ids, &[EOS]].concat();
        let begun = [&[BOS], target_ids].concat();
        let written = [target_ids, &[EOS]].concat();
        let weights =
            model.attention_weights(&Sentences::new(&[&ended], PAD), &Sentences::new(&[&begun], PAD));
        let name = |tokenizer: &Tokenizer, ids: &[u32]| ids.iter().map(|&id| tokenizer.token(id)).collect();
        Self {
            source: name(source, &ended),
            target_read: name(target, &begun),
            target_written: name(target, &written),
            encoder_self: weights.encoder.iter().map(heads).collect(),
            decoder_self: weights.decoder.iter().map(heads).collect(),
            cross: weights.cross.iter().map(heads).collect(),
        }
    }

    /// A page that shows them, in one file that needs nothing else.
    ///
    /// # Errors
    /// Where they cannot be written as JSON, which is not known to happen.
    pub fn page(&self) -> serde_json::Result<String> {
        let data = script_data(&serde_json::to_string(self)?);
        Ok(PAGE.replacen("{/* maps */}", &data, 1))
    }
}

const PAGE: &str = include_str!("page.html");

/// The weights `[1, H, T, S]` of a layer, head by head.
fn heads(weights: &Tensor<f32>) -> Vec<Map> {
    let &[_, _, queries, keys] = weights.shape().as_slice() else {
        unreachable!("attention weights are [B, H, T, S]")
    };
    let round = |&weight: &f32| (f64::from(weight) * 1e5).round() / 1e5;
    let row = |row: &[f32]| row.iter().map(round).collect();
    weights.as_slice().chunks(queries * keys).map(|map| map.chunks(keys).map(row).collect()).collect()
}

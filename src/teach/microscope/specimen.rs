//! A model with a sentence and its translation: what is put under the microscope.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use autograd::{Ids, Parameters, Tape, Var};
use nn::{Objective, Positions, Sentences, Transformer};
use serde_json::json;

use super::film::Film;
use super::norms::of_fresh;
use super::record::Microscope;
use super::words::Words;
use crate::data::tokenizer::{BOS, EOS, PAD, Tokenizer, UNK};

/// The most tokens that a sentence may have, the end mark included.
pub const LONGEST: usize = 40;

/// A model, a sentence and its translation.
#[derive(Clone, Debug)]
pub struct Specimen {
    /// The model, in `f64`.
    pub model: Transformer<f64>,
    /// The source with its end mark, and one column of padding, so that what masks do to it is seen.
    pub source: Sentences,
    /// The begin mark and the target, padded alike.
    pub target_in: Sentences,
    /// The target and the end mark, padded alike.
    pub target_out: Ids,
    /// The share of label smoothing.
    pub smoothing: f64,
    /// Where the random numbers of dropout come from; `None` for a pass without dropout.
    pub seed: Option<u64>,
    words: Words,
    texts: [String; 2],
}

impl Specimen {
    /// A model with a pair of sentences.
    ///
    /// # Errors
    /// Where a sentence is empty, has only characters that the model does not know, or more than [`LONGEST`] tokens.
    pub fn new(
        model: &Transformer,
        (source_tokenizer, target_tokenizer): (&Tokenizer, &Tokenizer),
        source: &str,
        target: &str,
        smoothing: f64,
        seed: Option<u64>,
    ) -> Result<Self> {
        let source_ids = encode("source", source_tokenizer, source, model)?;
        let target_ids = encode("target", target_tokenizer, target, model)?;
        let mut sides = [
            [&source_ids[..], &[EOS]].concat(),
            [&[BOS], &target_ids[..]].concat(),
            [&target_ids[..], &[EOS]].concat(),
        ];
        let lengths = sides.each_ref().map(Vec::len);
        sides.iter_mut().for_each(|side| side.push(PAD));
        let [source_row, target_in, target_out] = sides;
        let names = |tokenizer: &Tokenizer, ids: &[u32]| ids.iter().map(|&id| tokenizer.token(id)).collect();
        let all: Vec<u32> = (0..target_tokenizer.vocab_size() as u32).collect();
        let words = Words {
            source: names(source_tokenizer, &source_row),
            target_in: names(target_tokenizer, &target_in),
            target_out: names(target_tokenizer, &target_out),
            vocabulary: names(target_tokenizer, &all),
            named: BTreeMap::new(),
        };
        let padded = |row: Vec<u32>, length| Sentences::padded(Ids::new([1, row.len()], row), vec![length]);
        Ok(Self {
            model: model.cast(),
            source: padded(source_row, lengths[0]),
            target_in: padded(target_in, lengths[1]),
            target_out: Ids::new([1, target_out.len()], target_out),
            smoothing,
            seed,
            words,
            texts: [source.trim().to_owned(), target.trim().to_owned()],
        })
    }

    /// The same sentence under another state of the model.
    #[must_use]
    pub fn with_model(&self, model: &Transformer) -> Self {
        Self { model: model.cast(), ..self.clone() }
    }

    /// Drops this share of attention weights in the pass.
    pub fn drop_attention(&mut self, p: f64) {
        self.model.config.dropout.attention = p;
        let encoder = self.model.encoder.layers.iter_mut().map(|layer| &mut layer.self_attn);
        let decoder = self.model.decoder.layers.iter_mut();
        let decoder = decoder.flat_map(|layer| [&mut layer.self_attn, &mut layer.cross_attn]);
        encoder.chain(decoder).for_each(|attention| attention.dropout = p);
    }

    /// An empty tape to record on: fused ops in their parts; with dropout, or without.
    pub fn tape(&self) -> Tape<f64> {
        self.seed.map_or_else(Tape::eval, Tape::train).explained()
    }

    /// The mean cross-entropy of the target's words.
    #[track_caller]
    pub fn loss<'t>(&self, tape: &'t Tape<f64>) -> Var<'t, f64> {
        self.loss_of(&self.model, tape)
    }

    fn loss_of<'t>(&self, model: &Transformer<f64>, tape: &'t Tape<f64>) -> Var<'t, f64> {
        let weight = 1.0 / self.target_in.lengths[0] as f64;
        let objective = Objective { smoothing: self.smoothing, ignore: Some(PAD), weight };
        model.loss(tape, &self.source, &self.target_in, &self.target_out, &objective)
    }

    /// The whole record: names, words, verdicts, planted bugs, flow, and a film where there is one.
    pub fn look(&self, film: Option<Film>) -> Microscope {
        let tape = self.tape();
        let loss = self.loss(&tape);
        let norms = of_fresh(&self.model.config, |model| self.loss_of(model, &Tape::eval()).backward());
        let record = Microscope::record(&tape, loss);
        let logits =
            record.nodes[record.root].inputs.first().map(|&logits| record.nodes[logits].value.clone());
        let words = match logits {
            Some(logits) => self.words.clone().shortened(&logits, self.target_out.as_slice()),
            None => self.words.clone(),
        };
        let record = record
            .named(&tape, &self.model)
            .excused(|path| self.model.zero_by_mathematics(path))
            .worded(words)
            .verified(&tape)
            .flowing(&tape, norms)
            .planted(|| self.tape(), |tape| self.loss(tape))
            .facts(self.facts());
        match film {
            Some(film) => record.filmed(film),
            None => record,
        }
    }

    fn facts(&self) -> serde_json::Value {
        let config = &self.model.config;
        json!({
            "source": self.texts[0],
            "target": self.texts[1],
            "d_model": config.d_model,
            "heads": config.heads,
            "ffn": config.ffn,
            "encoder_layers": config.encoder_layers,
            "decoder_layers": config.decoder_layers,
            "norm": config.norm,
            "activation": config.activation,
            "parameters": self.model.parameter_count(),
            "source_length": self.source.lengths[0],
            "target_length": self.target_in.lengths[0],
            "dropout": self.seed.is_some(),
            "smoothing": self.smoothing,
        })
    }
}

/// The tokens of a sentence, or what is wrong with it.
fn encode(side: &str, tokenizer: &Tokenizer, text: &str, model: &Transformer) -> Result<Vec<u32>> {
    let ids = tokenizer.encode(text);
    if ids.is_empty() {
        bail!("--{side}: the sentence is empty");
    }
    // A space alone is a token that every model knows.
    let known = |id: u32| id != UNK && tokenizer.token(id) != "▁";
    if !ids.iter().any(|&id| known(id)) {
        bail!("--{side}: the model knows none of the characters of \"{}\"", text.trim());
    }
    // Two more: the mark, and one of padding.
    let limit = match model.config.positions {
        Positions::Learned => LONGEST.min(model.config.max_length - 1),
        Positions::Sinusoidal => LONGEST,
    };
    if ids.len() + 1 > limit {
        let count = ids.len() + 1;
        bail!(
            "--{side}: {count} tokens, the end mark included; a page shows at most {limit}: shorten the sentence"
        );
    }
    Ok(ids)
}

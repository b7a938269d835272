//! Text and tokenizers of a run.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::checkpoint::Checkpoint;
use crate::config::{Config, DataConfig};
use crate::data::Pair;
use crate::data::batch::{Example, encode_pairs};
use crate::data::builtin::{self, Sizes};
use crate::data::corpus::{read_parallel, read_tsv};
use crate::data::tokenizer::Tokenizer;

/// The text of a run.
#[derive(Clone, Debug, Default)]
pub struct Corpora {
    /// To train with.
    pub train: Vec<Pair>,
    /// To validate with.
    pub valid: Vec<Pair>,
    /// To test with at the end; empty where there is none.
    pub test: Vec<Pair>,
    /// Of the built-in corpus: sentences with noun-adjective pairs that never meet in training.
    pub unseen: Vec<Pair>,
    /// What a user should know about how it was read.
    pub notes: Vec<String>,
}

impl Corpora {
    /// Reads what is named, or generates the built-in corpus.
    ///
    /// # Errors
    /// One line that names the file, and the line where there is one.
    pub fn read(config: &DataConfig, seed: u64) -> Result<Self> {
        if config.is_builtin() {
            let builtin = builtin::generate(seed, &Sizes::default());
            let notes = vec![format!(
                "built-in corpus, English to French: {} training pairs, {} for validation, {} for testing, {} with unseen noun-adjective pairs",
                builtin.train.len(),
                builtin.valid.len(),
                builtin.test.len(),
                builtin.unseen.len()
            )];
            let builtin::Builtin { train, valid, test, unseen } = builtin;
            return Ok(Self { train, valid, test, unseen, notes });
        }
        let mut notes = Vec::new();
        let mut read =
            |source: &Option<PathBuf>, target: &Option<PathBuf>, what: &str| -> Result<Vec<Pair>> {
                let (Some(source), Some(target)) = (source, target) else { return Ok(Vec::new()) };
                let corpus = read_parallel(source, target)?;
                notes.push(describe(what, corpus.pairs.len(), corpus.blank));
                Ok(corpus.pairs)
            };
        let mut valid = read(&config.valid_source, &config.valid_target, "validation")?;
        let test = read(&config.test_source, &config.test_target, "test")?;
        let mut train = match &config.tsv {
            Some(path) => {
                let corpus = read_tsv(path)?;
                notes.push(describe("training", corpus.pairs.len(), corpus.blank));
                corpus.pairs
            }
            None => read(&config.source, &config.target, "training")?,
        };
        if valid.is_empty() {
            // Every so many lines, not the last ones: files are often in some order.
            let wanted = (train.len() / 100).clamp(1, 500);
            let every = train.len() / wanted;
            if train.len() < 2 {
                bail!("one pair of sentences is too little: name validation text (--valid-src, --valid-tgt)");
            }
            let mut kept = Vec::with_capacity(train.len());
            for (i, pair) in train.into_iter().enumerate() {
                if i % every == every - 1 && valid.len() < wanted {
                    valid.push(pair);
                } else {
                    kept.push(pair);
                }
            }
            train = kept;
            notes.push(format!(
                "no validation text named: {} training pairs are held out for it",
                valid.len()
            ));
        }
        Ok(Self { train, valid, test, unseen: Vec::new(), notes })
    }
}

fn describe(what: &str, pairs: usize, blank: usize) -> String {
    match blank {
        0 => format!("{pairs} {what} pairs"),
        _ => format!("{pairs} {what} pairs, without {blank} whose source or target is blank"),
    }
}

/// Text as tokens, ready to train.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The source side's tokenizer.
    pub source_tokenizer: Tokenizer,
    /// The target side's.
    pub target_tokenizer: Tokenizer,
    /// The training examples.
    pub train: Vec<Example>,
    /// The validation examples.
    pub valid: Vec<Example>,
    /// A checksum of the training examples.
    pub checksum: u32,
}

impl Prepared {
    /// Trains tokenizers where `known` gives none, and encodes.
    ///
    /// # Errors
    /// Where the text does not serve: too little for a vocabulary, or only over-long sentences.
    pub fn new(
        corpora: &mut Corpora,
        config: &Config,
        known: Option<(Tokenizer, Tokenizer)>,
    ) -> Result<Self> {
        let (source_tokenizer, target_tokenizer) = match known {
            Some(known) => known,
            None => train_tokenizers(&corpora.train, config)?,
        };
        let encode = |pairs: &[Pair]| {
            encode_pairs(pairs, &source_tokenizer, &target_tokenizer, config.data.max_length)
        };
        let train = encode(&corpora.train).context("training text")?;
        let valid = encode(&corpora.valid).context("validation text")?;
        for (what, encoded) in [("training", &train), ("validation", &valid)] {
            if encoded.dropped_long > 0 {
                corpora.notes.push(format!(
                    "{} {what} pairs are longer than {} tokens and left out",
                    encoded.dropped_long, config.data.max_length
                ));
            }
        }
        let mut hasher = crc32fast::Hasher::new();
        for example in &train.examples {
            for side in [&example.source, &example.target] {
                for id in side {
                    hasher.update(&id.to_le_bytes());
                }
                hasher.update(&u32::MAX.to_le_bytes());
            }
        }
        Ok(Self {
            source_tokenizer,
            target_tokenizer,
            train: train.examples,
            valid: valid.examples,
            checksum: hasher.finalize(),
        })
    }
}

fn train_tokenizers(pairs: &[Pair], config: &Config) -> Result<(Tokenizer, Tokenizer)> {
    let settings = config.tokenizer.resolved();
    let sources = pairs.iter().map(|pair| pair.source.as_str());
    let targets = pairs.iter().map(|pair| pair.target.as_str());
    if config.tokenizer.joint {
        let joint = Tokenizer::train(sources.chain(targets), &settings)?;
        return Ok((joint.clone(), joint));
    }
    Ok((Tokenizer::train(sources, &settings)?, Tokenizer::train(targets, &settings)?))
}

/// The tokenizers a checkpoint holds.
///
/// # Errors
/// Where one cannot be read.
pub fn tokenizers_of(checkpoint: &Checkpoint) -> Result<(Tokenizer, Tokenizer)> {
    let source = Tokenizer::from_json(&checkpoint.source_tokenizer)?;
    let target = match &checkpoint.target_tokenizer {
        Some(json) => Tokenizer::from_json(json)?,
        None => source.clone(),
    };
    Ok((source, target))
}

//! Text and tokenizers of a run.

use std::path::Path;

use anyhow::{Context, Result, bail};
use autograd::rng;

use crate::checkpoint::Checkpoint;
use crate::config::{Config, DataConfig};
use crate::data::Pair;
use crate::data::batch::{Encoded, Example, encode_pairs};
use crate::data::builtin::{self, Sizes};
use crate::data::corpus::Files;
use crate::data::tokenizer::{EOS, Sampler, Tokenizer};

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
    /// Reads the text of a run that was begun before, maybe from another working folder: see [`DataConfig::locate`].
    ///
    /// # Errors
    /// As [`read`](Self::read); of a relative path that leads nowhere, with the places that were searched.
    pub fn read_of(run: &Path, config: &DataConfig, seed: u64) -> Result<Self> {
        let mut there = config.clone();
        there.locate(run);
        if let Some(path) = there.missing() {
            bail!("{}: cannot read: {}", path.display(), searched(run));
        }
        Self::read(&there, seed)
    }

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
        let mut read = |files: Option<Files>, what: &str| -> Result<Vec<Pair>> {
            let Some(files) = files else { return Ok(Vec::new()) };
            let corpus = files.read()?;
            notes.push(describe(what, corpus.pairs.len(), corpus.blank.len()));
            Ok(corpus.pairs)
        };
        let mut valid = read(config.validation(), "validation")?;
        let test = read(config.test(), "test")?;
        let mut train = read(config.training(), "training")?;
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

/// Where text is looked for.
fn searched(run: &Path) -> String {
    let here = std::env::current_dir().map_or_else(|_| ".".to_owned(), |here| here.display().to_string());
    format!(
        "there is nothing at this relative path in the working folder {here}, nor in {} and the folders that it lies in; \
         --src, --tgt and the like say where the text lies now",
        run.display()
    )
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
    /// The training examples; with dropout of merges, those of the pass over the text that was begun last.
    pub train: Vec<Example>,
    /// The validation examples.
    pub valid: Vec<Example>,
    /// A checksum of the training examples, as they are without dropout of merges.
    pub checksum: u32,
    /// A checksum of the validation examples.
    pub valid_checksum: u32,
    resampling: Option<Resampling>,
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
            let (long, empty) = (encoded.dropped_long, encoded.dropped_empty);
            if long > 0 {
                let limit = config.data.max_length;
                corpora
                    .notes
                    .push(format!("{long} {what} pairs are longer than {limit} tokens and left out"));
            }
            if empty > 0 {
                corpora
                    .notes
                    .push(format!("{empty} {what} pairs have a side without tokens and are left out"));
            }
        }
        let tokenizers = (&source_tokenizer, &target_tokenizer);
        let resampling = Resampling::new(&corpora.train, &train, tokenizers, config)?;
        let (checksum, valid_checksum) = (checksum(&train.examples), checksum(&valid.examples));
        Ok(Self {
            source_tokenizer,
            target_tokenizer,
            train: train.examples,
            valid: valid.examples,
            checksum,
            valid_checksum,
            resampling,
        })
    }

    /// Makes the training examples those of this pass over the text: with dropout of merges, other subwords in each.
    pub fn begin_epoch(&mut self, epoch: u64, threads: usize) {
        if let Some(resampling) = &self.resampling {
            self.train = resampling.epoch(epoch, threads);
        }
    }
}

/// A checksum of examples in their order.
fn checksum(examples: &[Example]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for example in examples {
        for side in [&example.source, &example.target] {
            for id in side {
                hasher.update(&id.to_le_bytes());
            }
            hasher.update(&u32::MAX.to_le_bytes());
        }
    }
    hasher.finalize()
}

/// The training text, cut into other subwords in each pass over it.
#[derive(Clone, Debug)]
struct Resampling {
    source: Sampler,
    target: Sampler,
    /// The examples without dropout.
    plain: Vec<Example>,
    /// The probability that a merge is left out.
    share: f64,
    seed: u64,
    max_length: usize,
}

impl Resampling {
    fn new(
        pairs: &[Pair],
        encoded: &Encoded,
        (source, target): (&Tokenizer, &Tokenizer),
        config: &Config,
    ) -> Result<Option<Self>> {
        let share = config.tokenizer.dropout;
        if share == 0.0 {
            return Ok(None);
        }
        let kept = || encoded.kept.iter().map(|&number| &pairs[number]);
        Ok(Some(Self {
            source: Sampler::new(source, kept().map(|pair| pair.source.as_str()))?,
            target: Sampler::new(target, kept().map(|pair| pair.target.as_str()))?,
            plain: encoded.examples.clone(),
            share,
            seed: rng::derive(config.train.seed, DROPOUT_STREAM),
            max_length: config.data.max_length,
        }))
    }

    /// A function of the seed, the epoch and the sentence, so that a training that was stopped goes on exactly.
    fn epoch(&self, epoch: u64, threads: usize) -> Vec<Example> {
        let seed = rng::derive(self.seed, epoch);
        autograd::in_order(self.plain.len(), threads, |i| {
            let side = |sampler: &Sampler, number: u64| {
                let mut ids = sampler.sample(i, self.share, rng::derive(seed, 2 * i as u64 + number));
                ids.push(EOS);
                ids
            };
            let sampled = Example { source: side(&self.source, 0), target: side(&self.target, 1) };
            // Smaller pieces are more of them; what would be too long stays as it is.
            if sampled.length() > self.max_length { self.plain[i].clone() } else { sampled }
        })
    }
}

/// What sets these random numbers apart from others of the same seed.
const DROPOUT_STREAM: u64 = 0x6472_6f70_6f75_7400;

/// Learns the vocabularies of source and target, or one for both.
///
/// # Errors
/// Where there is no text, or a vocabulary is too small for its characters.
pub fn train_tokenizers(pairs: &[Pair], config: &Config) -> Result<(Tokenizer, Tokenizer)> {
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
    let source = Tokenizer::from_json(&checkpoint.source_tokenizer).context("source_tokenizer")?;
    let target = match &checkpoint.target_tokenizer {
        Some(json) => Tokenizer::from_json(json).context("target_tokenizer")?,
        None => source.clone(),
    };
    Ok((source, target))
}

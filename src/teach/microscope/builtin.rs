//! A small model, trained in half a minute on the built-in corpus, so that there is something to look at.

use anyhow::Result;
use autograd::rng;
use nn::{Dropouts, Init, Preset, Transformer, TransformerConfig};
use optim::{Adam, Schedule};

use super::film::Film;
use super::specimen::Specimen;
use crate::data::batch::{Example, encode_pairs, plan_epoch};
use crate::data::builtin::{Sizes, generate};
use crate::data::tokenizer::{Tokenizer, TokenizerConfig};
use crate::train::step::{StepOptions, step};

/// The model, its tokenizer for both languages, and the film of its training.
#[derive(Debug)]
pub struct Builtin {
    /// Two layers on each side, D 32, four heads.
    pub model: Transformer,
    /// Of English and French.
    pub tokenizer: Tokenizer,
    /// The given sentence's attention during the training.
    pub film: Film,
}

/// Training pairs.
const PAIRS: usize = 30_000;

/// Words of the longest source sentence: short ones are learned sooner.
const WORDS: usize = 7;

/// Padded tokens of a batch.
const BATCH_TOKENS: usize = 500;

/// The smoothing of the labels in training.
const SMOOTHING: f64 = 0.1;

/// Trains for `steps` steps, and films the pair of sentences on the way. `progress` is told the step and its loss.
///
/// The result does not depend on the number of threads.
///
/// # Errors
/// Where the sentences cannot be shown ([`Specimen::new`]).
pub fn train_builtin(
    [source, target]: [&str; 2],
    steps: u64,
    threads: usize,
    mut progress: impl FnMut(u64, f64),
) -> Result<Builtin> {
    let mut pairs = generate(1, &Sizes { train: PAIRS, valid: 0, test: 0, unseen: 0 }).train;
    pairs.retain(|pair| pair.source.split(' ').count() <= WORDS);
    let texts = pairs.iter().flat_map(|pair| [pair.source.as_str(), pair.target.as_str()]);
    let tokenizer =
        Tokenizer::train(texts, &TokenizerConfig { vocab_size: 800, ..TokenizerConfig::default() })?;
    let examples: Vec<Example> = encode_pairs(&pairs, &tokenizer, &tokenizer, 40)?.examples;
    let mut model = Transformer::new(&config(tokenizer.vocab_size()), &mut Init::seeded(1));
    let tokenizers = (&tokenizer, &tokenizer);
    let specimen = Specimen::new(&model, tokenizers, source, target, SMOOTHING, None)?;
    let mut film = Film::default();
    let mut adam = Adam { betas: (0.9, 0.98), ..Adam::default() };
    let schedule = Schedule::Cosine { peak: 1.5e-2, warmup: steps.div_ceil(10), total: steps, floor: 1e-5 };
    let options =
        StepOptions { shards: 2, threads, smoothing: SMOOTHING, clip: 1.0, r_drop: 0.0, profile: false };
    let (mut epoch, mut plan) = (0, Vec::new());
    for number in 0..=steps {
        if Film::wants(number, steps) {
            film.shoot(number, &specimen.with_model(&model));
        }
        if number == steps {
            break;
        }
        if plan.is_empty() {
            plan = plan_epoch(&examples, BATCH_TOKENS, 1, epoch);
            epoch += 1;
        }
        let batch = plan.pop().into_iter().collect::<Vec<_>>();
        let seed = rng::derive(1, number);
        let rate = schedule.rate(number + 1);
        let taken = step(&mut model, &mut adam, &examples, &batch, &options, rate, seed);
        progress(number + 1, taken.loss);
    }
    Ok(Builtin { model, tokenizer, film })
}

fn config(vocab: usize) -> TransformerConfig {
    TransformerConfig {
        d_model: 32,
        ffn: 64,
        heads: 4,
        encoder_layers: 2,
        decoder_layers: 2,
        dropout: Dropouts { attention: 0.1, ..Dropouts::all(0.0) },
        max_length: 64,
        ..Preset::Tiny.config(vocab, vocab)
    }
}

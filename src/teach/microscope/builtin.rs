//! A small model, trained in about a minute on the built-in corpus, so that there is something to look at.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use autograd::rng;
use nn::{Dropouts, Init, Preset, Transformer, TransformerConfig};
use optim::{Adam, Schedule};

use super::film::Film;
use super::specimen::Specimen;
use crate::data::Pair;
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

/// Steps after which it is sure of nearly every token.
pub const BUILTIN_STEPS: u64 = 1500;

/// Pairs to choose from.
const PAIRS: usize = 250_000;

/// Words of the longest source sentence: short ones are learned sooner.
const WORDS: usize = 7;

/// How many words of each language occur, those of the pair that is shown beside them.
const LEXICON: [usize; 2] = [250, 350];

/// Tokens: enough that nearly every word is one.
const VOCABULARY: usize = 1000;

/// Padded tokens of a batch.
const BATCH_TOKENS: usize = 800;

/// The smoothing of the labels in the training of the built-in model: little, so that it may be sure.
pub const BUILTIN_SMOOTHING: f64 = 0.02;

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
    let pairs = pairs_like([source, target]);
    let texts = pairs.iter().flat_map(|pair| [pair.source.as_str(), pair.target.as_str()]);
    let tokenizer =
        Tokenizer::train(texts, &TokenizerConfig { vocab_size: VOCABULARY, ..TokenizerConfig::default() })?;
    let examples: Vec<Example> = encode_pairs(&pairs, &tokenizer, &tokenizer, 40)?.examples;
    let mut model = Transformer::new(&config(tokenizer.vocab_size()), &mut Init::seeded(1));
    let tokenizers = (&tokenizer, &tokenizer);
    let specimen = Specimen::new(&model, tokenizers, source, target, BUILTIN_SMOOTHING, None)?;
    let mut film = Film::default();
    let mut adam = Adam { betas: (0.9, 0.98), ..Adam::default() };
    let schedule = Schedule::Cosine { peak: 1.5e-2, warmup: steps.div_ceil(10), total: steps, floor: 1e-5 };
    let options = StepOptions {
        shards: 2,
        threads,
        smoothing: BUILTIN_SMOOTHING,
        clip: 1.0,
        r_drop: 0.0,
        profile: false,
    };
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

/// Short pairs of the built-in corpus that are made of few words: the most frequent ones, and those that are shown.
fn pairs_like(shown: [&str; 2]) -> Vec<Pair> {
    let mut pairs = generate(1, &Sizes { train: PAIRS, valid: 0, test: 0, unseen: 0 }).train;
    pairs.retain(|pair| pair.source.split(' ').count() <= WORDS);
    let sides: [fn(&Pair) -> &str; 2] = [|pair| &pair.source, |pair| &pair.target];
    let lexicons: Vec<HashSet<String>> = (0..2)
        .map(|side| {
            let mut counts: HashMap<&str, usize> = HashMap::new();
            pairs
                .iter()
                .flat_map(|pair| words(sides[side](pair)))
                .for_each(|word| *counts.entry(word).or_default() += 1);
            let mut counts: Vec<_> = counts.into_iter().collect();
            counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
            let frequent = counts.into_iter().map(|(word, _)| word).take(LEXICON[side]);
            frequent.chain(words(shown[side])).map(str::to_owned).collect()
        })
        .collect();
    pairs
        .retain(|pair| (0..2).all(|side| words(sides[side](pair)).all(|word| lexicons[side].contains(word))));
    pairs
}

/// The words of a sentence, without its marks.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '-').filter(|word| !word.is_empty())
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

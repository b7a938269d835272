//! The built-in corpus: a small bilingual grammar, English to French, from which any number of sentence pairs
//! can be drawn. It makes the main job run anywhere, without a download.
//!
//! The French is a function of the English: nothing in it depends on what the English does not show. "you" is
//! *vous* said to one person, "they" is *ils*, "it" does not occur, and the past is the *passé composé*. The
//! question mark has no space before it.

mod english;
mod french;
#[cfg(test)]
mod golden;
mod grammar;
mod lexicon;
mod sample;
#[cfg(test)]
mod tests;
mod to_english;
mod to_french;

use std::collections::HashSet;
use std::ops::RangeInclusive;

use self::grammar::{Combination, Sentence};
use self::sample::Sampler;
use super::Pair;

/// The corpus in its parts, no two of which share a source sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// What the model learns from.
    pub train: Vec<Pair>,
    /// What training is watched by.
    pub valid: Vec<Pair>,
    /// New sentences of the same kind as those in `train`.
    pub test: Vec<Pair>,
    /// The part of the test whose noun-adjective pairs never occur together in train or valid: each sentence has
    /// at least one such combination.
    pub unseen: Vec<Pair>,
}

/// How many pairs each part of the corpus is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Pairs to learn from.
    pub train: usize,
    /// Pairs to watch the training by.
    pub valid: usize,
    /// Pairs to test with.
    pub test: usize,
    /// Pairs to test with that combine nouns and adjectives anew.
    pub unseen: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { train: 60_000, valid: 500, test: 500, unseen: 500 }
    }
}

/// How many words an English sentence has; shorter and longer ones are drawn anew.
const LENGTHS: RangeInclusive<usize> = 3..=20;

/// How often a part that lacks a sentence draws anew before it is left short.
const PATIENCE: usize = 1000;

/// Generates the corpus. The same seed and sizes give the same corpus on every platform.
///
/// Every word outside `train` also occurs in `train`; where `train` is so small that it has too few words for
/// that, the other parts may come out shorter than asked for.
///
/// ```
/// use gradus::data::builtin::{Sizes, generate};
///
/// let corpus = generate(1, &Sizes { train: 2000, valid: 10, test: 10, unseen: 10 });
/// assert_eq!((corpus.train.len(), corpus.unseen.len()), (2000, 10));
/// ```
pub fn generate(seed: u64, sizes: &Sizes) -> Builtin {
    let mut source = Source { sampler: Sampler::new(seed), sentences: HashSet::new() };
    let train = source.draw(sizes.train, false, None);
    let words = Words::of(&train);
    let valid = source.draw(sizes.valid, false, Some(&words));
    let test = source.draw(sizes.test, false, Some(&words));
    let unseen = source.draw(sizes.unseen, true, Some(&words));
    Builtin { train, valid, test, unseen }
}

/// The words of a set of pairs.
struct Words<'text> {
    source: HashSet<&'text str>,
    target: HashSet<&'text str>,
}

impl<'text> Words<'text> {
    fn of(pairs: &'text [Pair]) -> Self {
        Self {
            source: words_of(pairs.iter().map(|pair| &pair.source)),
            target: words_of(pairs.iter().map(|pair| &pair.target)),
        }
    }

    fn cover(&self, pair: &Pair) -> bool {
        split(&pair.source).all(|word| self.source.contains(word))
            && split(&pair.target).all(|word| self.target.contains(word))
    }
}

fn words_of<'text>(texts: impl Iterator<Item = &'text String>) -> HashSet<&'text str> {
    texts.flat_map(|text| split(text)).collect()
}

/// The words of a sentence: what is left between spaces, apostrophes and marks. A capital makes another word,
/// so that every beginning of a sentence is known from training too.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\'', '.', ',', '?']).filter(|word| !word.is_empty())
}

/// Draws sentences that were not drawn before.
struct Source {
    sampler: Sampler,
    sentences: HashSet<String>,
}

impl Source {
    /// Draws `number` pairs that have a held-out combination, or that have none; all of known words, if given.
    fn draw(&mut self, number: usize, held: bool, known: Option<&Words<'_>>) -> Vec<Pair> {
        let mut pairs = Vec::with_capacity(number);
        let mut misses = 0;
        while pairs.len() < number && misses < PATIENCE {
            misses += 1;
            let sentence = self.sampler.sentence();
            if has_held_out(&sentence) != held {
                continue;
            }
            let pair = translate(&sentence);
            if !LENGTHS.contains(&pair.source.split(' ').count())
                || known.is_some_and(|words| !words.cover(&pair))
                || self.sentences.contains(&pair.source)
            {
                continue;
            }
            self.sentences.insert(pair.source.clone());
            pairs.push(pair);
            misses = 0;
        }
        pairs
    }
}

/// Both realisations of a sentence.
fn translate(sentence: &Sentence) -> Pair {
    Pair { source: to_english::realise(sentence), target: to_french::realise(sentence) }
}

fn has_held_out(sentence: &Sentence) -> bool {
    sentence.contents().combinations.into_iter().any(held_out)
}

/// Whether a noun and an adjective never meet in training. About a tenth of the combinations, by a hash of
/// the English words alone, so that the choice depends neither on the seed nor on the platform.
fn held_out((noun, adjective): Combination) -> bool {
    let bytes = noun.english.bytes().chain([b' ']).chain(adjective.english.bytes());
    // The low bits of the hash mix poorly.
    (fingerprint(bytes) >> 32).is_multiple_of(10)
}

/// The FNV-1a hash, which is the same everywhere.
fn fingerprint(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

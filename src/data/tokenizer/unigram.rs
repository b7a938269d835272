//! Learning a unigram model (Kudo, "Subword regularization", 2018, §3.2): every word is a sequence of independent pieces.
//! From all repeated parts of words, pieces are estimated by expectation maximisation, and those that are missed least are
//! left out, over and over, until as many are left as are wanted.
//!
//! The `tokenizers` crate has a trainer too, but its first pieces are parts that more than one *different* word has, so that
//! frequent words are no pieces: on Multi30k its text has 13 % more tokens than with SentencePiece.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The longest piece, in characters.
const LONGEST: usize = 16;

/// The most pieces to begin with.
const SEEDS: usize = 1_000_000;

/// From this many different words on, those that occur once give no pieces.
const MANY: usize = 300_000;

/// What is left of the pieces each time.
const KEPT: f64 = 0.75;

/// Steps of expectation maximisation in between.
const STEPS: usize = 2;

/// How often a piece must be expected to stay.
const RARE: f64 = 0.5;

/// At most `size` pieces of these words, given with their counts, and their log-probabilities, the most probable first. All
/// characters are among them. The result is a function of the arguments.
pub(super) fn learn(words: &BTreeMap<String, u32>, size: usize) -> Vec<(String, f64)> {
    let mut model = Model::new(seeds(words));
    // The last choice is by probability alone, from a few more than are wanted.
    let enough = size * 11 / 10;
    loop {
        for _ in 0..STEPS {
            let expected = model.expected(words);
            model = model.maximised(&expected);
        }
        if model.pieces.len() <= enough {
            break;
        }
        let kept = enough.max((KEPT * model.pieces.len() as f64) as usize);
        let fewer = model.pruned(words, kept);
        if fewer.pieces.len() == model.pieces.len() {
            break;
        }
        model = fewer;
    }
    let (characters, mut longer): (Vec<_>, Vec<_>) =
        model.pieces.into_iter().partition(|piece| is_character(piece.text));
    longer.sort_by(|a, b| b.log_prob.total_cmp(&a.log_prob).then(a.text.cmp(b.text)));
    longer.truncate(size.saturating_sub(characters.len()));
    let mut pieces: Vec<(String, f64)> = (characters.iter().chain(&longer))
        // With six digits a number is read back from a file as it was written.
        .map(|piece| (piece.text.to_owned(), (piece.log_prob * 1e6).round() / 1e6))
        .collect();
    pieces.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    pieces
}

/// Part of a word.
#[derive(Clone, Copy, Debug)]
struct Piece<'w> {
    text: &'w str,
    log_prob: f64,
}

/// All characters, and all repeated parts of words, those first that cover most text.
fn seeds(words: &BTreeMap<String, u32>) -> Vec<Piece<'_>> {
    let mut counts = HashMap::<&str, u64>::new();
    let mut characters = BTreeSet::new();
    // Of very many words most occur once; their parts would only fill memory.
    let least = if words.len() > MANY { 2 } else { 1 };
    for (word, &count) in words {
        let ends = boundaries(word);
        for (first, last) in spans(&ends) {
            let text = &word[ends[first]..ends[last]];
            if last == first + 1 {
                characters.insert(text);
            } else if count < least {
                continue;
            }
            *counts.entry(text).or_default() += u64::from(count);
        }
    }
    let mut longer: Vec<(u64, &str)> = (counts.iter())
        .filter(|(text, count)| **count > 1 && !is_character(text))
        .map(|(text, count)| (count * text.chars().count() as u64, *text))
        .collect();
    longer.sort_unstable_by_key(|&(cover, text)| (Reverse(cover), text));
    longer.truncate(SEEDS);
    let characters = characters.into_iter().map(|text| (counts[text], text));
    let all: Vec<(u64, &str)> = characters.chain(longer).collect();
    let sum = all.iter().map(|(cover, _)| *cover).sum::<u64>() as f64;
    all.into_iter().map(|(cover, text)| Piece { text, log_prob: (cover as f64 / sum).ln() }).collect()
}

/// Where the characters of a word begin, and where it ends.
fn boundaries(word: &str) -> Vec<usize> {
    word.char_indices().map(|(place, _)| place).chain([word.len()]).collect()
}

/// The parts of a word that can be pieces, as numbers of boundaries, in the order of their ends.
fn spans(ends: &[usize]) -> impl Iterator<Item = (usize, usize)> + use<> {
    (1..ends.len()).flat_map(|last| (last.saturating_sub(LONGEST)..last).map(move |first| (first, last)))
}

fn is_character(text: &str) -> bool {
    text.chars().nth(1).is_none()
}

struct Model<'w> {
    pieces: Vec<Piece<'w>>,
    numbers: HashMap<&'w str, usize>,
}

impl<'w> Model<'w> {
    fn new(pieces: Vec<Piece<'w>>) -> Self {
        let numbers = pieces.iter().enumerate().map(|(number, piece)| (piece.text, number)).collect();
        Self { pieces, numbers }
    }

    /// The pieces that a word can be made of: from where to where, and the number.
    fn arcs(&self, word: &str) -> (usize, Vec<(usize, usize, usize)>) {
        let ends = boundaries(word);
        let arcs = spans(&ends).filter_map(|(first, last)| {
            self.numbers.get(&word[ends[first]..ends[last]]).map(|&number| (first, last, number))
        });
        (ends.len() - 1, arcs.collect())
    }

    /// How often each piece is expected in the words, over all ways to cut them.
    fn expected(&self, words: &BTreeMap<String, u32>) -> Vec<f64> {
        let mut expected = vec![0.0; self.pieces.len()];
        for (word, &count) in words {
            let (length, arcs) = self.arcs(word);
            let mut before = vec![f64::NEG_INFINITY; length + 1];
            let mut after = before.clone();
            (before[0], after[length]) = (0.0, 0.0);
            for &(first, last, number) in &arcs {
                before[last] = log_add(before[last], before[first] + self.pieces[number].log_prob);
            }
            // By falling ends, so that what follows is complete.
            for &(first, last, number) in arcs.iter().rev() {
                after[first] = log_add(after[first], after[last] + self.pieces[number].log_prob);
            }
            for &(first, last, number) in &arcs {
                let share = before[first] + self.pieces[number].log_prob + after[last] - before[length];
                expected[number] += f64::from(count) * share.exp();
            }
        }
        expected
    }

    /// The pieces with the probabilities that follow from their expected counts, without rare ones. Digamma in place of the
    /// logarithm takes from the rare and gives to the frequent: a sparse prior (Liang and Klein, "Structured Bayesian
    /// nonparametric models with variational inference", 2007).
    fn maximised(&self, expected: &[f64]) -> Self {
        let kept = |(piece, count): (&Piece<'w>, &f64)| {
            (is_character(piece.text) || *count >= RARE).then(|| (piece.text, count.max(RARE)))
        };
        let counts: Vec<(&str, f64)> = self.pieces.iter().zip(expected).filter_map(kept).collect();
        let all = digamma(counts.iter().map(|(_, count)| count).sum());
        Self::new(
            counts.iter().map(|&(text, count)| Piece { text, log_prob: digamma(count) - all }).collect(),
        )
    }

    /// The characters and those pieces without which the words would lose most probability, `size` in all.
    fn pruned(&self, words: &BTreeMap<String, u32>, size: usize) -> Self {
        let mut counts = vec![0.0; self.pieces.len()];
        for (word, &count) in words {
            for number in self.best(word, usize::MAX) {
                counts[number] += f64::from(count);
            }
        }
        let all: f64 = counts.iter().sum();
        let loss = |number: usize| {
            let count: f64 = counts[number];
            let instead = self.best(self.pieces[number].text, number);
            // Its occurrences become occurrences of what stands in its place.
            let all_instead = all + count * (instead.len() as f64 - 1.0);
            let log_instead: f64 =
                instead.iter().map(|&other| ((counts[other] + count) / all_instead).ln()).sum();
            count * ((count / all).ln() - log_instead)
        };
        let (characters, longer): (Vec<usize>, Vec<usize>) =
            (0..self.pieces.len()).partition(|&number| is_character(self.pieces[number].text));
        let mut longer: Vec<(f64, usize)> = (longer.into_iter())
            .filter(|&number| counts[number] > 0.0)
            .map(|number| (loss(number), number))
            .collect();
        longer.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        longer.truncate(size.saturating_sub(characters.len()));
        let mut kept: Vec<usize> =
            characters.into_iter().chain(longer.into_iter().map(|(_, number)| number)).collect();
        kept.sort_unstable();
        Self::new(kept.into_iter().map(|number| self.pieces[number]).collect())
    }

    /// The most probable pieces of a word, without the piece `but`.
    fn best(&self, word: &str, but: usize) -> Vec<usize> {
        let (length, arcs) = self.arcs(word);
        let mut best = vec![(f64::NEG_INFINITY, 0, 0); length + 1];
        best[0].0 = 0.0;
        for (first, last, number) in arcs {
            let score = best[first].0 + self.pieces[number].log_prob;
            if number != but && score > best[last].0 {
                best[last] = (score, first, number);
            }
        }
        let mut pieces = Vec::new();
        let mut end = length;
        while end > 0 {
            pieces.push(best[end].2);
            end = best[end].1;
        }
        pieces
    }
}

/// `ln(eᵃ + eᵇ)`
fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// The derivative of `ln Γ`: its recurrence up to 6, and from there its asymptotic series.
fn digamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < 6.0 {
        below -= 1.0 / x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    below + x.ln() - 0.5 / x - square * (1.0 / 12.0 - square * (1.0 / 120.0 - square / 252.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digamma_is_that_of_the_tables() {
        for (x, known) in [(1.0, -0.577_215_664_9), (0.5, -1.963_510_026_0), (10.0, 2.251_752_589_1)] {
            assert!((digamma(x) - known).abs() < 1e-8, "{x}");
        }
    }

    #[test]
    fn expected_counts_are_those_of_all_ways_to_cut_a_word() {
        let words = BTreeMap::from([("aab".to_owned(), 3)]);
        let piece = |text, probability: f64| Piece { text, log_prob: probability.ln() };
        let model = Model::new(vec![piece("a", 0.5), piece("b", 0.2), piece("aa", 0.2), piece("ab", 0.1)]);
        // a·a·b 0.05, aa·b 0.04, a·ab 0.05.
        let expected = model.expected(&words);
        let known = [3.0 * 0.15 / 0.14, 3.0 * 0.09 / 0.14, 3.0 * 0.04 / 0.14, 3.0 * 0.05 / 0.14];
        for (ours, known) in expected.iter().zip(known) {
            assert!((ours - known).abs() < 1e-12, "{expected:?}");
        }
        assert_eq!(model.best("aab", usize::MAX).len(), 2);
        assert_eq!(model.best("aa", 2), [0, 0]);
    }
}

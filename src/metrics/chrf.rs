//! Corpus chrF and chrF++.

use std::fmt;
use std::ops::{Add, AddAssign};

use super::tokenize::{is_space, split_space};
use super::{NgramCounts, VERSION, assert_paired, case_field, fold_case};

/// What chrF compares. The default is sacreBLEU's chrF2; [`ChrfOptions::plus_plus`] is its chrF2++.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChrfOptions {
    /// The longest n-grams of characters that count.
    pub char_order: usize,
    /// The longest n-grams of words that count: 0 for chrF, 2 for chrF++.
    pub word_order: usize,
    /// How many times as important recall is as precision.
    pub beta: f64,
    /// Whether all text is put in lower case first.
    pub lowercase: bool,
    /// Whether white space counts among the characters. If not, n-grams run across the ends of words.
    pub whitespace: bool,
}

/// The counts that chrF is computed from, of one sentence or, added up, of a corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChrfStats {
    /// The counts for every order: of characters from 1 to `char_order`, then of words from 1 to `word_order`.
    pub orders: Vec<NgramCounts>,
}

/// A corpus chrF score with what it was computed from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chrf {
    /// The score, from 0 to 100.
    pub score: f64,
    /// The n-gram precision in percent, averaged over the orders that both sides have n-grams of.
    pub precision: f64,
    /// The n-gram recall in percent, averaged over the same orders.
    pub recall: f64,
    /// What was compared.
    pub options: ChrfOptions,
}

/// Corpus chrF of hypotheses with one reference each (Popović 2015, "chrF: character n-gram F-score for automatic MT
/// evaluation"; with words, Popović 2017, "chrF++: words helping character n-grams"), as sacreBLEU computes it:
///
/// chrF = 100 · (1 + β²) · P · R / (β² · P + R)
///
/// Here P is the share of the hypotheses' n-grams that their references have too, R the share of the references'
/// n-grams that their hypotheses have too, both clipped per sentence, counted over the corpus and averaged over all
/// orders of characters and words. An order takes part only if both sides have n-grams of it (sacreBLEU's `eff:yes`,
/// without epsilon smoothing), and a hypothesis counts for an order only if its reference has n-grams of it.
///
/// Words, for chrF++, are what white space separates, with one punctuation mark taken off: the last character, or
/// else the first, if it is ASCII punctuation.
///
/// # Panics
///
/// If there are not as many references as hypotheses.
#[track_caller]
pub fn chrf(hypotheses: &[impl AsRef<str>], references: &[impl AsRef<str>], options: &ChrfOptions) -> Chrf {
    assert_paired(hypotheses.len(), references.len());
    let mut stats = ChrfStats::zero(options);
    for (hypothesis, reference) in hypotheses.iter().zip(references) {
        stats += &ChrfStats::of_sentence(hypothesis.as_ref(), reference.as_ref(), options);
    }
    Chrf::from_stats(&stats, options)
}

impl ChrfOptions {
    /// chrF++: also single words and pairs of words.
    pub fn plus_plus() -> Self {
        Self { word_order: 2, ..Self::default() }
    }
}

impl Default for ChrfOptions {
    fn default() -> Self {
        Self { char_order: 6, word_order: 0, beta: 2.0, lowercase: false, whitespace: false }
    }
}

impl ChrfStats {
    /// The counts of no sentence, to start a sum with.
    pub fn zero(options: &ChrfOptions) -> Self {
        Self { orders: vec![NgramCounts::default(); options.char_order + options.word_order] }
    }

    /// The counts of one hypothesis and its reference.
    pub fn of_sentence(hypothesis: &str, reference: &str, options: &ChrfOptions) -> Self {
        let hypothesis = fold_case(hypothesis, options.lowercase);
        let reference = fold_case(reference, options.lowercase);
        let mut orders = Vec::with_capacity(options.char_order + options.word_order);

        let (left, right) = (characters(&hypothesis, options), characters(&reference, options));
        orders.extend((1..=options.char_order).map(|order| NgramCounts::of(&left, &right, order)));
        if options.word_order > 0 {
            let (left, right) = (words(&hypothesis), words(&reference));
            orders.extend((1..=options.word_order).map(|order| NgramCounts::of(&left, &right, order)));
        }

        // sacreBLEU does not hold n-grams against a hypothesis that its reference is too short to have.
        for order in orders.iter_mut().filter(|order| order.reference == 0) {
            order.hypothesis = 0;
        }
        Self { orders }
    }
}

/// # Panics
///
/// If the two have different numbers of orders.
impl AddAssign<&ChrfStats> for ChrfStats {
    #[track_caller]
    fn add_assign(&mut self, other: &ChrfStats) {
        let (ours, theirs) = (self.orders.len(), other.orders.len());
        assert!(ours == theirs, "counts of {ours} orders of n-grams cannot be added to counts of {theirs}");
        for (order, more) in self.orders.iter_mut().zip(&other.orders) {
            *order += *more;
        }
    }
}

/// # Panics
///
/// If the two have different numbers of orders.
impl Add<&ChrfStats> for ChrfStats {
    type Output = Self;

    #[track_caller]
    fn add(mut self, other: &ChrfStats) -> Self {
        self += other;
        self
    }
}

impl Chrf {
    /// The score that follows from the counts of a corpus; `options` must be those that the counts were made with.
    pub fn from_stats(stats: &ChrfStats, options: &ChrfOptions) -> Self {
        let (mut precision, mut recall, mut effective_orders) = (0.0, 0.0, 0.0);
        for order in stats.orders.iter().filter(|order| order.hypothesis > 0 && order.reference > 0) {
            precision += order.matches as f64 / order.hypothesis as f64;
            recall += order.matches as f64 / order.reference as f64;
            effective_orders += 1.0;
        }
        if effective_orders > 0.0 {
            precision /= effective_orders;
            recall /= effective_orders;
        }
        Self {
            score: 100.0 * f_score(precision, recall, options.beta),
            precision: 100.0 * precision,
            recall: 100.0 * recall,
            options: *options,
        }
    }

    /// How the score was computed, in sacreBLEU's notation. The version names this crate, because the other fields
    /// say what is computed and this one says by what.
    pub fn signature(&self) -> String {
        let ChrfOptions { char_order, word_order, lowercase, whitespace, .. } = self.options;
        let case = case_field(lowercase);
        let space = if whitespace { "yes" } else { "no" };
        format!("nrefs:1|case:{case}|eff:yes|nc:{char_order}|nw:{word_order}|space:{space}|version:{VERSION}")
    }
}

/// The line that sacreBLEU prints, `chrF2 = 59.73`: β follows the name, and then a plus sign for each order of words.
impl fmt::Display for Chrf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "chrF{}{}", self.options.beta, "+".repeat(self.options.word_order))?;
        write!(formatter, " = {:.2}", self.score)
    }
}

/// The weighted harmonic mean of precision and recall, 0 if both are 0.
fn f_score(precision: f64, recall: f64, beta: f64) -> f64 {
    if precision + recall == 0.0 {
        return 0.0;
    }
    let weight = beta * beta;
    (1.0 + weight) * precision * recall / (weight * precision + recall)
}

fn characters(text: &str, options: &ChrfOptions) -> Vec<char> {
    text.chars().filter(|&character| options.whitespace || !is_space(character)).collect()
}

fn words(text: &str) -> Vec<&str> {
    split_space(text).flat_map(split_punctuation).filter(|part| !part.is_empty()).collect()
}

/// Takes one punctuation mark off a word. A mark at the end keeps one at the beginning from being looked at, so
/// `(hi)` becomes `(hi` and `)`, as in Popović's program and in sacreBLEU. One of the two parts may be empty.
fn split_punctuation(word: &str) -> [&str; 2] {
    let is_mark = |character: char| character.is_ascii_punctuation();
    let middle = if word.ends_with(is_mark) {
        word.len() - 1
    } else if word.starts_with(is_mark) {
        1
    } else {
        word.len()
    };
    let (start, end) = word.split_at(middle);
    [start, end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_text_scores_100() {
        let text = ["Ça va ?", "Oui, merci."];
        let chrf = chrf(&text, &text, &ChrfOptions::plus_plus());
        assert!((chrf.score - 100.0).abs() < 1e-12, "{chrf}");
        assert_eq!(chrf.to_string(), "chrF2++ = 100.00");
        assert_eq!(
            chrf.signature(),
            format!("nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:{VERSION}")
        );
    }

    #[test]
    fn one_mark_is_taken_off_a_word() {
        assert_eq!(
            words("(hi) \"so ... - don't é, 1.5"),
            ["(hi", ")", "\"", "so", "..", ".", "-", "don't", "é", ",", "1.5"]
        );
    }

    #[test]
    fn beta_weighs_recall() {
        // "ab" for "abcd": all of its characters are right, half of the reference's are there.
        let options = ChrfOptions { char_order: 1, beta: 3.0, ..ChrfOptions::default() };
        let chrf = chrf(&["ab"], &["abcd"], &options);
        assert_eq!((chrf.precision, chrf.recall), (100.0, 50.0));
        assert!((chrf.score - 100.0 * 10.0 * 0.5 / 9.5).abs() < 1e-12, "{chrf}");
    }

    #[test]
    fn nothing_at_all_scores_0() {
        let empty: [&str; 0] = [];
        assert_eq!(chrf(&empty, &empty, &ChrfOptions::default()).score, 0.0);
        assert_eq!(chrf(&[""], &["Say something."], &ChrfOptions::plus_plus()).score, 0.0);
    }

    #[test]
    #[should_panic(expected = "counts of 6 orders of n-grams cannot be added to counts of 8")]
    fn counts_of_different_options_do_not_add() {
        let _ = ChrfStats::zero(&ChrfOptions::default()) + &ChrfStats::zero(&ChrfOptions::plus_plus());
    }

    #[test]
    #[should_panic(expected = "1 hypotheses but 2 references")]
    fn unpaired_sentences_are_refused() {
        chrf(&["a"], &["a", "b"], &ChrfOptions::default());
    }
}

//! Translation quality: BLEU and chrF, equal to sacreBLEU.
//!
//! Both metrics compare a system's output with one reference per sentence and give a corpus score between 0 and
//! 100. They are defined by what sacreBLEU 2 computes (Post 2018, "A Call for Clarity in Reporting BLEU Scores"),
//! because a score is only comparable with a published one if tokenisation, smoothing and averaging are the same;
//! [`Bleu::signature`] and [`Chrf::signature`] state those choices in sacreBLEU's notation.
//!
//! A corpus score is not a mean of sentence scores: the counts of all sentences are added first. Those counts are
//! public, [`BleuStats`] and [`ChrfStats`]. They add up, so that a score for any selection of sentences (a bootstrap
//! sample, say) costs no second look at the text.
//!
//! ```
//! use gradus::metrics::{BleuOptions, ChrfOptions, bleu, chrf};
//!
//! let hypotheses = ["The cat sat on the mat.", "It rained all day."];
//! let references = ["The cat sat on the mat.", "It was raining all day."];
//! let score = bleu(&hypotheses, &references, &BleuOptions::default());
//! assert!(score.to_string().starts_with("BLEU = 71.59 91.7/80.0/75.0/66.7 (BP = 0.920"));
//! assert_eq!(chrf(&hypotheses, &references, &ChrfOptions::default()).to_string(), "chrF2 = 69.96");
//! ```

mod bleu;
mod bootstrap;
mod chrf;
mod metric;
mod numpy;
mod tokenize;

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::AddAssign;

pub use bleu::{Bleu, BleuOptions, BleuStats, bleu};
pub use bootstrap::{Bootstrap, Interval, p_value};
pub use chrf::{Chrf, ChrfOptions, ChrfStats, chrf};
pub use metric::{Counts, Metric};
pub use tokenize::{Tokenize, UnknownTokenize};

/// How many n-grams of one order a hypothesis and its reference have, and how many they share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NgramCounts {
    /// n-grams in the hypothesis.
    pub hypothesis: usize,
    /// n-grams in the reference.
    pub reference: usize,
    /// n-grams of the hypothesis that the reference has too, each counted at most as often as the reference has it
    /// (the clipping of Papineni et al. 2002).
    pub matches: usize,
}

impl NgramCounts {
    /// Counts the n-grams of length `order` in two sequences of tokens or characters.
    fn of<T: Eq + Hash>(hypothesis: &[T], reference: &[T], order: usize) -> Self {
        let mut unmatched: HashMap<&[T], usize> = HashMap::new();
        for ngram in reference.windows(order) {
            *unmatched.entry(ngram).or_default() += 1;
        }
        let mut matches = 0;
        for ngram in hypothesis.windows(order) {
            if let Some(left) = unmatched.get_mut(ngram).filter(|left| **left > 0) {
                *left -= 1;
                matches += 1;
            }
        }
        let count = |length: usize| (length + 1).saturating_sub(order);
        Self { hypothesis: count(hypothesis.len()), reference: count(reference.len()), matches }
    }
}

impl AddAssign for NgramCounts {
    fn add_assign(&mut self, other: Self) {
        self.hypothesis += other.hypothesis;
        self.reference += other.reference;
        self.matches += other.matches;
    }
}

/// What takes the place of sacreBLEU's own version in a signature: which program computed the score.
const VERSION: &str = concat!("gradus-", env!("CARGO_PKG_VERSION"));

/// The `case` field of a signature.
fn case_field(lowercase: bool) -> &'static str {
    if lowercase { "lc" } else { "mixed" }
}

/// The text as it is compared: in lower case if that is asked for.
fn fold_case(text: &str, lowercase: bool) -> Cow<'_, str> {
    if lowercase { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
}

/// Both metrics pair sentences by position, so a difference in number means that the files do not belong together.
#[track_caller]
fn assert_paired(hypotheses: usize, references: usize) {
    assert!(
        hypotheses == references,
        "{hypotheses} hypotheses but {references} references: every hypothesis needs exactly one reference"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_counts_no_more_often_than_the_reference_has_it() {
        // The example of Papineni et al. 2002, section 2.1: the modified unigram precision is 2/7.
        let hypothesis = ["the"; 7];
        let reference = ["the", "cat", "is", "on", "the", "mat"];
        let counts = NgramCounts::of(&hypothesis, &reference, 1);
        assert_eq!(counts, NgramCounts { hypothesis: 7, reference: 6, matches: 2 });
    }

    #[test]
    fn a_sequence_shorter_than_the_order_has_no_ngrams() {
        assert_eq!(NgramCounts::of(&['a', 'b'], &['a'], 3), NgramCounts::default());
        assert_eq!(NgramCounts::of::<char>(&[], &[], 1), NgramCounts::default());
    }
}

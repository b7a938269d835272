//! Corpus BLEU.

use std::array;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use super::tokenize::{is_space, split_space};
use super::{NgramCounts, Tokenize, VERSION, assert_paired, case_field, fold_case};

/// The longest n-grams that count.
const ORDERS: usize = 4;

/// What BLEU compares. The default is sacreBLEU's: with upper and lower case, over tokens of `13a`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BleuOptions {
    /// Whether all text is put in lower case before it is tokenised.
    pub lowercase: bool,
    /// How text becomes tokens.
    pub tokenize: Tokenize,
}

/// The counts that BLEU is computed from, of one sentence or, added up, of a corpus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BleuStats {
    /// For n from 1 to 4, how many n-grams of the hypothesis the reference has too, each at most as often as there.
    pub counts: [usize; ORDERS],
    /// For n from 1 to 4, how many n-grams the hypothesis has.
    pub totals: [usize; ORDERS],
    /// Tokens in the hypothesis.
    pub hypothesis_length: usize,
    /// Tokens in the reference.
    pub reference_length: usize,
}

/// A corpus BLEU score with all that it was computed from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bleu {
    /// The score, from 0 to 100.
    pub score: f64,
    /// For n from 1 to 4, the n-gram precision in percent, after smoothing. All are 0 if not a single token matches.
    pub precisions: [f64; ORDERS],
    /// The factor that makes short output expensive, from 0 to 1.
    pub brevity_penalty: f64,
    /// Tokens in all hypotheses.
    pub hypothesis_length: usize,
    /// Tokens in all references.
    pub reference_length: usize,
    /// For n from 1 to 4, the matching n-grams: the numerators of the precisions before smoothing.
    pub counts: [usize; ORDERS],
    /// For n from 1 to 4, the n-grams in the hypotheses: the denominators of the precisions.
    pub totals: [usize; ORDERS],
    /// What was compared.
    pub options: BleuOptions,
}

/// Corpus BLEU of hypotheses with one reference each (Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation
/// of Machine Translation"), as sacreBLEU computes it (Post 2018):
///
/// BLEU = BP · exp(¼ · Σₙ ln pₙ), n = 1…4
///
/// Here pₙ is the share, in percent, of the hypotheses' n-grams that their references have too, clipped per sentence
/// and counted over the corpus. The brevity penalty BP is 1 if the hypotheses have c ≥ r tokens for the references'
/// r, and exp(1 − r/c) if they have fewer. Smoothing is `exp`, NIST's (method 3 of Chen and Cherry 2014, "A
/// Systematic Comparison of Smoothing Techniques for Sentence-Level BLEU"): the k-th order without a match counts
/// 1/2ᵏ of a match. A corpus without any match scores 0, and so does one whose hypotheses are all shorter than four
/// tokens. An empty corpus scores 0.
///
/// White space at the end of a segment does not matter.
///
/// # Panics
///
/// If there are not as many references as hypotheses.
#[track_caller]
pub fn bleu(hypotheses: &[impl AsRef<str>], references: &[impl AsRef<str>], options: &BleuOptions) -> Bleu {
    assert_paired(hypotheses.len(), references.len());
    let pairs = hypotheses.iter().zip(references);
    let stats = pairs.map(|(hypothesis, reference)| {
        BleuStats::of_sentence(hypothesis.as_ref(), reference.as_ref(), options)
    });
    Bleu::from_stats(&stats.sum(), options)
}

impl BleuStats {
    /// The counts of one hypothesis and its reference.
    pub fn of_sentence(hypothesis: &str, reference: &str, options: &BleuOptions) -> Self {
        let (hypothesis, reference) = (prepare(hypothesis, options), prepare(reference, options));
        let hypothesis: Vec<&str> = split_space(&hypothesis).collect();
        let reference: Vec<&str> = split_space(&reference).collect();
        let orders: [_; ORDERS] = array::from_fn(|n| NgramCounts::of(&hypothesis, &reference, n + 1));
        Self {
            counts: orders.map(|order| order.matches),
            totals: orders.map(|order| order.hypothesis),
            hypothesis_length: hypothesis.len(),
            reference_length: reference.len(),
        }
    }
}

impl Add for BleuStats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            counts: array::from_fn(|n| self.counts[n] + other.counts[n]),
            totals: array::from_fn(|n| self.totals[n] + other.totals[n]),
            hypothesis_length: self.hypothesis_length + other.hypothesis_length,
            reference_length: self.reference_length + other.reference_length,
        }
    }
}

impl AddAssign for BleuStats {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for BleuStats {
    fn sum<I: Iterator<Item = Self>>(stats: I) -> Self {
        stats.fold(Self::default(), Add::add)
    }
}

impl Bleu {
    /// The score that follows from the counts of a corpus; `options` must be those that the counts were made with.
    pub fn from_stats(stats: &BleuStats, options: &BleuOptions) -> Self {
        let precisions = smoothed_precisions(&stats.counts, &stats.totals);
        let brevity_penalty = brevity_penalty(stats.hypothesis_length, stats.reference_length);
        // A precision of 0 has the logarithm −∞ and makes the mean 0, as it should.
        let mean_logarithm = precisions.iter().map(|precision| precision.ln()).sum::<f64>() / ORDERS as f64;
        Self {
            score: brevity_penalty * mean_logarithm.exp(),
            precisions,
            brevity_penalty,
            hypothesis_length: stats.hypothesis_length,
            reference_length: stats.reference_length,
            counts: stats.counts,
            totals: stats.totals,
            options: *options,
        }
    }

    /// How the score was computed, in sacreBLEU's notation. The version names this crate, because the other fields
    /// say what is computed and this one says by what.
    pub fn signature(&self) -> String {
        let BleuOptions { lowercase, tokenize } = self.options;
        format!("nrefs:1|case:{}|eff:no|tok:{tokenize}|smooth:exp|version:{VERSION}", case_field(lowercase))
    }

    /// The hypotheses' length in units of the references', 0 if the references are empty.
    pub fn length_ratio(&self) -> f64 {
        if self.reference_length == 0 {
            return 0.0;
        }
        self.hypothesis_length as f64 / self.reference_length as f64
    }
}

/// The line that sacreBLEU prints: `BLEU = 41.02 70.1/48.2/… (BP = 1.000 ratio = 1.003 hyp_len = … ref_len = …)`.
impl fmt::Display for Bleu {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth] = self.precisions;
        write!(formatter, "BLEU = {:.2} {first:.1}/{second:.1}/{third:.1}/{fourth:.1} ", self.score)?;
        write!(formatter, "(BP = {:.3} ratio = {:.3} ", self.brevity_penalty, self.length_ratio())?;
        write!(formatter, "hyp_len = {} ref_len = {})", self.hypothesis_length, self.reference_length)
    }
}

/// The segment as separated tokens.
fn prepare(segment: &str, options: &BleuOptions) -> String {
    let folded = fold_case(segment, options.lowercase);
    // The end goes first: a dash before a final line end is no hyphenation and must stay.
    options.tokenize.apply(folded.trim_end_matches(is_space)).into_owned()
}

/// The precisions in percent. Without any match there is nothing to smooth, and all are 0.
fn smoothed_precisions(counts: &[usize; ORDERS], totals: &[usize; ORDERS]) -> [f64; ORDERS] {
    let mut precisions = [0.0; ORDERS];
    if counts.iter().all(|&count| count == 0) {
        return precisions;
    }
    let mut match_weight = 1.0;
    for (precision, (&count, &total)) in precisions.iter_mut().zip(counts.iter().zip(totals)) {
        // No hypothesis is this long, so the order has no precision that could be smoothed.
        if total == 0 {
            break;
        }
        let matches = if count == 0 {
            match_weight /= 2.0;
            match_weight
        } else {
            count as f64
        };
        *precision = 100.0 * matches / total as f64;
    }
    precisions
}

fn brevity_penalty(hypothesis_length: usize, reference_length: usize) -> f64 {
    if hypothesis_length >= reference_length {
        1.0
    } else if hypothesis_length == 0 {
        0.0
    } else {
        (1.0 - reference_length as f64 / hypothesis_length as f64).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_text_scores_100() {
        let text = ["one two three four five"];
        let bleu = bleu(&text, &text, &BleuOptions::default());
        assert!((bleu.score - 100.0).abs() < 1e-12, "{bleu}");
        assert_eq!(
            bleu.signature(),
            format!("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{VERSION}")
        );
    }

    #[test]
    fn smoothing_halves_with_every_order_without_a_match() {
        assert_eq!(smoothed_precisions(&[2, 0, 0, 0], &[4, 3, 2, 1]), [50.0, 50.0 / 3.0, 12.5, 12.5]);
        assert_eq!(smoothed_precisions(&[2, 1, 0, 0], &[2, 1, 0, 0]), [100.0, 100.0, 0.0, 0.0]);
        assert_eq!(smoothed_precisions(&[0; 4], &[4, 3, 2, 1]), [0.0; 4]);
    }

    #[test]
    fn nothing_at_all_scores_0() {
        let empty: [&str; 0] = [];
        assert_eq!(bleu(&empty, &empty, &BleuOptions::default()).score, 0.0);
        let silent = bleu(&[""], &["Say something."], &BleuOptions::default());
        assert_eq!((silent.score, silent.brevity_penalty), (0.0, 0.0));
    }

    #[test]
    fn the_sum_of_sentences_is_the_corpus() {
        let options = BleuOptions { lowercase: true, tokenize: Tokenize::None };
        let hypotheses = ["a B c d e", "f g"];
        let references = ["a b c d e", "f h g"];
        let mut stats = BleuStats::of_sentence(hypotheses[1], references[1], &options);
        stats += BleuStats::of_sentence(hypotheses[0], references[0], &options);
        assert_eq!(Bleu::from_stats(&stats, &options), bleu(&hypotheses, &references, &options));
    }

    #[test]
    #[should_panic(expected = "2 hypotheses but 1 references")]
    fn unpaired_sentences_are_refused() {
        bleu(&["a", "b"], &["a"], &BleuOptions::default());
    }
}

//! Any of the metrics, chosen by name.

use super::{Bleu, BleuOptions, BleuStats, Bootstrap, Chrf, ChrfOptions, ChrfStats, Interval, assert_paired};

/// A metric with its options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// BLEU.
    Bleu(BleuOptions),
    /// chrF or chrF++.
    Chrf(ChrfOptions),
}

/// The counts of every sentence, from which the score of the corpus, and of any selection of it, follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Counts {
    /// For BLEU.
    Bleu(Vec<BleuStats>, BleuOptions),
    /// For chrF and chrF++.
    Chrf(Vec<ChrfStats>, ChrfOptions),
}

impl Metric {
    /// Compares every hypothesis with its reference.
    ///
    /// # Panics
    /// If there are not as many references as hypotheses.
    #[track_caller]
    pub fn counts(&self, hypotheses: &[impl AsRef<str>], references: &[impl AsRef<str>]) -> Counts {
        assert_paired(hypotheses.len(), references.len());
        let pairs = hypotheses.iter().zip(references).map(|(a, b)| (a.as_ref(), b.as_ref()));
        match *self {
            Self::Bleu(options) => {
                Counts::Bleu(pairs.map(|(a, b)| BleuStats::of_sentence(a, b, &options)).collect(), options)
            }
            Self::Chrf(options) => {
                Counts::Chrf(pairs.map(|(a, b)| ChrfStats::of_sentence(a, b, &options)).collect(), options)
            }
        }
    }
}

impl Counts {
    fn len(&self) -> usize {
        match self {
            Self::Bleu(stats, _) => stats.len(),
            Self::Chrf(stats, _) => stats.len(),
        }
    }

    fn bleu(stats: &[BleuStats], options: &BleuOptions, sentences: impl Iterator<Item = usize>) -> Bleu {
        Bleu::from_stats(&sentences.map(|i| stats[i]).sum(), options)
    }

    fn chrf(stats: &[ChrfStats], options: &ChrfOptions, sentences: impl Iterator<Item = usize>) -> Chrf {
        let mut sum = ChrfStats::zero(options);
        sentences.for_each(|i| sum += &stats[i]);
        Chrf::from_stats(&sum, options)
    }

    /// The score of these sentences.
    pub fn score_of(&self, sentences: impl Iterator<Item = usize>) -> f64 {
        match self {
            Self::Bleu(stats, options) => Self::bleu(stats, options, sentences).score,
            Self::Chrf(stats, options) => Self::chrf(stats, options, sentences).score,
        }
    }

    /// The score of the corpus.
    pub fn score(&self) -> f64 {
        self.score_of(0..self.len())
    }

    /// The scores of samples of the sentences.
    ///
    /// # Panics
    /// For more samples than [`Bootstrap::MOST_SAMPLES`].
    #[track_caller]
    pub fn bootstrap(&self, bootstrap: &Bootstrap) -> Vec<f64> {
        bootstrap.scores(self.len(), |drawn| self.score_of(drawn.iter().copied()))
    }

    /// The line that sacreBLEU prints, with the interval behind the score.
    pub fn line(&self, interval: Option<&Interval>) -> String {
        let line = match self {
            Self::Bleu(stats, options) => Self::bleu(stats, options, 0..stats.len()).to_string(),
            Self::Chrf(stats, options) => Self::chrf(stats, options, 0..stats.len()).to_string(),
        };
        // A score that is never above zero has no interval to speak of.
        let Some(Interval { mean, half_width }) = interval.filter(|interval| interval.mean > 0.0) else {
            return line;
        };
        let mut words: Vec<&str> = line.split(' ').collect();
        let interval = format!("(μ = {mean:.2} ± {half_width:.2})");
        words.insert(3, &interval);
        words.join(" ")
    }

    /// How the score was computed, in sacreBLEU's notation.
    pub fn signature(&self, bootstrap: Option<&Bootstrap>) -> String {
        let none = std::iter::empty();
        let signature = match self {
            Self::Bleu(stats, options) => Self::bleu(stats, options, none).signature(),
            Self::Chrf(stats, options) => Self::chrf(stats, options, none).signature(),
        };
        match (bootstrap, signature.split_once('|')) {
            (Some(bootstrap), Some((references, rest))) => {
                format!("{references}|{}{rest}", bootstrap.field())
            }
            _ => signature,
        }
    }
}

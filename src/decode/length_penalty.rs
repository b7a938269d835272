//! How hypotheses of different lengths are compared.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the log-probability of a hypothesis of n tokens, the end included, is divided by. Every token makes a hypothesis
/// less probable, so that without a penalty a search prefers short ones.
///
/// No divisor shrinks with n. So nothing that continues a hypothesis of log-probability `log p` scores above `log p`
/// divided by what the longest allowed length gives: that is what lets a search stop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum LengthPenalty {
    /// 1: the most probable hypothesis is the best.
    None,
    /// `((5 + n) / 6)^α` (Wu et al., "Google's Neural Machine Translation System", 2016, §7; Marian and Tensor2Tensor use
    /// it too).
    Wu {
        /// 0 is no penalty; the larger, the longer the translations.
        alpha: f64,
    },
    /// `n^α`: with α = 1 the score is the mean log-probability of a token (fairseq's `--lenpen`, OpenNMT's `avg`).
    Power {
        /// 0 is no penalty; the larger, the longer the translations.
        alpha: f64,
    },
}

/// That of Wu et al. with α = 0.6 (Vaswani et al., 2017, §6.1).
impl Default for LengthPenalty {
    fn default() -> Self {
        Self::Wu { alpha: 0.6 }
    }
}

impl LengthPenalty {
    /// The mean log-probability of a token.
    pub fn mean() -> Self {
        Self::Power { alpha: 1.0 }
    }

    /// What `log_prob` of `count` tokens, the end included, counts for.
    pub fn score(self, log_prob: f64, count: usize) -> f64 {
        match self {
            Self::None => log_prob,
            Self::Wu { alpha } => log_prob / ((5.0 + count as f64) / 6.0).powf(alpha),
            Self::Power { alpha } => log_prob / (count as f64).powf(alpha),
        }
    }

    /// α; 0 where there is no penalty.
    pub fn alpha(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Wu { alpha } | Self::Power { alpha } => alpha,
        }
    }
}

impl fmt::Display for LengthPenalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "none"),
            Self::Wu { alpha } => write!(f, "wu {alpha}"),
            Self::Power { alpha } => write!(f, "power {alpha}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_formulas() {
        assert_eq!(LengthPenalty::None.score(-6.0, 4), -6.0);
        assert_eq!(LengthPenalty::mean().score(-6.0, 4), -1.5);
        assert_eq!(LengthPenalty::Power { alpha: 0.5 }.score(-6.0, 4), -3.0);
        assert_eq!(LengthPenalty::Wu { alpha: 1.0 }.score(-6.0, 4), -4.0);
        // The smallest hypothesis is not changed by either.
        for penalty in [LengthPenalty::default(), LengthPenalty::mean()] {
            assert_eq!(penalty.score(-6.0, 1), -6.0, "{penalty}");
        }
    }

    #[test]
    fn a_setting_reads_back_the_same() {
        for penalty in [LengthPenalty::None, LengthPenalty::default(), LengthPenalty::mean()] {
            let json = serde_json::to_string(&penalty).unwrap();
            assert_eq!(serde_json::from_str::<LengthPenalty>(&json).unwrap(), penalty, "{json}");
        }
    }
}

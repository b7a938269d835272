//! The options that say how to search, shared by the commands that translate.

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};

use crate::decode::{Batching, LengthPenalty, Sampling, Search};

/// How translations are searched for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
pub(super) struct SearchArguments {
    /// Width of the beam; 1 is greedy [default: 4, or as many as are to be printed]
    #[arg(long, value_name = "N")]
    beam: Option<usize>,
    /// What the log-probability of a hypothesis of n tokens is divided by
    #[arg(long, value_name = "NAME", value_enum, default_value_t = PenaltyName::Wu)]
    length_penalty: PenaltyName,
    /// α of the length penalty [default: 0.6 of wu, 1 of power]
    #[arg(long, value_name = "ALPHA")]
    alpha: Option<f64>,
    /// The most tokens of a translation, its end included
    #[arg(long, value_name = "N", default_value_t = Search::default().max_length)]
    max_length: usize,
    /// The fewest tokens of a translation, its end not counted
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_length: usize,
    /// Never the same N tokens in a row twice; 0 allows them
    #[arg(long, value_name = "N", default_value_t = 0)]
    no_repeat_ngram: usize,
}

/// The length penalties by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PenaltyName {
    /// ((5 + n) / 6)^α, of Wu et al. (2016)
    Wu,
    /// n^α, fairseq's
    Power,
    /// n: the mean log-probability of a token, OpenNMT's avg
    Mean,
    /// 1
    None,
}

impl SearchArguments {
    /// The search that the options name.
    pub(super) fn search(&self) -> Result<Search> {
        self.with(1, None)
    }

    /// The search that the options name, for so many translations of a text, or to draw them.
    pub(super) fn with(&self, nbest: usize, sampling: Option<Sampling>) -> Result<Search> {
        let length_penalty = match (self.length_penalty, self.alpha) {
            (PenaltyName::Wu, alpha) => LengthPenalty::Wu { alpha: alpha.unwrap_or(0.6) },
            (PenaltyName::Power, alpha) => LengthPenalty::Power { alpha: alpha.unwrap_or(1.0) },
            (PenaltyName::Mean, None) => LengthPenalty::mean(),
            (PenaltyName::None, None) => LengthPenalty::None,
            (PenaltyName::Mean | PenaltyName::None, Some(_)) => {
                bail!("search: --alpha is for the length penalties wu and power")
            }
        };
        let beam = match (self.beam, &sampling) {
            (Some(beam), _) => beam,
            (None, None) => Search::default().beam.max(nbest),
            (None, Some(_)) => 1,
        };
        let search = Search {
            beam,
            length_penalty,
            nbest,
            max_length: self.max_length,
            min_length: self.min_length,
            no_repeat_ngram: self.no_repeat_ngram,
            sampling,
            ..Search::default()
        };
        search.validate().map_err(|error| anyhow!("search: {error}"))?;
        Ok(search)
    }
}

/// How translations are drawn at random.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(super) struct SamplingArguments {
    /// Draw words at random instead of searching; --temperature, --top-k and --top-p imply it
    #[arg(long)]
    sample: bool,
    /// Divides the scores: below 1 prefers the probable more [default: 1]
    #[arg(long, value_name = "TAU")]
    temperature: Option<f64>,
    /// Draw from the K most probable words only
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Draw from the fewest most probable words only that together have probability P
    #[arg(long, value_name = "P")]
    top_p: Option<f64>,
    /// Where the random numbers come from: the same draws for the same seed and line [default: 1]
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
}

impl SamplingArguments {
    /// What the options ask for, where they do.
    pub(super) fn sampling(&self) -> Result<Option<Sampling>> {
        let &Self { sample, temperature, top_k, top_p, seed } = self;
        if !sample && temperature.is_none() && top_k.is_none() && top_p.is_none() {
            if seed.is_some() {
                bail!("search: --seed is for sampling: name --sample, --temperature, --top-k or --top-p");
            }
            return Ok(None);
        }
        let plain = Sampling::default();
        Ok(Some(Sampling {
            temperature: temperature.unwrap_or(plain.temperature),
            top_k: top_k.unwrap_or(plain.top_k),
            top_p: top_p.unwrap_or(plain.top_p),
            seed: seed.unwrap_or(plain.seed),
            ..plain
        }))
    }
}

/// How much is done at once.
#[derive(Debug, Args)]
pub(super) struct BatchingArguments {
    /// Sentences at a time, which changes the speed only [default: as many as have some 1,000 tokens]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Threads; 0 for one a core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = super::parse::threads)]
    threads: usize,
}

impl BatchingArguments {
    /// The batches for searches that follow so many hypotheses of each sentence.
    pub(super) fn batching(&self, rows: usize) -> Result<Batching> {
        let threads = super::thread_count(self.threads);
        let usual = Batching { threads, ..Batching::for_rows(rows) };
        match self.batch {
            None => Ok(usual),
            Some(0) => bail!("--batch must not be 0"),
            Some(sentences) => Ok(Batching { tokens: usize::MAX, sentences, threads }),
        }
    }
}

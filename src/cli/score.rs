//! `gradus score`

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use super::device::DeviceArgument;
use super::model::LoadedEnsemble;
use super::search::BatchingArguments;
use crate::data::corpus::{Files, at_most_one_is_standard_input, name_of, read_lines};
use crate::data::tokenizer::{EOS, Tokenizer};
use crate::decode::{NextToken, Remark, Translator, score_all};
use crate::note;
use crate::terminal::{Stdout, written};
use crate::train::SentenceBar;

/// Say how probable given translations are
#[derive(Debug, Args)]
#[command(after_help = "\
Prints a row for each pair: its line number, the log-probability of the translation, its tokens (the end included) and \
their perplexity, with tabs between; and at last a row for all pairs. --json adds the log-probability of every token.

Examples:
  gradus score --model runs/en-de --src test.en --tgt test.de
  gradus score --model runs/en-de --tsv pairs.tsv --json")]
pub(super) struct Arguments {
    /// Folder of a run, or a checkpoint; several score together
    #[arg(long, value_name = "RUN", required = true)]
    model: Vec<PathBuf>,
    /// Source sentences, one a line, plain or gzip; - is standard input, for one of all texts
    #[arg(long, value_name = "FILE", requires = "tgt", required_unless_present = "tsv")]
    src: Option<PathBuf>,
    /// Their translations, line by line
    #[arg(long, value_name = "FILE", requires = "src")]
    tgt: Option<PathBuf>,
    /// Source and target in one file, separated by a tab
    #[arg(long, value_name = "FILE", conflicts_with = "src")]
    tsv: Option<PathBuf>,
    /// Print one object of JSON for every pair and one for all
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgument,
    #[command(flatten)]
    batching: BatchingArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let batching = arguments.batching.batching(1)?;
    let texts = [("--src", arguments.src.as_deref()), ("--tgt", arguments.tgt.as_deref())];
    at_most_one_is_standard_input(texts)?;
    let pairs = Pairs::read(arguments)?;
    let model = LoadedEnsemble::load(&arguments.model, &arguments.device.open()?)?;
    let target = &model.target_tokenizer;
    let (source, models) = (&model.source_tokenizer, &model.models);
    let trained = model.trained_length;
    let sources = encode(
        pairs.numbered(&pairs.sources),
        source,
        pairs.source_name,
        [models.longest_source(), trained],
    )?;
    let targets = encode(
        pairs.numbered(&pairs.targets),
        target,
        pairs.target_name,
        [models.longest_target(), trained],
    )?;
    let lines = pairs.lines;
    let pairs: Vec<(Vec<u32>, Vec<u32>)> = sources.into_iter().zip(targets).collect();
    let bar = SentenceBar::new(pairs.len());
    let scores = score_all(&model.models, &pairs, Translator::SPECIALS, &batching, |count| bar.done(count));
    bar.finish();

    let mut out = BufWriter::new(Stdout::lock());
    let mut all = Sum::default();
    for (line, (log_probs, (_, ids))) in lines.iter().zip(scores.iter().zip(&pairs)) {
        let own = Sum { log_prob: log_probs.iter().sum(), tokens: log_probs.len() };
        written(if arguments.json {
            let token = |(&id, log_prob)| json!({ "token": target.token(id), "log_prob": log_prob });
            let tokens: Vec<_> = ids.iter().zip(log_probs).map(token).collect();
            let (log_prob, perplexity) = (own.log_prob, own.perplexity());
            writeln!(
                out,
                "{}",
                json!({ "line": line, "log_prob": log_prob, "perplexity": perplexity, "tokens": tokens })
            )
        } else {
            own.row(&mut out, &line.to_string())
        })?;
        all = Sum { log_prob: all.log_prob + own.log_prob, tokens: all.tokens + own.tokens };
    }
    let last = if arguments.json {
        let Sum { log_prob, tokens } = all;
        let (pairs, perplexity) = (pairs.len(), all.perplexity());
        writeln!(
            out,
            "{}",
            json!({ "pairs": pairs, "log_prob": log_prob, "perplexity": perplexity, "tokens": tokens })
        )
    } else {
        all.row(&mut out, "all")
    };
    written(last.and_then(|()| out.flush()))?;
    Ok(ExitCode::SUCCESS)
}

/// The text to score.
struct Pairs<'a> {
    sources: Vec<String>,
    targets: Vec<String>,
    /// The line of each pair, counted from 1.
    lines: Vec<usize>,
    source_name: &'a Path,
    target_name: &'a Path,
}

impl<'a> Pairs<'a> {
    fn read(arguments: &'a Arguments) -> Result<Self> {
        match (&arguments.src, &arguments.tgt, &arguments.tsv) {
            (Some(source_name), Some(target_name), _) => {
                let (sources, targets) = (read_lines(source_name)?, read_lines(target_name)?);
                if sources.len() != targets.len() {
                    let (source, target) = (name_of(source_name), name_of(target_name));
                    bail!("{source} has {} lines, but {target} has {}", sources.len(), targets.len());
                }
                let lines = (1..=sources.len()).collect();
                Ok(Self { sources, targets, lines, source_name, target_name })
            }
            (_, _, Some(name)) => {
                let corpus = Files::Tsv(name.clone()).read()?;
                let (sources, targets) =
                    corpus.pairs.into_iter().map(|pair| (pair.source, pair.target)).unzip();
                Ok(Self { sources, targets, lines: corpus.lines, source_name: name, target_name: name })
            }
            _ => bail!("name --src and --tgt, or --tsv"),
        }
    }

    /// The texts of one side with their lines.
    fn numbered<'t>(&self, texts: &'t [String]) -> impl Iterator<Item = (usize, &'t String)> {
        self.lines.iter().copied().zip(texts)
    }
}

/// The tokens of all lines, each with the end; `readable` is what the model can take, `trained` what it has seen.
///
/// # Errors
/// Where a line has more than can be taken: a part of it is not what was asked about.
fn encode<'t>(
    lines: impl Iterator<Item = (usize, &'t String)>,
    tokenizer: &Tokenizer,
    name: &Path,
    [readable, trained]: [usize; 2],
) -> Result<Vec<Vec<u32>>> {
    let ids_of = |(number, line): (usize, &String)| {
        let mut ids = tokenizer.encode(line);
        ids.push(EOS);
        let name = name_of(name);
        match Remark::of(ids.len(), readable, trained) {
            Some(Remark::Unreadable { tokens, longest } | Remark::Cut { tokens, longest }) => {
                bail!("{name}:{number}: {tokens} tokens are more than the {longest} that the model can take")
            }
            Some(remark) => note!("gradus: {name}:{number}: {remark}"),
            None => {}
        }
        Ok(ids)
    };
    lines.map(ids_of).collect()
}

/// The log-probability of so many tokens.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    log_prob: f64,
    tokens: usize,
}

impl Sum {
    /// `exp(−log p / n)`
    fn perplexity(self) -> f64 {
        (-self.log_prob / self.tokens.max(1) as f64).exp()
    }

    fn row(self, out: &mut impl Write, name: &str) -> std::io::Result<()> {
        writeln!(out, "{name}\t{:.4}\t{}\t{:.4}", self.log_prob, self.tokens, self.perplexity())
    }
}

//! `gradus doctor`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::text::{TextArguments, TokenArguments, default_config};
use crate::config::{Config, DataConfig};
use crate::data::corpus::Corpus;
use crate::data::doctor::{Options, Part, examine};
use crate::data::tokenizer::Tokenizer;
use crate::train::{Corpora, Reporter, Run, tokenizers_of, train_tokenizers};
use crate::{out, terminal};

/// Examine text before training on it: what is unreadable, blank, repeated, unknown, too long or in the test
#[derive(Debug, Args)]
#[command(after_help = "\
The exit code is 0 when nothing bars a training, warnings or not. It is 1 when a file or a line
cannot be read, no pair is left, no vocabulary can be made, more than half of the pairs have the
same text on both sides, or more than a tenth of the tokens are unknown.

Examples:
  gradus doctor
  gradus doctor --src train.en.gz --tgt train.de.gz --test-src test.en.gz --test-tgt test.de.gz
  gradus doctor --tsv deu.txt --json
  gradus doctor --model runs/en-de --src new.en --tgt new.de")]
pub(super) struct Arguments {
    /// Settings in TOML; options on the command line go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Use the tokenizer of this run; without named text, examine the text it was trained with
    #[arg(long, value_name = "RUN", conflicts_with = "config")]
    model: Option<PathBuf>,
    #[command(flatten)]
    text: TextArguments,
    #[command(flatten)]
    tokens: TokenArguments,
    /// Padded tokens of one batch
    #[arg(long, value_name = "N")]
    batch_tokens: Option<usize>,
    /// Print the report as one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut reporter = Reporter::new();
    let (mut config, known) = match (&arguments.model, &arguments.config) {
        (Some(path), _) => {
            let checkpoint = Run::load_model(path)?;
            let name = || path.display().to_string();
            let mut config = Config::from_toml(&checkpoint.config).with_context(name)?;
            if arguments.text.names_training() {
                // Another text than the run's, in all its parts.
                config.data = DataConfig { max_length: config.data.max_length, ..DataConfig::default() };
            }
            (config, Some(tokenizers_of(&checkpoint).with_context(name)?))
        }
        (None, Some(path)) => (Config::read(path)?, None),
        (None, None) => (default_config(&arguments.text), None),
    };
    arguments.text.apply(&mut config.data);
    arguments.tokens.apply(&mut config.tokenizer);
    if let Some(batch_tokens) = arguments.batch_tokens {
        config.train.batch_tokens = batch_tokens;
    }
    config.validate()?;

    reporter.progress(0.0, "reading");
    if let Some(path) = &arguments.model {
        config.data.locate(path);
    }
    let parts = read(&config)?;
    reporter.progress(0.0, "learning a vocabulary");
    let origin = match &arguments.model {
        Some(path) => format!("of {}", path.display()),
        None => "learnt from the training text".to_owned(),
    };
    let tokenizers = match known {
        Some(known) => Ok(known),
        None => train_tokenizers(&parts[0].corpus.pairs, &config).map_err(|error| format!("{error:#}")),
    };
    let described = describe(tokenizers.as_ref().ok(), &config, &origin);
    let options = Options {
        tokenizers: tokenizers.as_ref().map(|(source, target)| (source, target)).map_err(String::as_str),
        tokenizer: &described,
        max_length: config.data.max_length,
        batch_tokens: config.train.batch_tokens,
        seed: config.train.seed,
    };
    let report = examine(&parts, &options, |fraction, what| reporter.progress(fraction, what));
    reporter.finish();
    if arguments.json {
        terminal::data(&serde_json::to_string(&report)?)?;
    } else {
        out!("{}", report.to_string().trim_end_matches('\n'))?;
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All parts that are named, the training text first.
fn read(config: &Config) -> Result<Vec<Part>> {
    if config.data.is_builtin() {
        let Corpora { train, valid, test, .. } = Corpora::read(&config.data, config.train.seed)?;
        let part = |(name, pairs): (&'static str, Vec<_>)| {
            let lines = (1..=pairs.len()).collect();
            let file = format!("built-in {name}");
            let corpus = Corpus { pairs, lines, ..Corpus::default() };
            Part { name, source: file.clone(), target: file, corpus }
        };
        return Ok([("training", train), ("validation", valid), ("test", test)].map(part).into());
    }
    let files = [
        ("training", config.data.training()),
        ("validation", config.data.validation()),
        ("test", config.data.test()),
    ];
    let named = files.into_iter().filter_map(|(name, files)| Some((name, files?)));
    Ok(named.map(|(name, files)| Part::read(name, &files)).collect())
}

fn describe(tokenizers: Option<&(Tokenizer, Tokenizer)>, config: &Config, origin: &str) -> String {
    let Some((source, target)) = tokenizers else { return "none".to_owned() };
    let size = match (source.vocab_size(), target.vocab_size()) {
        (size, _) if config.tokenizer.joint => format!("{size} tokens for both languages"),
        (source, target) => format!("{source} tokens for the source, {target} for the target"),
    };
    let case = if config.tokenizer.lowercase { ", lower case" } else { "" };
    format!("{size}{case}, {origin}")
}

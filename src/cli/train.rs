//! `gradus train`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use nn::{Dropouts, Preset};
use optim::Schedule;

use super::text::{TextArguments, TokenArguments, default_config};
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::train::{Corpora, Outcome, Prepared, Run, Summary, Trainer, install_stop_signals, tokenizers_of};

/// Train a translation model; with no text named, on the built-in English-French corpus
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus train
  gradus train --src train.en.gz --tgt train.de.gz --valid-src val.en.gz --valid-tgt val.de.gz \\
               --preset tiny --lowercase --minutes 20 --out runs/en-de
  gradus train --resume runs/en-de --minutes 40")]
pub(super) struct Arguments {
    /// Settings in TOML; options on the command line go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    text: TextArguments,
    #[command(flatten)]
    tokens: TokenArguments,
    /// Named size of the model: tiny, small or base
    #[arg(long, value_name = "NAME")]
    preset: Option<Preset>,
    /// Folder of the run
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "config"])]
    resume: Option<PathBuf>,
    /// Passes over the training text
    #[arg(long, value_name = "N")]
    epochs: Option<u64>,
    /// Steps of the optimiser
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Minutes of training
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
    /// Padded tokens of one batch
    #[arg(long, value_name = "N")]
    batch_tokens: Option<usize>,
    /// Batches whose gradients are added up before a step
    #[arg(long, value_name = "N")]
    accumulate: Option<usize>,
    /// Share dropped after sub-layers and embeddings
    #[arg(long, value_name = "P")]
    dropout: Option<f64>,
    /// Share of label smoothing
    #[arg(long, value_name = "P")]
    smoothing: Option<f64>,
    /// Highest learning rate (inverse square root schedule)
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// Steps over which the rate rises
    #[arg(long, value_name = "N")]
    warmup: Option<u64>,
    /// Steps between validations; 0 for one an epoch
    #[arg(long, value_name = "N")]
    validate_every: Option<u64>,
    /// Steps between checkpoints, beside those at validations
    #[arg(long, value_name = "N")]
    save_every: Option<u64>,
    /// What all random numbers come from
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Threads; 0 for one a core
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Train without checking first that every parameter learns and its gradient is right
    #[arg(long)]
    no_audit: bool,
    /// Leave out a step whose loss or gradient is not finite, instead of ending the training
    #[arg(long)]
    skip_nonfinite: bool,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// The configuration with the command line's options put over it.
    fn apply(&self, config: &mut Config) -> Result<()> {
        fn set<V: Clone>(to: &mut V, from: Option<&V>) {
            if let Some(from) = from {
                to.clone_from(from);
            }
        }
        fn set_some<V: Clone>(to: &mut Option<V>, from: Option<&V>) {
            if from.is_some() {
                *to = from.cloned();
            }
        }
        self.text.apply(&mut config.data);
        self.tokens.apply(&mut config.tokenizer);
        set(&mut config.model.preset, self.preset.as_ref());
        set_some(&mut config.model.dropout, self.dropout.map(Dropouts::all).as_ref());
        self.apply_limits(config);
        let train = &mut config.train;
        set(&mut train.batch_tokens, self.batch_tokens.as_ref());
        set(&mut train.accumulate, self.accumulate.as_ref());
        set(&mut train.smoothing, self.smoothing.as_ref());
        set(&mut train.seed, self.seed.as_ref());
        set(&mut train.validate_every, self.validate_every.as_ref());
        if self.rate.is_some() || self.warmup.is_some() {
            let Schedule::InverseSqrt { peak, warmup } = &mut train.schedule else {
                bail!(
                    "--rate and --warmup are of the inverse square root schedule; the configuration names another"
                );
            };
            set(peak, self.rate.as_ref());
            set(warmup, self.warmup.as_ref());
        }
        Ok(())
    }

    /// What may change from one part of a run to the next: the result does not depend on it, or what it changes would have
    /// ended the training.
    fn apply_limits(&self, config: &mut Config) {
        let train = &mut config.train;
        if self.steps.is_some() || self.epochs.is_some() || self.minutes.is_some() {
            (train.steps, train.epochs, train.minutes) = (self.steps, self.epochs, self.minutes);
        }
        if let Some(threads) = self.threads {
            train.threads = threads;
        }
        if let Some(save_every) = self.save_every {
            train.save_every = save_every;
        }
        train.audit &= !self.no_audit;
        train.skip_nonfinite |= self.skip_nonfinite;
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    install_stop_signals()?;
    let mut trainer = match &arguments.resume {
        Some(folder) => resume(arguments, Run::open(folder)?)?,
        None => start(arguments)?,
    };
    match trainer.train()? {
        Outcome::Finished(summary) => {
            if arguments.json {
                eprintln!("{}", closing_words(&summary));
                println!("{}", serde_json::to_string(&summary)?);
            } else {
                println!("{}", closing_words(&summary));
            }
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Stopped => {
            let run = trainer.run_folder();
            eprintln!("saved at step {}; go on with: gradus train --resume {run}", trainer.steps());
            // The code of a program that Ctrl-C has ended.
            Ok(ExitCode::from(130))
        }
    }
}

fn start(arguments: &Arguments) -> Result<Trainer> {
    let mut config = match &arguments.config {
        Some(path) => Config::read(path)?,
        None => default_config(&arguments.text),
    };
    arguments.apply(&mut config)?;
    if let (Schedule::Cosine { total, .. }, Some(steps)) = (&mut config.train.schedule, arguments.steps) {
        // A rate that falls to the end of training falls to the end that was asked for.
        *total = steps;
    }
    config.validate()?;
    config.fill_defaults();
    let mut corpora = Corpora::read(&config.data, config.train.seed)?;
    let data = Prepared::new(&mut corpora, &config, None)?;
    let run = match &arguments.out {
        Some(folder) => Run::create(folder)?,
        None => Run::create_named(if config.data.is_builtin() { "builtin" } else { "translate" })?,
    };
    Trainer::new(config, run, corpora, data)
}

fn resume(arguments: &Arguments, run: Run) -> Result<Trainer> {
    let path = run.last();
    let checkpoint = Checkpoint::load(&path)?;
    let stored = Config::from_toml(&checkpoint.config)
        .with_context(|| format!("{}: configuration", path.display()))?;
    let mut config = stored.clone();
    arguments.apply(&mut config)?;
    if let Some(difference) = first_difference(&stored, &config) {
        bail!(
            "{}: {difference}; only limits, threads, --save-every and --skip-nonfinite can change in a run that goes on",
            path.display()
        );
    }
    config.validate()?;
    let mut corpora = Corpora::read(&config.data, config.train.seed)?;
    let data = Prepared::new(&mut corpora, &config, Some(tokenizers_of(&checkpoint)?))?;
    Trainer::resume(config, run, corpora, data, checkpoint)
}

/// The first setting, other than limits and threads, that the command line wants otherwise than the run has it.
fn first_difference(stored: &Config, wanted: &Config) -> Option<String> {
    let mut wanted = wanted.clone();
    let (to, from) = (&mut wanted.train, &stored.train);
    (to.steps, to.epochs, to.minutes) = (from.steps, from.epochs, from.minutes);
    (to.threads, to.save_every) = (from.threads, from.save_every);
    (to.audit, to.skip_nonfinite) = (from.audit, from.skip_nonfinite);
    let table = |config: &Config| toml::Table::try_from(config).unwrap_or_default();
    let (stored, wanted) = (table(stored), table(&wanted));
    for (section, values) in &wanted {
        for (key, value) in values.as_table()? {
            let before = stored.get(section).and_then(|section| section.get(key));
            if before != Some(value) {
                let before = before.map_or_else(|| "not set".to_owned(), ToString::to_string);
                return Some(format!("{section}.{key} is {before} in this run, not {value}"));
            }
        }
    }
    None
}

fn closing_words(summary: &Summary) -> String {
    let mut lines = Vec::new();
    if let Some(bleu) = summary.test_bleu {
        lines.push(format!("test BLEU {bleu:.2}"));
    }
    if let Some(bleu) = summary.unseen_pair_bleu {
        lines.push(format!("unseen-pair BLEU {bleu:.2}"));
    }
    lines.push(format!("validation BLEU {:.2}", summary.valid_bleu));
    let (minutes, seconds) = (summary.seconds as u64 / 60, summary.seconds as u64 % 60);
    let skipped = match summary.skipped {
        0 => String::new(),
        count => format!(" ({count} skipped, not finite)"),
    };
    lines.push(format!(
        "{} steps{skipped} in {minutes} min {seconds} s, {} target tokens a second",
        summary.steps,
        crate::train::thousands(summary.tokens_per_second as usize)
    ));
    let example = if summary.unseen_pair_bleu.is_some() { "The small dog sees a red house." } else { "…" };
    format!(
        "{}\n\nTranslate with it:\n  echo \"{example}\" | {} translate --model {}",
        lines.join("\n"),
        program(),
        summary.run
    )
}

/// How this program was started, so that the command printed at the end works as it stands.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "gradus".to_owned())
}

//! `gradus train`

mod arguments;
mod resume;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use autograd::Device;

pub(super) use arguments::Arguments;

use super::text::default_config;
use crate::checkpoint::Checkpoint;
use crate::config::{Config, DataConfig};
use crate::train::{Corpora, Outcome, Prepared, Run, Summary, Trainer, install_stop_signals, tokenizers_of};

pub(in crate::cli) fn run(arguments: &Arguments) -> Result<ExitCode> {
    install_stop_signals()?;
    let device = arguments.device.open()?;
    let mut trainer = match &arguments.resume {
        Some(folder) => resume::resume(arguments, Run::open(folder)?)?,
        None => start(arguments, &device)?,
    };
    trainer.move_to(&device)?;
    if arguments.film {
        trainer.film()?;
    }
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

fn start(arguments: &Arguments, device: &Device) -> Result<Trainer> {
    let from = arguments.init_from.as_deref().map(Origin::read).transpose()?;
    let mut config = match (&arguments.config, &from) {
        (Some(path), _) => Config::read(path)?,
        (None, Some(from)) => from.config.clone(),
        (None, None) => default_config(&arguments.text),
    };
    if let Some(from) = &from {
        // Weights mean nothing without the vocabulary that they were trained with.
        config.tokenizer = from.config.tokenizer.clone();
        if arguments.text.names_training() {
            // Its own text, for validation too, gives way to what is named.
            config.data = DataConfig { max_length: config.data.max_length, ..DataConfig::default() };
        }
    }
    arguments.apply(&mut config)?;
    if let Some(total) = config.train.schedule.total_mut().filter(|_| arguments.names_end()) {
        // A rate that falls to the end of training falls to the end that was asked for.
        *total = 0;
    }
    config.validate()?;
    config.fill_defaults();
    // Before the tokenizer, which takes its time.
    if let Some(columns) = config.model.head_size() {
        device.announce_attention(columns);
    }
    let mut corpora = Corpora::read(&config.data, config.train.seed)?;
    let tokenizers = from.as_ref().map(|from| tokenizers_of(&from.checkpoint)).transpose()?;
    let data = Prepared::new(&mut corpora, &config, tokenizers)?;
    let run = match &arguments.out {
        Some(folder) => Run::create(folder)?,
        None => Run::create_named(if config.data.is_builtin() { "builtin" } else { "translate" })?,
    };
    match &from {
        None => Trainer::new(config, run, corpora, data),
        Some(Origin { path, checkpoint, .. }) => {
            Trainer::init_from(config, run, corpora, data, (path, checkpoint), &arguments.reset)
        }
    }
}

/// The checkpoint that a new training begins with.
struct Origin {
    path: PathBuf,
    checkpoint: Checkpoint,
    config: Config,
}

impl Origin {
    fn read(path: &Path) -> Result<Self> {
        let path = Run::find_model(path)?;
        let checkpoint = Checkpoint::load(&path)?;
        let config = Config::from_toml(&checkpoint.config)
            .with_context(|| format!("{}: configuration", path.display()))?;
        Ok(Self { path, checkpoint, config })
    }
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

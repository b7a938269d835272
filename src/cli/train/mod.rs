//! `gradus train`

mod arguments;
mod resume;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use autograd::Device;

pub(super) use arguments::Arguments;

use super::text::default_config;
use crate::checkpoint::Checkpoint;
use crate::config::{Config, DataConfig};
use crate::shell::{quote, quote_path};
use crate::train::{
    Corpora, Outcome, Prepared, Run, STOPPED, Summary, Trainer, install_stop_signals, prepare, tokenizers_of,
};
use crate::{note, out, terminal};

pub(in crate::cli) fn run(arguments: &Arguments) -> Result<ExitCode> {
    install_stop_signals()?;
    let device = arguments.device.open()?;
    let mut trainer = match &arguments.resume {
        Some(path) => resume::resume(arguments, path)?,
        None => start(arguments, &device)?,
    };
    let run = trainer.run().clone();
    let mut equip = || {
        trainer.move_to(&device)?;
        if arguments.film { trainer.film() } else { Ok(()) }
    };
    equip().inspect_err(|_: &anyhow::Error| run.discard())?;
    match trainer.train()? {
        Outcome::Finished(summary) => {
            if arguments.json {
                note!("{}", closing_words(&summary));
                terminal::data(&serde_json::to_string(&summary)?)?;
            } else {
                out!("{}", closing_words(&summary))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Stopped => {
            let folder = quote_path(run.folder());
            note!("saved at step {}; go on with: gradus train --resume {folder}", trainer.steps());
            Ok(ExitCode::from(STOPPED))
        }
    }
}

fn start(arguments: &Arguments, device: &Device) -> Result<Trainer> {
    if arguments.init_from.is_none() && !arguments.reset.is_empty() {
        bail!("--reset goes with --init-from or --resume");
    }
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
        } else if arguments.config.is_none() {
            config.data.locate(&from.path);
        }
    }
    arguments.apply(&mut config)?;
    if let Some(total) = config.train.schedule.total_mut().filter(|_| arguments.names_end()) {
        // A rate that falls to the end of training falls to the end that was asked for.
        *total = 0;
    }
    config.validate()?;
    config.fill_defaults();
    // Before the text is read and the tokenizer trained, which takes its time.
    if let Some(columns) = config.model.head_size() {
        device.announce_attention(columns);
    }
    // As early, so that nobody else begins in the same folder meanwhile.
    let run = prepare(|| match &arguments.out {
        Some(folder) => Run::create(folder, arguments.force),
        None => Run::create_named(if config.data.is_builtin() { "builtin" } else { "translate" }),
    })?;
    begin(arguments, config, run.clone(), from).inspect_err(|_| run.discard())
}

fn begin(arguments: &Arguments, config: Config, run: Run, from: Option<Origin>) -> Result<Trainer> {
    let mut corpora = Corpora::read(&config.data, config.train.seed)?;
    let tokenizers = from.as_ref().map(|from| tokenizers_of(&from.checkpoint)).transpose()?;
    let data = Prepared::new(&mut corpora, &config, tokenizers)?;
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
        quote(&program()),
        quote(&summary.run)
    )
}

/// How this program was started, so that the command printed at the end works as it stands.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "gradus".to_owned())
}

//! `gradus average`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::checkpoint::Checkpoint;
use crate::files::{Destination, Kind};
use crate::out;
use crate::train::{Mean, Run};

/// Average the weights of several checkpoints of one training into a model to translate with
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus average --last 5 runs/en-de --out mean.gradus
  gradus average runs/a/checkpoints/best.gradus runs/a/checkpoints/last.gradus --out mean.gradus

A run keeps as many checkpoints as gradus train --keep says.")]
pub(super) struct Arguments {
    /// Checkpoints; with --last, the folder of a run
    #[arg(value_name = "CHECKPOINT", required = true)]
    checkpoints: Vec<PathBuf>,
    /// Take the last K checkpoints that the run has kept
    #[arg(long, value_name = "K")]
    last: Option<usize>,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write over a file that is there and is no average
    #[arg(long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let destination = Destination::new(&arguments.out, Kind::Checkpoint, arguments.force)?;
    if !arguments.force {
        refuse_training(&arguments.out)?;
    }
    let paths = match (arguments.last, arguments.checkpoints.as_slice()) {
        (None, paths) => paths.to_vec(),
        (Some(count), [folder]) => last_of(folder, count)?,
        (Some(_), _) => bail!("--last goes with the folder of one run"),
    };
    let mut mean = Mean::default();
    let mut first: Option<(Checkpoint, &Path)> = None;
    for path in &paths {
        let checkpoint = Checkpoint::load(path)?;
        mean.add(&checkpoint.weights).with_context(|| path.display().to_string())?;
        let vocabularies = |checkpoint: &Checkpoint| {
            (checkpoint.source_tokenizer.clone(), checkpoint.target_tokenizer.clone())
        };
        match &first {
            None => first = Some((checkpoint, path)),
            Some((first, name)) if vocabularies(first) != vocabularies(&checkpoint) => {
                bail!("{}: has another vocabulary than {}", path.display(), name.display());
            }
            Some(_) => {}
        }
    }
    let Some((first, _)) = first else { bail!("no checkpoint is named") };
    let mean = Checkpoint { weights: mean.finish(), training: None, ..first };
    destination
        .write(&mean.to_bytes().with_context(|| format!("{}: not saved", arguments.out.display()))?)?;
    if !destination.is_stdout() {
        out!("the mean of {} checkpoints is in {}:", paths.len(), arguments.out.display())?;
        paths.iter().try_for_each(|path| out!("  {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a file that belongs to a run, or that holds a training: a mean of weights would be all that is left of it.
fn refuse_training(path: &Path) -> Result<()> {
    let name = path.display();
    let folder = path.parent().filter(|folder| folder.ends_with("checkpoints")).and_then(Path::parent);
    if let Some(run) = folder.filter(|folder| folder.join("config.toml").exists()) {
        bail!("{name}: belongs to the run {}; choose another name, or --force to replace it", run.display());
    }
    if path.is_file() && Checkpoint::load(path).is_ok_and(|checkpoint| checkpoint.training.is_some()) {
        bail!("{name}: holds a training to go on with; choose another name, or --force to replace it");
    }
    Ok(())
}

/// The last checkpoints that a run has kept.
fn last_of(folder: &Path, count: usize) -> Result<Vec<PathBuf>> {
    let name = folder.display();
    let mut kept = Run::open(folder)?.kept()?;
    if count == 0 {
        bail!("--last must not be 0");
    }
    if kept.len() < count {
        bail!(
            "{name}: has kept {} checkpoints, not {count}, as --last asks for; gradus train --keep {count} keeps them",
            kept.len()
        );
    }
    Ok(kept.split_off(kept.len() - count))
}

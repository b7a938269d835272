//! `gradus average`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::checkpoint::Checkpoint;
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
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
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
    Checkpoint { weights: mean.finish(), training: None, ..first }.save(&arguments.out)?;
    println!("the mean of {} checkpoints is in {}:", paths.len(), arguments.out.display());
    for path in paths {
        println!("  {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
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

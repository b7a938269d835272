//! `gradus export`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::interchange::export;
use crate::out;
use crate::train::Run;

/// Write a model for other programs: weights as safetensors, settings, tokenizer
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  gradus export --model runs/en-de --out exported

docs/python.md says how to read it from Python.")]
pub(super) struct Arguments {
    /// Folder of a run, or a checkpoint
    #[arg(long, value_name = "RUN")]
    model: PathBuf,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write over files that are there and were not exported
    #[arg(long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let path = Run::find_model(&arguments.model)?;
    let checkpoint = crate::checkpoint::Checkpoint::load(&path)?;
    export(&checkpoint, &arguments.out, arguments.force).with_context(|| path.display().to_string())?;
    let count = checkpoint.weights.len();
    out!("{count} tensors of {} are in {}", path.display(), arguments.out.display())?;
    Ok(ExitCode::SUCCESS)
}

//! `gradus import`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::interchange::{import, into_run};
use crate::out;

/// Read a model that was exported, or changed by other programs, into the folder of a run
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  gradus import exported --out runs/imported
  echo \"A man is riding a bike.\" | gradus translate --model runs/imported")]
pub(super) struct Arguments {
    /// Folder with model.safetensors, config.toml and tokenizer.json
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Folder of the new run
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Write over files that are there and are of no run
    #[arg(long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let checkpoint = import(&arguments.folder)?;
    into_run(&checkpoint, &arguments.out, arguments.force)?;
    out!("{} tensors are in {}", checkpoint.weights.len(), arguments.out.display())?;
    Ok(ExitCode::SUCCESS)
}

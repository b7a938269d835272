//! `gradus report`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use autograd::Device;
use clap::Args;

use super::model::LoadedModel;
use crate::out;
use crate::teach::report;
use crate::train::Run;

/// Write the report of a training: curves, translations and what the model reads, as one page
#[derive(Debug, Args)]
#[command(after_help = "\
A training writes its report when it ends; this writes it again, or for a training that has not ended.

Example:
  gradus report runs/builtin")]
pub(super) struct Arguments {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let run = Run::open(&arguments.run)?;
    let LoadedModel { transformer, source_tokenizer, target_tokenizer, .. } =
        LoadedModel::load(&arguments.run, &Device::Cpu)?;
    let path = report::write(&run, &transformer, (&source_tokenizer, &target_tokenizer))?;
    out!("{}", path.display())?;
    Ok(ExitCode::SUCCESS)
}

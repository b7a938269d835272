//! `gradus attention`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use autograd::Device;
use clap::Args;

use super::model::LoadedModel;
use super::search::SearchArguments;
use crate::data::tokenizer::{EOS, Tokenizer};
use crate::decode::{NextToken, Translator, search};
use crate::files::{Destination, Kind};
use crate::teach::attention::{AttentionMaps, LONGEST};
use crate::{out, terminal};

/// Show what a model looks at while it translates a sentence
#[derive(Debug, Args)]
#[command(after_help = "\
Without --target the model's own translation is shown.

Examples:
  gradus attention --model runs/builtin --source \"The small dog sees a red house.\" --out dog.html
  gradus attention --model runs/builtin --source \"She sings.\" --target \"Elle chante.\" --json")]
pub(super) struct Arguments {
    /// Folder of a run, or a checkpoint
    #[arg(long, value_name = "RUN")]
    model: PathBuf,
    /// The sentence
    #[arg(long, value_name = "TEXT")]
    source: String,
    /// A translation of it
    #[arg(long, value_name = "TEXT")]
    target: Option<String>,
    /// Write a page of heat maps to this file
    #[arg(long, value_name = "FILE", default_value = "attention.html")]
    out: PathBuf,
    /// Replace a file that is there and is no such page
    #[arg(long)]
    force: bool,
    /// Print the weights as JSON instead, by layer, head, query and key
    #[arg(long, conflicts_with = "out")]
    json: bool,
    #[command(flatten)]
    search: SearchArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let options = arguments.search.search()?;
    let destination = (!arguments.json)
        .then(|| Destination::new(&arguments.out, Kind::Page, arguments.force))
        .transpose()?;
    let model = LoadedModel::load(&arguments.model, &Device::Cpu)?;
    let (transformer, tokenizers) = (&model.transformer, (&model.source_tokenizer, &model.target_tokenizer));
    let source = encode(&arguments.source, "--source", tokenizers.0, transformer.longest_source())?;
    let target = match &arguments.target {
        Some(text) => encode(text, "--target", tokenizers.1, transformer.longest_target())?,
        None => {
            let ended = [&source[..], &[EOS]].concat();
            search(transformer, &[ended], Translator::SPECIALS, &options).remove(0).remove(0).tokens
        }
    };
    let maps = AttentionMaps::new(transformer, tokenizers, &source, &target);
    let Some(destination) = destination else {
        let maps = serde_json::to_string(&maps).context("the weights cannot be written as JSON")?;
        terminal::data(&maps)?;
        return Ok(ExitCode::SUCCESS);
    };
    let page = maps.page().context("the weights cannot be written as JSON")?;
    destination.write(page.as_bytes())?;
    if !destination.is_stdout() {
        out!("{}: attention for \"{}\"", arguments.out.display(), tokenizers.1.decode(&target))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The tokens of a text.
///
/// # Errors
/// Where there are none, or too many.
fn encode(text: &str, option: &str, tokenizer: &Tokenizer, longest: usize) -> Result<Vec<u32>> {
    let ids = tokenizer.encode(text);
    if ids.is_empty() {
        bail!("{option}: a blank sentence has nothing to look at");
    }
    if ids.len() >= longest {
        bail!("{option}: {} tokens are more than the {longest} that the model can take", ids.len() + 1);
    }
    if ids.len() >= LONGEST {
        bail!("{option}: {} tokens are more than the {LONGEST} of which maps are made", ids.len() + 1);
    }
    Ok(ids)
}

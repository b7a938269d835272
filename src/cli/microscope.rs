//! `gradus microscope`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use autograd::Device;
use clap::Args;
use nn::Transformer;

use super::model::LoadedModel;
use crate::data::tokenizer::Tokenizer;
use crate::decode::{Search, translate};
use crate::files::{Destination, Kind};
use crate::teach::microscope::{BUILTIN_SMOOTHING, BUILTIN_STEPS, Film, Specimen, train_builtin};
use crate::train::Reporter;
use crate::{note, out};

/// Write a page that shows every number of one backward pass
///
/// One sentence and its translation, forward and backward through the whole model in f64: values and gradients of every node,
/// the arithmetic of every cell, attention head by head, finite differences beside the gradients, bugs to plant, where
/// gradients go. The page is one HTML file that needs no network.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  gradus microscope --builtin --out page.html
  gradus microscope --model runs/builtin --source \"The small dog sees a red house.\" --out page.html
  gradus microscope --model runs/en-de --source \"a man .\" --target \"ein mann .\" --out page.html")]
pub(super) struct Arguments {
    /// Folder of a run, or a checkpoint
    #[arg(long, value_name = "RUN", required_unless_present = "builtin", conflicts_with = "builtin")]
    model: Option<PathBuf>,
    /// Train a small model first, for about a minute, and film it
    #[arg(long)]
    builtin: bool,
    /// The sentence to read
    #[arg(long, value_name = "TEXT", required_unless_present = "builtin")]
    source: Option<String>,
    /// Its translation; the model's own without it
    #[arg(long, value_name = "TEXT")]
    target: Option<String>,
    /// The page
    #[arg(long, value_name = "FILE", default_value = "microscope.html")]
    out: PathBuf,
    /// Replace a file that is there and is no such page
    #[arg(long)]
    force: bool,
    /// Share of attention weights that is dropped in the pass; the model's own without it
    #[arg(long, value_name = "P")]
    attention_dropout: Option<f64>,
    /// A pass without any dropout
    #[arg(long, conflicts_with = "attention_dropout")]
    no_dropout: bool,
    /// Steps of the training that --builtin does
    #[arg(long, value_name = "N", default_value_t = BUILTIN_STEPS, requires = "builtin", value_parser = super::parse::steps::<u64>())]
    steps: u64,
    /// Threads of that training; 0 for one a core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = super::parse::threads)]
    threads: usize,
    /// Write the record as JSON instead of a page
    #[arg(long)]
    json: bool,
}

/// What `--builtin` shows where no sentence is named.
const PAIR: [&str; 2] = ["The white cat sees the dog.", "Le chat blanc voit le chien."];

/// The smoothing of labels under the microscope, of a model of one's own.
const SMOOTHING: f64 = 0.1;

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let folder = arguments.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        bail!("{}: no such folder", folder.display());
    }
    if let Some(p) = arguments.attention_dropout.filter(|p| !(0.0..1.0).contains(p)) {
        bail!("--attention-dropout: {p} is not in [0, 1)");
    }
    let kind = if arguments.json { Kind::Json } else { Kind::Page };
    let destination = Destination::new(&arguments.out, kind, arguments.force)?;
    let (specimen, film) = specimen(arguments)?;
    let start = Instant::now();
    note!("looking at every node: values, gradients, differences, planted bugs ...");
    let record = specimen.look(film);
    let text = if arguments.json { record.json().to_string() } else { record.page() };
    destination.write(text.as_bytes())?;
    if destination.is_stdout() {
        return Ok(ExitCode::SUCCESS);
    }
    let checked = record.nodes.iter().filter_map(|node| node.verdict.as_ref());
    let (right, wrong): (Vec<_>, Vec<_>) = checked.partition(|verdict| verdict.ok);
    out!(
        "{}: {} nodes, {} checked by finite differences ({} disagree), {:.1} MB, after {:.1} s",
        arguments.out.display(),
        record.nodes.len(),
        right.len() + wrong.len(),
        wrong.len(),
        text.len() as f64 / 1e6,
        start.elapsed().as_secs_f64(),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn specimen(arguments: &Arguments) -> Result<(Specimen, Option<Film>)> {
    if !arguments.builtin {
        let path = arguments.model.as_deref().context("--model: no run named")?;
        let model = LoadedModel::load(path, &Device::Cpu)?;
        let tokenizers = (&model.source_tokenizer, &model.target_tokenizer);
        let source = arguments.source.as_deref().unwrap_or_default();
        return Ok((under(arguments, &model.transformer, tokenizers, source)?, None));
    }
    let source = arguments.source.as_deref().unwrap_or(PAIR[0]);
    let target = match (&arguments.source, &arguments.target) {
        (_, Some(target)) => target,
        (None, None) => PAIR[1],
        (Some(_), None) => {
            bail!("--builtin: a --source of your own needs its --target, which the training films")
        }
    };
    note!("training a small model on the built-in corpus, {} steps ...", arguments.steps);
    let mut reporter = Reporter::new();
    let steps = arguments.steps;
    let threads = super::thread_count(arguments.threads);
    let builtin = train_builtin([source, target], steps, threads, |step, loss| {
        reporter.progress(step as f64 / steps.max(1) as f64, &format!("step {step}  loss {loss:.3}"));
    })?;
    reporter.finish();
    let tokenizers = (&builtin.tokenizer, &builtin.tokenizer);
    let arguments = &Arguments { target: Some(target.to_owned()), ..arguments.clone() };
    Ok((under(arguments, &builtin.model, tokenizers, source)?, Some(builtin.film)))
}

/// Puts a model and a sentence under the microscope.
fn under(
    arguments: &Arguments,
    model: &Transformer,
    tokenizers: (&Tokenizer, &Tokenizer),
    source: &str,
) -> Result<Specimen> {
    let own;
    let target = match &arguments.target {
        Some(target) => target,
        None => {
            own = translate(model, tokenizers, &[source], &Search::default(), 1, |_| ()).concat();
            &own
        }
    };
    let seed = (!arguments.no_dropout).then_some(1);
    let smoothing = if arguments.builtin { BUILTIN_SMOOTHING } else { SMOOTHING };
    let mut specimen = Specimen::new(model, tokenizers, source, target, smoothing, seed)?;
    if let Some(p) = arguments.attention_dropout {
        specimen.drop_attention(p);
    }
    Ok(specimen)
}

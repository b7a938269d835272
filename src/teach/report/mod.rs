//! `report.html`: what a training did, on one page that needs nothing but itself.

mod chart;
mod heat_map;
mod history;
mod language;
mod page;
mod sentences;

use std::path::PathBuf;

use anyhow::{Context, Result};
use nn::Transformer;

use crate::data::tokenizer::Tokenizer;
use crate::train::Run;

use history::History;

/// Writes `report.html` into the run's folder, from its `metrics.jsonl` and `config.toml` and the model that the training
/// has made, and gives its path. Written again, it is written over.
///
/// # Errors
/// Where the folder lacks one of the two files, a line of the metrics cannot be read, or the page cannot be written.
pub fn write(run: &Run, model: &Transformer, tokenizers: (&Tokenizer, &Tokenizer)) -> Result<PathBuf> {
    let history = History::read(&run.metrics())?;
    let config_path = run.folder().join("config.toml");
    let name = || config_path.display().to_string();
    let config = std::fs::read_to_string(&config_path).with_context(|| format!("{}: cannot read", name()))?;
    let config: toml::Table = config.parse().with_context(name)?;
    let title = run.folder().file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy());
    let readings = sentences::read(model, tokenizers, &history.samples());
    let page = page::page(&title, &history, &readings, &config);
    run.write("report.html", &page.into_string())?;
    Ok(run.folder().join("report.html"))
}

/// Writes the report of a training that has ended and gives the line that says so. Its model is saved already, so a page
/// that cannot be written is said, and ends nothing.
pub fn attempt(run: &Run, model: &Transformer, tokenizers: (&Tokenizer, &Tokenizer)) -> String {
    match write(run, model, tokenizers) {
        Ok(path) => format!("report {}", path.display()),
        Err(error) => format!("no report: {error:#}"),
    }
}

//! `gradus tape`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use autograd::{Device, Ids, Tape};
use clap::Args;
use nn::{Init, Objective, Positions, Preset, Sentences, Transformer, TransformerConfig};

use super::model::LoadedModel;
use crate::data::tokenizer::{BOS, EOS, PAD, Tokenizer, UNK};
use crate::terminal;

/// Print the tape of one training loss: as a table, a graph, or JSON
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus tape
  gradus tape --explained
  gradus tape --dot | dot -Tsvg > tape.svg
  gradus tape --model runs/builtin --source \"A dog sleeps.\" --target \"Un chien dort.\" --json")]
pub(super) struct Arguments {
    /// Folder of a run, or a checkpoint; without it a fresh model of one layer each, with the words given as vocabulary
    #[arg(long, value_name = "RUN")]
    model: Option<PathBuf>,
    /// The sentence that the model reads
    #[arg(long, value_name = "TEXT", default_value = "cats chase mice")]
    source: String,
    /// The sentence that it is to write
    #[arg(long, value_name = "TEXT", default_value = "chats chassent souris")]
    target: String,
    /// Record fused ops as the small ops that they are made of, as a reader would write them
    #[arg(long, visible_alias = "unfused")]
    explained: bool,
    /// A graph for Graphviz
    #[arg(long, group = "form")]
    dot: bool,
    /// A graph for Mermaid, as Markdown on many sites draws it
    #[arg(long, group = "form")]
    mermaid: bool,
    /// One JSON object
    #[arg(long, group = "form")]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (model, source, target) = match &arguments.model {
        Some(path) => {
            let LoadedModel { transformer, source_tokenizer, target_tokenizer, .. } =
                LoadedModel::load(path, &Device::Cpu)?;
            let longest = match transformer.config.positions {
                Positions::Learned => transformer.config.max_length,
                Positions::Sinusoidal => usize::MAX,
            };
            let source = tokens("--source", &arguments.source, &source_tokenizer, longest)?;
            let target = tokens("--target", &arguments.target, &target_tokenizer, longest)?;
            (transformer, source, target)
        }
        None => fresh(&arguments.source, &arguments.target)?,
    };
    let tape = if arguments.explained { Tape::eval().explained() } else { Tape::eval() };
    let [source, target_in, target_out] =
        [[&source[..], &[EOS]].concat(), [&[BOS], &target[..]].concat(), [&target[..], &[EOS]].concat()];
    let objective = Objective { smoothing: 0.0, ignore: None, weight: 1.0 / target_out.len() as f64 };
    let labels = Ids::new([1, target_out.len()], target_out);
    let (source, target_in) = (Sentences::new(&[source], PAD), Sentences::new(&[target_in], PAD));
    let _ = model.loss(&tape, &source, &target_in, &labels, &objective).label("loss");
    let text = match arguments {
        Arguments { dot: true, .. } => tape.dot(&model),
        Arguments { mermaid: true, .. } => tape.mermaid(&model),
        Arguments { json: true, .. } => tape.json(&model),
        _ => tape.table(&model),
    };
    terminal::data(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The tokens of a sentence, at least one of which the model knows.
fn tokens(option: &str, text: &str, tokenizer: &Tokenizer, longest: usize) -> Result<Vec<u32>> {
    let ids = tokenizer.encode(text);
    if ids.is_empty() {
        bail!("{option}: no words");
    }
    // Decoding leaves unknown tokens out.
    if tokenizer.decode(&ids).trim().is_empty() {
        bail!("{option}: the model's vocabulary has nothing of \"{text}\"");
    }
    if ids.len() >= longest {
        bail!("{option}: {} tokens and an end are more than the {longest} positions learned", ids.len());
    }
    Ok(ids)
}

/// A model of one layer each that has not learned anything, and the sentences in a vocabulary of their own words.
fn fresh(source: &str, target: &str) -> Result<(Transformer, Vec<u32>, Vec<u32>)> {
    let mut words: Vec<&str> = Vec::new();
    let mut ids = |option: &str, text| -> Result<Vec<u32>> {
        let id = |word| {
            let known = words.iter().position(|&known| known == word).unwrap_or_else(|| {
                words.push(word);
                words.len() - 1
            });
            UNK + 1 + known as u32
        };
        let ids: Vec<u32> = str::split_whitespace(text).map(id).collect();
        if ids.is_empty() {
            bail!("{option}: no words");
        }
        Ok(ids)
    };
    let (source, target) = (ids("--source", source)?, ids("--target", target)?);
    let vocab = UNK as usize + 1 + words.len();
    let config = TransformerConfig {
        d_model: 8,
        ffn: 16,
        heads: 2,
        encoder_layers: 1,
        decoder_layers: 1,
        ..Preset::Tiny.config(vocab, vocab)
    };
    Ok((Transformer::new(&config, &mut Init::seeded(1)), source, target))
}

//! `gradus evaluate`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use super::model::LoadedModel;
use super::search::SearchArguments;
use crate::data::corpus::read_lines;
use crate::decode::translate;
use crate::metrics::{BleuOptions, ChrfOptions, Tokenize, bleu, chrf};
use crate::train::SentenceBar;

/// Score translations: of a model, or of a file
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus evaluate --model runs/en-de --src test.en.gz --ref test.de.gz --lowercase --beam 5
  gradus evaluate --hyp output.de --ref test.de.gz")]
pub(super) struct Arguments {
    /// Folder of a run, or a checkpoint
    #[arg(long, value_name = "RUN", required_unless_present = "hyp", requires = "src")]
    model: Option<PathBuf>,
    /// Text to translate
    #[arg(long, value_name = "FILE", conflicts_with = "hyp")]
    src: Option<PathBuf>,
    /// Translations to score instead of a model's
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    hyp: Option<PathBuf>,
    /// Reference translations
    #[arg(long = "ref", value_name = "FILE")]
    reference: PathBuf,
    /// Compare without regard to case
    #[arg(long)]
    lowercase: bool,
    /// Tokenisation of BLEU: 13a or none
    #[arg(long, value_name = "NAME", default_value = "13a")]
    tokenize: Tokenize,
    /// Write the translations to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Threads; 0 for one a core
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    search: SearchArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let references = read_lines(&arguments.reference)?;
    let (input, what) = match (&arguments.hyp, &arguments.src) {
        (Some(path), _) | (None, Some(path)) => (read_lines(path)?, path),
        (None, None) => bail!("name --hyp, or --model and --src"),
    };
    if input.len() != references.len() {
        bail!(
            "{} has {} lines, but {} has {}",
            what.display(),
            input.len(),
            arguments.reference.display(),
            references.len()
        );
    }
    let start = std::time::Instant::now();
    let hypotheses = match &arguments.model {
        Some(model) => {
            let model = LoadedModel::load(model)?;
            let search = arguments.search.search()?;
            let texts: Vec<&str> = input.iter().map(String::as_str).collect();
            let bar = SentenceBar::new(texts.len());
            let tokenizers = (&model.source_tokenizer, &model.target_tokenizer);
            let threads = super::thread_count(arguments.threads);
            let translations =
                translate(&model.transformer, tokenizers, &texts, &search, threads, |count| bar.done(count));
            bar.finish();
            translations
        }
        None => input,
    };
    let seconds = start.elapsed().as_secs_f64();
    if let Some(path) = &arguments.out {
        let text: String = hypotheses.iter().map(|line| format!("{line}\n")).collect();
        crate::checkpoint::write_aside(path, text.as_bytes())?;
    }
    let (lowercase, tokenize) = (arguments.lowercase, arguments.tokenize);
    let bleu = bleu(&hypotheses, &references, &BleuOptions { lowercase, tokenize });
    let chrf = chrf(&hypotheses, &references, &ChrfOptions { lowercase, ..ChrfOptions::default() });
    if arguments.json {
        let result = json!({
            "bleu": bleu.score,
            "bleu_signature": bleu.signature(),
            "chrf": chrf.score,
            "chrf_signature": chrf.signature(),
            "sentences": references.len(),
            "seconds": (seconds * 100.0).round() / 100.0,
        });
        println!("{result}");
    } else {
        println!("{bleu}\n  {}", bleu.signature());
        println!("{chrf}\n  {}", chrf.signature());
    }
    Ok(ExitCode::SUCCESS)
}

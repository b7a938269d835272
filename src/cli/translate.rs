//! `gradus translate`

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::model::LoadedModel;
use crate::decode::{Search, translate};

/// Translate text, line by line, from standard input or a file
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  echo \"The small dog sees a red house.\" | gradus translate --model runs/builtin
  gradus translate --model runs/en-de --beam 5 --input test.en > test.de")]
pub(super) struct Arguments {
    /// Folder of a run, or a checkpoint
    #[arg(long, value_name = "RUN")]
    model: PathBuf,
    /// Text to translate, plain or gzip; standard input without it
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Width of the beam; 1 is greedy
    #[arg(long, value_name = "N", default_value_t = 4)]
    beam: usize,
    /// α of the length penalty ((5 + n)/6)^α
    #[arg(long, value_name = "ALPHA", default_value_t = Search::default().length_penalty)]
    length_penalty: f64,
    /// Threads; 0 for one a core
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let model = LoadedModel::load(&arguments.model)?;
    let search = super::search(arguments.beam, arguments.length_penalty)?;
    let threads = super::thread_count(arguments.threads);
    let tokenizers = (&model.source_tokenizer, &model.target_tokenizer);
    let mut out = std::io::stdout().lock();
    let mut print = |texts: &[&str]| -> Result<()> {
        for translation in translate(&model.transformer, tokenizers, texts, &search, threads, |_| ()) {
            writeln!(out, "{translation}").context("cannot write to standard output")?;
        }
        out.flush().context("cannot write to standard output")
    };
    if let Some(path) = &arguments.input {
        let lines = crate::data::corpus::read_lines(path)?;
        for chunk in lines.chunks(CHUNK) {
            print(&chunk.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let input = std::io::stdin();
    let interactive = input.is_terminal();
    if interactive {
        eprintln!("One sentence a line; Ctrl-D ends.");
    }
    // A person waits for every line; a pipe is served faster in larger parts.
    let chunk = if interactive { 1 } else { CHUNK };
    let mut lines = Vec::new();
    for (number, line) in input.lock().split(b'\n').enumerate() {
        let line = line.context("standard input: cannot read")?;
        let line = String::from_utf8(line)
            .map_err(|_| anyhow::anyhow!("standard input:{}: not valid UTF-8", number + 1))?;
        lines.push(line.trim_end_matches('\r').trim_start_matches('\u{feff}').to_owned());
        if lines.len() >= chunk {
            print(&lines.iter().map(String::as_str).collect::<Vec<_>>())?;
            lines.clear();
        }
    }
    print(&lines.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(ExitCode::SUCCESS)
}

/// Lines translated at a time.
const CHUNK: usize = 512;

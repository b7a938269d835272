//! `gradus translate`

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde_json::json;

use super::device::DeviceArgument;
use super::model::LoadedEnsemble;
use super::search::{BatchingArguments, SamplingArguments, SearchArguments};
use crate::decode::{Batching, Search, Translated};
use crate::note;
use crate::terminal::{Stdout, written};
use crate::train::SentenceBar;

/// Translate text, line by line, from standard input or a file
#[derive(Debug, Args)]
#[command(after_help = "\
On a terminal it asks for one sentence after the other. --nbest prints a row for each translation: line number, score, \
log-probability and text, with tabs between.

Examples:
  echo \"The small dog sees a red house.\" | gradus translate --model runs/builtin
  gradus translate --model runs/en-de --beam 5 --input test.en > test.de
  gradus translate --model runs/en-de --nbest 5 --length-penalty mean --input test.en
  gradus translate --model runs/en-de --top-p 0.9 --seed 7 --input test.en
  gradus translate --model runs/a --model runs/b --input test.en")]
pub(super) struct Arguments {
    /// Folder of a run, or a checkpoint; several translate together
    #[arg(long, value_name = "RUN", required = true)]
    model: Vec<PathBuf>,
    /// Text to translate, plain or gzip; standard input without it
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Print the K best translations of every line, with scores
    #[arg(long, value_name = "K")]
    nbest: Option<usize>,
    /// Print one object of JSON for every line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgument,
    #[command(flatten)]
    batching: BatchingArguments,
    #[command(flatten)]
    search: SearchArguments,
    #[command(flatten)]
    sampling: SamplingArguments,
}

/// Lines translated at a time, for the first of them to be seen before the last is done.
const CHUNK: usize = 512;

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let search = arguments.search.with(arguments.nbest.unwrap_or(1), arguments.sampling.sampling()?)?;
    let batching = arguments.batching.batching(search.rows())?;
    let mut session = Session {
        model: LoadedEnsemble::load(&arguments.model, &arguments.device.open()?)?,
        arguments,
        search,
        batching,
        done: 0,
    };
    if let Some(path) = &arguments.input {
        let lines = crate::data::corpus::read_lines(path)?;
        let name = path.display().to_string();
        // Translations that come to a terminal say themselves how far they are.
        let bar = (!std::io::stdout().is_terminal()).then(|| SentenceBar::new(lines.len()));
        for chunk in lines.chunks(CHUNK) {
            session.print(chunk, &name, |count| bar.iter().for_each(|bar| bar.done(count)))?;
        }
        bar.iter().for_each(SentenceBar::finish);
    } else if std::io::stdin().is_terminal() {
        super::prompt::each_line("> ", |line| session.print(&[line], "line", |_| ()))?;
    } else {
        let mut lines = Vec::new();
        for (number, line) in std::io::stdin().lock().split(b'\n').enumerate() {
            let line = line.context("standard input: cannot read")?;
            let line = String::from_utf8(line)
                .map_err(|_| anyhow!("standard input:{}: not valid UTF-8", number + 1))?;
            lines.push(line.trim_end_matches('\r').trim_start_matches('\u{feff}').to_owned());
            if lines.len() == CHUNK {
                session.print(&lines, "standard input", |_| ())?;
                lines.clear();
            }
        }
        session.print(&lines, "standard input", |_| ())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A text that is translated part by part.
struct Session<'a> {
    arguments: &'a Arguments,
    model: LoadedEnsemble,
    search: Search,
    batching: Batching,
    /// Lines translated so far.
    done: usize,
}

impl Session<'_> {
    /// Translates the next lines of what has this name, and prints that.
    fn print<S: AsRef<str>>(
        &mut self,
        lines: &[S],
        name: &str,
        progress: impl Fn(usize) + Sync,
    ) -> Result<()> {
        if let Some(sampling) = &mut self.search.sampling {
            sampling.first = self.done;
        }
        let texts: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
        let translated = self.model.translator().translate(&texts, &self.search, &self.batching, progress);
        let mut out = Stdout::lock();
        for (text, translated) in texts.iter().zip(&translated) {
            self.done += 1;
            if let Some(cut) = translated.cut {
                note!(
                    "gradus: {name}:{}: {} tokens are more than the {} that the model can read; the rest is left out",
                    self.done,
                    cut.tokens,
                    cut.longest
                );
            }
            written(self.write(&mut out, text, translated))?;
        }
        written(out.flush())
    }

    fn write(&self, out: &mut impl Write, text: &str, translated: &Translated) -> std::io::Result<()> {
        let translations = &translated.translations;
        if self.arguments.json {
            let object = json!({ "line": self.done, "source": text, "translations": translations });
            return writeln!(out, "{object}");
        }
        for one in translations {
            if self.arguments.nbest.is_some() {
                write!(out, "{}\t{:.4}\t{:.4}\t", self.done, one.score, one.log_prob)?;
            }
            writeln!(out, "{}", one.text)?;
        }
        Ok(())
    }
}

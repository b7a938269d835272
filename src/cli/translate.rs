//! `gradus translate`

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Error, Result};
use clap::Args;
use serde_json::json;

use super::device::DeviceArgument;
use super::model::LoadedEnsemble;
use super::search::{BatchingArguments, SamplingArguments, SearchArguments};
use crate::data::corpus::{LineReader, is_standard_input, name_of, read_lines};
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
    /// Text to translate, plain or gzip; standard input where it is - or not named
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

/// So many bytes of standard input are not waited beyond for more lines.
const CHUNK_BYTES: usize = 1 << 20;

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
    let path = arguments.input.as_deref().unwrap_or(Path::new("-"));
    let name = name_of(path);
    if !is_standard_input(path) {
        let lines = read_lines(path)?;
        // Translations that come to a terminal say themselves how far they are.
        let bar = (!std::io::stdout().is_terminal()).then(|| SentenceBar::new(lines.len()));
        for chunk in lines.chunks(CHUNK) {
            session.print(chunk, &name, |count| bar.iter().for_each(|bar| bar.done(count)))?;
        }
        bar.iter().for_each(SentenceBar::finish);
    } else if std::io::stdin().is_terminal() {
        super::prompt::each_line("> ", |line| session.print(&[line], "line", |_| ()))?;
    } else {
        let mut reader = LineReader::stream(path)?;
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while let Some(line) = reader.next_line()? {
            let line = line.map_err(Error::msg)?;
            bytes += line.len();
            lines.push(line.to_owned());
            if lines.len() == CHUNK || bytes >= CHUNK_BYTES {
                session.print(&lines, &name, |_| ())?;
                lines.clear();
                bytes = 0;
            }
        }
        session.print(&lines, &name, |_| ())?;
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
            if let Some(remark) = translated.remark {
                note!("gradus: {name}:{}: {remark}", self.done);
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

//! Reading parallel text: two files, one with tabs, or JSON lines; plain or gzip; `-` is standard input.
//!
//! What editors and web servers do to a file is put right in silence: a byte order mark, carriage returns, a missing last
//! line end, compression under any name. What would quietly spoil a training is a fault that names the file and the line. Files
//! are read as streams, and within limits that have names: [`LONGEST_LINE`], [`LARGEST_TEXT`], [`MOST_LINES`].

mod encoding;
mod jsonl;
mod lines;
#[cfg(test)]
mod tests;
mod tsv;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::Pair;
pub use lines::{
    LARGEST_TEXT, LONGEST_LINE, Line, LineReader, MOST_LINES, at_most_one_is_standard_input,
    is_standard_input, name_of, read_lines,
};
use lines::{Lines, MOST_FAULTS, copy, each, read};

/// Where pairs of sentences are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    /// Line n of one file is the translation of line n of the other.
    Parallel {
        /// The sentences.
        source: PathBuf,
        /// Their translations.
        target: PathBuf,
    },
    /// Lines of source, tab, target; what follows a second tab is ignored (the attribution in Tatoeba's exports). A line
    /// that begins with `#` and has no tab is a comment.
    Tsv(PathBuf),
    /// A JSON object a line. A key that an object lacks is looked for within its `translation`, where data sets of the
    /// Hugging Face hub have both sides; a key with periods is a path. A key twice in one object, half of a surrogate pair and
    /// more than 127 levels are faults.
    Jsonl {
        /// The file.
        path: PathBuf,
        /// What objects call the source.
        source_key: String,
        /// What objects call the target.
        target_key: String,
    },
}

/// Pairs of sentences, and what was left out of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corpus {
    /// The pairs, in the order of the lines.
    pub pairs: Vec<Pair>,
    /// The line of each pair, counted from 1.
    pub lines: Vec<usize>,
    /// Lines that were left out because one side is blank.
    pub blank: Vec<usize>,
    /// What is wrong with the files, each one line that names the file and, where there is one, the line.
    pub faults: Vec<String>,
}

impl Files {
    /// Reads the pairs.
    ///
    /// # Errors
    /// The first fault: a line that is not valid UTF-8, has no tab, is no JSON object or lacks a key; files of different
    /// line counts; nothing left; a file that cannot be read at all.
    pub fn read(&self) -> Result<Corpus> {
        let corpus = self.scan()?;
        if let Some(fault) = corpus.faults.first() {
            bail!("{fault}");
        }
        if corpus.pairs.is_empty() {
            bail!(
                "{self}: no pair of sentences{}",
                match corpus.blank.len() {
                    0 => String::new(),
                    count => format!(": all {count} lines are blank on one side"),
                }
            );
        }
        Ok(corpus)
    }

    /// Reads what can be read, and notes every fault.
    ///
    /// # Errors
    /// Where a file cannot be read at all, is empty, or its compressed data is damaged.
    pub fn scan(&self) -> Result<Corpus> {
        match self {
            Self::Parallel { source, target } => parallel(source, target),
            Self::Tsv(path) => tsv::scan(path),
            Self::Jsonl { path, source_key, target_key } => jsonl::scan(path, source_key, target_key),
        }
    }

    /// The file that a line of the source is in.
    pub fn source(&self) -> &Path {
        match self {
            Self::Parallel { source: path, .. } | Self::Tsv(path) | Self::Jsonl { path, .. } => path,
        }
    }

    /// The file that a line of the target is in.
    pub fn target(&self) -> &Path {
        match self {
            Self::Parallel { target: path, .. } | Self::Tsv(path) | Self::Jsonl { path, .. } => path,
        }
    }
}

/// The names of the files.
impl fmt::Display for Files {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parallel { source, target } => {
                write!(formatter, "{} and {}", name_of(source), name_of(target))
            }
            Self::Tsv(path) | Self::Jsonl { path, .. } => write!(formatter, "{}", name_of(path)),
        }
    }
}

impl Corpus {
    /// Adds a pair; `None` where there is no memory for it.
    fn push(&mut self, line: usize, source: String, target: String) -> Option<()> {
        if source.trim().is_empty() || target.trim().is_empty() {
            return self.push_blank(line);
        }
        self.pairs.try_reserve(1).ok()?;
        self.lines.try_reserve(1).ok()?;
        self.pairs.push(Pair { source, target });
        self.lines.push(line);
        Some(())
    }

    /// Notes a blank line; `None` where there is no memory for it.
    fn push_blank(&mut self, line: usize) -> Option<()> {
        self.blank.try_reserve(1).ok()?;
        self.blank.push(line);
        Some(())
    }
}

/// One file after the other: whoever writes them into pipes may not write both at once.
fn parallel(source: &Path, target: &Path) -> Result<Corpus> {
    let Lines { lines, faults } = read(source)?;
    let left = lines.len();
    let mut sources = lines.into_iter();
    let mut corpus = Corpus::default();
    let mut right = 0;
    let others = each(target, |number, line| {
        right = number;
        if let (Some(Some(source)), Some(target)) = (sources.next(), line) {
            corpus.push(number, source, copy(target)?)?;
        }
        Some(Ok(()))
    })?;
    // Where there were too many faults, a file was not read to its end.
    if left != right && faults.len().max(others.len()) <= MOST_FAULTS {
        let (source, target) = (name_of(source), name_of(target));
        corpus.faults.push(format!("{source} has {left} lines, but {target} has {right}"));
    }
    corpus.faults.extend(faults.into_values().chain(others.into_values()));
    Ok(corpus)
}

//! What is wrong with a text, and what a training should know of it, before it costs an hour.

mod lengths;
mod overlap;
mod pairs;
mod tokens;

use std::fmt;

use serde::Serialize;

use super::batch::{collate, encode_pairs, plan_epoch};
use super::corpus::{Corpus, Files, name_of};
use super::tokenizer::Tokenizer;
pub use lengths::Lengths;

/// One part of a text: what is trained, validated or tested with.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is for.
    pub name: &'static str,
    /// The file that its sources are in.
    pub source: String,
    /// The file that its targets are in.
    pub target: String,
    /// What could be read.
    pub corpus: Corpus,
}

impl Part {
    /// Reads what can be read of files; a file that cannot be read at all is a fault like others.
    pub fn read(name: &'static str, files: &Files) -> Self {
        let corpus = files
            .scan()
            .unwrap_or_else(|error| Corpus { faults: vec![format!("{error:#}")], ..Corpus::default() });
        let [source, target] = [files.source(), files.target()].map(|path| name_of(path).into_owned());
        Self { name, source, target, corpus }
    }

    /// Where the source of the `i`-th pair is.
    fn source_place(&self, i: usize) -> String {
        format!("{}:{}", self.source, self.corpus.lines[i])
    }

    /// Where the target of the `i`-th pair is.
    fn target_place(&self, i: usize) -> String {
        format!("{}:{}", self.target, self.corpus.lines[i])
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Note,
    /// Training works, and its result may not be what it seems.
    Warning,
    /// Training cannot begin, or would learn nothing.
    Error,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Its name, the same in every report.
    pub kind: &'static str,
    /// How many lines, pairs or tokens it is about.
    pub count: usize,
    /// One line that says it.
    pub message: String,
    /// A few places, with file and line.
    pub examples: Vec<String>,
}

/// How many places are shown of each finding.
const SHOWN: usize = 5;

/// The share from which on something is more than a note.
const NOTABLE: f64 = 0.01;

impl Finding {
    /// A note, or a warning if it is about a hundredth of all or more.
    fn by_share(
        kind: &'static str,
        count: usize,
        all: usize,
        message: String,
        examples: Vec<String>,
    ) -> Self {
        let level = if count as f64 >= NOTABLE * all as f64 { Level::Warning } else { Level::Note };
        Self { level, kind, count, message, examples }
    }

    fn error(kind: &'static str, count: usize, message: String, examples: Vec<String>) -> Self {
        Self { level: Level::Error, kind, count, message, examples }
    }
}

/// What was found in one part.
#[derive(Clone, Debug, Serialize)]
pub struct PartReport {
    /// What the part is for.
    pub name: &'static str,
    /// Its files.
    pub files: Vec<String>,
    /// Pairs with text on both sides.
    pub pairs: usize,
    /// The lengths of sources in tokens, the end mark included; `None` where there is no tokenizer.
    pub source_lengths: Option<Lengths>,
    /// The lengths of targets.
    pub target_lengths: Option<Lengths>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// The batches of a pass over the training text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Batches {
    /// How many there are.
    pub count: usize,
    /// Pairs in one, on average.
    pub mean_pairs: f64,
    /// Target tokens in one, on average.
    pub mean_target_tokens: f64,
    /// The share of tokens that is not padding.
    pub useful_fraction: f64,
}

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether nothing bars a training.
    pub ok: bool,
    /// Findings that bar it.
    pub errors: usize,
    /// Findings that may spoil it.
    pub warnings: usize,
    /// What the tokens are of.
    pub tokenizer: String,
    /// Every part.
    pub parts: Vec<PartReport>,
    /// What parts have in common.
    pub overlaps: Vec<Finding>,
    /// The batches; `None` where there is no tokenizer or no pair.
    pub batches: Option<Batches>,
}

/// How to examine a text.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The tokenizers of source and target, or why there are none.
    pub tokenizers: Result<(&'a Tokenizer, &'a Tokenizer), &'a str>,
    /// What the tokens are of, in words.
    pub tokenizer: &'a str,
    /// The longest sentence that is used in training.
    pub max_length: usize,
    /// The budget of a batch.
    pub batch_tokens: usize,
    /// What batches are drawn from.
    pub seed: u64,
}

/// Examines the parts, the one to train with first. `progress` is told how much of the work is done.
pub fn examine(parts: &[Part], options: &Options<'_>, mut progress: impl FnMut(f64, &str)) -> Report {
    let sentences: usize = parts.iter().map(|part| 2 * part.corpus.pairs.len()).sum();
    let mut done = 0;
    let mut reports = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let mut findings = pairs::findings(part);
        let mut lengths = None;
        if let (Ok((source, target)), false) = (options.tokenizers, part.corpus.pairs.is_empty()) {
            let mut step = || {
                done += 1;
                if done % 256 == 0 {
                    progress(done as f64 / sentences as f64, &format!("{} text", part.name));
                }
            };
            let sides = tokens::Sides::new(part, source, target, &mut step);
            findings.extend(sides.findings(part, options.max_length, number == 0));
            lengths = Some(sides.lengths());
        }
        if let (Err(why), 0, false) = (options.tokenizers, number, part.corpus.pairs.is_empty()) {
            findings.push(Finding::error("tokenizer", 1, why.to_owned(), Vec::new()));
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        let (source_lengths, target_lengths) = lengths.map_or((None, None), |(a, b)| (Some(a), Some(b)));
        let mut files = vec![part.source.clone(), part.target.clone()];
        files.dedup();
        let pairs = part.corpus.pairs.len();
        reports.push(PartReport { name: part.name, files, pairs, source_lengths, target_lengths, findings });
    }
    let overlaps = overlap::findings(parts);
    let all = || reports.iter().flat_map(|part| &part.findings).chain(&overlaps);
    let count = |level| all().filter(|finding| finding.level == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    Report {
        ok: errors == 0,
        errors,
        warnings,
        tokenizer: options.tokenizer.to_owned(),
        batches: parts.first().and_then(|part| batches(part, options)),
        parts: reports,
        overlaps,
    }
}

fn batches(part: &Part, options: &Options<'_>) -> Option<Batches> {
    let (source, target) = options.tokenizers.ok()?;
    let examples = encode_pairs(&part.corpus.pairs, source, target, options.max_length).ok()?.examples;
    let plan = plan_epoch(&examples, options.batch_tokens, options.seed, 0);
    let (mut useful, mut all, mut targets) = (0, 0, 0);
    for rows in &plan {
        let batch = collate(&examples, rows);
        useful += batch.source_tokens() + batch.target_tokens();
        all += batch.source.len() + batch.target_out.len();
        targets += batch.target_tokens();
    }
    let count = plan.len();
    Some(Batches {
        count,
        mean_pairs: examples.len() as f64 / count as f64,
        mean_target_tokens: targets as f64 / count as f64,
        useful_fraction: useful as f64 / all as f64,
    })
}

/// A text as it is shown in a report: not too long, and on one line.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 70;
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// `2 of 1000 pairs (0.2 %)`
fn share(count: usize, all: usize, what: &str) -> String {
    format!("{count} of {all} {what} ({:.2} %)", 100.0 * count as f64 / all.max(1) as f64)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            let pairs = if part.pairs == 1 { "pair" } else { "pairs" };
            writeln!(f, "{} text: {}, {} {pairs}", part.name, part.files.join(" and "), part.pairs)?;
            write_findings(f, &part.findings)?;
            if let (Some(source), Some(target)) = (&part.source_lengths, &part.target_lengths) {
                lengths::write_table(f, source, target)?;
            }
            writeln!(f)?;
        }
        if self.parts.len() > 1 {
            writeln!(f, "between the parts:")?;
            write_findings(f, &self.overlaps)?;
            writeln!(f)?;
        }
        writeln!(f, "tokenizer: {}", self.tokenizer)?;
        if let Some(Batches { count, mean_pairs, mean_target_tokens, useful_fraction }) = self.batches {
            writeln!(
                f,
                "batches: {count} a pass, of {mean_pairs:.1} pairs and {mean_target_tokens:.0} target tokens; \
                 {:.1} % of their tokens are text, the others padding",
                100.0 * useful_fraction
            )?;
        }
        let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let (errors, warnings) = (count(self.errors, "error"), count(self.warnings, "warning"));
        let verdict = if self.ok { "nothing bars a training" } else { "this text cannot be trained with" };
        writeln!(f, "{errors}, {warnings}: {verdict}")
    }
}

fn write_findings(f: &mut fmt::Formatter<'_>, findings: &[Finding]) -> fmt::Result {
    if findings.is_empty() {
        writeln!(f, "  nothing to remark")?;
    }
    for Finding { level, message, examples, count, .. } in findings {
        let level = match level {
            Level::Error => "ERROR",
            Level::Warning => "warning",
            Level::Note => "note",
        };
        writeln!(f, "  {level:<8} {message}")?;
        for example in examples {
            writeln!(f, "             {example}")?;
        }
        if examples.len() == SHOWN && *count > SHOWN {
            writeln!(f, "             …")?;
        }
    }
    Ok(())
}

//! `gradus evaluate`

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::device::DeviceArgument;
use super::model::LoadedModel;
use super::search::SearchArguments;
use crate::data::corpus::{at_most_one_is_standard_input, name_of, read_lines};
use crate::decode::{Batching, Translator};
use crate::files::{Destination, Kind};
use crate::metrics::{BleuOptions, Bootstrap, ChrfOptions, Counts, Interval, Metric, Tokenize, p_value};
use crate::train::SentenceBar;
use crate::{note, out, terminal};

/// Score translations: of a model, or of a file
#[derive(Debug, Args)]
#[command(after_help = "\
Scores, signatures, intervals and p-values are sacreBLEU's; without any difference, p is 1. Of the
texts one can be -, standard input.

Examples:
  gradus evaluate --model runs/en-de --src test.en.gz --ref test.de.gz --lowercase --beam 5
  gradus evaluate --hyp output.de --ref test.de.gz --metrics bleu,chrf,chrf++
  gradus evaluate --hyp new.de --baseline old.de --ref test.de.gz --bootstrap 1000")]
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
    /// What to compute, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "bleu,chrf")]
    metrics: Vec<Name>,
    /// Compare without regard to case
    #[arg(long)]
    lowercase: bool,
    /// Tokenisation of BLEU: 13a, none or char
    #[arg(long, value_name = "NAME", default_value = "13a")]
    tokenize: Tokenize,
    /// Also an interval that holds 95 % of the scores of this many samples of the sentences [default: 1000]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1000")]
    bootstrap: Option<usize>,
    /// Translations of another system; how probable the difference is if both are equally good (paired bootstrap)
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// What the samples are drawn from
    #[arg(long, value_name = "N", default_value_t = Bootstrap::default().seed)]
    seed: u64,
    /// Write the translations to this file; - for standard output, without the scores
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace a file that is there and is no text
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    device: DeviceArgument,
    /// Threads; 0 for one a core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = super::parse::threads)]
    threads: usize,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    search: SearchArguments,
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    Bleu,
    Chrf,
    #[value(name = "chrf++")]
    ChrfPlusPlus,
}

impl Name {
    fn metric(self, lowercase: bool, tokenize: Tokenize) -> Metric {
        match self {
            Self::Bleu => Metric::Bleu(BleuOptions { lowercase, tokenize }),
            Self::Chrf => Metric::Chrf(ChrfOptions { lowercase, ..ChrfOptions::default() }),
            Self::ChrfPlusPlus => Metric::Chrf(ChrfOptions { lowercase, ..ChrfOptions::plus_plus() }),
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Bleu => "bleu",
            Self::Chrf => "chrf",
            Self::ChrfPlusPlus => "chrf++",
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let destination = arguments.out.as_ref().map(|path| Destination::new(path, Kind::Text, arguments.force));
    let destination = destination.transpose()?;
    at_most_one_is_standard_input([
        ("--hyp", arguments.hyp.as_deref()),
        ("--src", arguments.src.as_deref()),
        ("--ref", Some(&arguments.reference)),
        ("--baseline", arguments.baseline.as_deref()),
    ])?;
    let bootstrap = bootstrap(arguments)?;
    let references = read_lines(&arguments.reference)?;
    let beside = |path: &Path| -> Result<Vec<String>> {
        let lines = read_lines(path)?;
        if lines.len() != references.len() {
            let (path, reference) = (name_of(path), name_of(&arguments.reference));
            bail!("{path} has {} lines, but {reference} has {}", lines.len(), references.len());
        }
        Ok(lines)
    };
    let input = match (&arguments.hyp, &arguments.src) {
        (Some(path), _) | (None, Some(path)) => beside(path)?,
        (None, None) => bail!("name --hyp, or --model and --src"),
    };
    let baseline = arguments.baseline.as_deref().map(beside).transpose()?;
    let start = std::time::Instant::now();
    let hypotheses = match &arguments.model {
        Some(model) => translations(arguments, model, &input)?,
        None => input,
    };
    let seconds = start.elapsed().as_secs_f64();
    if let Some(destination) = &destination {
        let text: String = hypotheses.iter().map(|line| format!("{line}\n")).collect();
        destination.write(text.as_bytes())?;
    }
    // Scores do not belong among translations.
    let quiet = destination.is_some_and(|destination| destination.is_stdout());

    let mut record = Map::new();
    for &name in &arguments.metrics {
        let metric = name.metric(arguments.lowercase, arguments.tokenize);
        let scored = Scored::new(metric.counts(&hypotheses, &references), bootstrap.as_ref());
        let other =
            baseline.as_ref().map(|lines| Scored::new(metric.counts(lines, &references), bootstrap.as_ref()));
        if arguments.json {
            scored.note(&mut record, name.key(), bootstrap.as_ref(), other.as_ref());
        } else if !quiet {
            scored.print(bootstrap.as_ref(), other.as_ref())?;
        }
    }
    if arguments.json && !quiet {
        record.insert("sentences".into(), json!(references.len()));
        record.insert("seconds".into(), json!((seconds * 100.0).round() / 100.0));
        terminal::data(&Value::Object(record).to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn bootstrap(arguments: &Arguments) -> Result<Option<Bootstrap>> {
    let samples = match (arguments.bootstrap, &arguments.baseline) {
        (Some(0), _) => bail!("--bootstrap must not be 0"),
        (Some(samples), _) if samples > Bootstrap::MOST_SAMPLES => {
            bail!(
                "--bootstrap {samples}: more samples than {}, the most that are drawn",
                Bootstrap::MOST_SAMPLES
            )
        }
        (Some(samples), _) => samples,
        (None, Some(_)) => Bootstrap::default().samples,
        (None, None) => return Ok(None),
    };
    Ok(Some(Bootstrap { samples, seed: arguments.seed }))
}

fn translations(arguments: &Arguments, model: &Path, input: &[String]) -> Result<Vec<String>> {
    let model = LoadedModel::load(model, &arguments.device.open()?)?;
    let search = arguments.search.search()?;
    let texts: Vec<&str> = input.iter().map(String::as_str).collect();
    let bar = SentenceBar::new(texts.len());
    let tokenizers = (&model.source_tokenizer, &model.target_tokenizer);
    let threads = super::thread_count(arguments.threads);
    let (source, target) = tokenizers;
    let translator =
        Translator { model: &model.transformer, source, target, trained_length: model.trained_length };
    let batching = Batching { threads, ..Batching::for_rows(search.rows()) };
    let translated = translator.translate(&texts, &search, &batching, |count| bar.done(count));
    bar.finish();
    let name = arguments.src.as_deref().map_or(Cow::Borrowed("--src"), name_of);
    for (number, one) in (1..).zip(&translated) {
        if let Some(remark) = one.remark {
            note!("gradus: {name}:{number}: {remark}");
        }
    }
    Ok(translated.into_iter().map(|mut one| one.translations.swap_remove(0).text).collect())
}

/// A system's score by one metric.
struct Scored {
    counts: Counts,
    score: f64,
    samples: Option<(Vec<f64>, Interval)>,
}

impl Scored {
    fn new(counts: Counts, bootstrap: Option<&Bootstrap>) -> Self {
        let samples = bootstrap.map(|bootstrap| counts.bootstrap(bootstrap));
        let samples = samples
            .map(|scores| (Interval::of(&scores), scores))
            .map(|(interval, scores)| (scores, interval));
        Self { score: counts.score(), counts, samples }
    }

    fn interval(&self) -> Option<&Interval> {
        self.samples.as_ref().map(|(_, interval)| interval)
    }

    /// The difference to another system and how probable it is between equally good ones.
    fn against(&self, other: &Self) -> Option<(f64, f64)> {
        let ((ours, _), (theirs, _)) = (self.samples.as_ref()?, other.samples.as_ref()?);
        let difference = self.score - other.score;
        Some((difference, p_value(ours, theirs, difference)))
    }

    fn print(&self, bootstrap: Option<&Bootstrap>, baseline: Option<&Self>) -> Result<()> {
        out!("{}\n  {}", self.counts.line(self.interval()), self.counts.signature(bootstrap))?;
        if let Some(baseline) = baseline
            && let Some((difference, p)) = self.against(baseline)
        {
            out!("  baseline: {}", baseline.counts.line(baseline.interval()))?;
            out!("  difference {difference:+.2}, p = {p:.4} (paired bootstrap)")?;
        }
        Ok(())
    }

    fn note(
        &self,
        record: &mut Map<String, Value>,
        key: &str,
        bootstrap: Option<&Bootstrap>,
        baseline: Option<&Self>,
    ) {
        let mut put = |name: &str, value: Value| _ = record.insert(format!("{key}{name}"), value);
        put("", json!(self.score));
        put("_signature", json!(self.counts.signature(bootstrap)));
        if let Some(interval) = self.interval() {
            put("_mean", json!(interval.mean));
            put("_interval", json!(interval.half_width));
        }
        if let Some(baseline) = baseline
            && let Some((_, p)) = self.against(baseline)
        {
            put("_baseline", json!(baseline.score));
            put("_p", json!(p));
        }
    }
}

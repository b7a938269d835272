//! `gradus gradcheck`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use autograd::faults::{self, Fault};
use autograd::{GradCheck, Precision, Verdict, in_order, ops, verify};
use clap::Args;
use serde::Serialize;

use crate::train::{Replay, Run};
use crate::{out, terminal};

/// Prove the gradients of every op, every layer and whole models
///
/// In f64, with a random signed cotangent: finite differences with their noise floor; the duality ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ by dual
/// numbers, which needs no differences; and f32 against f64. Errors are relative to the largest entry.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus gradcheck
  gradus gradcheck attention
  gradus gradcheck --json
  gradus gradcheck softmax --plant 'softmax: no inner product'
  gradus gradcheck --truth --model runs/en-de --step 400
  gradus gradcheck --truth --model runs/en-de --precision bf16")]
pub(super) struct Arguments {
    /// Check only what has this in its name
    #[arg(value_name = "NAME")]
    only: Option<String>,
    /// Instead: compute a step of a training in f32 and again in f64, and say how far each parameter's gradient is off
    ///
    /// Roundings cost 1e-7 to 1e-5. With ReLU, an entry within a rounding of zero may fall on different sides in the two
    /// types; one unit of a feed_forward.linear1 and what lies before it then stand first, with more.
    #[arg(long, requires = "model", conflicts_with_all = ["only", "tolerance", "seed"])]
    truth: bool,
    /// The run whose text, random numbers and last weights these are
    #[arg(long, value_name = "RUN", requires = "truth")]
    model: Option<PathBuf>,
    /// The step whose sentences and dropout masks these are; the one after the last checkpoint where none is named
    #[arg(long, value_name = "N", requires = "truth")]
    step: Option<u64>,
    /// How the products of the step in f32 multiply: f32 or bf16; as the run was trained where nothing is said
    #[arg(long, value_name = "NAME", requires = "truth")]
    precision: Option<Precision>,
    /// The largest error of a gradient that passes
    #[arg(long, value_name = "ERROR", default_value_t = GradCheck::default().tolerance)]
    tolerance: f64,
    /// Plant a bug first, and see it found: --plant 'softmax: no inner product'; 'list' names all that there are
    #[arg(long, value_name = "OP: BUG", conflicts_with = "truth")]
    plant: Option<String>,
    /// Seed of cotangents, directions and dropout
    #[arg(long, value_name = "N", default_value_t = GradCheck::default().seed)]
    seed: u64,
    /// Threads; 0 for one a core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = super::parse::threads)]
    threads: usize,
    /// Print the rows as one line of JSON
    #[arg(long)]
    json: bool,
}

/// One line of the table.
#[derive(Serialize)]
struct Row {
    kind: &'static str,
    name: String,
    inputs: usize,
    compared: usize,
    worst_error: Option<f64>,
    noise_floor: Option<f64>,
    kinks: usize,
    duality_error: f64,
    f32_error: f64,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// Something to check.
struct Subject {
    kind: &'static str,
    name: String,
    verify: Box<dyn Fn(&GradCheck) -> Verdict + Send + Sync>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(model) = &arguments.model {
        return truth(arguments, model);
    }
    if arguments.plant.as_deref() == Some("list") {
        faults::all().try_for_each(|fault| out!("{}: {} ({})", fault.op, fault.name, fault.what))?;
        return Ok(ExitCode::SUCCESS);
    }
    let plant = arguments.plant.as_deref().map(bug).transpose()?;
    let (tolerance, seed) = (arguments.tolerance, arguments.seed);
    if !(tolerance > 0.0 && tolerance.is_finite()) {
        bail!("--tolerance {tolerance} is not a positive number");
    }
    let threads = super::thread_count(arguments.threads);
    let check = GradCheck { tolerance, seed, plant, ..GradCheck::default() };
    let only = arguments.only.as_deref().unwrap_or_default();
    let subjects: Vec<Subject> = all().into_iter().filter(|subject| subject.name.contains(only)).collect();
    if subjects.is_empty() {
        bail!("gradcheck: nothing has \"{only}\" in its name");
    }
    let rows = rows(&subjects, &check, threads);
    if arguments.json {
        terminal::data(&serde_json::to_string(&rows)?)?;
    } else {
        print(&rows, &check)?;
    }
    Ok(if rows.iter().all(|row| row.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The bug called `op: name`.
fn bug(text: &str) -> Result<&'static Fault> {
    let found = text.split_once(": ").and_then(|(op, name)| faults::named(op, name));
    found.with_context(|| format!("gradcheck: there is no bug called \"{text}\"; --plant list names all"))
}

/// `--truth`: a measurement, which nothing fails.
fn truth(arguments: &Arguments, model: &Path) -> Result<ExitCode> {
    let threads = super::thread_count(arguments.threads);
    let replay = Replay::open(&Run::open(model)?, arguments.step)?;
    let precision = arguments.precision.unwrap_or(replay.precision());
    let replay = replay.multiplied_in(precision).map_err(|error| anyhow!("--precision {error}"))?;
    let truth = replay.truth(threads);
    if arguments.json {
        terminal::data(&serde_json::to_string(&truth)?)?;
    } else {
        out!("{}", truth.to_string().trim_end_matches('\n'))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Every op, every layer, and whole models.
fn all() -> Vec<Subject> {
    let ops = ops::ALL.iter().flat_map(|(_, cases)| *cases).map(|case| Subject {
        kind: "op",
        name: case.name.to_owned(),
        verify: Box::new(|check| verify(case.name, case, check)),
    });
    let of = |kind| move |nn::cases::Case { name, verify }| Subject { kind, name, verify };
    let layers = nn::cases::layers().into_iter().map(of("layer"));
    let models = nn::cases::models().into_iter().map(of("model"));
    ops.chain(layers).chain(models).collect()
}

/// Checks the subjects, on several threads; rows come in their order.
fn rows(subjects: &[Subject], check: &GradCheck, threads: usize) -> Vec<Row> {
    in_order(subjects.len(), threads, |k| Row::new(subjects[k].kind, (subjects[k].verify)(check)))
}

impl Row {
    fn new(kind: &'static str, verdict: Verdict) -> Self {
        let ok = verdict.ok();
        let failure = (!ok).then(|| verdict.to_string());
        let report = verdict.differences.as_ref().ok();
        let mismatch = verdict.differences.as_ref().err();
        Self {
            kind,
            inputs: report.map_or(0, |report| report.inputs),
            compared: report.map_or(0, |report| report.compared),
            worst_error: report.map(|r| r.worst_error).or(mismatch.map(|m| m.error)),
            noise_floor: report.map(|r| r.noise_floor).or(mismatch.map(|m| m.noise)),
            kinks: report.map_or(0, |report| report.kinks),
            duality_error: verdict.duality_error,
            f32_error: verdict.f32_error,
            name: verdict.name,
            ok,
            failure,
        }
    }
}

fn print(rows: &[Row], check: &GradCheck) -> Result<()> {
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max("op or layer".len());
    out!(
        "{:<5}  {:<width$}  {:>6}  {:>8}  {:>11}  {:>11}  {:>13}  {:>10}  verdict",
        "",
        "op or layer",
        "inputs",
        "compared",
        "worst error",
        "noise floor",
        "duality error",
        "f32 to f64"
    )?;
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.1e}"));
    for row in rows {
        let verdict = match (row.ok, row.kinks) {
            (true, 0) => "right".to_owned(),
            (true, 1) => "right, 1 kink".to_owned(),
            (true, kinks) => format!("right, {kinks} kinks"),
            (false, _) => "WRONG".to_owned(),
        };
        out!(
            "{:<5}  {:<width$}  {:>6}  {:>8}  {:>11}  {:>11}  {:>13}  {:>10}  {verdict}",
            row.kind,
            row.name,
            row.inputs,
            row.compared,
            number(row.worst_error),
            number(row.noise_floor),
            number(Some(row.duality_error)),
            number(Some(row.f32_error)),
        )?;
    }
    for failure in rows.iter().filter_map(|row| row.failure.as_deref()) {
        out!("\n{failure}")?;
    }
    let worst = |of: fn(&Row) -> f64| rows.iter().map(of).fold(0.0, f64::max);
    let wrong = rows.iter().filter(|row| !row.ok).count();
    out!(
        "\n{} checked, {} wrong. Worst error {:.1e} (up to {:.0e} passes), duality {:.1e} ({:.0e}), f32 {:.1e} ({:.0e}, or what roundings do).",
        rows.len(),
        if wrong == 0 { "none".to_owned() } else { wrong.to_string() },
        worst(|row| row.worst_error.unwrap_or(0.0)),
        check.tolerance,
        worst(|row| row.duality_error),
        Verdict::DUALITY,
        worst(|row| row.f32_error),
        Verdict::F32,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_op_has_a_row() {
        let subjects = all();
        for (op, cases) in ops::ALL {
            let rows =
                cases.iter().filter(|case| subjects.iter().any(|s| s.kind == "op" && s.name == case.name));
            assert_eq!(rows.count(), cases.len(), "{op}");
            assert!(!cases.is_empty(), "{op} has no case");
        }
    }
}

//! `gradus bench`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use nn::Preset;
use serde_json::json;

use super::device::DeviceArgument;
use crate::bench::{
    DecodeReport, Double, Memory, Spread, TrainOptions, TrainReport, Workload, bench_decoding, bench_training,
};
use crate::train::{Reporter, thousands};
use crate::{out, terminal};

/// Measure training steps and decoding on a fixed workload
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus bench --workload tiny --threads 2 --dropout 0.1 --json
  gradus bench --workload base --only train --profile")]
pub(super) struct Arguments {
    /// Named workload: tiny, small or base
    #[arg(long, value_name = "NAME", default_value = "tiny")]
    workload: Preset,
    /// Double one size of it, to see how cost grows
    #[arg(long, value_name = "WHAT")]
    double: Option<Double>,
    /// Threads; 0 for one a core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = super::parse::threads)]
    threads: usize,
    /// Share dropped in training
    #[arg(long, value_name = "P", default_value_t = 0.1)]
    dropout: f64,
    #[command(flatten)]
    device: DeviceArgument,
    /// Launch every kernel of a training step on a card, instead of recording the step once
    #[arg(long)]
    no_graphs: bool,
    /// Training steps that are timed
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = super::parse::steps::<usize>())]
    steps: usize,
    /// Training steps before the clock starts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = super::parse::steps::<usize>())]
    warmup: usize,
    /// Measure only this
    #[arg(long, value_name = "WHAT")]
    only: Option<Part>,
    /// Also show where the time of a training step goes, op by op
    #[arg(long)]
    profile: bool,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Training steps
    Train,
    /// Decoding
    Decode,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let &Arguments { dropout, steps, warmup, only, profile, .. } = arguments;
    if steps == 0 {
        bail!("--steps must not be 0");
    }
    if !(0.0..1.0).contains(&dropout) {
        bail!("--dropout {dropout} is not in [0, 1)");
    }
    let named = Workload::named(arguments.workload);
    let workload = arguments.double.map_or(named, |what| named.doubled(what));
    let threads = super::thread_count(arguments.threads);
    workload.weigh(only != Some(Part::Decode))?;
    let device = arguments.device.open()?;
    let mut reporter = Reporter::new();
    // First, so that the peak of memory is that of training.
    let training = (only != Some(Part::Decode)).then(|| {
        let device = device.clone();
        let graphs = !arguments.no_graphs;
        let options = TrainOptions { workload, device, threads, graphs, dropout, warmup, steps, profile };
        bench_training(&options, |done| {
            let all = warmup + steps;
            reporter.progress(done as f64 / all as f64, &format!("training, step {done} of {all}"));
        })
    });
    let memory_before = Memory::read();
    let mut done = 0.0;
    let decoding = (only != Some(Part::Train)).then(|| {
        bench_decoding(&workload, &device, threads, |report| {
            done += 0.25;
            reporter.progress(done, &format!("decoding, batch {}, beam {}", report.batch, report.beam));
        })
    });
    reporter.finish();

    if arguments.json {
        let mut line = json!({
            "workload": arguments.workload,
            "device": device.description(),
            "precision": arguments.device.precision().unwrap_or_default(),
            "threads": threads,
            "sentences": workload.sentences,
            "source_length": workload.source_length,
            "target_length": workload.target_length,
            "vocab": workload.vocab,
            "doubled": workload.doubled,
        });
        if let Some(training) = &training {
            line["dropout"] = json!(dropout);
            line["warmup"] = json!(warmup);
            line["steps"] = json!(steps);
            if let (Some(line), serde_json::Value::Object(fields)) =
                (line.as_object_mut(), serde_json::to_value(training)?)
            {
                line.extend(fields);
            }
        }
        if let Some(decoding) = &decoding {
            line["decode"] = json!(decoding);
            // After a training, the peak would be the training's.
            if training.is_none() {
                line["memory_before_mib"] = json!(memory_before.now_mib);
                line["peak_memory_mib"] = json!(Memory::read().peak_mib);
            }
        }
        terminal::data(&line.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    out!(
        "{}: {} sentences of {} + {} tokens, vocabulary {}; {threads} thread{}, products in {}",
        arguments.workload,
        workload.sentences,
        workload.source_length,
        workload.target_length,
        thousands(workload.vocab),
        if threads == 1 { "" } else { "s" },
        arguments.device.precision().unwrap_or_default(),
    )?;
    if let Some(training) = &training {
        out!("\ntraining, dropout {dropout}, {steps} steps after {warmup}")?;
        print_training(training)?;
    }
    if let Some(decoding) = &decoding {
        print_decoding(decoding)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_training(report: &TrainReport) -> Result<()> {
    let step = report.step_s;
    let ms = |seconds: f64| format!("{:.1}", 1e3 * seconds);
    out!("  step            {} ms ({} to {})", ms(step.median), ms(step.min), ms(step.max))?;
    out!("  target tokens   {} a second", thousands(report.target_tokens_per_s as usize))?;
    let share = report.share_of_peak.zip(report.peak_gflops).map_or_else(String::new, |(share, peak)| {
        format!(", {:.0} % of the {peak:.0} that multiply-adds of f32 reach at best", 100.0 * share)
    });
    out!("  products        {:.0} GFLOP/s{share}", report.matmul_gflops)?;
    let mib = |memory: Option<f64>| memory.map_or("unknown".to_owned(), |mib| format!("{mib:.0} MiB"));
    out!(
        "  memory          {} at most, {} before",
        mib(report.peak_memory_mib),
        mib(report.memory_before_mib)
    )?;
    if let Some(mib) = report.device_memory_mib {
        out!("  on the card     {mib:.0} MiB at most")?;
    }
    if report.profile.is_empty() {
        return Ok(());
    }
    out!("\n  {:<24}{:>8}{:>14}{:>14}{:>10}", "of a step", "calls", "forward, ms", "backward, ms", "share")?;
    for row in &report.profile {
        out!(
            "  {:<24}{:>8}{:>14}{:>14}{:>8.1} %",
            row.name,
            if row.calls > 0.0 { format!("{:.0}", row.calls) } else { String::new() },
            format!("{:.2}", 1e3 * row.forward_s),
            if row.calls > 0.0 { format!("{:.2}", 1e3 * row.backward_s) } else { String::new() },
            100.0 * row.share,
        )?;
    }
    Ok(())
}

fn print_decoding(reports: &[DecodeReport]) -> Result<()> {
    out!("\ndecoding, {} steps, sentences a second", reports[0].steps)?;
    for report in reports {
        let Spread { median, min, max } = report.sentences_per_s;
        let way = if report.beam == 1 { "greedy".to_owned() } else { format!("beam {}", report.beam) };
        out!("  batch {:<4} {way:<8} {median:>8.1} ({min:.1} to {max:.1})", report.batch)?;
    }
    Ok(())
}

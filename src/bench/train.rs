//! Training steps.

use std::time::Instant;

use autograd::rng::{self, Stream};
use autograd::{Device, Parameters};
use nn::{Init, Transformer};
use serde::Serialize;

use super::profile::ProfileRow;
use super::{Memory, Spread, Workload, peak_gflops, profile, training_flops};
use crate::config::TrainConfig;
use crate::data::batch::Example;
use crate::train::Stepper;
use crate::train::step::{StepOptions, StepTimes};

/// What to measure.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// The workload.
    pub workload: Workload,
    /// Where to compute.
    pub device: Device,
    /// Threads.
    pub threads: usize,
    /// Whether a card takes steps by what it has recorded of those before.
    pub graphs: bool,
    /// The share of entries dropped.
    pub dropout: f64,
    /// Steps before the clock starts.
    pub warmup: usize,
    /// Steps that are timed, at least 1.
    pub steps: usize,
    /// Whether to measure the time of every op as well.
    pub profile: bool,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct TrainReport {
    /// Entries of all parameters.
    pub parameters: usize,
    /// Parts that a batch is split into.
    pub shards: usize,
    /// The share of all positions that is padding.
    pub padding: f64,
    /// Seconds of a step: gradients, clipping, Adam.
    pub step_s: Spread,
    /// Target tokens a second, padding not counted, by the median.
    pub target_tokens_per_s: f64,
    /// Operations of matrix products in a step, padding not counted, in 10⁹.
    pub matmul_gflop: f64,
    /// The same a second, by the median.
    pub matmul_gflops: f64,
    /// The multiply-adds that as many threads can do at best, in GFLOP/s, measured before and after the steps; of a card that
    /// is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_gflops: Option<f64>,
    /// `matmul_gflops / peak_gflops`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_peak: Option<f64>,
    /// The most memory that tensors took on a card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_memory_mib: Option<f64>,
    /// Steps, of those before the clock started as well, that a card took by what it had recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed_steps: Option<u64>,
    /// Memory that the process held before the work began.
    pub memory_before_mib: Option<f64>,
    /// The most memory the process has held at the end of the work.
    pub peak_memory_mib: Option<f64>,
    /// The loss of the first step.
    pub first_loss: f64,
    /// The loss of the last step.
    pub last_loss: f64,
    /// Where the time of an average step went, longest first; empty unless asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profile: Vec<ProfileRow>,
}

/// Batches that are used in turn.
const BATCHES: usize = 4;

/// Times the program's own training step. `progress` is told the number of the step that is done, warm-up included.
///
/// # Panics
/// Where there are no steps to time.
#[track_caller]
pub fn bench_training(options: &TrainOptions, mut progress: impl FnMut(usize)) -> TrainReport {
    let &TrainOptions { workload, threads, warmup, steps, .. } = options;
    assert!(steps > 0, "bench: there are no steps to time");
    let memory_before_mib = Memory::read().now_mib;
    let here = options.device.is_cpu();
    let peak = || here.then(|| peak_gflops(threads));
    let peak_before = peak();
    let mut config = TrainConfig { threads, ..TrainConfig::default() };
    if !here {
        // Parts are for threads; a card is best given all at once.
        config.shards = 1;
    }
    let step_options = StepOptions { profile: options.profile, ..StepOptions::from(&config) };
    let mut stepper = Stepper::new(step_options, options.graphs);
    let architecture = workload.model(options.dropout);
    let mut model: Transformer = Transformer::new(&architecture, &mut Init::seeded(1));
    model.move_to(&options.device);
    let mut adam = config.adam();
    let mut stream = Stream::new(2);
    let examples: Vec<Example> = (0..BATCHES).flat_map(|_| workload.batch(&mut stream)).collect();
    let rows =
        |batch: usize| (batch * workload.sentences..(batch + 1) * workload.sentences).collect::<Vec<_>>();
    let batches: Vec<Vec<usize>> = (0..BATCHES).map(rows).collect();

    let mut times = StepTimes::default();
    let (mut seconds, mut tokens, mut losses) = (Vec::new(), 0, Vec::new());
    for number in 0..warmup + steps {
        let batches = &batches[number % BATCHES..][..1];
        let seed = rng::derive(3, number as u64);
        let start = Instant::now();
        let step = stepper.step(&mut model, &mut adam, &examples, batches, RATE, seed);
        if number >= warmup {
            seconds.push(start.elapsed().as_secs_f64());
            tokens += step.target_tokens;
            times.add(&step.times);
        }
        losses.push(step.loss);
        progress(number + 1);
    }

    let peak_memory_mib = Memory::read().peak_mib;
    let peak_gflops = peak_before.zip(peak()).map(|(before, after)| before.max(after));
    let step_s = Spread::of(&seconds);
    let lengths = |example: &Example| (example.source.len(), example.target.len());
    let flops = training_flops(&architecture, examples.iter().map(lengths)) / BATCHES as f64;
    let matmul_gflops = flops / 1e9 / step_s.median;
    let useful: usize = examples.iter().map(|example| example.source.len() + example.target.len()).sum();
    let positions = examples.len() * (workload.source_length + workload.target_length);
    TrainReport {
        parameters: model.parameter_count(),
        shards: step_options.shards,
        padding: 1.0 - useful as f64 / positions as f64,
        step_s,
        target_tokens_per_s: tokens as f64 / steps as f64 / step_s.median,
        matmul_gflop: flops / 1e9,
        matmul_gflops,
        peak_gflops,
        share_of_peak: peak_gflops.map(|peak| matmul_gflops / peak),
        device_memory_mib: options.device.peak_bytes().map(|bytes| bytes as f64 / f64::from(1 << 20)),
        replayed_steps: (!here).then(|| stepper.replayed()),
        memory_before_mib,
        peak_memory_mib,
        first_loss: losses[0],
        last_loss: losses[losses.len() - 1],
        profile: if options.profile {
            profile::rows(&times, seconds.iter().sum(), steps, threads.min(step_options.shards))
        } else {
            Vec::new()
        },
    }
}

/// The learning rate: small enough that nothing of note is learnt.
const RATE: f64 = 1e-4;

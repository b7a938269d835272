//! One step: the gradients of shards of its batches, each on a tape of its own, summed in a fixed order; clipping; Adam.

use std::time::{Duration, Instant};

use autograd::{
    Anomaly, AuditFailure, AuditReport, Float, Gradients, Ids, Profile, Seed, Tape, Tensor, Var, in_order,
    rng,
};
use nn::{Objective, PackedPairs, Sentences, Transformer};
use optim::Adam;

use super::stepper::Stepper;
use crate::config::TrainConfig;
use crate::data::batch::{Batch, Example, collate, split};
use crate::data::tokenizer::PAD;

/// How a step is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepOptions {
    /// Parts that each batch is split into.
    pub shards: usize,
    /// Threads that the parts run on.
    pub threads: usize,
    /// The share of probability that label smoothing spreads over the vocabulary.
    pub smoothing: f64,
    /// α of R-Drop; 0 for one forward pass.
    pub r_drop: f64,
    /// The largest norm a gradient may have; 0 for no limit.
    pub clip: f64,
    /// Whether to measure the time of every op.
    pub profile: bool,
}

impl From<&TrainConfig> for StepOptions {
    fn from(config: &TrainConfig) -> Self {
        let &TrainConfig { shards, smoothing, r_drop, clip, .. } = config;
        Self { shards, threads: config.thread_count(), smoothing, r_drop, clip, profile: false }
    }
}

/// What a step did.
#[derive(Clone, Debug)]
pub struct Step {
    /// The mean loss of a target token, in nats, before the step.
    pub loss: f64,
    /// The norm of its gradient, before clipping.
    pub norm: f64,
    /// Target tokens.
    pub target_tokens: usize,
    /// Where its time went.
    pub times: StepTimes,
}

/// Where the time of a step, or of several, went.
#[derive(Clone, Debug, Default)]
pub struct StepTimes {
    /// The ops of all shards; empty unless [`StepOptions::profile`] is set.
    pub ops: Profile,
    /// All shards, one after the other.
    pub shards: Duration,
    /// Collating, all shards on their threads, and adding up.
    pub gradients: Duration,
    /// Clipping.
    pub clip: Duration,
    /// Adam.
    pub update: Duration,
}

impl StepTimes {
    /// Adds the times of another step.
    pub fn add(&mut self, other: &Self) {
        self.ops.add(&other.ops);
        self.shards += other.shards;
        self.gradients += other.gradients;
        self.clip += other.clip;
        self.update += other.update;
    }
}

/// One step of training on `batches` (rows of `examples`), at this learning rate.
///
/// The model stays as it is where the loss or the gradient is not finite. On a card, parts of a batch are padded to the shape
/// of their [`Bucket`](crate::data::bucket::Bucket), which changes nothing but the order of sums.
pub fn step<T: Float>(
    model: &mut Transformer<T>,
    adam: &mut Adam<T>,
    examples: &[Example],
    batches: &[Vec<usize>],
    options: &StepOptions,
    rate: f64,
    seed: u64,
) -> Step {
    Stepper::new(*options, false).step(model, adam, examples, batches, rate, seed)
}

/// The same where the model lies on the processor.
pub(super) fn step_here<T: Float>(
    model: &mut Transformer<T>,
    adam: &mut Adam<T>,
    examples: &[Example],
    batches: &[Vec<usize>],
    options: &StepOptions,
    rate: f64,
    seed: u64,
) -> Step {
    let start = Instant::now();
    let StepResult { losses, gradients, target_tokens, mut times } =
        gradients(model, examples, batches, options, seed);
    times.gradients = start.elapsed();
    let norm = gradients.norm_on(options.threads);
    times.clip = start.elapsed() - times.gradients;
    let loss = losses.sum();
    if loss.is_finite() && norm.value().is_finite() {
        // A gradient longer than the limit is shortened to it as Adam reads it.
        adam.step_clipped(model, &gradients, rate, (Some(&norm), options.clip), options.threads);
    }
    times.update = start.elapsed() - times.gradients - times.clip;
    Step { loss, norm: norm.value(), target_tokens, times }
}

/// What [`gradients`] gives.
#[derive(Debug)]
pub struct StepResult<T: Float = f32> {
    /// The parts of the mean loss of a target token, in nats.
    pub losses: Losses<T>,
    /// The gradients of that mean.
    pub gradients: Gradients<T>,
    /// Target tokens.
    pub target_tokens: usize,
    /// Where the time of the shards went.
    pub times: StepTimes,
}

/// The loss and gradients of `batches` (rows of `examples`), each split into shards.
///
/// The mean is over all target tokens of all batches, so that it does not matter how they are split. Results are the
/// same, bit for bit, for any number of threads.
pub fn gradients<T: Float>(
    model: &Transformer<T>,
    examples: &[Example],
    batches: &[Vec<usize>],
    options: &StepOptions,
    seed: u64,
) -> StepResult<T> {
    let (parts, objective, target_tokens) = parts(examples, batches, options.shards, options.smoothing);
    // A card is given one part after the other, and is busy all the time.
    let threads = if model.device().is_cpu() { options.threads } else { 1 };
    let results = in_order(parts.len(), threads, |number| {
        part(rng::derive(seed, number as u64), options.profile, |tape| {
            loss(model, tape, &in_rows(&parts[number]), &objective, options.r_drop)
        })
    });
    let (losses, gradients, times) = added_up(results, threads);
    StepResult { losses, gradients, target_tokens, times }
}

/// The loss of a part on a tape of its own, its gradients, and the time that it took.
pub(super) type Part<T> = (Tensor<T>, Gradients<T>, StepTimes);

pub(super) fn part<T: Float>(
    seed: impl Into<Seed>,
    profile: bool,
    loss: impl FnOnce(&Tape<T>) -> Var<'_, T>,
) -> Part<T> {
    let start = Instant::now();
    let tape = Tape::train(seed);
    let tape = if profile { tape.profiled() } else { tape };
    let loss = loss(&tape);
    let (loss, gradients) = (loss.value(), loss.backward());
    let ops = tape.profile();
    // Freeing what is left on the tape belongs to the shard.
    drop(tape);
    (loss, gradients, StepTimes { ops, shards: start.elapsed(), ..StepTimes::default() })
}

pub(super) fn added_up<T: Float>(
    parts: Vec<Part<T>>,
    threads: usize,
) -> (Losses<T>, Gradients<T>, StepTimes) {
    let (mut losses, mut times, mut gradients) = (Vec::new(), StepTimes::default(), Vec::new());
    for (loss, of_part, of_part_times) in parts {
        losses.push(loss);
        gradients.push(of_part);
        times.add(&of_part_times);
    }
    (Losses(losses), Gradients::sum(gradients, threads), times)
}

/// The losses of the parts of a batch, which a card may still be computing.
#[derive(Clone, Debug)]
pub struct Losses<T: Float = f32>(pub(super) Vec<Tensor<T>>);

impl<T: Float> Losses<T> {
    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.0.iter().map(|loss| loss.item().to_f64()).sum()
    }
}

/// Where the first number that is not finite comes from, in the step that [`gradients`] takes with the same arguments: the
/// number of the part, and the node on its tape. `None` where every part is finite by itself.
pub fn first_anomaly<T: Float>(
    model: &Transformer<T>,
    examples: &[Example],
    batches: &[Vec<usize>],
    options: &StepOptions,
    seed: u64,
) -> Option<(usize, Anomaly)> {
    let (parts, objective, _) = parts(examples, batches, options.shards, options.smoothing);
    parts.iter().enumerate().find_map(|(part, batch)| {
        let tape = Tape::train(rng::derive(seed, part as u64));
        Some((part, loss(model, &tape, &in_rows(batch), &objective, options.r_drop).first_anomaly(model)?))
    })
}

/// Checks the gradients of the whole loss of one batch in `f64`, with dropout: see [`audit`](autograd::audit()).
///
/// # Errors
/// Where a parameter is not reached, or its gradient is wrong, zero or not finite.
pub fn audit(
    model: &Transformer,
    examples: &[Example],
    rows: &[usize],
    (smoothing, r_drop): (f64, f64),
) -> Result<AuditReport, AuditFailure> {
    let (parts, objective, _) = parts(examples, &[rows.to_vec()], 1, smoothing);
    let mut exact = model.cast::<f64>();
    autograd::audit(
        &mut exact,
        |path| model.zero_by_mathematics(path),
        |tape, exact| loss(exact, tape, &in_rows(&parts[0]), &objective, r_drop),
    )
}

/// What is computed one by one, what of it is minimised, and the number of target tokens.
pub(super) fn parts(
    examples: &[Example],
    batches: &[Vec<usize>],
    shards: usize,
    smoothing: f64,
) -> (Vec<Batch>, Objective, usize) {
    let parts: Vec<Batch> = (batches.iter())
        .flat_map(|rows| split(examples, rows, shards))
        .map(|rows| collate(examples, &rows))
        .collect();
    let target_tokens: usize = parts.iter().map(Batch::target_tokens).sum();
    let objective = Objective { smoothing, ignore: Some(PAD), weight: 1.0 / target_tokens as f64 };
    (parts, objective, target_tokens)
}

/// The sum of the losses of all target tokens of `batches`, in nats, without dropout or smoothing, and their number.
pub fn validation_loss<T: Float>(
    model: &Transformer<T>,
    examples: &[Example],
    batches: &[Vec<usize>],
    threads: usize,
) -> (f64, usize) {
    let objective = Objective { smoothing: 0.0, ignore: Some(PAD), weight: 1.0 };
    let threads = if model.device().is_cpu() { threads } else { 1 };
    let losses = in_order(batches.len(), threads, |i| {
        let batch = collate(examples, &batches[i]);
        let loss = loss(model, &Tape::infer(), &in_rows(&batch), &objective, 0.0).value();
        (loss.item().to_f64(), batch.target_tokens())
    });
    losses.iter().fold((0.0, 0), |(sum, count), (loss, tokens)| (sum + loss, count + tokens))
}

/// The batch as the model takes it.
pub(super) fn in_rows(batch: &Batch) -> PackedPairs {
    let ids = |data: &[u32], width: usize| Ids::new([batch.rows, width], data);
    let source = Sentences::padded(ids(&batch.source, batch.source_width), batch.source_lengths.as_slice());
    let target_in =
        Sentences::padded(ids(&batch.target_in, batch.target_width), batch.target_lengths.as_slice());
    PackedPairs::new(&source, &target_in, &ids(&batch.target_out, batch.target_width))
}

pub(super) fn loss<'t, T: Float>(
    model: &Transformer<T>,
    tape: &'t Tape<T>,
    pairs: &PackedPairs,
    objective: &Objective,
    r_drop: f64,
) -> Var<'t, T> {
    if r_drop > 0.0 {
        return model.packed_r_drop_loss(tape, pairs, objective, r_drop);
    }
    model.packed_loss(tape, pairs, objective)
}

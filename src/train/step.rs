//! The gradients of one step: shards of its batches, each on a tape of its own, summed in a fixed order.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use autograd::{Float, Gradients, Ids, Tape, rng};
use nn::{Objective, Sentences, Transformer};

use crate::data::batch::{Batch, Example, collate, split};
use crate::data::tokenizer::PAD;

/// What a step gives.
#[derive(Debug)]
pub struct StepResult<T: Float = f32> {
    /// The mean loss of a target token, in nats.
    pub loss: f64,
    /// The gradients of that mean.
    pub gradients: Gradients<T>,
    /// Target tokens.
    pub target_tokens: usize,
}

/// The loss and gradients of `batches` (rows of `examples`), each split into `shards` parts.
///
/// The mean is over all target tokens of all batches, so that it does not matter how they are split. Parts run on up to
/// `threads` threads; results are the same, bit for bit, for any number of threads.
pub fn gradients<T: Float>(
    model: &Transformer<T>,
    examples: &[Example],
    batches: &[Vec<usize>],
    shards: usize,
    threads: usize,
    smoothing: f64,
    seed: u64,
) -> StepResult<T> {
    let parts: Vec<Batch> = (batches.iter())
        .flat_map(|rows| split(examples, rows, shards))
        .map(|rows| collate(examples, &rows))
        .collect();
    let target_tokens: usize = parts.iter().map(Batch::target_tokens).sum();
    let objective = Objective { smoothing, ignore: Some(PAD), weight: 1.0 / target_tokens as f64 };
    let results = in_order(parts.len(), threads, |part| {
        let tape = Tape::train(rng::derive(seed, part as u64));
        let loss = loss(model, &tape, &parts[part], &objective);
        (loss.value().item().to_f64(), loss.backward())
    });
    let mut sum = StepResult { loss: 0.0, gradients: Gradients::default(), target_tokens };
    for (loss, gradients) in results {
        sum.loss += loss;
        sum.gradients.add(gradients);
    }
    sum
}

/// The sum of the losses of all target tokens of `batches`, in nats, without dropout or smoothing, and their number.
pub fn validation_loss<T: Float>(
    model: &Transformer<T>,
    examples: &[Example],
    batches: &[Vec<usize>],
    threads: usize,
) -> (f64, usize) {
    let objective = Objective { smoothing: 0.0, ignore: Some(PAD), weight: 1.0 };
    let losses = in_order(batches.len(), threads, |i| {
        let batch = collate(examples, &batches[i]);
        (loss(model, &Tape::infer(), &batch, &objective).value().item().to_f64(), batch.target_tokens())
    });
    losses.iter().fold((0.0, 0), |(sum, count), (loss, tokens)| (sum + loss, count + tokens))
}

fn loss<'t, T: Float>(
    model: &Transformer<T>,
    tape: &'t Tape<T>,
    batch: &Batch,
    objective: &Objective,
) -> autograd::Var<'t, T> {
    let ids = |data: &[u32], width: usize| Ids::new([batch.rows, width], data);
    let source = Sentences::padded(ids(&batch.source, batch.source_width), batch.source_lengths.as_slice());
    let target_in =
        Sentences::padded(ids(&batch.target_in, batch.target_width), batch.target_lengths.as_slice());
    model.loss(tape, &source, &target_in, &ids(&batch.target_out, batch.target_width), objective)
}

/// Runs `work(0) .. work(count − 1)` on up to `threads` threads; the results in that order.
pub fn in_order<R: Send>(count: usize, threads: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    if threads <= 1 || count <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<R>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let worker = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = results.get(i) else { break };
            let result = work(i);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(count) {
            scope.spawn(worker);
        }
        worker();
    });
    results.into_iter().filter_map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

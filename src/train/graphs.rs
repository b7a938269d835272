//! Steps on a card. A step of a [`Bucket`] that was there before is one call: the card does again what it has recorded, with
//! the numbers of this batch.
//!
//! What changes from step to step goes to the card in one copy: words, labels, lengths, seeds, and Adam's numbers, the number
//! of target tokens among them, by which a loss that was summed becomes a mean.

use std::time::Instant;

use autograd::kernels::cuda::{ATTENTION_TILE, Cuda, CudaGraph, GraphMemory};
use autograd::kernels::{AdamNumbers, Norm};
use autograd::{Device, Float, Ids, Parameters, Precision, Seed, restage, rng, stage};
use nn::{Objective, PackedPairs, Transformer};
use optim::Adam;

use super::step::{Losses, Step, StepOptions, StepTimes, added_up, in_rows, loss, part, parts};
use crate::data::batch::{Batch, Example};
use crate::data::bucket::{Bucket, LENGTHS};
use crate::data::tokenizer::PAD;

// A bucket fixes the number of blocks of attention.
const _: () = assert!(LENGTHS.is_multiple_of(ATTENTION_TILE));

/// Graphs that are kept at most, each for the buckets of the parts of a step.
const KEPT: usize = 128;

/// Takes steps on a card, and remembers what the card has recorded of them.
///
/// The first step is launched, and so is the first one of every bucket, which is recorded then; where that is larger than all
/// before, what was recorded of those is recorded anew. Results do not depend on what is recorded, to the last bit.
#[derive(Debug)]
pub struct Graphs<T: Float = f32> {
    limit: usize,
    /// The least recently used one first.
    kept: Vec<Recorded<T>>,
    /// What all of them share, where one runs at a time.
    memory: Option<GraphMemory>,
    /// The most rows of a side of a part that it was made for.
    rows: usize,
    settled: Option<Settled>,
    replayed: u64,
}

/// What recorded work was recorded with, and must find again.
#[derive(Debug, PartialEq)]
struct Settled {
    /// Parameters and what Adam remembers of them: where they lie, and which are frozen.
    places: Vec<(u64, bool)>,
    precision: Precision,
    options: StepOptions,
}

/// A step that was recorded.
#[derive(Debug)]
struct Recorded<T: Float> {
    buckets: Vec<Bucket>,
    // Before what it reads and writes.
    graph: CudaGraph,
    inputs: Inputs<T>,
    results: Results<T>,
}

/// What a step is given.
#[derive(Debug)]
struct Inputs<T: Float> {
    parts: Vec<PackedPairs>,
    seeds: Vec<Seed>,
    numbers: AdamNumbers<T>,
}

/// What a step leaves on the card.
#[derive(Debug)]
struct Results<T: Float> {
    losses: Losses<T>,
    norm: Norm<T>,
    times: StepTimes,
}

impl<T: Float> Default for Graphs<T> {
    fn default() -> Self {
        Self::at_most(KEPT)
    }
}

impl<T: Float> Graphs<T> {
    /// None yet, and never more than this; 0 records nothing.
    pub fn at_most(limit: usize) -> Self {
        Self { limit, kept: Vec::new(), memory: None, rows: 0, settled: None, replayed: 0 }
    }

    /// How many are kept.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// How many steps were taken by what was recorded.
    pub fn replayed(&self) -> u64 {
        self.replayed
    }

    /// A step as [`step`](super::step::step) takes it, of a model that lies on a card.
    pub(super) fn step(
        &mut self,
        cuda: &Cuda,
        (model, adam): (&mut Transformer<T>, &mut Adam<T>),
        (examples, batches): (&[Example], &[Vec<usize>]),
        options: &StepOptions,
        (rate, seed): (f64, u64),
    ) -> Step {
        let (parts, objective, target_tokens) = parts(examples, batches, options.shards, options.smoothing);
        let buckets: Vec<Bucket> = parts.iter().map(Bucket::of).collect();
        // R-Drop compares what the model says of every row twice, whatever its label, and so has no use for rows of padding.
        let fills = options.r_drop == 0.0;
        let rows = |(part, bucket): (&Batch, &Bucket)| {
            if fills { in_rows(&bucket.filled(part)) } else { in_rows(part) }
        };
        let inputs = Inputs {
            parts: parts.iter().zip(&buckets).map(rows).collect(),
            seeds: (0..parts.len()).map(|part| Seed::staged(rng::derive(seed, part as u64))).collect(),
            numbers: adam.begin(rate, objective.weight),
        };
        let (loss, norm, times) = if fills && self.may_record(cuda, (model, adam), &parts, options) {
            self.results(cuda, (model, adam), buckets, inputs, options)
        } else {
            inputs.stage(cuda);
            ask(model, adam, &inputs, options).read()
        };
        // Sums over tokens become means.
        let (loss, norm) = (loss * objective.weight, norm * objective.weight);
        if !(loss.is_finite() && norm.is_finite()) {
            adam.steps -= 1;
        }
        Step { loss, norm, target_tokens, times }
    }

    /// Whether this step may be recorded, or taken by what was recorded, of which nothing is left where it would not find what
    /// it was recorded with.
    fn may_record(
        &mut self,
        cuda: &Cuda,
        (model, adam): (&Transformer<T>, &Adam<T>),
        parts: &[Batch],
        options: &StepOptions,
    ) -> bool {
        // Positions beyond the table are computed here when they come.
        let longest = parts.iter().map(|part| part.source_width.max(part.target_width)).max();
        let fits = longest.is_none_or(|longest| longest <= model.config.max_length);
        if self.limit == 0 || options.profile || !fits {
            return false;
        }
        let Some(settled) = Settled::of(cuda, model, adam, options) else { return false };
        if self.settled.as_ref() != Some(&settled) {
            self.forget();
            self.settled = Some(settled);
        }
        true
    }

    fn forget(&mut self) {
        (self.kept, self.memory, self.rows) = (Vec::new(), None, 0);
    }

    /// What the step leaves, by what was recorded of its buckets, or else launched, and recorded for later.
    fn results(
        &mut self,
        cuda: &Cuda,
        (model, adam): (&mut Transformer<T>, &mut Adam<T>),
        buckets: Vec<Bucket>,
        inputs: Inputs<T>,
        options: &StepOptions,
    ) -> (f64, f64, StepTimes) {
        if let Some(known) = self.kept.iter().position(|recorded| recorded.buckets == buckets) {
            let start = Instant::now();
            let recorded = self.kept.remove(known);
            recorded.inputs.replace(cuda, &inputs);
            recorded.graph.replay();
            let (loss, norm, _) = recorded.results.read();
            self.kept.push(recorded);
            self.replayed += 1;
            return (loss, norm, StepTimes { gradients: start.elapsed(), ..StepTimes::default() });
        }
        let rows = buckets.iter().flat_map(|bucket| bucket.rows).max().unwrap_or(0);
        if rows > self.rows {
            // Smaller batches make do with the blocks of larger ones, but not the other way round: begun with the largest,
            // memory is hardly more than that one takes.
            self.forget();
            self.rows = rows;
        }
        let memory = self.memory.get_or_insert_with(|| GraphMemory::new(cuda));
        let results = memory.run(|| {
            inputs.stage(cuda);
            ask(model, adam, &inputs, options).read()
        });
        let (graph, recorded) = memory.record(|| ask(model, adam, &inputs, options));
        if self.kept.len() == self.limit {
            self.kept.remove(0);
        }
        self.kept.push(Recorded { buckets, graph, inputs, results: recorded });
        results
    }
}

impl Settled {
    /// `None` where something is not yet where it will stay: before the first step, and where a copy shares it.
    fn of<T: Float>(
        cuda: &Cuda,
        model: &Transformer<T>,
        adam: &Adam<T>,
        options: &StepOptions,
    ) -> Option<Self> {
        if adam.moments.is_empty() {
            return None;
        }
        let parameters = model.parameters();
        let parameters = parameters.iter().map(|(_, param)| (param.value(), param.is_frozen()));
        let moments = adam.moments.values().flat_map(|moments| [&moments.mean, &moments.square]);
        let all = parameters.chain(moments.map(|moment| (moment, false)));
        let places = all.map(|(tensor, frozen)| Some((tensor.address()?, frozen)));
        Some(Self { places: places.collect::<Option<_>>()?, precision: cuda.precision(), options: *options })
    }
}

impl<T: Float> Inputs<T> {
    /// What picks rows of tables, and all other numbers.
    fn ids(&self) -> [Vec<&Ids>; 2] {
        let picks = self.parts.iter().flat_map(PackedPairs::picks).collect();
        let numbers = self.parts.iter().flat_map(PackedPairs::numbers);
        let numbers = numbers.chain(self.seeds.iter().filter_map(Seed::ids)).chain([self.numbers.ids()]);
        [picks, numbers.collect()]
    }

    /// Brings them to the card, in one copy.
    fn stage(&self, cuda: &Cuda) {
        let [picks, numbers] = self.ids();
        stage(&Device::Cuda(cuda.clone()), &picks, &numbers);
    }

    /// Brings others to where these lie.
    fn replace(&self, cuda: &Cuda, others: &Self) {
        let (these, others) = (self.ids(), others.ids());
        let [these, others] = [&these, &others].map(|ids| ids.each_ref().map(Vec::as_slice));
        restage(&Device::Cuda(cuda.clone()), these, others);
    }
}

impl<T: Float> Results<T> {
    /// The sum of the losses, and the norm of the gradient of it: waits for the card.
    fn read(&self) -> (f64, f64, StepTimes) {
        (self.losses.sum(), self.norm.value(), self.times.clone())
    }
}

/// Asks for all of a step: the sum of the losses of all target tokens, its gradients, their norm, and Adam's step with their
/// mean, which moves nothing where a loss or the norm is not finite.
fn ask<T: Float>(
    model: &mut Transformer<T>,
    adam: &mut Adam<T>,
    inputs: &Inputs<T>,
    options: &StepOptions,
) -> Results<T> {
    let start = Instant::now();
    let objective = Objective { smoothing: options.smoothing, ignore: Some(PAD), weight: 1.0 };
    let parts = inputs.parts.iter().zip(&inputs.seeds).map(|(pairs, seed)| {
        part(seed.clone(), options.profile, |tape| loss(model, tape, pairs, &objective, options.r_drop))
    });
    let (losses, gradients, mut times) = added_up(parts.collect(), 1);
    times.gradients = start.elapsed();
    let norm = gradients.norm_on(1);
    times.clip = start.elapsed() - times.gradients;
    let sound = norm.where_finite(&losses.0);
    adam.take(model, &gradients, &inputs.numbers, (Some(&sound), options.clip), 1);
    times.update = start.elapsed() - times.gradients - times.clip;
    Results { losses, norm, times }
}

//! Many sources: batches of like lengths, spread over threads.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use autograd::with_crew;

use super::{Hypothesis, NextToken, Search, Specials, search_numbered};

/// How many sources are worked on at once. It changes how long that takes, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batching {
    /// The most source tokens of a batch, padding included; a longer source is a batch of its own. A beam multiplies the
    /// rows that the model sees.
    pub tokens: usize,
    /// The most sources of a batch.
    pub sentences: usize,
    /// Threads, each of which takes one batch after the other. No batch is larger than one thread's share.
    pub threads: usize,
}

/// 1,024 tokens on one thread: some hundred rows are as fast as any larger number.
impl Default for Batching {
    fn default() -> Self {
        Self { tokens: 1024, sentences: usize::MAX, threads: 1 }
    }
}

/// What [`search`](super::search) finds for each of any number of sources, in their order; nothing for a source without
/// tokens.
///
/// Sources are put into batches by length, the longest first. Each time a batch is done, `progress` is told how many
/// sources that were. Where a source's scores do not depend on its company, as those of a [`Transformer`] do not, the
/// result is the same, to the last bit, for any batches and any number of threads.
///
/// [`Transformer`]: nn::Transformer
///
/// # Panics
/// Where there are no threads, and where [`search`](super::search) does.
#[track_caller]
pub fn translate_all<M: NextToken + Sync, R: AsRef<[u32]> + Sync>(
    model: &M,
    sources: &[R],
    specials: Specials,
    options: &Search,
    batching: &Batching,
    progress: impl Fn(usize) + Sync,
) -> Vec<Vec<Hypothesis>> {
    if let Err(error) = options.validate() {
        panic!("translate_all: {error}");
    }
    let lengths: Vec<usize> = sources.iter().map(|source| source.as_ref().len()).collect();
    let translate = |members: &[usize]| {
        let sources: Vec<&[u32]> = members.iter().map(|&index| sources[index].as_ref()).collect();
        search_numbered(model, &sources, members, specials, options)
    };
    in_batches(&lengths, batching, translate, progress)
}

/// What `work` gives for each of as many things as there are lengths, in their order, where it is given the numbers of a
/// batch of them at a time. Those of length 0 are given what there is by default.
///
/// # Panics
/// Where there are no threads.
#[track_caller]
pub(super) fn in_batches<R: Default + Clone + Send>(
    lengths: &[usize],
    batching: &Batching,
    work: impl Fn(&[usize]) -> Vec<R> + Sync,
    progress: impl Fn(usize) + Sync,
) -> Vec<R> {
    let &Batching { tokens, sentences, threads } = batching;
    assert!(threads > 0, "decode: there must be at least one thread");
    let share = lengths.iter().sum::<usize>().div_ceil(threads);
    let (order, batches) = batches(lengths, tokens.min(share), sentences);
    let next = AtomicUsize::new(0);
    // Batches that no other thread has taken, until there are none.
    let work = || {
        let mut done = Vec::new();
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            let members = &order[batch.clone()];
            done.extend(members.iter().copied().zip(work(members)));
            progress(members.len());
        }
        done
    };
    // Threads that have no batch of their own help with the products of a step.
    let workers = threads.min(batches.len());
    let crew = || with_crew(threads / workers, work);
    let mut all = vec![R::default(); lengths.len()];
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(crew)).collect();
        for worker in workers {
            for (index, result) in worker.join().unwrap_or_else(|panic| resume_unwind(panic)) {
                all[index] = result;
            }
        }
    });
    progress(lengths.len() - order.len());
    all
}

/// The numbers of what has a length, longest first, and the ranges of these that are batches.
fn batches(lengths: &[usize], tokens: usize, sentences: usize) -> (Vec<usize>, Vec<Range<usize>>) {
    let mut order: Vec<usize> = (0..lengths.len()).filter(|&index| lengths[index] > 0).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(lengths[index]));
    let mut batches = Vec::new();
    let mut start = 0;
    while start < order.len() {
        let rows = (tokens / lengths[order[start]]).min(sentences).max(1);
        let end = (start + rows).min(order.len());
        batches.push(start..end);
        start = end;
    }
    (order, batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_every_source_once_and_no_more_than_allowed() {
        let lengths: Vec<usize> = (0..100).map(|i| i * 37 % 23).collect();
        for (tokens, most) in
            [(0, 9), (1, 9), (20, 9), (23, 9), (64, 1), (64, 3), (10_000, 9), (10_000, 1000)]
        {
            let (order, batches) = batches(&lengths, tokens, most);
            let mut seen: Vec<usize> =
                batches.iter().flat_map(|batch| &order[batch.clone()]).copied().collect();
            for batch in &batches {
                let longest = batch.clone().map(|i| lengths[order[i]]).max().unwrap();
                assert!(batch.len() == 1 || longest * batch.len() <= tokens && batch.len() <= most);
            }
            seen.sort_unstable();
            assert!(seen.into_iter().eq((0..100).filter(|&i| lengths[i] > 0)));
        }
    }
}

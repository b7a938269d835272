//! Many sources: batches of like lengths, spread over threads.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use autograd::with_crew;

use super::{Hypothesis, NextToken, Search, Specials, search};

/// What [`search`] finds for each of any number of sources, in their order.
///
/// Sources are put into batches by length, the longest first, of at most `batch_tokens` source tokens, padding included
/// (a longer source is a batch of its own), and no more than one thread's share; a beam multiplies the rows that the model
/// sees. `threads` threads take one batch after the other; each time one is done, `progress` is told how many sources that
/// were. Where a source's scores do not depend on its company, as those of a [`Transformer`] do not, the result is the
/// same, to the last bit, for any number of threads.
///
/// [`Transformer`]: nn::Transformer
///
/// # Panics
/// Where there are no threads, and where [`search`] does.
#[track_caller]
pub fn translate_all<M: NextToken + Sync, R: AsRef<[u32]> + Sync>(
    model: &M,
    sources: &[R],
    specials: Specials,
    options: &Search,
    batch_tokens: usize,
    threads: usize,
    progress: impl Fn(usize) + Sync,
) -> Vec<Vec<Hypothesis>> {
    assert!(threads > 0, "translate_all: there must be at least one thread");
    if let Err(error) = options.validate() {
        panic!("translate_all: {error}");
    }
    let all_tokens: usize = sources.iter().map(|source| source.as_ref().len()).sum();
    let (order, batches) = batches(sources, batch_tokens.min(all_tokens.div_ceil(threads)));
    let next = AtomicUsize::new(0);
    // Batches that no other thread has taken, until there are none.
    let work = || {
        let mut found = Vec::new();
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            let members = &order[batch.clone()];
            let sources: Vec<&[u32]> = members.iter().map(|&index| sources[index].as_ref()).collect();
            let targets = search(model, &sources, specials, options);
            found.extend(members.iter().copied().zip(targets));
            progress(members.len());
        }
        found
    };
    // Threads that have no batch of their own help with the products of a step.
    let workers = threads.min(batches.len());
    let crew = || with_crew(threads / workers, work);
    let mut all = vec![Vec::new(); sources.len()];
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(crew)).collect();
        for worker in workers {
            for (index, targets) in worker.join().unwrap_or_else(|panic| resume_unwind(panic)) {
                all[index] = targets;
            }
        }
    });
    all
}

/// The sources' indices, longest first, and the ranges of these that are batches.
fn batches<R: AsRef<[u32]>>(sources: &[R], batch_tokens: usize) -> (Vec<usize>, Vec<Range<usize>>) {
    let length = |index: usize| sources[index].as_ref().len();
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(length(index)));
    let mut batches = Vec::new();
    let mut start = 0;
    while start < order.len() {
        let rows = (batch_tokens / length(order[start]).max(1)).max(1);
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
    fn batches_hold_every_source_once_and_no_more_tokens_than_allowed() {
        let sources: Vec<Vec<u32>> = (0..100).map(|i| vec![0; 1 + i * 37 % 23]).collect();
        for batch_tokens in [0, 1, 20, 23, 64, 10_000] {
            let (order, batches) = batches(&sources, batch_tokens);
            let mut seen: Vec<usize> =
                batches.iter().flat_map(|batch| &order[batch.clone()]).copied().collect();
            for batch in &batches {
                let rows = || batch.clone().map(|i| sources[order[i]].len());
                assert!(batch.len() == 1 || rows().all(|length| length * batch.len() <= batch_tokens));
            }
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..100));
        }
    }
}

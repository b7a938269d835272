//! How probable given targets are.

use nn::Sentences;

use super::batches::in_batches;
use super::scores::Scores;
use super::{Batching, NextToken, Specials};

/// The log-probability of every token of each of these targets, given its source. Sources and targets end with `eos`.
///
/// Targets are given to the model token by token as a search would give them, so that the sum over a target's tokens is
/// the `log_prob` of the same hypothesis, to the last bit.
///
/// # Panics
/// Where a target is longer than the model's longest or has no tokens, and where the model does.
#[track_caller]
pub fn score<M: NextToken, R: AsRef<[u32]>>(
    model: &M,
    pairs: &[(R, R)],
    specials: Specials,
) -> Vec<Vec<f64>> {
    if pairs.is_empty() {
        return Vec::new();
    }
    let targets: Vec<&[u32]> = pairs.iter().map(|(_, target)| target.as_ref()).collect();
    let longest = targets.iter().map(|target| target.len()).max().unwrap_or(0);
    assert!(
        longest <= model.longest_target(),
        "score: a target of {longest} tokens is too long for the model"
    );
    assert!(
        targets.iter().all(|target| !target.is_empty()),
        "score: a target has no tokens, not even the end"
    );
    let sources: Vec<&R> = pairs.iter().map(|(source, _)| source).collect();
    let mut state = model.start(&Sentences::new(&sources, specials.pad));
    let mut scores = Scores::default();
    let mut found: Vec<Vec<f64>> = targets.iter().map(|target| Vec::with_capacity(target.len())).collect();
    // Which target each row of the state belongs to.
    let mut rows: Vec<usize> = (0..pairs.len()).collect();
    let mut tokens = vec![specials.bos; pairs.len()];
    for position in 0..longest {
        scores.take(model.step(&tokens, &mut state), rows.len());
        for (row, &of) in rows.iter().enumerate() {
            found[of].push(scores.log_prob(row, targets[of][position]));
        }
        let goes_on: Vec<usize> =
            (0..rows.len()).filter(|&row| targets[rows[row]].len() > position + 1).collect();
        if goes_on.is_empty() {
            break;
        }
        if goes_on.len() < rows.len() {
            rows = goes_on.iter().map(|&row| rows[row]).collect();
            model.select(&mut state, &goes_on);
        }
        tokens.clear();
        tokens.extend(rows.iter().map(|&of| targets[of][position]));
    }
    found
}

/// The same of any number of pairs, in batches on threads, which change nothing. Each time a batch is done, `progress` is
/// told how many pairs that were.
///
/// # Panics
/// Where there are no threads, and where [`score`] does.
#[track_caller]
pub fn score_all<M: NextToken + Sync, R: AsRef<[u32]> + Sync>(
    model: &M,
    pairs: &[(R, R)],
    specials: Specials,
    batching: &Batching,
    progress: impl Fn(usize) + Sync,
) -> Vec<Vec<f64>> {
    let length = |(source, target): &(R, R)| source.as_ref().len().max(target.as_ref().len());
    let lengths: Vec<usize> = pairs.iter().map(length).collect();
    let work = |members: &[usize]| {
        let pairs: Vec<(&[u32], &[u32])> =
            members.iter().map(|&index| (pairs[index].0.as_ref(), pairs[index].1.as_ref())).collect();
        score(model, &pairs, specials)
    };
    in_batches(&lengths, batching, work, progress)
}

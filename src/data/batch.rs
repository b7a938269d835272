//! Batches: sentences of similar length together, as many as a budget of tokens allows.

use anyhow::{Result, bail};
use autograd::rng::{self, Stream};

use super::Pair;
use super::tokenizer::{BOS, EOS, PAD, Tokenizer};

/// A pair of sentences as tokens, each with the end mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The source and its end mark.
    pub source: Vec<u32>,
    /// The target and its end mark.
    pub target: Vec<u32>,
}

impl Example {
    /// The length of the longer side.
    pub fn length(&self) -> usize {
        self.source.len().max(self.target.len())
    }
}

/// Examples, and what was left out of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The examples, in the order of the pairs.
    pub examples: Vec<Example>,
    /// The number of each example's pair.
    pub kept: Vec<usize>,
    /// Pairs that were left out because a side is too long.
    pub dropped_long: usize,
    /// Pairs that were left out because a side has no tokens: nothing but invisible characters.
    pub dropped_empty: usize,
}

/// Pairs as tokens. Those of which a side has more than `max_length` tokens, the end mark included, or none at all, are
/// left out.
///
/// # Errors
/// Where all are.
pub fn encode_pairs(
    pairs: &[Pair],
    source: &Tokenizer,
    target: &Tokenizer,
    max_length: usize,
) -> Result<Encoded> {
    let with_end = |mut ids: Vec<u32>| {
        ids.push(EOS);
        ids
    };
    let mut encoded = Encoded { examples: Vec::new(), kept: Vec::new(), dropped_long: 0, dropped_empty: 0 };
    let mut shortest = usize::MAX;
    for (number, pair) in pairs.iter().enumerate() {
        let example = Example {
            source: with_end(source.encode(&pair.source)),
            target: with_end(target.encode(&pair.target)),
        };
        if example.source.len() < 2 || example.target.len() < 2 {
            encoded.dropped_empty += 1;
            continue;
        }
        shortest = shortest.min(example.length());
        if example.length() > max_length {
            encoded.dropped_long += 1;
        } else {
            encoded.examples.push(example);
            encoded.kept.push(number);
        }
    }
    match (encoded.examples.is_empty(), encoded.dropped_long) {
        (true, 0) => bail!("none of the {} pairs has tokens on both sides", pairs.len()),
        (true, long) => {
            bail!("all {long} pairs are longer than {max_length} tokens; the shortest has {shortest}")
        }
        (false, _) => {}
    }
    Ok(encoded)
}

/// Examples side by side, padded to the longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// B
    pub rows: usize,
    /// Sources `[B, S]`.
    pub source: Vec<u32>,
    /// S
    pub source_width: usize,
    /// The length of each source, `[B]`.
    pub source_lengths: Vec<usize>,
    /// What the decoder sees `[B, T]`: the begin mark, then the target without its end mark.
    pub target_in: Vec<u32>,
    /// What it should say next `[B, T]`: the target with its end mark.
    pub target_out: Vec<u32>,
    /// T
    pub target_width: usize,
    /// The length of each target, `[B]`.
    pub target_lengths: Vec<usize>,
}

impl Batch {
    /// Source tokens without padding.
    pub fn source_tokens(&self) -> usize {
        self.source_lengths.iter().sum()
    }

    /// Target tokens without padding.
    pub fn target_tokens(&self) -> usize {
        self.target_lengths.iter().sum()
    }

    /// The share of tokens that is not padding.
    pub fn useful_fraction(&self) -> f64 {
        let useful = self.source_tokens() + self.target_tokens();
        useful as f64 / (self.source.len() + self.target_out.len()) as f64
    }
}

/// Puts examples `rows` side by side.
pub fn collate(examples: &[Example], rows: &[usize]) -> Batch {
    let width =
        |length: fn(&Example) -> usize| rows.iter().map(|&row| length(&examples[row])).max().unwrap_or(0);
    let source_width = width(|example| example.source.len());
    let target_width = width(|example| example.target.len());
    let mut batch = Batch {
        rows: rows.len(),
        source: vec![PAD; rows.len() * source_width],
        source_width,
        source_lengths: Vec::new(),
        target_in: vec![PAD; rows.len() * target_width],
        target_out: vec![PAD; rows.len() * target_width],
        target_width,
        target_lengths: Vec::new(),
    };
    for (i, &row) in rows.iter().enumerate() {
        let Example { source, target } = &examples[row];
        batch.source[i * source_width..][..source.len()].copy_from_slice(source);
        let start = i * target_width;
        batch.target_in[start] = BOS;
        batch.target_in[start + 1..][..target.len() - 1].copy_from_slice(&target[..target.len() - 1]);
        batch.target_out[start..][..target.len()].copy_from_slice(target);
        batch.source_lengths.push(source.len());
        batch.target_lengths.push(target.len());
    }
    batch
}

/// The batches of one pass over the examples: every example once, similar lengths together, batches in random order.
///
/// A batch has at most `budget` tokens on its longer side, padding included, unless a single example has more. The
/// result is a function of the arguments alone, which is what lets a training that was stopped go on exactly.
pub fn plan_epoch(examples: &[Example], budget: usize, seed: u64, epoch: u64) -> Vec<Vec<usize>> {
    let mut stream = Stream::new(rng::derive(rng::derive(seed, epoch), BATCH_STREAM));
    let mut order: Vec<(usize, usize, u64, usize)> = (examples.iter().enumerate())
        .map(|(i, example)| {
            // A little noise in the length makes other neighbours every time, at the price of a little padding.
            let length = example.length() + (stream.bits() % 2) as usize;
            (length, example.source.len(), stream.bits(), i)
        })
        .collect();
    order.sort_unstable();
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut width = 0;
    for (_, _, _, i) in order {
        let wider = width.max(examples[i].length());
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * wider <= budget => {
                batch.push(i);
                width = wider;
            }
            _ => {
                batches.push(vec![i]);
                width = examples[i].length();
            }
        }
    }
    for i in (1..batches.len()).rev() {
        batches.swap(i, (stream.bits() % (i as u64 + 1)) as usize);
    }
    batches
}

/// What sets these random numbers apart from others of the same seed.
const BATCH_STREAM: u64 = 0x6261_7463_6865_7300;

/// Splits the rows of a batch into `shards` parts of about as many target tokens each, rows of similar length together.
/// Fewer parts where there are fewer rows.
pub fn split(examples: &[Example], rows: &[usize], shards: usize) -> Vec<Vec<usize>> {
    let mut sorted = rows.to_vec();
    sorted.sort_by_key(|&row| (examples[row].target.len(), examples[row].source.len()));
    let weight = |row: usize| examples[row].source.len() + examples[row].target.len();
    let total: usize = sorted.iter().map(|&row| weight(row)).sum();
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); shards.max(1)];
    let mut before = 0;
    for row in sorted {
        // The part that the middle of this row falls into.
        let part = ((before + weight(row) / 2) * parts.len() / total.max(1)).min(parts.len() - 1);
        parts[part].push(row);
        before += weight(row);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(count: usize, seed: u64) -> Vec<Example> {
        let mut stream = Stream::new(seed);
        let mut side =
            || (0..2 + stream.bits() % 30).map(|_| 4 + (stream.bits() % 50) as u32).collect::<Vec<_>>();
        (0..count).map(|_| Example { source: side(), target: side() }).collect()
    }

    #[test]
    fn every_example_once_an_epoch_within_the_budget() {
        for seed in 0..20 {
            let examples = examples(300, seed);
            let plan = plan_epoch(&examples, 200, seed, 3);
            let mut seen: Vec<usize> = plan.iter().flatten().copied().collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..300).collect::<Vec<_>>());
            for rows in &plan {
                let batch = collate(&examples, rows);
                assert!(batch.rows * batch.source_width.max(batch.target_width) <= 200);
            }
        }
    }

    #[test]
    fn an_epoch_is_a_function_of_its_number_and_differs_from_the_next() {
        let examples = examples(300, 1);
        assert_eq!(plan_epoch(&examples, 200, 7, 0), plan_epoch(&examples, 200, 7, 0));
        assert_ne!(plan_epoch(&examples, 200, 7, 0), plan_epoch(&examples, 200, 7, 1));
        assert_ne!(plan_epoch(&examples, 200, 7, 0), plan_epoch(&examples, 200, 8, 0));
    }

    #[test]
    fn an_example_over_the_budget_is_a_batch_of_its_own() {
        let examples = examples(10, 1);
        assert_eq!(plan_epoch(&examples, 1, 0, 0).len(), 10);
    }

    #[test]
    fn the_decoder_sees_the_target_one_step_late() {
        let examples = [
            Example { source: vec![5, EOS], target: vec![6, 7, EOS] },
            Example { source: vec![8, 9, EOS], target: vec![EOS] },
        ];
        let batch = collate(&examples, &[1, 0]);
        assert_eq!(batch.source, [8, 9, EOS, 5, EOS, PAD]);
        assert_eq!(batch.target_in, [BOS, PAD, PAD, BOS, 6, 7]);
        assert_eq!(batch.target_out, [EOS, PAD, PAD, 6, 7, EOS]);
        assert_eq!((batch.source_tokens(), batch.target_tokens()), (5, 4));
    }

    #[test]
    fn shards_share_the_work_evenly_and_lose_nothing() {
        let examples = examples(100, 5);
        let rows: Vec<usize> = (10..90).collect();
        let parts = split(&examples, &rows, 3);
        let mut all = parts.concat();
        all.sort_unstable();
        assert_eq!(all, rows);
        let tokens = |part: &Vec<usize>| {
            let batch = collate(&examples, part);
            batch.source_tokens() + batch.target_tokens()
        };
        let counts: Vec<usize> = parts.iter().map(tokens).collect();
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() < 130, "{counts:?}");
        assert_eq!(split(&examples, &[4], 3), [[4]]);
    }
}

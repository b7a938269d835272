//! How long sentences are.

use std::fmt;

use serde::Serialize;

/// The lengths of many sentences, in tokens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lengths {
    /// All tokens.
    pub tokens: usize,
    /// Half of all sentences are no longer.
    pub median: usize,
    /// 95 of 100 are no longer.
    pub percentile_95: usize,
    /// The longest.
    pub longest: usize,
    /// How many sentences there are of up to 4, 8, 16, … tokens, and of more than the ranges before; the last is of all
    /// that are longer.
    pub histogram: [usize; RANGES],
}

const RANGES: usize = 8;

/// The longest of a range, but for the last.
fn bound(range: usize) -> usize {
    4 << range
}

impl Lengths {
    /// Of at least one sentence.
    pub(super) fn of(lengths: impl Iterator<Item = usize>) -> Self {
        let mut sorted: Vec<usize> = lengths.collect();
        sorted.sort_unstable();
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        let mut histogram = [0; RANGES];
        for &length in &sorted {
            let range = (0..RANGES - 1).find(|&range| length <= bound(range)).unwrap_or(RANGES - 1);
            histogram[range] += 1;
        }
        Self {
            tokens: sorted.iter().sum(),
            median: at(0.5),
            percentile_95: at(0.95),
            longest: at(1.0),
            histogram,
        }
    }
}

pub(super) fn write_table(f: &mut fmt::Formatter<'_>, source: &Lengths, target: &Lengths) -> fmt::Result {
    writeln!(f, "  {:>9}  {:<31}  target", "tokens", "source")?;
    let used = |range: usize| source.histogram[range] + target.histogram[range] > 0;
    let (first, last) = ((0..RANGES).find(|&range| used(range)), (0..RANGES).rfind(|&range| used(range)));
    for range in first.unwrap_or(0)..=last.unwrap_or(0) {
        let from = if range == 0 { 1 } else { bound(range - 1) + 1 };
        let label =
            if range == RANGES - 1 { format!("{from}–") } else { format!("{from}–{}", bound(range)) };
        let [left, right] = [source, target].map(|lengths| {
            let all: usize = lengths.histogram.iter().sum();
            let share = lengths.histogram[range] as f64 / all.max(1) as f64;
            format!("{:>5.1} % {}", 100.0 * share, "▇".repeat((share * 22.0).round() as usize))
        });
        writeln!(f, "{}", format!("  {label:>9}  {left:<31}  {right}").trim_end())?;
    }
    let words = |lengths: &Lengths| {
        let Lengths { median, percentile_95, longest, .. } = lengths;
        format!("median {median}, 95 % ≤ {percentile_95}, max {longest}")
    };
    writeln!(f, "  {:>9}  {:<31}  {}", "", words(source), words(target))
}

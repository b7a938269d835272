//! What parts have in common: a test that was trained on proves nothing.

use std::collections::HashMap;

use super::{Finding, Part, SHOWN, quoted, share};
use crate::data::Pair;

pub(super) fn findings(parts: &[Part]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        for earlier in &parts[..number] {
            let key = |pair: &Pair| (pair.source.trim().to_owned(), pair.target.trim().to_owned());
            findings.extend(common("overlap_pairs", "pairs", part, earlier, key));
            let key = |pair: &Pair| pair.source.trim().to_owned();
            findings.extend(common("overlap_sources", "sources", part, earlier, key));
        }
    }
    findings
}

fn common<K: Eq + std::hash::Hash>(
    kind: &'static str,
    what: &str,
    part: &Part,
    earlier: &Part,
    key: impl Fn(&Pair) -> K,
) -> Option<Finding> {
    let mut known = HashMap::new();
    for (i, pair) in earlier.corpus.pairs.iter().enumerate() {
        known.entry(key(pair)).or_insert(i);
    }
    let pairs = &part.corpus.pairs;
    let found: Vec<(usize, usize)> =
        pairs.iter().enumerate().filter_map(|(i, pair)| Some((i, *known.get(&key(pair))?))).collect();
    if found.is_empty() {
        return None;
    }
    let (count, all) = (found.len(), pairs.len());
    let message = format!(
        "{} are also in the {} text",
        share(count, all, &format!("{} {what}", part.name)),
        earlier.name
    );
    let place = |&(i, first): &(usize, usize)| {
        let (here, there) = (part.source_place(i), earlier.source_place(first));
        format!("{here} is {there}: {}", quoted(&pairs[i].source))
    };
    Some(Finding::by_share(kind, count, all, message, found.iter().take(SHOWN).map(place).collect()))
}

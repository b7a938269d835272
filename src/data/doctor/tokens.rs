//! What can be seen with a tokenizer: unknown characters, lengths, and what does not come back.

use std::collections::BTreeMap;

use super::{Finding, Lengths, Level, Part, SHOWN, quoted, share};
use crate::data::tokenizer::{Tokenizer, UNK};

/// Both sides of a part as tokens.
pub(super) struct Sides<'a> {
    source: Side<'a>,
    target: Side<'a>,
}

/// One side.
struct Side<'a> {
    name: &'static str,
    tokenizer: &'a Tokenizer,
    /// The tokens of every sentence, without end marks.
    counts: Vec<usize>,
    unknown: usize,
    /// Unknown characters: how often, and the first pair.
    characters: BTreeMap<char, (usize, usize)>,
    /// Pairs that come back with other spaces or another Unicode form, and what comes back. Lower case alone is what was
    /// asked for.
    normalised: Vec<(usize, String)>,
    /// Pairs that come back without some of their characters, and what comes back.
    damaged: Vec<(usize, String)>,
}

impl<'a> Sides<'a> {
    pub(super) fn new(
        part: &Part,
        source: &'a Tokenizer,
        target: &'a Tokenizer,
        step: &mut impl FnMut(),
    ) -> Self {
        let pairs = &part.corpus.pairs;
        let sources = pairs.iter().map(|pair| pair.source.as_str());
        let targets = pairs.iter().map(|pair| pair.target.as_str());
        let (source, target) = (
            Side::new("source", sources, source, &mut *step),
            Side::new("target", targets, target, &mut *step),
        );
        Self { source, target }
    }

    /// The lengths of both sides, end marks included.
    pub(super) fn lengths(&self) -> (Lengths, Lengths) {
        let of = |side: &Side<'_>| Lengths::of(side.counts.iter().map(|count| count + 1));
        (of(&self.source), of(&self.target))
    }

    pub(super) fn findings(&self, part: &Part, max_length: usize, training: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        for side in [&self.source, &self.target] {
            findings.extend(side.unknown(part));
            findings.extend(side.round_trip(part));
        }
        findings.extend(self.too_long(part, max_length, training));
        findings.extend(self.ratios(part));
        findings
    }

    fn too_long(&self, part: &Part, max_length: usize, training: bool) -> Option<Finding> {
        let longer = |i: usize| 1 + self.source.counts[i].max(self.target.counts[i]);
        let all = part.corpus.pairs.len();
        let found: Vec<usize> = (0..all).filter(|&i| longer(i) > max_length).collect();
        let count = found.len();
        let message = format!("{} have more than {max_length} tokens on a side", share(count, all, "pairs"));
        let place = |&i: &usize| format!("{}: {} tokens", part.source_place(i), longer(i));
        let examples = found.iter().take(SHOWN).map(place).collect();
        if count == all && training {
            return Some(Finding::error("too_long", count, message, examples));
        }
        (count > 0).then(|| Finding::by_share("too_long", count, all, message, examples))
    }

    /// Pairs whose sides differ in length far more, or far otherwise, than those of most pairs do: they are often no
    /// translations of each other.
    fn ratios(&self, part: &Part) -> Option<Finding> {
        let pairs = self.source.counts.iter().zip(&self.target.counts);
        let ratios: Vec<f64> =
            pairs.map(|(&source, &target)| (target + 1) as f64 / (source + 1) as f64).collect();
        let mut sorted = ratios.clone();
        sorted.sort_by(f64::total_cmp);
        let usual = sorted[sorted.len() / 2];
        let suspicious = |&i: &usize| {
            let (source, target) = (self.source.counts[i] as f64, self.target.counts[i] as f64);
            let apart = (ratios[i] / usual).ln().abs() > TIMES.ln();
            apart && (target - usual * source).abs() > BY_CHANCE
        };
        let found: Vec<usize> = (0..ratios.len()).filter(suspicious).collect();
        let count = found.len();
        let message = format!(
            "{} differ in length {TIMES:.1} times more than most (a target usually has {usual:.2} tokens for one of its source)",
            share(count, ratios.len(), "pairs")
        );
        let place = |&i: &usize| {
            let (source, target) = (self.source.counts[i], self.target.counts[i]);
            let text = quoted(&part.corpus.pairs[i].source);
            format!("{}: {source} tokens to {target}: {text}", part.source_place(i))
        };
        let examples = found.iter().take(SHOWN).map(place).collect();
        (count > 0).then(|| Finding::by_share("length_ratio", count, ratios.len(), message, examples))
    }
}

/// How many times as long or short as usual a translation is that looks suspicious.
const TIMES: f64 = 2.5;

/// Tokens by which short sentences may differ from what is usual.
const BY_CHANCE: f64 = 5.0;

/// The share of unknown tokens from which on a tokenizer is not of this language.
const FOREIGN: f64 = 0.1;

impl<'a> Side<'a> {
    fn new<'t>(
        name: &'static str,
        texts: impl Iterator<Item = &'t str>,
        tokenizer: &'a Tokenizer,
        step: &mut impl FnMut(),
    ) -> Self {
        let mut side = Self {
            name,
            tokenizer,
            counts: Vec::new(),
            unknown: 0,
            characters: BTreeMap::new(),
            normalised: Vec::new(),
            damaged: Vec::new(),
        };
        for (i, text) in texts.enumerate() {
            side.read(i, text);
            step();
        }
        side
    }

    fn read(&mut self, i: usize, text: &str) {
        let ids = self.tokenizer.encode(text);
        self.counts.push(ids.len());
        let unknown = ids.iter().filter(|&&id| id == UNK).count();
        self.unknown += unknown;
        let normal = self.tokenizer.normalise(text);
        if unknown > 0 {
            for character in normal.chars().filter(|&character| character != ' ') {
                if !self.tokenizer.knows(character) {
                    self.characters.entry(character).or_insert((0, i)).0 += 1;
                }
            }
        }
        let back = self.tokenizer.decode(&ids);
        if back != normal {
            self.damaged.push((i, back));
        } else if back != text && back != text.to_lowercase() {
            self.normalised.push((i, back));
        }
    }

    fn unknown(&self, part: &Part) -> Option<Finding> {
        let all: usize = self.counts.iter().sum();
        let message = format!("{} are unknown", share(self.unknown, all, &format!("{} tokens", self.name)));
        let mut characters: Vec<_> = self.characters.iter().collect();
        characters.sort_by_key(|(character, (count, _))| (std::cmp::Reverse(*count), **character));
        let place = |&(&character, &(count, first)): &(&char, &(usize, usize))| {
            let (place, text) = self.place(part, first);
            format!(
                "{place}: {character:?} (U+{:04X}), {count} times, here in {}",
                character as u32,
                quoted(text)
            )
        };
        let examples = characters.iter().take(SHOWN).map(place).collect();
        if self.unknown as f64 > FOREIGN * all as f64 {
            let message = format!("{message}: the tokenizer is not of this language");
            return Some(Finding::error("unknown", self.unknown, message, examples));
        }
        (self.unknown > 0).then(|| Finding::by_share("unknown", self.unknown, all, message, examples))
    }

    /// What encoding and decoding give back.
    fn round_trip(&self, part: &Part) -> Vec<Finding> {
        let all = self.counts.len();
        let examples = |found: &[(usize, String)]| -> Vec<String> {
            let shown = found.iter().take(SHOWN);
            shown
                .map(|(i, back)| {
                    let (place, text) = self.place(part, *i);
                    let (from, to) = around_difference(text, back);
                    format!("{place}: {} comes back as {}", quoted(&from), quoted(&to))
                })
                .collect()
        };
        let mut findings = Vec::new();
        if !self.damaged.is_empty() {
            let count = self.damaged.len();
            let what = share(count, all, &format!("{}s", self.name));
            let message = format!("{what} do not come back from the tokenizer whole");
            findings.push(Finding::by_share("round_trip", count, all, message, examples(&self.damaged)));
        }
        if !self.normalised.is_empty() {
            let count = self.normalised.len();
            let what = share(count, all, &format!("{}s", self.name));
            let message = format!("{what} come back with other spaces or another Unicode form");
            let (level, kind) = (Level::Note, "normalised");
            findings.push(Finding { level, kind, count, message, examples: examples(&self.normalised) });
        }
        findings
    }

    fn place<'p>(&self, part: &'p Part, i: usize) -> (String, &'p str) {
        let pair = &part.corpus.pairs[i];
        match self.name {
            "source" => (part.source_place(i), &pair.source),
            _ => (part.target_place(i), &pair.target),
        }
    }
}

/// Where two texts begin to differ, with a few characters before.
fn around_difference(a: &str, b: &str) -> (String, String) {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let from = |text: &str| -> String {
        let before = if same > 12 { "…" } else { "" };
        let skip = if same > 12 { same - 10 } else { 0 };
        before.chars().chain(text.chars().skip(skip).take(30)).collect()
    };
    (from(a), from(b))
}

//! What can be seen without a tokenizer: lines that cannot be read, blank, identical and repeated ones.

use std::collections::{HashMap, HashSet};

use super::{Finding, Level, Part, SHOWN, quoted, share};
use crate::data::tokenizer::LONGEST_WORD;

pub(super) fn findings(part: &Part) -> Vec<Finding> {
    let corpus = &part.corpus;
    let mut findings = Vec::new();
    if !corpus.faults.is_empty() {
        let count = corpus.faults.len();
        let message = match count {
            1 => "the text cannot be read as it is".to_owned(),
            _ => format!("the text cannot be read as it is, for {count} reasons"),
        };
        let examples = corpus.faults.iter().take(SHOWN).cloned().collect();
        findings.push(Finding::error("unreadable", count, message, examples));
    }
    let all = corpus.pairs.len() + corpus.blank.len();
    if !corpus.blank.is_empty() {
        let count = corpus.blank.len();
        let message = format!("{} are blank on one side, and left out", share(count, all, "lines"));
        let places = corpus.blank.iter().take(SHOWN).map(|line| format!("{}:{line}", part.source)).collect();
        findings.push(Finding::by_share("blank", count, all, message, places));
    }
    if corpus.pairs.is_empty() {
        // Why there is none may have been said already.
        if corpus.faults.is_empty() {
            let message = "there is no pair of sentences".to_owned();
            findings.push(Finding::error("no_pairs", 0, message, Vec::new()));
        }
        return findings;
    }
    findings.extend(long_words(part));
    findings.extend(identical(part));
    findings.extend(repeated(part));
    findings
}

/// Words that no one wrote: base64, minified files, lines without spaces.
fn long_words(part: &Part) -> Option<Finding> {
    let is_long = |word: &str| word.len() > LONGEST_WORD && word.chars().count() > LONGEST_WORD;
    let has = |text: &str| text.len() > LONGEST_WORD && text.split_whitespace().any(is_long);
    let pairs = &part.corpus.pairs;
    let mut places = Vec::new();
    for (i, pair) in pairs.iter().enumerate() {
        if has(&pair.source) {
            places.push(format!("{}: {}", part.source_place(i), quoted(&pair.source)));
        } else if has(&pair.target) {
            places.push(format!("{}: {}", part.target_place(i), quoted(&pair.target)));
        }
    }
    let count = places.len();
    let what = share(count, pairs.len(), "pairs");
    let message = format!(
        "{what} have a word of more than {LONGEST_WORD} characters; vocabularies are learnt from pieces of it"
    );
    places.truncate(SHOWN);
    (count > 0).then(|| Finding::by_share("long_word", count, pairs.len(), message, places))
}

/// More of them than this are not names and numbers: one file was given twice.
const SAME_TEXT: f64 = 0.5;

fn identical(part: &Part) -> Option<Finding> {
    let pairs = &part.corpus.pairs;
    let same = |i: &usize| pairs[*i].source.trim() == pairs[*i].target.trim();
    let found: Vec<usize> = (0..pairs.len()).filter(same).collect();
    let count = found.len();
    let message = format!("{} have the same text on both sides", share(count, pairs.len(), "pairs"));
    let place = |&i: &usize| format!("{}: {}", part.source_place(i), quoted(&pairs[i].source));
    let examples = found.iter().take(SHOWN).map(place).collect();
    if count as f64 > SAME_TEXT * pairs.len() as f64 {
        return Some(Finding::error("identical", count, message, examples));
    }
    (count > 0).then(|| Finding::by_share("identical", count, pairs.len(), message, examples))
}

fn repeated(part: &Part) -> Vec<Finding> {
    let pairs = &part.corpus.pairs;
    let (mut first_of_pair, mut first_of_source) = (HashMap::new(), HashMap::new());
    let (mut again, mut otherwise) = (Vec::new(), Vec::new());
    let mut sources_with_several = HashSet::new();
    for (i, pair) in pairs.iter().enumerate() {
        let (source, target) = (pair.source.trim(), pair.target.trim());
        let first = *first_of_pair.entry((source, target)).or_insert(i);
        if first != i {
            again.push((i, first));
            continue;
        }
        let first = *first_of_source.entry(source).or_insert(i);
        if first != i && sources_with_several.insert(source) {
            otherwise.push((i, first));
        }
    }
    let place = |&(i, first): &(usize, usize)| {
        let line = part.corpus.lines[first];
        format!("{} as line {line}: {}", part.source_place(i), quoted(&pairs[i].source))
    };
    let mut findings = Vec::new();
    if !again.is_empty() {
        let message = format!("{} repeat an earlier one", share(again.len(), pairs.len(), "pairs"));
        let examples = again.iter().take(SHOWN).map(place).collect();
        findings.push(Finding::by_share("duplicate", again.len(), pairs.len(), message, examples));
    }
    if !otherwise.is_empty() {
        let count = otherwise.len();
        let message = format!("{count} sources have more than one translation");
        let examples = otherwise.iter().take(SHOWN).map(place).collect();
        let kind = "several_translations";
        findings.push(Finding { level: Level::Note, kind, count, message, examples });
    }
    findings
}

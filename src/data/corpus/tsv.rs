//! Pairs separated by tabs.

use std::path::Path;

use anyhow::Result;

use super::{Corpus, copy, each};

pub(super) fn scan(path: &Path) -> Result<Corpus> {
    let mut corpus = Corpus::default();
    let faults = each(path, |number, line| {
        let Some(line) = line else { return Some(Ok(())) };
        let mut fields = line.split('\t');
        match (fields.next(), fields.next()) {
            (Some(source), Some(target)) => corpus.push(number, copy(source)?, copy(target)?)?,
            _ if line.starts_with('#') => {}
            _ if line.trim().is_empty() => corpus.push_blank(number)?,
            _ => return Some(Err("no tab between source and target".to_owned())),
        }
        Some(Ok(()))
    })?;
    corpus.faults = faults.into_values().collect();
    Ok(corpus)
}

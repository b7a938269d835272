//! Pairs separated by tabs.

use std::path::Path;

use anyhow::Result;

use super::{Corpus, Lines, read};

pub(super) fn scan(path: &Path) -> Result<Corpus> {
    let Lines { lines, mut faults } = read(path)?;
    let mut corpus = Corpus::default();
    for (number, line) in (1..).zip(&lines) {
        let Some(line) = line else { continue };
        let mut fields = line.split('\t');
        match (fields.next(), fields.next()) {
            (Some(source), Some(target)) => corpus.push(number, source, target),
            _ if line.starts_with('#') => {}
            _ if line.trim().is_empty() => corpus.blank.push(number),
            _ => {
                let fault = format!("{}:{number}: no tab between source and target", path.display());
                faults.insert(number, fault);
            }
        }
    }
    corpus.faults = faults.into_values().collect();
    Ok(corpus)
}

//! Parallel text: reading, subword tokenisation, batches, and the built-in corpus.

pub mod batch;
pub mod bucket;
pub mod builtin;
pub mod corpus;
pub mod doctor;
pub(crate) mod json;
pub mod tokenizer;

/// A sentence and its translation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The sentence in the source language.
    pub source: String,
    /// Its translation.
    pub target: String,
}

//! Vectors of words.

use autograd::{Float, Ids, Param, Tape, Var, parameters};

use crate::init::Init;

/// A table of one vector a word.
#[derive(Clone, Debug)]
pub struct Embedding<T: Float = f32> {
    /// `[V, D]`
    pub weight: Param<T>,
}

parameters!(Embedding { weight });

impl<T: Float> Embedding<T> {
    /// A table of `vocab` vectors of `width`, normal with deviation `1/√width`.
    ///
    /// # Panics
    /// Where a size is 0, or both together make more entries than memory has addresses.
    #[track_caller]
    pub fn new(vocab: usize, width: usize, init: &mut Init) -> Self {
        Self { weight: init.table(vocab, width) }
    }

    /// The vectors of `ids [..]`: `[.., D]`.
    ///
    /// # Panics
    /// Where an id is not among the rows of the table.
    #[track_caller]
    pub fn forward<'t>(&self, tape: &'t Tape<T>, ids: &Ids) -> Var<'t, T> {
        tape.param(&self.weight).embedding(ids)
    }
}

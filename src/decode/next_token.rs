//! What a search needs of a model.

use autograd::{Float, Tensor};
use nn::{DecoderCache, PositionalEncoding, Sentences, Transformer};

/// A model that scores next tokens, for a batch of rows at once. A row is one hypothesis: a source and a target so far.
///
/// [`Transformer`] is one; several models together are one as well ([`Ensemble`](super::Ensemble)).
pub trait NextToken {
    /// What scores are made of.
    type Number: Float;
    /// What is remembered of the rows between steps.
    type State;

    /// Reads the sources: one row for each, with an empty target.
    fn start(&self, sources: &Sentences) -> Self::State;

    /// Appends one token to the target of every row and gives the scores `[rows, V]` of what may follow: log-probabilities
    /// up to a constant in each row. A token with a score of −∞ or NaN never follows.
    fn step(&self, tokens: &[u32], state: &mut Self::State) -> Tensor<Self::Number>;

    /// Makes `rows` of the state its new rows, in that order: some may come more than once, some not at all.
    fn select(&self, state: &mut Self::State, rows: &[usize]);

    /// The most tokens a source can have, its end included.
    fn longest_source(&self) -> usize {
        usize::MAX
    }

    /// The most tokens a target can have, its end included.
    fn longest_target(&self) -> usize {
        usize::MAX
    }
}

impl<T: Float> NextToken for Transformer<T> {
    type Number = T;
    type State = DecoderCache<T>;

    fn start(&self, sources: &Sentences) -> DecoderCache<T> {
        self.start(sources)
    }

    fn step(&self, tokens: &[u32], state: &mut DecoderCache<T>) -> Tensor<T> {
        self.step(tokens, state)
    }

    fn select(&self, state: &mut DecoderCache<T>, rows: &[usize]) {
        state.select(rows);
    }

    fn longest_source(&self) -> usize {
        positions(&self.source_positions)
    }

    fn longest_target(&self) -> usize {
        // As many tokens are written as positions are read: the beginning is only read, the end only written.
        positions(&self.target_positions)
    }
}

/// How many positions there are.
fn positions<T: Float>(encoding: &PositionalEncoding<T>) -> usize {
    match encoding {
        PositionalEncoding::Sinusoidal(_) => usize::MAX,
        PositionalEncoding::Learned(table) => table.value().shape()[0],
    }
}

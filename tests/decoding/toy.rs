//! A model that brute force can deal with.

use gradus::autograd::Tensor;
use gradus::autograd::rng::{Stream, derive};
use gradus::decode::NextToken;
use gradus::nn::Sentences;

/// A model whose scores depend on the source's first token and on all of the target so far.
pub(super) struct Toy<F: Fn(u32, &[u32]) -> Vec<f64>>(pub(super) F);

impl<F: Fn(u32, &[u32]) -> Vec<f64>> NextToken for Toy<F> {
    type Number = f64;
    type State = Vec<(u32, Vec<u32>)>;

    fn start(&self, sources: &Sentences) -> Self::State {
        sources.ids.as_slice().chunks(sources.width()).map(|source| (source[0], Vec::new())).collect()
    }

    fn step(&self, tokens: &[u32], state: &mut Self::State) -> Tensor<f64> {
        assert_eq!(tokens.len(), state.len());
        let mut scores = Vec::new();
        for (&token, (source, target)) in tokens.iter().zip(state.iter_mut()) {
            target.push(token);
            scores.extend((self.0)(*source, &target[1..]));
        }
        Tensor::new([tokens.len(), scores.len() / tokens.len()], scores)
    }

    fn select(&self, state: &mut Self::State, rows: &[usize]) {
        *state = rows.iter().map(|&row| state[row].clone()).collect();
    }
}

/// Random scores of `vocab` tokens, the same for the same prefix.
pub(super) fn random_scores(vocab: usize, seed: u64) -> impl Fn(u32, &[u32]) -> Vec<f64> {
    move |source, target| {
        let key = target.iter().fold(derive(seed, source.into()), |key, &token| derive(key, token.into()));
        let mut stream = Stream::new(key);
        (0..vocab).map(|_| 4.0 * stream.uniform()).collect()
    }
}

pub(super) fn log_softmax(scores: &[f64]) -> Vec<f64> {
    let sum: f64 = scores.iter().map(|x| x.exp()).sum();
    scores.iter().map(|x| x - sum.ln()).collect()
}

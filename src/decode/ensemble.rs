//! Several models that translate together.

use autograd::kernels::cpu::best::best_and_log_sum;
use autograd::{Float, Tensor};
use nn::Sentences;

use super::NextToken;

/// Models with one vocabulary: what comes next is as probable as the mean of what they say.
///
/// A single model is passed on to as it is, so that an ensemble of one costs nothing and changes nothing.
#[derive(Clone, Debug)]
pub struct Ensemble<M> {
    /// At least one model.
    pub models: Vec<M>,
}

impl<M: NextToken> NextToken for Ensemble<M> {
    type Number = M::Number;
    type State = Vec<M::State>;

    fn start(&self, sources: &Sentences) -> Self::State {
        self.models.iter().map(|model| model.start(sources)).collect()
    }

    fn step(&self, tokens: &[u32], state: &mut Self::State) -> Tensor<M::Number> {
        let models = self.models.iter().zip(state);
        let mut scores: Vec<_> = models.map(|(model, state)| model.step(tokens, state)).collect();
        if scores.len() == 1 { scores.remove(0) } else { mean(scores) }
    }

    fn select(&self, state: &mut Self::State, rows: &[usize]) {
        for (model, state) in self.models.iter().zip(state) {
            model.select(state, rows);
        }
    }

    fn longest_source(&self) -> usize {
        self.models.iter().map(NextToken::longest_source).min().unwrap_or(usize::MAX)
    }

    fn longest_target(&self) -> usize {
        self.models.iter().map(NextToken::longest_target).min().unwrap_or(usize::MAX)
    }
}

/// `log (Σ softmax(scores) / M)` of `M` models' scores `[rows, V]`.
///
/// # Panics
/// Where there are none, or they are not of one shape.
#[track_caller]
fn mean<T: Float>(mut scores: Vec<Tensor<T>>) -> Tensor<T> {
    let shape = scores.first().map(Tensor::shape);
    assert!(
        scores.iter().all(|scores| Some(scores.shape()) == shape),
        "ensemble: vocabularies differ in size"
    );
    let Some(width) = shape.map(|shape| shape.last().max(1)) else { panic!("ensemble: there are no models") };
    let (mut best, count) = (Vec::new(), T::of(scores.len() as f64));
    for scores in &mut scores {
        for row in scores.make_mut().chunks_exact_mut(width) {
            let log_sum = T::of(best_and_log_sum(row, 0, &[], &mut best).to_f64());
            row.iter_mut().for_each(|score| *score -= log_sum);
        }
    }
    // Relative to the largest, so that words that no model thinks of are still told apart.
    Tensor::fill_with(scores[0].shape(), |out| {
        let rows: Vec<&[T]> = scores.iter().map(Tensor::as_slice).collect();
        for (i, out) in out.iter_mut().enumerate() {
            let max = rows.iter().fold(rows[0][i], |max, row| if row[i] > max { row[i] } else { max });
            // Of −∞ there is nothing to be relative to.
            *out = if max == T::NEG_INFINITY {
                max
            } else {
                let sum = rows.iter().fold(T::ZERO, |sum, row| sum + (row[i] - max).exp());
                max + (sum / count).ln()
            };
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_of_probabilities() {
        let none = f64::NEG_INFINITY;
        let scores = [[0.3, 0.6, 0.1, 0.0].map(|p: f64| p.ln() + 7.0), [0.5, 0.25, 0.25, 0.0].map(f64::ln)];
        let scores = scores.map(|row| Tensor::new([1, 4], row.to_vec()));
        let mean = mean(scores.to_vec());
        for (got, expected) in mean.as_slice().iter().zip([0.4f64, 0.425, 0.175]) {
            assert!((got - expected.ln()).abs() < 1e-14, "{got} is not log {expected}");
        }
        assert_eq!(mean.as_slice()[3], none);
        // Where one is sure, the other's word still has half of its probability.
        let sure = [Tensor::new([1, 2], vec![0.0, none]), Tensor::new([1, 2], vec![0.0, -200.0])];
        let mean = super::mean(sure.to_vec());
        assert!((mean.as_slice()[1] + 200.0 + 2f64.ln()).abs() < 1e-12, "{:?}", mean.as_slice());
    }
}

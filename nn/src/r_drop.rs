//! Training with two different dropouts that must agree.

use autograd::{Float, Ids, Tape, Var};

use crate::pairs::PackedPairs;
use crate::sentences::Sentences;
use crate::transformer::{Objective, Transformer};

impl<T: Float> Transformer<T> {
    /// The loss of R-Drop (Liang et al., "R-Drop: regularized dropout for neural networks", 2021): the model reads every
    /// sentence twice, each time with another dropout, and is also held to what it said the other time.
    ///
    /// With `p` and `q` the two distributions of a next word, and `w` the weight of a word:
    ///
    /// ```text
    /// w · Σ ½(CE(p) + CE(q)) + α/4 · (KL(p‖q) + KL(q‖p))
    /// ```
    ///
    /// which is half of the paper's sum, so that without dropout it is [`loss`](Self::loss). With logits `a` and `b`,
    ///
    /// ```text
    /// KL(p‖q) + KL(q‖p) = Σⱼ (pⱼ − qⱼ)(aⱼ − bⱼ)
    /// ```
    ///
    /// since `ln pⱼ − ln qⱼ` is `aⱼ − bⱼ` but for a number that all `j` share, and `Σ (pⱼ − qⱼ) = 0`.
    ///
    /// It costs two forward and backward passes, and memory for all logits, which [`loss`](Self::loss) never holds.
    ///
    /// # Panics
    /// As [`loss`](Self::loss), and where α is negative or not finite.
    #[track_caller]
    pub fn r_drop_loss<'t>(
        &self,
        tape: &'t Tape<T>,
        source: &Sentences,
        target_in: &Sentences,
        target_out: &Ids,
        objective: &Objective,
        alpha: f64,
    ) -> Var<'t, T> {
        self.packed_r_drop_loss(tape, &PackedPairs::new(source, target_in, target_out), objective, alpha)
    }

    /// The same of sentences that are in rows already.
    ///
    /// # Panics
    /// As [`r_drop_loss`](Self::r_drop_loss).
    #[track_caller]
    pub fn packed_r_drop_loss<'t>(
        &self,
        tape: &'t Tape<T>,
        pairs: &PackedPairs,
        objective: &Objective,
        alpha: f64,
    ) -> Var<'t, T> {
        objective.check();
        assert!(alpha >= 0.0 && alpha.is_finite(), "r_drop: α = {alpha} is not a finite number from 0 up");
        let &Objective { smoothing, ignore, weight } = objective;
        let logits = || self.logits(self.hidden_packed(tape, pairs)); // [M, V]
        let (a, b) = (logits(), logits());
        let cross_entropy =
            |x: Var<'t, T>| x.cross_entropy_weighted(&pairs.labels, smoothing, ignore, weight / 2.0);
        let divergence = ((a.softmax() - b.softmax()) * (a - b)).sum();
        cross_entropy(a) + cross_entropy(b) + divergence.scale(alpha / 4.0 * weight)
    }
}

#[cfg(test)]
mod tests {
    use autograd::Tensor;

    use super::*;
    use crate::cases::{shake, tiny};
    use crate::init::Init;

    fn of(tape: &Tape<f64>, alpha: Option<f64>) -> f64 {
        let mut model = Transformer::new(&tiny(), &mut Init::seeded(3));
        shake(&mut model);
        let source = Sentences::new(&[vec![7, 3, 10], vec![4, 9]], 0);
        let target_in = Sentences::new(&[vec![1, 5, 8], vec![1, 3]], 0);
        let target_out = Ids::new([2, 3], [5, 8, 2, 3, 2, 0]);
        let objective = Objective { smoothing: 0.1, ignore: Some(0), weight: 0.2 };
        let loss = match alpha {
            None => model.loss(tape, &source, &target_in, &target_out, &objective),
            Some(alpha) => model.r_drop_loss(tape, &source, &target_in, &target_out, &objective, alpha),
        };
        loss.value().item()
    }

    #[test]
    fn without_dropout_it_is_the_plain_loss() {
        let [plain, twice] = [None, Some(5.0)].map(|alpha| of(&Tape::eval(), alpha));
        assert!((plain - twice).abs() < 1e-12, "{plain} and {twice}");
    }

    #[test]
    fn disagreement_costs_in_proportion() {
        let [none, one, three] = [0.0, 1.0, 3.0].map(|alpha| of(&Tape::train(5), Some(alpha)));
        assert!(one > none + 1e-6, "two dropouts have agreed: {none} and {one}");
        assert!(((three - none) - 3.0 * (one - none)).abs() < 1e-12);
    }

    #[test]
    fn the_sum_over_logits_is_the_symmetric_divergence() {
        let tape = Tape::<f64>::eval();
        let [a, b] =
            [[0.3, -1.0, 2.0], [1.5, 0.2, -0.4]].map(|x| tape.constant(Tensor::new([1, 3], x.to_vec())));
        let (p, q) = (a.softmax().value(), b.softmax().value());
        let pairs = || p.as_slice().iter().zip(q.as_slice());
        let divergence: f64 = pairs().map(|(p, q)| p * (p / q).ln() + q * (q / p).ln()).sum();
        let sum = ((a.softmax() - b.softmax()) * (a - b)).sum().value().item();
        assert!((sum - divergence).abs() < 1e-14, "{sum} and {divergence}");
    }
}

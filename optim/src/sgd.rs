//! Stochastic gradient descent.

use std::collections::BTreeMap;

use autograd::{Float, Gradients, Parameters, Tensor};

use crate::owners::{Owners, moving, rate_of};

/// Gradient descent with momentum: `u ← μu + g`, `p ← p − ηu` (Sutskever et al., "On the importance of initialization and
/// momentum in deep learning", 2013, in PyTorch's form).
#[derive(Clone, Debug)]
pub struct Sgd<T: Float = f32> {
    /// μ; 0 for plain descent.
    pub momentum: f64,
    /// u of every parameter, by its path; without momentum it is the gradient, and nothing is kept.
    pub velocity: BTreeMap<String, Tensor<T>>,
    /// The parameters that they are of.
    pub owners: Owners,
}

impl<T: Float> Default for Sgd<T> {
    fn default() -> Self {
        Self { momentum: 0.0, velocity: BTreeMap::new(), owners: Owners::default() }
    }
}

impl<T: Float> Sgd<T> {
    /// Moves every parameter that has a gradient, at rate `rate`. Parameters without one stay as they are: the frozen ones, and those that the loss does not depend on.
    ///
    /// # Panics
    /// Where the gradients are all of parameters of others, or one has another shape than its parameter; with momentum, where
    /// the velocity of a path is another parameter's ([`Owners`]), or of another shape; where the rate or the momentum is
    /// negative or not finite.
    #[track_caller]
    pub fn step(&mut self, model: &mut impl Parameters<T>, gradients: &Gradients<T>, rate: f64) {
        let (momentum, rate) = (T::of(self.momentum), rate_of::<T>("sgd", rate));
        assert!(
            self.momentum >= 0.0 && momentum.is_finite(),
            "sgd: the momentum {} is not a finite number from 0 up",
            self.momentum
        );
        let moving = moving("sgd", model.parameters_mut(), gradients);
        let keeps = self.momentum > 0.0;
        for (path, param, _) in moving.iter().filter(|_| keeps) {
            self.owners.claim("sgd", path, param);
            let shape = param.value().shape();
            let its = self.velocity.get(path).map_or(shape, Tensor::shape);
            assert_eq!(its, shape, "sgd: the velocity of {path:?} is {its}, and the parameter {shape}");
        }
        for (path, param, gradient) in moving {
            let value = param.value_mut().make_mut();
            if !keeps {
                for (p, &g) in value.iter_mut().zip(gradient.as_slice()) {
                    *p -= rate * g;
                }
                continue;
            }
            let velocity = self.velocity.entry(path).or_insert_with(|| Tensor::zeros(gradient.shape()));
            for ((p, u), &g) in value.iter_mut().zip(velocity.make_mut()).zip(gradient.as_slice()) {
                *u = momentum * *u + g;
                *p -= rate * *u;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use autograd::{Param, Tape};

    use super::*;

    #[test]
    fn momentum_keeps_going() {
        let mut x = Param::new(Tensor::scalar(1.0f64));
        let mut sgd = Sgd { momentum: 0.5, ..Sgd::default() };
        for _ in 0..2 {
            let tape = Tape::eval();
            let gradients = tape.param(&x).scale(2.0).backward();
            sgd.step(&mut x, &gradients, 0.1);
        }
        // u = 2, then 0.5·2 + 2 = 3.
        assert!((x.value().item() - (1.0 - 0.1 * 2.0 - 0.1 * 3.0)).abs() < 1e-15);
    }
}

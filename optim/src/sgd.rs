//! Stochastic gradient descent.

use std::collections::BTreeMap;

use autograd::{Float, Gradients, Parameters, Tensor};

/// Gradient descent with momentum: `u ← μu + g`, `p ← p − ηu` (Sutskever et al., "On the importance of initialization and
/// momentum in deep learning", 2013, in PyTorch's form).
#[derive(Clone, Debug)]
pub struct Sgd<T: Float = f32> {
    /// μ; 0 for plain descent.
    pub momentum: f64,
    /// u of every parameter, by its path.
    pub velocity: BTreeMap<String, Tensor<T>>,
}

impl<T: Float> Default for Sgd<T> {
    fn default() -> Self {
        Self { momentum: 0.0, velocity: BTreeMap::new() }
    }
}

impl<T: Float> Sgd<T> {
    /// Moves every parameter that has a gradient, at rate `rate`.
    pub fn step(&mut self, model: &mut impl Parameters<T>, gradients: &Gradients<T>, rate: f64) {
        let (momentum, rate) = (T::of(self.momentum), T::of(rate));
        model.for_each_mut(|path, param| {
            let Some(gradient) = gradients.get(param) else { return };
            if !self.velocity.contains_key(path) {
                self.velocity.insert(path.to_owned(), Tensor::zeros(gradient.shape()));
            }
            let Some(velocity) = self.velocity.get_mut(path) else { unreachable!("just inserted") };
            let (value, velocity) = (param.value_mut().make_mut(), velocity.make_mut());
            for ((p, u), &g) in value.iter_mut().zip(velocity).zip(gradient.as_slice()) {
                *u = momentum * *u + g;
                *p -= rate * *u;
            }
        });
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

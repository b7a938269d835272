//! Adam (Kingma and Ba, 2015), with decoupled weight decay (AdamW: Loshchilov and Hutter, 2019), in one pass over memory.
//!
//! ```text
//! g = gradient · grad_scale + l2 · p
//! m = β1·m + (1 − β1)·g
//! v = β2·v + (1 − β2)·g²
//! p = p·(1 − lr·decay) − lr·m̂ / (√v̂ + ε)      with m̂ = m/(1 − β1ᵗ), v̂ = v/(1 − β2ᵗ)
//! ```

use crate::simd;

/// The numbers of one step, the same for every parameter.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep<T> {
    /// β1, the decay rate of the mean of the gradients.
    pub beta1: T,
    /// β2, the decay rate of the mean of their squares.
    pub beta2: T,
    /// `lr / (1 − β1ᵗ)` at step `t` = 1, 2, …: the learning rate with the bias of `m` corrected.
    pub step_size: T,
    /// ε, added to the corrected root.
    pub epsilon: T,
    /// `√(1 − β2ᵗ)`: dividing `√v` by it corrects the bias of `v`.
    pub correction2_sqrt: T,
    /// `lr · decay`, the share of a parameter that is taken away before the step (AdamW); 0 for none.
    pub decoupled_decay: T,
    /// The weight of the parameter in its own gradient (L2 regularisation, as in plain Adam); 0 for none.
    pub l2: T,
    /// What gradients are multiplied by first: one over the number of samples, or what clips their norm.
    pub grad_scale: T,
}

simd! {
    /// One step: `params`, `m` and `v` are updated, all slices are of the same size.
    pub fn adam<T>(s, params: &mut [T], m: &mut [T], v: &mut [T], grads: &[T], step: &AdamStep<T>) {
        assert!(params.len() == m.len() && m.len() == v.len() && v.len() == grads.len(), "adam: sizes differ");
        // Exact for rates from ½ to 1, so the weights of all gradients add up to one.
        let (fresh1, fresh2) = (s.splat(T::ONE - step.beta1), s.splat(T::ONE - step.beta2));
        let (beta1, beta2) = (s.splat(step.beta1), s.splat(step.beta2));
        let (grad_scale, l2) = (s.splat(step.grad_scale), s.splat(step.l2));
        let (correction, epsilon) = (s.splat(T::ONE / step.correction2_sqrt), s.splat(step.epsilon));
        let (shrink, back) = (s.splat(T::ONE - step.decoupled_decay), s.splat(-step.step_size));
        let moments = m.chunks_mut(S::LANES).zip(v.chunks_mut(S::LANES));
        let entries = params.chunks_mut(S::LANES).zip(grads.chunks(S::LANES));
        for ((p, gradient), (m, v)) in entries.zip(moments) {
            let param = s.load(p, T::ZERO);
            let g = s.fma(s.load(gradient, T::ZERO), grad_scale, s.mul(l2, param));
            let mean = s.fma(beta1, s.load(m, T::ZERO), s.mul(fresh1, g));
            let square = s.fma(beta2, s.load(v, T::ZERO), s.mul(fresh2, s.mul(g, g)));
            let root = s.fma(s.sqrt(square), correction, epsilon);
            s.store(mean, m);
            s.store(square, v);
            s.store(s.fma(param, shrink, s.div(s.mul(back, mean), root)), p);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SIZES, assert_close, random};
    use super::*;
    use crate::Float;

    /// Five steps by the formulas of the papers, `m̂` and `v̂` written out.
    fn reference(p: &mut [f64], grads: &[Vec<f64>], (lr, decay, l2, scale): (f64, f64, f64, f64)) {
        let (b1, b2, eps) = (0.875, 0.9921875, 0.0009765625);
        let (mut m, mut v) = (vec![0.0; p.len()], vec![0.0; p.len()]);
        for (t, grads) in (1..).zip(grads) {
            for i in 0..p.len() {
                let g = grads[i] * scale + l2 * p[i];
                m[i] = b1 * m[i] + (1.0 - b1) * g;
                v[i] = b2 * v[i] + (1.0 - b2) * g * g;
                let (m_hat, v_hat) = (m[i] / (1.0 - f64::powi(b1, t)), v[i] / (1.0 - f64::powi(b2, t)));
                p[i] = p[i] * (1.0 - lr * decay) - lr * m_hat / (v_hat.sqrt() + eps);
            }
        }
    }

    /// Constants are exact in `f32`, and a step moves a parameter by at most `lr`; so what is off after five steps is a
    /// handful of roundings each.
    fn check<T: Float>(n: usize, lr: f64, decay: f64, l2: f64) {
        let start: Vec<f64> = random(n, 1);
        let grads: Vec<Vec<f64>> = (0..5).map(|t| random(n, 2 + t)).collect();
        let mut expected = start.clone();
        reference(&mut expected, &grads, (lr, decay, l2, 0.5));
        let mut p: Vec<T> = start.iter().map(|&p| T::of(p)).collect();
        let (mut m, mut v) = (vec![T::ZERO; n], vec![T::ZERO; n]);
        for (t, grads) in (1..).zip(&grads) {
            let step = AdamStep {
                beta1: T::of(0.875),
                beta2: T::of(0.9921875),
                step_size: T::of(lr / (1.0 - f64::powi(0.875, t))),
                epsilon: T::of(0.0009765625),
                correction2_sqrt: T::of((1.0 - f64::powi(0.9921875, t)).sqrt()),
                decoupled_decay: T::of(lr * decay),
                l2: T::of(l2),
                grad_scale: T::of(0.5),
            };
            let grads: Vec<T> = grads.iter().map(|&g| T::of(g)).collect();
            adam(&mut p, &mut m, &mut v, &grads, &step);
        }
        assert_close(&p, &expected, 50.0);
    }

    #[test]
    fn steps_are_those_of_the_papers() {
        for n in SIZES {
            for (decay, l2) in [(0.0, 0.0), (0.25, 0.0), (0.0, 0.25)] {
                check::<f32>(n, 0.125, decay, l2);
                check::<f64>(n, 0.125, decay, l2);
            }
        }
    }
}

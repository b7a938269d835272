//! Adam, with weight decay.

use std::collections::BTreeMap;

use autograd::kernels::cpu::adam::AdamStep;
use autograd::kernels::{AdamItem, AdamNumbers, Norm, adam};
use autograd::{Device, Float, Gradients, Param, Parameters, Tensor};
use serde::{Deserialize, Serialize};

use crate::owners::{Moving, Owners, moving, rate_of};

/// Adam (Kingma and Ba, "Adam: a method for stochastic optimization", 2015) with weight decay.
///
/// At step `t`, with gradient `g` and rate `η`:
///
/// ```text
/// m ← β₁m + (1 − β₁)g        v ← β₂v + (1 − β₂)g²
/// p ← p − η · (m/(1 − β₁ᵗ)) / (√(v/(1 − β₂ᵗ)) + ε)
/// ```
///
/// Weight decay concerns matrices and tables only, never biases and the gains of norms, which have one axis.
///
/// ```
/// use autograd::{Param, Tape, Tensor};
/// use optim::Adam;
///
/// let mut weight = Param::new(Tensor::full([2, 2], 1.0f32));
/// let mut adam = Adam { betas: (0.9, 0.98), ..Adam::default() };
/// for _ in 0..200 {
///     let tape = Tape::train(0);
///     let w = tape.param(&weight);
///     let gradients = (w * w).sum().backward();
///     adam.step(&mut weight, &gradients, 0.05);
/// }
/// assert!(weight.value().as_slice().iter().all(|w| w.abs() < 0.01));
/// ```
#[derive(Clone, Debug)]
pub struct Adam<T: Float = f32> {
    /// (β₁, β₂)
    pub betas: (f64, f64),
    /// ε
    pub epsilon: f64,
    /// λ, the strength of weight decay.
    pub weight_decay: f64,
    /// How weights decay.
    pub decay: Decay,
    /// t, the number of steps taken.
    pub steps: u64,
    /// m and v of every parameter, by its path.
    pub moments: BTreeMap<String, Moments<T>>,
    /// The parameters that they are of.
    pub owners: Owners,
}

/// How weights decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// `p ← p − ηλp` beside the step, untouched by `v` (AdamW: Loshchilov and Hutter, "Decoupled weight decay
    /// regularization", 2019).
    #[default]
    Decoupled,
    /// `g ← g + λp` before the moments: the gradient of `λ/2 · ‖p‖²`.
    L2,
}

/// The running means of a parameter's gradient and of its square.
#[derive(Clone, Debug)]
pub struct Moments<T: Float = f32> {
    /// m
    pub mean: Tensor<T>,
    /// v
    pub square: Tensor<T>,
}

impl<T: Float> Default for Adam<T> {
    fn default() -> Self {
        Self {
            betas: (0.9, 0.999),
            epsilon: 1e-8,
            weight_decay: 0.0,
            decay: Decay::Decoupled,
            steps: 0,
            moments: BTreeMap::new(),
            owners: Owners::default(),
        }
    }
}

impl<T: Float> Adam<T> {
    /// Moves every parameter that has a gradient, at rate `rate`. Parameters without one stay as they are: the frozen ones, and those that the loss does not depend on.
    ///
    /// # Panics
    /// Where the gradients are all of parameters of others, or one has another shape than its parameter; where the state of a
    /// path is another parameter's ([`Owners`]), or of another shape; where the rate is negative or not finite, or a setting is
    /// none that the formulas can use: β outside [0, 1), ε that is not positive, λ that is negative.
    #[track_caller]
    pub fn step(&mut self, model: &mut impl Parameters<T>, gradients: &Gradients<T>, rate: f64) {
        self.step_clipped(model, gradients, rate, (None, 0.0), 1);
    }

    /// The same for gradients whose `norm` is brought down to `clip` first, where that is not 0, on up to `threads` threads.
    /// Every number is moved by itself, so the result does not depend on them. Nothing moves where the norm is not finite.
    ///
    /// # Panics
    /// As [`step`](Self::step), and where `clip` is negative or not a number, or not 0 and there is no norm.
    #[track_caller]
    pub fn step_clipped(
        &mut self,
        model: &mut impl Parameters<T>,
        gradients: &Gradients<T>,
        rate: f64,
        clipping: (Option<&Norm<T>>, f64),
        threads: usize,
    ) {
        let moving = self.claimed(model.parameters_mut(), gradients);
        let numbers = self.begin(rate, 1.0);
        self.moved(moving, &numbers, clipping, threads);
    }

    /// Counts a step, at rate `rate` with gradients that are multiplied by `scale` first, and gives its numbers, for
    /// [`take`](Self::take). A card reads them from its memory, so that they may go there with the batch.
    ///
    /// # Panics
    /// Where the rate is negative or not finite, the scale not finite, or a setting is none that the formulas can use: β outside
    /// [0, 1), ε that is not positive, λ that is negative.
    #[track_caller]
    pub fn begin(&mut self, rate: f64, scale: f64) -> AdamNumbers<T> {
        let Self { betas: (beta1, beta2), epsilon, weight_decay, .. } = *self;
        rate_of::<T>("adam", rate);
        if let Err(error) = self.validate() {
            panic!("adam: {error}");
        }
        assert!(
            T::of(rate * weight_decay).is_finite(),
            "adam: the rate {rate} is too large for the weight decay {weight_decay}"
        );
        assert!(T::of(scale).is_finite(), "adam: the gradients' scale {scale} is not finite");
        let t = self.steps.saturating_add(1) as f64;
        let step_size = T::of(rate / (1.0 - beta1.powf(t)));
        assert!(step_size.is_finite(), "adam: the rate {rate} is too large for step {t}");
        self.steps = self.steps.saturating_add(1);
        let decoupled = self.decay == Decay::Decoupled;
        AdamNumbers::from(AdamStep {
            beta1: T::of(beta1),
            beta2: T::of(beta2),
            step_size,
            epsilon: T::of(epsilon),
            correction2_sqrt: T::of((1.0 - beta2.powf(t)).sqrt()),
            decoupled_decay: T::of(if decoupled { rate * weight_decay } else { 0.0 }),
            l2: T::of(if decoupled { 0.0 } else { weight_decay }),
            grad_scale: T::of(scale),
        })
    }

    /// Checks that its settings are numbers that the formulas can use, in `T` too.
    ///
    /// # Errors
    /// One line naming the setting that is wrong.
    pub fn validate(&self) -> Result<(), String> {
        let Self { betas: (beta1, beta2), epsilon, weight_decay, .. } = *self;
        if ![beta1, beta2].iter().all(|beta| (0.0..1.0).contains(beta)) {
            return Err(format!("betas = [{beta1}, {beta2}] are not in [0, 1)"));
        }
        if [beta1, beta2].iter().any(|&beta| T::of(beta) == T::ONE) {
            return Err(format!("betas = [{beta1}, {beta2}] round to 1 in {}", T::NAME));
        }
        let rounded = T::of(epsilon);
        if !(rounded > T::ZERO && rounded.is_finite()) {
            return Err(format!("epsilon = {epsilon} is not a positive number of {}", T::NAME));
        }
        if !(weight_decay >= 0.0 && T::of(weight_decay).is_finite()) {
            return Err(format!("weight_decay = {weight_decay} is not a finite number from 0 up"));
        }
        Ok(())
    }

    /// Takes a step that was begun: as [`step_clipped`](Self::step_clipped), with the norm of the gradients as they are.
    ///
    /// # Panics
    /// As [`step_clipped`](Self::step_clipped), but for what [`begin`](Self::begin) has seen.
    #[track_caller]
    pub fn take(
        &mut self,
        model: &mut impl Parameters<T>,
        gradients: &Gradients<T>,
        numbers: &AdamNumbers<T>,
        clipping: (Option<&Norm<T>>, f64),
        threads: usize,
    ) {
        let moving = self.claimed(model.parameters_mut(), gradients);
        self.moved(moving, numbers, clipping, threads);
    }

    /// The parameters that have a gradient, whose state is theirs.
    #[track_caller]
    fn claimed<'m, 'g>(
        &mut self,
        parameters: Vec<(String, &'m mut Param<T>)>,
        gradients: &'g Gradients<T>,
    ) -> Vec<Moving<'m, 'g, T>> {
        let moving = moving("adam", parameters, gradients);
        for (path, param, _) in &moving {
            self.owners.claim("adam", path, param);
            let shape = param.value().shape();
            if let Some(Moments { mean, square }) = self.moments.get(path) {
                for its in [mean.shape(), square.shape()] {
                    assert_eq!(its, shape, "adam: the state of {path:?} is {its}, and the parameter {shape}");
                }
            }
        }
        moving
    }

    /// Moves the parameters.
    #[track_caller]
    fn moved(
        &mut self,
        moving: Vec<Moving<'_, '_, T>>,
        numbers: &AdamNumbers<T>,
        (norm, clip): (Option<&Norm<T>>, f64),
        threads: usize,
    ) {
        assert!(clip >= 0.0, "adam: the norm cannot be clipped to {clip}");
        assert!(clip == 0.0 || norm.is_some(), "adam: no norm to clip to {clip}");
        for (path, param, _) in &moving {
            if !self.moments.contains_key(path) {
                let value = param.value();
                let moments = Moments { mean: value.zeros_like(), square: value.zeros_like() };
                self.moments.insert(path.clone(), moments);
            }
        }
        let mut moments: BTreeMap<&str, &mut Moments<T>> =
            self.moments.iter_mut().map(|(path, moments)| (path.as_str(), moments)).collect();
        let mut items = Vec::with_capacity(moving.len());
        for (path, param, gradient) in moving {
            let Some(Moments { mean, square }) = moments.remove(path.as_str()) else {
                unreachable!("just inserted, and claimed once")
            };
            let decays = param.value().shape().rank() >= 2;
            items.push(AdamItem { value: param.value_mut(), mean, square, gradient, decays });
        }
        adam(items, numbers, norm, clip, threads);
    }

    /// Moves what it remembers to a device, where the parameters are to be.
    pub fn move_to(&mut self, device: &Device) {
        for Moments { mean, square } in self.moments.values_mut() {
            (*mean, *square) = (mean.to(device), square.to(device));
        }
    }
}

#[cfg(test)]
mod tests {
    use autograd::{Param, Tape, parameters};

    use super::*;

    struct Model<T: Float> {
        weight: Param<T>,
        bias: Param<T>,
    }
    parameters!(Model { weight, bias });

    /// `Σ w² / 2 + Σ b² / 2`, whose gradient is the parameter itself.
    fn gradients(model: &Model<f64>) -> Gradients<f64> {
        let tape = Tape::eval();
        let (w, b) = (tape.param(&model.weight), tape.param(&model.bias));
        ((w * w).sum() + (b * b).sum()).scale(0.5).backward()
    }

    fn model() -> Model<f64> {
        Model { weight: Param::new(Tensor::full([1, 1], 2.0)), bias: Param::new(Tensor::full([1], 2.0)) }
    }

    /// Three steps by the formulas, written out.
    fn reference(mut p: f64, decay: f64, l2: f64) -> f64 {
        let (mut m, mut v) = (0.0, 0.0);
        for t in 1..=3 {
            let g = p + l2 * p;
            m = 0.9 * m + 0.1 * g;
            v = 0.98 * v + 0.02 * g * g;
            let (m_hat, v_hat) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.98f64.powi(t)));
            p = p - 0.1 * decay * p - 0.1 * m_hat / (v_hat.sqrt() + 1e-8);
        }
        p
    }

    #[test]
    fn both_decays_follow_the_papers_and_spare_biases() {
        for (decay, decoupled, l2) in [(Decay::Decoupled, 0.3, 0.0), (Decay::L2, 0.0, 0.3)] {
            let mut model = model();
            let mut adam = Adam { betas: (0.9, 0.98), weight_decay: 0.3, decay, ..Adam::default() };
            for _ in 0..3 {
                let gradients = gradients(&model);
                adam.step(&mut model, &gradients, 0.1);
            }
            assert!((model.weight.value().item() - reference(2.0, decoupled, l2)).abs() < 1e-12);
            assert!((model.bias.value().item() - reference(2.0, 0.0, 0.0)).abs() < 1e-12);
        }
    }

    #[test]
    fn parameters_are_written_in_place() {
        let mut model = model();
        let address = model.weight.value().as_slice().as_ptr();
        let gradients = gradients(&model);
        Adam::default().step(&mut model, &gradients, 0.1);
        assert_eq!(model.weight.value().as_slice().as_ptr(), address);
    }
}

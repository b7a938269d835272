//! A moving average of the weights.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use autograd::{Float, Param, Parameters, Tensor, in_order};

use crate::owners::Owners;

/// The exponential moving average of a model's parameters over its steps (Polyak and Juditsky, "Acceleration of stochastic
/// approximation by averaging", 1992, with weights that fade).
///
/// After step `t`, with the parameter `p` and the decay `d`:
///
/// ```text
/// e ← e + (1 − min(d, (1 + t)/(10 + t))) · (p − e)
/// ```
///
/// The smaller decay of the first steps lets go of the first weights, which are noise.
///
/// ```
/// use autograd::{Param, Tensor};
/// use optim::Ema;
///
/// let mut weight = Param::new(Tensor::scalar(1.0f64));
/// let mut ema = Ema::new(0.999);
/// ema.update(&weight, 1);
/// *weight.value_mut() = Tensor::scalar(2.0);
/// ema.update(&weight, 1);
/// ema.put_into(&mut weight);
/// assert_eq!(weight.value().item(), 1.0 + 9.0 / 12.0);
/// ```
#[derive(Clone, Debug)]
pub struct Ema<T: Float = f32> {
    /// d
    pub decay: f64,
    /// t, the number of steps taken.
    pub steps: u64,
    /// e of every parameter, by its path.
    pub values: BTreeMap<String, Tensor<T>>,
    /// The parameters that they are of.
    pub owners: Owners,
}

impl<T: Float> Ema<T> {
    /// An average before its first step.
    ///
    /// # Panics
    /// Where the decay is not in [0, 1].
    #[track_caller]
    pub fn new(decay: f64) -> Self {
        let ema = Self { decay, steps: 0, values: BTreeMap::new(), owners: Owners::default() };
        ema.check();
        ema
    }

    #[track_caller]
    fn check(&self) {
        assert!((0.0..=1.0).contains(&self.decay), "ema: the decay {} is not in [0, 1]", self.decay);
    }

    /// Takes the parameters after a step into the average, on up to `threads` threads. Every number is moved by itself, so
    /// the result does not depend on them. The first step gives the parameters as they are.
    ///
    /// # Panics
    /// Where the average of a path is another parameter's ([`Owners`]), or of another shape; where the decay is not in [0, 1].
    #[track_caller]
    pub fn update(&mut self, model: &impl Parameters<T>, threads: usize) {
        self.check();
        let parameters = model.parameters();
        for (path, param) in &parameters {
            self.owners.claim("ema", path, param);
            let shape = param.value().shape();
            let its = self.values.get(path).map_or(shape, Tensor::shape);
            assert_eq!(its, shape, "ema: the average of {path:?} is {its}, and the parameter {shape}");
        }
        self.steps = self.steps.saturating_add(1);
        let t = self.steps as f64;
        let share = T::of(1.0 - self.decay.min((1.0 + t) / (10.0 + t)));
        if parameters.iter().any(|(_, param)| !param.value().device().is_cpu()) {
            return self.update_there(&parameters, share.to_f64());
        }
        for (path, param) in &parameters {
            if !self.values.contains_key(path) {
                // A copy, not shared storage: the optimiser goes on writing in place.
                let value = param.value();
                self.values.insert(path.clone(), Tensor::new(value.shape(), value.as_slice().to_vec()));
            }
        }
        let values: BTreeMap<&str, &Tensor<T>> =
            parameters.iter().map(|(path, param)| (path.as_str(), param.value())).collect();
        let averages: Vec<_> = (self.values.iter_mut())
            .filter_map(|(path, average)| {
                let value = *values.get(path.as_str())?;
                Some(Mutex::new((average.make_mut(), value.as_slice())))
            })
            .collect();
        in_order(averages.len(), threads, |k| {
            let (average, value) = &mut *averages[k].lock().unwrap_or_else(PoisonError::into_inner);
            for (e, &p) in average.iter_mut().zip(value.iter()) {
                *e += share * (p - *e);
            }
        });
    }

    /// The same on the card that the parameters lie on.
    fn update_there(&mut self, parameters: &[(String, &Param<T>)], share: f64) {
        for (path, param) in parameters {
            let value = param.value();
            let average = match self.values.get(path) {
                Some(average) => average.to(&value.device()).towards(value, share),
                None => value.towards(value, 0.0),
            };
            self.values.insert(path.clone(), average);
        }
    }

    /// Gives a model, the one that was averaged or any of its kind, the averages in place of its parameters.
    /// Parameters without an average stay as they are, all of them before the first [`update`](Self::update).
    ///
    /// # Panics
    /// Where an average has another shape than the parameter, or there are averages, but none for a parameter of the model.
    #[track_caller]
    pub fn put_into(&self, model: &mut impl Parameters<T>) {
        let (mut count, parameters) = (0, model.parameters_mut());
        let all = parameters.len();
        for (path, param) in parameters {
            let Some(average) = self.values.get(&path) else { continue };
            let (its, shape) = (average.shape(), param.value().shape());
            assert_eq!(its, shape, "ema: the average of {path:?} is {its}, and the parameter {shape}");
            *param.value_mut() = average.clone();
            count += 1;
        }
        let averages = self.values.len();
        assert!(
            count > 0 || all == 0 || averages == 0,
            "ema: the {averages} averages are of other parameters than the {all} of this model"
        );
    }
}

#[cfg(test)]
mod tests {
    use autograd::Param;

    use super::*;

    #[test]
    fn the_average_follows_its_formula_on_any_number_of_threads() {
        let mut weight = Param::new(Tensor::full([3], 1.0f64));
        let mut averages = [Ema::new(0.5), Ema::new(0.5)];
        let mut expected = 1.0;
        for t in 1..=20 {
            let value = f64::from(t * t);
            weight.value_mut().make_mut().fill(value);
            for (ema, threads) in averages.iter_mut().zip([1, 2]) {
                ema.update(&weight, threads);
            }
            let decay = (f64::from(1 + t) / f64::from(10 + t)).min(0.5);
            expected += (1.0 - decay) * (value - expected);
        }
        for ema in averages {
            assert_eq!(ema.steps, 20);
            assert!(ema.values[""].as_slice().iter().all(|e| (e - expected).abs() < 1e-12), "{ema:?}");
        }
    }
}

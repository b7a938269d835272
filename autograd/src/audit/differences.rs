//! Differences of the loss along directions in which all parameters move at once.
//!
//! In a plain random direction, parameters with large gradients would drown the others. Here each is moved by steps
//! inversely proportional to the norm of its gradient, entries up or down at random, so that each is expected to change
//! the loss by the same amount `δ`, and all `P` of them by `δ√P`. One gradient that is wrong by a part `r` of itself puts
//! that wrong by `r/√P`, which for a hundred parameters is seen from r = 1e-4 on. Finer errors are for
//! [`gradcheck`](crate::gradcheck()); the cost here is two forward passes.
//!
//! Differences err by rounding, and where a step crosses a kink: a large model has some unit of ReLU near 0, where it has
//! no derivative. Rounding wants long steps, kinks and curvature short ones. So there are several attempts in other
//! directions with shorter and shorter steps, of which one must agree. A kink is met by some; a wrong rule disagrees
//! along all.
//!
//! [`Dual`](crate::Dual) numbers would give the slope without a step. But the loss would have to be written for two number
//! types, ops that exist in `f64` alone could not be audited, and matrix products would run without vectors.

use crate::kernels::cpu::elementwise::dot;
use crate::rng::{self, Stream};
use crate::{Parameters, Tensor};

use super::trained;

/// The largest error that passes, relative to the expected change of the loss. Right rules stay far below it.
const TOLERANCE: f64 = 1e-5;

/// `δ` of the first attempt, relative to the loss.
const CHANGE: f64 = 1e-9;

/// Attempts, each with a step a quarter of the one before.
const ATTEMPTS: u32 = 4;

/// The longest step: gradients close to zero ask for steps on which nothing is straight.
const LONGEST: f64 = 1e-4;

/// A loss may be wrong by this many ε of itself: what is left of the rounding errors of its many sums.
const ROUNDINGS: f64 = 16.0;

/// Moves a model and measures the loss. When it is dropped the model is as it was.
pub(super) struct Differences<'m, M: Parameters<f64>, F: Fn(&M) -> f64> {
    model: &'m mut M,
    loss: F,
    /// The parameters that are not frozen, as they were.
    values: Vec<Tensor<f64>>,
    gradients: Vec<Tensor<f64>>,
    norms: Vec<f64>,
    /// What the loss is measured by: it is rounded as numbers of this size are.
    size: f64,
}

/// The change of the loss along one direction.
#[derive(Clone, Copy)]
pub(super) struct Difference {
    pub(super) analytic: f64,
    pub(super) numeric: f64,
    /// Their distance, relative to what can be expected, and the largest that passes.
    pub(super) error: f64,
    allowed: f64,
}

impl<'m, M: Parameters<f64>, F: Fn(&M) -> f64> Differences<'m, M, F> {
    pub(super) fn new(model: &'m mut M, gradients: Vec<Tensor<f64>>, value: f64, loss: F) -> Self {
        let values = trained(model).into_iter().map(|(_, param)| param.value().clone()).collect();
        let norms = gradients.iter().map(|g| dot(g.as_slice(), g.as_slice()).sqrt()).collect();
        // A loss near zero can be the difference of larger numbers, and is rounded as those are.
        Self { model, loss, values, gradients, norms, size: value.abs().max(1.0) }
    }

    /// The error of all gradients together, the model being put back; where they are wrong, the last wrong one in the given order.
    pub(super) fn compare(mut self, order: &[usize]) -> Result<f64, (usize, Difference)> {
        let mut suspects = order;
        let mut difference = match self.agree(suspects) {
            Ok(error) => return Ok(error),
            Err(difference) => difference,
        };
        while suspects.len() > 1 {
            let (early, late) = suspects.split_at(suspects.len() / 2);
            suspects = if self.agree(late).is_err() { late } else { early };
        }
        if let Err(alone) = self.agree(suspects) {
            difference = alone;
        }
        Err((suspects[0], difference))
    }

    /// The error along the first direction that agrees with the gradients of `chosen`, or else the last difference.
    fn agree(&mut self, chosen: &[usize]) -> Result<f64, Difference> {
        let mut worst = None;
        for attempt in 0..ATTEMPTS {
            let difference = self.along(chosen, attempt);
            // A NaN is no agreement.
            if difference.error <= difference.allowed {
                return Ok(difference.error);
            }
            worst = Some(difference);
        }
        worst.map_or(Ok(0.0), Err)
    }

    /// Moves the parameters `chosen` up and down along one direction.
    fn along(&mut self, chosen: &[usize], attempt: u32) -> Difference {
        let change = CHANGE * self.size * 0.25f64.powi(attempt as i32);
        let (mut analytic, mut expected) = (0.0, 0.0);
        let mut ends = [self.values.clone(), self.values.clone()];
        for &k in chosen {
            let step = (change / self.norms[k]).min(LONGEST);
            let mut signs = Stream::new(rng::derive(u64::from(attempt), k as u64));
            let [up, down] = ends.each_mut().map(|end| end[k].make_mut());
            for ((up, down), slope) in up.iter_mut().zip(down).zip(self.gradients[k].as_slice()) {
                let step = if signs.bits() & 1 == 0 { step } else { -step };
                *up += step;
                *down -= step;
                // What was really travelled, after rounding.
                analytic += slope * (*up - *down);
            }
            expected += (2.0 * step * self.norms[k]).powi(2);
        }
        let [up, down] = ends.map(|end| {
            self.set(&end);
            (self.loss)(self.model)
        });
        let numeric = up - down;
        let expected = expected.sqrt().max(f64::MIN_POSITIVE);
        let rounding = ROUNDINGS * f64::EPSILON * self.size;
        let error = (analytic - numeric).abs() / expected;
        Difference { analytic, numeric, error, allowed: TOLERANCE + rounding / expected }
    }

    fn set(&mut self, values: &[Tensor<f64>]) {
        let mut values = values.iter();
        self.model.for_each_mut(|_, param| {
            if param.is_frozen() {
                return;
            }
            if let Some(value) = values.next() {
                *param.value_mut() = value.clone();
            }
        });
    }
}

impl<M: Parameters<f64>, F: Fn(&M) -> f64> Drop for Differences<'_, M, F> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        self.set(&values);
    }
}

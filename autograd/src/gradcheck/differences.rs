//! Central differences of `⟨u, f⟩` along directions of one input, and what can be said of their errors.

use super::{GradCheck, Law, Mismatch, Report, largest, position, sign};
use crate::Tensor;
use crate::kernels::cpu::elementwise::dot;
use crate::rng::{self, Stream};

/// How many units in the last place a function's value may be off, being computed in many steps.
const ROUNDINGS: f64 = 4.0;

/// One-sided slopes that differ by more than this part of the scale are looked at for a kink. Those of a smooth function
/// differ by `h·f″`, about 1e-5.
const KINK: f64 = 1e-4;

/// Compares the gradient of `⟨u, f⟩` with respect to one input, `x`, with differences.
pub(super) struct Differences<'a, F> {
    pub(super) check: &'a GradCheck,
    /// What the input is called.
    pub(super) name: &'a str,
    pub(super) x: &'a Tensor<f64>,
    pub(super) analytic: &'a Tensor<f64>,
    /// The smallest scale errors are relative to: an input whose gradient is zero by mathematics is held to the scale
    /// of its neighbours.
    pub(super) floor: f64,
    /// `u`
    pub(super) cotangent: &'a Tensor<f64>,
    /// `f(x)`
    pub(super) centre: &'a Tensor<f64>,
    /// `f`, as a function of this input.
    pub(super) f: F,
}

/// Slopes of `⟨u, f⟩` along one direction, with one step.
#[derive(Clone, Copy)]
struct Slope {
    /// Of the central difference.
    value: f64,
    /// Behind and ahead of the point.
    sides: [f64; 2],
    /// How much of the value may be roundings of the function.
    rounding: f64,
}

impl Slope {
    /// How much the sides disagree.
    fn gap(self) -> f64 {
        (self.sides[1] - self.sides[0]).abs()
    }
}

/// Where the one-sided slopes disagree.
enum Kink {
    /// Not at all: the function is smooth here, if curved.
    None,
    /// Next to the point: this is the slope of a step that does not reach it.
    Nearby(Slope),
    /// At the point itself.
    Here(Slope),
}

/// A direction in the space of the input: by entry.
type Direction<'a> = &'a dyn Fn(usize) -> f64;

impl<F: FnMut(Tensor<f64>) -> Tensor<f64>> Differences<'_, F> {
    /// Compares every entry, or random directions where there are many.
    pub(super) fn compare(&mut self, report: &mut Report) -> Result<(), Mismatch> {
        report.inputs += 1;
        // The worst error, and the noise floor at its place.
        let (mut worst, mut noise) = (-1.0, 0.0);
        if self.x.len() <= self.check.entries {
            let slopes: Vec<Slope> =
                (0..self.x.len()).map(|i| self.slope(&|j| f64::from(i == j), 1.0)).collect();
            let scale = slopes.iter().map(|slope| slope.value.abs()).fold(largest(self.analytic), f64::max);
            for (i, &slope) in slopes.iter().enumerate() {
                let place = format!("entry {:?}", position(self.x.shape(), i));
                let direction = |j| f64::from(i == j);
                let analytic = self.analytic.as_slice()[i];
                let error = self.verdict(place, &direction, analytic, slope, scale, report)?;
                if error > worst {
                    (worst, noise) = (error, self.noise(&direction, slope, scale));
                }
            }
        } else {
            let norm = dot(self.analytic.as_slice(), self.analytic.as_slice()).sqrt();
            for k in 0..self.check.directions {
                let mut stream = Stream::new(rng::derive(self.check.seed, 1 + k as u64));
                let signs: Vec<f64> = (0..self.x.len()).map(|_| sign(&mut stream)).collect();
                let direction = |i: usize| signs[i];
                let slope = self.slope(&direction, 1.0);
                let analytic = dot(self.analytic.as_slice(), &signs);
                let place = format!("direction {k}");
                let error = self.verdict(place, &direction, analytic, slope, norm, report)?;
                if error > worst {
                    (worst, noise) = (error, self.noise(&direction, slope, norm));
                }
            }
        }
        report.noise_floor = report.noise_floor.max(noise);
        Ok(())
    }

    /// Slopes with `steps` times the usual step: `ε^⅓·max(1, |x|)` for one entry, `ε^⅓/n^¼` in each of `n` together.
    fn slope(&mut self, direction: Direction<'_>, steps: f64) -> Slope {
        let many = self.x.len() > self.check.entries;
        // Many entries together curve more than one, and their slope stands out more from roundings: a shorter step fits.
        let step = steps * f64::EPSILON.cbrt() / if many { (self.x.len() as f64).powf(0.25) } else { 1.0 };
        let (mut up, mut down) = (self.x.clone(), self.x.clone());
        let (mut ahead, mut behind, mut squared) = (0.0, 0.0, 0.0);
        for (i, (up, down)) in up.make_mut().iter_mut().zip(down.make_mut()).enumerate() {
            let d = direction(i);
            if d != 0.0 {
                let x = *up;
                let h = step * if many { 1.0 } else { x.abs().max(1.0) };
                *up += h * d;
                *down -= h * d;
                // What was really added, after rounding.
                ahead += (*up - x) * d;
                behind += (x - *down) * d;
                squared += d * d;
            }
        }
        let (ahead, behind) = (ahead / squared, behind / squared);
        let (up, down) = ((self.f)(up), (self.f)(down));
        let (mut rise, mut fall, mut both, mut size) = (0.0, 0.0, 0.0, 0.0);
        let ends = up.as_slice().iter().zip(down.as_slice());
        for ((up, down), (centre, u)) in
            ends.zip(self.centre.as_slice().iter().zip(self.cotangent.as_slice()))
        {
            rise += (up - centre) * u;
            fall += (centre - down) * u;
            both += (up - down) * u;
            size += (up * u).abs();
        }
        let travelled = ahead + behind;
        Slope {
            value: both / travelled,
            sides: [fall / behind, rise / ahead],
            rounding: ROUNDINGS * f64::EPSILON * size / travelled,
        }
    }

    /// The error at one place, or what is wrong there.
    fn verdict(
        &mut self,
        place: String,
        direction: Direction<'_>,
        analytic: f64,
        slope: Slope,
        scale: f64,
        report: &mut Report,
    ) -> Result<f64, Mismatch> {
        let tolerance = self.check.tolerance;
        // A NaN on either side is no agreement.
        let agrees = |error: f64| error <= tolerance;
        let mut numeric = slope.value;
        let mut scale = self.scale(slope, scale);
        let mut error = (analytic - numeric).abs() / scale;
        let kink = if slope.gap() > KINK * scale { self.kink(direction, slope) } else { Kink::None };
        match kink {
            Kink::None if agrees(error) => {}
            Kink::None => {
                // Of two steps together the term in h² cancels, which is the error of a curve. What is left of longer
                // ones is less rounded.
                for steps in [1.0, 4.0] {
                    let [short, long] = [steps, 2.0 * steps].map(|steps| self.slope(direction, steps).value);
                    numeric = (4.0 * short - long) / 3.0;
                    error = (analytic - numeric).abs() / scale;
                    if agrees(error) {
                        break;
                    }
                }
            }
            Kink::Nearby(closer) => {
                report.kinks += 1;
                scale = self.scale(closer, scale);
                numeric = closer.value;
                error = (analytic - numeric).abs() / scale;
            }
            Kink::Here(closer) => {
                report.kinks += 1;
                let [behind, ahead] = closer.sides;
                scale = self.scale(closer, scale);
                numeric = analytic.clamp(behind.min(ahead), behind.max(ahead));
                error = (analytic - numeric).abs() / scale;
            }
        }
        report.compared += 1;
        report.worst_error = report.worst_error.max(error);
        if agrees(error) {
            return Ok(error);
        }
        let noise = self.noise(direction, slope, scale);
        let (law, input) = (Law::Derivative, self.name.to_owned());
        Err(Mismatch { law, input, place, analytic, numeric, error, tolerance, noise, culprit: None })
    }

    /// What errors are relative to. No difference is finer than the function's own roundings: a gradient of zero, such
    /// as that of the sum of a softmax, is held to them, and to nothing smaller.
    fn scale(&self, slope: Slope, scale: f64) -> f64 {
        scale.max(self.floor).max(slope.rounding / self.check.tolerance).max(f64::MIN_POSITIVE)
    }

    /// What two steps disagree by.
    fn noise(&mut self, direction: Direction<'_>, slope: Slope, scale: f64) -> f64 {
        (self.slope(direction, 2.0).value - slope.value).abs() / self.scale(slope, scale)
    }

    /// What one-sided slopes that disagree come from. With a tenth of the step those of a curve disagree by a tenth;
    /// those at a kink by as much as before; those next to one by nothing, once the step does not reach it.
    fn kink(&mut self, direction: Direction<'_>, slope: Slope) -> Kink {
        let gap = slope.gap();
        let closer = [0.1, 0.01, 0.001].map(|steps| self.slope(direction, steps));
        let a_tenth = |ratio: f64| (0.05..0.2).contains(&ratio);
        if a_tenth(closer[0].gap() / gap) && a_tenth(closer[1].gap() / closer[0].gap()) {
            return Kink::None;
        }
        if closer[2].gap() > 0.5 * gap {
            return Kink::Here(closer[2]);
        }
        closer.into_iter().find(|slope| slope.gap() < 0.05 * gap).map_or(Kink::None, Kink::Nearby)
    }
}

//! What every backward pass owes, whatever it differentiates.

use super::{Law, Mismatch, largest, position};
use crate::Tensor;

/// How far from linear a rule may be by rounding, relative to the largest entry of what is added.
const ROUNDING: f64 = 1e-12;

/// The same bits twice.
pub(super) fn repeatable(
    names: &[String],
    first: &[Tensor<f64>],
    second: &[Tensor<f64>],
) -> Result<(), Mismatch> {
    for (k, name) in names.iter().enumerate() {
        for (i, (&a, &b)) in first[k].as_slice().iter().zip(second[k].as_slice()).enumerate() {
            if a.to_bits() != b.to_bits() {
                return Err(broken(Law::Repeatable, name, &first[k], i, [a, b], 0.0));
            }
        }
    }
    Ok(())
}

/// Nothing from nothing, exactly.
pub(super) fn zero(names: &[String], gradients: &[Tensor<f64>]) -> Result<(), Mismatch> {
    for (name, gradient) in names.iter().zip(gradients) {
        if let Some(i) = gradient.as_slice().iter().position(|&x| x != 0.0) {
            return Err(broken(Law::Zero, name, gradient, i, [gradient.as_slice()[i], 0.0], 0.0));
        }
    }
    Ok(())
}

/// The gradient of a sum of cotangents is the sum of theirs.
pub(super) fn linear(
    names: &[String],
    sum: &[Tensor<f64>],
    first: &[Tensor<f64>],
    second: &[Tensor<f64>],
) -> Result<(), Mismatch> {
    // What cancels in one input's gradient is rounded as the others' are.
    let scale = first.iter().chain(second).map(largest).fold(f64::MIN_POSITIVE, f64::max);
    for (k, name) in names.iter().enumerate() {
        let parts = first[k].as_slice().iter().zip(second[k].as_slice()).map(|(a, b)| a + b);
        for (i, (&whole, parts)) in sum[k].as_slice().iter().zip(parts).enumerate() {
            let off = (whole - parts).abs();
            if off > ROUNDING * scale {
                return Err(broken(Law::Linear, name, &sum[k], i, [whole, parts], off / scale));
            }
        }
    }
    Ok(())
}

fn broken(law: Law, name: &str, x: &Tensor<f64>, entry: usize, values: [f64; 2], error: f64) -> Mismatch {
    Mismatch {
        law,
        input: name.to_owned(),
        place: format!("entry {:?}", position(x.shape(), entry)),
        analytic: values[0],
        numeric: values[1],
        error,
        tolerance: if law == Law::Linear { ROUNDING } else { 0.0 },
        noise: 0.0,
        culprit: None,
    }
}

//! Faults of relu, gelu, silu, dropout, residual and mask_fill.

use super::{Fault, rule};
use crate::Key;
use crate::ops::dropout::Dropout;
use crate::ops::residual::Residual;

pub(super) static FAULTS: &[Fault] = &[
    rule("relu", "open at zero", "dx += dy where x ≥ 0 instead of x > 0", |pass| {
        pass.set(0, |pass, k| if pass.inputs[0].as_slice()[k] >= 0.0 { pass.dy.as_slice()[k] } else { 0.0 });
    }),
    rule("relu", "guided", "only positive gradients pass, as in guided backpropagation", |pass| {
        pass.set(0, |pass, k| pass.grads[0].as_slice()[k].max(0.0));
    }),
    rule("relu", "straight through", "dx += dy, wherever x is", |pass| pass.grads[0] = pass.dy.clone()),
    rule("gelu", "sigmoid form", "the derivative is that of the other approximation, x·σ(1.702x)", |pass| {
        pass.through(&[0], |_, x| x[0].scale(1.702).silu().scale(1.0 / 1.702));
    }),
    rule("gelu", "no inner derivative", "the derivative of the cubic term inside tanh is left out", |pass| {
        pass.set(0, |pass, k| {
            pass.dy.as_slice()[k] * gelu_slope(pass.inputs[0].as_slice()[k], 0.044_715, 0.0)
        });
    }),
    rule("gelu", "rounded constant", "the derivative has 0.0447 for 0.044715", |pass| {
        pass.set(0, |pass, k| {
            pass.dy.as_slice()[k] * gelu_slope(pass.inputs[0].as_slice()[k], 0.0447, 0.0447)
        });
    }),
    rule("silu", "no product rule", "dx += dy ∘ σ(x), without x·σ′(x)", |pass| {
        pass.set(0, |pass, k| pass.dy.as_slice()[k] / (1.0 + (-pass.inputs[0].as_slice()[k]).exp()));
    }),
    rule("dropout", "no mask", "the gradient of dropped entries flows on", |pass| {
        let p = pass.settings::<Dropout>().p;
        pass.set(0, |pass, k| pass.dy.as_slice()[k] / (1.0 - p));
    }),
    rule("dropout", "no scale", "the gradient is not divided by 1 − p", |pass| {
        pass.scale(0, 1.0 - pass.settings::<Dropout>().p);
    }),
    rule("dropout", "another mask", "the backward pass draws a mask of its own", |pass| {
        let &Dropout { p, ref key } = pass.settings();
        let key = Key::from(key.value() + 1);
        pass.through(&[0], |tape, x| tape.apply(Dropout { p, key: key.clone() }, [x[0]]));
    }),
    rule("residual", "no mask", "the gradient of dropped entries flows on", |pass| {
        let p = pass.settings::<Residual>().p;
        pass.set(1, |pass, k| pass.dy.as_slice()[k] / (1.0 - p));
    }),
    rule("residual", "masked way around", "the way around the sub-layer is dropped with it", |pass| {
        pass.grads[0] = pass.grads[1].clone();
    }),
    rule("mask_fill", "lets through", "filled entries get the gradient too", |pass| {
        pass.grads[0] = pass.dy.clone();
    }),
    rule("mask_fill", "inverted", "filled entries get the gradient, kept ones none", |pass| {
        pass.set(0, |pass, k| pass.dy.as_slice()[k] - pass.grads[0].as_slice()[k]);
    }),
];

/// The derivative of GELU's tanh form with `a` inside tanh, and `b` where its derivative has it once more.
fn gelu_slope(x: f64, a: f64, b: f64) -> f64 {
    let c = (2.0 / std::f64::consts::PI).sqrt();
    let t = (c * (x + a * x * x * x)).tanh();
    0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * c * (1.0 + 3.0 * b * x * x)
}

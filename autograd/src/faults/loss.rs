//! Faults of the two cross-entropies.

use super::{Fault, Pass, rule};
use crate::ops::cross_entropy::CrossEntropy;
use crate::ops::linear_cross_entropy::LinearCrossEntropy;
use crate::{Ids, Tensor};

pub(super) static FAULTS: &[Fault] = &[
    rule("cross_entropy", "no smoothing", "the rule is that of hard labels", |pass| {
        with(pass, |settings| Settings { smoothing: 0.0, ..settings });
    }),
    rule(
        "cross_entropy",
        "ε over V − 1",
        "the rule spreads ε over the other V − 1 classes, not over all V",
        |pass| {
            let settings = settings(pass);
            let (v, w) = (pass.inputs[0].shape().last(), settings.weight * pass.dy.item());
            pass.set(0, |pass, k| {
                let label = settings.targets.as_slice()[k / v];
                let right = pass.grads[0].as_slice()[k];
                let (even, others) = (settings.smoothing / v as f64, settings.smoothing / (v as f64 - 1.0));
                let wrong =
                    if (k % v) as u32 == label { right + w * even } else { right + w * (even - others) };
                if Some(label) == settings.ignore { 0.0 } else { wrong }
            });
        },
    ),
    rule("cross_entropy", "padding counts", "rows whose label is ignored get a gradient", |pass| {
        with(pass, |settings| Settings { ignore: None, ..settings });
    }),
    rule(
        "cross_entropy",
        "sum for a mean",
        "the gradient is that of the sum over rows, not of their mean",
        |pass| {
            with(pass, |settings| Settings { weight: 1.0, ..settings });
        },
    ),
    rule("cross_entropy", "no label", "dx += softmax(x), without the label", |pass| {
        let settings = settings(pass);
        let (v, w) = (pass.inputs[0].shape().last(), settings.weight * pass.dy.item());
        pass.set(0, |pass, k| {
            let (row, right) = (k / v, pass.grads[0].as_slice()[k]);
            let label = settings.targets.as_slice()[row];
            let hit = Some(label) != settings.ignore && (k % v) as u32 == label;
            right + if hit { w * (1.0 - settings.smoothing) } else { 0.0 }
        });
    }),
    rule(
        "linear_cross_entropy",
        "no upstream",
        "what the forward pass prepared is not multiplied by dy",
        |pass| {
            pass.dy = Tensor::scalar(1.0);
            let Settings { targets, smoothing, ignore, weight } = fused(pass);
            pass.through(&[0, 1], |_, x| {
                x[0].linear_cross_entropy_weighted(x[1], &targets, smoothing, ignore, weight)
            });
        },
    ),
    rule(
        "linear_cross_entropy",
        "last block only",
        "blocks of rows overwrite each other's dW instead of adding",
        |pass| {
            let last = (pass.inputs[0].shape().rows() - 1) / 256 * 256;
            let settings = fused(pass);
            // The labels of the earlier blocks are ignored.
            let labels = settings.targets.as_slice().iter().enumerate();
            let labels = labels.map(|(row, &label)| if row < last { NOTHING } else { label });
            let targets = Ids::new(settings.targets.shape(), labels.collect::<Vec<_>>());
            if last > 0 {
                let Settings { smoothing, weight, .. } = settings;
                pass.through(&[1], |_, x| {
                    x[0].linear_cross_entropy_weighted(x[1], &targets, smoothing, Some(NOTHING), weight)
                });
            }
        },
    ),
    rule(
        "linear_cross_entropy",
        "untransposed gradient",
        "dW += xᵀ·g, written as if it were gᵀ·x",
        |pass| {
            let right = &pass.grads[1];
            let &[v, d] = right.shape().as_slice() else { return };
            pass.grads[1] = Tensor::from_fn([v, d], |k| right.as_slice()[k % v * d + k / v]);
        },
    ),
    rule("linear_cross_entropy", "no smoothing", "the rule is that of hard labels", |pass| {
        let Settings { targets, ignore, weight, .. } = fused(pass);
        pass.through(&[0, 1], |_, x| x[0].linear_cross_entropy_weighted(x[1], &targets, 0.0, ignore, weight));
    }),
];

/// No class has this label.
const NOTHING: u32 = u32::MAX;

/// What both ops are told.
struct Settings {
    targets: Ids,
    smoothing: f64,
    ignore: Option<u32>,
    weight: f64,
}

fn settings(pass: &Pass<'_>) -> Settings {
    let op: &CrossEntropy = pass.settings();
    let &CrossEntropy { smoothing, ignore, weight, .. } = op;
    Settings { targets: op.targets.clone(), smoothing, ignore, weight }
}

fn fused(pass: &Pass<'_>) -> Settings {
    let op: &LinearCrossEntropy = pass.settings();
    let &LinearCrossEntropy { smoothing, ignore, weight, .. } = op;
    Settings { targets: op.targets.clone(), smoothing, ignore, weight }
}

/// Applies the rule of the cross-entropy with other settings.
fn with(pass: &mut Pass<'_>, change: impl Fn(Settings) -> Settings) {
    let Settings { targets, smoothing, ignore, weight } = change(settings(pass));
    pass.through(&[0], |_, x| x[0].cross_entropy_weighted(&targets, smoothing, ignore, weight));
}

//! Faults of softmax, masked_softmax, layer_norm and residual_layer_norm.

use super::{Fault, Pass, rule, setting, settings_mut};
use crate::ops::layer_norm::LayerNorm;
use crate::ops::masked_softmax::MaskedSoftmax;
use crate::ops::residual_layer_norm::ResidualLayerNorm;
use crate::{Keep, Tensor};

pub(super) static FAULTS: &[Fault] = &[
    rule("softmax", "no inner product", "dx += y ∘ dy, without ⟨dy, y⟩", |pass| {
        by_rows(pass, |_, _| 0.0);
    }),
    rule(
        "softmax",
        "plain mean",
        "the mean of dy is subtracted instead of the mean weighted with y",
        |pass| {
            by_rows(pass, |_, dy| dy.iter().sum::<f64>() / dy.len() as f64);
        },
    ),
    rule("softmax", "wrong axis", "⟨dy, y⟩ is summed over the whole tensor instead of the row", |pass| {
        let whole = inner(pass.output.as_slice(), pass.dy.as_slice());
        by_rows(pass, |_, _| whole);
    }),
    rule("softmax", "as log-softmax", "dx += dy − y·Σdy", |pass| {
        let n = pass.output.shape().last();
        pass.set(0, |pass, k| {
            let total: f64 = pass.dy.as_slice()[k / n * n..][..n].iter().sum();
            pass.dy.as_slice()[k] - pass.output.as_slice()[k] * total
        });
    }),
    rule(
        "softmax",
        "centred first",
        "the largest dy of each row is subtracted from the row before the rule",
        |pass| {
            let n = pass.output.shape().last();
            let largest =
                |k: usize| pass.dy.as_slice()[k / n * n..][..n].iter().copied().fold(f64::MIN, f64::max);
            pass.dy = Tensor::from_fn(pass.dy.shape(), |k| pass.dy.as_slice()[k] - largest(k));
            by_rows(pass, inner);
        },
    )
    .equivalent("y∘((dy − c) − ⟨dy − c, y⟩) = y∘(dy − c − ⟨dy, y⟩ + c·Σy) and Σy = 1, so that c cancels."),
    rule("residual_layer_norm", "no mask", "the gradient of dropped entries flows on", |pass| {
        let p = pass.settings::<ResidualLayerNorm>().p;
        let dh = pass.grads[0].clone();
        pass.set(1, |_, k| dh.as_slice()[k] / (1.0 - p));
    }),
    rule(
        "residual_layer_norm",
        "around the norm",
        "the way around is taken to lead past the norm, too",
        |pass| {
            pass.grads[0] = pass.dy.clone();
        },
    ),
    rule("masked_softmax", "no inner product", "dx += y ∘ dy, without ⟨dy, y⟩", |pass| {
        by_rows(pass, |_, _| 0.0);
    }),
    rule("masked_softmax", "no mask in the rule", "the backward pass knows of no mask", |pass| {
        pass.through(&[0], |_, x| x[0].softmax());
    }),
    setting("masked_softmax", "off by one", "each query sees one key more than it may", |op, shapes| {
        remask(op, shapes, |row| {
            if let Some(next) = row.iter().rposition(|&kept| kept).filter(|last| last + 1 < row.len()) {
                row[next + 1] = true;
            }
        });
    }),
    setting(
        "masked_softmax",
        "inverted",
        "what the flags keep is hidden, and the other way round",
        |op, shapes| {
            remask(op, shapes, |row| row.iter_mut().for_each(|kept| *kept = !*kept));
        },
    ),
    setting(
        "masked_softmax",
        "even where nothing is kept",
        "a query that may see nothing sees everything",
        |op, shapes| {
            remask(op, shapes, |row| {
                if !row.contains(&true) {
                    row.fill(true);
                }
            });
        },
    ),
    rule("layer_norm", "no mean", "the term mean(g) is left out", |pass| {
        norm_rows(pass, |g, x| projection(g, x, [0.0, 1.0]));
    }),
    rule("layer_norm", "no variance", "the term x̂·mean(g∘x̂) is left out", |pass| {
        norm_rows(pass, |g, x| projection(g, x, [1.0, 0.0]));
    }),
    rule("layer_norm", "constant moments", "mean and variance are taken for constants", |pass| {
        norm_rows(pass, |g, x| projection(g, x, [0.0, 0.0]));
    }),
    rule("layer_norm", "N − 1", "the rule is that of the variance over n − 1", |pass| {
        norm_rows(pass, |g, x| projection(g, x, [1.0, g.len() as f64 / (g.len() as f64 - 1.0)]));
    }),
    rule("layer_norm", "no ε in the rule", "the backward pass computes 1/σ without ε", |pass| {
        pass.through(&[0], |_, x| x[0].layer_norm(x[1], x[2], 0.0));
    }),
    rule("layer_norm", "ε outside the root", "the backward pass computes 1/σ as 1/(√var + ε)", |pass| {
        let LayerNorm { epsilon } = *pass.settings();
        let (n, right) = (pass.inputs[1].len(), pass.grads[0].clone());
        pass.set(0, |pass, k| {
            let row = &pass.inputs[0].as_slice()[k / n * n..][..n];
            let mean = row.iter().sum::<f64>() / n as f64;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n as f64;
            right.as_slice()[k] * (variance + epsilon).sqrt() / (variance.sqrt() + epsilon)
        });
    }),
    rule("layer_norm", "no gain", "g = dy instead of γ∘dy", |pass| {
        let one = Tensor::full(pass.inputs[1].shape(), 1.0);
        let LayerNorm { epsilon } = *pass.settings();
        pass.through(&[0], |tape, x| x[0].layer_norm(tape.constant(one.clone()), x[2], epsilon));
    }),
    rule("layer_norm", "γ by the input", "dγ += Σ dy∘x instead of Σ dy∘x̂", |pass| {
        let (x, n) = (pass.inputs[0].as_slice(), pass.inputs[1].len());
        let terms = x.chunks(n).zip(pass.dy.as_slice().chunks(n));
        let mut wrong = vec![0.0; n];
        terms.for_each(|(x, dy)| (0..n).for_each(|k| wrong[k] += x[k] * dy[k]));
        pass.grads[1] = Tensor::new([n], wrong);
    }),
    rule("layer_norm", "no row sum", "β gets the gradient of the first row only", |pass| {
        pass.set(2, |pass, k| pass.dy.as_slice()[k]);
    }),
    rule(
        "layer_norm",
        "mean taken last",
        "x̂·mean(g∘x̂) is subtracted first, then the mean of what is left",
        |pass| {
            norm_rows(pass, |g, x| {
                let rest = projection(g, x, [0.0, 1.0]);
                let mean = rest.iter().sum::<f64>() / rest.len() as f64;
                rest.into_iter().map(|rest| rest - mean).collect()
            });
        },
    )
    .equivalent("mean(g − x̂·m) = mean(g) − m·mean(x̂) and mean(x̂) = 0, so that the same mean is subtracted."),
];

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `dx += y ∘ (dy − c)` for the `c` of each row, which is `⟨y, dy⟩` in the right rule.
fn by_rows(pass: &mut Pass<'_>, c: impl Fn(&[f64], &[f64]) -> f64) {
    let n = pass.output.shape().last();
    let rows = pass.output.as_slice().chunks(n).zip(pass.dy.as_slice().chunks(n));
    let wrong = rows.flat_map(|(y, dy)| {
        let c = c(y, dy);
        y.iter().zip(dy).map(move |(y, dy)| y * (dy - c))
    });
    pass.grads[0] = Tensor::new(pass.output.shape(), wrong.collect());
}

/// `dx += rstd·f(g, x̂)` for `g = γ∘dy`; in the right rule `f` is `g − mean(g) − x̂·mean(g∘x̂)`.
fn norm_rows(pass: &mut Pass<'_>, f: impl Fn(&[f64], &[f64]) -> Vec<f64>) {
    let LayerNorm { epsilon } = *pass.settings();
    let (x, gamma) = (&pass.inputs[0], pass.inputs[1].as_slice());
    let n = gamma.len();
    let rows = x.as_slice().chunks(n).zip(pass.dy.as_slice().chunks(n));
    let wrong = rows.flat_map(|(x, dy)| {
        let mean = x.iter().sum::<f64>() / n as f64;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n as f64;
        let rstd = 1.0 / (variance + epsilon).sqrt();
        let normal: Vec<f64> = x.iter().map(|x| (x - mean) * rstd).collect();
        let g: Vec<f64> = gamma.iter().zip(dy).map(|(gamma, dy)| gamma * dy).collect();
        f(&g, &normal).into_iter().map(move |dx| rstd * dx)
    });
    pass.grads[0] = Tensor::new(x.shape(), wrong.collect());
}

/// `g − a·mean(g) − b·x̂·mean(g∘x̂)`
fn projection(g: &[f64], x: &[f64], [a, b]: [f64; 2]) -> Vec<f64> {
    let n = g.len() as f64;
    let (mean, product) = (g.iter().sum::<f64>() / n, inner(g, x) / n);
    g.iter().zip(x).map(|(g, x)| g - a * mean - b * x * product).collect()
}

/// Changes the flags of each row of a mask, stretched to the scores it is for.
fn remask(op: &mut dyn std::any::Any, shapes: &[crate::Shape], change: impl Fn(&mut [bool])) {
    let keep = &mut settings_mut::<MaskedSoftmax>(op).keep;
    let mut flags = keep.expand("masked_softmax", shapes[0]).to_vec();
    flags.chunks_mut(shapes[0].last()).for_each(change);
    *keep = Keep::new(shapes[0], flags);
}

//! Faults of the ops that only move numbers: concat, slice, reshape, permute, embedding, detach.

use super::{Fault, Pass, rule, setting, settings_mut};
use crate::ops::{concat::Concat, embedding::Embedding, permute::Permute, slice::Slice};
use crate::{Tape, Tensor};

pub(super) static FAULTS: &[Fault] = &[
    rule("concat", "no offset", "every part reads its gradient from the start", |pass| {
        let &Concat { axis } = pass.settings();
        for i in 0..pass.inputs.len() {
            let part = 0..pass.inputs[i].shape()[axis];
            pass.grads[i] = Tape::infer().constant(pass.dy.clone()).slice(axis, part).value();
        }
    }),
    rule(
        "slice",
        "no offset",
        "the gradient is written at the start of the axis instead of at the range",
        |pass| {
            let Slice { axis, range } = pass.settings();
            let (axis, start) = (*axis, 0..range.len());
            pass.through(&[0], |_, x| x[0].slice(axis, start.clone()));
        },
    ),
    rule(
        "slice",
        "one index late",
        "the gradient is written one index after its place, where there is room",
        |pass| {
            let Slice { axis, range } = pass.settings();
            let late = usize::from(range.end < pass.inputs[0].shape()[*axis]);
            let (axis, range) = (*axis, range.start + late..range.end + late);
            pass.through(&[0], |_, x| x[0].slice(axis, range.clone()));
        },
    ),
    rule("reshape", "by columns", "the gradient is read column by column", |pass| {
        let backwards: Vec<usize> = (0..pass.dy.shape().rank()).rev().collect();
        pass.grads[0] = permuted(pass, &backwards);
    }),
    rule("permute", "same order", "the gradient is permuted by the order instead of its inverse", |pass| {
        let order = pass.settings::<Permute>().order.clone();
        pass.grads[0] = permuted(pass, &order);
    }),
    rule("permute", "reshaped", "the gradient is reshaped instead of permuted back", |pass| {
        pass.grads[0] = pass.dy.reshape(pass.inputs[0].shape());
    }),
    setting(
        "permute",
        "heads not merged",
        "[B, H, T, d] is read as [B, T, D] without moving the heads back",
        |op, shapes| {
            let order = &mut settings_mut::<Permute>(op).order;
            // Merging, not splitting: here the second axis is that of the heads, of which there are fewer than words.
            if *order == [0, 2, 1, 3] && shapes[0][1] < shapes[0][2] {
                *order = vec![0, 1, 2, 3];
            }
        },
    ),
    rule(
        "embedding",
        "overwritten rows",
        "a word that occurs twice gets the gradient of one place",
        |pass| {
            let width = pass.dy.shape().last();
            let mut wrong = Tensor::zeros(pass.inputs[0].shape());
            for (dy, &id) in pass.dy.as_slice().chunks(width).zip(pass.settings::<Embedding>().ids.as_slice())
            {
                wrong.make_mut()[id as usize * width..][..width].copy_from_slice(dy);
            }
            pass.grads[0] = wrong;
        },
    ),
    rule("embedding", "row 0 frozen", "row 0 gets no gradient, as if it were padding", |pass| {
        let width = pass.dy.shape().last();
        pass.set(0, |pass, k| if k < width { 0.0 } else { pass.grads[0].as_slice()[k] });
    }),
    rule("detach", "lets through", "the gradient flows on as if nothing had been detached", |pass| {
        pass.grads[0] = pass.dy.clone();
    }),
];

/// The upstream gradient with its axes in another order, read as if it had the input's shape.
fn permuted(pass: &Pass<'_>, order: &[usize]) -> Tensor<f64> {
    Tape::infer().constant(pass.dy.clone()).permute(order).value().reshape(pass.inputs[0].shape())
}

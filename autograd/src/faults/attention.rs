//! Faults of attention: its rule, its heads and its mask. A wrong rule is that of the explained twin with something
//! wrong in it; packed rows have no twin, and keep the right rule there.

use super::{Fault, Pass, named, rule, setting, settings_mut};
use crate::ops::attention::{Attention, Packed};
use crate::{Ids, Shape, Tape, Tensor, Var};

pub(super) static FAULTS: &[Fault] = &[
    rule("attention", "no row sum", "dS = A∘dA, without rowsum(A∘dA)", |pass| {
        planted(pass, "masked_softmax", "no inner product");
    }),
    rule("attention", "no scale", "dQ and dK lack the factor 1/√d", |pass| planted(pass, "scale", "no factor")),
    rule("attention", "untransposed scores", "dK += dS·Q, written as if it were dSᵀ·Q", |pass| {
        planted(pass, "matmul", "untransposed gradient");
    }),
    rule("attention", "no mask in the rule", "the backward pass knows of no mask", |pass| {
        twin(pass, &[0, 1, 2], |settings| Attention { kept: None, ..settings });
    }),
    rule("attention", "no dropout in dV", "the backward pass takes the weights as they were before dropout for dV", |pass| {
        twin(pass, &[2], |settings| Attention { dropout: 0.0, ..settings });
    }),
    rule("attention", "no dropout in dA", "the gradient of dropped weights flows on into scores", |pass| {
        planted(pass, "dropout", "no mask");
    }),
    rule("attention", "another dropout mask", "the backward pass draws a mask of its own", |pass| {
        twin(pass, &[0, 1, 2], |settings| Attention { key: (settings.key.value() + 1).into(), ..settings });
    }),
    rule("attention", "swapped heads", "the first and the last head get each other's dV", |pass| {
        let (heads, width) = (pass.settings::<Attention>().heads, pass.dy.shape().last());
        let d = width / heads;
        pass.set(2, |pass, k| {
            let (row, head, column) = (k / width, k % width / d, k % d);
            let other = if head == 0 { heads - 1 } else if head == heads - 1 { 0 } else { head };
            pass.grads[2].as_slice()[row * width + other * d + column]
        });
    }),
    rule("attention", "last block only", "blocks of queries overwrite each other's dK instead of adding", |pass| {
        let &[_, queries, _] = pass.dy.shape().as_slice() else { return };
        let (last, width) = ((queries - 1) / 64 * 64, pass.dy.shape().last());
        let late = |k: usize| k / width % queries >= last;
        pass.dy = Tensor::from_fn(pass.dy.shape(), |k| if late(k) { pass.dy.as_slice()[k] } else { 0.0 });
        twin(pass, &[1], |settings| settings);
    }),
    rule("attention", "detached scores", "only values get a gradient: queries and keys are not trained", |pass| {
        pass.scale(0, 0.0);
        pass.scale(1, 0.0);
    }),
    rule("attention", "row sum by the output", "rowsum(A∘dA) is computed as rowsum(dO∘O)", by_output)
        .equivalent("Σⱼ Aᵢⱼ·dAᵢⱼ = Σⱼ Aᵢⱼ·mᵢⱼ·⟨dOᵢ, Vⱼ⟩ = ⟨dOᵢ, Σⱼ mᵢⱼ·Aᵢⱼ·Vⱼ⟩ = ⟨dOᵢ, Oᵢ⟩, with dropout's mask m or without."),
    setting("attention", "off by one", "each query sees one key more than it may: a causal mask leaks the next word", |op, shapes| {
        recount(op, shapes, |count, keys| (count + 1).min(keys));
    }),
    setting("attention", "strictly past", "each query sees one key less than it may, not even its own", |op, shapes| {
        recount(op, shapes, |count, _| count.saturating_sub(1));
    }),
    setting("attention", "mask ignored", "every query sees every key, padding and future included", |op, shapes| {
        recount(op, shapes, |_, keys| keys);
    }),
    setting("attention", "mask of the first sentence", "every sentence is masked like the first", |op, shapes| {
        let Attention { kept, packed: None, .. } = settings_mut(op) else { return };
        let queries = shapes[0][1];
        *kept = kept.take().map(|kept| {
            let first = &kept.as_slice()[..queries];
            Ids::new(kept.shape(), first.repeat(shapes[0][0]))
        });
    }),
    setting("attention", "packed off by one", "of packed sentences the second begins with the last key of the first", |op, _| {
        let Attention { packed: Some(Packed { keys, .. }), .. } = settings_mut(op) else { return };
        let mut moved = keys.as_slice().to_vec();
        if let [_, second, _, ..] = &mut moved[..] {
            *second = second.saturating_sub(1);
        }
        *keys = Ids::new(keys.shape(), moved);
    }),
    setting("attention", "even where nothing is kept", "a query that may see nothing sees everything", |op, shapes| {
        recount(op, shapes, |count, keys| if count == 0 { keys } else { count });
    }),
    setting("attention", "one head", "all heads are taken for one, with its softmax and its scale", |op, _| {
        settings_mut::<Attention>(op).heads = 1;
    }),
];

/// Applies the rule of the explained twin with other settings.
fn twin(pass: &mut Pass<'_>, which: &[usize], change: impl Fn(Attention) -> Attention) {
    let settings = change(pass.settings::<Attention>().clone());
    if settings.packed.is_some() {
        return;
    }
    pass.through(which, |_, x| x[0].attention_explained(x[1], x[2], &settings).0);
}

/// Applies the rule of the explained twin with another fault in one of its ops.
fn planted(pass: &mut Pass<'_>, op: &str, name: &str) {
    let Some(fault) = named(op, name) else { unreachable!("{op}: {name} is a fault") };
    let Some(settings) = masked(pass) else { return };
    pass.through(&[0, 1, 2], |tape, x| {
        tape.plant(fault);
        x[0].attention_explained(x[1], x[2], &settings).0
    });
}

/// The settings with a mask, be it one that keeps everything, so that the twin has a masked softmax;
/// `None` for packed rows.
fn masked(pass: &Pass<'_>) -> Option<Attention> {
    let (q, k) = (pass.inputs[0].shape(), pass.inputs[1].shape());
    let &[_, keys, _] = k.as_slice() else { return None };
    let settings = pass.settings::<Attention>().clone();
    let everything = || Ids::new([q.rows()], vec![keys as u32; q.rows()]);
    Some(Attention { kept: Some(settings.kept.unwrap_or_else(everything)), ..settings })
}

/// dQ and dK by the row sums that FlashAttention uses (Dao et al., 2022, appendix B.2).
fn by_output(pass: &mut Pass<'_>) {
    let Some(settings) = masked(pass) else { return };
    let (dy, output) = (pass.dy.clone(), pass.output.clone());
    let heads = settings.heads;
    let [batch, queries, width] = *dy.shape() else { return };
    let d = width / heads;
    // rowsum(dO∘O) of each head, [B, H, T, 1].
    let sums = Tensor::from_fn([batch, heads, queries, 1], |k| {
        let (sentence, head, query) = (k / (heads * queries), k / queries % heads, k % queries);
        let at = (sentence * queries + query) * width + head * d;
        (at..at + d).map(|k| dy.as_slice()[k] * output.as_slice()[k]).sum()
    });
    let tape = Tape::eval();
    let x: Vec<_> = pass.inputs.iter().map(|x| tape.input(x.clone())).collect();
    let mut steps = x[0].attention_explained(x[1], x[2], &settings).0.steps_from(dy);
    let Some(step) = steps.find(|step| step.op == "masked_softmax") else { return };
    let [a, da, sums] = [step.value, step.dy, sums].map(|x| tape.constant(x));
    let ds = (a * (da - sums)).value();
    let scores = Var { tape: &tape, id: tape.nodes()[step.node.index()].inputs[0] };
    let gradients = scores.backward_with(ds);
    for i in [0, 1] {
        if let Some(gradient) = gradients.wrt(x[i]) {
            pass.grads[i] = gradient.clone();
        }
    }
}

/// Changes how many keys each query may see of those of its sentence, where there is a mask.
fn recount(op: &mut dyn std::any::Any, shapes: &[Shape], change: impl Fn(u32, u32) -> u32) {
    let Attention { kept, packed, .. } = settings_mut(op);
    let keys: Vec<u32> = match packed {
        Some(packed) => {
            let [queries, keys] = [&packed.queries, &packed.keys].map(|starts| starts.as_slice().windows(2));
            let count = |pair: &[u32]| pair[1] - pair[0];
            let of_rows = queries.zip(keys);
            of_rows.flat_map(|(of, keys)| std::iter::repeat_n(count(keys), count(of) as usize)).collect()
        }
        None => vec![shapes[1][1] as u32; shapes[0].rows()],
    };
    *kept = kept.take().map(|kept| {
        let pairs = kept.as_slice().iter().zip(&keys);
        let changed: Vec<u32> = pairs.map(|(&kept, &keys)| change(kept, keys)).collect();
        Ids::new(kept.shape(), changed)
    });
}

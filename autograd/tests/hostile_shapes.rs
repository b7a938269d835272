//! Every op at shapes that nobody meant: axes of size 0, more entries than there is memory for, operands that do not fit.
//! Each works, and so does its rule, or it stops at the caller's line in words that begin with its name.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use autograd::ops::attention::{Attention, Packed};
use autograd::{Ids, Keep, Tape, Tensor, Var, ops};

/// An op by one of its settings.
type Call = for<'t> fn(&[Var<'t>], usize) -> Var<'t>;

/// The name that messages begin with, how many inputs and settings there are, and the call.
struct Subject(&'static str, usize, usize, Call);

const NONE: usize = 1 << 40;

const SHAPES: &[&[usize]] = &[
    &[],
    &[0],
    &[1],
    &[3],
    &[0, 3],
    &[3, 0],
    &[0, 0],
    &[2, 3],
    &[3, 3],
    &[NONE, 0],
    &[0, NONE],
    &[2, 0, 4],
    &[0, 3, 4],
    &[2, 3, 0],
    &[2, 3, 4],
    &[1 << 31, 0, 1 << 31],
    &[1, 1, 1, 1, 1, 1],
];

const SHARES: [f64; 7] = [0.0, 0.5, 1.0, -1.0, f64::NAN, f64::INFINITY, -0.0];

fn ids(k: usize) -> Ids {
    match k {
        0 => Ids::from([]),
        1 => Ids::from([0]),
        2 => Ids::from([2, 0, 2]),
        3 => Ids::from([u32::MAX, 1]),
        4 => Ids::new([2, 3], [0; 6]),
        5 => Ids::new([3, 2], [0; 6]),
        6 => Ids::new([NONE, 0], []),
        _ => Ids::new([1; 6], [1]),
    }
}
const IDS: usize = 8;

fn keep(k: usize) -> Keep {
    match k {
        0 => Keep::new([], [true]),
        1 => Keep::new([3], [true, false, true]),
        2 => Keep::new([3], [false; 3]),
        3 => Keep::new([2, 1], [true, false]),
        4 => Keep::new([0], []),
        _ => Keep::new([NONE, 0], []),
    }
}
const KEEPS: usize = 6;

fn settings(k: usize) -> Attention {
    let plain = Attention::plain([1, 2, 0, 3][k % 4]);
    let packed = |queries: &[usize], keys: &[usize]| Some(Packed::new(queries, keys));
    match k / 4 {
        0 => plain,
        1 => Attention { kept: Some(ids(2)), ..plain },
        2 => Attention { kept: Some([0, 1, 2, 3, u32::MAX, 0].into()), dropout: 0.5, ..plain },
        3 => Attention { dropout: SHARES[k % 4 + 2], ..plain },
        4 => Attention { packed: packed(&[1, 1], &[1, 1]), ..plain },
        5 => Attention { packed: packed(&[], &[]), ..plain },
        6 => Attention { packed: packed(&[0, 3], &[0, 3]), ..plain },
        _ => {
            let mut packed = Packed::new(&[1, 2], &[1, 2]);
            packed.keys = [0, 3].into();
            Attention { packed: Some(packed), ..plain }
        }
    }
}

const SUBJECTS: &[Subject] = &[
    Subject("add", 2, 1, |x, _| x[0] + x[1]),
    Subject("sub", 2, 1, |x, _| x[0] - x[1]),
    Subject("mul", 2, 1, |x, _| x[0] * x[1]),
    Subject("matmul", 2, 1, |x, _| x[0].matmul(x[1])),
    Subject("matmul", 2, 1, |x, _| x[0].matmul_nt(x[1])),
    Subject("matmul", 2, 1, |x, _| x[0].matmul_tn(x[1])),
    Subject("concat", 2, 4, |x, k| x[0].concat(x[1], [0, 1, 2, usize::MAX][k])),
    Subject("residual", 2, 1, |x, _| x[0].residual(x[1], 0.5)),
    Subject("linear", 2, 1, |x, _| x[0].linear(x[1], None)),
    Subject("linear", 3, 1, |x, _| x[0].linear(x[1], Some(x[2]))),
    Subject("linear_relu", 3, 1, |x, _| x[0].linear_relu(x[1], x[2])),
    Subject("linear_cross_entropy", 2, IDS, |x, k| {
        x[0].linear_cross_entropy(x[1], &ids(k), 0.1, Some(u32::MAX))
    }),
    Subject("linear_cross_entropy", 2, 7, |x, k| x[0].linear_cross_entropy(x[1], &ids(1), SHARES[k], None)),
    Subject("cross_entropy", 1, IDS, |x, k| x[0].cross_entropy(&ids(k), 0.1, Some(u32::MAX))),
    Subject("cross_entropy", 1, 7, |x, k| x[0].cross_entropy(&ids(1), SHARES[k], None)),
    Subject("layer_norm", 3, 1, |x, _| x[0].layer_norm(x[1], x[2], 1e-5)),
    Subject("layer_norm", 2, 7, |x, k| x[0].layer_norm(x[1], x[1], SHARES[k])),
    Subject("residual_layer_norm", 3, 1, |x, _| x[0].residual_layer_norm(x[1], 0.5, x[2], x[2], 1e-5)),
    Subject("residual_layer_norm", 2, 7, |x, k| x[0].residual_layer_norm(x[0], 0.0, x[1], x[1], SHARES[k])),
    Subject("attention", 3, 32, |x, k| x[0].attention(x[1], x[2], &settings(k))),
    Subject("softmax", 1, 1, |x, _| x[0].softmax()),
    Subject("masked_softmax", 1, KEEPS, |x, k| x[0].masked_softmax(&keep(k))),
    Subject("mask_fill", 1, KEEPS, |x, k| x[0].mask_fill(&keep(k), f64::NAN)),
    Subject("embedding", 1, IDS, |x, k| x[0].embedding(&ids(k))),
    Subject("permute", 1, 5, |x, k| x[0].permute([&[][..], &[0], &[1, 0], &[0, 0], &[2, 0, 1]][k])),
    Subject("transpose", 1, 1, |x, _| x[0].transpose()),
    Subject("reshape", 1, 4, |x, k| x[0].reshape([&[][..], &[6], &[0, 5], &[NONE, 0, 3]][k])),
    Subject("slice", 1, 6, |x, k| {
        let ranges = [0..0, 0..1, 1..3, 3..3, usize::MAX..usize::MAX, 0..usize::MAX];
        x[0].slice(0, ranges[k].clone())
    }),
    Subject("slice", 1, 3, |x, k| x[0].slice([1, 2, usize::MAX][k], 0..0)),
    Subject("dropout", 1, 7, |x, k| x[0].dropout(SHARES[k])),
    Subject("scale", 1, 7, |x, k| x[0].scale(SHARES[k])),
    Subject("sum", 1, 1, |x, _| x[0].sum()),
    Subject("mean", 1, 1, |x, _| x[0].mean()),
    Subject("relu", 1, 1, |x, _| x[0].relu()),
    Subject("gelu", 1, 1, |x, _| x[0].gelu()),
    Subject("silu", 1, 1, |x, _| x[0].silu()),
    Subject("detach", 1, 1, |x, _| x[0].detach()),
];

thread_local! {
    /// The message of the last panic of this thread, and the file that it names.
    static SAID: RefCell<(String, String)> = RefCell::default();
}

/// Panics of this thread are only noted, not shown, while `work` runs.
fn noted<R>(work: impl FnOnce() -> R) -> Option<R> {
    thread_local!(static NOTED: Cell<bool> = const { Cell::new(false) });
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = take_hook();
        set_hook(Box::new(move |info| {
            if !NOTED.get() {
                return shown(info);
            }
            let text = info.payload().downcast_ref::<String>().cloned();
            let text = text.or_else(|| info.payload().downcast_ref::<&str>().map(|&text| text.to_owned()));
            let file = info.location().map(|at| at.file().to_owned());
            SAID.set((text.unwrap_or_default(), file.unwrap_or_default()));
        }));
    });
    NOTED.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    NOTED.set(false);
    result.ok()
}

/// What is wrong with how an op takes inputs of these shapes, if something is.
fn judge(&Subject(name, _, _, call): &Subject, setting: usize, shapes: &[&[usize]]) -> Option<String> {
    let tape = Tape::train(1);
    let inputs: Vec<Var<'_>> = shapes.iter().map(|&shape| tape.input(Tensor::full(shape, 0.5))).collect();
    let Some(y) = noted(|| call(&inputs, setting)) else {
        let (said, file) = SAID.take();
        // Memory is asked for by its shape, before the op has a word.
        let own = said.starts_with(&format!("{name}: ")) || said.starts_with("tensor: no memory for [");
        return (!own || !file.ends_with("hostile_shapes.rs")).then(|| format!("{said:?} at {file}"));
    };
    if !y.needs_grad() {
        return None;
    }
    let Some(gradients) = noted(|| y.backward_with(Tensor::full(y.shape(), 1.0))) else {
        return Some(format!("the rule: {:?}", SAID.take()));
    };
    let fits = |&x: &Var<'_>| gradients.wrt(x).is_none_or(|gradient| gradient.shape() == x.shape());
    (!inputs.iter().all(fits)).then(|| "a gradient of another shape".to_owned())
}

#[test]
fn every_op_at_hostile_shapes_works_or_stops_in_its_own_words_at_the_callers_line() {
    let (mut wrong, mut calls) = (Vec::new(), 0);
    for subject in SUBJECTS {
        let &Subject(name, inputs, settings, _) = subject;
        for setting in 0..settings {
            for choice in 0..SHAPES.len().pow(inputs as u32) {
                let at = |i: usize| SHAPES[choice / SHAPES.len().pow(i as u32) % SHAPES.len()];
                let shapes: Vec<&[usize]> = (0..inputs).map(at).collect();
                // Of the many settings of attention, the later ones see one shape in three places.
                if setting > 4 && inputs == 3 && shapes.iter().any(|shape| shape != &shapes[0]) {
                    continue;
                }
                calls += 1;
                if let Some(what) = judge(subject, setting, &shapes) {
                    wrong.push(format!("{name}, setting {setting}, of {shapes:?}: {what}"));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {calls} calls:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(30)].join("\n")
    );
}

#[test]
fn every_op_there_is_meets_hostile_shapes() {
    let tried: BTreeSet<&str> = SUBJECTS.iter().map(|&Subject(name, ..)| name).collect();
    let untried: Vec<_> =
        ops::ALL.iter().map(|&(name, _)| name).filter(|name| !tried.contains(name)).collect();
    assert!(untried.is_empty(), "{untried:?}");
}

#[test]
fn results_larger_than_memory_are_refused_by_their_shape() {
    let tall = |tape: &Tape, shape: [usize; 2]| tape.input(Tensor::full(shape, 0.5)).id();
    let calls: [for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>; 4] =
        [|x, y| x + y, |x, y| x.matmul(y), |x, y| x.linear(y.transpose(), None), |x, y| x * y];
    for call in calls {
        let tape = Tape::eval();
        let [x, y] = [[1 << 21, 1], [1, 1 << 21]].map(|shape| tape.at(tall(&tape, shape)));
        assert_eq!(noted(|| call(x, y).shape()), None);
        let (said, file) = SAID.take();
        assert_eq!(said, "tensor: no memory for [2097152, 2097152] of f32, 16384.0 GiB");
        assert!(file.ends_with("hostile_shapes.rs"), "{file}");
    }
}

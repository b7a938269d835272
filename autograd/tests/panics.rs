//! Every public doc of this crate that says where something panics, and a call that does.
//!
//! The last test reads the sources: a doc with a section `# Panics` whose function is not in the table fails it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;

use autograd::buffer::Buffer;
use autograd::kernels::cpu::adam::AdamStep;
use autograd::kernels::cpu::attention::{Forward, Geometry, Span};
use autograd::kernels::cpu::broadcast::Binary;
use autograd::kernels::cpu::gemm::{Gemm, Matrix};
use autograd::kernels::cpu::panels::Panels;
use autograd::kernels::cpu::{attention, broadcast, crew, gemm, panels};
use autograd::kernels::{AdamItem, Gathered, Row, adam};
use autograd::ops::attention::{Attention, Packed};
use autograd::ops::permute::Permute;
use autograd::{
    Backward, Dependence, Gradients, Ids, Keep, Op, Param, Shape, Tape, Tensor, Var, audit, depends, hvp, jvp,
};

/// `(file:function, what is said, the call)`
type Panic = (&'static str, &'static str, fn());

/// More entries than can be counted, more than any memory holds, and more axes than a shape has.
const UNCOUNTABLE: [usize; 2] = [1 << 40, 1 << 40];
const ENDLESS: [usize; 2] = [1 << 30, 1 << 20];
const DEEP: [usize; 7] = [1; 7];

fn ones(shape: &[usize]) -> Tensor {
    Tensor::full(shape, 1.0)
}

fn wide(shape: &[usize]) -> Tensor<f64> {
    Tensor::full(shape, 1.0)
}

/// A training tape and inputs of these shapes on it.
fn on_tape<const N: usize>(shapes: [&[usize]; N], call: impl for<'t> FnOnce([Var<'t>; N]) -> Var<'t>) {
    let tape = Tape::train(1);
    call(shapes.map(|shape| tape.input(ones(shape))));
}

/// An op whose rule adds a gradient of another shape.
#[derive(Debug)]
struct Misshapen;

impl Op<f32, 1> for Misshapen {
    type Saved = ();
    const NAME: &'static str = "misshapen";
    const RULE: &'static str = "dx += a scalar";

    fn forward(&self, [x]: [&Tensor; 1]) -> (Tensor, ()) {
        (x.clone(), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, f32, 1>) {
        cx.grads[0].add(&Tensor::scalar(1.0));
    }
}

fn attended(change: impl FnOnce(&mut Geometry<'_>), backward: bool) {
    let spans = vec![Span { queries: 0..2, keys: 0..2 }];
    let mut geometry = Geometry { spans, heads: 1, width: 2, scale: 1.0, kept: None, dropout: None };
    change(&mut geometry);
    let (x, mut o, mut lse) = ([1.0f32; 4], [0.0; 4], [0.0; 2]);
    if backward {
        let forward = Forward { qkv: [&x[..]; 3], o: &x, lse: &[0.0; 2] };
        attention::attention_backward(&geometry, forward, &x, [Some((&mut o[..], false)), None, None]);
    } else {
        attention::attention(&geometry, [&x; 3], &mut o, &mut lse);
    }
}

fn step(change: impl FnOnce(&mut Gathered<'_, f32>)) {
    let x = ones(&[4, 2]);
    let row = Row { tensor: &x, first: 0 };
    let mut gathered =
        Gathered { keys: vec![row], values: vec![row], rows: vec![&[1]], kept: None, heads: 1, width: 2 };
    change(&mut gathered);
    Tape::infer().input(ones(&[1, 2])).attention_step(&gathered);
}

fn adam_of(gradient: &[usize]) {
    let mut values = [ones(&[2]), ones(&[2]), ones(&[2])];
    let [value, mean, square] = &mut values;
    let numbers = AdamStep {
        beta1: 0.9,
        beta2: 0.9,
        step_size: 0.1,
        epsilon: 1e-9,
        correction2_sqrt: 1.0,
        decoupled_decay: 0.0,
        l2: 0.0,
        grad_scale: 1.0,
    };
    let item = AdamItem { value, mean, square, gradient: &ones(gradient), decays: true };
    adam(vec![item], &numbers.into(), None, 0.0, 1);
}

fn swept(call: impl for<'t> FnOnce(Var<'t, f64>, Var<'t, f64>)) {
    let tape = Tape::eval();
    let x = tape.input(wide(&[2, 1]));
    let y = (x * x).sum();
    y.backward();
    call(x, y);
}

fn product(change: impl FnOnce(&mut Gemm<'_, f32>)) {
    let (x, mut c) = ([1.0; 4], [0.0; 4]);
    let a = Matrix::rows(&x, 2);
    let mut product = Gemm { size: (2, 2, 2), a, b: a, c: &mut c, c_stride: 2, scale: 1.0, keep: false };
    change(&mut product);
    gemm::product(product);
}

const PANICS: &[Panic] = &[
    ("anomaly.rs:first_anomaly", "is not a scalar", || {
        on_tape([&[2]], |[x]| {
            let y = x.scale(2.0);
            y.first_anomaly(&());
            y
        });
    }),
    ("anomaly.rs:first_anomaly", "has freed", || {
        swept(|_, y| {
            y.first_anomaly(&());
        });
    }),
    ("audit.rs:audit", "item: [2] has 2 entries", || {
        let mut weight = Param::new(wide(&[2]));
        let _ = audit(&mut weight, |_| None, |tape, weight| tape.param(weight).scale(2.0));
    }),
    ("backward.rs:backward", "is not a scalar", || {
        on_tape([&[2]], |[x]| {
            x.backward();
            x
        });
    }),
    ("backward.rs:backward", "backward: no parameter or input leads to", || {
        Tape::<f32>::eval().constant(Tensor::scalar(1.0)).backward();
    }),
    ("backward.rs:backward", "backward: this tape was swept before", || {
        swept(|_, y| {
            y.backward();
        });
    }),
    ("backward.rs:backward_with", "backward: the cotangent does not have the shape", || {
        on_tape([&[2]], |[x]| {
            x.scale(2.0).backward_with(ones(&[3]));
            x
        });
    }),
    ("backward.rs:steps", "is not a scalar", || {
        on_tape([&[2]], |[x]| {
            x.steps();
            x
        });
    }),
    ("backward.rs:steps_from", "backward: the cotangent does not have the shape", || {
        on_tape([&[2]], |[x]| {
            x.scale(2.0).steps_from(ones(&[3]));
            x
        });
    }),
    ("backward.rs:steps_from", "backward: no parameter or input leads to", || {
        Tape::<f32>::eval().constant(Tensor::scalar(1.0)).steps_from(Tensor::scalar(1.0));
    }),
    ("buffer.rs:stale", "buffer: no memory for 1125899906842624 entries of f32", || {
        Buffer::<f32>::stale(1 << 50);
    }),
    ("buffer.rs:stale", "buffer: no memory for 18446744073709551615 entries of f64", || {
        Buffer::<f64>::stale(usize::MAX);
    }),
    ("buffer.rs:filled", "buffer: no memory for 1125899906842624 entries of f32", || {
        Buffer::<f32>::filled(1 << 50, 1.0);
    }),
    ("depends.rs:depends", "depends: no rows 1..3 in [2, 1]", || {
        let tape = Tape::eval();
        let x = tape.input(wide(&[2, 1]));
        depends((x.scale(2.0), 0..1), (x, 1..3));
    }),
    ("depends.rs:depends", "has freed this tape", || {
        let tape = Tape::eval();
        let x = tape.input(wide(&[2, 1]));
        let y = x.scale(2.0);
        y.backward_with(wide(&[2, 1]));
        depends((y, 0..1), (x, 0..1));
    }),
    ("depends.rs:pulled", "has freed this tape", || {
        let tape = Tape::eval();
        let x = tape.input(wide(&[2, 1]));
        let y = x.scale(2.0);
        y.backward_with(wide(&[2, 1]));
        Dependence::pulled(y, x);
    }),
    ("depends.rs:sees", "depends: no rows 2..3 among 2", || {
        Dependence::expected(2, 2, |_, _| true).sees(2, 0);
    }),
    ("depends.rs:any", "depends: no rows 0..3 among 2", || {
        Dependence::expected(2, 2, |_, _| true).any(0..1, 0..3);
    }),
    ("dual.rs:dual", "dual: a tangent of [3] for a value of [2]", || {
        Tensor::dual(&wide(&[2]), &wide(&[3]));
    }),
    ("duality.rs:jvp", "dual: a tangent of [3] for a value of [2]", || {
        jvp(|_, x| x[0], &[wide(&[2])], &[wide(&[3])]);
    }),
    ("duality.rs:jvp", "dual: 0 directions for 1 inputs", || {
        jvp(|_, x| x[0], &[wide(&[2])], &[]);
    }),
    ("duality.rs:hvp", "is not a scalar", || {
        hvp(|_, x| x[0], &[wide(&[2])], &[wide(&[2])]);
    }),
    ("duality.rs:hvp", "dual: a tangent of [3] for a value of [2]", || {
        hvp(|_, x| x[0].sum(), &[wide(&[2])], &[wide(&[3])]);
    }),
    ("ids.rs:new", "ids: 2 entries do not fill [3]", || {
        Ids::new([3], [1, 2]);
    }),
    ("gradients.rs:wrt", "is on another tape than the loss", || {
        let [tape, other] = [Tape::<f32>::eval(), Tape::eval()];
        let x = tape.input(Tensor::scalar(1.0));
        let elsewhere = other.input(Tensor::scalar(1.0));
        (x * x).backward().wrt(elsewhere);
    }),
    ("gradients.rs:wrt", "is no input; ask for parameters with get", || {
        let tape = Tape::<f32>::eval();
        let x = tape.input(Tensor::scalar(1.0));
        let y = x * x;
        y.backward().wrt(y);
    }),
    ("gradients.rs:sum", "gradients: one part of a sum has [2] where another has [3]", || {
        let mut param = Param::new(ones(&[2]));
        let gradients = |param: &Param<f32>| {
            let tape = Tape::eval();
            tape.param(param).sum().backward()
        };
        let two = gradients(&param);
        *param.value_mut() = ones(&[3]);
        let _ = Gradients::sum(vec![two, gradients(&param)], 1);
    }),
    ("gradients.rs:clip_norm", "clip_norm: the limit NaN is not a number from 0 up", || {
        let tape = Tape::<f32>::eval();
        let x = tape.input(Tensor::scalar(1.0));
        (x * x).backward().clip_norm(f64::NAN);
    }),
    ("paths.rs:paths", "paths: none of the 1 parameters on this tape is of this model, which has 1", || {
        let [mine, other] = [(); 2].map(|()| Param::new(ones(&[2])));
        let tape = Tape::<f32>::eval();
        tape.param(&mine);
        tape.paths(&other);
    }),
    ("replay.rs:nth", "tape: no node #0", || {
        Tape::<f32>::eval().nth(0);
    }),
    ("ids.rs:new", "shape: [1099511627776, 1099511627776] has more entries", || {
        Ids::new(UNCOUNTABLE, []);
    }),
    ("keep.rs:new", "keep: 2 flags do not fill [3]", || {
        Keep::new([3], [true, false]);
    }),
    ("keep.rs:new", "shape: [1099511627776, 1099511627776] has more entries", || {
        Keep::new(UNCOUNTABLE, []);
    }),
    ("op.rs:forward", "permute: [0, 0] does not order the axes of [2, 3]", || {
        Op::<f32, 1>::forward(&Permute { order: vec![0, 0] }, [&ones(&[2, 3])]);
    }),
    ("op.rs:add", "gradient: a contribution of [] to an input of [2]", || {
        let tape = Tape::eval();
        tape.apply(Misshapen, [tape.input(ones(&[2]))]).backward_with(ones(&[2]));
    }),
    ("replay.rs:at", "tape: node #0 is of another tape", || {
        let elsewhere = Tape::<f32>::eval();
        let node = elsewhere.input(Tensor::scalar(1.0)).id();
        Tape::<f32>::eval().at(node);
    }),
    ("replay.rs:replay", "tape: node #2 is of another tape", || {
        let [tape, longer] = [Tape::<f32>::eval(), Tape::eval()];
        let x = tape.input(Tensor::scalar(1.0));
        let root = longer.input(Tensor::scalar(1.0)).scale(2.0).scale(2.0).id();
        tape.replay(x.id(), x.value(), root);
    }),
    ("replay.rs:replay", "replay: a value of [2] in the place of #0 input []", || {
        let tape = Tape::<f32>::eval();
        let x = tape.input(Tensor::scalar(1.0));
        tape.replay(x.id(), ones(&[2]), x.id());
    }),
    ("replay.rs:replay", "replay: no gradient flows into", || {
        let tape = Tape::<f32>::eval();
        let x = tape.constant(Tensor::scalar(1.0));
        tape.replay(x.id(), x.value(), x.id());
    }),
    ("replay.rs:rerun", "tape: node #0 is of another tape", || {
        let elsewhere = Tape::<f32>::eval();
        let node = elsewhere.input(Tensor::scalar(1.0)).id();
        Tape::<f32>::eval().rerun(node, &[]);
    }),
    ("replay.rs:rerun", "rerun: 1 inputs for the 2 of #1 mul", || {
        let tape = Tape::<f32>::eval();
        let x = tape.input(Tensor::scalar(1.0));
        tape.rerun((x * x).id(), &[&x.value()]);
    }),
    ("replay.rs:op_of", "tape: node #0 is of another tape", || {
        let elsewhere = Tape::<f32>::eval();
        let node = elsewhere.input(Tensor::scalar(1.0)).id();
        Tape::<f32>::eval().op_of(node, |_: &Permute| ());
    }),
    ("shape.rs:with", "shape: no axis 2 in [2, 3]", || {
        Shape::from([2, 3]).with(2, 1);
    }),
    ("shape.rs:with", "shape: [1099511627776, 1099511627776] has more entries", || {
        Shape::from([1 << 40, 1]).with(1, 1 << 40);
    }),
    ("shape.rs:without_last", "shape: a scalar has no last axis", || {
        Shape::SCALAR.without_last();
    }),
    ("shape.rs:from", "shape: [1099511627776, 1099511627776] has more entries", || {
        let _ = Shape::from(UNCOUNTABLE);
    }),
    ("shape.rs:from", "shape: [1, 1, 1, 1, 1, 1, 1] has more than 6 axes", || {
        let _ = Shape::from(DEEP);
    }),
    ("tape.rs:apply", "scale: an input belongs to another tape", || {
        let [tape, other] = [Tape::<f32>::eval(), Tape::eval()];
        tape.apply(autograd::ops::scale::Scale { factor: 1.0 }, [other.input(Tensor::scalar(1.0))]);
    }),
    ("tape.rs:apply", "was freed by the backward sweep", || {
        let tape = Tape::<f32>::eval();
        let y = tape.input(Tensor::scalar(1.0)).scale(2.0);
        y.sum().backward();
        y.scale(2.0);
    }),
    ("tape.rs:value", "was freed by the backward sweep", || {
        let tape = Tape::<f32>::eval();
        let y = tape.input(Tensor::scalar(1.0)).scale(2.0);
        y.sum().backward();
        y.value();
    }),
    ("tensor.rs:new", "tensor: 2 entries do not fill [3]", || {
        Tensor::new([3], vec![1.0, 2.0]);
    }),
    ("tensor.rs:new", "shape: [6148914691236517206, 3] has more entries", || {
        Tensor::new([6148914691236517206, 3], vec![1.0; 2]);
    }),
    ("tensor.rs:new", "shape: [8589934592, 2147483648] has more entries", || {
        Tensor::<f32>::new([1 << 33, 1 << 31], vec![]);
    }),
    ("tensor.rs:full", "tensor: no memory for [1073741824, 1048576] of f32, 4194304.0 GiB", || {
        Tensor::full(ENDLESS, 1.0f32);
    }),
    ("tensor.rs:zeros", "tensor: no memory for [1073741824, 1048576] of f64, 8388608.0 GiB", || {
        Tensor::<f64>::zeros(ENDLESS);
    }),
    ("tensor.rs:zeros", "tensor: no memory for [9223372036854775807] of f32", || {
        Tensor::<f32>::zeros([isize::MAX as usize]);
    }),
    ("tensor.rs:fill_with", "tensor: no memory for [1073741824, 1048576] of f32", || {
        Tensor::<f32>::fill_with(ENDLESS, |_| ());
    }),
    ("tensor.rs:put", "put: 3 entries do not fill [2]", || ones(&[2]).put(&[1.0; 3])),
    ("tensor.rs:item", "item: [2] has 2 entries, not one", || {
        ones(&[2]).item();
    }),
    ("tensor.rs:reshape", "reshape: [3] does not hold the entries of [2]", || {
        ones(&[2]).reshape([3]);
    }),
    ("tensor.rs:towards", "towards: [2] and [1, 2] differ", || {
        _ = ones(&[2]).towards(&ones(&[1, 2]), 0.5);
    }),
    ("tensor.rs:pick", "embedding: the table must be [V, D], not [2]", || {
        _ = ones(&[2]).pick(&[0].into());
    }),
    ("tensor.rs:pick", "embedding: id 2 is not among the 2 rows", || {
        _ = ones(&[2, 3]).pick(&[2].into());
    }),
    ("tensor.rs:from", "shape: [1, 1, 1, 1, 1, 1, 1] has more than 6 axes", || {
        let _ = Tensor::from(ndarray::ArrayD::<f32>::zeros(&DEEP[..]));
    }),
    ("ops/attention.rs:new", "attention: queries of 1 sentences, keys of 2", || {
        Packed::new(&[1], &[1, 1]);
    }),
    (
        "ops/attention.rs:new",
        "attention: sentences of 4294967295 rows after 1 are more than 2³² − 1",
        || {
            Packed::new(&[1, u32::MAX as usize], &[1, 1]);
        },
    ),
    ("ops/attention.rs:attention", "attention: q [1, 2, 4], k [1, 3, 4] and v [1, 2, 4] do not fit", || {
        on_tape([&[1, 2, 4], &[1, 3, 4], &[1, 2, 4]], |[q, k, v]| q.attention(k, v, &Attention::plain(2)));
    }),
    ("ops/attention.rs:attention", "attention: 3 heads do not divide 4 columns", || {
        on_tape([&[1, 2, 4]], |[x]| x.attention(x, x, &Attention::plain(3)));
    }),
    ("ops/attention.rs:attention", "attention: 5 counts for 2 queries", || {
        let settings = Attention { kept: Some([1; 5].into()), ..Attention::plain(2) };
        on_tape([&[1, 2, 4]], |[x]| x.attention(x, x, &settings));
    }),
    ("ops/attention.rs:attention", "attention: the probability NaN of dropout is not in [0, 1)", || {
        let settings = Attention { dropout: f64::NAN, ..Attention::plain(2) };
        on_tape([&[1, 2, 4]], |[x]| x.attention(x, x, &settings));
    }),
    ("ops/attention.rs:attention", "attention: sentences of [Some(2), Some(2)] rows", || {
        let mut packed = Packed::new(&[1, 1], &[1, 1]);
        packed.queries = [0, 5, 2].into();
        let settings = Attention { packed: Some(packed), ..Attention::plain(2) };
        on_tape([&[2, 4]], |[x]| x.attention(x, x, &settings));
    }),
    ("ops/attention.rs:attention_step", "this way to compute it is for tapes that record nothing", || {
        let x = ones(&[4, 2]);
        let row = Row { tensor: &x, first: 0 };
        let of = vec![row];
        let gathered =
            Gathered { keys: of.clone(), values: of, rows: vec![&[1]], kept: None, heads: 1, width: 2 };
        on_tape([&[1, 2]], |[q]| q.attention_step(&gathered));
    }),
    ("ops/attention.rs:attention_step", "attention_step: 0 heads of 2 columns are not for [1, 2]", || {
        step(|gathered| gathered.heads = 0);
    }),
    ("ops/attention.rs:attention_step", "attention_step: 2 numbers for 1 queries", || {
        step(|gathered| gathered.rows = vec![&[0, 1]]);
    }),
    ("ops/attention.rs:attention_step", "attention_step: row 4 of width 2 is not in [4, 2]", || {
        step(|gathered| gathered.rows = vec![&[4]]);
    }),
    ("ops/attention.rs:attention_step", "attention_step: row 18446744073709551615 of width 2", || {
        step(|gathered| gathered.keys[0].first = usize::MAX);
    }),
    ("ops/attention.rs:attention_explained", "attention: 3 heads do not divide 4 columns", || {
        on_tape([&[1, 2, 4]], |[x]| x.attention_explained(x, x, &Attention::plain(3)).0);
    }),
    ("ops/attention.rs:attention_explained", "attention_explained: queries must be [B, T, D]", || {
        let settings = Attention { packed: Some(Packed::new(&[2], &[2])), ..Attention::plain(2) };
        on_tape([&[2, 4]], |[x]| x.attention_explained(x, x, &settings).0);
    }),
    ("ops/concat.rs:concat", "concat: no axis 2 in [2, 3]", || {
        on_tape([&[2, 3], &[2, 3]], |[x, y]| x.concat(y, 2));
    }),
    ("ops/concat.rs:concat", "concat: [2, 4] does not continue [2, 3] along axis 0", || {
        on_tape([&[2, 3], &[2, 4]], |[x, y]| x.concat(y, 0));
    }),
    ("ops/cross_entropy.rs:cross_entropy", "cross_entropy: 1 labels for the 2 rows of [2, 4]", || {
        on_tape([&[2, 4]], |[x]| x.cross_entropy(&[0].into(), 0.0, None));
    }),
    (
        "ops/cross_entropy.rs:cross_entropy",
        "cross_entropy: labels of [3, 2] are not for rows of [2, 3]",
        || {
            on_tape([&[2, 3, 4]], |[x]| x.cross_entropy(&Ids::new([3, 2], [0; 6]), 0.0, None));
        },
    ),
    ("ops/cross_entropy.rs:cross_entropy", "cross_entropy: label 4 is not among the 4 classes", || {
        on_tape([&[1, 4]], |[x]| x.cross_entropy(&[4].into(), 0.0, None));
    }),
    ("ops/cross_entropy.rs:cross_entropy", "cross_entropy: the smoothing NaN is not in [0, 1)", || {
        on_tape([&[1, 4]], |[x]| x.cross_entropy(&[0].into(), f64::NAN, None));
    }),
    (
        "ops/cross_entropy.rs:cross_entropy_weighted",
        "cross_entropy: the smoothing 1 is not in [0, 1)",
        || {
            on_tape([&[1, 4]], |[x]| x.cross_entropy_weighted(&[0].into(), 1.0, None, 1.0));
        },
    ),
    ("ops/dropout.rs:dropout", "dropout: the probability 1 is not in [0, 1)", || {
        on_tape([&[2]], |[x]| x.dropout(1.0));
    }),
    ("ops/embedding.rs:embedding", "embedding: the table must be [V, D], not [2]", || {
        on_tape([&[2]], |[x]| x.embedding(&[0].into()));
    }),
    ("ops/embedding.rs:embedding", "embedding: id 2 is not among the 2 rows", || {
        on_tape([&[2, 3]], |[x]| x.embedding(&[2].into()));
    }),
    ("ops/layer_norm.rs:layer_norm", "layer_norm: [2, 3] needs γ and β of [3], not [2] and [3]", || {
        on_tape([&[2, 3], &[2], &[3]], |[x, g, b]| x.layer_norm(g, b, 1e-5));
    }),
    ("ops/layer_norm.rs:layer_norm", "layer_norm: the epsilon -1 is not a number from 0 on", || {
        on_tape([&[2, 3], &[3]], |[x, g]| x.layer_norm(g, g, -1.0));
    }),
    ("ops/layer_norm.rs:layer_norm", "layer_norm: the epsilon NaN is not a number from 0 on", || {
        on_tape([&[2, 3], &[3]], |[x, g]| x.layer_norm(g, g, f64::NAN));
    }),
    ("ops/linear.rs:linear", "linear: inner sizes differ: [3, 4] · [3, 2]ᵀ", || {
        on_tape([&[3, 4], &[3, 2]], |[x, w]| x.linear(w, None));
    }),
    ("ops/linear.rs:linear", "linear: the bias of [2, 3] must be [2]", || {
        on_tape([&[1, 3], &[2, 3], &[3]], |[x, w, b]| x.linear(w, Some(b)));
    }),
    ("ops/linear.rs:linear_by", "linear: inner sizes differ: [3, 4] · [3, 2]ᵀ", || {
        Tape::infer().input(ones(&[3, 4])).linear_by(&Param::new(ones(&[3, 2])), None);
    }),
    ("ops/linear.rs:linear_by", "linear: the bias of [2, 3] must be [2]", || {
        let [weight, bias] = [&[2, 3][..], &[3]].map(|shape| Param::new(ones(shape)));
        Tape::infer().input(ones(&[1, 3])).linear_by(&weight, Some(&bias));
    }),
    (
        "ops/linear_cross_entropy.rs:linear_cross_entropy_weighted",
        "linear_cross_entropy: inner sizes differ: [1, 3] · [2, 4]ᵀ",
        || {
            on_tape([&[1, 3], &[2, 4]], |[x, w]| {
                x.linear_cross_entropy_weighted(w, &[0].into(), 0.0, None, 1.0)
            });
        },
    ),
    (
        "ops/linear_cross_entropy.rs:linear_cross_entropy",
        "linear_cross_entropy: label 2 is not among the 2 classes",
        || on_tape([&[1, 3], &[2, 3]], |[x, w]| x.linear_cross_entropy(w, &[2].into(), 0.0, None)),
    ),
    (
        "ops/linear_cross_entropy.rs:linear_cross_entropy",
        "linear_cross_entropy: the smoothing -1 is not in [0, 1)",
        || on_tape([&[1, 3], &[2, 3]], |[x, w]| x.linear_cross_entropy(w, &[1].into(), -1.0, None)),
    ),
    ("ops/linear_relu.rs:linear_relu", "linear_relu: the bias of [2, 3] must be [2]", || {
        on_tape([&[1, 3], &[2, 3], &[3]], |[x, w, b]| x.linear_relu(w, b));
    }),
    ("ops/mask_fill.rs:mask_fill", "mask_fill: a mask of [2] does not broadcast to [3]", || {
        on_tape([&[3]], |[x]| x.mask_fill(&Keep::new([2], [true; 2]), 0.0));
    }),
    (
        "ops/masked_softmax.rs:masked_softmax",
        "masked_softmax: a mask of [2] does not broadcast to [3]",
        || {
            on_tape([&[3]], |[x]| x.masked_softmax(&Keep::new([2], [true; 2])));
        },
    ),
    ("ops/matmul.rs:matmul", "matmul: leading axes differ: [2, 2, 2] · [3, 2, 2]", || {
        on_tape([&[2, 2, 2], &[3, 2, 2]], |[a, b]| a.matmul(b));
    }),
    ("ops/matmul.rs:matmul_nt", "matmul: inner sizes differ: [2, 2] · [2, 3]ᵀ", || {
        on_tape([&[2, 2], &[2, 3]], |[a, b]| a.matmul_nt(b));
    }),
    ("ops/matmul.rs:matmul_tn", "matmul: matrices need two axes: [2] · [2, 3]", || {
        on_tape([&[2], &[2, 3]], |[a, b]| a.matmul_tn(b));
    }),
    ("ops/mean.rs:mean", "mean: [2, 0] has no entries", || on_tape([&[2, 0]], |[x]| x.mean())),
    ("ops/permute.rs:permute", "permute: [0, 0] does not order the axes of [2, 3]", || {
        on_tape([&[2, 3]], |[x]| x.permute(&[0, 0]));
    }),
    ("ops/permute.rs:transpose", "transpose: [2] has no two axes", || on_tape([&[2]], |[x]| x.transpose())),
    ("ops/reshape.rs:reshape", "reshape: [3] does not hold the entries of [2]", || {
        on_tape([&[2]], |[x]| x.reshape([3]));
    }),
    ("ops/residual.rs:residual", "residual: [2, 3] goes around [3]", || {
        on_tape([&[2, 3], &[3]], |[x, a]| x.residual(a, 0.0));
    }),
    ("ops/residual.rs:residual", "dropout: the probability -1 is not in [0, 1)", || {
        on_tape([&[2, 3], &[2, 3]], |[x, a]| x.residual(a, -1.0));
    }),
    ("ops/residual_layer_norm.rs:residual_layer_norm", "residual_layer_norm: [2, 3] goes around [3]", || {
        on_tape([&[2, 3], &[3]], |[x, a]| x.residual_layer_norm(a, 0.0, a, a, 1e-5));
    }),
    ("ops/residual_layer_norm.rs:residual_layer_norm", "dropout: the probability 1 is not in", || {
        on_tape([&[2, 3], &[3]], |[x, g]| x.residual_layer_norm(x, 1.0, g, g, 1e-5));
    }),
    ("ops/residual_layer_norm.rs:residual_layer_norm", "residual_layer_norm: the epsilon inf is not", || {
        on_tape([&[2, 3], &[3]], |[x, g]| x.residual_layer_norm(x, 0.0, g, g, f64::INFINITY));
    }),
    ("ops/slice.rs:slice", "slice: 1..3 of axis 0 is not within [2]", || {
        on_tape([&[2]], |[x]| x.slice(0, 1..3));
    }),
    ("ops/slice.rs:slice", "slice: 0..0 of axis 1 is not within [2]", || {
        on_tape([&[2]], |[x]| x.slice(1, 0..0));
    }),
    ("kernels/list.rs:adam", "adam: a parameter of [2], moments of [2] and [2], a gradient of [3]", || {
        adam_of(&[3]);
    }),
    ("kernels/cpu/attention.rs:attention", "attention: 0 heads do not divide 2 columns", || {
        attended(|g| g.heads = 0, false);
    }),
    ("kernels/cpu/attention.rs:attention", "is not within 2 queries and 2 keys", || {
        attended(|g| g.spans[0].keys = 1..usize::MAX, false);
    }),
    ("kernels/cpu/attention.rs:attention", "attention: 1 counts for 2 queries", || {
        attended(|g| g.kept = Some(&[1]), false);
    }),
    ("kernels/cpu/attention.rs:attention_backward", "no rows of 9223372036854775808 queries", || {
        attended(|g| g.width = 1 << 63, true);
    }),
    ("kernels/cpu/attention.rs:attention_backward", "attention: 2 sums for 2 heads of 2 queries", || {
        attended(|g| g.heads = 2, true);
    }),
    ("kernels/cpu/broadcast.rs:broadcast", "broadcast: [3] does not stretch to [2]", || {
        let shapes = [[3], [2]].map(Shape::from);
        broadcast::broadcast(
            Binary::Add,
            (&[1.0f32; 3], shapes[0]),
            (&[1.0; 2], shapes[1]),
            shapes[1],
            &mut [0.0; 2],
        );
    }),
    ("kernels/cpu/broadcast.rs:broadcast", "broadcast: 1 entries do not fill [2]", || {
        let shape = Shape::from([2]);
        broadcast::broadcast(Binary::Mul, (&[1.0f32], shape), (&[1.0; 2], shape), shape, &mut [0.0; 2]);
    }),
    ("kernels/cpu/broadcast.rs:reduce_broadcast", "broadcast: [3] does not stretch to [2]", || {
        let shapes = [[3], [2]].map(Shape::from);
        broadcast::reduce_broadcast((&[1.0f32; 2], shapes[1]), None, shapes[0], &mut [0.0; 3], false);
    }),
    ("kernels/cpu/crew.rs:split", "the piece", || crew::split(2, &|_| panic!("the piece"))),
    ("kernels/cpu/gemm.rs:gemm", "gemm: the right factor does not hold [2, 2]", || {
        let a = Matrix::rows(&[1.0f32; 4], 2);
        gemm::gemm((2, 2, 2), a, Matrix::rows(&[1.0; 3], 2), &mut [0.0; 4], false);
    }),
    ("kernels/cpu/gemm.rs:product", "gemm: the left factor does not hold [2, 2]", || {
        product(|product| product.a.row_stride = usize::MAX);
    }),
    ("kernels/cpu/gemm.rs:product", "gemm: the result does not hold [2, 2]", || {
        product(|product| product.c_stride = 1);
    }),
    ("kernels/cpu/panels.rs:new", "panels: no whole rows of 2 entries", || {
        Panels::new(&[1.0f32; 3], 2);
    }),
    ("kernels/cpu/panels.rs:new", "panels: no whole rows of 0 entries", || {
        Panels::<f32>::new(&[], 0);
    }),
    ("kernels/cpu/panels.rs:panel_product", "panel product: 3 and 2 entries are not rows of 2 and 1", || {
        panels::panel_product(&[1.0f32; 3], &Panels::new(&[1.0; 2], 2), None, &mut [0.0; 2]);
    }),
    ("kernels/cpu/panels.rs:panel_product", "panel product: not one bias for each output", || {
        panels::panel_product(&[1.0f32; 2], &Panels::new(&[1.0; 2], 2), Some(&[1.0; 2]), &mut [0.0]);
    }),
];

/// What only a card refuses: in the build without one there is nothing to call.
const OF_A_CARD: &[&str] = &[
    "ids.rs:restage",
    "op.rs:accumulate",
    "op.rs:open",
    "tensor.rs:as_slice",
    "tensor.rs:make_mut",
    "tensor.rs:to",
];

thread_local! {
    /// The message of the last panic of this thread, and the file that it names.
    static SAID: RefCell<(String, String)> = RefCell::default();
}

/// What a call says as it panics, and the file of the line that it blames.
fn said_by(call: impl FnOnce()) -> Option<(String, String)> {
    set_hook(Box::new(|info| {
        let text = info.payload().downcast_ref::<String>().cloned();
        let text = text.or_else(|| info.payload().downcast_ref::<&str>().map(|&text| text.to_owned()));
        let file = info.location().map(|at| at.file().to_owned());
        SAID.set((text.unwrap_or_default(), file.unwrap_or_default()));
    }));
    let panicked = catch_unwind(AssertUnwindSafe(call)).is_err();
    drop(take_hook());
    panicked.then(|| SAID.take())
}

#[test]
fn every_call_of_the_table_panics_in_its_words_at_the_line_of_the_caller() {
    let mut wrong = Vec::new();
    for &(name, words, call) in PANICS {
        match said_by(call) {
            None => wrong.push(format!("{name}: nothing was said of {words:?}")),
            Some((said, _)) if !said.contains(words) => {
                wrong.push(format!("{name}: {said:?} is not {words:?}"));
            }
            Some((said, file)) if !file.ends_with("panics.rs") => {
                wrong.push(format!("{name}: {said:?} blames {file}"));
            }
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[cfg(feature = "cuda")]
#[test]
fn what_a_card_refuses_is_refused() {
    use autograd::{Device, Slot, restage};

    /// An op whose rule looks at memory that is not here.
    #[derive(Debug)]
    struct Looks(fn(&mut Slot<f32>));

    impl Op<f32, 1> for Looks {
        type Saved = ();
        const NAME: &'static str = "looks";
        const RULE: &'static str = "dx += what is not here";
        fn forward(&self, [x]: [&Tensor; 1]) -> (Tensor, ()) {
            (x.clone(), ())
        }
        fn backward(&self, _: &(), cx: Backward<'_, f32, 1>) {
            self.0(&mut cx.grads[0]);
        }
    }

    let card: Device = match "emulator".parse() {
        Ok(card) => card,
        Err(error) => return println!("SKIPPED on {error}"),
    };
    let there = ones(&[2]).to(&card);
    let look = |rule: fn(&mut Slot<f32>)| {
        let tape = Tape::eval();
        tape.apply(Looks(rule), [tape.input(there.clone())]).backward_with(there.clone());
    };
    let ids = Ids::from([1]);
    let calls: [(&str, &dyn Fn()); 6] = [
        ("ids.rs:restage", &|| restage(&card, [&[&ids], &[]], [&[], &[&ids]])),
        ("op.rs:accumulate", &|| look(|slot| slot.accumulate(|_, _| ()))),
        ("op.rs:open", &|| look(|slot| _ = slot.open())),
        ("tensor.rs:as_slice", &|| _ = there.as_slice()),
        ("tensor.rs:make_mut", &|| _ = there.clone().make_mut()),
        ("tensor.rs:to", &|| drop(wide(&[2]).to(&card))),
    ];
    for (name, call) in calls {
        assert!(OF_A_CARD.contains(&name) && said_by(call).is_some(), "{name}: nothing was said");
    }
}

/// `file:function` of every public doc below `folder` that has a section `# Panics`.
fn documented(folder: &Path, source: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            // A card's own functions are held to their words where they are tested, in the emulator.
            if !entry.ends_with("cuda") {
                documented(&entry, source, found);
            }
            continue;
        }
        let (text, mut panics) = (fs::read_to_string(&entry).unwrap(), false);
        let file = entry.strip_prefix(source).unwrap().to_str().unwrap().replace('\\', "/");
        for line in text.lines().map(str::trim) {
            panics |= line == "/// # Panics";
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let name = match line.strip_prefix("fn ") {
                Some(name) => name.split(['(', '<']).next(),
                None if line.starts_with("impl") && line.contains("From<") => Some("from"),
                None => None,
            };
            if let (true, Some(name)) = (panics, name) {
                found.insert(format!("{file}:{name}"));
            }
            // Attributes and docs go on to the item; anything else ends them.
            panics &= line.starts_with("///") || line.starts_with("#[");
        }
    }
}

#[test]
fn every_public_doc_that_says_where_it_panics_is_in_the_table() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    documented(&source, &source, &mut found);
    let known: BTreeSet<String> =
        PANICS.iter().map(|&(name, ..)| name).chain(OF_A_CARD.iter().copied()).map(str::to_owned).collect();
    let missing: Vec<_> = found.difference(&known).collect();
    assert!(missing.is_empty(), "docs that no call of the table holds to their word: {missing:?}");
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "the table has what no doc says: {gone:?}");
}

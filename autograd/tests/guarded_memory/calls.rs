//! The calls: every public kernel, every op with its rule, and the constructors, with operands of which most fit.

use autograd::kernels::cpu::adam::{AdamStep, adam};
use autograd::kernels::cpu::attention::{Forward, Geometry, Span, attention, attention_backward};
use autograd::kernels::cpu::attention_step::attention_step;
use autograd::kernels::cpu::best::best_and_log_sum;
use autograd::kernels::cpu::broadcast::{Binary, broadcast, reduce_broadcast};
use autograd::kernels::cpu::cross_entropy::*;
use autograd::kernels::cpu::dropout::*;
use autograd::kernels::cpu::gemm::{Gemm, Matrix, gemm, product};
use autograd::kernels::cpu::layer_norm::*;
use autograd::kernels::cpu::panels::{Panels, panel_product};
use autograd::kernels::cpu::peak::{multiply_add_flops, multiply_adds};
use autograd::kernels::cpu::small_product::{rows_by_rows, small_product, transpose};
use autograd::kernels::cpu::softmax::*;
use autograd::kernels::cpu::{activation, crew, elementwise};
use autograd::kernels::{self, AdamItem, Gathered, Norm, Row};
use autograd::ops::attention::{Attention, Packed};
use autograd::{Dual, Float, Ids, Keep, Param, Shape, Tape, Tensor, Var, buffer, with_crew};

use super::generate::Generator;

/// A call in `f32`, in `f64` and in dual numbers.
pub(super) type Call = (&'static str, [fn(&Generator); 3]);

macro_rules! calls {
    ($($name:ident),* $(,)?) => {
        pub(super) const CALLS: &[Call] =
            &[$((stringify!($name), [$name::<f32>, $name::<f64>, $name::<Dual>])),*];
    };
}

calls![
    products,
    products_in_small,
    products_by_trait,
    transposes,
    panel_products,
    attends,
    attends_backward,
    attends_by_steps,
    normalises,
    weighs,
    costs,
    stretches,
    goes_entry_by_entry,
    goes_row_by_row,
    drops,
    activates,
    steps,
    steps_by_list,
    picks_the_best,
    runs,
    builds,
    reshapes,
    records,
    records,
    records,
    records,
    attends_on_a_tape,
    decodes,
];

/// A matrix of about `rows` by `columns`, transposed in memory or not.
fn matrix<'a, T: Float>(g: &Generator, data: &'a [T], rows: usize, columns: usize) -> Matrix<'a, T> {
    let matrix = if g.one_in(2) { Matrix::rows(data, columns) } else { Matrix::rows(data, rows).t() };
    let (row_stride, col_stride) = (g.size(matrix.row_stride), g.size(matrix.col_stride));
    Matrix { row_stride, col_stride, ..matrix }
}

/// Lets `run` have a product.
fn with_product<T: Float>(g: &Generator, plain: bool, run: impl FnOnce(Gemm<'_, T>)) {
    let (m, k, n) = (g.small(), g.small(), g.small());
    let (a, b, mut c) = (g.numbers::<T>(m * k), g.numbers::<T>(k * n), g.numbers::<T>(m * n));
    let (a, b) = if plain {
        (Matrix::rows(&a, g.size(k)), Matrix::rows(&b, g.size(n)))
    } else {
        (matrix(g, &a, m, k), matrix(g, &b, k, n))
    };
    let size = (g.size(m), g.size(k), g.size(n));
    let (scale, keep) = (T::of(g.number()), g.one_in(2));
    run(Gemm { size, a, b, c: &mut c, c_stride: g.size(n), scale, keep });
}

fn products<T: Float>(g: &Generator) {
    let contiguous = g.one_in(2);
    with_product::<T>(g, false, |whole| {
        if contiguous {
            let Gemm { size, a, b, c, keep, .. } = whole;
            gemm(size, a, b, c, keep);
        } else {
            product(whole);
        }
    });
}

fn products_in_small<T: Float>(g: &Generator) {
    let by_rows = g.one_in(2);
    with_product::<T>(g, true, |product| match by_rows {
        true => rows_by_rows(Gemm { b: product.b.t(), ..product }),
        false => small_product(product),
    });
}

/// What is hidden from the documentation can be called all the same.
fn products_by_trait<T: Float>(g: &Generator) {
    with_product::<T>(g, false, |product| T::gemm(product));
}

fn transposes<T: Float>(g: &Generator) {
    let (rows, n) = (g.small(), g.small());
    let x = g.numbers::<T>(rows * n);
    let stride = rows + g.below(4);
    let mut out = g.numbers::<T>(n * stride);
    let x = Matrix { data: &x, row_stride: g.size(n), col_stride: if g.one_in(12) { g.size(1) } else { 1 } };
    transpose(x, g.size(rows), g.size(n), &mut out, g.size(stride));
}

fn panel_products<T: Float>(g: &Generator) {
    let (rows, inputs, outputs) = (g.small() % 16, g.small(), g.small() * if g.one_in(3) { 3 } else { 1 });
    let (x, weight, bias) =
        (g.numbers::<T>(rows * inputs), g.numbers::<T>(outputs * inputs), g.numbers::<T>(outputs));
    let mut y = g.numbers::<T>(rows * outputs);
    let panels = Panels::new(&weight, g.size(inputs));
    panel_product(&x, &panels, g.one_in(2).then_some(&bias[..]), &mut y);
}

/// What attention is asked for: sentences whose rows follow each other, for the most part.
fn with_geometry(g: &Generator, run: impl FnOnce(&Generator, Geometry<'_>, [usize; 3])) {
    let (heads, d) = (1 + g.below(3), [1, 2, 8, 5, 17][g.below(5)]);
    let (mut queries, mut keys, mut spans) = (0, 0, Vec::new());
    for _ in 0..g.below(4) {
        let (some, others) = (g.below(6), if g.one_in(12) { 260 + g.below(9) } else { g.below(6) });
        let ends = [g.size(queries + some), g.size(keys + others)];
        spans.push(Span { queries: queries..ends[0], keys: keys..ends[1] });
        (queries, keys) = (queries + some, keys + others);
    }
    let kept = g.ids(queries, keys + 2);
    let geometry = Geometry {
        spans,
        heads: g.size(heads),
        width: g.size(heads * d),
        scale: g.number(),
        kept: g.one_in(2).then_some(&kept[..]),
        dropout: g.one_in(2).then(|| (g.share(), g.bits())),
    };
    run(g, geometry, [queries * heads * d, keys * heads * d, queries * heads]);
}

fn attends<T: Float>(g: &Generator) {
    with_geometry(g, |g, geometry, [queries, keys, sums]| {
        let [q, mut o, mut lse] = [queries, queries, sums].map(|count| g.numbers::<T>(count));
        let [k, v] = [keys, keys].map(|count| g.numbers::<T>(count));
        attention(&geometry, [&q, &k, &v], &mut o, &mut lse);
    });
}

fn attends_backward<T: Float>(g: &Generator) {
    with_geometry(g, |g, geometry, [queries, keys, sums]| {
        let [q, o, d_o, mut dq] = [queries; 4].map(|count| g.numbers::<T>(count));
        let [k, v, mut dk, mut dv] = [keys; 4].map(|count| g.numbers::<T>(count));
        let lse = g.numbers::<T>(sums);
        let forward = Forward { qkv: [&q, &k, &v], o: &o, lse: &lse };
        let grads = [&mut dq, &mut dk, &mut dv].map(|x| (!g.one_in(4)).then(|| (&mut x[..], g.one_in(2))));
        attention_backward(&geometry, forward, &d_o, grads);
    });
}

/// Lets `run` have keys and values that were gathered, and queries for them.
fn with_gathered<T: Float>(g: &Generator, run: impl FnOnce(&Generator, &Gathered<'_, T>, usize)) {
    let (heads, d, queries, positions) =
        (1 + g.below(3), [1, 4, 8, 9, 33][g.below(5)], g.below(5), g.below(7));
    let (width, rows) = (heads * d, 1 + g.below(5));
    let tensors: Vec<Tensor<T>> = (0..2)
        .map(|_| {
            let columns = if g.one_in(12) { g.below(40) } else { width };
            g.tensor(Shape::from([rows * 2, columns]))
        })
        .collect();
    let numbers: Vec<Vec<u32>> = (0..positions).map(|_| g.ids(queries, rows)).collect();
    let kept = g.ids(queries, positions + 2);
    let of = |tensor| -> Vec<Row<'_, T>> {
        let count = g.length(positions);
        (0..count).map(|_| Row { tensor, first: g.size(rows) }).collect()
    };
    let (keys, values) = (of(&tensors[0]), of(&tensors[1]));
    let gathered = Gathered {
        keys,
        values,
        rows: numbers.iter().map(Vec::as_slice).collect(),
        kept: g.one_in(2).then_some(&kept),
        heads: g.size(heads),
        width: g.size(width),
    };
    run(g, &gathered, queries * width);
}

fn attends_by_steps<T: Float>(g: &Generator) {
    with_gathered::<T>(g, |g, gathered, entries| {
        let (q, mut o) = (g.numbers::<T>(entries), g.numbers::<T>(entries));
        attention_step(gathered, &q, &mut o);
    });
}

fn normalises<T: Float>(g: &Generator) {
    let (rows, n) = (g.small(), g.small());
    let [x, dy, mut y] = [(); 3].map(|()| g.numbers::<T>(rows * n));
    let [gamma, beta, mut dgamma, mut dbeta] = [(); 4].map(|()| g.numbers::<T>(n));
    let [mut mean, mut rstd] = [(); 2].map(|()| g.numbers::<T>(rows));
    let (keep, n) = (g.one_in(2), g.size(n));
    match g.below(3) {
        0 => layer_norm(&x, &gamma, &beta, &mut y, &mut mean, &mut rstd, n, T::of(g.number())),
        1 => layer_norm_backward(&x, &gamma, &mean, &rstd, &dy, &mut y, n, keep),
        _ => {
            let [gamma, beta] =
                [&mut dgamma, &mut dbeta].map(|x| if g.one_in(3) { None } else { Some(&mut x[..]) });
            layer_norm_param_backward(&x, &mean, &rstd, &dy, gamma, beta, n, keep, !keep);
        }
    }
}

fn weighs<T: Float>(g: &Generator) {
    let (rows, n) = (g.small(), g.small());
    let [x, dy, mut y] = [(); 3].map(|()| g.numbers::<T>(rows * n));
    let (kept, flags) = (g.ids(rows, n + 2), g.flags(rows * n));
    let n = g.size(n);
    match g.below(5) {
        0 => softmax(&x, &mut y, n),
        1 => softmax_prefix(&x, &mut y, n, &kept),
        2 => softmax_prefix_in_place(&mut y, n, g.one_in(2).then_some(&kept[..])),
        3 => softmax_masked(&x, &mut y, n, &flags),
        _ => softmax_backward(&x, &dy, &mut y, n, g.one_in(2)),
    }
}

fn costs<T: Float>(g: &Generator) {
    let (rows, n) = (g.small(), g.small());
    let [mut x, mut dx] = [(); 2].map(|()| g.numbers::<T>(rows * n));
    let (targets, mut lse) = (g.ids(rows, n), g.numbers::<T>(rows));
    let (ignore, smoothing, n) = (g.below(5) as u32, T::of(g.share()), g.size(n));
    match g.below(3) {
        0 => _ = cross_entropy(&x, &targets, ignore, smoothing, &mut lse, n),
        1 => {
            let (scale, keep) = (T::of(g.number()), g.one_in(2));
            cross_entropy_backward(&x, &targets, ignore, smoothing, &lse, scale, &mut dx, n, keep);
        }
        _ => _ = cross_entropy_in_place(&mut x, &targets, ignore, smoothing, T::ONE, n),
    }
}

fn stretches<T: Float>(g: &Generator) {
    let shape = g.shape();
    let operand = || {
        let mut sizes = shape.to_vec();
        if !sizes.is_empty() && g.one_in(2) {
            sizes = sizes.split_off(g.below(sizes.len()));
        }
        for size in &mut sizes {
            if g.one_in(3) {
                *size = 1;
            }
        }
        let shape = Shape::from(sizes.as_slice());
        let entries = if shape.len() < 1 << 12 { shape.len() } else { 7 };
        (g.numbers::<T>(entries), shape)
    };
    let ((a, a_shape), (b, b_shape)) = (operand(), operand());
    let mut y = g.numbers::<T>(shape.len().min(1 << 12));
    let shape = if g.one_in(12) { g.shape() } else { shape };
    let f = *g.one_of(&[Binary::Add, Binary::Sub, Binary::Mul]);
    if g.one_in(2) {
        broadcast(f, (&a, a_shape), (&b, b_shape), shape, &mut y);
    } else {
        let (mut dx, dy) = (a, y);
        let factor = g.one_in(2).then_some((&b[..], b_shape));
        reduce_broadcast((&dy, shape), factor, a_shape, &mut dx, g.one_in(2));
    }
}

fn goes_entry_by_entry<T: Float>(g: &Generator) {
    let n = g.small() * 9;
    let [a, b, mut y] = [(); 3].map(|()| g.numbers::<T>(n));
    let (k, keep) = (T::of(g.number()), g.one_in(2));
    match g.below(12) {
        0 => elementwise::add(&a, &b, &mut y),
        1 => elementwise::sub(&a, &b, &mut y),
        2 => elementwise::mul(&a, &b, &mut y),
        3 => elementwise::scale(&a, k, &mut y, keep),
        4 => elementwise::scale_assign(&mut y, k),
        5 => elementwise::add_assign(&mut y, &a),
        6 => elementwise::mul_backward(&a, &b, &mut y, keep),
        7 => elementwise::copy_or_add(&a, &mut y, keep),
        8 => _ = elementwise::dot(&a, &b),
        9 => _ = elementwise::sum(&a),
        10 => _ = elementwise::sum_of_squares(&a),
        _ => _ = elementwise::all_finite(&a),
    }
}

fn goes_row_by_row<T: Float>(g: &Generator) {
    let (rows, n) = (g.small(), g.small());
    let [x, mut y] = [(); 2].map(|()| g.numbers::<T>(rows * n));
    let mut row = g.numbers::<T>(n);
    match g.below(3) {
        0 => elementwise::add_row(&x, &row, &mut y, g.size(n)),
        1 => elementwise::fill_rows(&row, &mut y),
        _ => elementwise::sum_rows(&x, &mut row, g.size(n), g.one_in(2)),
    }
}

fn drops<T: Float>(g: &Generator) {
    let n = g.small();
    let [x, residual, mut y] = [(); 3].map(|()| g.numbers::<T>(n));
    let (p, key) = (g.share(), g.bits());
    match g.below(4) {
        0 => dropout(&x, &mut y, key, p),
        1 => dropout_backward(&x, &mut y, key, p, g.one_in(2)),
        2 => dropout_add(&x, &residual, &mut y, key, p),
        _ => {
            let (rows, stride) = (g.small(), n + g.below(3));
            let mut x = g.numbers::<T>(rows * stride);
            let at = if g.one_in(2) { g.bits() } else { u64::MAX - 5 };
            let (stride, n) = (g.size(stride), g.size(n));
            dropout_rows_in_place_at(&mut x, stride, n, key, p, at, g.bits());
        }
    }
}

fn activates<T: Float>(g: &Generator) {
    let n = g.small() * 3;
    let [x, dy, mut y] = [(); 3].map(|()| g.numbers::<T>(n));
    let keep = g.one_in(2);
    match g.below(7) {
        0 => activation::relu(&x, &mut y),
        1 => activation::relu_in_place(&mut y),
        2 => activation::relu_backward(&x, &dy, &mut y, keep),
        3 => activation::gelu(&x, &mut y),
        4 => activation::gelu_backward(&x, &dy, &mut y, keep),
        5 => activation::silu(&x, &mut y),
        _ => activation::silu_backward(&x, &dy, &mut y, keep),
    }
}

fn adam_step<T: Float>(g: &Generator) -> AdamStep<T> {
    let [beta1, beta2, step_size, epsilon, correction2_sqrt, decoupled_decay, l2, grad_scale] =
        [(); 8].map(|()| T::of(g.number()));
    AdamStep { beta1, beta2, step_size, epsilon, correction2_sqrt, decoupled_decay, l2, grad_scale }
}

fn steps<T: Float>(g: &Generator) {
    let n = g.small();
    let [mut p, mut m, mut v, grads] = [(); 4].map(|()| g.numbers::<T>(n));
    adam(&mut p, &mut m, &mut v, &grads, &adam_step(g));
}

fn steps_by_list<T: Float>(g: &Generator) {
    let shape = Shape::from([g.small(), 1 + g.below(3)]);
    let mut tensors: Vec<[Tensor<T>; 4]> = Vec::new();
    for _ in 0..g.below(3) {
        tensors.push([(); 4].map(|()| {
            let shape = if g.one_in(24) { g.shape() } else { shape };
            g.tensor(shape)
        }));
    }
    let decays = g.one_in(2);
    let items = tensors.iter_mut().map(|[value, mean, square, gradient]| AdamItem {
        value,
        mean,
        square,
        gradient,
        decays,
    });
    let items = items.collect();
    let norm = g.one_in(2).then(|| Norm::of(g.number()));
    kernels::adam(items, &adam_step(g).into(), norm.as_ref(), g.number(), g.below(3));
}

fn picks_the_best<T: Float>(g: &Generator) {
    let (n, count) = (g.small() * 4, g.below(9));
    let (x, skip, mut best) = (g.numbers::<T>(n), g.ids(2, n), Vec::new());
    best_and_log_sum(&x, g.size(count), &skip, &mut best);
}

fn runs<T: Float>(g: &Generator) {
    let rounds = g.below(9);
    multiply_adds(rounds, T::of(g.number()), T::of(g.number()));
    multiply_add_flops(g.size(rounds), std::marker::PhantomData::<T>);
    let (pieces, x) = (g.below(9), g.numbers::<T>(9));
    let work = |piece: usize| _ = x.get(piece).map(|x| x.to_f64());
    if g.one_in(8) { with_crew(2, || crew::split(pieces, &work)) } else { crew::split(pieces, &work) }
}

/// Tensors, ids, masks, buffers and dual numbers from shapes of all kinds.
fn builds<T: Float>(g: &Generator) {
    let sizes = g.sizes();
    let entries = Shape::checked(&sizes).map_or(2, |shape| shape.len()).min(1 << 12);
    let sizes = sizes.as_slice();
    match g.below(11) {
        0 => drop(Tensor::new(sizes, g.numbers::<T>(entries))),
        1 => drop(Tensor::full(sizes, T::ONE)),
        2 => drop(Tensor::<T>::zeros(sizes)),
        3 => drop(Tensor::<T>::fill_with(sizes, |out| out.fill(T::ONE))),
        4 => drop(Ids::new(sizes, g.ids(entries, 9))),
        5 => drop(Keep::new(sizes, g.flags(entries))),
        6 => drop(buffer::Buffer::<T>::stale(g.size(entries))),
        7 => drop(buffer::Buffer::filled(g.size(entries), T::ZERO).clone()),
        8 => {
            let shape = Shape::from(sizes);
            let axis = g.below(7);
            let (resized, other) = (shape.with(axis, *g.one_of(&[0, 1, 2, 1 << 31, usize::MAX])), g.shape());
            let _ = (resized.rows(), resized.strides(), resized.without_last(), shape.broadcast(&other));
        }
        9 => {
            let [a, b] = [(); 2].map(|()| {
                let shape = g.shape();
                g.tensor::<f64>(if g.one_in(8) { shape } else { Shape::from([3, 2]) })
            });
            drop(Tensor::dual(&a, &b).tangents());
        }
        _ => {
            let (queries, keys) = (g.small(), g.small());
            let lengths = |g: &Generator, count| (0..count).map(|_| g.size(3)).collect::<Vec<_>>();
            Packed::new(&lengths(g, queries), &lengths(g, if g.one_in(3) { keys } else { queries }));
        }
    }
}

/// What is made of a tensor without a tape.
fn reshapes<T: Float>(g: &Generator) {
    let shape = g.shape();
    let mut x = g.tensor::<T>(shape);
    match g.below(9) {
        0 => drop(x.reshape(g.sizes().as_slice())),
        1 => x.put(&g.numbers::<T>(shape.len().min(1 << 12))),
        2 => drop(x.towards(&g.tensor(if g.one_in(3) { g.shape() } else { shape }), g.number())),
        3 => {
            let ids = g.ids(4, shape.first().copied().unwrap_or(1));
            let ids = if g.one_in(3) { Ids::new([1, ids.len()], ids) } else { Ids::new([ids.len()], ids) };
            drop(x.pick(&ids));
        }
        4 => _ = x.item(),
        5 => drop(x.map(|x| x + T::ONE).zeros_like().cast::<f64>()),
        6 => drop(x.view().to_owned()),
        7 => drop(x.to_string()),
        _ => x.make_mut().fill(T::ZERO),
    }
}

/// Shapes that belong to each other, and now and then one that does not.
fn kin<T: Float>(g: &Generator) -> impl Fn(&Generator) -> Tensor<T> + use<T> {
    let (b, t, d, o) = (g.below(4), g.below(5), g.small(), g.below(5));
    move |g: &Generator| {
        let shape = match g.below(14) {
            0 => {
                return {
                    let shape = g.shape();
                    g.tensor(shape)
                };
            }
            1..=3 => Shape::from([b, t, d]),
            4..=6 => Shape::from([b * t, d]),
            7 => Shape::from([t, d]),
            8 | 9 => Shape::from([d]),
            10 => Shape::from([d, d]),
            11 => Shape::from([o, d]),
            12 => Shape::from([o]),
            _ => Shape::from([b, d, t]),
        };
        g.tensor(shape)
    }
}

fn records<T: Float>(g: &Generator) {
    let tape = match g.below(4) {
        0 => Tape::<T>::eval(),
        1 => Tape::train(g.bits()).explained(),
        2 => Tape::infer(),
        _ => Tape::train(g.bits()),
    };
    let kin = kin::<T>(g);
    // A few attempts, so that more than shapes which do not fit comes to pass.
    for _ in 0..4 {
        let x: Vec<Var<'_, T>> = (0..4).map(|_| tape.input(kin(g))).collect();
        let y = op(g, &x);
        let y = if g.one_in(3) { op(g, &[y, x[0], x[1], x[2]]) } else { y };
        if tape.records() && y.needs_grad() && g.one_in(2) {
            let cotangent = if g.one_in(12) { g.shape() } else { y.shape() };
            y.backward_with(g.tensor(cotangent));
            return;
        }
    }
}

fn op<'t, T: Float>(g: &Generator, x: &[Var<'t, T>]) -> Var<'t, T> {
    let &[a, b, c, d] = x else { unreachable!("four inputs") };
    let shape = a.shape();
    let rows = shape.rows().min(1 << 12);
    // Where shapes would rarely fit by chance, they are made to.
    let like = |var: Var<'t, T>, shape: &[usize], g: &Generator| {
        if g.one_in(4) { var } else { var.tape().input(g.tensor(Shape::from(shape))) }
    };
    let n = shape.last().min(1 << 10);
    let outputs = g.small() % 24;
    match g.below(34) {
        0 => a + b,
        1 => a - b,
        2 => a * b,
        3 => a.matmul(b),
        4 => a.matmul_nt(b),
        5 => a.matmul_tn(b),
        6 => a.concat(if g.one_in(2) { a } else { b }, g.below(4)),
        7 => a.residual(if g.one_in(2) { a } else { b }, g.share()),
        8 => a.linear(like(b, &[outputs, n], g), None),
        9 => a.linear(like(b, &[outputs, n], g), Some(like(c, &[outputs], g))),
        10 => a.linear_relu(like(b, &[outputs, n], g), like(c, &[outputs], g)),
        11 => {
            let labels = g.ids(rows, outputs);
            let labels = Ids::new([labels.len()], labels);
            a.linear_cross_entropy(like(b, &[outputs, n], g), &labels, g.share(), g.one_in(2).then_some(0))
        }
        12 | 13 => {
            let labels = g.ids(rows, n);
            let leading = &shape[..shape.rank().saturating_sub(1)];
            let labels =
                if g.one_in(2) { Ids::new(leading, labels) } else { Ids::new([labels.len()], labels) };
            a.cross_entropy(&labels, g.share(), g.one_in(2).then_some(0))
        }
        14 | 15 => {
            a.layer_norm(like(b, &[n], g), like(c, &[n], g), if g.one_in(8) { g.number() } else { 1e-5 })
        }
        16 | 17 => {
            let branch = if g.one_in(3) { d } else { a };
            a.residual_layer_norm(branch, g.share(), like(b, &[n], g), like(c, &[n], g), 1e-5)
        }
        18 => a.softmax(),
        19 => {
            let flags = g.flags(n);
            a.masked_softmax(&Keep::new([flags.len()], flags))
        }
        20 => {
            let flags = g.flags(n);
            a.mask_fill(&Keep::new([flags.len()], flags), g.number())
        }
        21 => {
            let ids = g.ids(5, shape.first().copied().unwrap_or(0));
            a.embedding(&Ids::new([ids.len()], ids))
        }
        22 => {
            let mut order: Vec<usize> = (0..shape.rank()).collect();
            let turn = g.below(order.len() + 1);
            order.rotate_left(turn);
            if g.one_in(8) {
                order.push(0);
            }
            a.permute(&order)
        }
        23 => a.transpose(),
        24 => a.reshape(if g.one_in(4) { g.sizes() } else { vec![shape.len()] }.as_slice()),
        25 => {
            let axis = g.below(shape.rank() + 1);
            let end = shape.get(axis).copied().unwrap_or(0);
            let range = g.below(end.min(1 << 10) + 1)..g.size(end);
            a.slice(axis, range)
        }
        26 => a.dropout(g.share()),
        27 => a.scale(g.number()),
        28 => a.sum(),
        29 => a.mean(),
        30 => a.relu(),
        31 => a.gelu(),
        32 => a.silu(),
        _ => a.detach(),
    }
}

fn attends_on_a_tape<T: Float>(g: &Generator) {
    let (b, t, s, heads, d) = (g.below(4), g.below(5), g.below(5), 1 + g.below(3), g.below(9));
    let tape = if g.one_in(4) { Tape::<T>::train(1).explained() } else { Tape::train(1) };
    let packed = g.one_in(3);
    let (t, s): (Vec<usize>, Vec<usize>) =
        if packed { (0..b).map(|_| (g.below(5), g.below(5))).unzip() } else { (vec![t; b], vec![s; b]) };
    let (queries, keys, width) = (t.iter().sum::<usize>(), s.iter().sum::<usize>(), heads * d);
    let shape = |rows: usize, each: &[usize]| match each.first() {
        Some(&first) if !packed => Shape::from([b, first, width]),
        _ => Shape::from([rows, width]),
    };
    let [q, k, v] = [shape(queries, &t), shape(keys, &s), shape(keys, &s)].map(|shape| {
        let shape = if g.one_in(24) { g.shape() } else { shape };
        tape.input(g.tensor::<T>(shape))
    });
    let kept = g.ids(queries, keys + 2);
    let mut settings = Attention::plain(g.size(heads));
    settings.kept = g.one_in(2).then(|| Ids::new([kept.len()], kept));
    settings.packed = packed.then(|| Packed::new(&t, &s));
    if let (Some(packed), true) = (&mut settings.packed, g.one_in(8)) {
        let starts = g.ids(b + 1, queries + 1);
        packed.queries = Ids::new([starts.len()], starts);
    }
    settings.dropout = if g.one_in(2) { g.share() } else { 0.0 };
    let o = q.attention(k, v, &settings);
    if o.needs_grad() {
        o.backward_with(g.tensor(o.shape()));
    }
}

fn decodes<T: Float>(g: &Generator) {
    let tape = Tape::<T>::infer();
    if g.one_in(2) {
        with_gathered::<T>(g, |g, gathered, entries| {
            let width = if g.one_in(12) { g.small() } else { gathered.width.min(1 << 10) };
            let q = g.tensor(Shape::from([entries / width.max(1), width]));
            tape.input(q).attention_step(gathered);
        });
    } else {
        let (rows, inputs, outputs) = (g.below(9), g.small(), g.small());
        let sizes = [[rows, g.length(inputs)], [g.length(outputs), inputs]];
        let [x, weight] = sizes.map(|sizes| g.tensor::<T>(Shape::from(sizes)));
        let count = g.length(outputs);
        let bias = Param::new(g.tensor(Shape::from([count])));
        tape.input(x).linear_by(&Param::new(weight), g.one_in(2).then_some(&bias));
    }
}

//! The ops, one a file: formula, forward, rule, the method on [`Var`](crate::Var), and the cases that every test walks.

use crate::cases::Case;

macro_rules! ops {
    ($($op:ident),* $(,)?) => {
        $(pub mod $op;)*

        /// Every op with its cases. An op that is not here does not exist, and one without cases does not compile.
        pub const ALL: &[(&str, &[Case])] = &[$((stringify!($op), $op::CASES)),*];
    };
}

ops![
    add,
    attention,
    concat,
    cross_entropy,
    detach,
    dropout,
    embedding,
    gelu,
    layer_norm,
    linear,
    linear_cross_entropy,
    linear_relu,
    mask_fill,
    masked_softmax,
    matmul,
    mean,
    mul,
    permute,
    relu,
    reshape,
    residual,
    residual_layer_norm,
    scale,
    silu,
    slice,
    softmax,
    sub,
    sum,
];

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::attention::Attention;
    use crate::rng::Stream;
    use crate::{Ids, Tape, Tensor, Var};

    fn normal(shape: &[usize], seed: u64) -> Tensor<f64> {
        Tensor::normal(shape, 1.0, &mut Stream::new(seed))
    }

    /// That two codes agree does not say that either is right: one of each family is held to its formula.
    fn assert_near(got: &Tensor<f64>, expected: impl Fn(usize) -> f64) {
        for (i, &got) in got.as_slice().iter().enumerate() {
            let expected = expected(i);
            assert!((got - expected).abs() < 1e-13, "entry {i}: {got} is not {expected}");
        }
    }

    #[test]
    fn attention_is_what_its_formula_says() {
        let [q, k, v] = [1, 2, 3].map(|seed| normal(&[1, 3, 4], seed));
        let settings = Attention { kept: Some([1, 2, 3].into()), ..Attention::plain(2) };
        let tape = Tape::infer();
        let [queries, keys, values] = [&q, &k, &v].map(|x| tape.constant(x.clone()));
        let o = queries.attention(keys, values, &settings).value();
        assert_near(&o, |i| {
            let (query, column) = (i / 4, i % 4);
            let head = column / 2 * 2;
            let at = |x: &Tensor<f64>, row: usize, c: usize| x.as_slice()[row * 4 + c];
            let score =
                |key: usize| (0..2).map(|c| at(&q, query, head + c) * at(&k, key, head + c)).sum::<f64>();
            let weight = |key: usize| (score(key) / 2f64.sqrt()).exp();
            let kept = 0..query + 1;
            let total: f64 = kept.clone().map(weight).sum();
            kept.map(|key| weight(key) / total * at(&v, key, column)).sum()
        });
    }

    #[test]
    fn layer_norm_is_what_its_formula_says() {
        let [x, gamma, beta] =
            [(4, &[2, 3][..]), (5, &[3]), (6, &[3])].map(|(seed, shape)| normal(shape, seed));
        let tape = Tape::infer();
        let [vx, vg, vb] = [&x, &gamma, &beta].map(|x| tape.constant(x.clone()));
        assert_near(&vx.layer_norm(vg, vb, 0.5).value(), |i| {
            let row = &x.as_slice()[i / 3 * 3..][..3];
            let mean = row.iter().sum::<f64>() / 3.0;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3.0;
            gamma.as_slice()[i % 3] * (row[i % 3] - mean) / (variance + 0.5).sqrt() + beta.as_slice()[i % 3]
        });
    }

    #[test]
    fn cross_entropy_is_the_mean_over_the_rows_that_count() {
        let (x, labels) = (normal(&[3, 4], 7), [2, 0, 3]);
        let row = |r: usize| &x.as_slice()[r * 4..][..4];
        let share = |r: usize, c: usize| (row(r)[c].exp() / row(r).iter().map(|x| x.exp()).sum::<f64>()).ln();
        // Label 0 is ignored; of the others 0.8 + 0.2/4 is on the label, and 0.2/4 on each other class.
        let of = |r: usize| {
            let target = |c: usize| 0.05 + if c as u32 == labels[r] { 0.8 } else { 0.0 };
            -(0..4).map(|c| target(c) * share(r, c)).sum::<f64>()
        };
        let tape = Tape::infer();
        let loss = tape.constant(x.clone()).cross_entropy(&Ids::new([3], labels), 0.2, Some(0)).value();
        assert_near(&loss, |_| (of(0) + of(2)) / 2.0);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        type Misuse = for<'t> fn(&'t Tape<f64>, &dyn Fn(&[usize]) -> Var<'t, f64>) -> Var<'t, f64>;
        let misuses: [(&str, Misuse); 17] = [
            ("attention: 3 heads do not divide 4 columns", |_, x| {
                x(&[1, 2, 4]).attention(x(&[1, 2, 4]), x(&[1, 2, 4]), &Attention::plain(3))
            }),
            ("attention: 5 counts for 2 queries", |_, x| {
                let settings = Attention { kept: Some([1; 5].into()), ..Attention::plain(2) };
                x(&[1, 2, 4]).attention(x(&[1, 2, 4]), x(&[1, 2, 4]), &settings)
            }),
            ("attention: q [1, 2, 4], k [1, 3, 4] and v [1, 2, 4] do not fit", |_, x| {
                x(&[1, 2, 4]).attention(x(&[1, 3, 4]), x(&[1, 2, 4]), &Attention::plain(2))
            }),
            ("concat: [2, 4] does not continue [2, 3] along axis 0", |_, x| x(&[2, 3]).concat(x(&[2, 4]), 0)),
            ("cross_entropy: label 4 is not among the 4 classes", |_, x| {
                x(&[1, 4]).cross_entropy(&Ids::new([1], [4]), 0.0, None)
            }),
            ("cross_entropy: 1 labels for the 2 rows", |_, x| {
                x(&[2, 4]).cross_entropy(&Ids::new([1], [0]), 0.0, None)
            }),
            ("embedding: id 4 is not among the 4 rows", |_, x| x(&[4, 2]).embedding(&Ids::new([1], [4]))),
            ("dropout: the probability 1 is not in [0, 1)", |_, x| x(&[2]).dropout(1.0)),
            ("layer_norm: [2, 3] needs γ and β of [3], not [2] and [3]", |_, x| {
                x(&[2, 3]).layer_norm(x(&[2]), x(&[3]), 1e-5)
            }),
            ("linear: the bias of [2, 3] must be [2]", |_, x| x(&[1, 3]).linear(x(&[2, 3]), Some(x(&[3])))),
            ("linear: inner sizes differ: [3, 4] · [3, 2]ᵀ", |_, x| x(&[3, 4]).linear(x(&[3, 2]), None)),
            ("linear_cross_entropy: inner sizes differ: [1, 3] · [2, 4]ᵀ", |_, x| {
                x(&[1, 3]).linear_cross_entropy(x(&[2, 4]), &Ids::new([1], [0]), 0.0, None)
            }),
            ("matmul: leading axes differ: [2, 2, 2] · [3, 2, 2]", |_, x| {
                x(&[2, 2, 2]).matmul(x(&[3, 2, 2]))
            }),
            ("permute: [0, 0] does not order the axes of [2, 3]", |_, x| x(&[2, 3]).permute(&[0, 0])),
            ("transpose: [2] has no two axes", |_, x| x(&[2]).transpose()),
            ("slice: 1..3 of axis 0 is not within [2]", |_, x| x(&[2]).slice(0, 1..3)),
            ("add: [2] and [3] do not broadcast to each other", |_, x| x(&[2]) + x(&[3])),
        ];
        for (message, misuse) in misuses {
            let refused = catch_unwind(AssertUnwindSafe(|| {
                let tape = Tape::train(1);
                misuse(&tape, &|shape| tape.input(Tensor::full(shape, 1.0))).value()
            }));
            let said = refused.expect_err(message);
            let said = said.downcast_ref::<String>().unwrap();
            assert!(said.contains(message), "{said:?} is not {message:?}");
        }
    }
}

//! No output projection.

use gradus::autograd::ops::attention::Attention;
use gradus::autograd::{Dependence, Parameters, Tape, Tensor, gradcheck};
use gradus::nn::{Init, MultiHeadAttention, Preset, TransformerConfig};

use super::{D, Exhibit, HEAD, HEADS, V, WORDS, random};

pub(crate) const EXHIBIT: Exhibit = Exhibit {
    name: "no-output",
    mistake: "the heads' outputs are put side by side, and nothing mixes them",
    exposed_by: "a parameter count",
    source: include_str!("no_output.rs"),
    expose,
    check_wrong: || gradcheck(|_, [q, k, v]| wrong(q, k, v), [words(1), words(2), words(3)]),
    check_right: || {
        gradcheck(|_, [q, k, v, w]| right(q, k, v, w), [words(1), words(2), words(3), random([D, D], 4)])
    },
    check_edge: None,
};

fn wrong<'t>(q: V<'t>, k: V<'t>, v: V<'t>) -> V<'t> {
    q.attention(k, v, &Attention::plain(HEADS)) // [1, T, D]: heads side by side
}

fn right<'t>(q: V<'t>, k: V<'t>, v: V<'t>, w_o: V<'t>) -> V<'t> {
    q.attention(k, v, &Attention::plain(HEADS)).linear(w_o, None) // [1, T, D]
}

fn words(seed: u64) -> Tensor<f64> {
    random([1, WORDS, D], seed)
}

fn expose() -> [String; 2] {
    let config = TransformerConfig { d_model: D, heads: HEADS, ..Preset::Tiny.config(10, 10) };
    let layer = MultiHeadAttention::<f64>::new(&config, &mut Init::seeded(1));
    let matrices =
        layer.parameters().iter().filter(|(_, param)| param.value().shape() == [D, D].into()).count();
    assert_eq!(matrices, 4, "W_Q, W_K, W_V and W_O");

    // Rows are columns here: which column of the output depends on which column of the values.
    let tape = Tape::eval();
    let columns = tape.input(random([D, WORDS], 3));
    let v = columns.transpose().reshape([1, WORDS, D]);
    let [q, k] = [1, 2].map(|seed| tape.constant(words(seed)));
    let of = |y: V<'_>| Dependence::pulled(transposed(y), columns);
    let without = of(wrong(q, k, v));
    let with = of(right(q, k, v, tape.constant(random([D, D], 4))));
    assert_eq!(without, Dependence::expected(D, D, |output, input| output == input));
    assert!((0..D).all(|output| (0..D).all(|input| with.sees(output, input))));
    [
        format!(
            "3 matrices of D·D, of which the paper has {matrices}; a column of the output sees its own value alone:\n{without}"
        ),
        format!(
            "{matrices} matrices; every column sees the values of all {HEADS} heads, {HEAD} columns each"
        ),
    ]
}

/// `[1, T, D]` to `[D, T]`.
fn transposed(y: V<'_>) -> V<'_> {
    y.reshape([WORDS, D]).transpose()
}

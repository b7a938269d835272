//! One projection for all heads.

use gradus::autograd::{Tape, gradcheck};
use gradus::nn::{Init, MultiHeadAttention, Preset, TransformerConfig};

use super::{D, Exhibit, HEAD, HEADS, V, WORDS, random};

pub(crate) const EXHIBIT: Exhibit = Exhibit {
    name: "one-projection",
    mistake: "all heads share one projection, so all heads are the same head",
    exposed_by: "a parameter count",
    source: include_str!("one_projection.rs"),
    expose,
    check_wrong: || {
        gradcheck(|_, [x, w]| wrong(x, w).softmax(), [random([WORDS, D], 1), random([HEAD, D], 2)])
    },
    check_right: || gradcheck(|_, [x, w]| right(x, w).softmax(), [random([WORDS, D], 1), random([D, D], 2)]),
    check_edge: None,
};

/// Queries `[T, D]`, heads side by side, of words `x [T, D]` and `w_q [d_k, D]`.
fn wrong<'t>(x: V<'t>, w_q: V<'t>) -> V<'t> {
    let head = x.matmul_nt(w_q); // [T, d_k]
    head.concat(head, 1) // for each of two heads
}

/// The same of `w_q [D, D]`: every head has d_k rows of its own.
fn right<'t>(x: V<'t>, w_q: V<'t>) -> V<'t> {
    x.matmul_nt(w_q) // [T, D]
}

fn expose() -> [String; 2] {
    let tape = Tape::infer();
    let x = tape.constant(random([WORDS, D], 1));
    let weights = [tape.constant(random([HEAD, D], 2)), tape.constant(random([D, D], 2))];
    let queries = [wrong(x, weights[0]).value(), right(x, weights[1]).value()];
    let same = queries.map(|q| q.as_slice().chunks(D).all(|row| row[..HEAD] == row[HEAD..]));
    let counts = weights.map(|w| w.shape().len());
    // What a layer of the library has, whose heads are independent.
    let config = TransformerConfig { d_model: D, heads: HEADS, ..Preset::Tiny.config(10, 10) };
    let layer = MultiHeadAttention::<f64>::new(&config, &mut Init::seeded(1));
    let meant = layer.q_proj.weight.value().len();
    assert_eq!((same, counts), ([true, false], [meant / HEADS, meant]));
    let said = |same| if same { "are equal" } else { "differ" };
    [0, 1].map(|i| {
        format!("W_Q has {} numbers, D·D are {meant}; the queries of both heads {}", counts[i], said(same[i]))
    })
}

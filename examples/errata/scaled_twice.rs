//! Scaling twice.

use gradus::autograd::{Tape, Tensor, gradcheck};

use super::{Exhibit, HEAD, HEADS, V, WORDS, random};

pub(crate) const EXHIBIT: Exhibit = Exhibit {
    name: "scaled-twice",
    mistake: "queries are scaled, and then the scores again",
    exposed_by: "a unit value",
    source: include_str!("scaled_twice.rs"),
    expose,
    check_wrong: || gradcheck(|_, [q, k]| wrong(q, k).softmax(), [heads(1), heads(2)]),
    check_right: || gradcheck(|_, [q, k]| right(q, k).softmax(), [heads(1), heads(2)]),
    check_edge: None,
};

fn wrong<'t>(q: V<'t>, k: V<'t>) -> V<'t> {
    let scale = 1.0 / (HEAD as f64).sqrt();
    let q = q.scale(scale);
    q.matmul_nt(k).scale(scale) // [H, T, S]
}

fn right<'t>(q: V<'t>, k: V<'t>) -> V<'t> {
    let scale = 1.0 / (HEAD as f64).sqrt();
    q.matmul_nt(k).scale(scale) // [H, T, S]
}

fn heads(seed: u64) -> Tensor<f64> {
    random([HEADS, WORDS, HEAD], seed)
}

fn expose() -> [String; 2] {
    let tape = Tape::infer();
    let ones = tape.constant(Tensor::full([HEADS, WORDS, HEAD], 1.0));
    let [wrong, right] = [wrong(ones, ones), right(ones, ones)].map(|s| s.value().as_slice()[0]);
    let meant = (HEAD as f64).sqrt();
    assert!((right - meant).abs() < 1e-15 && (wrong - 1.0).abs() < 1e-15);
    [
        format!(
            "ones · ones gives the score {wrong:.3} whatever the width: a mean of products, not a sum over √d_k"
        ),
        format!("ones · ones gives the score {right:.3} = √d_k"),
    ]
}

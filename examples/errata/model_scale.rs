//! Scaling by √d_model.

use gradus::autograd::{Tape, Tensor, gradcheck};

use super::{D, Exhibit, HEAD, HEADS, V, WORDS, random};

pub(crate) const EXHIBIT: Exhibit = Exhibit {
    name: "model-scale",
    mistake: "scores divided by √d_model instead of √d_k, the width of a head",
    exposed_by: "a unit value",
    source: include_str!("model_scale.rs"),
    expose,
    check_wrong: || gradcheck(|_, [q, k]| wrong(q, k).softmax(), [heads(1), heads(2)]),
    check_right: || gradcheck(|_, [q, k]| right(q, k).softmax(), [heads(1), heads(2)]),
    check_edge: None,
};

fn wrong<'t>(q: V<'t>, k: V<'t>) -> V<'t> {
    q.matmul_nt(k).scale(1.0 / (D as f64).sqrt()) // [H, T, S]
}

fn right<'t>(q: V<'t>, k: V<'t>) -> V<'t> {
    q.matmul_nt(k).scale(1.0 / (HEAD as f64).sqrt()) // [H, T, S]
}

fn heads(seed: u64) -> Tensor<f64> {
    random([HEADS, WORDS, HEAD], seed)
}

fn expose() -> [String; 2] {
    // Of vectors of ones the product is d_k, so that the score is d_k/√d_k = √d_k.
    let tape = Tape::infer();
    let ones = tape.constant(Tensor::full([HEADS, WORDS, HEAD], 1.0));
    let [wrong, right] = [wrong(ones, ones), right(ones, ones)].map(|s| s.value().as_slice()[0]);
    let meant = (HEAD as f64).sqrt();
    assert!((right - meant).abs() < 1e-15 && (wrong - meant).abs() > 0.5);
    [
        format!("ones · ones gives the score {wrong:.3}, and √d_k is {meant:.3}: scores are too small by √H"),
        format!("ones · ones gives the score {right:.3} = √d_k"),
    ]
}

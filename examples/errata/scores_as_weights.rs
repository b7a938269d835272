//! Calling Q·Kᵀ the weights.

use gradus::autograd::{Tape, Tensor, gradcheck};

use super::{D, Exhibit, V, WORDS, random};

pub(crate) const EXHIBIT: Exhibit = Exhibit {
    name: "scores-as-weights",
    mistake: "Q·Kᵀ is called the weights, and multiplied with V",
    exposed_by: "a unit value",
    source: include_str!("scores_as_weights.rs"),
    expose,
    check_wrong: || gradcheck(|_, [q, k, v]| wrong(q, k, v), [words(1), words(2), words(3)]),
    check_right: || gradcheck(|_, [q, k, v]| right(q, k, v), [words(1), words(2), words(3)]),
    check_edge: None,
};

fn wrong<'t>(q: V<'t>, k: V<'t>, v: V<'t>) -> V<'t> {
    let weights = q.matmul_nt(k).scale(1.0 / (D as f64).sqrt()); // [T, S]
    weights.matmul(v) // [T, D]
}

fn right<'t>(q: V<'t>, k: V<'t>, v: V<'t>) -> V<'t> {
    let scores = q.matmul_nt(k).scale(1.0 / (D as f64).sqrt()); // [T, S]
    scores.softmax().matmul(v) // [T, D]
}

fn words(seed: u64) -> Tensor<f64> {
    random([WORDS, D], seed)
}

fn expose() -> [String; 2] {
    // Weights are not negative and sum to 1, so the context is a mean: of values that are all 1 it is 1.
    let tape = Tape::infer();
    let [q, k, ones] = [words(1), words(2), Tensor::full([WORDS, D], 1.0)].map(|x| tape.constant(x));
    let rows = [wrong(q, k, ones), right(q, k, ones)].map(|y| {
        let y = y.value();
        y.as_slice().chunks(D).map(|row| row[0]).collect::<Vec<f64>>()
    });
    let off = |row: &[f64]| row.iter().map(|y| (y - 1.0).abs()).fold(0.0, f64::max);
    assert!(off(&rows[0]) > 0.5 && off(&rows[1]) < 1e-14);
    let show = |row: &[f64]| row.iter().map(|y| format!("{y:.2}")).collect::<Vec<_>>().join(", ");
    [
        format!("values of 1 give {}: no mean of anything", show(&rows[0])),
        format!("values of 1 give {}", show(&rows[1])),
    ]
}

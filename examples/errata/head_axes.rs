//! Mixing the axes of words and heads.

use gradus::autograd::{Dependence, Keep, Tape, gradcheck};

use super::{D, Exhibit, HEAD, HEADS, V, WORDS, random};

pub(crate) const EXHIBIT: Exhibit = Exhibit {
    name: "head-axes",
    mistake: "a reshape alone is to split the heads, and cuts the sentence instead",
    exposed_by: "a dependency proof",
    source: include_str!("head_axes.rs"),
    expose,
    check_wrong: || gradcheck(|_, [x]| attend(x, wrong).reshape([WORDS, D]), [random([WORDS, D], 1)]),
    check_right: || gradcheck(|_, [x]| merge(attend(x, right)), [random([WORDS, D], 1)]),
    check_edge: None,
};

fn wrong<'t>(x: V<'t>) -> V<'t> {
    x.reshape([HEADS, WORDS, HEAD]) // [T, D] to [H, T, d_k], but of the wrong numbers
}

fn right<'t>(x: V<'t>) -> V<'t> {
    x.reshape([WORDS, HEADS, HEAD]).permute(&[1, 0, 2]) // [T, D] to [H, T, d_k]
}

/// Causal attention of every head over itself: `[H, T, d_k]`.
fn attend<'t>(x: V<'t>, split: fn(V<'t>) -> V<'t>) -> V<'t> {
    let x = split(x);
    let causal: Vec<bool> = (0..WORDS * WORDS).map(|i| i % WORDS <= i / WORDS).collect();
    let scores = x.matmul_nt(x).scale(1.0 / (HEAD as f64).sqrt());
    scores.masked_softmax(&Keep::new([WORDS, WORDS], causal)).matmul(x)
}

/// `[H, T, d_k]` to `[T, D]`.
fn merge(heads: V<'_>) -> V<'_> {
    heads.permute(&[1, 0, 2]).reshape([WORDS, D])
}

fn expose() -> [String; 2] {
    let tape = Tape::eval();
    let x = tape.input(random([WORDS, D], 1));
    let wrong = Dependence::pulled(attend(x, wrong).reshape([WORDS, D]), x);
    let right = Dependence::pulled(merge(attend(x, right)), x);
    assert_eq!(right, Dependence::expected(WORDS, WORDS, |output, input| input <= output));
    assert!(!wrong.sees(2, 0) && !wrong.sees(3, 1), "the second half of the sentence does not see the first");
    [
        format!(
            "which word (row) sees which (column), with a causal mask:\n{wrong}the third sees itself alone"
        ),
        format!("all see themselves and what is before:\n{right}"),
    ]
}

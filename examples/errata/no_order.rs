//! No positions.

use gradus::autograd::{Tape, Tensor, gradcheck};

use super::{D, Exhibit, V, WORDS, distance, random};

pub(crate) const EXHIBIT: Exhibit = Exhibit {
    name: "no-order",
    mistake: "no positions: what a word becomes does not depend on the order of the others",
    exposed_by: "a permutation test",
    source: include_str!("no_order.rs"),
    expose,
    check_wrong: || gradcheck(|_, [x]| wrong(x), [random([WORDS, D], 1)]),
    check_right: || gradcheck(|_, [x, p]| right(x, p), [random([WORDS, D], 1), random([WORDS, D], 2)]),
    check_edge: None,
};

fn wrong<'t>(x: V<'t>) -> V<'t> {
    x.matmul_nt(x).scale(1.0 / (D as f64).sqrt()).softmax().matmul(x) // [T, D]
}

fn right<'t>(x: V<'t>, positions: V<'t>) -> V<'t> {
    wrong(x + positions) // [T, D]
}

fn expose() -> [String; 2] {
    // "the dog bites men", and with the second and the last word exchanged.
    let order = [0, 3, 2, 1];
    let permuted = |x: &Tensor<f64>| Tensor::from_fn([WORDS, D], |i| x.as_slice()[order[i / D] * D + i % D]);
    let x = random([WORDS, D], 1);
    let tape = Tape::infer();
    let positions = tape.constant(random([WORDS, D], 2));
    let [before, after] = [x.clone(), permuted(&x)].map(|x| tape.constant(x));
    // Had the order no say, permuted words would give permuted outputs.
    let moved = |f: &dyn Fn(V<'_>) -> Tensor<f64>| distance(&permuted(&f(before)), &f(after));
    let without = moved(&|x| wrong(x).value());
    let with = moved(&|x| right(x, tape.constant(positions.value())).value());
    assert!(without < 1e-14 && with > 0.1);
    [
        format!("\"dog bites man\" or \"man bites dog\": every word's output is the same, to {without:.0e}"),
        format!("the outputs differ by {with:.2}"),
    ]
}

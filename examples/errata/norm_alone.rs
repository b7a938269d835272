//! LayerNorm without ε, γ and β.

use gradus::autograd::{Tape, Tensor, gradcheck};

use super::{D, Exhibit, V, WORDS, random};

pub(crate) const EXHIBIT: Exhibit = Exhibit {
    name: "norm-alone",
    mistake: "LayerNorm as (x − mean)/σ, without ε, γ and β",
    exposed_by: "a NaN test",
    source: include_str!("norm_alone.rs"),
    expose,
    check_wrong: || gradcheck(|_, [x]| wrong(x), [random([WORDS, D], 1)]),
    check_right: || {
        gradcheck(
            |_, [x, gamma, beta]| right(x, gamma, beta),
            [random([WORDS, D], 1), random([D], 2), random([D], 3)],
        )
    },
    check_edge: Some(|| gradcheck(|_, [x]| wrong(x), [Tensor::full([1, D], 3.0)])),
};

fn wrong<'t>(x: V<'t>) -> V<'t> {
    let [ones, zeros] = [1.0, 0.0].map(|value| x.tape().constant(Tensor::full([D], value)));
    x.layer_norm(ones, zeros, 0.0) // nothing is added to the variance, nothing is learned
}

fn right<'t>(x: V<'t>, gamma: V<'t>, beta: V<'t>) -> V<'t> {
    x.layer_norm(gamma, beta, 1e-5)
}

fn expose() -> [String; 2] {
    let tape = Tape::infer();
    // A row of equal numbers: a padded position, or a unit that has died.
    let x = tape.constant(Tensor::full([1, D], 3.0));
    let [gamma, beta] = [tape.constant(random([D], 2)), tape.constant(random([D], 3))];
    let (wrong, right) = (wrong(x).value(), right(x, gamma, beta).value());
    assert!(wrong.as_slice().iter().all(|y| y.is_nan()));
    assert_eq!(right.as_slice(), beta.value().as_slice(), "nothing but β is left of such a row");
    let show = |y: &[f64]| format!("{:.2}, {:.2}, …", y[0], y[1]);
    [
        format!("a row of equal numbers gives {}; and {} numbers to learn", show(wrong.as_slice()), 0),
        format!("a row of equal numbers gives β = {}; {} numbers to learn", show(right.as_slice()), 2 * D),
    ]
}

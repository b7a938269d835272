//! Masks of opposite polarity.

use gradus::autograd::{Dependence, Keep, Tape, gradcheck};

use super::{D, Exhibit, V, WORDS, random};

pub(crate) const EXHIBIT: Exhibit = Exhibit {
    name: "polarity",
    mistake: "flags that are true for padding meet a function that keeps what is true",
    exposed_by: "a dependency proof",
    source: include_str!("polarity.rs"),
    expose,
    check_wrong: || gradcheck(|_, [x]| wrong(x, &PADDING), [random([WORDS, D], 1)]),
    check_right: || gradcheck(|_, [x]| right(x, &PADDING), [random([WORDS, D], 1)]),
    check_edge: None,
};

/// The last of the four words fills the batch up.
const PADDING: [bool; WORDS] = [false, false, false, true];

fn wrong<'t>(x: V<'t>, padding: &[bool]) -> V<'t> {
    let keep = Keep::new([1, WORDS], padding);
    x.matmul_nt(x).masked_softmax(&keep).matmul(x) // [T, D]
}

fn right<'t>(x: V<'t>, padding: &[bool]) -> V<'t> {
    let keep = Keep::new([1, WORDS], padding.iter().map(|padding| !padding).collect::<Vec<_>>());
    x.matmul_nt(x).masked_softmax(&keep).matmul(x) // [T, D]
}

fn expose() -> [String; 2] {
    let tape = Tape::eval();
    let x = tape.input(random([WORDS, D], 1));
    let [wrong, right] = [wrong(x, &PADDING), right(x, &PADDING)].map(|y| Dependence::pulled(y, x));
    assert!(!right.any(0..3, 3..4), "no word sees padding");
    assert_eq!(wrong, Dependence::expected(WORDS, WORDS, |_, input| input == 3), "all see nothing else");
    [
        format!("which word (row) sees which (column), of which the last is padding:\n{wrong}"),
        format!("no word sees padding:\n{right}"),
    ]
}

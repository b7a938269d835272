//! Believing that the number of parameters grows with the length of the sentence.

use gradus::autograd::{Parameters, Tape, gradcheck};
use gradus::nn::{Init, Preset, Sentences, Transformer, TransformerConfig};

use super::{D, Exhibit, V, WORDS, random};

pub(crate) const EXHIBIT: Exhibit = Exhibit {
    name: "per-position",
    mistake: "\"longer sentences need more parameters\": a layer over the whole sentence, instead of one for every word",
    exposed_by: "a parameter count",
    source: include_str!("per_position.rs"),
    expose,
    check_wrong: || {
        let weight = random([WORDS * D, WORDS * D], 2);
        gradcheck(|_, [x, w]| wrong(x, w).softmax(), [random([WORDS, D], 1), weight])
    },
    check_right: || gradcheck(|_, [x, w]| right(x, w).softmax(), [random([WORDS, D], 1), random([D, D], 2)]),
    check_edge: None,
};

/// `x [T, D]` with `w [T·D, T·D]`.
fn wrong<'t>(x: V<'t>, w: V<'t>) -> V<'t> {
    let (shape, all) = (x.shape(), x.shape().len());
    x.reshape([1, all]).matmul_nt(w).reshape(shape) // [T, D]
}

/// `x [T, D]` with `w [D, D]`, the same for every word.
fn right<'t>(x: V<'t>, w: V<'t>) -> V<'t> {
    x.matmul_nt(w) // [T, D]
}

fn expose() -> [String; 2] {
    let tape = Tape::infer();
    let shared = tape.constant(random([D, D], 2));
    let needed = [WORDS, 2 * WORDS].map(|words| {
        let x = tape.constant(random([words, D], 1));
        let whole = tape.constant(random([words * D, words * D], 2));
        assert_eq!(wrong(x, whole).shape(), right(x, shared).shape());
        [whole.shape().len(), shared.shape().len()]
    });
    assert_eq!(needed[1][0], 4 * needed[0][0]);
    assert_eq!(needed[1][1], needed[0][1]);

    // A whole model reads three words and then fifty with the parameters that it has.
    let config = TransformerConfig { d_model: D, ffn: 16, heads: 2, ..Preset::Tiny.config(10, 10) };
    let model: Transformer = Transformer::new(&config, &mut Init::seeded(1));
    let [few, many] = [3, 50].map(|words| {
        let tape = Tape::eval();
        let sentence = Sentences::new(&[vec![5; words]], 0);
        assert_eq!(model.forward(&tape, &sentence, &sentence).shape(), [1, words, 10].into());
        model.parameter_count()
    });
    assert_eq!(few, many);
    [
        format!("{} numbers for {WORDS} words, {} for {}", needed[0][0], needed[1][0], 2 * WORDS),
        format!(
            "{} for any; a whole Transformer has {few} for 3 words and {many} for 50. What grows is the work: scores are T·T",
            needed[0][1]
        ),
    ]
}

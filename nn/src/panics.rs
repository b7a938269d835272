//! Claims: every public function that says it panics does, at the line of its caller and in its own words.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use autograd::{Ids, Parameters, Tape, Tensor, Var};

use crate::cases::tiny;
use crate::{
    Decoder, DecoderLayer, Dropout, Embedding, Encoder, EncoderLayer, FeedForward, Init, LayerNorm, Linear,
    Mask, MultiHeadAttention, NormPlacement, Objective, PackedPairs, PositionalEncoding, Positions, Residual,
    Sentences, Transformer, TransformerConfig,
};

fn init() -> Init {
    Init::seeded(1)
}

/// Three heads for eight columns.
fn wrong() -> TransformerConfig {
    TransformerConfig { heads: 3, ..tiny() }
}

const HEADS: &str = "heads = 3 does not divide d_model = 8";

fn model() -> Transformer {
    Transformer::new(&tiny(), &mut init())
}

/// With a table of 16 positions.
fn learned() -> Transformer {
    Transformer::new(&TransformerConfig { positions: Positions::Learned, ..tiny() }, &mut init())
}

fn zeros<'t>(tape: &'t Tape, shape: &[usize]) -> Var<'t> {
    tape.constant(Tensor::zeros(shape))
}

/// Two sentences of three words.
fn two() -> Sentences {
    Sentences::new(&[vec![1, 2, 3], vec![4, 5, 6]], 0)
}

/// One sentence of this many words.
fn one(words: usize) -> Sentences {
    Sentences::new(&[vec![1; words]], 0)
}

/// Sentences whose lengths were changed.
fn unfit() -> Sentences {
    Sentences { lengths: [3, 9].into(), ..two() }
}

fn objective() -> Objective {
    Objective { smoothing: 0.1, ignore: None, weight: 1.0 }
}

/// The loss of two pairs with this objective.
fn loss(objective: &Objective) {
    let (model, tape, pair) = (model(), Tape::eval(), two());
    model.loss(&tape, &pair, &pair, &pair.ids, objective);
}

fn packed_loss(objective: &Objective) {
    let (model, tape, pair) = (model(), Tape::eval(), two());
    model.packed_loss(&tape, &PackedPairs::new(&pair, &pair, &pair.ids), objective);
}

fn r_drop(alpha: f64, objective: &Objective) {
    let (model, tape, pair) = (model(), Tape::eval(), two());
    model.r_drop_loss(&tape, &pair, &pair, &pair.ids, objective, alpha);
}

fn packed_r_drop(alpha: f64) {
    let (model, tape, pair) = (model(), Tape::eval(), two());
    model.packed_r_drop_loss(&tape, &PackedPairs::new(&pair, &pair, &pair.ids), &objective(), alpha);
}

/// What is misused, how, and what is said.
type Row = (&'static str, fn(), &'static str);

const HUGE: usize = usize::MAX / 2;

const TABLE: &[Row] = &[
    ("MultiHeadAttention::new", || _ = MultiHeadAttention::<f32>::new(&wrong(), &mut init()), HEADS),
    ("EncoderLayer::new", || _ = EncoderLayer::<f32>::new(&wrong(), &mut init()), HEADS),
    ("Encoder::new", || _ = Encoder::<f32>::new(&wrong(), &mut init()), HEADS),
    ("DecoderLayer::new", || _ = DecoderLayer::<f32>::new(&wrong(), &mut init()), HEADS),
    ("Decoder::new", || _ = Decoder::<f32>::new(&wrong(), &mut init()), HEADS),
    ("FeedForward::new", || _ = FeedForward::<f32>::new(&wrong(), &mut init()), HEADS),
    ("PositionalEncoding::new", || _ = PositionalEncoding::<f32>::new(&wrong(), &mut init()), HEADS),
    ("Transformer::new", || _ = Transformer::<f32>::new(&wrong(), &mut init()), HEADS),
    (
        "Transformer::new",
        || _ = Transformer::<f32>::new(&TransformerConfig { ffn: HUGE, ..tiny() }, &mut init()),
        "makes a model of more parameters than memory has addresses",
    ),
    (
        "Decoder::start",
        || _ = model().decoder.start(zeros(&Tape::infer(), &[2, 8]), &[2, 2]),
        "decoder: memory must be [B, S, D], not [2, 8]",
    ),
    (
        "Decoder::start",
        || _ = model().decoder.start(zeros(&Tape::infer(), &[2, 3, 8]), &[3]),
        "decoder: lengths [3] do not fit a memory of [2, 3, 8]",
    ),
    (
        "Decoder::start",
        || _ = model().decoder.start(zeros(&Tape::infer(), &[2, 3, 8]), &[3, 4]),
        "decoder: lengths [3, 4] do not fit",
    ),
    (
        "Decoder::step",
        || {
            let (model, tape) = (model(), Tape::infer());
            model.decoder.step(zeros(&tape, &[3, 8]), &mut model.start(&two()));
        },
        "decoder: the next position of 2 rows must be [2, D], not [3, 8]",
    ),
    (
        "Decoder::step",
        || {
            let (model, other, tape) = (model(), model(), Tape::infer());
            model.decoder.step(zeros(&tape, &[2, 8]), &mut other.start(&two()));
        },
        "decoder: this cache was started by another decoder",
    ),
    (
        "DecoderCache::select",
        || model().start(&two()).select(&[1, 2]),
        "decoder: there is no row 2 among the 2 of this cache",
    ),
    (
        "PositionalEncoding::forward",
        || _ = learned().source_positions.forward(&Tape::eval(), 10, 7),
        "positions: 17 are more than the 16 learned",
    ),
    (
        "PositionalEncoding::forward",
        || _ = model().source_positions.forward(&Tape::eval(), usize::MAX, 2),
        "positions: 2 from 18446744073709551615 on are beyond 32 bits",
    ),
    (
        "PositionalEncoding::at",
        || _ = learned().source_positions.at(&Tape::eval(), &Ids::new([2], [0, 16])),
        "positions: 17 are more than the 16 learned",
    ),
    ("Dropout::forward", || dropout(1.0), "dropout: the probability 1 is not in [0, 1)"),
    ("Dropout::forward", || dropout(-0.1), "dropout: the probability -0.1 is not in [0, 1)"),
    ("Dropout::forward", || dropout(f64::NAN), "dropout: the probability NaN is not in [0, 1)"),
    (
        "Residual::around",
        || around(NormPlacement::Pre, f64::NAN, |x| x),
        "dropout: the probability NaN is not in [0, 1)",
    ),
    (
        "Residual::around",
        || around(NormPlacement::Post, 2.0, |x| x),
        "dropout: the probability 2 is not in [0, 1)",
    ),
    (
        "Residual::around",
        || around(NormPlacement::Pre, 0.1, |x| x.reshape([4, 2])),
        "residual: [2, 4] goes around [4, 2]",
    ),
    (
        "Residual::around",
        || around(NormPlacement::Post, 0.1, |x| x.reshape([4, 2])),
        "residual_layer_norm: [2, 4] goes around [4, 2]",
    ),
    ("Init::weight", || _ = init().weight::<f32>(0, 3), "init: a parameter of [0, 3] has no entries"),
    ("Init::weight", || _ = init().weight::<f32>(HUGE, 4), "has more entries than memory has addresses"),
    ("Init::table", || _ = init().table::<f32>(3, 0), "init: a parameter of [3, 0] has no entries"),
    ("Init::table", || _ = init().table::<f32>(1 << 40, 1 << 40), "than memory has addresses"),
    ("Init::constant", || _ = init().constant::<f32>(0, 1.0), "init: a parameter of [0] has no entries"),
    ("Init::constant", || _ = init().constant::<f32>(HUGE, 1.0), "than memory has addresses"),
    ("Init::constant", || _ = init().constant::<f32>(3, f64::NAN), "init: a parameter of NaN is not finite"),
    ("Linear::new", || _ = Linear::<f32>::new(0, 2, &mut init()), "init: a parameter of [2, 0]"),
    ("Linear::without_bias", || _ = Linear::<f32>::without_bias(2, 0, &mut init()), "[0, 2] has no entries"),
    ("Embedding::new", || _ = Embedding::<f32>::new(HUGE, 8, &mut init()), "than memory has addresses"),
    (
        "Embedding::forward",
        || _ = Embedding::<f32>::new(3, 2, &mut init()).forward(&Tape::eval(), &Ids::new([2], [2, 3])),
        "embedding: id 3 is not among the 3 rows of the table",
    ),
    ("LayerNorm::new", || _ = LayerNorm::<f32>::new(4, f64::NAN, &mut init()), "layer_norm: ε = NaN is not"),
    ("LayerNorm::new", || _ = LayerNorm::<f32>::new(4, -1.0, &mut init()), "layer_norm: ε = -1 is not"),
    ("LayerNorm::new", || _ = LayerNorm::<f32>::new(0, 0.1, &mut init()), "init: a parameter of [0]"),
    (
        "LayerNorm::with_gain",
        || _ = LayerNorm::<f32>::new(4, 0.1, &mut init()).with_gain(f64::INFINITY),
        "layer_norm: a gain of inf is not finite",
    ),
    (
        "Sentences::padded",
        || _ = Sentences::padded(Ids::new([2, 3], [0; 6]), [3, 4]),
        "sentences: lengths [3, 4] do not fit ids of [2, 3]",
    ),
    ("Sentences::padded", || _ = Sentences::padded(Ids::new([6], [0; 6]), [6]), "do not fit ids of [6]"),
    (
        "Sentences::pack",
        || _ = two().pack(&Ids::new([2, 4], [0; 8])),
        "sentences: ids to pack have another shape than these",
    ),
    (
        "Sentences::pack",
        || _ = unfit().pack(&two().ids),
        "sentences: lengths [3, 9] do not fit ids of [2, 3]",
    ),
    (
        "PackedPairs::new",
        || _ = PackedPairs::new(&one(3), &two(), &two().ids),
        "pairs: 1 sources for 2 targets",
    ),
    (
        "PackedPairs::new",
        || _ = PackedPairs::new(&two(), &two(), &one(3).ids),
        "sentences: ids to pack have another shape than these",
    ),
    ("PackedPairs::new", || _ = PackedPairs::new(&unfit(), &two(), &two().ids), "sentences: lengths [3, 9]"),
    ("Mask::packed", || _ = Mask::packed(&[1, 2], &[1]), "mask: queries of 2 sentences, keys of 1"),
    (
        "Mask::packed",
        || _ = Mask::packed(&[1, 2], &[1, u32::MAX as usize]),
        "mask: keys [1, 4294967295] are more than 32 bits number",
    ),
    ("Mask::packed", || _ = Mask::packed(&[HUGE; 3], &[1; 3]), "are more than 32 bits number"),
    (
        "Mask::attention",
        || _ = Mask::keep_lengths([2, 1]).attention(2, [3, 4].into(), [3, 4].into()),
        "is not for queries [3, 4] and keys [3, 4]",
    ),
    (
        "Mask::attention",
        || _ = Mask::keep_lengths([2, 1]).attention(2, [3, 4, 8].into(), [3, 4, 8].into()),
        "mask: lengths of 2 sentences for 3",
    ),
    (
        "Mask::counts",
        || _ = Mask::packed(&[1], &[1]).counts(1, 1, 1),
        "mask: packed rows are no [B, T] queries",
    ),
    (
        "Mask::counts",
        || _ = Mask::keep_past().counts(HUGE, 3, 1),
        "queries are more than memory has addresses",
    ),
    (
        "Mask::counts",
        || _ = Mask::keep_past().counts(1, 1, 1 << 32),
        "mask: 4294967296 keys are more than 32 bits number",
    ),
    ("Mask::flags", || _ = Mask::keep_all().flags(1 << 31, 1 << 31, 4), "are more than memory has addresses"),
    ("Mask::flags", || _ = Mask::keep_lengths([1]).flags(2, 1, 1), "mask: lengths of 1 sentences for 2"),
    ("Transformer::encode", || _ = model().encode(&Tape::infer(), &unfit()), "sentences: lengths [3, 9]"),
    (
        "Transformer::encode",
        || _ = model().encode(&Tape::infer(), &Sentences::new(&[[4, 11]], 0)),
        "embedding: id 11 is not among the 11 rows of the table",
    ),
    (
        "Transformer::encode",
        || _ = learned().encode(&Tape::infer(), &one(17)),
        "positions: 17 are more than the 16 learned",
    ),
    (
        "Transformer::decode",
        || {
            let (model, tape) = (model(), Tape::infer());
            model.decode(&tape, &one(3), model.encode(&tape, &two()), &[3, 3]);
        },
        "decode: 1 targets and sources of lengths [3, 3] do not fit a memory of [2, 3, 8]",
    ),
    (
        "Transformer::decode",
        || {
            let (model, tape) = (model(), Tape::infer());
            model.decode(&tape, &two(), model.encode(&tape, &two()), &[3, 4]);
        },
        "decode: 2 targets and sources of lengths [3, 4] do not fit",
    ),
    (
        "Transformer::loss",
        || loss(&Objective { smoothing: 1.0, ..objective() }),
        "loss: the smoothing 1 is not in [0, 1)",
    ),
    (
        "Transformer::loss",
        || loss(&Objective { smoothing: f64::NAN, ..objective() }),
        "loss: the smoothing NaN is not in [0, 1)",
    ),
    (
        "Transformer::loss",
        || loss(&Objective { weight: f64::INFINITY, ..objective() }),
        "loss: the weight inf is not finite",
    ),
    (
        "Transformer::loss",
        || _ = model().loss(&Tape::eval(), &one(3), &two(), &two().ids, &objective()),
        "pairs: 1 sources for 2 targets",
    ),
    (
        "Transformer::packed_loss",
        || packed_loss(&Objective { smoothing: -0.1, ..objective() }),
        "loss: the smoothing -0.1 is not in [0, 1)",
    ),
    (
        "Transformer::step",
        || {
            let model = model();
            model.step(&[1, 1, 1], &mut model.start(&two()));
        },
        "step: 3 tokens for 2 rows",
    ),
    (
        "Transformer::step",
        || {
            let model = model();
            model.step(&[1, 1], &mut model.clone().start(&two()));
        },
        "decoder: this cache was started by another decoder",
    ),
    (
        "Transformer::step",
        || {
            let model = model();
            model.step(&[1, 11], &mut model.start(&two()));
        },
        "embedding: id 11 is not among the 11 rows of the table",
    ),
    ("Transformer::r_drop_loss", || r_drop(f64::NAN, &objective()), "r_drop: α = NaN is not"),
    ("Transformer::r_drop_loss", || r_drop(-1.0, &objective()), "r_drop: α = -1 is not"),
    (
        "Transformer::r_drop_loss",
        || r_drop(1.0, &Objective { smoothing: 2.0, ..objective() }),
        "loss: the smoothing 2 is not in [0, 1)",
    ),
    ("Transformer::packed_r_drop_loss", || packed_r_drop(f64::INFINITY), "r_drop: α = inf is not"),
];

/// What says that it panics, and cannot be made to here.
const ELSEWHERE: [(&str, &str); 1] = [("Transformer::move_to", "it takes a card that has no room")];

fn dropout(p: f64) {
    Dropout { p }.forward(zeros(&Tape::eval(), &[2]));
}

fn around(placement: NormPlacement, p: f64, f: for<'t> fn(Var<'t>) -> Var<'t>) {
    let (tape, norm) = (Tape::train(1), LayerNorm::new(4, 0.1, &mut init()));
    Residual { placement, dropout: Dropout { p } }.around(zeros(&tape, &[2, 4]), &norm, f);
}

thread_local! {
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a panic of `f` says, and the file that it names.
fn panic_of(f: fn()) -> Option<(String, String)> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map_or_else(String::new, |place| place.file().to_owned());
            PLACE.set(place);
            before(info);
        }));
    });
    let payload = panic::catch_unwind(AssertUnwindSafe(f)).err()?;
    let said = payload.downcast_ref::<String>().cloned();
    let said = said.or_else(|| payload.downcast_ref::<&str>().map(|said| (*said).to_owned()));
    Some((said.unwrap_or_default(), PLACE.take()))
}

#[test]
fn misuse_panics_at_the_line_of_the_caller_in_its_own_words() {
    for &(name, misuse, expected) in TABLE {
        let (said, place) = panic_of(misuse).unwrap_or_else(|| panic!("{name} does not say: {expected}"));
        assert!(said.contains(expected), "{name} says {said:?}, not {expected:?}");
        assert!(place.ends_with(file!()), "{name} blames {place} for {said:?}");
    }
}

#[test]
fn every_function_that_says_it_panics_is_in_the_table() {
    let names = TABLE.iter().map(|(name, ..)| *name).chain(ELSEWHERE.map(|(name, _)| name));
    let tested: BTreeSet<String> = names.map(str::to_owned).collect();
    assert_eq!(documented(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), tested);
}

/// The public functions below this folder whose documentation has a section `# Panics`: `Type::name`.
fn documented(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let (mut owner, mut panics) = (String::new(), false);
        for line in text.lines() {
            if let Some(header) = line.strip_prefix("impl") {
                let of = header.rsplit(" for ").next().unwrap_or_default().trim_start_matches("<T: Float>");
                owner = of.trim().chars().take_while(|c| c.is_alphanumeric()).collect();
            }
            let line = line.trim();
            panics |= line == "/// # Panics";
            if let Some((before, name)) = line.split_once("fn ").filter(|_| !line.starts_with("//")) {
                if panics && before == "pub " {
                    let name: String =
                        name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    found.insert(format!("{owner}::{name}"));
                }
                panics = false;
            }
        }
    }
    found
}

#[test]
fn empty_rows_and_empty_batches_are_sentences() {
    let none: [Vec<u32>; 0] = [];
    assert_eq!(Sentences::new(&none, 0).count(), 0);
    let empty = Sentences::new(&[vec![], vec![]], 0);
    assert_eq!((empty.count(), empty.width()), (2, 0));
    assert_eq!(empty.pack(&empty.ids).as_slice().len(), 0);
    let some = Sentences::new(&[vec![], vec![5]], 0);
    assert_eq!(some.pack(&some.ids).as_slice(), [5]);
}

#[test]
fn a_decoder_goes_on_with_the_cache_that_it_began_wherever_it_was_moved() {
    let mut model = model();
    let mut cache = model.start(&two());
    model.for_each_mut(|_, param| {
        let moved = param.value().clone();
        *param.value_mut() = moved;
    });
    assert_eq!(model.step(&[1, 1], &mut cache).shape(), [2, 11].into());
}

//! Claims: no position sees what it must not see, and each sees all that it may: for every mask, with norms before and
//! after, in evaluation and in training, fused and explained.
//!
//! Each dependence is found twice, by the backward pass and by a forward pass in dual numbers, and must both times be
//! the one that the mask's definition gives, flag by flag.

use gradus::autograd::{Dependence, Dual, Float, Ids, Tape, Tensor, Var, depends};
use gradus::nn::{
    Decoder, Encoder, Init, Mask, MultiHeadAttention, NormPlacement, Objective, Positions, Sentences, Tied,
    Transformer, TransformerConfig,
};

use crate::common::{normal, shake, tiny};

const BATCH: usize = 3;
const SOURCE: usize = 4;
const TARGET: usize = 5;
const D: usize = 8;

/// The words of each source, and of each target; one source has none at all.
const SOURCES: [usize; BATCH] = [4, 2, 0];
const TARGETS: [usize; BATCH] = [3, 5, 1];

/// Where norms stand, whether dropout drops, and whether attention is made of small ops.
#[derive(Clone, Copy, Debug)]
struct Setting {
    norm: NormPlacement,
    train: bool,
    explained: bool,
}

impl Setting {
    fn all() -> impl Iterator<Item = Self> {
        [NormPlacement::Pre, NormPlacement::Post].into_iter().flat_map(|norm| {
            [(false, false), (false, true), (true, false), (true, true)].map(|(train, explained)| Self {
                norm,
                train,
                explained,
            })
        })
    }

    fn config(self) -> TransformerConfig {
        let vocab = BATCH * SOURCE.max(TARGET);
        let base = tiny();
        // A table for each side, so that the row of a word tells on which side it stands.
        TransformerConfig {
            norm: self.norm,
            tied: Tied::None,
            source_vocab: vocab,
            target_vocab: vocab,
            ..base
        }
    }

    fn tape<T: Float>(self) -> Tape<T> {
        if self.train { Tape::train(3) } else { Tape::eval() }
    }

    fn attend<'t, T: Float>(
        self,
        layer: &MultiHeadAttention<T>,
        [q, k, v]: [Var<'t, T>; 3],
        mask: &Mask,
    ) -> Var<'t, T> {
        if self.explained { layer.forward_explained(q, k, v, mask).0 } else { layer.forward(q, k, v, mask) }
    }

    fn encode<'t, T: Float>(self, encoder: &Encoder<T>, x: Var<'t, T>, mask: &Mask) -> Var<'t, T> {
        if !self.explained {
            return encoder.forward(x, mask);
        }
        let x = encoder.layers.iter().fold(x, |x, layer| {
            let around = layer.residual;
            let attend = |x| self.attend(&layer.self_attn, [x, x, x], mask);
            let x = around.around(x, &layer.self_attn_norm, attend);
            around.around(x, &layer.feed_forward_norm, |x| layer.feed_forward.forward(x))
        });
        encoder.norm.as_ref().map_or(x, |norm| norm.forward(x))
    }

    fn decode<'t, T: Float>(
        self,
        decoder: &Decoder<T>,
        x: Var<'t, T>,
        memory: Var<'t, T>,
        [mask, memory_mask]: [&Mask; 2],
    ) -> Var<'t, T> {
        if !self.explained {
            return decoder.forward(x, memory, mask, memory_mask);
        }
        let x = decoder.layers.iter().fold(x, |x, layer| {
            let around = layer.residual;
            let own = |x| self.attend(&layer.self_attn, [x, x, x], mask);
            let cross = |x| self.attend(&layer.cross_attn, [x, memory, memory], memory_mask);
            let x = around.around(x, &layer.self_attn_norm, own);
            let x = around.around(x, &layer.cross_attn_norm, cross);
            around.around(x, &layer.feed_forward_norm, |x| layer.feed_forward.forward(x))
        });
        decoder.norm.as_ref().map_or(x, |norm| norm.forward(x))
    }

    /// The states of every target position, from the words on.
    fn states<'t, T: Float>(
        self,
        model: &Transformer<T>,
        tape: &'t Tape<T>,
        [source, target]: [&Sentences; 2],
    ) -> Var<'t, T> {
        if !self.explained {
            return model.decode(tape, target, model.encode(tape, source), &source.lengths);
        }
        let embed = |table: Var<'t, T>, positions: Var<'t, T>, ids: &Ids| {
            (table.embedding(ids).scale((D as f64).sqrt()) + positions)
                .dropout(model.config.dropout.embedding)
        };
        let source_table = &model.source_embedding.as_ref().unwrap().weight;
        let at_source = model.source_positions.forward(tape, 0, SOURCE);
        let x = embed(tape.param(source_table), at_source, &source.ids);
        let lengths = Mask::keep_lengths(source.lengths.clone());
        let memory = self.encode(&model.encoder, x, &lengths);
        let at_target = model.target_positions.forward(tape, 0, TARGET);
        let x = embed(tape.param(&model.target_embedding.weight), at_target, &target.ids);
        let mask = Mask::keep_lengths(target.lengths.clone()).and_past();
        self.decode(&model.decoder, x, memory, [&mask, &lengths])
    }
}

/// What a mask keeps, by definition: key `k` of a sentence of `length` for query `q`.
type Keeps = fn(q: usize, k: usize, length: usize) -> bool;

/// Every mask over sentences of these lengths, with its definition.
fn masks(lengths: [usize; BATCH]) -> [(&'static str, Mask, Keeps); 4] {
    [
        ("none", Mask::keep_all(), |_, _, _| true),
        ("padding", Mask::keep_lengths(lengths), |_, k, length| k < length),
        ("causal", Mask::keep_past(), |q, k, _| k <= q),
        ("both", Mask::keep_lengths(lengths).and_past(), |q, k, length| k < length && k <= q),
    ]
}

/// The dependence of rows `[B, queries]` on rows `[B, keys]` within each sentence.
fn within(queries: usize, keys: usize, sees: impl Fn(usize, usize, usize) -> bool) -> Dependence {
    Dependence::expected(BATCH * queries, BATCH * keys, |row, key| {
        let sentence = row / queries;
        sentence == key / keys && sees(sentence, row % queries, key % keys)
    })
}

/// Finds the dependence of `f` on each input both ways, and compares it with what it must be.
fn assert_depends<const N: usize>(
    what: &str,
    setting: Setting,
    inputs: [Tensor<f64>; N],
    pull: impl for<'t> Fn(&'t Tape<f64>, [Var<'t, f64>; N]) -> Var<'t, f64>,
    push: impl for<'t> Fn(&'t Tape<Dual>, [Var<'t, Dual>; N]) -> Var<'t, Dual>,
    expected: [&Dependence; N],
) {
    let tape = setting.tape();
    let vars = inputs.each_ref().map(|x| tape.input(x.clone()));
    let y = pull(&tape, vars);
    for i in 0..N {
        let pushed = Dependence::pushed(&inputs[i], |moving| {
            let tape = setting.tape();
            let still = inputs.each_ref().map(|x| Tensor::dual(x, &Tensor::zeros(x.shape())));
            let vars =
                std::array::from_fn(|j| tape.input(if i == j { moving.clone() } else { still[j].clone() }));
            push(&tape, vars).value()
        });
        let pulled = Dependence::pulled(y, vars[i]);
        let expected = expected[i];
        assert_eq!(&pushed, expected, "{what}, {setting:?}, input {i}, forward:\n{pushed}is not\n{expected}");
        assert_eq!(
            &pulled, expected,
            "{what}, {setting:?}, input {i}, backward:\n{pulled}is not\n{expected}"
        );
    }
}

/// The same layer for both number types, off its first values.
macro_rules! both {
    ($make:expr) => {{
        let (mut pull, mut push) = ($make, $make);
        shake::<f64>(&mut pull);
        shake::<Dual>(&mut push);
        (pull, push)
    }};
}

fn states(width: usize, seed: u64) -> Tensor<f64> {
    normal(&[BATCH, width, D], seed)
}

#[test]
fn attention_reads_the_values_that_its_mask_keeps_and_no_others() {
    // Dropout may drop a weight in both heads, so that nothing is left to see: here only what is kept by design counts.
    for setting in Setting::all().filter(|setting| !setting.train && setting.norm == NormPlacement::Pre) {
        let (pull, push) = both!(MultiHeadAttention::new(&setting.config(), &mut Init::seeded(1)));
        for (name, mask, keeps) in masks(SOURCES) {
            let count = |b: usize, q: usize| (0..SOURCE).filter(|&k| keeps(q, k, SOURCES[b])).count();
            // A weight among others moves with its score; the only one is 1, whatever its score is.
            let query = within(SOURCE, SOURCE, |b, q, k| k == q && count(b, q) > 1);
            let key = within(SOURCE, SOURCE, |b, q, k| keeps(q, k, SOURCES[b]) && count(b, q) > 1);
            let value = within(SOURCE, SOURCE, |b, q, k| keeps(q, k, SOURCES[b]));
            assert_depends(
                name,
                setting,
                [1, 2, 3].map(|seed| states(SOURCE, seed)),
                |_, qkv| setting.attend(&pull, qkv, &mask),
                |_, qkv| setting.attend(&push, qkv, &mask),
                [&query, &key, &value],
            );
        }
    }
}

#[test]
fn an_encoder_state_sees_itself_and_what_the_mask_keeps() {
    for setting in Setting::all() {
        let (pull, push) = both!(Encoder::new(&setting.config(), &mut Init::seeded(2)));
        for (name, mask, keeps) in masks(SOURCES) {
            // The way around the attention leads from a position to itself, be it padding.
            let expected = within(SOURCE, SOURCE, |b, q, k| k == q || keeps(q, k, SOURCES[b]));
            assert_depends(
                name,
                setting,
                [states(SOURCE, 4)],
                |_, [x]| setting.encode(&pull, x, &mask),
                |_, [x]| setting.encode(&push, x, &mask),
                [&expected],
            );
        }
    }
}

#[test]
fn a_decoder_state_sees_no_later_word_and_no_padding() {
    for setting in Setting::all() {
        let (pull, push) = both!(Decoder::new(&setting.config(), &mut Init::seeded(3)));
        for (name, mask, keeps) in masks(TARGETS) {
            for (memory_name, memory_mask, memory_keeps) in &masks(SOURCES)[..2] {
                let own = within(TARGET, TARGET, |b, q, k| k == q || keeps(q, k, TARGETS[b]));
                let source = within(TARGET, SOURCE, |b, q, k| memory_keeps(q, k, SOURCES[b]));
                assert_depends(
                    &format!("{name} over {memory_name}"),
                    setting,
                    [states(TARGET, 5), states(SOURCE, 6)],
                    |_, [x, memory]| setting.decode(&pull, x, memory, [&mask, memory_mask]),
                    |_, [x, memory]| setting.decode(&push, x, memory, [&mask, memory_mask]),
                    [&own, &source],
                );
            }
        }
    }
}

/// Sentences in which every place, padding too, holds a word of its own: the rows of the table are the places.
fn distinct(width: usize, lengths: [usize; BATCH]) -> Sentences {
    let ids: Vec<u32> = (0..(BATCH * width) as u32).collect();
    Sentences::padded(Ids::new([BATCH, width], ids), lengths)
}

/// The dependence of an output of a whole model on the words of both sides, found both ways.
fn of_words(
    setting: Setting,
    config: &TransformerConfig,
    pull: impl for<'t> Fn(&Transformer<f64>, &'t Tape<f64>) -> Var<'t, f64>,
    push: impl for<'t> Fn(&Transformer<Dual>, &'t Tape<Dual>) -> Var<'t, Dual>,
) -> [[Dependence; 2]; 2] {
    let (model, moving) = both!(Transformer::new(config, &mut Init::seeded(4)));
    let tape = setting.tape();
    let y = pull(&model, &tape);
    let tables = [&model.source_embedding.as_ref().unwrap().weight, &model.target_embedding.weight];
    let pulled = tables.map(|table| Dependence::pulled(y, tape.param(table)));
    let pushed = [0, 1].map(|side| {
        Dependence::pushed(tables[side].value(), |table| {
            let mut model = moving.clone();
            let embedding = if side == 0 {
                model.source_embedding.as_mut().unwrap()
            } else {
                &mut model.target_embedding
            };
            *embedding.weight.value_mut() = table;
            push(&model, &setting.tape()).value()
        })
    });
    [pulled, pushed]
}

#[test]
fn a_model_keeps_words_to_their_sentence_and_to_what_comes_after() {
    let (source, target) = (distinct(SOURCE, SOURCES), distinct(TARGET, TARGETS));
    for setting in Setting::all() {
        for positions in [Positions::Sinusoidal, Positions::Learned] {
            let config = TransformerConfig { positions, ..setting.config() };
            let vocab = config.source_vocab;
            let sentences = [&source, &target];
            let found = of_words(
                setting,
                &config,
                |model, tape| model.logits(setting.states(model, tape, sentences)),
                |model, tape| model.logits(setting.states(model, tape, sentences)),
            );
            let of_source = Dependence::expected(BATCH * TARGET, vocab, |row, word| {
                row / TARGET == word / SOURCE && word % SOURCE < SOURCES[row / TARGET]
            });
            let of_target = Dependence::expected(BATCH * TARGET, vocab, |row, word| {
                let (b, q, k) = (row / TARGET, row % TARGET, word % TARGET);
                b == word / TARGET && (k == q || (k < q && k < TARGETS[b]))
            });
            for [by_source, by_target] in found {
                assert_eq!(by_source, of_source, "{setting:?}:\n{by_source}is not\n{of_source}");
                assert_eq!(by_target, of_target, "{setting:?}:\n{by_target}is not\n{of_target}");
            }
        }
    }
}

#[test]
fn the_loss_sees_no_padding_on_either_side() {
    const PAD: u32 = 0;
    let (source, target) = (distinct(SOURCE, SOURCES), distinct(TARGET, TARGETS));
    // The label of a padded row is padding, and is ignored.
    let labels: Vec<u32> = (0..BATCH * TARGET)
        .map(|row| if row % TARGET < TARGETS[row / TARGET] { 1 + (row % 7) as u32 } else { PAD })
        .collect();
    let labels = Ids::new([BATCH, TARGET], labels);
    let objective = Objective { smoothing: 0.1, ignore: Some(PAD), weight: 0.3 };
    for setting in Setting::all().filter(|setting| !setting.explained) {
        let config = setting.config();
        let found = of_words(
            setting,
            &config,
            |model, tape| model.loss(tape, &source, &target, &labels, &objective),
            |model, tape| model.loss(tape, &source, &target, &labels, &objective),
        );
        let of = |width: usize, lengths: [usize; BATCH]| {
            Dependence::expected(1, config.source_vocab, |_, word| {
                word / width < BATCH && word % width < lengths[word / width]
            })
        };
        for found in found {
            assert_eq!(found, [of(SOURCE, SOURCES), of(TARGET, TARGETS)], "{setting:?}");
        }
    }
}

#[test]
fn a_causal_mask_that_is_off_by_one_is_caught() {
    let mut decoder = Decoder::<f64>::new(&tiny(), &mut Init::seeded(3));
    shake(&mut decoder);
    let tape = Tape::eval();
    let [x, memory] = [states(TARGET, 5), states(SOURCE, 6)].map(|x| tape.input(x));
    // Seven keys for five queries: what a cached decoder would mean by it lets the first query see two keys more.
    let late = x.concat(x.slice(1, 0..1), 1);
    let layer = &decoder.layers[0].self_attn;
    let leaking = layer.forward(x, late, late, &Mask::keep_past());
    let right = decoder.forward(x, memory, &Mask::keep_past(), &Mask::keep_all());
    for t in 0..TARGET - 1 {
        assert!(depends((leaking, t..t + 1), (x, t + 1..t + 2)), "state {t} sees the next word");
        assert!(!depends((right, t..t + 1), (x, t + 1..BATCH * TARGET)));
        assert!(depends((right, t..t + 1), (x, 0..1)));
    }
}

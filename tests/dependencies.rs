//! Claims: no position sees what it must not see, and each sees all that it may: for every mask, with norms before and
//! after, in evaluation and in training, fused and explained.
//!
//! The mutation score asks the same of models with planted bugs.
//!
//! Each dependence is found twice, by the backward pass and by a forward pass in dual numbers, and must both times be
//! the one that the mask's definition gives, flag by flag.

use gradus::autograd::faults::{self, Fault};
use gradus::autograd::{Dependence, Dual, Float, Ids, Tape, Tensor, Var};
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

/// Where norms stand, whether dropout drops, whether attention is made of small ops, and which bug is planted.
#[derive(Clone, Copy, Debug)]
struct Setting {
    norm: NormPlacement,
    train: bool,
    explained: bool,
    fault: Option<&'static Fault>,
}

impl Setting {
    fn all() -> impl Iterator<Item = Self> {
        [NormPlacement::Pre, NormPlacement::Post].into_iter().flat_map(|norm| {
            [(false, false), (false, true), (true, false), (true, true)].map(|(train, explained)| Self {
                norm,
                train,
                explained,
                fault: None,
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
        let tape = if self.train { Tape::train(3) } else { Tape::eval() };
        if let Some(fault) = self.fault {
            tape.plant(fault);
        }
        tape
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

/// A mask with its name and definition.
type Named = (&'static str, Mask, Keeps);

/// Every mask over sentences of these lengths, with its definition.
fn masks(lengths: [usize; BATCH]) -> [Named; 4] {
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

/// Finds the dependence of a function on each input both ways, and says where it is not what it must be.
fn compare<const N: usize>(
    what: &str,
    setting: Setting,
    inputs: [Tensor<f64>; N],
    pull: impl for<'t> Fn(&'t Tape<f64>, [Var<'t, f64>; N]) -> Var<'t, f64>,
    push: impl for<'t> Fn(&'t Tape<Dual>, [Var<'t, Dual>; N]) -> Var<'t, Dual>,
    expected: [&Dependence; N],
) -> Result<(), String> {
    let tape = setting.tape();
    let vars = inputs.each_ref().map(|x| tape.input(x.clone()));
    let y = pull(&tape, vars);
    for i in 0..N {
        let pushed = Dependence::pushed(&inputs[i], |moving| {
            let tape = setting.tape();
            let still = inputs.each_ref().map(|x| Tensor::dual(x, &Tensor::zeros(x.shape())));
            let at = |j: usize| if i == j { moving.clone() } else { still[j].clone() };
            push(&tape, std::array::from_fn(|j| tape.input(at(j)))).value()
        });
        let pulled = Dependence::pulled(y, vars[i]);
        for (way, found) in [("forward", pushed), ("backward", pulled)] {
            if &found != expected[i] {
                return Err(format!(
                    "{what}, {setting:?}, input {i}, {way}:\n{found}is not\n{}",
                    expected[i]
                ));
            }
        }
    }
    Ok(())
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

fn of_attention(setting: Setting, (name, mask, keeps): &Named) -> Result<(), String> {
    let (pull, push) = both!(MultiHeadAttention::new(&setting.config(), &mut Init::seeded(1)));
    let count = |b: usize, q: usize| (0..SOURCE).filter(|&k| keeps(q, k, SOURCES[b])).count();
    // A weight among others moves with its score; the only one is 1, whatever its score is.
    let query = within(SOURCE, SOURCE, |b, q, k| k == q && count(b, q) > 1);
    let key = within(SOURCE, SOURCE, |b, q, k| keeps(q, k, SOURCES[b]) && count(b, q) > 1);
    let value = within(SOURCE, SOURCE, |b, q, k| keeps(q, k, SOURCES[b]));
    compare(
        name,
        setting,
        [1, 2, 3].map(|seed| states(SOURCE, seed)),
        |_, qkv| setting.attend(&pull, qkv, mask),
        |_, qkv| setting.attend(&push, qkv, mask),
        [&query, &key, &value],
    )
}

/// The same for values alone: that the weight of an only key does not move is seen in its last digit as soon as a rule
/// is computed another way, which is no leak.
fn of_values(setting: Setting, (name, mask, keeps): &Named) -> Result<(), String> {
    let (pull, push) = both!(MultiHeadAttention::new(&setting.config(), &mut Init::seeded(1)));
    let value = within(SOURCE, SOURCE, |b, q, k| keeps(q, k, SOURCES[b]));
    let [query, key] = [1, 2].map(|seed| states(SOURCE, seed));
    let still = |x: &Tensor<f64>| Tensor::dual(x, &Tensor::zeros(x.shape()));
    compare(
        name,
        setting,
        [states(SOURCE, 3)],
        |tape, [v]| {
            setting.attend(&pull, [tape.constant(query.clone()), tape.constant(key.clone()), v], mask)
        },
        |tape, [v]| {
            setting.attend(&push, [tape.constant(still(&query)), tape.constant(still(&key)), v], mask)
        },
        [&value],
    )
}

fn of_encoder(setting: Setting, (name, mask, keeps): &Named) -> Result<(), String> {
    let (pull, push) = both!(Encoder::new(&setting.config(), &mut Init::seeded(2)));
    // The way around the attention leads from a position to itself, be it padding.
    let expected = within(SOURCE, SOURCE, |b, q, k| k == q || keeps(q, k, SOURCES[b]));
    compare(
        name,
        setting,
        [states(SOURCE, 4)],
        |_, [x]| setting.encode(&pull, x, mask),
        |_, [x]| setting.encode(&push, x, mask),
        [&expected],
    )
}

fn of_decoder(setting: Setting, masks: [&Named; 2]) -> Result<(), String> {
    let (pull, push) = both!(Decoder::new(&setting.config(), &mut Init::seeded(3)));
    let [(name, mask, keeps), (memory_name, memory_mask, memory_keeps)] = masks;
    let own = within(TARGET, TARGET, |b, q, k| k == q || keeps(q, k, TARGETS[b]));
    let source = within(TARGET, SOURCE, |b, q, k| memory_keeps(q, k, SOURCES[b]));
    compare(
        &format!("{name} over {memory_name}"),
        setting,
        [states(TARGET, 5), states(SOURCE, 6)],
        |_, [x, memory]| setting.decode(&pull, x, memory, [mask, memory_mask]),
        |_, [x, memory]| setting.decode(&push, x, memory, [mask, memory_mask]),
        [&own, &source],
    )
}

/// Attention over the same sentences without padding, one after the other in rows `[N, D]`.
fn of_packed(setting: Setting, past: bool) -> Result<(), String> {
    let (pull, push) = both!(MultiHeadAttention::new(&setting.config(), &mut Init::seeded(1)));
    let (queries, keys) = if past { (TARGETS, TARGETS) } else { (TARGETS, SOURCES) };
    let mask = Mask::packed(&queries, &keys);
    let mask = if past { mask.and_past() } else { mask };
    let rows = |lengths: [usize; BATCH]| {
        let sentence = |b: usize| (0..lengths[b]).map(move |position| (b, position));
        (0..BATCH).flat_map(sentence).collect::<Vec<_>>()
    };
    let (query_rows, key_rows) = (rows(queries), rows(keys));
    let expected = Dependence::expected(query_rows.len(), key_rows.len(), |query, key| {
        let ((b, q), (b2, k)) = (query_rows[query], key_rows[key]);
        b == b2 && (!past || k <= q)
    });
    let [q, k, v] =
        [(&query_rows, 1), (&key_rows, 2), (&key_rows, 3)].map(|(rows, seed)| normal(&[rows.len(), D], seed));
    let still = |x: &Tensor<f64>| Tensor::dual(x, &Tensor::zeros(x.shape()));
    compare(
        "packed",
        setting,
        [v],
        |tape, [v]| pull.forward(tape.constant(q.clone()), tape.constant(k.clone()), v, &mask),
        |tape, [v]| push.forward(tape.constant(still(&q)), tape.constant(still(&k)), v, &mask),
        [&expected],
    )
}

#[test]
fn packed_sentences_keep_to_themselves() {
    for setting in Setting::all().filter(|setting| !setting.train && !setting.explained) {
        [false, true].into_iter().for_each(|past| expect(of_packed(setting, past)));
    }
}

fn expect(outcome: Result<(), String>) {
    if let Err(difference) = outcome {
        panic!("{difference}");
    }
}

#[test]
fn attention_reads_the_values_that_its_mask_keeps_and_no_others() {
    // Dropout may drop a weight in both heads, so that nothing is left to see: here only what is kept by design counts.
    for setting in Setting::all().filter(|setting| !setting.train && setting.norm == NormPlacement::Pre) {
        masks(SOURCES).iter().for_each(|mask| expect(of_attention(setting, mask)));
    }
}

#[test]
fn an_encoder_state_sees_itself_and_what_the_mask_keeps() {
    for setting in Setting::all() {
        masks(SOURCES).iter().for_each(|mask| expect(of_encoder(setting, mask)));
    }
}

#[test]
fn a_decoder_state_sees_no_later_word_and_no_padding() {
    for setting in Setting::all() {
        for mask in &masks(TARGETS) {
            masks(SOURCES)[..2]
                .iter()
                .for_each(|memory_mask| expect(of_decoder(setting, [mask, memory_mask])));
        }
    }
}

/// Whether attention and a decoder with this bug, fused or explained, still depend on what they must and on nothing else.
pub(crate) fn hold_with(fault: Option<&'static Fault>) -> bool {
    let ([_, padding, _, own], [_, _, _, target]) = (masks(SOURCES), masks(TARGETS));
    [false, true].into_iter().all(|explained| {
        let setting = Setting { norm: NormPlacement::Pre, train: false, explained, fault };
        of_values(setting, &own).is_ok()
            && of_decoder(setting, [&target, &padding]).is_ok()
            && [false, true].into_iter().all(|past| of_packed(setting, past).is_ok())
    })
}

#[test]
fn a_mask_that_is_off_by_one_is_caught() {
    for (explained, op) in [(false, "attention"), (true, "masked_softmax")] {
        let fault = faults::named(op, "off by one");
        let setting = Setting { norm: NormPlacement::Post, train: true, explained, fault };
        let [.., causal, _] = masks(TARGETS);
        // Two layers leak two words.
        let difference = of_decoder(setting, [&causal, &masks(SOURCES)[0]]).unwrap_err();
        assert!(difference.contains("input 0, forward:\n███·"), "{difference}");
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

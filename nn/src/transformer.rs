//! The whole model.

use autograd::{Device, Float, Ids, Param, Parameters, Tape, Tensor, Var, parameters, stage};

use crate::cache::DecoderCache;
use crate::config::{Tied, TransformerConfig};
use crate::decoder::Decoder;
use crate::embedding::Embedding;
use crate::encoder::Encoder;
use crate::init::Init;
use crate::mask::Mask;
use crate::pairs::PackedPairs;
use crate::positional::PositionalEncoding;
use crate::sentences::Sentences;

/// An encoder-decoder Transformer for translation (Vaswani et al., "Attention is all you need", 2017).
///
/// Of the three tables of word vectors, those that are tied exist once: `source_embedding` is absent where everything is
/// tied, `output` is absent where it is the target embedding.
#[derive(Clone, Debug)]
pub struct Transformer<T: Float = f32> {
    /// Source word vectors `[V, D]`, where they are a table of their own.
    pub source_embedding: Option<Embedding<T>>,
    /// Target word vectors `[V, D]`.
    pub target_embedding: Embedding<T>,
    /// The output projection `[V, D]`, where it is a table of its own.
    pub output: Option<Param<T>>,
    /// Vectors of source positions.
    pub source_positions: PositionalEncoding<T>,
    /// Vectors of target positions.
    pub target_positions: PositionalEncoding<T>,
    /// Reads the source.
    pub encoder: Encoder<T>,
    /// Writes the target.
    pub decoder: Decoder<T>,
    /// What it was made from.
    pub config: TransformerConfig,
}

parameters!(Transformer {
    source_embedding,
    target_embedding,
    output,
    source_positions,
    target_positions,
    encoder,
    decoder,
});

/// What training minimises.
#[derive(Clone, Debug)]
pub struct Objective {
    /// The share of probability that label smoothing spreads over the vocabulary.
    pub smoothing: f64,
    /// The label of padding, whose rows do not count.
    pub ignore: Option<u32>,
    /// What the sum over target tokens is multiplied by: one over their number in the whole batch, of which this may be
    /// a part.
    pub weight: f64,
}

impl Objective {
    /// # Panics
    /// Where the share is not in [0, 1), or the weight not finite.
    #[track_caller]
    pub(crate) fn check(&self) {
        let Self { smoothing, weight, .. } = self;
        assert!((0.0..1.0).contains(smoothing), "loss: the smoothing {smoothing} is not in [0, 1)");
        assert!(weight.is_finite(), "loss: the weight {weight} is not finite");
    }
}

impl<T: Float> Transformer<T> {
    /// A model with first values drawn from `init`.
    ///
    /// # Panics
    /// Where the configuration is not valid ([`TransformerConfig::validate`]).
    #[track_caller]
    pub fn new(config: &TransformerConfig, init: &mut Init) -> Self {
        config.demand_valid("transformer");
        let mut own = Init::with_scheme(init.clone(), config.init);
        let d_model = config.d_model;
        let model = Self {
            source_embedding: (config.tied != Tied::All)
                .then(|| Embedding::new(config.source_vocab, d_model, &mut own)),
            target_embedding: Embedding::new(config.target_vocab, d_model, &mut own),
            output: (config.tied == Tied::None).then(|| own.table(config.target_vocab, d_model)),
            source_positions: PositionalEncoding::new(config, &mut own),
            target_positions: PositionalEncoding::new(config, &mut own),
            encoder: Encoder::new(config, &mut own),
            decoder: Decoder::new(config, &mut own),
            config: config.clone(),
        };
        *init = own;
        model
    }

    /// The same model in another number type: an `f32` model in training becomes one whose gradients can be audited. What
    /// is frozen stays so.
    pub fn cast<U: Float>(&self) -> Transformer<U> {
        let mut cast = Transformer::new(&self.config, &mut Init::seeded(0));
        let mut values = self.parameters().into_iter();
        cast.for_each_mut(|_, param| {
            if let Some((_, own)) = values.next() {
                *param.value_mut() = own.value().cast();
                if own.is_frozen() {
                    param.freeze();
                }
            }
        });
        cast
    }

    /// The device that its parameters lie on.
    pub fn device(&self) -> Device {
        self.target_embedding.weight.value().device()
    }

    /// Moves it to a device.
    ///
    /// # Panics
    /// As [`Tensor::to`].
    pub fn move_to(&mut self, device: &Device) {
        if self.device() == *device {
            return;
        }
        self.for_each_mut(|_, param| {
            let moved = param.value().to(device);
            *param.value_mut() = moved;
        });
        self.source_positions.move_to(device);
        self.target_positions.move_to(device);
    }

    /// The encoder's output for a batch of sources: `[B, S, D]`.
    ///
    /// # Panics
    /// Where lengths do not fit their ids, an id is not in the vocabulary, or a learned table of positions is too short.
    #[track_caller]
    pub fn encode<'t>(&self, tape: &'t Tape<T>, source: &Sentences) -> Var<'t, T> {
        source.check();
        let table = self.source_embedding.as_ref().unwrap_or(&self.target_embedding);
        let x = self.embed(tape, table, &self.source_positions, &source.ids); // [B, S, D]
        self.encoder.forward(x, &Mask::keep_lengths(source.lengths.clone()))
    }

    /// The decoder's output for the targets so far: `[B, T, D]`.
    ///
    /// # Panics
    /// As [`encode`](Self::encode), and where the memory is not `[B, S, D]` for the targets' B and B lengths of at most S.
    #[track_caller]
    pub fn decode<'t>(
        &self,
        tape: &'t Tape<T>,
        target_in: &Sentences,
        memory: Var<'t, T>,
        source_lengths: &[usize],
    ) -> Var<'t, T> {
        target_in.check();
        let (shape, count) = (memory.shape(), target_in.count());
        let fits = matches!(*shape, [rows, width, _] if rows == count && rows == source_lengths.len()
            && source_lengths.iter().all(|&length| length <= width));
        assert!(
            fits,
            "decode: {count} targets and sources of lengths {source_lengths:?} do not fit a memory of {shape}"
        );
        let x = self.embed(tape, &self.target_embedding, &self.target_positions, &target_in.ids); // [B, T, D]
        let mask = Mask::keep_lengths(target_in.lengths.clone()).and_past();
        self.decoder.forward(x, memory, &mask, &Mask::keep_lengths(source_lengths))
    }

    /// Scores of every word at every position: `hidden [.., D]` to `[.., V]`.
    #[track_caller]
    pub fn logits<'t>(&self, hidden: Var<'t, T>) -> Var<'t, T> {
        hidden.linear_by(self.output_weight(), None)
    }

    /// Scores of every next word: `[B, T, V]`.
    #[track_caller]
    pub fn forward<'t>(&self, tape: &'t Tape<T>, source: &Sentences, target_in: &Sentences) -> Var<'t, T> {
        let memory = self.encode(tape, source);
        self.logits(self.decode(tape, target_in, memory, &source.lengths))
    }

    /// The cross-entropy of the next words with `target_out [B, T]`, a scalar.
    ///
    /// What [`forward`](Self::forward) and the cross-entropy of its logits compute, without any work on padding, and
    /// without ever holding all logits: the words of all sentences follow each other in rows, `[N, D]`. On a tape that
    /// [explains](Tape::explained) it is computed from `forward` and the logits, all in small ops; padding must then have
    /// the label `ignore`.
    ///
    /// # Panics
    /// As [`encode`](Self::encode), and where sources and targets are not equally many, the words that come next have another
    /// shape than the targets, the smoothing is not in [0, 1), or the weight not finite.
    #[track_caller]
    pub fn loss<'t>(
        &self,
        tape: &'t Tape<T>,
        source: &Sentences,
        target_in: &Sentences,
        target_out: &Ids,
        objective: &Objective,
    ) -> Var<'t, T> {
        objective.check();
        if tape.explains() {
            let &Objective { smoothing, ignore, weight } = objective;
            let logits = self.forward(tape, source, target_in); // [B, T, V]
            return logits.cross_entropy_weighted(target_out, smoothing, ignore, weight);
        }
        self.packed_loss(tape, &PackedPairs::new(source, target_in, target_out), objective)
    }

    /// The same of sentences that are in rows already. Where the model lies on a card, all that it takes of them goes there at
    /// once, unless it is there.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    #[track_caller]
    pub fn packed_loss<'t>(
        &self,
        tape: &'t Tape<T>,
        pairs: &PackedPairs,
        objective: &Objective,
    ) -> Var<'t, T> {
        objective.check();
        let &Objective { smoothing, ignore, weight } = objective;
        let hidden = self.hidden_packed(tape, pairs); // [M, D]
        let output = tape.param(self.output_weight());
        hidden.linear_cross_entropy_weighted(output, &pairs.labels, smoothing, ignore, weight)
    }

    /// What [`decode`](Self::decode) gives for the words of all targets in rows, `[M, D]`, without any work on padding.
    #[track_caller]
    pub(crate) fn hidden_packed<'t>(&self, tape: &'t Tape<T>, pairs: &PackedPairs) -> Var<'t, T> {
        stage(&self.device(), &pairs.picks(), &pairs.numbers());
        let table = self.source_embedding.as_ref().unwrap_or(&self.target_embedding);
        let rows = [&pairs.source_words, &pairs.source_places];
        let x = self.embed_rows(tape, table, &self.source_positions, rows); // [N, D]
        let memory = self.encoder.forward(x, &pairs.source_mask); // [N, D]
        let rows = [&pairs.target_words, &pairs.target_places];
        let x = self.embed_rows(tape, &self.target_embedding, &self.target_positions, rows); // [M, D]
        self.decoder.forward(x, memory, &pairs.target_mask, &pairs.memory_mask)
    }

    /// Reads the sources and gives an empty decoder cache for them.
    #[track_caller]
    pub fn start(&self, source: &Sentences) -> DecoderCache<T> {
        let tape = Tape::infer();
        self.decoder.start(self.encode(&tape, source), &source.lengths)
    }

    /// The scores `[R, V]` of the words after `tokens`, one new token for every row of the cache; on the processor, where
    /// searches look at them.
    ///
    /// # Panics
    /// Where the cache was started by another model, a copy of this one among them, or there is not one token for every row, or
    /// one is not in the vocabulary, or a learned table of positions is too short.
    #[track_caller]
    pub fn step(&self, tokens: &[u32], cache: &mut DecoderCache<T>) -> Tensor<T> {
        let (count, rows) = (tokens.len(), cache.rows.count());
        assert!(count == rows, "step: {count} tokens for {rows} rows");
        let tape = Tape::infer();
        let words = self.target_embedding.forward(&tape, &Ids::new([tokens.len()], tokens)); // [R, D]
        let x = self.place(words, self.target_positions.forward(&tape, cache.length(), 1));
        self.logits(self.decoder.step(x, cache)).value().to(&Device::Cpu) // [R, V]
    }

    /// `dropout(√D · E[ids] + positions)`
    #[track_caller]
    pub(crate) fn embed<'t>(
        &self,
        tape: &'t Tape<T>,
        table: &Embedding<T>,
        positions: &PositionalEncoding<T>,
        ids: &Ids,
    ) -> Var<'t, T> {
        self.place(table.forward(tape, ids), positions.forward(tape, 0, ids.shape()[1]))
    }

    /// The same for words `[N]` in places `[N]`: `[N, D]`.
    #[track_caller]
    fn embed_rows<'t>(
        &self,
        tape: &'t Tape<T>,
        table: &Embedding<T>,
        positions: &PositionalEncoding<T>,
        [words, places]: [&Ids; 2],
    ) -> Var<'t, T> {
        self.place(table.forward(tape, words), positions.at(tape, places))
    }

    #[track_caller]
    fn place<'t>(&self, words: Var<'t, T>, positions: Var<'t, T>) -> Var<'t, T> {
        (words.scale((self.config.d_model as f64).sqrt()) + positions).dropout(self.config.dropout.embedding)
    }

    fn output_weight(&self) -> &Param<T> {
        self.output.as_ref().unwrap_or(&self.target_embedding.weight)
    }
}

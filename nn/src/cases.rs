//! The one list that every layer check walks: each layer at work on small random inputs, under every kind of mask and
//! in every form, up to whole models. What an op's cases are to `autograd`, these are to layers.

use autograd::rng::Stream;
use autograd::{Float, GradCheck, Ids, Parameters, Subject, Tape, Tensor, Var, Verdict, verify};

use crate::{
    Activation, Decoder, DecoderLayer, Dropout, Dropouts, Embedding, Encoder, EncoderLayer, FeedForward,
    Init, LayerNorm, Linear, Mask, MultiHeadAttention, NormPlacement, Objective, PositionalEncoding,
    Positions, Preset, Residual, Sentences, Tied, Transformer, TransformerConfig,
};

/// A layer at work.
pub struct Case {
    /// What is shown: `cross_attention, lengths and past`.
    pub name: String,
    /// Runs all checks.
    pub verify: Box<dyn Fn(&GradCheck) -> Verdict + Send + Sync>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Case({})", self.name)
    }
}

impl Case {
    fn new(name: impl Into<String>, subject: impl Subject + Send + Sync + 'static) -> Self {
        let name = name.into();
        Self { name: name.clone(), verify: Box::new(move |check| verify(name.clone(), &subject, check)) }
    }

    /// The same with matrices checked along directions: a whole model has too many entries, vectors have not.
    fn along_directions(self) -> Self {
        let verify = self.verify;
        let verify = Box::new(move |check: &GradCheck| {
            verify(&GradCheck { entries: check.entries.min(16), ..check.clone() })
        });
        Self { name: self.name, verify }
    }
}

/// Every layer.
pub fn layers() -> Vec<Case> {
    let mut cases = vec![
        Case::new("linear", LinearAtWork { bias: true }),
        Case::new("linear, no bias", LinearAtWork { bias: false }),
        Case::new("embedding", EmbeddingAtWork {}),
        Case::new("layer_norm", LayerNormAtWork {}),
        Case::new("dropout", DropoutAtWork {}),
    ];
    for placement in PLACEMENTS {
        let name = format!("residual, {placement:?}-norm").to_lowercase();
        cases.push(Case::new(name, ResidualAtWork { placement }));
    }
    for activation in [Activation::Relu, Activation::Gelu, Activation::Silu] {
        let name = format!("feed_forward, {activation:?}").to_lowercase();
        cases.push(Case::new(name, FeedForwardAtWork { activation }));
    }
    for positions in [Positions::Sinusoidal, Positions::Learned] {
        let name = format!("positional_encoding, {positions:?}").to_lowercase();
        cases.push(Case::new(name, PositionsAtWork { positions }));
    }
    for explained in [false, true] {
        let how = if explained { ", explained" } else { "" };
        for (kind, mask) in masks() {
            let (own, cross) =
                (format!("self_attention, {kind}{how}"), format!("cross_attention, {kind}{how}"));
            cases.push(Case::new(own, SelfAttentionAtWork { mask: mask.clone(), explained }));
            cases.push(Case::new(cross, CrossAttentionAtWork { mask, explained }));
        }
    }
    for past in [false, true] {
        let name = format!("cross_attention, packed{}", if past { " and past" } else { "" });
        cases.push(Case::new(name, PackedAttentionAtWork { past }));
    }
    for norm in PLACEMENTS {
        let how = format!("{norm:?}-norm").to_lowercase();
        cases.push(Case::new(format!("encoder_layer, {how}"), EncoderLayerAtWork { norm }));
        cases.push(Case::new(format!("encoder, {how}"), EncoderAtWork { norm }));
        cases.push(Case::new(format!("decoder_layer, {how}"), DecoderLayerAtWork { norm }));
        cases.push(Case::new(format!("decoder, {how}"), DecoderAtWork { norm }));
    }
    cases
}

/// Whole Transformers of two and two layers, whatever is tied and wherever norms stand: their logits and their loss.
pub fn models() -> Vec<Case> {
    let mut cases = Vec::new();
    for norm in PLACEMENTS {
        for tied in [Tied::None, Tied::Target, Tied::All] {
            for positions in [Positions::Sinusoidal, Positions::Learned] {
                let config = TransformerConfig { norm, tied, positions, ..tiny() };
                let how = format!("{norm:?}-norm, tied {tied:?}, {positions:?}").to_lowercase();
                for loss in [false, true] {
                    let output = if loss { "loss" } else { "logits" };
                    let model = TransformerAtWork { config: config.clone(), loss };
                    cases.push(Case::new(format!("transformer, {how}, {output}"), model).along_directions());
                }
            }
        }
        let name = format!("transformer, {norm:?}-norm, r-drop").to_lowercase();
        let model = RDropAtWork { config: TransformerConfig { norm, ..tiny() } };
        cases.push(Case::new(name, model).along_directions());
    }
    cases
}

/// Two layers on each side, of all that a Transformer has, with dropout in every place where there is one.
///
/// GELU, because it is smooth: among the thousands of differences that a gradient check of a whole model takes, a few
/// would straddle a kink of ReLU, where a derivative does not exist. ReLU is checked in the feed-forward layer.
pub fn tiny() -> TransformerConfig {
    TransformerConfig {
        d_model: 8,
        ffn: 12,
        heads: 2,
        encoder_layers: 2,
        decoder_layers: 2,
        activation: Activation::Gelu,
        norm_epsilon: 0.1,
        max_length: 16,
        dropout: Dropouts { residual: 0.1, attention: 0.2, activation: 0.1, embedding: 0.1 },
        ..Preset::Tiny.config(11, 11)
    }
}

/// Moves every parameter off its first value. Biases of zero and gains of one would hide rules that forget them.
pub fn shake<T: Float>(layer: &mut impl Parameters<T>) {
    let mut stream = Stream::new(77);
    layer.for_each_mut(|_, param| {
        for x in param.value_mut().make_mut() {
            *x += T::of(0.3 * (stream.uniform() - 0.5));
        }
    });
}

/// Every kind of mask over three sentences of three keys; where there are lengths, the last sentence has no key at all.
pub fn masks() -> [(&'static str, Mask); 4] {
    [
        ("no mask", Mask::keep_all()),
        ("lengths", Mask::keep_lengths([3, 1, 0])),
        ("past", Mask::keep_past()),
        ("lengths and past", Mask::keep_lengths([3, 1, 0]).and_past()),
    ]
}

const PLACEMENTS: [NormPlacement; 2] = [NormPlacement::Pre, NormPlacement::Post];

/// Normal numbers, the same for the same seed.
fn normal(shape: &[usize], seed: u64) -> Tensor<f64> {
    Tensor::normal(shape, 1.0, &mut Stream::new(seed))
}

/// Declares a subject: its layer, how that is made, its inputs by shape and seed, and what is computed.
macro_rules! at_work {
    (
        $name:ident { $($field:ident: $type:ty),* } = $layer:ty,
        |$this:ident, $init:ident| $new:expr,
        [$(($shape:expr, $seed:literal)),*],
        |$tape:ident, $made:ident, $x:ident| $run:expr $(,)?
    ) => {
        struct $name { $($field: $type),* }

        impl Subject for $name {
            type Layer<T: Float> = $layer;
            fn layer<T: Float>(&self) -> $layer {
                let ($this, $init) = (self, &mut Init::seeded(5));
                let _ = $this;
                let mut layer = $new;
                shake::<T>(&mut layer);
                layer
            }
            fn inputs(&self) -> Vec<Tensor<f64>> {
                vec![$(normal(&$shape, $seed)),*]
            }
            fn run<'t, T: Float>(&self, $tape: &'t Tape<T>, $made: &$layer, $x: &[Var<'t, T>]) -> Var<'t, T> {
                let $this = self;
                let _ = $this;
                $run
            }
        }
    };
}

at_work! {
    LinearAtWork { bias: bool } = Linear<T>,
    |this, init| if this.bias { Linear::new(4, 5, init) } else { Linear::without_bias(4, 5, init) },
    [([2, 3, 4], 1)],
    |_tape, layer, x| layer.forward(x[0]),
}
at_work! {
    // Words that come more than once, and one that never does.
    EmbeddingAtWork {} = Embedding<T>,
    |_this, init| Embedding::new(5, 3, init),
    [],
    |tape, layer, _x| layer.forward(tape, &Ids::new([2, 3], [4, 0, 4, 4, 1, 0])),
}
at_work! {
    LayerNormAtWork {} = LayerNorm<T>,
    |_this, init| LayerNorm::new(6, 1e-5, init),
    [([2, 3, 6], 2)],
    |_tape, layer, x| layer.forward(x[0]),
}
at_work! {
    DropoutAtWork {} = (),
    |_this, _init| (),
    [([4, 5], 3)],
    |_tape, _layer, x| Dropout { p: 0.3 }.forward(x[0]),
}
at_work! {
    ResidualAtWork { placement: NormPlacement } = LayerNorm<T>,
    |this, init| LayerNorm::new(6, 1e-5, init),
    [([2, 3, 6], 2)],
    |_tape, norm, x| {
        let residual = Residual { placement: this.placement, dropout: Dropout { p: 0.3 } };
        residual.around(x[0], norm, |x| x.gelu())
    },
}
at_work! {
    FeedForwardAtWork { activation: Activation } = FeedForward<T>,
    |this, init| FeedForward::new(&TransformerConfig { activation: this.activation, ..tiny() }, init),
    [([2, 2, 8], 3)],
    |_tape, layer, x| layer.forward(x[0]),
}
at_work! {
    PositionsAtWork { positions: Positions } = PositionalEncoding<T>,
    |this, init| PositionalEncoding::new(&TransformerConfig { positions: this.positions, ..tiny() }, init),
    [([2, 3, 8], 4)],
    |tape, layer, x| x[0] * layer.forward(tape, 2, 3),
}
at_work! {
    SelfAttentionAtWork { mask: Mask, explained: bool } = MultiHeadAttention<T>,
    |this, init| MultiHeadAttention::new(&tiny(), init),
    [([3, 3, 8], 5)],
    |_tape, layer, x| if this.explained {
        layer.forward_explained(x[0], x[0], x[0], &this.mask).0
    } else {
        layer.forward(x[0], x[0], x[0], &this.mask)
    },
}
at_work! {
    CrossAttentionAtWork { mask: Mask, explained: bool } = MultiHeadAttention<T>,
    |this, init| MultiHeadAttention::new(&tiny(), init),
    [([3, 2, 8], 6), ([3, 3, 8], 7), ([3, 3, 8], 8)],
    |_tape, layer, x| if this.explained {
        layer.forward_explained(x[0], x[1], x[2], &this.mask).0
    } else {
        layer.forward(x[0], x[1], x[2], &this.mask)
    },
}
at_work! {
    // Three sentences of two, one and two queries over three, no and three keys.
    PackedAttentionAtWork { past: bool } = MultiHeadAttention<T>,
    |this, init| MultiHeadAttention::new(&tiny(), init),
    [([5, 8], 6), ([6, 8], 7), ([6, 8], 8)],
    |_tape, layer, x| {
        let mask = Mask::packed(&[2, 1, 2], &[3, 0, 3]);
        layer.forward(x[0], x[1], x[2], &if this.past { mask.and_past() } else { mask })
    },
}
at_work! {
    EncoderLayerAtWork { norm: NormPlacement } = EncoderLayer<T>,
    |this, init| EncoderLayer::new(&TransformerConfig { norm: this.norm, ..tiny() }, init),
    [([3, 3, 8], 9)],
    |_tape, layer, x| layer.forward(x[0], &Mask::keep_lengths([3, 1, 0])),
}
at_work! {
    EncoderAtWork { norm: NormPlacement } = Encoder<T>,
    |this, init| Encoder::new(&TransformerConfig { norm: this.norm, ..tiny() }, init),
    [([3, 3, 8], 9)],
    |_tape, layer, x| layer.forward(x[0], &Mask::keep_lengths([3, 1, 0])),
}
at_work! {
    DecoderLayerAtWork { norm: NormPlacement } = DecoderLayer<T>,
    |this, init| DecoderLayer::new(&TransformerConfig { norm: this.norm, ..tiny() }, init),
    [([3, 2, 8], 10), ([3, 3, 8], 11)],
    |_tape, layer, x| {
        layer.forward(x[0], x[1], &Mask::keep_lengths([2, 2, 1]).and_past(), &Mask::keep_lengths([3, 1, 0]))
    },
}
at_work! {
    DecoderAtWork { norm: NormPlacement } = Decoder<T>,
    |this, init| Decoder::new(&TransformerConfig { norm: this.norm, ..tiny() }, init),
    [([3, 2, 8], 10), ([3, 3, 8], 11)],
    |_tape, layer, x| {
        layer.forward(x[0], x[1], &Mask::keep_lengths([2, 2, 1]).and_past(), &Mask::keep_lengths([3, 1, 0]))
    },
}
at_work! {
    TransformerAtWork { config: TransformerConfig, loss: bool } = Transformer<T>,
    |this, init| Transformer::new(&this.config, init),
    [],
    |tape, model, _x| {
        // One source has no word at all. 0 is padding, 1 begins a sentence, 2 ends it.
        let source = Sentences::new(&[vec![7, 3, 10], vec![4, 9], vec![]], 0);
        let target_in = Sentences::new(&[vec![1, 5, 8], vec![1, 3], vec![1, 10]], 0);
        let target_out = Ids::new([3, 3], [5, 8, 2, 3, 2, 0, 10, 2, 0]);
        if this.loss {
            let objective = Objective { smoothing: 0.1, ignore: Some(0), weight: 1.0 };
            model.loss(tape, &source, &target_in, &target_out, &objective)
        } else {
            model.forward(tape, &source, &target_in)
        }
    },
}

at_work! {
    RDropAtWork { config: TransformerConfig } = Transformer<T>,
    |this, init| Transformer::new(&this.config, init),
    [],
    |tape, model, _x| {
        let source = Sentences::new(&[vec![7, 3, 10], vec![4, 9], vec![]], 0);
        let target_in = Sentences::new(&[vec![1, 5, 8], vec![1, 3], vec![1, 10]], 0);
        let target_out = Ids::new([3, 3], [5, 8, 2, 3, 2, 0, 10, 2, 0]);
        let objective = Objective { smoothing: 0.1, ignore: Some(0), weight: 1.0 };
        model.r_drop_loss(tape, &source, &target_in, &target_out, &objective, 5.0)
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With these seeds some gradients are left of terms that cancel, and the roundings of `f32` are as large as 2e-5 of them.
    #[test]
    fn what_roundings_do_to_a_model_is_no_mistake_of_its_rules() {
        let mut enlarged = 0;
        for seed in [5, 9] {
            for case in models() {
                let verdict =
                    (case.verify)(&GradCheck { seed, entries: 0, directions: 0, ..GradCheck::default() });
                assert!(verdict.ok(), "seed {seed}: {verdict}");
                enlarged += usize::from(verdict.f32_tolerance > Verdict::F32);
            }
        }
        assert!(enlarged > 0, "what is forgiven comes about");
    }

    #[test]
    fn every_layer_and_every_model_is_right() {
        for case in layers().into_iter().chain(models()) {
            let verdict = (case.verify)(&GradCheck::default());
            assert!(verdict.ok(), "{verdict}");
            let report = verdict.differences.unwrap();
            assert!(report.compared > 0, "{}: nothing was compared", case.name);
            println!("{}: {report:?}, duality {:.1e}", case.name, verdict.duality_error);
        }
    }

    /// Whatever has parameters and a `forward` is named in a case.
    #[test]
    fn no_layer_is_missing() {
        let cases = include_str!("cases.rs");
        let mut layers = 0;
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let Some((_, declared)) = text.split_once("\nimpl<T: Float> ") else { continue };
            for declared in declared.split("\nimpl<T: Float> ") {
                let name: String = declared.chars().take_while(|c| c.is_alphanumeric()).collect();
                if declared.contains("pub fn forward") {
                    layers += 1;
                    assert!(
                        cases.contains(&format!("= {name}<T>,")),
                        "{name} has no case in nn/src/cases.rs"
                    );
                }
            }
        }
        assert_eq!(layers, 11, "as many as there are layers with a forward");
    }
}

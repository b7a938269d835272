//! Tiny models and batches, for the claims that need a whole Transformer.

use gradus::autograd::rng::Stream;
use gradus::autograd::{Float, Gradients, Ids, Parameters, Tape, Tensor, Var};
pub(crate) use gradus::nn::cases::{shake, tiny};
use gradus::nn::{Objective, Sentences, Transformer};

pub(crate) const PAD: u32 = 0;
pub(crate) const BOS: u32 = 1;
pub(crate) const EOS: u32 = 2;

/// Normal numbers, the same for the same seed.
pub(crate) fn normal(shape: &[usize], seed: u64) -> Tensor<f64> {
    Tensor::normal(shape, 1.0, &mut Stream::new(seed))
}

/// A source and a target sentence, without marks of beginning and end.
pub(crate) type Pair = (Vec<u32>, Vec<u32>);

/// Pairs of random words, one of each pair of lengths.
pub(crate) fn random_pairs(lengths: &[(usize, usize)], vocab: usize, seed: u64) -> Vec<Pair> {
    let mut stream = Stream::new(seed);
    let words = (vocab - 3) as u64;
    let mut sentence = |length: usize| (0..length).map(|_| 3 + (stream.bits() % words) as u32).collect();
    lengths.iter().map(|&(source, target)| (sentence(source), sentence(target))).collect()
}

/// What a training step reads.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) source: Sentences,
    pub(crate) target_in: Sentences,
    pub(crate) target_out: Ids,
}

impl Batch {
    /// Pairs, padded to the longest.
    pub(crate) fn new(pairs: &[Pair]) -> Self {
        let sources: Vec<_> = pairs.iter().map(|(source, _)| source).collect();
        let begun: Vec<_> = pairs.iter().map(|(_, target)| [&[BOS], target.as_slice()].concat()).collect();
        let ended: Vec<_> = pairs.iter().map(|(_, target)| [target.as_slice(), &[EOS]].concat()).collect();
        Self {
            source: Sentences::new(&sources, PAD),
            target_in: Sentences::new(&begun, PAD),
            target_out: Sentences::new(&ended, PAD).ids,
        }
    }

    /// The same with further columns of padding on both sides.
    pub(crate) fn padded_by(&self, source: usize, target: usize) -> Self {
        let widen = |ids: &Ids, columns: usize| {
            let &[rows, width] = ids.shape().as_slice() else { panic!("a batch is [B, S]") };
            let wide = (ids.as_slice().chunks(width))
                .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(PAD, columns)));
            Ids::new([rows, width + columns], wide.collect::<Vec<_>>())
        };
        Self {
            source: Sentences::padded(widen(&self.source.ids, source), self.source.lengths.clone()),
            target_in: Sentences::padded(widen(&self.target_in.ids, target), self.target_in.lengths.clone()),
            target_out: widen(&self.target_out, target),
        }
    }

    /// One over the number of target words.
    pub(crate) fn mean_weight(&self) -> f64 {
        1.0 / self.target_in.lengths.iter().sum::<usize>() as f64
    }

    /// The loss of `model`, every target word counting `weight`.
    pub(crate) fn loss<'t, T: Float>(
        &self,
        model: &Transformer<T>,
        tape: &'t Tape<T>,
        weight: f64,
    ) -> Var<'t, T> {
        let objective = Objective { smoothing: 0.1, ignore: Some(PAD), weight };
        model.loss(tape, &self.source, &self.target_in, &self.target_out, &objective)
    }

    /// The loss without dropout, and its gradients.
    pub(crate) fn loss_and_gradients(&self, model: &Transformer<f64>, weight: f64) -> (f64, Gradients<f64>) {
        let tape = Tape::eval();
        let loss = self.loss(model, &tape, weight);
        let value = loss.value().item();
        (value, loss.backward())
    }
}

/// The largest difference of two tensors' entries, relative to the largest entry, or to `floor` where that is larger.
pub(crate) fn distance(a: &Tensor<f64>, b: &Tensor<f64>, floor: f64) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let differences = a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a - b).abs());
    // `max` would swallow a NaN, which is no agreement.
    assert!(a.as_slice().iter().chain(b.as_slice()).all(|x| x.is_finite()));
    differences.fold(0.0, f64::max) / largest(b).max(floor).max(f64::MIN_POSITIVE)
}

pub(crate) fn largest(x: &Tensor<f64>) -> f64 {
    x.as_slice().iter().map(|x| x.abs()).fold(0.0, f64::max)
}

/// The largest distance of the gradients of any parameter. One that is zero by mathematics, such as that of a key bias,
/// is held to a tenth of the largest of all.
pub(crate) fn gradient_distance(
    model: &impl Parameters<f64>,
    a: &Gradients<f64>,
    b: &Gradients<f64>,
) -> (f64, String) {
    let pairs: Vec<_> = (model.parameters().into_iter())
        .map(|(path, param)| match (a.get(param), b.get(param)) {
            (Some(a), Some(b)) => (path, a, b),
            (a, b) => panic!("{path}: gradient in one ({}), in the other ({})", a.is_some(), b.is_some()),
        })
        .collect();
    assert!(!pairs.is_empty());
    let floor = 0.1 * pairs.iter().map(|(_, _, b)| largest(b)).fold(0.0, f64::max);
    (pairs.into_iter())
        .map(|(path, a, b)| (distance(a, b, floor), path))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap_or_default()
}

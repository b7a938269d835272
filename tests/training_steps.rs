//! A step's gradients depend on its sentences, and on nothing else.

use gradus::autograd::rng::Stream;
use gradus::autograd::{Float, Gradients, Ids, Parameters, Profile, Tape, Tensor};
use gradus::data::batch::{Batch, Example, collate};
use gradus::data::bucket::Bucket;
use gradus::nn::{Dropouts, Init, Objective, Preset, Sentences, Transformer, TransformerConfig};
use gradus::optim::Adam;
use gradus::train::step::{StepOptions, StepResult, gradients, step};

const VOCAB: usize = 30;

fn examples(count: usize) -> Vec<Example> {
    let mut stream = Stream::new(8);
    let mut side = || {
        let length = 1 + stream.bits() % 7;
        (0..length).map(|_| 4 + (stream.bits() % 26) as u32).chain([2]).collect::<Vec<_>>()
    };
    (0..count).map(|_| Example { source: side(), target: side() }).collect()
}

fn model<T: Float>(dropout: f64) -> Transformer<T> {
    let config = TransformerConfig {
        d_model: 16,
        ffn: 24,
        heads: 2,
        encoder_layers: 2,
        decoder_layers: 2,
        dropout: Dropouts { attention: dropout, activation: dropout, ..Dropouts::all(dropout) },
        ..Preset::Tiny.config(VOCAB, VOCAB)
    };
    Transformer::new(&config, &mut Init::seeded(3))
}

fn options(shards: usize, threads: usize) -> StepOptions {
    StepOptions { shards, threads, smoothing: 0.1, r_drop: 0.0, clip: 0.0, profile: false }
}

fn all<T: Float>(model: &Transformer<T>, gradients: &Gradients<T>) -> Vec<Tensor<T>> {
    model.parameters().into_iter().filter_map(|(_, param)| gradients.get(param).cloned()).collect()
}

#[test]
fn gradients_are_the_same_bit_for_bit_on_any_number_of_threads() {
    let (model, examples) = (model::<f32>(0.2), examples(40));
    let batches = [(0..25).collect::<Vec<_>>(), (25..40).collect()];
    let run = |threads| {
        let StepResult { losses, gradients, .. } =
            gradients(&model, &examples, &batches, &options(3, threads), 5);
        (losses.sum(), all(&model, &gradients))
    };
    let one = run(1);
    for threads in [2, 3, 8] {
        let many = run(threads);
        assert_eq!(one.0.to_bits(), many.0.to_bits(), "{threads} threads");
        assert!(one.1 == many.1, "{threads} threads");
    }
}

#[test]
fn how_a_batch_is_split_does_not_change_its_gradients() {
    let (model, examples) = (model::<f64>(0.0), examples(24));
    let whole = gradients(&model, &examples, &[(0..24).collect()], &options(1, 1), 0);
    let parts: [&[Vec<usize>]; 3] = [
        &[(0..24).rev().collect()],
        &[(0..5).collect(), (5..6).collect(), (6..24).collect()],
        &[(0..12).map(|i| 2 * i).collect(), (0..12).map(|i| 2 * i + 1).collect()],
    ];
    for (batches, shards) in parts.into_iter().zip([4, 2, 1]) {
        let split = gradients(&model, &examples, batches, &options(shards, 2), 0);
        assert_eq!(split.target_tokens, whole.target_tokens);
        assert!((split.losses.sum() - whole.losses.sum()).abs() < 1e-12);
        for (a, b) in all(&model, &split.gradients).iter().zip(all(&model, &whole.gradients)) {
            for (a, b) in a.as_slice().iter().zip(b.as_slice()) {
                assert!((a - b).abs() < 1e-12, "{a} and {b}");
            }
        }
    }
}

#[test]
fn a_batch_filled_up_to_its_bucket_has_the_same_gradients() {
    let (model, examples) = (model::<f64>(0.2), examples(40));
    let objective = Objective { smoothing: 0.1, ignore: Some(0), weight: 0.1 };
    let run = |batch: &Batch| {
        let tape = Tape::train(4);
        let ids = |data: &[u32], width: usize| Ids::new([batch.rows, width], data);
        let source = Sentences::padded(ids(&batch.source, batch.source_width), &*batch.source_lengths);
        let target = Sentences::padded(ids(&batch.target_in, batch.target_width), &*batch.target_lengths);
        let labels = ids(&batch.target_out, batch.target_width);
        let loss = model.loss(&tape, &source, &target, &labels, &objective);
        (loss.value().item(), all(&model, &loss.backward()))
    };
    for rows in [0..5, 3..20, 0..33, 0..40] {
        let batch = collate(&examples, &rows.collect::<Vec<_>>());
        let filled = Bucket::of(&batch).filled(&batch);
        assert!(
            filled.source_tokens() + filled.target_tokens() > batch.source_tokens() + batch.target_tokens()
        );
        let (expected, filled) = (run(&batch), run(&filled));
        assert!((expected.0 - filled.0).abs() < 1e-12 * expected.0.abs());
        for (a, b) in expected.1.iter().zip(&filled.1) {
            let off = a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let most = a.as_slice().iter().map(|a| a.abs()).fold(0.0, f64::max);
            assert!(off <= 1e-12 * most, "{off:e} of {most:e}");
        }
    }
}

#[test]
fn measuring_a_step_does_not_change_it() {
    let (model, examples) = (model::<f32>(0.2), examples(12));
    let run = |profile| {
        let options = StepOptions { clip: 0.1, profile, ..options(2, 2) };
        let (mut model, mut adam) = (model.clone(), Adam::default());
        let step = step(&mut model, &mut adam, &examples, &[(0..12).collect()], &options, 1e-3, 5);
        let weights: Vec<_> = model.parameters().iter().map(|(_, param)| param.value().clone()).collect();
        (step, weights)
    };
    let ((plain, weights), (measured, same_weights)) = (run(false), run(true));
    assert!(weights == same_weights);
    assert_eq!((plain.loss, plain.norm), (measured.loss, measured.norm));
    assert_eq!(plain.times.ops, Profile::default());
    // Two shards, each with one loss; the ops are a part of their shards.
    let calls = |name| measured.times.ops.ops().find(|op| op.0 == name).map(|op| op.1.calls);
    assert_eq!(calls("linear_cross_entropy"), Some(2));
    assert!(measured.times.ops.total() <= measured.times.shards);
}

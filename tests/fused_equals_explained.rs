//! Claim: fused ops give what their explained twins give, also inside layers and models, with and without dropout.

use gradus::autograd::{Gradients, Tape, Tensor};
use gradus::nn::{Init, Mask, MultiHeadAttention, NormPlacement, Tied, Transformer, TransformerConfig};

use crate::common::{BOS, Batch, PAD, distance, gradient_distance, normal, random_pairs, shake, tiny};

/// Both do the same arithmetic in another order: a few roundings of 1e-16 apart in sums of a few dozen terms.
const TOLERANCE: f64 = 1e-12;

type Outcome = (Tensor<f64>, Gradients<f64>, [Option<Tensor<f64>>; 3]);

/// The output of attention, and the gradients of parameters and inputs for a random cotangent.
fn attend(tape: &Tape<f64>, layer: &MultiHeadAttention<f64>, mask: &Mask, explained: bool) -> Outcome {
    let inputs = [normal(&[3, 2, 8], 1), normal(&[3, 3, 8], 2), normal(&[3, 3, 8], 3)];
    let [q, k, v] = inputs.map(|x| tape.input(x));
    let output =
        if explained { layer.forward_explained(q, k, v, mask).0 } else { layer.forward(q, k, v, mask) };
    let value = output.value();
    let gradients = output.backward_with(normal(&value.shape(), 4));
    let of_inputs = [q, k, v].map(|x| gradients.wrt(x).cloned());
    (value, gradients, of_inputs)
}

#[test]
fn attention_equals_its_explained_twin_under_every_mask() {
    let mut layer = MultiHeadAttention::new(&tiny(), &mut Init::seeded(1));
    shake(&mut layer);
    let masks = [
        Mask::keep_all(),
        Mask::keep_lengths([3, 1, 0]),
        Mask::keep_past(),
        Mask::keep_lengths([3, 1, 0]).and_past(),
    ];
    let mut outputs = Vec::new();
    for mask in masks {
        // Both draw the key of their dropout when the three projections stand on the tape and nothing else does, so
        // that the same seed gives the same mask.
        for tape in [Tape::eval as fn() -> Tape<f64>, || Tape::train(9)] {
            let (y, gradients, inputs) = attend(&tape(), &layer, &mask, false);
            let (y2, gradients2, inputs2) = attend(&tape(), &layer, &mask, true);
            assert!(distance(&y, &y2, 0.0) < TOLERANCE, "{mask:?}");
            let (off, path) = gradient_distance(&layer, &gradients, &gradients2);
            assert!(off < TOLERANCE, "{mask:?}: {path} {off:e}");
            for (dx, dx2) in inputs.iter().zip(&inputs2) {
                let (Some(dx), Some(dx2)) = (dx, dx2) else { panic!("{mask:?}: an input without gradient") };
                assert!(distance(dx, dx2, 0.0) < TOLERANCE, "{mask:?}");
            }
            outputs.push(y);
        }
    }
    for (i, y) in outputs.iter().enumerate() {
        assert!(outputs[..i].iter().all(|other| other != y), "a mask or dropout did nothing: {i}");
    }
}

#[test]
fn the_fused_loss_equals_cross_entropy_of_logits() {
    let padded = Batch::new(&random_pairs(&[(4, 3), (2, 5), (0, 1)], 11, 2));
    // Dropout is drawn by the number of the entry, which is the same in both only where there is no padding.
    let full = Batch::new(&random_pairs(&[(4, 3), (4, 3)], 11, 2));
    for norm in [NormPlacement::Pre, NormPlacement::Post] {
        for tied in [Tied::None, Tied::Target, Tied::All] {
            let config = TransformerConfig { norm, tied, ..tiny() };
            let mut model = Transformer::new(&config, &mut Init::seeded(2));
            shake(&mut model);
            for (batch, tape) in [(&padded, Tape::eval as fn() -> Tape<f64>), (&full, || Tape::train(9))] {
                // Not one over the number of words, so that a weight that is overlooked is seen.
                let weight = 0.37;
                let (fused, small) = (tape(), tape());
                let loss = batch.loss(&model, &fused, weight);
                let logits = model.forward(&small, &batch.source, &batch.target_in);
                let loss2 = logits.cross_entropy_weighted(&batch.target_out, 0.1, Some(PAD), weight);
                let off = distance(&loss.value(), &loss2.value(), 0.0);
                assert!(off < TOLERANCE, "{norm:?}, {tied:?}: {off:e}");
                let (off, path) = gradient_distance(&model, &loss.backward(), &loss2.backward());
                assert!(off < TOLERANCE, "{norm:?}, {tied:?}: {path} {off:e}");
            }
        }
    }
}

#[test]
fn a_tape_that_explains_has_no_fused_op_and_gives_the_same_gradients() {
    let batch = Batch::new(&random_pairs(&[(4, 3), (2, 5)], 11, 2));
    for norm in [NormPlacement::Pre, NormPlacement::Post] {
        let mut model = Transformer::new(&TransformerConfig { norm, ..tiny() }, &mut Init::seeded(2));
        shake(&mut model);
        let (fused, small) = (Tape::eval(), Tape::eval().explained());
        let (loss, loss2) = (batch.loss(&model, &fused, 0.37), batch.loss(&model, &small, 0.37));
        let ops: Vec<_> = small.nodes().into_iter().map(|node| node.op).collect();
        assert!(!ops.contains(&"attention") && !ops.contains(&"linear_cross_entropy"), "{ops:?}");
        assert!(ops.contains(&"masked_softmax") && ops.contains(&"cross_entropy"), "{ops:?}");
        assert!(distance(&loss.value(), &loss2.value(), 0.0) < TOLERANCE);
        let (off, path) = gradient_distance(&model, &loss.backward(), &loss2.backward());
        assert!(off < TOLERANCE, "{norm:?}: {path} {off:e}");
    }
}

#[test]
fn decoding_step_by_step_gives_the_logits_of_the_whole_pass() {
    let batch = Batch::new(&random_pairs(&[(4, 20), (2, 20), (3, 20)], 11, 3));
    let mut model = Transformer::<f64>::new(&tiny(), &mut Init::seeded(3));
    shake(&mut model);
    let whole = model.forward(&Tape::eval(), &batch.source, &batch.target_in).value(); // [3, 21, V]
    let mut cache = model.start(&batch.source);
    let words = batch.target_in.ids.as_slice().chunks(21).collect::<Vec<_>>();
    assert!(words.iter().all(|row| row[0] == BOS));
    for t in 0..21 {
        let step = model.step(&words.iter().map(|row| row[t]).collect::<Vec<_>>(), &mut cache); // [3, V]
        let expected = Tensor::from_fn([3, 11], |i| whole.as_slice()[(i / 11 * 21 + t) * 11 + i % 11]);
        let off = distance(&step, &expected, 0.0);
        assert!(off < TOLERANCE, "position {t}: {off:e}");
    }
}

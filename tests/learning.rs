//! Claim: a tiny Transformer learns.

use gradus::autograd::Tape;
use gradus::nn::{Dropouts, Init, NormPlacement, Objective, Preset, Transformer, TransformerConfig};
use gradus::optim::Adam;

use crate::common::{Batch, PAD, random_pairs};

/// The losses of training to reverse eight random sentences.
fn losses(norm: NormPlacement, steps: u64) -> Vec<f64> {
    let mut pairs = random_pairs(&[(4, 0), (5, 0), (6, 0), (7, 0), (3, 0), (5, 0), (6, 0), (4, 0)], 20, 1);
    for (source, target) in &mut pairs {
        target.clone_from(source);
        target.reverse();
    }
    let batch = Batch::new(&pairs);
    let config = TransformerConfig {
        d_model: 32,
        ffn: 64,
        encoder_layers: 2,
        decoder_layers: 2,
        norm,
        dropout: Dropouts::all(0.0),
        ..Preset::Tiny.config(20, 20)
    };
    let mut model: Transformer = Transformer::new(&config, &mut Init::seeded(1));
    let mut adam = Adam { betas: (0.9, 0.98), ..Adam::default() };
    let objective = Objective { smoothing: 0.0, ignore: Some(PAD), weight: batch.mean_weight() };
    (0..steps)
        .map(|step| {
            let tape = Tape::train(step);
            let loss = model.loss(&tape, &batch.source, &batch.target_in, &batch.target_out, &objective);
            let value = loss.value().item();
            let mut gradients = loss.backward();
            gradients.clip_norm(1.0);
            adam.step(&mut model, &gradients, 3e-3 * (step as f64 / 20.0).min(1.0));
            f64::from(value)
        })
        .collect()
}

#[test]
fn eight_sentences_are_learned_by_heart() {
    for norm in [NormPlacement::Pre, NormPlacement::Post] {
        let losses = losses(norm, 250);
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        println!("{norm:?}: {first:.3} to {last:.4}");
        assert!(first > 2.0, "{norm:?}: it knew before it learned: {first}");
        assert!(last < 0.05, "{norm:?}: {last} after {} steps", losses.len());
    }
}

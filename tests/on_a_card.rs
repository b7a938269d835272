//! Claims: a training step on a card is the processor's, with nothing copied on the way; and so are translations.
//!
//! The card is emulated, and a real one takes part where there is one; without it, with `REQUIRE_CUDA=1`, they fail.

use gradus::autograd::Device;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gradus::autograd::kernels::cuda::Cuda;
use gradus::autograd::rng::Stream;
use gradus::data::batch::Example;
use gradus::decode::{Search, Specials, search};
use gradus::nn::{Dropouts, Init, NormPlacement, Preset, Transformer, TransformerConfig};
use gradus::optim::{Adam, Ema};
use gradus::train::step::{StepOptions, step};

const VOCAB: usize = 37;

/// Tests share the devices, and one of them counts what is copied.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The emulator, and a card where there is one.
fn devices() -> Vec<Cuda> {
    let mut devices = Vec::new();
    for device in [Cuda::emulator(), Cuda::open(0)] {
        match device {
            Ok(device) => devices.push(device),
            Err(error) => println!("SKIPPED on {error}"),
        }
    }
    let cards = devices.iter().filter(|device| device.to_string() != "emulator").count();
    assert!(
        cards > 0 || std::env::var_os("REQUIRE_CUDA").is_none(),
        "REQUIRE_CUDA is set, and no card is here"
    );
    devices
}

fn examples(count: usize) -> Vec<Example> {
    let mut stream = Stream::new(8);
    let mut side = || {
        let length = 1 + stream.bits() % 7;
        (0..length).map(|_| 4 + (stream.bits() % 33) as u32).chain([2]).collect::<Vec<_>>()
    };
    (0..count).map(|_| Example { source: side(), target: side() }).collect()
}

fn model(norm: NormPlacement) -> Transformer {
    let config = TransformerConfig {
        d_model: 32,
        ffn: 24,
        heads: if norm == NormPlacement::Pre { 2 } else { 1 },
        encoder_layers: 2,
        decoder_layers: 2,
        norm,
        dropout: Dropouts { attention: 0.1, activation: 0.1, ..Dropouts::all(0.1) },
        ..Preset::Tiny.config(VOCAB, VOCAB)
    };
    Transformer::new(&config, &mut Init::seeded(3))
}

/// The losses and norms of 20 steps, and the model after them.
fn train(mut model: Transformer, device: &Device) -> (Vec<f64>, Vec<f64>, Transformer, Ema) {
    let options =
        StepOptions { shards: 2, threads: 2, smoothing: 0.1, r_drop: 0.0, clip: 1.0, profile: false };
    let (examples, mut ema) = (examples(16), Ema::new(0.9));
    let mut adam = Adam { weight_decay: 0.01, ..Adam::default() };
    model.move_to(device);
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for number in 0..20 {
        let batches = [(0..16).filter(|row| (row + number) % 3 > 0).collect::<Vec<usize>>()];
        let step = step(&mut model, &mut adam, &examples, &batches, &options, 3e-3, number as u64);
        ema.update(&model, 1);
        losses.push(step.loss);
        norms.push(step.norm);
    }
    (losses, norms, model, ema)
}

#[test]
fn a_model_learns_on_a_card_as_on_the_processor() {
    let _alone = alone();
    for norm in [NormPlacement::Pre, NormPlacement::Post] {
        let (expected, norms, ..) = train(model(norm), &Device::Cpu);
        assert!(expected[19] < 0.9 * expected[0], "it learns: {expected:?}");
        for cuda in devices() {
            let device = Device::Cuda(cuda.clone());
            let (losses, their_norms, trained, _) = train(model(norm), &device);
            for (a, b) in losses.iter().chain(&their_norms).zip(expected.iter().chain(&norms)) {
                assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{norm:?} on {cuda}: {a} and {b}");
            }
            let (again, ..) = train(model(norm), &device);
            assert_eq!(losses, again, "two runs on {cuda}");
            assert_eq!(trained.device(), device);
        }
    }
}

#[test]
fn nothing_is_copied_within_a_step() {
    let _alone = alone();
    for cuda in devices() {
        let mut model = model(NormPlacement::Pre);
        model.move_to(&Device::Cuda(cuda.clone()));
        let (examples, mut adam) = (examples(12), Adam::default());
        let options =
            StepOptions { shards: 1, threads: 1, smoothing: 0.1, r_drop: 0.0, clip: 1.0, profile: false };
        let before = cuda.traffic();
        for number in 0..3 {
            step(&mut model, &mut adam, &examples, &[(0..12).collect()], &options, 1e-3, number);
        }
        let after = cuda.traffic();
        // Of every step the batch goes there in one copy, and its loss and norm come back at the end.
        assert_eq!(after.uploads - before.uploads, 3, "to {cuda}");
        assert_eq!(after.downloads - before.downloads, 3 * 2, "from {cuda}");
    }
}

#[test]
fn a_card_translates_as_the_processor_does() {
    let _alone = alone();
    let (_, _, mut model, _) = train(model(NormPlacement::Pre), &Device::Cpu);
    let specials = Specials { bos: 1, eos: 2, pad: 0 };
    let sources: Vec<_> = examples(9).into_iter().map(|example| example.source).collect();
    for beam in [1, 4] {
        let options = Search { beam, ..Search::default() };
        model.move_to(&Device::Cpu);
        let expected = search(&model, &sources, specials, &options);
        for cuda in devices() {
            model.move_to(&Device::Cuda(cuda.clone()));
            let found = search(&model, &sources, specials, &options);
            for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                assert_eq!(found.tokens, expected.tokens, "on {cuda}");
                assert!((found.log_prob - expected.log_prob).abs() < 1e-4, "on {cuda}");
            }
        }
    }
}

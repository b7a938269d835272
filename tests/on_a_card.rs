//! Claims: a training step on a card is the processor's, with nothing copied on the way; and so are translations.
//!
//! The card is emulated, and a real one takes part where there is one; without it, with `REQUIRE_CUDA=1`, they fail.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use gradus::autograd::kernels::cuda::Cuda;
use gradus::autograd::rng::Stream;
use gradus::autograd::{Device, Parameters};
use gradus::data::batch::Example;
use gradus::decode::{Search, Specials, search};
use gradus::nn::{Dropouts, Init, NormPlacement, Preset, Transformer, TransformerConfig};
use gradus::optim::{Adam, Ema};
use gradus::train::Stepper;
use gradus::train::graphs::Graphs;
use gradus::train::step::StepOptions;

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
    model_of(norm, 32, if norm == NormPlacement::Pre { 2 } else { 1 })
}

fn model_of(norm: NormPlacement, d_model: usize, heads: usize) -> Transformer {
    let config = TransformerConfig {
        d_model,
        ffn: 24,
        heads,
        encoder_layers: 2,
        decoder_layers: 2,
        norm,
        dropout: Dropouts { attention: 0.1, activation: 0.1, ..Dropouts::all(0.1) },
        ..Preset::Tiny.config(VOCAB, VOCAB)
    };
    Transformer::new(&config, &mut Init::seeded(3))
}

/// Lengths of eight sources and targets. All rows are as long together, so that batches of different sentences fall into one
/// bucket.
const LENGTHS: [[usize; 8]; 3] =
    [[3, 5, 4, 4, 8, 8, 7, 9], [4, 4, 4, 4, 8, 8, 8, 8], [2, 6, 4, 4, 9, 7, 8, 8]];

/// Six groups of eight.
fn groups() -> Vec<Example> {
    let mut stream = Stream::new(9);
    let mut side =
        |length: usize| (1..length).map(|_| 4 + (stream.bits() % 33) as u32).chain([2]).collect::<Vec<_>>();
    let lengths = (0..48).map(|i| (LENGTHS[i / 8 % 3][i % 8], LENGTHS[i / 16][i % 8]));
    lengths.map(|(source, target)| Example { source: side(source), target: side(target) }).collect()
}

/// A training.
#[derive(Clone)]
struct Training {
    model: Transformer,
    adam: Adam,
    ema: Ema,
    /// Its losses and the norms of its gradients.
    seen: Vec<f64>,
}

impl Training {
    fn new(norm: NormPlacement) -> Self {
        let adam = Adam { weight_decay: 0.01, ..Adam::default() };
        Self { model: model(norm), adam, ema: Ema::new(0.9), seen: Vec::new() }
    }

    /// Of a model with heads of so many columns.
    fn with_heads_of(columns: usize) -> Self {
        Self { model: model_of(NormPlacement::Pre, 2 * columns, 2), ..Self::new(NormPlacement::Pre) }
    }

    fn on(mut self, device: &Device) -> Self {
        self.model.move_to(device);
        self.adam.move_to(device);
        self
    }

    /// Goes on to this step. Of every fourth step the batch is smaller.
    fn to(mut self, end: usize, stepper: &mut Stepper) -> Self {
        let examples = groups();
        for number in self.seen.len() / 2..end {
            let first = number * 7 % 6 * 8;
            let rows = first..first + if number % 4 == 3 { 5 } else { 8 };
            let (model, adam) = (&mut self.model, &mut self.adam);
            let step = stepper.step(model, adam, &examples, &[rows.collect()], 3e-3, number as u64);
            self.ema.update(&self.model, 1);
            self.seen.extend([step.loss, step.norm]);
        }
        self
    }

    fn weights(&self) -> Vec<u32> {
        let parameters = self.model.parameters();
        let here = parameters.iter().map(|(_, param)| param.value().to(&Device::Cpu));
        here.flat_map(|x| x.as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>()).collect()
    }
}

const OPTIONS: StepOptions =
    StepOptions { shards: 2, threads: 2, smoothing: 0.1, r_drop: 0.0, clip: 1.0, profile: false };

fn stepper(graphs: bool) -> Stepper {
    Stepper::new(OPTIONS, graphs)
}

#[test]
fn a_model_learns_on_a_card_as_on_the_processor() {
    let _alone = alone();
    for norm in [NormPlacement::Pre, NormPlacement::Post] {
        let expected = Training::new(norm).to(20, &mut stepper(true));
        assert!(expected.seen[38] < 0.9 * expected.seen[0], "it learns: {:?}", expected.seen);
        for cuda in devices() {
            let device = Device::Cuda(cuda.clone());
            let mut graphs = stepper(true);
            let trained = Training::new(norm).on(&device).to(20, &mut graphs);
            for (a, b) in trained.seen.iter().zip(&expected.seen) {
                assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{norm:?} on {cuda}: {a} and {b}");
            }
            assert_eq!(trained.model.device(), device);
            let (kept, replayed) = (graphs.graphs.kept(), graphs.replayed());
            assert!(
                (3..8).contains(&kept) && (10..17).contains(&replayed),
                "{kept} kept, {replayed} replayed"
            );
            let plain = Training::new(norm).on(&device).to(20, &mut stepper(false));
            assert_eq!(trained.seen, plain.seen, "recorded and not, on {cuda}");
            assert!(trained.weights() == plain.weights(), "recorded and not, on {cuda}");
        }
    }
}

/// A block of a Turing has 64 KiB of shared memory, one of a GeForce RTX 30, 40 or 50 has 99 KiB.
#[test]
fn a_model_learns_on_cards_with_little_shared_memory() {
    let _alone = alone();
    let emulators = [64, 99, 227].map(|kibibytes| Cuda::emulator_of(kibibytes << 10));
    let emulators: Vec<_> = emulators.into_iter().flatten().collect();
    let [turing, geforce, large] = &emulators[..] else { return println!("SKIPPED: no C++ compiler") };
    let train = |cuda: &Cuda, columns| {
        Training::with_heads_of(columns).on(&Device::Cuda(cuda.clone())).to(8, &mut stepper(true))
    };
    for (columns, fast_on) in [(32, &[turing, geforce][..]), (64, &[geforce]), (128, &[])] {
        let expected = Training::with_heads_of(columns).to(8, &mut stepper(true));
        let best = train(large, columns);
        let fast = [format!("attention_{columns}"), format!("attention_backward_{columns}")];
        assert_eq!(large.attention_kernels(columns), fast.each_ref().map(String::as_str));
        for cuda in [turing, geforce] {
            let trained = train(cuda, columns);
            for (a, b) in trained.seen.iter().zip(&expected.seen) {
                assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "heads of {columns} on {cuda}: {a} and {b}");
            }
            let is_fast = cuda.attention_kernels(columns) == fast.each_ref().map(String::as_str);
            assert_eq!(is_fast, fast_on.contains(&cuda), "heads of {columns} on {cuda}");
            // The same kernels give the same bits, whatever else a card could do.
            assert!(!is_fast || trained.weights() == best.weights(), "heads of {columns} on {cuda}");
        }
    }
}

/// Text for a training of one step, of a model with one head of so many columns.
fn project(columns: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, word) in [("a.txt", "one"), ("b.txt", "two")] {
        std::fs::write(
            folder.path().join(name),
            format!("{word} {word} a.\n{word} b.\n{word}.\n").repeat(30),
        )
        .unwrap();
    }
    let settings = format!(
        "[data]\nsource = \"a.txt\"\ntarget = \"b.txt\"\n[tokenizer]\nvocab_size = 60\n[model]\nd_model = {columns}\n\
         ffn = 16\nheads = 1\nencoder_layers = 1\ndecoder_layers = 1\n[train]\nbatch_tokens = 100\nsteps = 1\n\
         validate_sentences = 2\naudit = false\n"
    );
    std::fs::write(folder.path().join("small.toml"), settings).unwrap();
    folder
}

/// `gradus train` with this device, in the project's folder: whether it succeeded, and the lines of standard error.
fn train_on(project: &tempfile::TempDir, device: &str) -> (bool, Vec<String>) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.args(["train", "--config", "small.toml", "--out", "run", "--json", "--device", device]);
    let output = command.current_dir(project.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), said.lines().map(str::to_owned).collect())
}

#[test]
fn a_slower_kernel_is_said_in_one_line_before_anything_else() {
    let _alone = alone();
    if let Err(error) = Cuda::emulator() {
        return println!("SKIPPED on {error}");
    }
    for (columns, device, slower) in [
        (64, "emulator:64KiB", Some("attention's backward pass for heads of 64 columns asks for 87808")),
        (64, "emulator:99KiB", None),
        (128, "emulator:64KiB", Some("attention for heads of 128 columns asks for 85248")),
    ] {
        let (trained, said) = train_on(&project(columns), device);
        assert!(trained, "{said:?}");
        let lines: Vec<_> = said.iter().filter(|line| line.contains("general kernel")).collect();
        assert_eq!(lines.len(), usize::from(slower.is_some()), "{said:?}");
        if let Some(slower) = slower {
            assert_eq!(*lines[0], said[0], "the first line");
            assert!(said[0].starts_with(&format!("{device}: ")) && said[0].contains(slower), "{}", said[0]);
        }
    }
}

#[test]
fn a_card_that_nothing_fits_on_is_refused_in_one_line_before_the_tokenizer() {
    let _alone = alone();
    if let Err(error) = Cuda::emulator() {
        return println!("SKIPPED on {error}");
    }
    let project = project(32);
    let (trained, said) = train_on(&project, "emulator:0KiB");
    assert!(!trained);
    assert_eq!(
        said,
        [
            "gradus: --device emulator:0KiB: sum_partial wants 32 bytes of shared memory, and a block can have 0"
        ]
    );
    assert!(!project.path().join("run").exists());
}

#[test]
fn two_dropouts_agree_on_a_card_as_on_the_processor() {
    let _alone = alone();
    let train = |device: &Device| {
        let mut stepper = Stepper::new(StepOptions { r_drop: 5.0, ..OPTIONS }, true);
        Training::new(NormPlacement::Pre).on(device).to(3, &mut stepper).seen
    };
    let expected = train(&Device::Cpu);
    for cuda in devices() {
        for (a, b) in train(&Device::Cuda(cuda.clone())).iter().zip(&expected) {
            assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "on {cuda}: {a} and {b}");
        }
    }
}

#[test]
fn a_recorded_training_may_be_stopped_copied_and_short_of_room_for_graphs() {
    let _alone = alone();
    for cuda in devices() {
        let device = Device::Cuda(cuda.clone());
        let begun = || Training::new(NormPlacement::Pre).on(&device);
        let expected = begun().to(14, &mut stepper(false));

        let mut graphs = stepper(true);
        let first = begun().to(9, &mut graphs);
        let stopped = first.clone().on(&Device::Cpu).on(&device).to(14, &mut stepper(true));
        assert_eq!(stopped.seen, expected.seen, "stopped, on {cuda}");

        // A copy shares its tensors until one of them moves on.
        let (copy, weights) = (first.clone(), first.weights());
        let gone_on = first.to(14, &mut graphs);
        assert_eq!(gone_on.seen, expected.seen, "copied, on {cuda}");
        assert!(copy.weights() == weights, "what was copied has moved, on {cuda}");

        let mut graphs = stepper(true);
        graphs.graphs = Graphs::at_most(1);
        assert_eq!(begun().to(14, &mut graphs).seen, expected.seen, "one graph at a time, on {cuda}");
        assert_eq!(graphs.graphs.kept(), 1);
    }
}

#[test]
fn a_step_that_is_not_finite_moves_nothing_when_it_is_a_recorded_one() {
    let _alone = alone();
    let moments = |adam: &Adam| {
        let all = adam.moments.values().flat_map(|of| [&of.mean, &of.square]);
        all.map(|x| x.to(&Device::Cpu).as_slice().to_vec()).collect::<Vec<_>>()
    };
    for cuda in devices() {
        // A gain so large that losses are not finite, nor the gradient; and where only a shift is trained, that is.
        for (gain, trained, finite) in
            [(3e38, "", [false, false]), (1e37, "decoder.norm.beta", [false, true])]
        {
            let mut begun = Training::new(NormPlacement::Pre);
            begun.model.for_each_mut(|path, param| {
                if !path.ends_with(trained) {
                    param.freeze();
                }
            });
            let mut graphs = stepper(true);
            let mut training = begun.on(&Device::Cuda(cuda.clone())).to(8, &mut graphs);
            training.model.for_each_mut(|path, param| {
                if path.ends_with("decoder.norm.gamma") {
                    let gains = vec![gain; param.value().len()];
                    param.value_mut().put(&gains);
                }
            });
            let (weights, before) = (training.weights(), moments(&training.adam));
            let replayed = graphs.replayed();
            let training = training.to(9, &mut graphs);
            let seen: Vec<bool> = training.seen[16..].iter().map(|seen| seen.is_finite()).collect();
            assert_eq!(seen, finite, "{:?} on {cuda}", &training.seen[16..]);
            assert_eq!(graphs.replayed(), replayed + 1, "it was recorded before");
            assert_eq!(training.adam.steps, 8, "on {cuda}");
            assert!(training.weights() == weights && moments(&training.adam) == before, "on {cuda}");
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
        let mut graphs = Stepper::new(StepOptions { shards: 1, ..OPTIONS }, true);
        let before = cuda.traffic();
        for number in 0..4 {
            graphs.step(&mut model, &mut adam, &examples, &[(0..12).collect()], 1e-3, number);
        }
        assert_eq!(graphs.replayed(), 2);
        let after = cuda.traffic();
        // Of every step the batch goes there in one copy, and its loss and norm come back at the end.
        assert_eq!(after.uploads - before.uploads, 4, "to {cuda}");
        assert_eq!(after.downloads - before.downloads, 4 * 2, "from {cuda}");
    }
}

#[test]
fn a_card_translates_as_the_processor_does() {
    let _alone = alone();
    let mut model = Training::new(NormPlacement::Pre).to(20, &mut stepper(true)).model;
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

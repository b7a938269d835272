//! How far the gradients of a training step in `f32` are from the truth: the same step in `f64`.

use std::fmt;

use anyhow::{Context, Result, bail};
use autograd::{Device, DeviceError, Float, Parameters, Precision, Tensor, rng};
use nn::{Init, Transformer};
use serde::Serialize;

use super::data::{Corpora, Prepared, tokenizers_of};
use super::freeze::freeze;
use super::run::Run;
use super::step::{StepOptions, StepResult, gradients};
use crate::checkpoint::{Checkpoint, load_weights};
use crate::config::{Config, Purpose, TrainConfig};
use crate::data::batch::{Example, plan_epoch};

/// A training step, ready to be computed again.
///
/// The sentences and the dropout masks are those of step `step`: batches are a function of the seed and the epoch, random
/// numbers one of (seed, step, shard, node, entry), whatever number type they are drawn for. The weights are those of the
/// run's last checkpoint, since no others are kept. For the step after it, the replay in `f32` is what training would
/// compute, bit for bit; for an earlier one it is that step as it would be with today's weights.
#[derive(Debug)]
pub struct Replay {
    model: Transformer,
    train: TrainConfig,
    examples: Vec<Example>,
    batches: Vec<Vec<usize>>,
    step: u64,
    weights_after: u64,
}

impl Replay {
    /// Reads what step `step` of this run needs, counted from 1; the step after the last checkpoint where none is named.
    ///
    /// # Errors
    /// One line that says what is missing: the checkpoint, the step, or the text, where it is gone or another one.
    pub fn open(run: &Run, step: Option<u64>) -> Result<Self> {
        let path = run.last();
        let name = path.display();
        let checkpoint = Checkpoint::load(&path)?;
        let Some(training) = &checkpoint.training else { bail!("{name}: holds weights only, no training") };
        let weights_after = training.progress.step;
        let step = step.unwrap_or(weights_after + 1);
        if step == 0 {
            bail!("steps are counted from 1: there is no step 0");
        }
        if step > weights_after + 1 {
            bail!("{name}: was saved after step {weights_after}: step {step} is beyond the next one");
        }
        let config =
            Config::from_toml(&checkpoint.config).with_context(|| format!("{name}: configuration"))?;
        let tokenizers = tokenizers_of(&checkpoint).with_context(|| name.to_string())?;
        let vocabs = (tokenizers.0.vocab_size(), tokenizers.1.vocab_size());
        let (architecture, _) =
            config.architecture(vocabs, Purpose::Comparing).with_context(|| name.to_string())?;
        let mut model = Transformer::new(&architecture, &mut Init::seeded(0));
        freeze(&mut model, &config.train.freeze)?;
        load_weights(&mut model, checkpoint.training_weights()).with_context(|| name.to_string())?;
        let mut corpora = Corpora::read_of(run.folder(), &config.data, config.train.seed)?;
        let mut data = Prepared::new(&mut corpora, &config, Some(tokenizers))?;
        if training.data_checksum != data.checksum {
            bail!("{name}: the training text is not the one this run began with");
        }
        let batches = batches_of(&mut data, &config.train, step);
        Ok(Self { model, train: config.train, examples: data.train, batches, step, weights_after })
    }

    /// The same with products multiplied in another way than the run was trained with. (That holds for the whole process.)
    ///
    /// # Errors
    /// Where this processor does not multiply so.
    pub fn multiplied_in(mut self, precision: Precision) -> Result<Self, DeviceError> {
        Device::Cpu.set_precision(precision)?;
        self.train.precision = precision;
        Ok(self)
    }

    /// How the run was trained, or is to be replayed.
    pub fn precision(&self) -> Precision {
        self.train.precision
    }

    /// Computes the step in both types and compares their gradients, before clipping. The number of threads changes
    /// nothing.
    pub fn truth(&self, threads: usize) -> Truth {
        self.compare(&self.model, &self.model.cast(), threads)
    }

    fn compare(&self, model: &Transformer, truth: &Transformer<f64>, threads: usize) -> Truth {
        let (ours, exact) = (self.gradients(model, threads), self.gradients(truth, threads));
        let pairs = model.parameters().into_iter().zip(truth.parameters());
        let whole = exact.gradients.norm();
        let drift = |((path, param), (_, true_param)): ((String, _), (String, _))| {
            // What the loss does not depend on has a gradient in neither.
            let (ours, exact) = (ours.gradients.get(param), exact.gradients.get(true_param));
            Some(Drift::new(path, ours?, exact?, whole))
        };
        let mut parameters: Vec<Drift> = pairs.filter_map(drift).collect();
        parameters.sort_by(|a, b| b.drift.total_cmp(&a.drift));
        Truth {
            step: self.step,
            weights_after: self.weights_after,
            target_tokens: exact.target_tokens,
            precision: self.train.precision,
            loss_f32: ours.losses.sum(),
            loss_f64: exact.losses.sum(),
            norm: whole,
            parameters,
        }
    }

    fn gradients<T: Float>(&self, model: &Transformer<T>, threads: usize) -> StepResult<T> {
        let options = StepOptions { threads, ..StepOptions::from(&self.train) };
        gradients(model, &self.examples, &self.batches, &options, rng::derive(self.train.seed, self.step))
    }
}

/// The batches of step `step`: epochs are planned one after the other, as training does it.
fn batches_of(data: &mut Prepared, train: &TrainConfig, step: u64) -> Vec<Vec<usize>> {
    let mut before = step as usize - 1;
    for epoch in 0.. {
        data.begin_epoch(epoch, train.thread_count());
        let plan = plan_epoch(&data.train, train.batch_tokens, train.seed, epoch);
        let steps = plan.len().div_ceil(train.accumulate);
        if before < steps {
            let batches = plan.chunks(train.accumulate).nth(before);
            return batches.map(<[_]>::to_vec).unwrap_or_default();
        }
        before -= steps;
    }
    unreachable!("epochs do not end")
}

/// A step in `f32` beside the same in `f64`.
///
/// Roundings cost some 1e-7 to 1e-5. A model with ReLU shows more where an entry before it lies within a rounding of zero:
/// the two types then take different sides, each with its own right gradient. In the millions of entries of a step that
/// happens now and then, and one unit of a `feed_forward.linear1` and what lies before it stand first in the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Truth {
    /// The step whose sentences and dropout masks these are.
    pub step: u64,
    /// The step after which the weights were saved.
    pub weights_after: u64,
    /// Target tokens of the step.
    pub target_tokens: usize,
    /// How products were multiplied in `f32`.
    pub precision: Precision,
    /// The mean loss of a target token in `f32`.
    pub loss_f32: f64,
    /// The same in `f64`.
    pub loss_f64: f64,
    /// ‖G‖ of the whole gradient in `f64`.
    pub norm: f64,
    /// Every parameter, the worst drift first.
    pub parameters: Vec<Drift>,
}

/// How far a parameter's gradient in `f32` is from that in `f64`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// The parameter.
    pub path: String,
    /// ‖g₆₄‖
    pub norm: f64,
    /// ‖g₃₂ − g₆₄‖ / ‖g₆₄‖
    pub drift: f64,
    /// max |g₃₂ − g₆₄| / max |g₆₄|
    pub largest_error: f64,
    /// Whether `g₆₄` is zero but for roundings, as that of a key projection's bias is by mathematics. Both errors are then
    /// relative to ‖G‖ of the whole gradient, because a rounding has no size of its own.
    pub vanishes: bool,
}

/// A gradient below this share of the whole is nothing but roundings: some ten thousand of them in `f64`.
const ROUNDINGS: f64 = 1e-12;

impl Drift {
    fn new(path: String, ours: &Tensor<f32>, exact: &Tensor<f64>, whole: f64) -> Self {
        let norm = |entries: &mut dyn Iterator<Item = f64>| entries.map(|x| x * x).sum::<f64>().sqrt();
        let largest = |entries: &mut dyn Iterator<Item = f64>| entries.map(f64::abs).fold(0.0, f64::max);
        let exact = || exact.as_slice().iter().copied();
        let errors = || ours.as_slice().iter().zip(exact()).map(|(&ours, exact)| f64::from(ours) - exact);
        let size = norm(&mut exact());
        let vanishes = size <= ROUNDINGS * whole;
        let (by_norm, by_largest) = if vanishes { (whole, whole) } else { (size, largest(&mut exact())) };
        let share = |error: f64, by: f64| error / by.max(f64::MIN_POSITIVE);
        Self {
            path,
            norm: size,
            drift: share(norm(&mut errors()), by_norm),
            largest_error: share(largest(&mut errors()), by_largest),
            vanishes,
        }
    }
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, weights_after, target_tokens, precision, loss_f32, loss_f64, norm, parameters } =
            self;
        writeln!(
            f,
            "step {step}: {target_tokens} target tokens, with the weights after step {weights_after}"
        )?;
        let off = (loss_f32 - loss_f64).abs() / loss_f64.abs();
        let products = match precision {
            Precision::F32 => String::new(),
            other => format!(" with products in {other}"),
        };
        writeln!(f, "loss {loss_f32:.9} in f32{products}, {loss_f64:.9} in f64: {off:.1e} of it apart")?;
        writeln!(f, "norm of the whole gradient {norm:.3e}\n")?;
        writeln!(f, "   drift  largest error  norm in f64  parameter")?;
        for Drift { path, norm, drift, largest_error, vanishes } in parameters {
            let mark = if *vanishes { "  (0 but for roundings: relative to the whole)" } else { "" };
            writeln!(f, "{drift:8.1e}  {largest_error:13.1e}  {norm:11.2e}  {path}{mark}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nn::{Activation, Dropouts};
    use tempfile::TempDir;

    use super::*;
    use crate::config::{DataConfig, ModelConfig, TokenizerSettings};
    use crate::train::{Outcome, Trainer};

    /// A small model with dropout, of merges too, and without kinks, trained for `steps` steps of two batches, a few of them an epoch.
    fn trained(steps: u64) -> (TempDir, Run) {
        let folder = tempfile::tempdir().unwrap();
        let words = ["one", "two", "three", "four", "five", "six", "seven"];
        let line = |i: usize| -> Vec<&str> { (0..1 + i % 6).map(|k| words[(i * 5 + k * 3) % 7]).collect() };
        let lines: String =
            (0..90).map(|i| format!("{}\t{}\n", line(i).join(" "), line(i + 1).join(" "))).collect();
        let tsv = folder.path().join("text.tsv");
        std::fs::write(&tsv, lines).unwrap();
        let config = Config {
            data: DataConfig { tsv: Some(tsv), ..DataConfig::default() },
            tokenizer: TokenizerSettings {
                vocab_size: Some(60),
                dropout: 0.1,
                ..TokenizerSettings::default()
            },
            model: ModelConfig {
                d_model: Some(16),
                ffn: Some(24),
                heads: Some(2),
                encoder_layers: Some(2),
                decoder_layers: Some(2),
                activation: Some(Activation::Gelu),
                dropout: Some(Dropouts { attention: 0.1, activation: 0.1, ..Dropouts::all(0.1) }),
                ..ModelConfig::default()
            },
            train: TrainConfig {
                batch_tokens: 90,
                accumulate: 2,
                steps: Some(steps),
                log_every: 1,
                validate_every: 1000,
                validate_sentences: 1,
                ..TrainConfig::default()
            },
        };
        let run = Run::create(&folder.path().join("run"), false).unwrap();
        let mut corpora = Corpora::read(&config.data, config.train.seed).unwrap();
        let data = Prepared::new(&mut corpora, &config, None).unwrap();
        let mut trainer = Trainer::new(config, run.clone(), corpora, data).unwrap();
        assert!(matches!(trainer.train().unwrap(), Outcome::Finished(_)));
        (folder, run)
    }

    /// The loss that training noted at this step, to the last bit: read by the standard library, since `serde_json` may be
    /// one off.
    fn loss_at(run: &Run, step: u64) -> f64 {
        let text = std::fs::read_to_string(run.metrics()).unwrap();
        let of_step = |line: &&str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["kind"] == "train" && value["step"] == step
        };
        let line = text.lines().find(of_step).unwrap();
        let (_, after) = line.split_once("\"loss\":").unwrap();
        after.split([',', '}']).next().unwrap().parse().unwrap()
    }

    #[test]
    fn the_next_step_is_replayed_as_training_takes_it_bit_for_bit() {
        let (_whole, whole) = trained(24);
        for step in [2, 13, 24] {
            let (_part, part) = trained(step - 1);
            let replay = Replay::open(&part, None).unwrap();
            assert_eq!(replay.step, step);
            // Training notes the mean over all steps since its last line, here of one: the sum by the number of tokens.
            let truth = replay.truth(1);
            let tokens = truth.target_tokens as f64;
            let noted = truth.loss_f32 * tokens / tokens;
            assert_eq!(noted.to_bits(), loss_at(&whole, step).to_bits(), "step {step}");
        }
    }

    #[test]
    fn gradients_of_a_fresh_training_are_near_the_truth() {
        let (_folder, run) = trained(10);
        for step in [3, 11] {
            let truth = Replay::open(&run, Some(step)).unwrap().truth(2);
            assert_eq!((truth.step, truth.weights_after), (step, 10));
            // Roundings of 6e-8 each, and sums of some hundred terms of either sign.
            let worst = &truth.parameters[0];
            assert!(worst.drift < 1e-4 && worst.drift > 0.0, "{truth}");
            assert!((truth.loss_f32 - truth.loss_f64).abs() < 1e-5 * truth.loss_f64, "{truth}");
            let vanishing = truth.parameters.iter().filter(|drift| drift.vanishes);
            let paths: Vec<_> = vanishing.map(|drift| drift.path.as_str()).collect();
            assert_eq!(paths.len(), 6, "two layers of three attentions: {paths:?}");
            assert!(paths.iter().all(|path| path.ends_with("k_proj.bias")), "{paths:?}");
        }
    }

    #[test]
    fn a_perturbation_of_the_f32_weights_is_seen() {
        let (_folder, run) = trained(2);
        let replay = Replay::open(&run, None).unwrap();
        let clean = replay.truth(1).parameters[0].drift;
        let mut planted = replay.model.clone();
        planted.encoder.layers[0].feed_forward.linear2.weight.value_mut().make_mut()[5] += 1e-2;
        let truth = replay.compare(&planted, &replay.model.cast(), 1);
        assert!(truth.parameters[0].drift > 100.0 * clean, "{clean:e} without it\n{truth}");
    }

    #[test]
    fn a_wrong_gradient_stands_first_with_its_size() {
        let exact = Tensor::new([2], vec![3.0f64, 4.0]);
        let drift = Drift::new("wrong".into(), &Tensor::new([2], vec![3.0, 4.5]), &exact, 10.0);
        assert_eq!((drift.norm, drift.drift, drift.largest_error), (5.0, 0.1, 0.125));
        assert!(!drift.vanishes);
        let noise = Tensor::new([1], vec![1e-17]);
        let zero = Drift::new("zero".into(), &Tensor::new([1], vec![1e-6f32]), &noise, 10.0);
        assert!(zero.vanishes && (zero.drift - 1e-7).abs() < 1e-10, "{zero:?}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |run: &Run, step| format!("{:#}", Replay::open(run, step).unwrap_err());
        let (folder, run) = trained(2);
        assert!(error(&run, Some(0)).contains("steps are counted from 1"));
        let beyond = error(&run, Some(4));
        assert!(beyond.contains("was saved after step 2: step 4 is beyond the next one"), "{beyond}");
        let tsv = folder.path().join("text.tsv");
        let text = std::fs::read_to_string(&tsv).unwrap();
        std::fs::write(&tsv, text.replace("six", "five")).unwrap();
        assert!(error(&run, None).contains("is not the one this run began with"));
        std::fs::remove_file(&tsv).unwrap();
        assert!(error(&run, None).contains("text.tsv: cannot read"));
        std::fs::remove_file(run.last()).unwrap();
        assert!(error(&run, None).contains("last.gradus: cannot read"));
        assert!(Run::open(Path::new("nowhere")).unwrap_err().to_string().contains("no such folder"));
    }
}

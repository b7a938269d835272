//! Claims: every public function that says it panics does, at the line of its caller and in its own words.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use autograd::{Float, Gradients, Param, Tape, Tensor, parameters};

use crate::{Adam, Decay, Ema, Moments, Schedule, Sgd};

/// Two parameters, the second of which can be frozen.
struct Model<T: Float> {
    weight: Param<T>,
    bias: Param<T>,
}
parameters!(Model { weight, bias });

fn param(size: usize) -> Param {
    Param::new(Tensor::full([size], 1.0))
}

fn model() -> Model<f32> {
    Model { weight: param(2), bias: param(3) }
}

/// The gradient of the sum of squares.
fn gradients(of: &[&Param]) -> Gradients {
    let tape = Tape::eval();
    let terms = of.iter().map(|param| tape.param(param)).map(|x| (x * x).sum());
    terms.reduce(|a, b| a + b).unwrap().backward()
}

/// One step of a parameter.
fn adam(change: fn(&mut Adam), rate: f64) {
    let (mut adam, mut weight) = (Adam::default(), param(2));
    change(&mut adam);
    let gradients = gradients(&[&weight]);
    adam.step(&mut weight, &gradients, rate);
}

/// The gradient of a parameter that has got another shape since.
fn reshaped() -> (Param, Gradients) {
    let mut weight = param(2);
    let gradients = gradients(&[&weight]);
    *weight.value_mut() = Tensor::full([3], 1.0);
    (weight, gradients)
}

/// What is misused, how, and what is said.
type Row = (&'static str, fn(), &'static str);

const TABLE: &[Row] = &[
    ("Adam::step", || adam(|_| (), f64::NAN), "adam: the rate NaN is not a finite number from 0 up"),
    ("Adam::step", || adam(|_| (), -0.1), "adam: the rate -0.1 is not"),
    ("Adam::step", || adam(|_| (), f64::INFINITY), "adam: the rate inf is not"),
    ("Adam::step", || adam(|_| (), 1e39), "adam: the rate 1"),
    ("Adam::step", || adam(|_| (), 1e38), "is too large for step 1"),
    ("Adam::step", || adam(|a| a.betas.0 = 1.0, 0.1), "adam: betas = [1, 0.999] are not in [0, 1)"),
    ("Adam::step", || adam(|a| a.betas.0 = -0.1, 0.1), "adam: betas = [-0.1, 0.999] are not in [0, 1)"),
    ("Adam::step", || adam(|a| a.betas.1 = f64::NAN, 0.1), "adam: betas = [0.9, NaN] are not in [0, 1)"),
    ("Adam::step", || adam(|a| a.betas.1 = 1.0 - 1e-12, 0.1), "round to 1 in f32"),
    ("Adam::step", || adam(|a| a.epsilon = 0.0, 0.1), "adam: epsilon = 0 is not a positive number"),
    ("Adam::step", || adam(|a| a.epsilon = 1e-60, 0.1), "1 is not a positive number of f32"),
    ("Adam::step", || adam(|a| a.epsilon = f64::NAN, 0.1), "adam: epsilon = NaN is not a positive number"),
    ("Adam::step", || adam(|a| a.weight_decay = -1.0, 0.1), "adam: weight_decay = -1 is not"),
    ("Adam::step", || adam(|a| a.weight_decay = f64::NAN, 0.1), "adam: weight_decay = NaN is not"),
    (
        "Adam::step",
        || {
            let mut adam = Adam::default();
            let (mut first, mut second) = (param(2), param(2));
            let of_both = gradients(&[&first, &second]);
            adam.step(&mut first, &of_both, 0.1);
            adam.step(&mut second, &of_both, 0.1);
        },
        "adam: the state at \"\" is that of parameter #",
    ),
    (
        "Adam::step",
        || {
            let (first, mut second) = (param(2), param(2));
            Adam::default().step(&mut second, &gradients(&[&first]), 0.1);
        },
        "adam: the gradients are those of 1 other parameters, and of none of the 1 to be moved",
    ),
    (
        "Adam::step",
        || {
            let (mut weight, gradients) = reshaped();
            Adam::default().step(&mut weight, &gradients, 0.1);
        },
        "adam: the gradient of \"\" is [2], and the parameter [3]",
    ),
    (
        "Adam::step",
        || {
            let (mut weight, mut adam) = (param(2), Adam::default());
            let other = Tensor::zeros([3]);
            adam.moments.insert(String::new(), Moments { mean: weight.value().zeros_like(), square: other });
            let gradients = gradients(&[&weight]);
            adam.step(&mut weight, &gradients, 0.1);
        },
        "adam: the state of \"\" is [3], and the parameter [2]",
    ),
    (
        "Adam::step_clipped",
        || {
            let mut weight = param(2);
            let gradients = gradients(&[&weight]);
            Adam::default().step_clipped(&mut weight, &gradients, 0.1, (None, 1.0), 1);
        },
        "adam: no norm to clip to 1",
    ),
    (
        "Adam::step_clipped",
        || {
            let mut weight = param(2);
            let gradients = gradients(&[&weight]);
            let norm = gradients.norm_on(1);
            Adam::default().step_clipped(&mut weight, &gradients, 0.1, (Some(&norm), f64::NAN), 1);
        },
        "adam: the norm cannot be clipped to NaN",
    ),
    ("Adam::begin", || drop(Adam::<f32>::default().begin(-1.0, 1.0)), "adam: the rate -1 is not"),
    (
        "Adam::begin",
        || drop(Adam::<f32>::default().begin(0.1, f64::NAN)),
        "adam: the gradients' scale NaN is not finite",
    ),
    (
        "Adam::take",
        || {
            let (first, mut second, mut adam) = (param(2), param(2), Adam::default());
            let numbers = adam.begin(0.1, 1.0);
            adam.take(&mut second, &gradients(&[&first]), &numbers, (None, 0.0), 1);
        },
        "adam: the gradients are those of 1 other parameters",
    ),
    ("Sgd::step", || sgd(0.0, f64::NAN), "sgd: the rate NaN is not a finite number from 0 up"),
    ("Sgd::step", || sgd(0.0, -1.0), "sgd: the rate -1 is not"),
    ("Sgd::step", || sgd(f64::NAN, 0.1), "sgd: the momentum NaN is not"),
    ("Sgd::step", || sgd(-0.5, 0.1), "sgd: the momentum -0.5 is not"),
    (
        "Sgd::step",
        || {
            let mut sgd = Sgd { momentum: 0.5, ..Sgd::default() };
            let (mut first, mut second) = (param(2), param(3));
            let of_both = gradients(&[&first, &second]);
            sgd.step(&mut first, &of_both, 0.1);
            sgd.step(&mut second, &of_both, 0.1);
        },
        "sgd: the state at \"\" is that of parameter #",
    ),
    (
        "Sgd::step",
        || {
            let (mut weight, gradients) = reshaped();
            Sgd::default().step(&mut weight, &gradients, 0.1);
        },
        "sgd: the gradient of \"\" is [2], and the parameter [3]",
    ),
    (
        "Sgd::step",
        || {
            let mut weight = param(2);
            let mut sgd = Sgd { momentum: 0.5, ..Sgd::default() };
            sgd.velocity.insert(String::new(), Tensor::zeros([3]));
            let gradients = gradients(&[&weight]);
            sgd.step(&mut weight, &gradients, 0.1);
        },
        "sgd: the velocity of \"\" is [3], and the parameter [2]",
    ),
    (
        "Sgd::step",
        || {
            let (first, mut second) = (param(2), param(2));
            Sgd::default().step(&mut second, &gradients(&[&first]), 0.1);
        },
        "sgd: the gradients are those of 1 other parameters",
    ),
    ("Ema::new", || drop(Ema::<f32>::new(1.5)), "ema: the decay 1.5 is not in [0, 1]"),
    ("Ema::new", || drop(Ema::<f32>::new(f64::NAN)), "ema: the decay NaN is not in [0, 1]"),
    (
        "Ema::update",
        || {
            let mut ema = Ema::new(0.5);
            ema.decay = -1.0;
            ema.update(&param(2), 1);
        },
        "ema: the decay -1 is not in [0, 1]",
    ),
    (
        "Ema::update",
        || {
            let (mut ema, first, second) = (Ema::new(0.5), param(2), param(2));
            ema.update(&first, 1);
            ema.update(&second, 1);
        },
        "ema: the state at \"\" is that of parameter #",
    ),
    (
        "Ema::update",
        || {
            let mut ema = Ema::new(0.5);
            ema.values.insert(String::new(), Tensor::zeros([3]));
            ema.update(&param(2), 1);
        },
        "ema: the average of \"\" is [3], and the parameter [2]",
    ),
    (
        "Ema::put_into",
        || {
            let mut ema = Ema::new(0.5);
            ema.update(&param(2), 1);
            ema.put_into(&mut param(3));
        },
        "ema: the average of \"\" is [2], and the parameter [3]",
    ),
    (
        "Ema::put_into",
        || {
            let mut ema = Ema::new(0.5);
            ema.update(&param(2), 1);
            ema.put_into(&mut model());
        },
        "ema: the 1 averages are of other parameters than the 2 of this model",
    ),
    (
        "Schedule::rate",
        || _ = Schedule::Noam { d_model: 0, warmup: 1, factor: 1.0 }.rate(1),
        "schedule: d_model must not be 0",
    ),
    (
        "Schedule::rate",
        || _ = Schedule::Constant { rate: f64::NAN }.rate(1),
        "schedule: rate = NaN is not a positive number",
    ),
];

fn sgd(momentum: f64, rate: f64) {
    let mut weight = param(2);
    let gradients = gradients(&[&weight]);
    Sgd { momentum, ..Sgd::default() }.step(&mut weight, &gradients, rate);
}

thread_local! {
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a panic of `f` says, and the file that it names.
fn panic_of(f: fn()) -> Option<(String, String)> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map_or_else(String::new, |place| place.file().to_owned());
            PLACE.set(place);
            before(info);
        }));
    });
    let payload = panic::catch_unwind(AssertUnwindSafe(f)).err()?;
    let said = payload.downcast_ref::<String>().cloned();
    let said = said.or_else(|| payload.downcast_ref::<&str>().map(|said| (*said).to_owned()));
    Some((said.unwrap_or_default(), PLACE.take()))
}

#[test]
fn misuse_panics_at_the_line_of_the_caller_in_its_own_words() {
    for &(name, misuse, expected) in TABLE {
        let (said, place) = panic_of(misuse).unwrap_or_else(|| panic!("{name} does not say: {expected}"));
        assert!(said.contains(expected), "{name} says {said:?}, not {expected:?}");
        assert!(place.ends_with(file!()), "{name} blames {place} for {said:?}");
    }
}

#[test]
fn every_function_that_says_it_panics_is_in_the_table() {
    let tested: BTreeSet<String> = TABLE.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(documented(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), tested);
}

/// The public functions below this folder whose documentation has a section `# Panics`: `Type::name`.
fn documented(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let (mut owner, mut panics) = (String::new(), false);
        for line in text.lines() {
            if let Some(header) = line.strip_prefix("impl") {
                let of = header.rsplit(" for ").next().unwrap_or_default().trim_start_matches("<T: Float>");
                owner = of.trim().chars().take_while(|c| c.is_alphanumeric()).collect();
            }
            let line = line.trim();
            panics |= line == "/// # Panics";
            if let Some((before, name)) = line.split_once("fn ").filter(|_| !line.starts_with("//")) {
                if panics && before == "pub " {
                    let name: String =
                        name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    found.insert(format!("{owner}::{name}"));
                }
                panics = false;
            }
        }
    }
    found
}

/// Which of the two parameters a step moves.
fn moved(model: &mut Model<f32>, step: impl FnOnce(&mut Model<f32>)) -> [bool; 2] {
    let values =
        |model: &Model<f32>| [&model.weight, &model.bias].map(|param| param.value().as_slice().to_vec());
    let before = values(model);
    step(model);
    let after = values(model);
    [0, 1].map(|k| before[k] != after[k])
}

#[test]
fn parameters_that_are_frozen_or_out_of_the_loss_stay_and_the_others_move() {
    let mut model = model();
    let adam = |gradients: &Gradients, model: &mut Model<f32>| Adam::default().step(model, gradients, 0.1);
    let of_both = gradients(&[&model.weight, &model.bias]);
    assert_eq!(moved(&mut model, |model| adam(&of_both, model)), [true, true]);
    let of_one = gradients(&[&model.weight]);
    assert_eq!(moved(&mut model, |model| adam(&of_one, model)), [true, false]);
    assert_eq!(moved(&mut model, |model| Sgd::default().step(model, &of_one, 0.1)), [true, false]);
    assert_eq!(moved(&mut model, |model| adam(&Gradients::default(), model)), [false, false], "none at all");
    model.bias.freeze();
    let of_weight = gradients(&[&model.weight, &model.bias]);
    assert_eq!(moved(&mut model, |model| adam(&of_weight, model)), [true, false]);
    model.weight.freeze();
    let of_others = gradients(&[&param(2)]);
    assert_eq!(moved(&mut model, |model| adam(&of_others, model)), [false, false], "all of it is frozen");
    let before_the_first_update = Ema::new(0.5);
    assert_eq!(moved(&mut model, |model| before_the_first_update.put_into(model)), [false, false]);
}

#[test]
fn a_refused_step_is_not_counted() {
    let (mut adam, mut first, mut second) = (Adam::default(), param(2), param(2));
    let of_both = gradients(&[&first, &second]);
    adam.step(&mut first, &of_both, 0.1);
    let before = second.value().clone();
    for rate in [0.1, f64::NAN] {
        let refused = panic::catch_unwind(AssertUnwindSafe(|| adam.step(&mut second, &of_both, rate)));
        assert!(refused.is_err());
    }
    assert_eq!((adam.steps, second.value()), (1, &before));
}

#[test]
fn state_follows_a_copy_of_the_optimiser_and_a_copy_in_the_place_of_the_parameter() {
    let reference = |steps: usize| {
        let (mut adam, mut weight) = (Adam { decay: Decay::L2, ..Adam::default() }, param(2));
        for _ in 0..steps {
            let gradients = gradients(&[&weight]);
            adam.step(&mut weight, &gradients, 0.1);
        }
        (adam, weight)
    };
    let expected = reference(3).1.value().clone();

    // Both copied, and the first ones still there.
    let (adam, weight) = reference(2);
    let (mut copied, mut copy) = (adam.clone(), weight.clone());
    let of_copy = gradients(&[&copy]);
    copied.step(&mut copy, &of_copy, 0.1);
    assert_eq!(copy.value(), &expected);

    // The copy stands in the place of the parameter.
    let (mut adam, weight) = reference(2);
    let mut copy = weight.clone();
    drop(weight);
    let of_copy = gradients(&[&copy]);
    adam.step(&mut copy, &of_copy, 0.1);
    assert_eq!(copy.value(), &expected);

    // Loaded by path, before any step.
    let (stored, weight) = reference(2);
    let mut loaded = Adam { decay: Decay::L2, ..Adam::default() };
    (loaded.steps, loaded.moments) = (stored.steps, stored.moments.clone());
    let mut weight = weight.clone();
    let of_weight = gradients(&[&weight]);
    loaded.step(&mut weight, &of_weight, 0.1);
    assert_eq!(weight.value(), &expected);

    // One that is no copy gets nothing, though the first is gone.
    let (mut adam, weight) = reference(2);
    drop(weight);
    let mut other = param(2);
    let of_other = gradients(&[&other]);
    let refused = panic::catch_unwind(AssertUnwindSafe(|| adam.step(&mut other, &of_other, 0.1)));
    assert!(refused.is_err());
}

#[test]
fn plain_descent_has_no_state_to_share() {
    let (mut sgd, mut first, mut second) = (Sgd::default(), param(2), param(3));
    let of_both = gradients(&[&first, &second]);
    sgd.step(&mut first, &of_both, 0.25);
    sgd.step(&mut second, &of_both, 0.25);
    assert_eq!((first.value().as_slice(), second.value().as_slice()), (&[0.5; 2][..], &[0.5; 3][..]));
}

//! Lesson 11: a Transformer learns to copy, and to read backwards, and one can see where it looks.
//!
//! The smallest tasks that need all of a Transformer: given a string of digits, write it again, or in reverse. Every output
//! digit has to find its input digit by attention, because nothing else in the model knows where it stands. So there is one
//! pattern that the attention must learn: the diagonal for one task, the other diagonal for the other.
//!
//! `cargo run --release --example 11_copy_and_reverse`; with `-- --quick` shorter strings, in a few seconds

use std::time::Instant;

use gradus::autograd::rng::{self, Stream};
use gradus::autograd::{Ids, Tape};
use gradus::nn::{Dropouts, Init, Objective, Preset, Sentences, Transformer, TransformerConfig};
use gradus::optim::{Adam, Schedule};

// The vocabulary: padding, beginning and end of a sentence, and then the digits.
const PAD: u32 = 0;
const BOS: u32 = 1;
const EOS: u32 = 2;
const ZERO: u32 = 3;
const VOCAB: usize = 13;

/// What to write for a string of digits.
#[derive(Clone, Copy, Debug)]
enum Task {
    Copy,
    Reverse,
}

impl Task {
    fn solve(self, digits: &[u32]) -> Vec<u32> {
        match self {
            Self::Copy => digits.to_vec(),
            Self::Reverse => digits.iter().rev().copied().collect(),
        }
    }

    /// Where the digit stands that is to be written at `place`.
    fn origin(self, place: usize, length: usize) -> usize {
        match self {
            Self::Copy => place,
            Self::Reverse => length - 1 - place,
        }
    }
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (longest, steps) = if quick { (5, 500) } else { (10, 1000) };
    println!("Strings of 1 to {longest} digits. Guessing among 10 digits costs ln 10 = 2.3 nats.");
    for task in [Task::Copy, Task::Reverse] {
        learn(task, longest, steps);
    }
    println!(
        "\nNobody told the models where to look: the loss knows only digits. That a gradient can say \"look there\""
    );
    println!("is lesson 6: an offer moves towards the questions that should have taken it.");
}

fn learn(task: Task, longest: usize, steps: u64) {
    // One layer that reads the source, so that all reading is seen in it.
    let config = TransformerConfig {
        d_model: 64,
        ffn: 128,
        heads: 4,
        encoder_layers: 2,
        decoder_layers: 1,
        dropout: Dropouts::all(0.0),
        ..Preset::Tiny.config(VOCAB, VOCAB)
    };
    let mut model: Transformer = Transformer::new(&config, &mut Init::seeded(7));
    let mut adam = Adam { betas: (0.9, 0.98), ..Adam::default() };
    let schedule = Schedule::Cosine { peak: 2e-3, warmup: 50, total: steps, floor: 1e-5 };
    println!("\n── {task:?}\n\n   step     loss   exactly right of 100 unseen strings");
    let start = Instant::now();
    let unseen = strings(100, longest, u64::MAX);
    let mut right = 0;
    for step in 1..=steps {
        let batch = strings(64, longest, step);
        let tape = Tape::train(step);
        let loss = loss(task, &model, &tape, &batch);
        let value = loss.value().item();
        let mut gradients = loss.backward();
        gradients.clip_norm(1.0);
        adam.step(&mut model, &gradients, schedule.rate(step));
        if step == 1 || step % (steps / 5) == 0 {
            let written = write(&model, &unseen, longest);
            right = unseen.iter().zip(&written).filter(|(digits, out)| task.solve(digits) == **out).count();
            println!("  {step:>5}  {value:>7.4}   {right:>3}  {}", "▪".repeat(right / 4));
        }
    }
    println!("\n  After {:.1} s:\n", start.elapsed().as_secs_f64());
    for (digits, written) in unseen.iter().zip(write(&model, &unseen, longest)).take(4) {
        let mark = if task.solve(digits) == written { "✓" } else { "✗" };
        println!("  {:>longest$} → {:<longest$}  {mark}", text(digits), text(&written));
    }
    assert!(right >= 90, "{task:?}: only {right} of 100 strings are right");

    let found: usize = unseen.iter().map(|digits| looks_right(task, &model, digits)).sum();
    let places: usize = unseen.iter().map(Vec::len).sum();
    let share = found as f64 / places as f64;
    println!("\n  Where the decoder looks while it writes (the mean of its heads, in hundredths):\n");
    if let Some(digits) = unseen.iter().find(|digits| digits.len() == longest) {
        show_map(task, &model, digits);
    }
    println!(
        "\n  The place it looks at most is the one of the digit to be written in {:.0} % of {places}.",
        100.0 * share
    );
    assert!(share > 0.75, "{task:?}: it looks where it must only in {:.0} % of places", 100.0 * share);
}

/// How much of each digit (column) is read while each is written (row), by all heads together.
fn map(task: Task, model: &Transformer, digits: &[u32]) -> Vec<Vec<f32>> {
    let n = digits.len();
    let begun = [&[BOS], &task.solve(digits)[..n - 1]].concat();
    let all = model.attention_weights(&Sentences::new(&[digits], PAD), &Sentences::new(&[begun], PAD));
    let weights = all.cross.last().expect("the model has decoder layers"); // [1, H, T, S]
    let heads = weights.shape()[1];
    let weight = |row: usize, column: usize| {
        let of_heads = (0..heads).map(|head| weights.as_slice()[(head * n + row) * n + column]);
        of_heads.sum::<f32>() / heads as f32
    };
    (0..n).map(|row| (0..n).map(|column| weight(row, column)).collect()).collect()
}

/// In how many places the digit that is read most is the one to be written.
fn looks_right(task: Task, model: &Transformer, digits: &[u32]) -> usize {
    let likeliest = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    let rows = map(task, model, digits).into_iter().enumerate();
    rows.filter(|(place, row)| likeliest(row) == Some(task.origin(*place, digits.len()))).count()
}

fn show_map(task: Task, model: &Transformer, digits: &[u32]) {
    println!("       reads{}", text(digits).chars().map(|digit| format!("{digit:>4}")).collect::<String>());
    for (digit, row) in text(&task.solve(digits)).chars().zip(map(task, model, digits)) {
        println!(
            "  writes {digit}  {}",
            row.iter().map(|weight| format!("{:>4.0}", 100.0 * weight)).collect::<String>()
        );
    }
}

/// Random strings of 1 to `longest` digits, the same for the same seed.
fn strings(count: usize, longest: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut stream = Stream::new(rng::derive(1, seed));
    let mut below = |limit: u64| (stream.bits() % limit) as u32;
    (0..count)
        .map(|_| {
            let length = 1 + below(longest as u64);
            (0..length).map(|_| ZERO + below(10)).collect()
        })
        .collect()
}

/// The mean cross-entropy of what is to be written.
fn loss<'t>(
    task: Task,
    model: &Transformer,
    tape: &'t Tape,
    batch: &[Vec<u32>],
) -> gradus::autograd::Var<'t> {
    // While it learns, the decoder reads what it should have written so far, and is asked for the next digit.
    let begun: Vec<_> = batch.iter().map(|digits| [&[BOS], &task.solve(digits)[..]].concat()).collect();
    let ended: Vec<_> = batch.iter().map(|digits| [&task.solve(digits)[..], &[EOS]].concat()).collect();
    let target_out: Ids = Sentences::new(&ended, PAD).ids;
    let words: usize = ended.iter().map(Vec::len).sum();
    let objective = Objective { smoothing: 0.0, ignore: Some(PAD), weight: 1.0 / words as f64 };
    model.loss(tape, &Sentences::new(batch, PAD), &Sentences::new(&begun, PAD), &target_out, &objective)
}

/// What the model writes: at each step the likeliest digit, which it then reads as its own last word.
fn write(model: &Transformer, batch: &[Vec<u32>], longest: usize) -> Vec<Vec<u32>> {
    let mut cache = model.start(&Sentences::new(batch, PAD));
    let mut last = vec![BOS; batch.len()];
    let mut written = vec![Vec::new(); batch.len()];
    let mut ended = vec![false; batch.len()];
    for _ in 0..=longest {
        let logits = model.step(&last, &mut cache); // [B, V]
        for (row, scores) in logits.as_slice().chunks(VOCAB).enumerate() {
            let likeliest = (0..VOCAB).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            last[row] = likeliest.map_or(EOS, |word| word as u32);
            ended[row] |= last[row] == EOS;
            if !ended[row] {
                written[row].push(last[row]);
            }
        }
    }
    written
}

fn text(digits: &[u32]) -> String {
    // A mark among the digits is a mistake that a model makes while it learns.
    let character =
        |&digit: &u32| digit.checked_sub(ZERO).and_then(|n| char::from_digit(n, 10)).unwrap_or('?');
    digits.iter().map(character).collect()
}

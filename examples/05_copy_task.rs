//! Lesson 5: a Transformer learns to read backwards.
//!
//! The smallest task that needs all of a Transformer: given a string of digits, write it in reverse. Every output digit
//! has to find its input digit by attention, because nothing else in the model knows where it stands.
//!
//! `cargo run --release --example 05_copy_task`; with `-- --quick` shorter strings, in a few seconds

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

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (longest, steps) = if quick { (5, 400) } else { (10, 1000) };
    let config = TransformerConfig {
        d_model: 64,
        ffn: 128,
        heads: 4,
        encoder_layers: 2,
        decoder_layers: 2,
        dropout: Dropouts::all(0.0),
        ..Preset::Tiny.config(VOCAB, VOCAB)
    };
    let mut model: Transformer = Transformer::new(&config, &mut Init::seeded(7));
    let mut adam = Adam { betas: (0.9, 0.98), ..Adam::default() };
    let schedule = Schedule::Cosine { peak: 2e-3, warmup: 50, total: steps, floor: 1e-5 };

    println!(
        "Learning to reverse strings of 1 to {longest} digits. Guessing among 10 digits costs ln 10 = 2.3 nats.\n"
    );
    println!("   step     loss   exactly right of 100 unseen strings");
    let start = Instant::now();
    let unseen = strings(100, longest, u64::MAX);
    let mut right = 0;
    for step in 1..=steps {
        let batch = strings(64, longest, step);
        let tape = Tape::train(step);
        let loss = loss(&model, &tape, &batch);
        let value = loss.value().item();
        let mut gradients = loss.backward();
        gradients.clip_norm(1.0);
        adam.step(&mut model, &gradients, schedule.rate(step));
        if step == 1 || step % (steps / 10) == 0 {
            let written = reverse(&model, &unseen, longest);
            right = unseen.iter().zip(&written).filter(|(digits, out)| digits.iter().rev().eq(*out)).count();
            println!("  {step:>5}  {value:>7.4}   {right:>3}  {}", "▪".repeat(right / 4));
        }
    }
    println!("\nAfter {:.1} s:\n", start.elapsed().as_secs_f64());
    for (digits, written) in unseen.iter().zip(reverse(&model, &unseen, longest)).take(6) {
        let mark = if digits.iter().rev().eq(&written) { "✓" } else { "✗" };
        println!("  {:>longest$} → {:<longest$}  {mark}", text(digits), text(&written));
    }
    assert!(right >= 90, "only {right} of 100 strings were reversed");
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

/// The mean cross-entropy of the reversed strings.
fn loss<'t>(model: &Transformer, tape: &'t Tape, batch: &[Vec<u32>]) -> gradus::autograd::Var<'t> {
    // While it learns, the decoder reads what it should have written so far, and is asked for the next digit.
    let reversed = |digits: &Vec<u32>| digits.iter().rev().copied().collect::<Vec<_>>();
    let begun: Vec<_> = batch.iter().map(|digits| [&[BOS], &reversed(digits)[..]].concat()).collect();
    let ended: Vec<_> = batch.iter().map(|digits| [&reversed(digits)[..], &[EOS]].concat()).collect();
    let target_out: Ids = Sentences::new(&ended, PAD).ids;
    let words: usize = ended.iter().map(Vec::len).sum();
    let objective = Objective { smoothing: 0.0, ignore: Some(PAD), weight: 1.0 / words as f64 };
    model.loss(tape, &Sentences::new(batch, PAD), &Sentences::new(&begun, PAD), &target_out, &objective)
}

/// What the model writes: at each step the likeliest digit, which it then reads as its own last word.
fn reverse(model: &Transformer, batch: &[Vec<u32>], longest: usize) -> Vec<Vec<u32>> {
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

//! Lesson 12: train and translate.
//!
//! From text to translations, with every part in view: sentence pairs, subwords, batches, the loss on a tape, Adam, beam
//! search, BLEU. `gradus train` is this with checkpoints, several threads and a progress bar.
//!
//! `cargo run --release --example 12_train_and_translate`, some minutes; with `-- --quick` a small
//! model and less text, in seconds

use std::time::Instant;

use gradus::autograd::{Ids, Parameters, Tape};
use gradus::data::batch::{Batch, collate, encode_pairs, plan_epoch};
use gradus::data::builtin::{Sizes, generate};
use gradus::data::tokenizer::{PAD, Tokenizer, TokenizerConfig};
use gradus::decode::{Search, translate};
use gradus::metrics::{BleuOptions, bleu};
use gradus::nn::{Dropouts, Init, Objective, Preset, Sentences, Transformer, TransformerConfig};
use gradus::optim::{Adam, Schedule};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (pairs, steps, width, layers) = if quick { (4_000, 240, 64, 2) } else { (60_000, 1500, 128, 4) };

    // 1. Sentence pairs, drawn from a grammar; `gradus train --src --tgt` reads files instead.
    let corpus = generate(1, &Sizes { train: pairs, valid: 0, test: 100, unseen: 0 });
    println!(
        "{} sentence pairs, such as:\n  {}\n  {}\n",
        pairs, corpus.train[0].source, corpus.train[0].target
    );

    // 2. Text becomes subwords, of one vocabulary for both languages.
    let texts = corpus.train.iter().flat_map(|pair| [&pair.source, &pair.target]);
    let vocabulary = TokenizerConfig { vocab_size: 1000, ..TokenizerConfig::default() };
    let tokenizer = Tokenizer::train(texts, &vocabulary)?;
    let tokens = tokenizer.encode(&corpus.train[0].source);
    let pieces: Vec<String> = tokens.iter().map(|&id| tokenizer.token(id)).collect();
    println!("As subwords: {}\n", pieces.join(" "));
    assert_eq!(tokenizer.decode(&tokens), corpus.train[0].source, "subwords lose nothing");

    // 3. A model, an optimiser, and a rate that rises for some steps and falls to nothing.
    let config = TransformerConfig {
        d_model: width,
        ffn: 2 * width,
        encoder_layers: layers,
        decoder_layers: layers,
        dropout: Dropouts::all(0.05),
        ..Preset::Tiny.config(tokenizer.vocab_size(), tokenizer.vocab_size())
    };
    let mut model: Transformer = Transformer::new(&config, &mut Init::seeded(1));
    let mut adam = Adam { betas: (0.9, 0.98), ..Adam::default() };
    let schedule = Schedule::Cosine {
        peak: if quick { 5e-3 } else { 2e-3 },
        warmup: steps / 8,
        total: steps,
        floor: 0.0,
    };
    println!(
        "A model of {} parameters. A guess among {} tokens costs {:.2} nats.\n",
        model.parameter_count(),
        tokenizer.vocab_size(),
        (tokenizer.vocab_size() as f64).ln()
    );

    // 4. Steps. Sentences of similar length share a batch; the model reads the target as far as it has come and is asked
    //    for the next token, at all places at once.
    let examples = encode_pairs(&corpus.train, &tokenizer, &tokenizer, 128)?.examples;
    let start = Instant::now();
    let (mut first, mut last) = (None, f32::MAX);
    let mut plan = Vec::new();
    for step in 1..=steps {
        if plan.is_empty() {
            plan = plan_epoch(&examples, 2048, 1, step);
        }
        let batch = collate(&examples, &plan.pop().unwrap_or_default());
        let tape = Tape::train(step);
        let loss = loss(&model, &tape, &batch);
        last = loss.value().item();
        first.get_or_insert(last);
        let mut gradients = loss.backward();
        gradients.clip_norm(1.0);
        adam.step(&mut model, &gradients, schedule.rate(step));
        if step == 1 || step % (steps / 6) == 0 {
            println!(
                "  step {step:>4}  loss {last:.3}  {:>4.0} s  {}",
                start.elapsed().as_secs_f64(),
                "▪".repeat((8.0 * last) as usize)
            );
        }
    }
    assert!(first.is_some_and(|first| last < 0.5 * first), "the loss has fallen by half at least");

    // 5. Translations of sentences that it has not seen, by beam search, and how near they are to the right ones.
    let sources: Vec<&str> = corpus.test.iter().map(|pair| pair.source.as_str()).collect();
    let references: Vec<&str> = corpus.test.iter().map(|pair| pair.target.as_str()).collect();
    let found = translate(&model, (&tokenizer, &tokenizer), &sources, &Search::default(), 1, |_| ());
    println!();
    for i in 0..4 {
        println!("  {}\n    model      {}\n    reference  {}", sources[i], found[i], references[i]);
    }
    let score = bleu(&found, &references, &BleuOptions::default());
    println!("\nBLEU of {} sentences: {:.1}", sources.len(), score.score);
    assert!(score.score > if quick { 5.0 } else { 60.0 });
    Ok(())
}

/// The mean cross-entropy of the next tokens, with a tenth of label smoothing.
fn loss<'t>(model: &Transformer, tape: &'t Tape, batch: &Batch) -> gradus::autograd::Var<'t> {
    let source = Ids::new([batch.rows, batch.source_width], batch.source.clone());
    let [target_in, target_out] = [&batch.target_in, &batch.target_out]
        .map(|ids| Ids::new([batch.rows, batch.target_width], ids.clone()));
    let objective =
        Objective { smoothing: 0.1, ignore: Some(PAD), weight: 1.0 / batch.target_tokens() as f64 };
    let source = Sentences::padded(source, batch.source_lengths.clone());
    let target_in = Sentences::padded(target_in, batch.target_lengths.clone());
    model.loss(tape, &source, &target_in, &target_out, &objective)
}

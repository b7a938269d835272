//! Lesson 10: a Transformer in sixty lines.
//!
//! Everything between the two marks is the forward pass of an encoder and a decoder, out of products, sums and softmaxes.
//! It uses the parameters of the library's own model, gives the same numbers, and the same gradients; and it learns.
//!
//! `cargo run --example 10_transformer_in_60_lines`

use gradus::autograd::{Float, Ids, Keep, Parameters, Tape, Tensor, Var};
use gradus::nn::{
    FeedForward, Init, LayerNorm, Linear, MultiHeadAttention, Preset, Sentences, Transformer,
    TransformerConfig,
};
use gradus::optim::Adam;

// ── begin
/// `x·Wᵀ + b`
fn linear<'t, T: Float>(p: &Linear<T>, x: Var<'t, T>) -> Var<'t, T> {
    let y = x.matmul_nt(x.tape().param(&p.weight));
    p.bias.as_ref().map_or(y, |bias| y + x.tape().param(bias))
}

fn norm<'t, T: Float>(p: &LayerNorm<T>, x: Var<'t, T>) -> Var<'t, T> {
    x.layer_norm(x.tape().param(&p.gamma), x.tape().param(&p.beta), p.epsilon)
}

/// Each of `x [T, D]` reads of `memory [S, D]` what `keep [T, S]` lets it.
fn attend<'t, T: Float>(
    p: &MultiHeadAttention<T>,
    x: Var<'t, T>,
    memory: Var<'t, T>,
    keep: &Keep,
) -> Var<'t, T> {
    let (words, width, head) = (x.shape()[0], x.shape()[1], x.shape()[1] / p.heads);
    let split = |x: Var<'t, T>| x.reshape([x.shape()[0], p.heads, head]).permute(&[1, 0, 2]); // [H, .., d]
    let q = split(linear(&p.q_proj, x));
    let [k, v] = [&p.k_proj, &p.v_proj].map(|projection| split(linear(projection, memory)));
    let scores = q.matmul_nt(k).scale(1.0 / (head as f64).sqrt()); // [H, T, S]
    let context = scores.masked_softmax(keep).matmul(v); // [H, T, d]
    linear(&p.out_proj, context.permute(&[1, 0, 2]).reshape([words, width])) // [T, D]
}

fn feed_forward<'t, T: Float>(p: &FeedForward<T>, x: Var<'t, T>) -> Var<'t, T> {
    linear(&p.linear2, linear(&p.linear1, x).relu())
}

/// Words and where they stand: `[words, D]`.
fn embed<'t, T: Float>(p: &Transformer<T>, tape: &'t Tape<T>, words: &[u32]) -> Var<'t, T> {
    let width = p.config.d_model;
    let waves = Tensor::from_fn([words.len(), width], |i| {
        let angle = (i / width) as f64 / 10_000f64.powf((i % width / 2 * 2) as f64 / width as f64);
        T::of(if i % 2 == 0 { angle.sin() } else { angle.cos() })
    });
    let vectors = tape.param(&p.target_embedding.weight).embedding(&Ids::new([words.len()], words));
    vectors.scale((width as f64).sqrt()) + tape.constant(waves)
}

/// The scores of every next word: `[T, V]`.
fn transformer<'t, T: Float>(
    p: &Transformer<T>,
    tape: &'t Tape<T>,
    source: &[u32],
    target: &[u32],
) -> Var<'t, T> {
    let (s, t) = (source.len(), target.len());
    let all = |queries| Keep::new([queries, s], vec![true; queries * s]);
    let past = Keep::new([t, t], (0..t * t).map(|i| i % t <= i / t).collect::<Vec<_>>());
    let mut x = embed(p, tape, source);
    for layer in &p.encoder.layers {
        let read = norm(&layer.self_attn_norm, x);
        x = x + attend(&layer.self_attn, read, read, &all(s));
        x = x + feed_forward(&layer.feed_forward, norm(&layer.feed_forward_norm, x));
    }
    let memory = p.encoder.norm.as_ref().map_or(x, |last| norm(last, x)); // [S, D]
    let mut x = embed(p, tape, target);
    for layer in &p.decoder.layers {
        let read = norm(&layer.self_attn_norm, x);
        x = x + attend(&layer.self_attn, read, read, &past);
        x = x + attend(&layer.cross_attn, norm(&layer.cross_attn_norm, x), memory, &all(t));
        x = x + feed_forward(&layer.feed_forward, norm(&layer.feed_forward_norm, x));
    }
    let x = p.decoder.norm.as_ref().map_or(x, |last| norm(last, x));
    x.matmul_nt(tape.param(&p.target_embedding.weight)) // the table of words, once more
}
// ── end

fn main() {
    let code = include_str!("10_transformer_in_60_lines.rs").split("\n// ── ").nth(1).unwrap_or_default();
    let lines = code.lines().skip(1).filter(|line| !line.is_empty() && !line.starts_with("///")).count();
    println!("The forward pass of a whole Transformer is {lines} lines.\n");
    assert!(lines <= 60);

    // The words of the two sentences have numbers from 3 on; 1 begins a target, 2 ends it.
    let (source, begun, ended) = ([3, 4, 5, 2], [1, 6, 7, 8, 9], Ids::new([5], [6, 7, 8, 9, 2]));
    let config = TransformerConfig {
        d_model: 16,
        ffn: 32,
        encoder_layers: 2,
        decoder_layers: 2,
        ..Preset::Tiny.config(10, 10)
    };
    let mut model: Transformer<f64> = Transformer::new(&config, &mut Init::seeded(1));

    let tape = Tape::eval();
    let ours = transformer(&model, &tape, &source, &begun);
    let library = Tape::eval();
    let theirs = model.forward(&library, &Sentences::new(&[source], 0), &Sentences::new(&[begun], 0));
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let off = distance(ours.value().as_slice(), theirs.value().as_slice());
    let ours = ours.cross_entropy(&ended, 0.0, None).backward();
    let theirs = theirs.cross_entropy(&Ids::new([1, 5], ended.as_slice()), 0.0, None).backward();
    let gradients_off = (model.parameters().iter())
        .map(|(path, param)| {
            let [ours, theirs] = [&ours, &theirs].map(|gradients| gradients.get(param));
            let both = ours.zip(theirs).unwrap_or_else(|| panic!("{path} has a gradient on both tapes"));
            distance(both.0.as_slice(), both.1.as_slice())
        })
        .fold(0.0, f64::max);
    println!("  logits differ from the library's by {off:.0e},");
    println!("  the gradients of {} parameters by {gradients_off:.0e}.\n", model.parameter_count());
    assert!(off < 1e-12 && gradients_off < 1e-12);

    println!("It learns a sentence of four words; a guess among 10 words costs ln 10 = 2.30 nats each.\n");
    let mut adam = Adam::default();
    let mut loss = f64::MAX;
    for step in 0..=40 {
        let tape = Tape::train(step);
        let mean = transformer(&model, &tape, &source, &begun).cross_entropy(&ended, 0.0, None);
        loss = mean.value().item();
        if step % 10 == 0 {
            println!("  step {step:>2}  loss {loss:.4}  {}", "▪".repeat((20.0 * loss) as usize));
        }
        adam.step(&mut model, &mean.backward(), 0.01);
    }
    assert!(loss < 0.05, "a single sentence is learned by heart");
}

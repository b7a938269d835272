//! How long the ops and kernels take that a training step is made of: `cargo bench`, or `cargo bench -- softmax` for those
//! whose name contains a word.
//!
//! An op is run on a tape that reads the clock around it, forward and backward, so that nothing else is measured. Times
//! are the medians of repeated runs, on one thread. A harness of a few lines, because the established ones bring more
//! packages than the program itself needs, or C code.

use std::time::{Duration, Instant};

use gradus::autograd::kernels::cpu::adam::{AdamStep, adam};
use gradus::autograd::kernels::cpu::gemm::{Matrix, gemm};
use gradus::autograd::ops::attention::Attention;
use gradus::autograd::rng::Stream;
use gradus::autograd::{Ids, Tape, Tensor, Var};
use gradus::nn::Mask;

fn main() {
    // Cargo adds options of its own, which mean nothing here.
    let words = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let bench = Bench { words };
    println!("{:<44}{:>14}{:>14}{:>10}", "", "forward, µs", "backward, µs", "GFLOP/s");
    row_ops(&bench);
    products(&bench);
    attentions(&bench);
    kernels(&bench);
}

/// Ops on rows, at the sizes of the tiny model with 64 sentences of 24 tokens.
fn row_ops(bench: &Bench) {
    for (rows, n) in [(1536, 128), (6144, 24)] {
        let x = normal([rows, n]);
        bench.op(&format!("softmax {rows}×{n}"), 0.0, |tape| tape.input(x.clone()).softmax());
    }
    let (x, gain, bias) = (normal([1536, 128]), normal([128]), normal([128]));
    bench.op("layer_norm 1536×128", 0.0, |tape| {
        tape.input(x.clone()).layer_norm(tape.input(gain.clone()), tape.input(bias.clone()), 1e-5)
    });
    let x = normal([1536, 256]);
    bench.op("relu 1536×256", 0.0, |tape| tape.input(x.clone()).relu());
    bench.op("gelu 1536×256", 0.0, |tape| tape.input(x.clone()).gelu());
    bench.op("dropout 1536×256", 0.0, |tape| tape.input(x.clone()).dropout(0.1));
}

/// Linear layers, and the output layer with its loss.
fn products(bench: &Bench) {
    for (rows, inputs, outputs) in
        [(1536, 128, 128), (1536, 128, 256), (1536, 256, 128), (1024, 512, 2048), (256, 512, 512)]
    {
        let (x, weight, bias) = (normal([rows, inputs]), normal([outputs, inputs]), normal([outputs]));
        let flops = (3 * 2 * rows * inputs * outputs) as f64;
        bench.op(&format!("linear {rows}×{inputs} to {outputs}"), flops, |tape| {
            tape.input(x.clone()).linear(tape.input(weight.clone()), Some(tape.input(bias.clone())))
        });
    }
    for (rows, inputs, vocab) in [(1536, 128, 10_000), (256, 512, 16_000)] {
        let (x, weight) = (normal([rows, inputs]), normal([vocab, inputs]));
        let mut stream = Stream::new(2);
        let targets: Vec<u32> = (0..rows).map(|_| (stream.bits() % vocab as u64) as u32).collect();
        let targets = Ids::new([rows], targets);
        let flops = (3 * 2 * rows * inputs * vocab) as f64;
        bench.op(&format!("linear_cross_entropy {rows}×{inputs} to {vocab}"), flops, |tape| {
            tape.input(x.clone()).linear_cross_entropy(tape.input(weight.clone()), &targets, 0.1, None)
        });
    }
}

/// Attention of many short sentences and of one long one. Causal attention counts in full.
fn attentions(bench: &Bench) {
    for (batch, heads, length, width, causal, dropout) in [
        (64, 4, 24, 32, false, 0.0),
        (64, 4, 24, 32, false, 0.1),
        (64, 4, 24, 32, true, 0.0),
        (8, 8, 32, 64, false, 0.0),
        (1, 8, 1024, 64, false, 0.0),
        (1, 8, 1024, 64, true, 0.0),
        (1, 8, 4096, 64, false, 0.0),
        (1, 8, 4096, 64, true, 0.0),
    ] {
        let [q, k, v] = [(); 3].map(|()| normal([batch, length, heads * width]));
        let mask = if causal { Mask::keep_past() } else { Mask::keep_all() };
        let attention = Attention { dropout, key: 1.into(), ..mask.attention(heads, q.shape(), k.shape()) };
        let causal = if causal { ", causal" } else { "" };
        let drops = if dropout > 0.0 { ", dropout" } else { "" };
        let flops = (3 * 4 * batch * heads * length * length * width) as f64;
        bench.op(&format!("attention {batch}×{heads}×{length}×{width}{causal}{drops}"), flops, |tape| {
            let [q, k, v] = [&q, &k, &v].map(|x| tape.input(x.clone()));
            q.attention(k, v, &attention)
        });
    }
}

/// What is not an op: single products `(m, k, n)`, and Adam.
fn kernels(bench: &Bench) {
    for (m, k, n) in [
        (1536, 128, 128),
        (1536, 128, 256),
        (1536, 128, 10_000),
        (1024, 512, 2048),
        (256, 512, 16_000),
        (24, 32, 24),
    ] {
        let (a, b, mut c) = (normal([m, k]), normal([k, n]), vec![0.0; m * n]);
        bench.kernel(&format!("gemm {m}, {k}, {n}"), (2 * m * k * n) as f64, || {
            gemm((m, k, n), Matrix::rows(a.as_slice(), k), Matrix::rows(b.as_slice(), n), &mut c, false);
        });
    }
    let (m, k, n) = (128, 1536, 10_000);
    let (a, b, mut c) = (normal([k, m]), normal([k, n]), vec![0.0; m * n]);
    bench.kernel(&format!("gemm {m}, {k}, {n}, Aᵀ·B"), (2 * m * k * n) as f64, || {
        gemm((m, k, n), Matrix::rows(a.as_slice(), m).t(), Matrix::rows(b.as_slice(), n), &mut c, false);
    });
    let (m, k, n) = (1536, 10_000, 128);
    let (a, b, mut c) = (normal([m, k]), normal([n, k]), vec![0.0; m * n]);
    bench.kernel(&format!("gemm {m}, {k}, {n}, A·Bᵀ"), (2 * m * k * n) as f64, || {
        gemm((m, k, n), Matrix::rows(a.as_slice(), k), Matrix::rows(b.as_slice(), k).t(), &mut c, false);
    });
    let gradients = normal([2_600_000]);
    let (mut params, mut mean, mut square) =
        (vec![0.0; gradients.len()], vec![0.0; gradients.len()], vec![0.0; gradients.len()]);
    let step = AdamStep {
        beta1: 0.9,
        beta2: 0.98,
        step_size: 1e-4,
        epsilon: 1e-9,
        correction2_sqrt: 1.0,
        decoupled_decay: 0.0,
        l2: 0.0,
        grad_scale: 1.0,
    };
    bench.kernel("adam 2,600,000", 0.0, || {
        adam(&mut params, &mut mean, &mut square, gradients.as_slice(), &step);
    });
}

struct Bench {
    /// Only what has one of these in its name is run; everything where there are none.
    words: Vec<String>,
}

/// How long one benchmark goes on, and the fewest runs it needs to have a median.
const ENOUGH: (Duration, usize) = (Duration::from_millis(500), 7);

impl Bench {
    /// An op that `build` applies once, named by the first word of `name`, with its `flops` forward and backward.
    fn op(&self, name: &str, flops: f64, build: impl for<'t> Fn(&'t Tape) -> Var<'t>) {
        let kind = name.split(' ').next().unwrap_or_default();
        let mut dy = None;
        self.row(name, flops, || {
            let tape = Tape::train(1).profiled();
            let y = build(&tape);
            y.backward_with(dy.get_or_insert_with(|| normal(y.shape())).clone());
            let profile = tape.profile();
            let time = profile.ops().find(|op| op.0 == kind).map(|op| op.1);
            let time = time.unwrap_or_else(|| panic!("no op {kind} was applied: {profile:?}"));
            (time.forward, Some(time.backward))
        });
    }

    fn kernel(&self, name: &str, flops: f64, mut run: impl FnMut()) {
        self.row(name, flops, || {
            let start = Instant::now();
            run();
            (start.elapsed(), None)
        });
    }

    fn row(&self, name: &str, flops: f64, mut sample: impl FnMut() -> (Duration, Option<Duration>)) {
        if !self.words.is_empty() && !self.words.iter().any(|word| name.contains(word)) {
            return;
        }
        // Memory, caches and branch predictors warm up.
        sample();
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        let start = Instant::now();
        while start.elapsed() < ENOUGH.0 || forward.len() < ENOUGH.1 {
            let times = sample();
            forward.push(times.0);
            backward.extend(times.1);
        }
        let [forward, backward] = [forward, backward].map(|mut times| {
            times.sort_unstable();
            times.get(times.len() / 2).copied()
        });
        let cell = |time: Option<Duration>| {
            time.map_or(String::new(), |time| format!("{:.1}", 1e6 * time.as_secs_f64()))
        };
        let seconds: f64 = [forward, backward].into_iter().flatten().map(|time| time.as_secs_f64()).sum();
        let speed = if flops > 0.0 { format!("{:.0}", flops / seconds / 1e9) } else { String::new() };
        println!("{name:<44}{:>14}{:>14}{speed:>10}", cell(forward), cell(backward));
    }
}

fn normal(shape: impl Into<gradus::autograd::Shape>) -> Tensor {
    Tensor::normal(shape, 1.0, &mut Stream::new(1))
}

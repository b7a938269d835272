//! Lesson 8: why scores are divided by √d_k.
//!
//! A score is a sum of d_k products. If their factors have variance 1, it has variance d_k: the wider the head, the
//! larger the scores, until the softmax puts everything on one key and hardly any gradient comes back through it.
//!
//! `cargo run --example 08_why_sqrt_d`

use gradus::autograd::{Tape, Tensor, rng::Stream};

const QUERIES: usize = 256;
const KEYS: usize = 16;
/// A model has this many heads, so its width is `HEADS · d_k`.
const HEADS: usize = 8;

/// What one way to scale does to a head of one width.
struct Seen {
    /// Standard deviation of the scores.
    deviation: f64,
    /// Mean entropy of the rows of A, in nats.
    entropy: f64,
    /// What the softmax lets through of the gradient: ‖dS‖ / ‖dA‖ of the query in the middle, when they are ordered by it.
    passed: f64,
}

fn main() {
    println!(
        "{QUERIES} random queries, {KEYS} random keys for each, entries of variance 1. A row of A that reads all keys alike has"
    );
    println!("the entropy ln {KEYS} = {:.2}; one that reads a single key has 0.\n", (KEYS as f64).ln());
    println!("          S = Q·Kᵀ                S = Q·Kᵀ/√d_k           S = Q·Kᵀ/√d_model");
    println!("   d_k    std  entropy |dS|/|dA|    std  entropy |dS|/|dA|    std  entropy |dS|/|dA|");
    let widths = [4, 16, 64, 256, 1024];
    let table = widths.map(|d| {
        let scales = [1.0, 1.0 / (d as f64).sqrt(), 1.0 / ((HEADS * d) as f64).sqrt()];
        let row = scales.map(|scale| look(d, scale));
        let cells = row.each_ref().map(|Seen { deviation, entropy, passed }| {
            format!("{deviation:>6.2} {entropy:>8.2} {passed:>9.0e}")
        });
        println!("  {d:>4} {}", cells.join(" "));
        row
    });

    println!(
        "\nWithout a scale the scores grow as √d_k, the entropy goes to 0, and the gradient dies: half of the queries"
    );
    println!(
        "pass on {:.0e} times less in a head of width 1024 than in one of width 4. With √d_k nothing depends on the",
        table[0][0].passed / table[4][0].passed
    );
    println!(
        "width. With √d_model the scores are {:.2} of what they should be, so the weights start almost even: a right",
        (HEADS as f64).sqrt().recip()
    );
    println!("gradient of another function, with which no gradient check finds fault.");
    for (&d, [none, by_head, by_model]) in widths.iter().zip(&table) {
        let near = |x: f64, y: f64| (x / y - 1.0).abs() < 0.1;
        assert!(near(none.deviation, (d as f64).sqrt()), "the variance of a score is d_k");
        assert!(near(by_head.deviation, 1.0) && near(by_head.entropy, table[0][1].entropy));
        assert!(near(by_head.passed, table[0][1].passed), "what comes back does not depend on the width");
        assert!(by_model.entropy > by_head.entropy && by_model.entropy < (KEYS as f64).ln());
    }
    assert!(table[4][0].entropy < 0.2 && table[4][0].passed < 0.01 * table[0][0].passed);
}

/// Runs one head forwards and backwards.
fn look(d: usize, scale: f64) -> Seen {
    let mut stream = Stream::new(d as u64);
    let tape = Tape::eval();
    let q = tape.constant(Tensor::normal([QUERIES, 1, d], 1.0, &mut stream));
    let k = tape.constant(Tensor::normal([QUERIES, KEYS, d], 1.0, &mut stream));
    let s = tape.input(q.matmul_nt(k).scale(scale).value());
    let a = s.softmax();
    let weights = a.value();
    let da = Tensor::normal([QUERIES, 1, KEYS], 1.0, &mut stream);
    let gradients = a.backward_with(da.clone());
    let ds = gradients.wrt(s).expect("the scores lead to the weights");

    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let entropy = |row: &[f64]| row.iter().filter(|&&a| a > 0.0).map(|a| -a * a.ln()).sum::<f64>();
    let mut passed: Vec<f64> = (ds.as_slice().chunks(KEYS).zip(da.as_slice().chunks(KEYS)))
        .map(|(ds, da)| norm(ds) / norm(da))
        .collect();
    passed.sort_by(f64::total_cmp);
    Seen {
        deviation: norm(s.value().as_slice()) / ((QUERIES * KEYS) as f64).sqrt(),
        entropy: weights.as_slice().chunks(KEYS).map(entropy).sum::<f64>() / QUERIES as f64,
        passed: passed[QUERIES / 2],
    }
}

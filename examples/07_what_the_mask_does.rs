//! Lesson 7: what the mask does.
//!
//! A decoder is trained on whole sentences, so a mask must hide from each word what comes after it. Hidden means that
//! nothing the word gives depends on it: the derivative is zero, exactly, and that can be computed.
//!
//! `cargo run --example 07_what_the_mask_does`

use gradus::autograd::{Dependence, Keep, Tape, Tensor, Var, rng::Stream};

const WORDS: [&str; 4] = ["<s>", "the", "cat", "sleeps"];
const N: usize = WORDS.len();
const D: usize = 8;

fn main() {
    let x = Tensor::normal([N, D], 1.0, &mut Stream::new(4));
    before_the_softmax(&x);
    not_after_it(&x);
    nothing_to_see(&x);
}

/// Each word sees itself and what is before: `true` is kept.
fn causal() -> Keep {
    Keep::new([N, N], (0..N * N).map(|i| i % N <= i / N).collect::<Vec<_>>())
}

/// How well words fit each other: `[N, N]`. Queries, keys and values are all the words themselves here.
fn scores<'t>(x: Var<'t, f64>) -> Var<'t, f64> {
    x.matmul_nt(x).scale(1.0 / (D as f64).sqrt())
}

fn before_the_softmax(x: &Tensor<f64>) {
    println!("1. The mask stands before the softmax: hidden scores count as −∞, so their weights are 0\n");
    let tape = Tape::eval();
    let input = tape.input(x.clone());
    // A copy to ask for the gradient of the scores themselves.
    let s = tape.input(scores(input).value());
    let weights = s.masked_softmax(&causal());
    let a = weights.value();
    matrix("A, what each word (row) reads of each (column)", &a);
    let context = weights.matmul(tape.constant(x.clone()));
    let dy = Tensor::normal([N, D], 1.0, &mut Stream::new(5));
    let gradients = context.backward_with(dy);
    let ds = gradients.wrt(s).expect("the scores lead to the context");
    matrix("dS, the gradient of the scores", ds);
    for (i, (a, ds)) in a.as_slice().iter().zip(ds.as_slice()).enumerate() {
        let hidden = i % N > i / N;
        assert!(!hidden || (*a == 0.0 && *ds == 0.0), "no weight and no gradient where the mask hides");
    }
    println!(
        "   Not small: zero. <s> can only read itself, with weight 1, so its score cannot learn anything either.\n"
    );
    assert_eq!(ds.as_slice()[0], 0.0);

    let tape = Tape::eval();
    let input = tape.input(x.clone());
    let dependence = Dependence::pulled(scores(input).masked_softmax(&causal()).matmul(input), input);
    println!(
        "   Which outputs (rows) depend on which words (columns), by derivatives:\n\n{}",
        indent(&dependence)
    );
    assert_eq!(dependence, Dependence::expected(N, N, |output, input| input <= output));
}

fn not_after_it(x: &Tensor<f64>) {
    println!(
        "2. Zeroing weights after the softmax looks alike and is not: the sum below the fraction has seen all\n"
    );
    let tape = Tape::eval();
    let input = tape.input(x.clone());
    let lower = Tensor::from_fn([N, N], |i| f64::from(u8::from(i % N <= i / N)));
    let weights = scores(input).softmax() * tape.constant(lower);
    matrix("softmax(S) ∘ mask", &weights.value());
    let dependence = Dependence::pulled(weights.matmul(input), input);
    println!(
        "   The upper triangle is 0, and yet the outputs depend on every word:\n\n{}",
        indent(&dependence)
    );
    assert_eq!(dependence, Dependence::expected(N, N, |_, _| true));
    println!(
        "   A model trained like this learns to peep, and has nothing to peep at when it translates. The loss is"
    );
    println!("   fine, and so is every gradient: only a question of dependence finds it.\n");
}

fn nothing_to_see(x: &Tensor<f64>) {
    println!("3. A row that may see nothing, such as padding\n");
    let none = Keep::new([N, N], (0..N * N).map(|i| i / N < N - 1).collect::<Vec<_>>());
    let tape = Tape::eval();
    let input = tape.input(x.clone());
    let s = scores(input).value();
    // The softmax as it is usually written: e to the score less the row's largest, over their sum.
    let by_hand = |row: &[f64]| {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = row.iter().map(|s| (s - largest).exp()).collect();
        powers.iter().map(|p| p / powers.iter().sum::<f64>()).collect::<Vec<_>>()
    };
    let naive = by_hand(&[f64::NEG_INFINITY; N]);
    let large = by_hand(&s.as_slice()[(N - 1) * N..].iter().map(|s| s - 1e9).collect::<Vec<_>>());
    let kept = scores(input).masked_softmax(&none);
    let last = kept.value().as_slice()[(N - 1) * N..].to_vec();
    let show = |row: &[f64]| row.iter().map(|x| format!("{x:>8.3}")).collect::<String>();
    println!("   all scores −∞, by the book    {}   −∞ − (−∞) is undefined, and spreads", show(&naive));
    println!("   all scores lowered by 10⁹     {}   reads what it must not, as if unmasked", show(&large));
    println!("   masked_softmax                {}   nothing seen, nothing read", show(&last));
    assert!(naive.iter().all(|x| x.is_nan()));
    assert!((large.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    assert_eq!(last, [0.0; N]);
    let gradients = kept.matmul(input).backward_with(Tensor::full([N, D], 1.0));
    let dx = gradients.wrt(input).expect("the words lead to the context");
    assert!(dx.as_slice().iter().all(|x| x.is_finite()));
    println!("\n   and its gradient is finite everywhere.");
}

fn matrix(title: &str, matrix: &Tensor<f64>) {
    println!("   {title}\n   {:8}{}", "", WORDS.map(|word| format!("{word:>8}")).concat());
    for (word, row) in WORDS.iter().zip(matrix.as_slice().chunks(N)) {
        println!("   {word:<8}{}", row.iter().map(|x| format!("{:>8.3}", x + 0.0)).collect::<String>());
    }
    println!();
}

fn indent(dependence: &Dependence) -> String {
    let rows = dependence.to_string();
    rows.lines().zip(WORDS).map(|(row, word)| format!("      {word:<8}{row}\n")).collect()
}

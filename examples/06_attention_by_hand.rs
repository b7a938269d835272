//! Lesson 6: attention by hand: how a gradient flows through attention.
//!
//! One head looks at a sentence of three words. Forwards: scores, weights, context. Backwards: the same three steps
//! from the end, each with the rule that turns the gradient of its output into those of its inputs.
//!
//! `cargo run --example 06_attention_by_hand`

use gradus::autograd::ops::attention::Attention;
use gradus::autograd::{Mismatch, NodeInfo, Step, Tape, Tensor, gradcheck};

const WORDS: [&str; 3] = ["cats", "chase", "mice"];

fn main() -> Result<(), Mismatch> {
    // Each row is a word. In a model, three learned projections of word vectors give these.
    let queries = rows([[1.0, 0.5, 0.0, -1.0], [0.0, 2.0, 1.0, 0.5], [-0.5, 1.0, 1.5, 0.0]]);
    let keys = rows([[0.5, 1.0, 0.5, 0.0], [1.0, -1.0, 0.5, 1.0], [0.0, 1.0, 2.0, 0.5]]);
    let values = rows([[1.0, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, -0.5], [0.0, 0.0, 1.0, 1.0]]);
    // The gradient of the loss that arrives from above.
    let upstream = rows([[0.2, -0.1, 0.4, 0.0], [-0.3, 0.5, 0.1, 0.2], [0.1, 0.1, -0.6, 0.3]]);

    let tape = Tape::eval();
    let q = tape.input(queries.clone()).label("Q");
    let k = tape.input(keys.clone()).label("K");
    let v = tape.input(values.clone()).label("V");
    let one_head = Attention::plain(1);
    let (output, weights) = q.attention_explained(k, v, &one_head);

    println!("FORWARD: what each word reads of the others\n");
    print_matrix("Q, what each word asks for", &queries, &[]);
    print_matrix("K, what each word offers", &keys, &[]);
    print_matrix("V, what each word says", &values, &[]);
    let table = tape.nodes();
    let scores = table.iter().find(|node| node.label.as_deref() == Some("scores"));
    let mut steps: Vec<_> = output.steps_from(upstream.clone()).collect();
    let scores = scores.and_then(|node| steps.iter().find(|step| step.node == node.id));
    let scores = &scores.expect("the explained attention labels its scores").value;
    print_matrix("S = Q·Kᵀ/√d, how well question (row) and offer (column) fit", scores, &WORDS);
    print_matrix("A = softmax(S), weights: every row sums to 1", &weights.value(), &WORDS);
    print_matrix("O = A·V, the context: a mean of V, weighted", &output.value(), &[]);

    println!("BACKWARD: the same in reverse\n");
    print_matrix("dO = ∂L/∂O, which arrives from above", &upstream, &[]);
    // Ops that only move numbers to other places (reshape, permute) and the factor 1/√d are left out here.
    steps.retain(|step| matches!(step.op, "matmul" | "softmax"));
    let [context, softmax, product] = &steps[..] else { panic!("attention has two products and a softmax") };

    println!("── O = A·V, a product: {}\n", context.rule);
    let [da, dv] = to_both(context, &table);
    print_matrix("dA = dO·Vᵀ: a weight matters as much as its value agrees with dO", da, &WORDS);
    print_matrix("dV = Aᵀ·dO: a value is corrected by all who read it, each as much as it read", dv, &[]);

    println!("── A = softmax(S): {}\n", softmax.rule);
    let ds = &softmax.contributions[0].1;
    print_matrix("dS = A ∘ (dA − rowsum(A ∘ dA))", ds, &WORDS);
    let sums: Vec<f64> = ds.as_slice().chunks(3).map(|row| row.iter().sum()).collect();
    println!(
        "  Its rows sum to {}.",
        sums.iter().map(|sum| format!("{sum:+.0e}")).collect::<Vec<_>>().join(", ")
    );
    println!("  Raising all scores of a row alike changes no weight, so no gradient points that way.\n");
    assert!(sums.iter().all(|sum| sum.abs() < 1e-15));

    println!("── S = Q·Kᵀ/√d, a product and a factor of 1/√4\n");
    let [dq, dk] = to_both(product, &table);
    print_matrix("dQ = dS·K/√d: a question moves towards the offers it should have taken", dq, &[]);
    print_matrix("dK = dSᵀ·Q/√d: an offer moves towards the questions that should have taken it", dk, &[]);

    println!("CHECK\n");
    // The fused op, which training uses, never writes S and A down, and its gradient is the same.
    let fused_tape = Tape::eval();
    let [fq, fk, fv] = [&queries, &keys, &values].map(|x| fused_tape.input(x.clone()));
    let fused = fq.attention(fk, fv, &one_head).backward_with(upstream);
    let mut worst = 0.0f64;
    for (var, explained) in [(fq, dq), (fk, dk), (fv, dv)] {
        let fused = fused.wrt(var).expect("all three lead to the output");
        for (a, b) in fused.as_slice().iter().zip(explained.as_slice()) {
            worst = worst.max((a - b).abs());
        }
    }
    println!("  dQ, dK, dV of the fused op differ from these by at most {worst:.0e}.");
    assert!(worst < 1e-12);
    let report = gradcheck(|_, [q, k, v]| q.attention(k, v, &one_head), [queries, keys, values])?;
    println!("  Finite differences agree to {:.0e} in all {} entries.", report.worst_error, report.compared);
    Ok(())
}

/// One sentence of three words, four numbers each: `[1, 3, 4]`.
fn rows(rows: [[f64; 4]; 3]) -> Tensor<f64> {
    Tensor::new([1, 3, 4], rows.concat())
}

/// What a product adds to its first and to its second factor.
fn to_both<'a>(step: &'a Step<f64>, table: &[NodeInfo]) -> [&'a Tensor<f64>; 2] {
    let &[first, second] = &table[step.node.index()].inputs[..] else { panic!("a product has two factors") };
    [first, second].map(|factor| {
        let found = step.contributions.iter().find(|(input, _)| *input == factor);
        &found.expect("both factors need a gradient").1
    })
}

/// A matrix with a word before each row, and before each column where `columns` names them.
fn print_matrix(title: &str, matrix: &Tensor<f64>, columns: &[&str]) {
    println!("  {title}");
    if !columns.is_empty() {
        println!("  {:7}{}", "", columns.iter().map(|word| format!("{word:>8}")).collect::<String>());
    }
    let row_length = matrix.shape().last();
    for (word, row) in WORDS.iter().zip(matrix.as_slice().chunks(row_length)) {
        println!("  {word:<7}{}", row.iter().map(|x| format!("{x:>8.3}")).collect::<String>());
    }
    println!();
}

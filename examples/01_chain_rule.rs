//! Lesson 1: the chain rule, step by step.
//!
//! A function of two variables is written down on a tape. Going back along the tape, every op passes the gradient of
//! its output on to its inputs by a rule of its own, and where a value was used twice, two contributions add up.
//!
//! `cargo run --example 01_chain_rule`

use std::collections::BTreeMap;

use gradus::autograd::{Param, Tape, Tensor};

fn main() {
    // L = (u·v + u) · (v − u)  at  u = 2, v = 5
    let tape = Tape::eval();
    let u = tape.input(Tensor::scalar(2.0f64)).label("u");
    let v = tape.input(Tensor::scalar(5.0)).label("v");
    let p = (u * v).label("p = u·v");
    let q = (p + u).label("q = p + u");
    let r = (v - u).label("r = v − u");
    let loss = (q * r).label("L = q·r");

    println!("L = (u·v + u) · (v − u) at u = 2, v = 5\n");
    println!(
        "Forward. The tape wrote down every op in the order in which it ran, with its inputs and its rule. In a"
    );
    println!("rule, a and b are the op's inputs and dy is the gradient of its output:\n");
    // There is no model here whose parameters a table could name.
    let no_model: Option<Param<f64>> = None;
    for (line, value) in tape.table(&no_model).lines().zip([u, v, p, q, r, loss]) {
        println!("  {value:>4}  {line}", value = value.value().item());
    }

    println!(
        "\nBackward. It begins with dL = ∂L/∂L = 1 and reads the tape from its end. Each op hands on to its inputs"
    );
    println!(
        "what has arrived at its output, times its own derivative; what a value is handed twice, adds up:\n"
    );
    let name = |node: usize| ["u", "v", "p", "q", "r", "L"][node];
    let mut so_far: BTreeMap<usize, f64> = BTreeMap::new();
    for step in loss.steps() {
        let arrived = format!("d{} = {}", name(step.node.index()), step.dy.item());
        println!("  {:<10} {arrived:<8}   {}", step.label.unwrap_or_default(), step.rule);
        for (input, contribution) in step.contributions {
            let contribution = contribution.item();
            let sum = match so_far.get(&input.index()) {
                None => format!("{contribution}"),
                Some(before) => format!("{before} + {} = {}", summand(contribution), before + contribution),
            };
            *so_far.entry(input.index()).or_default() += contribution;
            println!("                        d{} = {sum}", name(input.index()));
        }
    }

    println!("\nBy hand, with the product rule:\n");
    let (u0, v0) = (2.0, 5.0);
    let by_hand_u = (v0 + 1.0) * (v0 - u0) - (u0 * v0 + u0);
    let by_hand_v = u0 * (v0 - u0) + (u0 * v0 + u0);
    println!("  ∂L/∂u = (v + 1)·(v − u) − (u·v + u) = 6·3 − 12 = {by_hand_u}");
    println!("  ∂L/∂v =       u·(v − u) + (u·v + u) = 2·3 + 12 = {by_hand_v}");

    let gradients = loss.backward();
    let of = |var| gradients.wrt(var).map(Tensor::item);
    assert_eq!([of(u), of(v)], [Some(by_hand_u), Some(by_hand_v)]);
    assert_eq!([so_far[&0], so_far[&1]], [by_hand_u, by_hand_v]);
    println!(
        "\nThe same numbers. u was used three times, and du is the sum of three contributions: that is all there"
    );
    println!("is to the chain rule in many variables.");
}

/// A number as it stands behind a plus sign.
fn summand(x: f64) -> String {
    if x < 0.0 { format!("({x})") } else { x.to_string() }
}

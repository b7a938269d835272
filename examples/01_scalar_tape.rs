//! Lesson 1: a tape for numbers, in a hundred lines and without a library.
//!
//! Computing writes down what was computed. Reading that backwards gives every derivative at once: this is all of
//! reverse-mode differentiation, and the other lessons only make it larger.
//!
//! `cargo run --example 01_scalar_tape`

use std::cell::RefCell;
use std::ops::{Add, Mul, Sub};

/// What was computed, in order.
#[derive(Default)]
struct Tape(RefCell<Vec<Node>>);

/// One number: how it was made, and by how much it moves when an input moves by one.
struct Node {
    op: &'static str,
    value: f64,
    inputs: Vec<(usize, f64)>,
}

/// A number on a tape: a place, which can be copied freely.
#[derive(Clone, Copy)]
struct Var<'t> {
    tape: &'t Tape,
    place: usize,
}

impl Tape {
    fn input(&self, value: f64) -> Var<'_> {
        self.push("input", value, vec![])
    }

    fn push(&self, op: &'static str, value: f64, inputs: Vec<(usize, f64)>) -> Var<'_> {
        let mut nodes = self.0.borrow_mut();
        nodes.push(Node { op, value, inputs });
        Var { tape: self, place: nodes.len() - 1 }
    }
}

impl<'t> Var<'t> {
    fn value(self) -> f64 {
        self.tape.0.borrow()[self.place].value
    }

    fn exp(self) -> Self {
        let y = self.value().exp();
        self.tape.push("exp", y, vec![(self.place, y)])
    }

    /// ∂self/∂x for every x on the tape: from the end to the beginning, each node hands on to its inputs what has
    /// arrived at it, times its own slope. By then all its readers have had their turn, for they stand behind it.
    fn backward(self) -> Vec<f64> {
        let nodes = self.tape.0.borrow();
        let mut gradient = vec![0.0; nodes.len()];
        gradient[self.place] = 1.0;
        for (place, node) in nodes.iter().enumerate().rev() {
            for &(input, slope) in &node.inputs {
                gradient[input] += gradient[place] * slope;
            }
        }
        gradient
    }
}

impl Add for Var<'_> {
    type Output = Self;
    fn add(self, b: Self) -> Self {
        self.tape.push("add", self.value() + b.value(), vec![(self.place, 1.0), (b.place, 1.0)])
    }
}

impl Sub for Var<'_> {
    type Output = Self;
    fn sub(self, b: Self) -> Self {
        self.tape.push("sub", self.value() - b.value(), vec![(self.place, 1.0), (b.place, -1.0)])
    }
}

impl Mul for Var<'_> {
    type Output = Self;
    fn mul(self, b: Self) -> Self {
        // The slope of a product along one factor is the other factor.
        self.tape.push(
            "mul",
            self.value() * b.value(),
            vec![(self.place, b.value()), (b.place, self.value())],
        )
    }
}

fn main() {
    let tape = Tape::default();
    let (u, v) = (tape.input(2.0), tape.input(5.0));
    let loss = (u * v + u) * (v - u);
    let gradient = loss.backward();

    println!("L = (u·v + u) · (v − u) at u = 2, v = 5. The tape, and ∂L/∂ of every number on it:\n");
    println!("  place  op      value   made of (place × slope)     ∂L/∂");
    for (place, node) in tape.0.borrow().iter().enumerate() {
        let made_of: Vec<String> =
            node.inputs.iter().map(|(input, slope)| format!("#{input} × {slope}")).collect();
        let (made_of, gradient) = (made_of.join(", "), gradient[place]);
        println!("  #{place:<5} {:<6} {:>6}   {made_of:<24} {gradient:>6}", node.op, node.value);
    }

    println!(
        "\nu was used three times, so ∂L/∂u is a sum of three: through the first product, through the sum,"
    );
    println!("and through the difference. By hand, with the product rule:\n");
    println!("  ∂L/∂u = (v + 1)·(v − u) − (u·v + u) = 18 − 12 = 6");
    println!("  ∂L/∂v =       u·(v − u) + (u·v + u) =  6 + 12 = 18");
    assert_eq!([gradient[u.place], gradient[v.place]], [6.0, 18.0]);

    // Nobody differentiated this one by hand: the tape did, and a small step says whether it is right.
    let f = |x: f64| {
        let tape = Tape::default();
        let x = tape.input(x);
        let y = (x * x - x).exp() * x;
        (y.value(), y.backward()[x.place])
    };
    let (h, slope) = (1e-5, f(0.7).1);
    let difference = (f(0.7 + h).0 - f(0.7 - h).0) / (2.0 * h);
    println!("\ny = x·exp(x² − x) at x = 0.7: the tape says dy/dx = {slope:.10},");
    println!("and a step of {h} to both sides says         {difference:.10}.");
    assert!((slope - difference).abs() < 1e-9);
}

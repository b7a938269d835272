//! Lesson 9: the three terms of LayerNorm's gradient.
//!
//! `y = γ∘x̂ + β` with `x̂ = (x − mean)/σ`. The mean and σ depend on every entry, so the gradient of one entry holds more
//! than its own: `dx = (g − mean(g) − x̂·mean(g∘x̂))/σ` with `g = γ∘dy`. Each term removes a direction in which moving x
//! changes nothing.
//!
//! `cargo run --example 09_layer_norm`

use gradus::autograd::{Mismatch, Tape, Tensor, gradcheck, rng::Stream};

const D: usize = 6;

fn main() -> Result<(), Mismatch> {
    let mut stream = Stream::new(2);
    let x = [2.0, -1.0, 0.5, 3.0, -2.0, 1.0];
    let [gamma, beta] = [Tensor::uniform([D], 1.5, &mut stream), Tensor::zeros([D])];
    let dy = [0.5, 1.0, -0.5, 0.25, -1.0, 2.0];

    // Forward, by hand.
    let mean = x.iter().sum::<f64>() / D as f64;
    let sigma = (x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / D as f64).sqrt();
    let x_hat = x.map(|x| (x - mean) / sigma);
    println!("Forward: mean {mean:.3}, σ {sigma:.3}\n");
    row("x", &x);
    row("x̂ = (x − mean)/σ", &x_hat);

    // Backward, by hand.
    let g: [f64; D] = std::array::from_fn(|i| gamma.as_slice()[i] * dy[i]);
    let mean_g = g.iter().sum::<f64>() / D as f64;
    let along = dot(&g, &x_hat) / D as f64;
    let terms = [g, [-mean_g; D], x_hat.map(|x| -x * along)].map(|term| term.map(|t| t / sigma));
    let dx: [f64; D] = std::array::from_fn(|i| terms.iter().map(|term| term[i]).sum());
    println!("\nBackward: g = γ∘dy, mean(g) = {mean_g:.3}, mean(g∘x̂) = {along:.3}\n");
    row("g/σ", &terms[0]);
    row("− mean(g)/σ", &terms[1]);
    row("− x̂·mean(g∘x̂)/σ", &terms[2]);
    row("dx, their sum", &dx);

    println!("\nWhat the terms are for:\n");
    let (sum, length) = (dx.iter().sum::<f64>(), dot(&dx, &x_hat));
    println!(
        "  Σ dx     = {sum:+.0e}   Adding the same to all of x changes no x̂, so no gradient points that way."
    );
    println!(
        "  ⟨dx, x̂⟩  = {length:+.0e}   Stretching x about its mean changes no x̂ either, nor does dx point that way."
    );
    println!(
        "  Without the second term Σ dx would be {:.3}, without the third ⟨dx, x̂⟩ would be {:.3}.",
        D as f64 * mean_g / sigma,
        D as f64 * along / sigma
    );
    assert!(sum.abs() < 1e-14 && length.abs() < 1e-14);

    // The op on the tape, whose ε keeps a row without any variance from dividing by zero.
    let of_op = |epsilon: f64| {
        let tape = Tape::eval();
        let input = tape.input(Tensor::new([1, D], x.to_vec()));
        let y = input.layer_norm(tape.constant(gamma.clone()), tape.constant(beta.clone()), epsilon);
        let gradients = y.backward_with(Tensor::new([1, D], dy.to_vec()));
        gradients.wrt(input).expect("x leads to y").as_slice().to_vec()
    };
    let off = |other: &[f64]| dx.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!(
        "\n  layer_norm on the tape differs from this by {:.0e} with ε = 0, and by {:.0e} with ε = 10⁻⁵.",
        off(&of_op(0.0)),
        off(&of_op(1e-5))
    );
    assert!(off(&of_op(0.0)) < 1e-14 && off(&of_op(1e-5)) < 1e-4);

    println!("\nWhat differences say of dx with one term forgotten:\n");
    let numeric: [f64; D] = std::array::from_fn(|i| {
        let at = |step: f64| {
            let mut moved = x.to_vec();
            moved[i] += step;
            let tape = Tape::infer();
            let [moved, gamma, beta] =
                [Tensor::new([1, D], moved), gamma.clone(), beta.clone()].map(|x| tape.constant(x));
            dot(moved.layer_norm(gamma, beta, 0.0).value().as_slice(), &dy)
        };
        (at(1e-5) - at(-1e-5)) / 2e-5
    });
    for (name, left_out) in
        [("all three terms", None), ("no − mean(g)", Some(1)), ("no − x̂·mean(g∘x̂)", Some(2))]
    {
        let kept: [f64; D] =
            std::array::from_fn(|i| (0..3).filter(|&t| Some(t) != left_out).map(|t| terms[t][i]).sum());
        let error = kept.iter().zip(numeric).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("  {name:<20} off by {error:.0e}");
        assert_eq!(error < 1e-8, left_out.is_none());
    }

    let rows = Tensor::normal([3, D], 1.0, &mut stream);
    let report = gradcheck(|_, [x, gamma, beta]| x.layer_norm(gamma, beta, 1e-5), [rows, gamma, beta])?;
    println!(
        "\nThe op on three rows, dγ and dβ too: {} numbers, worst error {:.0e}.",
        report.compared, report.worst_error
    );
    Ok(())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn row(name: &str, numbers: &[f64]) {
    println!("  {name:<22}{}", numbers.iter().map(|x| format!("{x:>8.3}")).collect::<String>());
}

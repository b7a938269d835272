//! The errata lab: mistakes that published tutorials on attention make, each as code that runs, beside the right code
//! and the check that tells them apart. None of them is a wrong gradient, so a gradient check finds none; that, too, is
//! found by running it.
//!
//! `cargo run --example errata`, or with the name of one exhibit: `cargo run --example errata -- one-projection`

#[path = "errata/mod.rs"]
mod exhibits;

use std::process::ExitCode;

use exhibits::{ALL, Exhibit};
use gradus::autograd::{GradCheck, Mismatch, Report, Tensor, faults, rng::Stream};

fn main() -> ExitCode {
    // Every exhibit is quick, so `--quick` changes nothing.
    let name = std::env::args().skip(1).find(|argument| argument != "--quick");
    let chosen: Vec<&Exhibit> =
        ALL.iter().filter(|exhibit| name.as_deref().is_none_or(|name| name == exhibit.name)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = ALL.iter().map(|exhibit| exhibit.name).collect();
        eprintln!("errata: no exhibit \"{}\"; there are {}", name.unwrap_or_default(), names.join(", "));
        return ExitCode::FAILURE;
    }
    for exhibit in &chosen {
        show(exhibit);
    }
    table(&chosen);
    ExitCode::SUCCESS
}

/// Prints both codes, as they stand in the source, and what the exposing check says of them.
fn show(exhibit: &Exhibit) {
    let Exhibit { name, mistake, exposed_by, source, expose, .. } = exhibit;
    println!("━━ {name}: {mistake}\n");
    println!("{}\n{}", code(source, "fn wrong"), code(source, "fn right"));
    println!("  {exposed_by}:\n");
    for (title, found) in ["wrong", "right"].into_iter().zip(expose()) {
        println!("    {title}  {}", found.trim_end().replace('\n', "\n           "));
    }
    println!();
}

/// The function whose head begins with `head`.
fn code(source: &str, head: &str) -> String {
    let start = source.find(head).unwrap_or_else(|| panic!("every exhibit has a {head}"));
    let length = source[start..].find("\n}\n").map_or(source.len() - start, |end| end + 3);
    source[start..start + length].lines().map(|line| format!("    {line}\n")).collect()
}

/// Runs a gradient check of every wrong and every right code, and prints which it tells apart.
fn table(chosen: &[&Exhibit]) {
    println!("━━ Can a gradient check see it?\n");
    println!("  {:<18} {:<19} {:<22} {:<22} seen", "exhibit", "exposed by", "wrong code", "right code");
    let says = |result: &Result<Report, Mismatch>| match result {
        Ok(Report { compared, worst_error, .. }) => format!("{compared} agree, to {worst_error:.0e}"),
        Err(_) => "DISAGREE".to_owned(),
    };
    for Exhibit { name, exposed_by, check_wrong, check_right, check_edge, .. } in chosen {
        let (wrong, right) = (check_wrong(), check_right());
        let edge = check_edge.map(|check| check());
        let seen = match (&wrong, &edge) {
            (Err(_), _) => "yes",
            (Ok(_), Some(Err(_))) => "only at the input that exposes it",
            (Ok(_), _) => "no",
        };
        println!("  {name:<18} {exposed_by:<19} {:<22} {:<22} {seen}", says(&wrong), says(&right));
        assert!(right.is_ok(), "{name}: the right code's gradient is right");
        assert!(wrong.is_ok(), "{name}: a mistake of another kind than a wrong gradient");
    }
    // So that nobody thinks the check finds nothing.
    let plant = faults::named("softmax", "no inner product");
    let x = Tensor::normal([3, 4], 1.0, &mut Stream::new(1));
    let run = |plant| {
        GradCheck { plant, ..GradCheck::default() }.run(std::slice::from_ref(&x), |_, x| x[0].softmax())
    };
    let (wrong, right) = (run(plant), run(None));
    println!(
        "  {:<18} {:<19} {:<22} {:<22} yes",
        "(wrong rule)",
        "gradient check",
        says(&wrong),
        says(&right)
    );
    assert!(
        plant.is_some() && wrong.is_err() && right.is_ok(),
        "a wrong rule is what a gradient check is for"
    );
    println!(
        "\n  A gradient check compares a function with its own derivative. Whether it is the function that was meant"
    );
    println!(
        "  it cannot know: that takes a value worked out by hand, a count, or a law that the right one obeys."
    );
}

//! Claim: our checks find every planted bug that is one. What the usual weaker checks find is counted beside it.
//!
//! The outcome is kept in `docs/mutation-score.md`, and is written there anew by
//! `GRADUS_WRITE_DOCS=1 cargo test --test main mutation_score`.

use std::fmt::Write;
use std::path::Path;

use gradus::autograd::cases::Case;
use gradus::autograd::faults::{self, Fault};
use gradus::autograd::{Float, Tape, ops};
use gradus::nn::{Init, Tied, Transformer, TransformerConfig};

use self::usual::{Subject, Usual};
use crate::common::{Batch, random_pairs, shake, tiny};
use crate::dependencies;

mod ours;
mod usual;

/// Whether a check stays silent.
type Check = fn(Option<&'static Fault>) -> bool;

/// The checks of this project, each in its strictest form.
const OURS: [(&str, Check); 7] = [
    ("differences", ours::differences_agree),
    ("adjoint", ours::rules_are_adjoints),
    ("twin", ours::twins_agree),
    ("model", ours::a_model_agrees_with_differences),
    ("dependence", dependencies::hold_with),
    ("invariance", ours::padding_changes_nothing),
    ("stop", ours::detach_stops),
];

/// What is usually done instead.
const USUAL: [(&str, Usual); 4] = [
    ("non-zero", usual::gradients_are_there),
    ("sum", usual::differences_of_the_sum_agree),
    ("f32", usual::coarse_differences_agree),
    ("falls", usual::the_loss_falls),
];

fn tape<T: Float>(fault: Option<&'static Fault>) -> Tape<T> {
    let tape = Tape::train(1);
    plant(&tape, fault);
    tape
}

fn plant<T: Float>(tape: &Tape<T>, fault: Option<&'static Fault>) {
    if let Some(fault) = fault {
        tape.plant(fault);
    }
}

/// The cases of the op that has the fault; of all ops where there is none.
fn cases(fault: Option<&Fault>) -> impl Iterator<Item = &'static Case> {
    let op = fault.map(|fault| fault.op);
    ops::ALL.iter().filter(move |(name, _)| op.is_none_or(|op| op == *name)).flat_map(|(_, cases)| *cases)
}

/// A Transformer of one layer on each side, all of whose word vectors are one table.
fn model<T: Float>() -> Transformer<T> {
    let config = TransformerConfig { encoder_layers: 1, decoder_layers: 1, tied: Tied::All, ..tiny() };
    let mut model = Transformer::new(&config, &mut Init::seeded(6));
    shake(&mut model);
    model
}

fn batch() -> Batch {
    Batch::new(&random_pairs(&[(3, 2), (2, 3), (0, 1)], 11, 12))
}

/// What a check says of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Finds,
    /// It ran the op that has the fault, and saw nothing.
    Misses,
    /// It ran nothing that has the fault.
    Idle,
}

impl Says {
    /// What a check says, told by whether it gives alarm and by whether the fault has acted meanwhile.
    fn of(alarm: impl FnOnce() -> bool) -> Self {
        let before = faults::acted();
        match (alarm(), faults::acted() > before) {
            (true, _) => Self::Finds,
            (false, true) => Self::Misses,
            (false, false) => Self::Idle,
        }
    }

    fn mark(self) -> &'static str {
        match self {
            Self::Finds => "✓",
            Self::Misses => " ",
            Self::Idle => "–",
        }
    }
}

/// What each check says of a fault.
struct Row {
    fault: &'static Fault,
    ours: [Says; OURS.len()],
    usual: [Says; USUAL.len()],
}

impl Row {
    fn of(fault: &'static Fault) -> Self {
        let finds = |usual: Usual| {
            // An alarm that goes off without a fault as well says nothing of it.
            let finds = |subject: Subject| !usual(subject, Some(fault)) && usual(subject, None);
            Subject::of(fault).into_iter().any(finds)
        };
        Self {
            fault,
            ours: OURS.map(|(_, silent)| Says::of(|| !silent(Some(fault)))),
            usual: USUAL.map(|(_, usual)| Says::of(|| finds(usual))),
        }
    }

    fn found(&self) -> bool {
        self.ours.contains(&Says::Finds)
    }
}

fn rows() -> Vec<Row> {
    let faults: Vec<_> = faults::all().collect();
    // Two halves at once: the faults do not know of each other.
    let (even, odd): (Vec<_>, Vec<_>) = faults.iter().enumerate().partition(|(i, _)| i % 2 == 0);
    let mut rows: Vec<(usize, Row)> = std::thread::scope(|scope| {
        let halves = [even, odd].map(|half| {
            scope.spawn(|| half.into_iter().map(|(i, &fault)| (i, Row::of(fault))).collect::<Vec<_>>())
        });
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    rows.sort_by_key(|(i, _)| *i);
    rows.into_iter().map(|(_, row)| row).collect()
}

const INTRODUCTION: &str = "\
# Mutation score

A check that has never failed proves little. The module `autograd::faults` holds bugs such as people really write: wrong
rules, lost gradients, wrong masks. Each is planted in turn, and each check is asked whether it sees anything. This page is
what the test suite finds; a test compares it with what it finds now. Written anew by
`GRADUS_WRITE_DOCS=1 cargo test --test main mutation_score`.

| our checks | |
|---|---|
| differences | `gradcheck` of every case of the op: f64, random signed cotangent, 1e-8 |
| adjoint | `duality` of every case of the op: `⟨u, J·v⟩ = ⟨Jᵀu, v⟩` in dual numbers, 1e-12 |
| twin | fused ops equal their explained twins, values and gradients, 1e-12 |
| model | `gradcheck` of a whole Transformer whose word vectors are tied |
| dependence | attention and a decoder depend on what their masks keep and on nothing else, by exact zeros, forwards and backwards |
| invariance | more padding changes neither loss nor gradients of a Transformer |
| stop | no gradient flows through `detach` |

The usual checks are given the same cases as ours, and random signs where they have any: what they miss, they miss by what
they compare.

| usual checks | |
|---|---|
| non-zero | after a backward pass every input has a gradient that is not all zeros |
| sum | differences of `y.sum()` in f64, to six digits |
| f32 | differences in f32 of a sum with random signs, to 1e-2 |
| falls | 20 steps of gradient descent on the inputs (of the whole model, for faults of the sweep) lower a squared loss |
";

fn page(rows: &[Row]) -> String {
    let mut page = INTRODUCTION.to_owned();
    let (equivalent, bugs): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.fault.equivalent.is_some());
    let total = bugs.len();
    let found = bugs.iter().filter(|row| row.found()).count();
    let by_usual = bugs.iter().filter(|row| row.usual.contains(&Says::Finds)).count();
    let _ = writeln!(page, "\n## Score\n");
    let _ = writeln!(
        page,
        "Our checks find **{found} of {total}** bugs; all four usual checks together {by_usual}.\n"
    );
    let _ = writeln!(page, "| check | finds |\n|---|---|");
    for (i, (name, _)) in OURS.iter().enumerate() {
        let _ =
            writeln!(page, "| {name} | {} |", bugs.iter().filter(|row| row.ours[i] == Says::Finds).count());
    }
    for (i, (name, _)) in USUAL.iter().enumerate() {
        let _ = writeln!(
            page,
            "| {name} (usual) | {} |",
            bugs.iter().filter(|row| row.usual[i] == Says::Finds).count()
        );
    }
    let names: Vec<&str> =
        OURS.iter().map(|(name, _)| *name).chain(USUAL.iter().map(|(name, _)| *name)).collect();
    let _ = writeln!(
        page,
        "\n## Bugs\n\nThe last four columns are the usual checks. ✓ finds the bug; – ran nothing that has it, and so says \
                 nothing of it.\n"
    );
    let _ = writeln!(page, "| op | bug | what is wrong | {} |", names.join(" | "));
    let _ = writeln!(page, "|---|---|---|{}", ":-:|".repeat(names.len()));
    for row in bugs {
        let marks = row.ours.iter().chain(&row.usual).map(|says| says.mark());
        let marks = marks.collect::<Vec<_>>().join(" | ");
        let Fault { op, name, what, .. } = row.fault;
        let _ = writeln!(page, "| `{op}` | {name} | {what} | {marks} |");
    }
    let _ = writeln!(
        page,
        "\n## No bugs\n\nWritten differently, but the same by mathematics: no check may find these.\n"
    );
    let _ = writeln!(page, "| op | change | what is different | proof |\n|---|---|---|---|");
    for row in equivalent {
        let Fault { op, name, what, equivalent, .. } = row.fault;
        let _ = writeln!(page, "| `{op}` | {name} | {what} | {} |", equivalent.unwrap_or_default());
    }
    page
}

#[test]
fn the_checks_are_silent_where_nothing_is_wrong() {
    for (name, silent) in OURS {
        assert!(silent(None), "{name}");
    }
    // The usual ones at least somewhere: a check that cries always finds nothing.
    for (name, usual) in USUAL {
        assert!(usual(Subject::Model, None), "{name}, on a model");
        for (op, cases) in ops::ALL {
            assert!(cases.iter().any(|case| usual(Subject::Case(case), None)), "{name}, {op}");
        }
    }
}

#[test]
fn every_planted_bug_is_found_and_the_page_says_by_what() {
    let rows = rows();
    let page = page(&rows);
    let score = page.split("## Bugs").next().unwrap().split("## Score").nth(1).unwrap();
    println!("{}", score.trim());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mutation-score.md");
    if std::env::var_os("GRADUS_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    for row in &rows {
        match row.fault.equivalent {
            None => assert!(row.found(), "{} is not found", row.fault),
            Some(proof) => {
                let alarms = [&row.ours[..], &row.usual].concat();
                assert!(!alarms.contains(&Says::Finds), "{} is found, though {proof}: {alarms:?}", row.fault);
            }
        }
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    for (kept, now) in kept.lines().zip(page.lines()) {
        assert_eq!(
            kept, now,
            "docs/mutation-score.md is of another time: GRADUS_WRITE_DOCS=1 writes it anew"
        );
    }
    assert_eq!(
        kept.lines().count(),
        page.lines().count(),
        "docs/mutation-score.md has lines too many or too few"
    );
}

//! The record as one HTML file that needs nothing else.

use std::fmt::Write;

use autograd::Tensor;
use serde_json::{Value, json};

use super::planted::{Planted, Wrong};
use super::record::{Microscope, NodeRecord, norm};
use super::store::{Detail, encode};
use crate::teach::embed::script_data;

/// Numbers may take this much of a page, so that the whole stays below 3 MB.
const ROOM: usize = 1_900_000;

const HTML: &str = include_str!("../page/index.html");
const STYLE: &str = include_str!("../page/style.css");

/// The page's program, in the order in which its parts build on each other.
const PROGRAM: [&str; 21] = [
    include_str!("../page/data.js"),
    include_str!("../page/words_en.js"),
    include_str!("../page/words_zh.js"),
    include_str!("../page/bugs_zh.js"),
    include_str!("../page/tools.js"),
    include_str!("../page/heat.js"),
    include_str!("../page/rules.js"),
    include_str!("../page/replay.js"),
    include_str!("../page/cell.js"),
    include_str!("../page/dock.js"),
    include_str!("../page/strip.js"),
    include_str!("../page/card.js"),
    include_str!("../page/lab.js"),
    include_str!("../page/norm.js"),
    include_str!("../page/bugs.js"),
    include_str!("../page/flow.js"),
    include_str!("../page/film.js"),
    include_str!("../page/predictions.js"),
    include_str!("../page/tour.js"),
    include_str!("../page/address.js"),
    include_str!("../page/main.js"),
];

/// What finds which planted bug; a test keeps it true.
const SCORE: &str = include_str!("../../../docs/mutation-score.md");

impl Microscope {
    /// Facts to show at the head of the page: an object of names and texts.
    #[must_use]
    pub fn facts(mut self, facts: Value) -> Self {
        self.facts = facts;
        self
    }

    /// The page: one file, which asks the network for nothing.
    pub fn page(&self) -> String {
        let data = script_data(&self.json().to_string());
        let mut program = String::new();
        for part in PROGRAM {
            let _ = writeln!(program, "{part}");
        }
        let mut page = String::with_capacity(data.len() + 200_000);
        for part in HTML.split_inclusive("%%") {
            match part.strip_suffix("%%") {
                None => page.push_str(part),
                Some("STYLE") => page.push_str(STYLE),
                Some("DATA") => page.push_str(&data),
                Some("PROGRAM") => page.push_str(&program),
                Some(text) => page.push_str(text),
            }
        }
        page
    }

    /// The record as the page reads it.
    pub fn json(&self) -> Value {
        let detail = Detail::within(self, ROOM);
        let nodes: Vec<Value> = (0..self.nodes.len()).map(|place| self.node(place, detail)).collect();
        json!({
            "$generator": "Gradus",
            "version": env!("CARGO_PKG_VERSION"),
            "computed": "f64",
            "stored": detail.name(),
            "weights_left_out": detail >= Detail::NoWeights,
            "loss": self.loss(),
            "root": self.root,
            "sweep": self.sweep,
            "nodes": nodes,
            "blocks": self.blocks,
            "words": self.words,
            "facts": self.facts,
            "flow": self.flow,
            "film": self.film.as_ref().map(|film| {
                let frame = |frame: &super::Frame| json!({
                    "step": frame.step,
                    "loss": frame.loss,
                    "shape": frame.weights.shape().as_slice(),
                    "a": encode(&frame.weights, false),
                    "da": encode(&frame.gradient, false),
                });
                film.frames.iter().map(frame).collect::<Vec<_>>()
            }),
            "bugs": self.planted.iter().map(|planted| bug(planted, detail)).collect::<Vec<_>>(),
        })
    }

    fn node(&self, place: usize, detail: Detail) -> Value {
        let NodeRecord { op, path, label, source, rule, inputs, settings, .. } = &self.nodes[place];
        let node = &self.nodes[place];
        let encode = |x: &Tensor<f64>| detail.encode(self, place, x);
        let terms = node.terms.iter().map(|term| {
            let value = detail.keeps_term(self, node, term).then(|| encode(&term.value));
            json!({ "from": term.from, "norm": norm(&term.value), "g": value })
        });
        json!({
            "op": op,
            "path": path,
            "label": label,
            "source": source,
            "rule": rule,
            "inputs": inputs,
            "set": settings,
            "shape": node.value.shape().as_slice(),
            "bytes": node.value.len() * size_of::<f64>(),
            "norm": norm(&node.value),
            "gnorm": node.gradient.as_ref().map(norm),
            "v": detail.keeps_value(node).then(|| encode(&node.value)),
            "g": (node.gradient.as_ref()).filter(|_| detail.keeps_gradient(self, place)).map(encode),
            "terms": terms.collect::<Vec<_>>(),
            "sides": node.sides,
            "verdict": node.verdict,
        })
    }
}

fn bug(bug: &Planted, detail: Detail) -> Value {
    let Planted { fault, culprit, wrong, poisoned, loss } = bug;
    // A table of a thousand words is not worth its room.
    let encode = |x: &Tensor<f64>| (x.len() <= 2100 && detail < Detail::Rules).then(|| encode(x, false));
    let wrong = match wrong {
        Wrong::Rule { input, added, cell, right } => json!({
            "kind": "rule", "input": input, "at": cell.at, "wrong": cell.analytic, "numeric": cell.numeric,
            "right": right, "tensor": encode(added),
        }),
        Wrong::Sum { gradient, at, right } => json!({
            "kind": "sum", "at": at, "wrong": gradient.as_slice()[*at], "numeric": right, "right": right,
            "tensor": encode(gradient),
        }),
        Wrong::Value { value, at, right } => json!({
            "kind": "value", "at": at, "wrong": value.as_slice()[*at], "right": right, "tensor": encode(value),
        }),
    };
    let poisoned: Vec<usize> = poisoned.iter().map(|&(place, _)| place).collect();
    let Checks { found, missed, idle } = checks(fault.op, fault.name);
    json!({
        "op": fault.op, "name": fault.name, "what": fault.what, "culprit": culprit, "wrong": wrong,
        "poisoned": poisoned, "loss": loss, "found": found, "missed": missed, "idle": idle,
    })
}

/// Checks by what they say of a bug.
#[derive(Debug, Default)]
struct Checks {
    found: Vec<&'static str>,
    /// Those that ran the op, and saw nothing.
    missed: Vec<&'static str>,
    /// Those that ran nothing that has the bug.
    idle: Vec<&'static str>,
}

/// What each check says of a bug, by `docs/mutation-score.md`.
fn checks(op: &str, name: &str) -> Checks {
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let names = SCORE.lines().find(|line| line.starts_with("| op | bug |")).map_or(Vec::new(), cells);
    let start = format!("| `{op}` | {name} |");
    let marks = SCORE.lines().find(|line| line.starts_with(&start)).map_or(Vec::new(), cells);
    let mut checks = Checks::default();
    for (name, mark) in names.into_iter().zip(marks).skip(3) {
        match mark {
            "✓" => checks.found.push(name),
            "–" => checks.idle.push(name),
            _ => checks.missed.push(name),
        }
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_says_what_finds_a_bug() {
        let Checks { found, missed, idle } = checks("softmax", "plain mean");
        assert_eq!(found, ["differences", "adjoint", "twin", "f32"]);
        assert!(missed.contains(&"sum") && missed.contains(&"falls"), "{missed:?}");
        assert!(idle.contains(&"model") && idle.contains(&"stop"), "fused models have no softmax: {idle:?}");
    }
}

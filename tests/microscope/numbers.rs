//! Claim: every number on the page is the tape's, and can be computed again from the operands that the page shows.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use gradus::autograd::rng::Stream;
use gradus::teach::microscope::{BUILTIN_SMOOTHING, BUILTIN_STEPS, Specimen, train_builtin};
use serde_json::Value;

use super::{PAIR, builtin};

const TOLERANCE: f64 = 1e-6;

/// The record as it lies in a page.
struct Page {
    record: Value,
}

/// A tensor of the page.
struct Numbers {
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Page {
    fn read(html: &str) -> Self {
        let start = "<script type=\"application/json\" id=\"record\">";
        let json = html.split(start).nth(1).unwrap().split("</script>").next().unwrap();
        Self { record: serde_json::from_str(json).unwrap() }
    }

    fn node(&self, node: usize) -> &Value {
        &self.record["nodes"][node]
    }

    fn shape(&self, node: usize) -> Vec<usize> {
        serde_json::from_value(self.node(node)["shape"].clone()).unwrap()
    }

    fn stored(&self, node: usize, what: &str) -> Numbers {
        let text = self.node(node)[what].as_str().unwrap_or_else(|| panic!("#{node} has no {what}"));
        let bytes = STANDARD_NO_PAD.decode(&text[1..]).unwrap();
        let data = match &text[..1] {
            "d" => bytes.chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect(),
            _ => bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()).into()).collect(),
        };
        Numbers { shape: self.shape(node), data }
    }

    /// The value of queries, keys or values `[1, H, T, d]`, which the page reads off their projection `[1, T, H·d]`.
    fn heads(&self, node: usize) -> Numbers {
        let reshaped = self.node(node)["inputs"][0].as_u64().unwrap() as usize;
        let projected = self.stored(self.node(reshaped)["inputs"][0].as_u64().unwrap() as usize, "v");
        let shape = self.shape(node);
        let &[_, heads, rows, d] = &shape[..] else { panic!("#{node} has no heads") };
        let entry = |i: usize| {
            let (head, row, column) = (i / (rows * d), i / d % rows, i % d);
            projected.data[row * heads * d + head * d + column]
        };
        Numbers { data: (0..heads * rows * d).map(entry).collect(), shape }
    }
}

impl Numbers {
    fn at(&self, head: usize, row: usize, column: usize) -> f64 {
        let &[_, _, rows, columns] = &self.shape[..] else { panic!("{:?}", self.shape) };
        self.data[(head * rows + row) * columns + column]
    }

    fn largest(&self) -> f64 {
        self.data.iter().map(|x| x.abs()).fold(0.0, f64::max)
    }
}

/// The gradients of the tape itself, by node.
fn gradients() -> BTreeMap<usize, Vec<f64>> {
    let (specimen, _) = builtin();
    let tape = specimen.tape();
    let steps = specimen.loss(&tape).steps();
    steps.map(|step| (step.node.index(), step.dy.as_slice().to_vec())).collect()
}

fn close(what: &str, at: usize, scale: f64, numbers: [f64; 3]) {
    let [computed, page, tape] = numbers;
    assert!(scale > 0.0 && tape.is_finite(), "{what}");
    assert!((computed - tape).abs() <= TOLERANCE * scale, "{what}, entry {at}: {computed} is not {tape}");
    assert!((page - tape).abs() <= TOLERANCE * scale, "{what}, entry {at}: {page} is shown for {tape}");
}

/// Ten random entries of a tensor.
fn ten(seed: u64, len: usize) -> impl Iterator<Item = usize> {
    let mut stream = Stream::new(seed);
    (0..10).map(move |_| (stream.bits() % len as u64) as usize)
}

#[test]
fn gradients_of_attention_follow_from_the_operands_on_the_page() {
    let (_, html) = builtin();
    let (page, tape) = (Page::read(html), gradients());
    let blocks = page.record["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), 6, "two encoder layers, two decoder layers with two each");
    for (seed, block) in blocks.iter().enumerate() {
        let of = |part: &str| block[part].as_u64().unwrap() as usize;
        let factor = page.node(of("scores"))["set"]["factor"].as_f64().unwrap();
        let (weights, dropped) = (page.stored(of("weights"), "v"), page.stored(of("dropped"), "v"));
        let [q, k, v] = ["q", "k", "v"].map(|part| page.heads(of(part)));
        let d_weights = page.stored(of("weights"), "g");
        let d_scores = page.stored(of("scores"), "g");
        let context = page.stored_context(of("context"));
        let &[_, _, queries, keys] = &weights.shape[..] else { panic!() };
        let d = q.shape[3];
        let split =
            |i: usize, rows: usize, columns: usize| (i / (rows * columns), i / columns % rows, i % columns);
        for i in ten(seed as u64, weights.data.len()) {
            let (h, r, c) = split(i, queries, keys);
            let mean: f64 = (0..keys).map(|j| weights.at(h, r, j) * d_weights.at(h, r, j)).sum();
            let computed = weights.at(h, r, c) * (d_weights.at(h, r, c) - mean);
            close("dS", i, d_scores.largest(), [computed, d_scores.data[i], tape[&of("scores")][i]]);
        }
        for (what, part, other, rows) in [("dQ", "q", &k, queries), ("dK", "k", &q, keys)] {
            let shown = page.stored(of(part), "g");
            for i in ten(10 + seed as u64, shown.data.len()) {
                let (h, r, c) = split(i, rows, d);
                let computed: f64 = match part {
                    "q" => (0..keys).map(|j| factor * d_scores.at(h, r, j) * other.at(h, j, c)).sum(),
                    _ => (0..queries).map(|j| factor * d_scores.at(h, j, r) * other.at(h, j, c)).sum(),
                };
                close(what, i, shown.largest(), [computed, shown.data[i], tape[&of(part)][i]]);
            }
        }
        let shown = page.stored(of("v"), "g");
        assert_eq!(v.shape, shown.shape);
        for i in ten(20 + seed as u64, shown.data.len()) {
            let (h, r, c) = split(i, keys, d);
            let computed = (0..queries).map(|j| dropped.at(h, j, r) * context.at(h, j, c)).sum();
            close("dV", i, shown.largest(), [computed, shown.data[i], tape[&of("v")][i]]);
        }
    }
}

impl Page {
    /// dO `[1, H, T, d]`, which the page reads off the gradient of the joined heads `[1, T, H·d]`.
    fn stored_context(&self, node: usize) -> Numbers {
        let reader = |node: usize| self.node(node)["terms"][0]["from"].as_u64().unwrap() as usize;
        let joined = self.stored(reader(reader(node)), "g");
        let shape = self.shape(node);
        let &[_, heads, rows, d] = &shape[..] else { panic!() };
        let entry = |i: usize| joined.data[i / d % rows * heads * d + i / (rows * d) * d + i % d];
        Numbers { data: (0..heads * rows * d).map(entry).collect(), shape }
    }
}

#[test]
fn the_gradient_of_layer_norm_is_its_three_terms() {
    let (specimen, html) = builtin();
    let page = Page::read(html);
    let tape = specimen.tape();
    let added: BTreeMap<usize, Vec<f64>> = (specimen.loss(&tape).steps())
        .filter(|step| step.op == "layer_norm")
        .map(|step| {
            let widest = step.contributions.iter().max_by_key(|(_, dx)| dx.len()).unwrap();
            (step.node.index(), widest.1.as_slice().to_vec())
        })
        .collect();
    assert!(added.len() >= 10);
    for (&node, dx) in &added {
        let inputs: Vec<usize> = serde_json::from_value(page.node(node)["inputs"].clone()).unwrap();
        let [x, gamma] = [0, 1].map(|k| page.stored(inputs[k], "v"));
        let dy = page.stored(node, "g");
        let epsilon = page.node(node)["set"]["epsilon"].as_f64().unwrap();
        let n = gamma.data.len();
        let largest = dx.iter().map(|x| x.abs()).fold(0.0, f64::max);
        for i in ten(node as u64, x.data.len()) {
            let row = i / n * n..i / n * n + n;
            let (x, dy) = (&x.data[row.clone()], &dy.data[row]);
            let mean = |f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
            let centre = mean(&|j| x[j]);
            let rstd = 1.0 / (mean(&|j| (x[j] - centre).powi(2)) + epsilon).sqrt();
            let (hat, g) = (|j: usize| (x[j] - centre) * rstd, |j: usize| gamma.data[j] * dy[j]);
            let column = i % n;
            let computed = rstd * (g(column) - mean(&g) - hat(column) * mean(&|j| g(j) * hat(j)));
            let shown = page.node(inputs[0])["terms"].as_array().unwrap();
            assert!(
                shown.iter().any(|term| term["from"] == node),
                "#{node} is among the readers of its input"
            );
            close("dx", i, largest, [computed, computed, dx[i]]);
        }
    }
}

#[test]
fn the_page_is_one_small_file_that_names_its_precision_and_checks_every_node() {
    let (_, html) = builtin();
    assert!(html.len() <= 3_000_000, "{} bytes", html.len());
    assert!(html.contains("default-src 'none'"), "the page forbids itself the network");
    for far in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!html.contains(far), "{far}");
    }
    let Page { record } = Page::read(html);
    assert_eq!(record["computed"], "f64");
    assert!(["f64", "mixed", "f32"].contains(&record["stored"].as_str().unwrap()));
    let words = |side: &str| record["words"][side].as_array().unwrap().len();
    assert_eq!(
        (words("source"), words("target_in")),
        (9, 9),
        "a token for a word; a full stop, a mark, padding"
    );
    let nodes = record["nodes"].as_array().unwrap();
    for (i, node) in nodes.iter().enumerate().filter(|(_, node)| !node["gnorm"].is_null()) {
        assert_eq!(node["verdict"]["ok"], true, "#{i} {}: {}", node["op"], node["verdict"]);
        assert!(!node["verdict"]["loss"].as_array().unwrap().is_empty());
    }
    let curves = nodes.iter().filter(|node| node["verdict"]["curve"].as_array().is_some_and(|c| c.len() > 5));
    assert!(curves.count() > 100, "a curve for every node of a small model");
    // In so few steps some of the twenty moments are one.
    assert!((15..=20).contains(&record["film"].as_array().unwrap().len()));
}

#[test]
fn masked_cells_and_what_padding_would_get_are_exactly_zero() {
    let (_, html) = builtin();
    let page = Page::read(html);
    for block in page.record["blocks"].as_array().unwrap() {
        let of = |part: &str| block[part].as_u64().unwrap() as usize;
        let keep = page.node(of("weights"))["set"]["keep"].as_str().unwrap().as_bytes();
        let (weights, d_scores) = (page.stored(of("weights"), "v"), page.stored(of("scores"), "g"));
        let hidden = (0..weights.data.len()).filter(|i| keep[i % keep.len()] == b'0');
        let hidden: Vec<usize> = hidden.collect();
        assert!(!hidden.is_empty(), "padding is hidden everywhere");
        for i in hidden {
            assert_eq!((weights.data[i], d_scores.data[i]), (0.0, 0.0), "entry {i}");
        }
    }
    let flow: Vec<Vec<f64>> = serde_json::from_value(page.record["flow"]["target"].clone()).unwrap();
    for (t, row) in flow.iter().enumerate() {
        for (s, &norm) in row.iter().enumerate() {
            let sees = s <= t && t + 1 < flow.len();
            assert_eq!(norm != 0.0, sees, "the loss of word {t} at word {s}: {norm}");
        }
    }
}

#[test]
fn a_planted_bug_is_blamed_on_the_op_that_has_it() {
    let (_, html) = builtin();
    let page = Page::read(html);
    let bugs = page.record["bugs"].as_array().unwrap();
    assert!(bugs.len() >= 35, "{} bugs fit a Transformer", bugs.len());
    for bug in bugs {
        let name = format!("{}: {}", bug["op"], bug["name"]);
        let culprit = bug["culprit"].as_u64().unwrap() as usize;
        let wrong = &bug["wrong"];
        let number = |key: &str| wrong[key].as_f64().unwrap();
        assert_ne!(number("wrong"), number("right"), "{name}");
        match wrong["kind"].as_str().unwrap() {
            "rule" => {
                assert_eq!(page.node(culprit)["op"], bug["op"], "{name}");
                let off = (number("numeric") - number("right")).abs();
                let wrong_by = (number("wrong") - number("right")).abs();
                assert!(off < 1e-3 * wrong_by + 1e-8, "{name}: differences take the side of the right rule");
                assert_eq!(bug["loss"], page.record["loss"], "{name}: the forward pass is as it was");
            }
            "value" => assert_eq!(page.node(culprit)["op"], bug["op"], "{name}"),
            kind => assert_eq!((kind, bug["op"].as_str()), ("sum", Some("sweep")), "{name}"),
        }
        assert!(!bug["found"].as_array().unwrap().is_empty(), "{name}: found by something");
        let says = ["found", "missed", "idle"].map(|list| bug[list].as_array().unwrap().len());
        assert_eq!(
            says.iter().sum::<usize>(),
            11,
            "{name}: every check finds it, misses it, or did not run it"
        );
        // The page can run the pass with it, and has its name in Chinese.
        let key = format!("\"{}: {}\": ", bug["op"].as_str().unwrap(), bug["name"].as_str().unwrap());
        let known = html.matches(&key).count();
        assert_eq!(known, if bug["op"] == "sweep" { 1 } else { 2 }, "{name}");
    }
}

#[test]
fn checks_that_check_nothing_are_counted_apart() {
    let (_, html) = builtin();
    let Page { record } = Page::read(html);
    let mut zeros = 0;
    for (i, node) in record["nodes"].as_array().unwrap().iter().enumerate() {
        let verdict = &node["verdict"];
        if verdict.is_null() {
            continue;
        }
        let key_bias = node["path"].as_str().unwrap().ends_with("k_proj.bias") && node["op"] == "param";
        zeros += usize::from(key_bias);
        let expected = if key_bias { ("zero", "key_bias") } else { ("agrees", "") };
        let told = (verdict["outcome"].as_str().unwrap(), verdict["zero"].as_str().unwrap_or_default());
        assert_eq!(told, expected, "#{i} {}", node["path"]);
        for cell in verdict["loss"].as_array().unwrap().iter().filter(|_| !key_bias) {
            assert!(cell["noise"].as_f64().unwrap() < 1e-2, "#{i}: the difference is no noise: {cell}");
        }
    }
    assert_eq!(zeros, 6, "a key's bias in every attention");
    for said in ["softmax does not see", "softmax 看不见"] {
        assert!(html.contains(said), "why it is zero: {said}");
    }
}

#[test]
fn the_built_in_model_is_sure_of_the_right_token_at_most_positions() {
    let trained = train_builtin(PAIR, BUILTIN_STEPS, 2, |_, _| ()).unwrap();
    let words = trained.tokenizer.encode(PAIR[1]);
    assert_eq!(words.len(), 7, "every word is a token: {words:?}");
    let tokenizers = (&trained.tokenizer, &trained.tokenizer);
    let specimen =
        Specimen::new(&trained.model, tokenizers, PAIR[0], PAIR[1], BUILTIN_SMOOTHING, Some(1)).unwrap();
    let tape = specimen.tape();
    let loss = specimen.loss(&tape);
    let logits = tape.at(tape.nodes()[loss.id().index()].inputs[0]).value();
    let rows = logits.as_slice().chunks(logits.shape().last()).zip(specimen.target_out.as_slice());
    let sure: Vec<f64> = rows
        .take(words.len() + 1)
        .map(|(row, &target)| 1.0 / row.iter().map(|x| (x - row[target as usize]).exp()).sum::<f64>())
        .collect();
    assert!(sure.iter().filter(|&&p| p > 0.9).count() * 4 >= sure.len() * 3, "{sure:?}");
}

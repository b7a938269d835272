//! Claims about the commands that use a trained model: `translate`, `score` and `attention`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{complaint, run, small_project};

/// What printing a number and reading it again may change.
const PRINTED: f64 = 1e-9;

/// Trains a small model, which says something, if not much.
fn train(folder: &Path, name: &str, options: &[&str]) {
    let common = ["train", "--config", "small.toml", "--out", name, "--steps", "60"];
    let trained = run(folder, &[&common, options].concat());
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
}

/// Standard output and standard error of what must succeed.
fn both(folder: &Path, arguments: &[&str]) -> (String, String) {
    let output = run(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    (String::from_utf8(output.stdout).unwrap(), stderr)
}

fn output(folder: &Path, arguments: &[&str]) -> String {
    both(folder, arguments).0
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn batches_and_threads_do_not_change_a_byte() {
    let project = small_project();
    let folder = project.path();
    train(folder, "run", &[]);
    // Lines of many lengths, blank ones among them, and more than are read at a time.
    let lines = fs::read_to_string(folder.join("a.txt")).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    let line = |i: usize| {
        if i % 17 == 3 { String::new() } else { lines[i % 120..][..(i % 4).min(120 - i % 120)].join(" ") }
    };
    let text: String = (0..600).map(|i| line(i) + "\n").collect();
    fs::write(folder.join("in.txt"), text).unwrap();
    for search in [&["--beam", "1"][..], &["--beam", "5", "--nbest", "2"], &["--top-p", "0.9", "--seed", "3"]]
    {
        let translate = |batch, threads| {
            let common = ["translate", "--model", "run", "--input", "in.txt", "--max-length", "20"];
            output(folder, &[&common, search, &["--batch", batch, "--threads", threads]].concat())
        };
        let one = translate("1", "1");
        assert!(one.lines().count() >= 600, "{search:?}");
        for (batch, threads) in [("64", "1"), ("64", "2"), ("1", "2"), ("7", "2")] {
            assert!(one == translate(batch, threads), "{search:?}, batch {batch}, {threads} threads");
        }
    }
}

#[test]
fn a_translation_is_scored_as_the_search_scored_it() {
    let project = small_project();
    let folder = project.path();
    train(folder, "run", &[]);
    let text = fs::read_to_string(folder.join("a.txt")).unwrap();
    let text: Vec<&str> = text.lines().take(10).collect();
    fs::write(folder.join("in.txt"), format!("one two three.\n\n{}\n", text.join("\n"))).unwrap();
    let common =
        ["translate", "--model", "run", "--input", "in.txt", "--nbest", "4", "--length-penalty", "mean"];
    let rows = output(folder, &common);
    let lines = objects(&output(folder, &[&common[..], &["--json"]].concat()));
    assert_eq!(lines.len(), 12);
    let mut expected_rows = String::new();
    let (mut sources, mut targets, mut expected) = (String::new(), String::new(), Vec::new());
    for (number, line) in (1..).zip(&lines) {
        assert_eq!(line["line"], number);
        let mut before = f64::INFINITY;
        for one in line["translations"].as_array().unwrap() {
            let of = |key: &str| one[key].as_f64().unwrap();
            let (score, log_prob, text) = (of("score"), of("log_prob"), one["text"].as_str().unwrap());
            expected_rows += &format!("{number}\t{score:.4}\t{log_prob:.4}\t{text}\n");
            assert!(score <= before, "best first");
            before = score;
            if number == 2 {
                assert_eq!((score, log_prob, text), (0.0, 0.0, ""), "nothing for a blank line");
                continue;
            }
            let tokens = one["tokens"].as_array().unwrap();
            assert!((score - log_prob / (tokens.len() + 1) as f64).abs() < 1e-12, "the mean of a token");
            sources += &format!("{}\n", line["source"].as_str().unwrap());
            targets += &format!("{text}\n");
            expected.push((tokens.clone(), log_prob));
        }
    }
    assert_eq!(rows, expected_rows);

    fs::write(folder.join("src.txt"), &sources).unwrap();
    fs::write(folder.join("tgt.txt"), &targets).unwrap();
    let pairs = ["score", "--model", "run", "--src", "src.txt", "--tgt", "tgt.txt"];
    let mut scores = objects(&output(folder, &[&pairs[..], &["--json"]].concat()));
    let all = scores.pop().unwrap();
    assert_eq!(scores.len(), expected.len());
    let (mut sum, mut count, mut same) = (0.0, 0, 0);
    for (score, (tokens, log_prob)) in scores.iter().zip(&expected) {
        let own = score["log_prob"].as_f64().unwrap();
        let each = score["tokens"].as_array().unwrap();
        let parts: f64 = each.iter().map(|token| token["log_prob"].as_f64().unwrap()).sum();
        assert_eq!(each[each.len() - 1]["token"], "</s>");
        assert!((own - parts).abs() < PRINTED, "{score}");
        // A text can be other tokens than those that it was made of.
        if each[..each.len() - 1].iter().map(|token| &token["token"]).eq(tokens) {
            assert!((own - log_prob).abs() < PRINTED, "{own} is not {log_prob}: {tokens:?}");
            same += 1;
        }
        (sum, count) = (sum + own, count + each.len());
    }
    assert!(same > 0, "none of {}", scores.len());
    let perplexity = (-sum / count as f64).exp();
    assert_eq!(
        (all["pairs"].as_u64(), all["tokens"].as_u64()),
        (Some(scores.len() as u64), Some(count as u64))
    );
    assert!((all["perplexity"].as_f64().unwrap() - perplexity).abs() < 1e-9, "{all}");

    let table = output(folder, &pairs);
    assert_eq!(table.lines().count(), scores.len() + 1);
    assert_eq!(table.lines().last().unwrap(), format!("all\t{sum:.4}\t{count}\t{perplexity:.4}"));
    let both: String = sources.lines().zip(targets.lines()).map(|(s, t)| format!("{s}\t{t}\n")).collect();
    fs::write(folder.join("both.tsv"), format!("# source and target\n{both}")).unwrap();
    let scored = output(folder, &["score", "--model", "run", "--tsv", "both.tsv", "--batch", "1"]);
    let without_line = |row: &str| row.split_once('\t').unwrap().1.to_owned();
    assert!(scored.lines().map(without_line).eq(table.lines().map(without_line)));
    assert!(scored.starts_with("2\t"), "pairs have the numbers of their lines: {scored}");
}

#[test]
fn models_translate_together_only_with_one_vocabulary() {
    let project = small_project();
    let folder = project.path();
    train(folder, "run", &[]);
    let text = |models: &[&str]| {
        output(folder, &[&["translate", "--input", "a.txt", "--max-length", "20"], models].concat())
    };
    assert_eq!(text(&["--model", "run", "--model", "run"]), text(&["--model", "run"]));
    train(folder, "other", &["--seed", "2"]);
    assert_ne!(text(&["--model", "run", "--model", "other"]), text(&["--model", "run"]));
    let settings = fs::read_to_string(folder.join("small.toml")).unwrap();
    fs::write(folder.join("small.toml"), settings.replace("vocab_size = 80", "vocab_size = 30")).unwrap();
    train(folder, "fewer", &[]);
    for command in [&["translate"][..], &["score", "--src", "a.txt", "--tgt", "b.txt"]] {
        let error = complaint(folder, &[command, &["--model", "run", "--model", "fewer"]].concat());
        assert!(error.contains("fewer: its source tokenizer is not that of run"), "{error}");
    }
}

#[test]
fn attention_is_shown_as_json_and_as_a_page_by_itself() {
    let project = small_project();
    let folder = project.path();
    train(folder, "run", &[]);
    let pair = ["attention", "--model", "run", "--source", "one two three.", "--target", "three </script>."];
    let maps: Value = serde_json::from_str(&output(folder, &[&pair[..], &["--json"]].concat())).unwrap();
    let length = |key: &str| maps[key].as_array().unwrap().len();
    let (source, target) = (length("source"), length("target_read"));
    assert_eq!(length("target_written"), target);
    for (kind, rows, columns) in
        [("encoder_self", source, source), ("decoder_self", target, target), ("cross", target, source)]
    {
        let layers = maps[kind].as_array().unwrap();
        assert_eq!((layers.len(), layers[0].as_array().unwrap().len()), (1, 2), "layers and heads");
        for map in layers.iter().flat_map(|layer| layer.as_array().unwrap()) {
            assert_eq!(map.as_array().unwrap().len(), rows);
            for row in map.as_array().unwrap() {
                let weights: Vec<f64> = row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
                let sum: f64 = weights.iter().sum();
                // As many roundings to five digits.
                assert!(
                    weights.len() == columns && (sum - 1.0).abs() < 1e-5 * columns as f64,
                    "{kind}: {row}"
                );
            }
        }
    }
    let said = output(folder, &[&pair[..], &["--out", "maps.html"]].concat());
    assert!(said.starts_with("maps.html: attention for"), "{said}");
    let page = fs::read_to_string(folder.join("maps.html")).unwrap();
    assert!(page.contains("\"cross\":[[[[") && !page.contains("/* maps */"));
    let outside = ["src=", "href=", "@import", "url(", "fetch("];
    assert!(outside.iter().all(|link| !page.contains(link)), "a page that needs nothing else");
    assert_eq!(page.matches("</script>").count(), 1, "no token ends the script");

    let own = output(folder, &["attention", "--model", "run", "--source", "one two.", "--json"]);
    let own: Value = serde_json::from_str(&own).unwrap();
    let written: Vec<Value> = own["target_written"].as_array().unwrap().clone();
    fs::write(folder.join("in.txt"), "one two.\n").unwrap();
    let found = objects(&output(folder, &["translate", "--model", "run", "--input", "in.txt", "--json"]));
    let tokens = found[0]["translations"][0]["tokens"].as_array().unwrap();
    assert_eq!(written[..written.len() - 1], tokens[..], "without a target it is the model's own");
    let blank = complaint(folder, &["attention", "--model", "run", "--source", " "]);
    assert!(blank.contains("--source: a blank sentence has nothing to look at"), "{blank}");
}

#[test]
fn a_sentence_beyond_the_model_is_cut_with_a_word_or_refused() {
    let project = small_project();
    let folder = project.path();
    let settings = fs::read_to_string(folder.join("small.toml")).unwrap();
    let learned = settings.replace("[model]", "[model]\npositions = \"learned\"\nmax_length = 24");
    fs::write(folder.join("small.toml"), learned.replace("[data]", "[data]\nmax_length = 24")).unwrap();
    train(folder, "run", &[]);
    let long = "ten ".repeat(40);
    fs::write(folder.join("in.txt"), format!("one two.\n{long}\n")).unwrap();
    fs::write(folder.join("short.txt"), "one.\none.\n").unwrap();
    let (text, said) = both(folder, &["translate", "--model", "run", "--input", "in.txt"]);
    assert_eq!(text.lines().count(), 2);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.starts_with("gradus: in.txt:2: ") && said.contains("more than the 24 that the model can read"),
        "{said}"
    );
    for (source, target, name) in [("in.txt", "short.txt", "in.txt:2"), ("short.txt", "in.txt", "in.txt:2")] {
        let error = complaint(folder, &["score", "--model", "run", "--src", source, "--tgt", target]);
        assert!(error.contains(&format!("{name}: ")) && error.contains("more than the 24"), "{error}");
    }
    let error = complaint(folder, &["attention", "--model", "run", "--source", &long]);
    assert!(error.contains("--source: ") && error.contains("more than the 24"), "{error}");
}

#[test]
fn what_cannot_be_done_is_said_in_one_line() {
    let project = small_project();
    let folder = project.path();
    fs::create_dir(folder.join("empty")).unwrap();
    fs::write(folder.join("nothing.txt"), "").unwrap();
    fs::write(folder.join("two.txt"), "one\ntwo\n").unwrap();
    let says = |arguments: &[&str], expected: &str| {
        let error = complaint(folder, arguments);
        assert!(error.contains(expected), "{arguments:?}: {error}");
    };
    let nowhere = ["score", "--model", "nowhere", "--src", "a.txt", "--tgt", "b.txt"];
    says(&nowhere, "nowhere: no such folder");
    says(&["attention", "--model", "empty", "--source", "x"], "empty: no run: it has no checkpoints");
    says(&["translate", "--model", "a.txt"], "a.txt: not a Gradus checkpoint");
    let counts = ["score", "--model", "nowhere", "--src", "two.txt", "--tgt", "b.txt"];
    says(&counts, "two.txt has 2 lines, but b.txt has 120");
    // What the options say is looked at before a model is read.
    let translate = |options: &[&str], expected: &str| {
        says(&[&["translate", "--model", "nowhere"], options].concat(), expected);
    };
    translate(&["--beam", "5", "--top-k", "3"], "beam = 5 does not go with sampling");
    translate(&["--beam", "2", "--nbest", "3"], "nbest = 3 is not in 1..=beam, and beam = 2");
    translate(&["--sample", "--nbest", "0"], "nbest must not be 0");
    translate(&["--beam", "0"], "beam must not be 0");
    translate(&["--temperature", "0"], "temperature = 0 is not a number above 0");
    translate(&["--top-p", "1.5"], "top_p = 1.5 is not above 0 and at most 1");
    translate(&["--seed", "3"], "--seed is for sampling");
    translate(
        &["--length-penalty", "none", "--alpha", "1"],
        "--alpha is for the length penalties wu and power",
    );
    translate(&["--alpha=-1"], "alpha = -1 of the length penalty is not a number of at least 0");
    translate(&["--min-length", "512"], "min_length = 512 and the end do not fit within max_length = 512");
    translate(&["--batch", "0"], "--batch must not be 0");

    train(folder, "run", &[]);
    says(&["translate", "--model", "run", "--input", "nothing.txt"], "nothing.txt: is empty");
    says(&["translate", "--model", "run", "--input", "none.txt"], "none.txt: cannot read");
}

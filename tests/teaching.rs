//! The program's pages and graphs, and the list of lessons.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{complaint, run, small_project};

fn output(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_training_leaves_a_report_that_needs_nothing_but_itself() {
    let project = small_project();
    let folder = project.path();
    let trained = ["train", "--config", "small.toml", "--out", "run", "--steps", "80", "--json"];
    let summary: Value = serde_json::from_str(&output(folder, &trained)).unwrap();
    let path = folder.join("run/report.html");
    let page = fs::read_to_string(&path).unwrap();
    for fetches in ["http", "src=", "href=", "@import", "url(", "<script"] {
        assert!(!page.contains(fetches), "the page fetches nothing and runs nothing: {fetches}");
    }
    let bleu = format!("<dt>validation BLEU</dt><dd>{:.1}</dd>", summary["valid_bleu"].as_f64().unwrap());
    assert!(page.contains(&bleu), "no {bleu}");
    for title in ["Loss", "Validation BLEU", "Learning rate", "Gradient norm", "Speed"] {
        assert!(page.contains(&format!("<strong>{title}</strong>")), "no chart of {title}");
    }
    assert!(!page.contains("nothing recorded"));
    // One pair is held out, so there is one sample, with the mean of two heads and both heads; 80 steps have two
    // validations, at 70 and at the end.
    assert_eq!(page.matches("mean of 2 heads").count(), 1);
    assert!(page.contains("step 70<") && page.contains("step 80<"));

    fs::remove_file(&path).unwrap();
    assert_eq!(output(folder, &["report", "run"]).trim(), "run/report.html");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        page,
        "written again from the run's files, it is the same page"
    );

    let metrics = folder.join("run/metrics.jsonl");
    let text = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, format!("{{\n{text}")).unwrap();
    assert!(complaint(folder, &["report", "run"]).contains("run/metrics.jsonl:1: "));
    assert!(complaint(folder, &["report", "a.txt"]).contains("a.txt: is a file, not the folder of a run"));

    let tape = ["tape", "--model", "run", "--source", "one two", "--target", "two one", "--json"];
    let tape: Value = serde_json::from_str(&output(folder, &tape)).unwrap();
    assert_eq!(tape["nodes"].as_array().unwrap().last().unwrap()["label"], "loss");
    let unknown = complaint(folder, &["tape", "--model", "run", "--source", "漢字"]);
    assert!(unknown.contains("--source: the model's vocabulary has nothing of \"漢字\""), "{unknown}");
}

#[test]
fn a_tape_is_printed_in_four_forms() {
    let folder = tempfile::tempdir().unwrap();
    let print = |form: &[&str]| output(folder.path(), &[&["tape"], form].concat());
    let tape: Value = serde_json::from_str(&print(&["--json"])).unwrap();
    let nodes = tape["nodes"].as_array().unwrap();
    let mut edges = 0;
    for (i, node) in nodes.iter().enumerate() {
        assert_eq!(node["id"], i);
        let inputs = node["inputs"].as_array().unwrap();
        assert!(inputs.iter().all(|input| input.as_u64().unwrap() < i as u64), "inputs stand before");
        assert_eq!(node["rule"].is_null(), inputs.is_empty(), "what has inputs has a rule: {node}");
        edges += inputs.len();
    }
    assert!(nodes.len() > 50);
    assert_eq!(print(&[]).lines().count(), nodes.len());
    let dot = print(&["--dot"]);
    assert_eq!((dot.matches(" [label=").count(), dot.matches(" -> ").count()), (nodes.len(), edges));
    let chart = print(&["--mermaid"]);
    let arrows = chart.matches(" --> ").count() + chart.matches(" -.-> ").count();
    assert_eq!((chart.matches("[\"").count(), arrows), (nodes.len(), edges));
    assert!(complaint(folder.path(), &["tape", "--target", " "]).contains("--target: no words"));
}

#[test]
fn the_unfused_tape_has_the_attention_that_the_readme_shows() {
    let folder = tempfile::tempdir().unwrap();
    // What stands there of each node: numbers and shapes are those of a model.
    let told = |line: &str| -> Vec<String> {
        let columns = line.split("  ").map(str::trim).filter(|column| !column.is_empty());
        columns.filter(|column| !column.starts_with(['#', '['])).map(str::to_owned).collect()
    };
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let shown = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let shown: Vec<_> = shown.lines().map(told).collect();
    assert!(shown.len() >= 4, "{shown:?}");
    for option in ["--explained", "--unfused"] {
        let tape = output(folder.path(), &["tape", option]);
        let tape: Vec<_> = tape.lines().map(told).collect();
        assert!(
            tape.windows(shown.len()).any(|lines| lines == shown),
            "{option}: {shown:?} is not in {tape:?}"
        );
    }
    let fused = output(folder.path(), &["tape"]);
    assert!(!fused.contains("masked_softmax") && fused.contains("attention"), "fused where nothing is said");
}

#[test]
fn pages_speak_english_and_chinese() {
    let project = small_project();
    let folder = project.path();
    output(folder, &["train", "--config", "small.toml", "--out", "run", "--steps", "20", "--json"]);
    let report = fs::read_to_string(folder.join("run/report.html")).unwrap();
    for (english, chinese) in
        [("Loss", "损失"), ("Gradient norm", "梯度范数"), ("Configuration", "配置"), ("head 1", "注意力头 1")]
    {
        let both = format!(
            "<span class=\"en\" lang=\"en\">{english}</span><span class=\"zh\" lang=\"zh-Hans\">{chinese}</span>"
        );
        let strong = format!(
            "<span class=\"en\" lang=\"en\"><strong>{english}</strong></span><span class=\"zh\" lang=\"zh-Hans\"><strong>{chinese}</strong></span>"
        );
        assert!(report.contains(&both) || report.contains(&strong), "{english}, {chinese}");
    }
    // Whatever is chosen, the other language is hidden, without a script.
    assert!(
        report.contains("id=\"zh\" type=\"radio\"")
            && report.contains("#zh:checked ~ main .en")
            && !report.contains("<script")
    );
    let english = report.matches("class=\"en\"").count() + report.matches(" en\"").count();
    assert!(english >= 25, "{english}");
    output(
        folder,
        &["attention", "--model", "run", "--source", "one two", "--target", "two one", "--out", "a.html"],
    );
    let page = fs::read_to_string(folder.join("a.html")).unwrap();
    let [en, zh] = ["en", "zh"].map(|language| {
        page.split(&format!("\n  {language}: {{")).nth(1).unwrap().split("\n  },").next().unwrap()
    });
    assert!(en.contains("Cross-attention") && zh.contains("交叉注意力") && zh.contains("注意力头"));
    for key in [
        "title",
        "heading",
        "other",
        "source",
        "target",
        "point",
        "scale",
        "mean",
        "mean_of_all",
        "layer",
        "head",
        "join",
        "kinds",
    ] {
        assert!(
            en.contains(&format!("{key}: ")) && zh.contains(&format!("{key}: ")),
            "{key} is said in both"
        );
    }
}

#[test]
fn the_readme_lists_every_lesson_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut examples: Vec<String> = fs::read_dir(root.join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    examples.sort();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let listed = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("--example ")?.1.split_once('`'));
    assert_eq!(listed.map(|(name, _)| name.to_owned()).collect::<Vec<_>>(), examples);
    for (number, lesson) in (1..).zip(examples.iter().filter(|name| *name != "errata")) {
        assert!(lesson.starts_with(&format!("{number:02}_")), "{lesson} is lesson {number}");
        let text = fs::read_to_string(root.join("examples").join(format!("{lesson}.rs"))).unwrap();
        assert!(text.starts_with(&format!("//! Lesson {number}: ")), "{lesson} says which lesson it is");
        assert!(text.contains("assert"), "{lesson} asserts what it claims");
    }
}

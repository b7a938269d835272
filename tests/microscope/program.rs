//! The command as a user meets it.

use std::fs;

use crate::program::{complaint, run, small_project};

#[test]
fn a_page_is_written_for_a_run_and_bad_input_gets_one_clear_line() {
    let project = small_project();
    let folder = project.path();
    let trained = run(folder, &["train", "--config", "small.toml", "--out", "run", "--steps", "8", "--film"]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let film = fs::read_to_string(folder.join("run/film.html")).unwrap();
    assert!(film.starts_with("<!doctype html>") && film.contains("\"film\":["), "a page with a film");

    let look = |arguments: &[&str]| {
        run(folder, &[&["microscope", "--model", "run", "--out", "page.html"], arguments].concat())
    };
    let output = look(&["--source", "one two three.", "--target", "three two one."]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("page.html: ") && said.contains("(0 disagree)"), "{said}");
    assert!(fs::read_to_string(folder.join("page.html")).unwrap().contains("one two three."));
    // What a sentence holds cannot end the data and begin a program.
    let output = look(&["--source", "one </script><b> two", "--target", "two one"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(folder.join("page.html")).unwrap().matches("</script>").count(), 2);

    let complain =
        |arguments: &[&str]| complaint(folder, &[&["microscope", "--out", "bad.html"], arguments].concat());
    let unknown = complain(&["--model", "run", "--source", "漢字 漢", "--target", "one"]);
    assert!(unknown.contains("--source: the model knows none of the characters of \"漢字 漢\""), "{unknown}");
    let empty = complain(&["--model", "run", "--source", "one two", "--target", "  "]);
    assert!(empty.contains("--target: the sentence is empty"), "{empty}");
    let long = "one two ".repeat(100);
    let long = complain(&["--model", "run", "--source", &long, "--target", "one"]);
    assert!(long.contains("tokens, the end mark included; a page shows at most 40: shorten"), "{long}");
    let folder_of_text = complain(&["--model", ".", "--source", "one", "--target", "one"]);
    assert!(folder_of_text.contains(".: no run: it has no checkpoints"), "{folder_of_text}");
    let no_model = complain(&["--model", "a.txt", "--source", "one", "--target", "one"]);
    assert!(no_model.contains("a.txt: not a Gradus checkpoint"), "{no_model}");
    let nowhere = complaint(
        folder,
        &["microscope", "--model", "run", "--source", "one", "--target", "one", "--out", "none/page.html"],
    );
    assert!(nowhere.contains("none: no such folder"), "{nowhere}");
    assert!(!folder.join("bad.html").exists());
}

//! The tape as JSON, for programs.

use std::fmt::Write;

use crate::{Float, Parameters, Tape};

impl<T: Float> Tape<T> {
    /// The tape as one JSON object: the number type, and the nodes in order of execution.
    ///
    /// Of each node: `id`, `op`, `label` (the name it was given), `path` (of a parameter of `model`), `shape`, `rule`,
    /// `inputs` (ids), `needs_gradient`, and `source`, the line that made it. What it does not have is `null`.
    pub fn json(&self, model: &dyn Parameters<T>) -> String {
        let node = |named: super::Named| {
            let super::NodeInfo { id, op, rule, inputs, shape, needs_grad, label, location, .. } = named.node;
            let inputs: Vec<usize> = inputs.iter().map(|input| input.index()).collect();
            format!(
                "{{\"id\":{},\"op\":{},\"label\":{},\"path\":{},\"shape\":{:?},\"rule\":{},\"inputs\":{inputs:?},\
                 \"needs_gradient\":{needs_grad},\"source\":{}}}",
                id.index(),
                string(op),
                optional(label.as_deref()),
                optional(named.path.as_deref()),
                shape.as_slice(),
                optional(rule),
                string(&location.to_string()),
            )
        };
        let nodes: Vec<String> = self.named_nodes(model).into_iter().map(node).collect();
        format!("{{\"type\":\"{}\",\"nodes\":[\n{}\n]}}\n", T::NAME, nodes.join(",\n"))
    }
}

fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), string)
}

/// A JSON string (RFC 8259, §7).
fn string(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control < ' ' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::inspect::testing::small_model;

    #[test]
    fn json_can_be_parsed_and_says_what_the_tape_knows() {
        let text = small_model(|tape, model| tape.json(model));
        let tape: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(tape["type"], "f64");
        let mut nodes = tape["nodes"].as_array().unwrap().clone();
        for node in &mut nodes {
            let source = node.as_object_mut().unwrap().remove("source").unwrap();
            assert!(source.as_str().unwrap().contains("inspect.rs:"), "{source}");
        }
        let leaf = |id: usize, op: &str, path: Option<&str>, shape: [usize; 2], needs: bool| {
            json!({ "id": id, "op": op, "label": null, "path": path, "shape": shape, "rule": null, "inputs": [],
                "needs_gradient": needs })
        };
        assert_eq!(nodes[0], leaf(0, "constant", None, [4, 3], false));
        assert_eq!(nodes[1], leaf(1, "param", Some("weight"), [2, 3], true));
        let rule = nodes[2]["rule"].take();
        assert!(rule.as_str().unwrap().contains("dW += dyᵀ·x"), "{rule}");
        let label = "a \"hidden\"\n\\layer; <#1> & `x`";
        assert_eq!(
            nodes[2],
            json!({ "id": 2, "op": "linear", "label": label, "path": null, "shape": [4, 2], "rule": null,
                "inputs": [0, 1], "needs_gradient": true })
        );
    }
}

//! The tape as a graph for Graphviz.

use std::fmt::Write;

use super::Kind;
use crate::{Float, Parameters, Tape};

impl<T: Float> Tape<T> {
    /// The tape as a graph in Graphviz's DOT language. Data flows down; where a line is solid a gradient flows back up.
    /// Parameters are yellow, grey is what needs no gradient.
    ///
    /// ```
    /// use autograd::{Tape, Tensor};
    /// let tape = Tape::eval();
    /// let x = tape.input(Tensor::full([2], 1.0f32)).label("x");
    /// let loss = (x * x).sum();
    /// assert!(tape.dot(&()).contains("n0 -> n1"));
    /// ```
    pub fn dot(&self, model: &dyn Parameters<T>) -> String {
        let mut dot = String::from("digraph tape {\n  node [shape=box, fontname=\"monospace\"];\n");
        let nodes = self.named_nodes(model);
        for named in &nodes {
            let id = named.node.id.index();
            let label: Vec<String> = named.lines().iter().map(|line| escape(line)).collect();
            let style = match named.kind() {
                Kind::Parameter => ", style=filled, fillcolor=\"#fff2cc\"",
                Kind::Data => ", style=filled, fillcolor=\"#e8e8e8\"",
                Kind::Op => "",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(dot, "  n{id} [label=\"{}\"{style}];", label.join("\\n"));
            for input in &named.node.inputs {
                let style = if nodes[input.index()].node.needs_grad { "" } else { " [style=dashed]" };
                let _ = writeln!(dot, "  n{} -> n{id}{style};", input.index());
            }
        }
        dot.push_str("}\n");
        dot
    }
}

/// Text within a quoted string: a backslash begins an escape there, such as `\l` for a line set to the left.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use crate::inspect::testing::small_model;

    #[test]
    fn dot_escapes_labels_and_shows_where_gradients_flow() {
        let dot = small_model(|tape, model| tape.dot(model));
        let lines: Vec<&str> = dot.lines().map(str::trim).collect();
        assert_eq!(lines[2], r##"n0 [label="#0 constant\n[4, 3]", style=filled, fillcolor="#e8e8e8"];"##);
        assert_eq!(
            lines[3],
            r##"n1 [label="#1 param\nweight\n[2, 3]", style=filled, fillcolor="#fff2cc"];"##
        );
        assert_eq!(
            lines[4],
            r##"n2 [label="#2 linear\na \"hidden\"\n\\layer; <#1> & `x`\n[4, 2]\ndx += dy·W  dW += dyᵀ·x"];"##
        );
        assert_eq!(lines[5..], ["n0 -> n2 [style=dashed];", "n1 -> n2;", "}"]);
    }
}

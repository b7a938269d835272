//! The tape as a graph for Mermaid, which many sites draw in Markdown.

use std::fmt::Write;

use super::Kind;
use crate::{Float, Parameters, Tape};

impl<T: Float> Tape<T> {
    /// The tape as a Mermaid flowchart. Data flows down; where a line is solid a gradient flows back up. Parameters are
    /// yellow, grey is what needs no gradient.
    ///
    /// Mermaid as it is set on most sites draws 500 edges and 50,000 characters; a larger tape is for [`dot`](Self::dot).
    pub fn mermaid(&self, model: &dyn Parameters<T>) -> String {
        let mut chart = String::from("flowchart TD\n");
        let nodes = self.named_nodes(model);
        for named in &nodes {
            let id = named.node.id.index();
            let label: Vec<String> = named.lines().iter().map(|line| escape(line)).collect();
            let class = match named.kind() {
                Kind::Parameter => ":::parameter",
                Kind::Data => ":::data",
                Kind::Op => "",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(chart, "  n{id}[\"{}\"]{class}", label.join("<br/>"));
            for input in &named.node.inputs {
                let arrow = if nodes[input.index()].node.needs_grad { "-->" } else { "-.->" };
                let _ = writeln!(chart, "  n{} {arrow} n{id}", input.index());
            }
        }
        chart.push_str("  classDef parameter fill:#fff2cc,stroke:#d6b656,color:#000\n");
        chart.push_str("  classDef data fill:#e8e8e8,stroke:#999,color:#000\n");
        chart
    }
}

/// Text within a quoted label: what HTML, Markdown or Mermaid would read as their own is written by number.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '\n' => out.push_str("<br/>"),
            '"' | '#' | '&' | '<' | '>' | ';' | '`' | '*' | '_' | '\\' => {
                let _ = write!(out, "#{};", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::inspect::testing::small_model;

    #[test]
    fn mermaid_escapes_labels_and_shows_where_gradients_flow() {
        let chart = small_model(|tape, model| tape.mermaid(model));
        let lines: Vec<&str> = chart.lines().map(str::trim).collect();
        assert_eq!(lines[0], "flowchart TD");
        assert_eq!(lines[1], r##"n0["#35;0 constant<br/>[4, 3]"]:::data"##);
        assert_eq!(lines[2], r##"n1["#35;1 param<br/>weight<br/>[2, 3]"]:::parameter"##);
        let label = "a #34;hidden#34;<br/>#92;layer#59; #60;#35;1#62; #38; #96;x#96;";
        assert!(lines[3].contains(label), "{}", lines[3]);
        assert_eq!(lines[4..6], ["n0 -.-> n2", "n1 --> n2"]);
    }
}

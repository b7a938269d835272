//! Looking at a tape: a table, a graph for Graphviz or Mermaid, JSON, the first value that is not finite.

mod dot;
mod json;
mod mermaid;

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;

use crate::anomaly::not_finite;
use crate::param::{Param, Parameters};
use crate::tape::{NodeId, Tape};
use crate::{Float, ParamId, Shape};

/// What the tape knows of one node.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// Its place on the tape.
    pub id: NodeId,
    /// The name of its op, or `param`, `input`, `constant`.
    pub op: &'static str,
    /// The op with its settings, as `Debug` prints it.
    pub settings: Option<String>,
    /// The rule of its backward pass; `None` for leaves and where no gradient flows.
    pub rule: Option<&'static str>,
    /// Its inputs.
    pub inputs: Vec<NodeId>,
    /// The sizes of its axes.
    pub shape: Shape,
    /// Whether a gradient flows into it.
    pub needs_grad: bool,
    /// The name it was given.
    pub label: Option<String>,
    /// The line that made it.
    pub location: &'static Location<'static>,
}

/// A node as a message names it: `#7 linear [9, 16] · [4, 16] → [9, 4] "scores" of head.weight (src/model.rs:33:9)`.
#[derive(Clone, Debug)]
pub struct Place {
    /// The node.
    pub node: NodeInfo,
    /// The shapes of its inputs.
    pub input_shapes: Vec<Shape>,
    /// The paths of the parameters that it is or reads.
    pub parameters: Vec<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, input_shapes, parameters } = self;
        write!(f, "{} {} ", node.id, node.op)?;
        if !input_shapes.is_empty() {
            let shapes: Vec<String> = input_shapes.iter().map(ToString::to_string).collect();
            write!(f, "{} → ", shapes.join(" · "))?;
        }
        write!(f, "{} ", node.shape)?;
        if let Some(label) = &node.label {
            write!(f, "\"{label}\" ")?;
        }
        if !parameters.is_empty() {
            write!(f, "of {} ", parameters.join(", "))?;
        }
        write!(f, "({})", node.location)
    }
}

impl<T: Float> Tape<T> {
    /// All nodes in order of execution.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        let arena = self.arena.borrow();
        let info = |(index, node): (usize, &crate::tape::Node<T>)| NodeInfo {
            id: self.node(index),
            op: node.name,
            settings: node.record.as_ref().map(|record| record.debug()),
            rule: node.record.as_ref().map(|record| record.rule()),
            inputs: node.record.as_ref().map_or(Vec::new(), |record| record.parents().to_vec()),
            shape: node.shape,
            needs_grad: node.needs_grad,
            label: node.label.clone(),
            location: node.location,
        };
        arena.nodes.iter().enumerate().map(info).collect()
    }

    /// The tape as a table, one node a line: number, op, inputs, shape, rule, and the label or parameter path.
    ///
    /// ```
    /// use autograd::{Param, Tape, Tensor};
    /// let weight = Param::new(Tensor::full([2, 3], 0.5f32));
    /// let tape = Tape::eval();
    /// let x = tape.constant(Tensor::full([4, 3], 1.0));
    /// let y = x.linear(tape.param(&weight), None).relu().label("hidden");
    /// println!("{}", tape.table(&weight));
    /// ```
    pub fn table(&self, model: &dyn Parameters<T>) -> String {
        let rows: Vec<[String; 6]> = (self.named_nodes(model).into_iter())
            .map(|Named { node, path }| {
                let name = match (&node.label, path) {
                    (Some(label), _) => format!("\"{label}\""),
                    (None, path) => path.unwrap_or_default(),
                };
                let inputs: Vec<String> = node.inputs.iter().map(ToString::to_string).collect();
                let rule = node.rule.unwrap_or_default().to_owned();
                [
                    node.id.to_string(),
                    node.op.to_owned(),
                    inputs.join(" "),
                    node.shape.to_string(),
                    rule,
                    name,
                ]
            })
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 6] = std::array::from_fn(width);
        let mut table = String::new();
        for row in &rows {
            let line: Vec<String> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            table.push_str(line.join("  ").trim_end());
            table.push('\n');
        }
        table
    }

    /// The first node, in order of execution, that holds an infinite or undefined number: where things went wrong.
    pub fn first_non_finite(&self) -> Option<NodeInfo> {
        let (id, _) = self.first_not_finite()?;
        self.nodes().into_iter().nth(id.index())
    }

    /// The first node that holds a number that is not finite, and the number.
    pub(crate) fn first_not_finite(&self) -> Option<(NodeId, f64)> {
        self.arena.borrow().nodes.iter().enumerate().find_map(|(index, node)| {
            // −∞ before a softmax is how a mask is written, and no accident.
            let value = node.value.as_ref().filter(|_| node.name != "mask_fill")?;
            Some((self.node(index), not_finite(value)?))
        })
    }

    /// Where a parameter lies, if it is on this tape.
    pub(crate) fn node_of(&self, param: &Param<T>) -> Option<NodeId> {
        self.arena.borrow().params.get(&param.id()).copied()
    }

    /// What a message says of a node of this tape.
    pub(crate) fn place(&self, model: &dyn Parameters<T>, id: NodeId) -> Place {
        let mut nodes = self.nodes();
        let node = nodes.swap_remove(id.index());
        let input_shapes = node.inputs.iter().map(|input| self.arena.borrow().nodes[input.index()].shape);
        let input_shapes = input_shapes.collect();
        // A parameter that is a model by itself has an empty path.
        let named = model.parameters().into_iter().filter(|(path, _)| !path.is_empty());
        let named = named.filter_map(|(path, param)| Some((self.node_of(param)?, path)));
        let own = |other: &NodeId| *other == id || node.inputs.contains(other);
        let parameters = named.filter(|(other, _)| own(other)).map(|(_, path)| path).collect();
        Place { node, input_shapes, parameters }
    }

    /// Each node, with its path where it is a parameter of `model`.
    fn named_nodes(&self, model: &dyn Parameters<T>) -> Vec<Named> {
        let mut paths: HashMap<ParamId, String> = HashMap::new();
        model.visit(&mut crate::Path::default(), &mut |path, param| {
            paths.insert(param.id(), path.to_owned());
        });
        // A parameter that is a model by itself has an empty path.
        paths.retain(|_, path| !path.is_empty());
        let arena = self.arena.borrow();
        let by_node: HashMap<NodeId, &String> =
            arena.params.iter().filter_map(|(id, &node)| Some((node, paths.get(id)?))).collect();
        let named = |node: NodeInfo| Named { path: by_node.get(&node.id).map(|&path| path.clone()), node };
        self.nodes().into_iter().map(named).collect()
    }
}

/// A node, and its path where it is a parameter of the model that the reader named.
struct Named {
    node: NodeInfo,
    path: Option<String>,
}

impl Named {
    /// What a graph writes into its box: number and op, the name, the shape, the rule.
    fn lines(&self) -> Vec<String> {
        let NodeInfo { id, op, label, shape, rule, .. } = &self.node;
        let name = label.as_ref().or(self.path.as_ref()).cloned();
        let rule = rule.map(str::to_owned);
        [Some(format!("{id} {op}")), name, Some(shape.to_string()), rule].into_iter().flatten().collect()
    }

    /// What kind of box a graph draws it in.
    fn kind(&self) -> Kind {
        match (self.node.op, self.node.needs_grad) {
            ("param", _) => Kind::Parameter,
            (_, false) => Kind::Data,
            _ => Kind::Op,
        }
    }
}

/// Nodes that graphs tell apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What training changes.
    Parameter,
    /// What no gradient flows into.
    Data,
    /// The others: ops and inputs that a gradient flows into.
    Op,
}

#[cfg(test)]
mod testing {
    use crate::{Float, Param, Tape, Tensor};

    pub(super) struct Model<T: Float> {
        weight: Param<T>,
    }
    crate::parameters!(Model { weight });

    /// What `export` makes of the tape of a small model, with a label that wants escaping.
    pub(super) fn small_model(export: impl Fn(&Tape<f64>, &Model<f64>) -> String) -> String {
        let model = Model { weight: Param::new(Tensor::full([2, 3], 0.5)) };
        let tape = Tape::eval();
        let x = tape.constant(Tensor::full([4, 3], 1.0));
        let _ = x.linear(tape.param(&model.weight), None).label("a \"hidden\"\n\\layer; <#1> & `x`");
        export(&tape, &model)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn tables_show_ops_rules_labels_and_paths() {
        let table = super::testing::small_model(|tape, model| tape.table(model));
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].contains("param") && lines[1].ends_with("weight"), "{table}");
        assert!(lines[2].contains("#0 #1") && lines[2].contains("dW += dyᵀ·x"), "{table}");
    }

    #[test]
    fn the_first_undefined_value_is_found_where_it_arose() {
        let tape = Tape::<f64>::eval();
        let x = tape.input(Tensor::new([2], vec![1.0, f64::MAX]));
        let _ = (x.scale(0.5) * x.scale(4.0)).sum();
        let node = tape.first_non_finite().unwrap();
        assert_eq!((node.op, node.id.index()), ("scale", 2));
    }
}

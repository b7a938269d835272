//! What a tape and its reverse sweep hold, node by node.

use std::collections::BTreeMap;

use autograd::{NodeId, Parameters, Tape, Tensor, Var};

use super::attention::{Block, blocks};
use super::film::Film;
use super::flow::Flow;
use super::planted::Planted;
use super::settings::settings;
use super::verdict::Verdict;
use super::words::{Side, Words, sides};

/// A recorded pass: what the page is made of. Computed in `f64`.
#[derive(Debug)]
pub struct Microscope {
    /// All nodes in order of execution.
    pub nodes: Vec<NodeRecord>,
    /// The nodes that the reverse sweep passes, in its order.
    pub sweep: Vec<usize>,
    /// The node whose gradient is 1.
    pub root: usize,
    /// Attention found on the tape, block by block.
    pub(super) blocks: Vec<Block>,
    pub(super) words: Option<Words>,
    pub(super) planted: Vec<Planted>,
    pub(super) flow: Option<Flow>,
    pub(super) film: Option<Film>,
    pub(super) facts: serde_json::Value,
}

/// One node: its value, the gradient that reached it, and where that came from.
#[derive(Clone, Debug)]
pub struct NodeRecord {
    /// The name of its op, or `param`, `input`, `constant`.
    pub op: &'static str,
    /// Its place on the tape.
    pub id: NodeId,
    /// The part of the model it belongs to.
    pub path: String,
    /// The name it was given on the tape.
    pub label: Option<String>,
    /// The line that made it.
    pub source: String,
    /// Its rule; `None` for leaves.
    pub rule: Option<&'static str>,
    /// Its inputs.
    pub inputs: Vec<usize>,
    /// The settings of its op, as the page needs them.
    pub settings: serde_json::Value,
    /// Its value.
    pub value: Tensor<f64>,
    /// The whole gradient that reached it; `None` where none did.
    pub gradient: Option<Tensor<f64>>,
    /// The parts of that gradient, in the order in which the sweep added them.
    pub terms: Vec<Term>,
    /// Whose words its rows are, and its columns where they are words too.
    pub sides: [Option<Side>; 2],
    /// Why its gradient is zero whatever the numbers are, where it is.
    pub zero: Option<&'static str>,
    /// What finite differences say.
    pub verdict: Option<Verdict>,
}

/// What one reader of a value adds to its gradient.
#[derive(Clone, Debug)]
pub struct Term {
    /// The node that read the value.
    pub from: usize,
    /// What its rule adds.
    pub value: Tensor<f64>,
}

impl Microscope {
    /// Reads the tape of `loss` and sweeps it once, step by step; the tape is not used up. On a tape that
    /// [explains](Tape::explained) every fused op is seen in its parts.
    ///
    /// # Panics
    /// Where `loss` is no scalar, no gradient flows into it, or the tape was swept.
    #[track_caller]
    pub fn record(tape: &Tape<f64>, loss: Var<'_, f64>) -> Self {
        let Swept { sweep, mut terms, gradients } = Swept::of(loss);
        let infos = tape.nodes();
        let nodes: Vec<NodeRecord> = (infos.into_iter())
            .take(loss.id().index() + 1)
            .map(|info| NodeRecord {
                op: info.op,
                id: info.id,
                path: String::new(),
                source: format!("{}:{}", info.location.file(), info.location.line()),
                rule: info.rule,
                inputs: info.inputs.iter().map(|id| id.index()).collect(),
                settings: settings(tape, &info),
                value: tape.at(info.id).value(),
                gradient: gradients.get(&info.id.index()).cloned(),
                terms: terms.remove(&info.id.index()).unwrap_or_default(),
                sides: [None, None],
                zero: None,
                verdict: None,
                label: info.label,
            })
            .collect();
        let blocks = blocks(&nodes);
        Self {
            nodes,
            sweep,
            root: loss.id().index(),
            blocks,
            words: None,
            planted: Vec::new(),
            flow: None,
            film: None,
            facts: serde_json::Value::Null,
        }
    }

    /// Names the nodes by the parts of `model` that they belong to.
    #[must_use]
    pub fn named(mut self, tape: &Tape<f64>, model: &dyn Parameters<f64>) -> Self {
        for (node, path) in self.nodes.iter_mut().zip(tape.paths(model)) {
            node.path = path;
        }
        self
    }

    /// Says which parameters have a gradient of zero by mathematics, by a reason for their path; asked before
    /// [`verified`](Self::verified), which counts them apart. Needs the names of the parts of a model.
    #[must_use]
    pub fn excused(mut self, reason: impl Fn(&str) -> Option<&'static str>) -> Self {
        for node in self.nodes.iter_mut().filter(|node| node.op == "param") {
            node.zero = reason(&node.path);
        }
        self
    }

    /// Says which words the rows are. Needs the names of the parts of a model.
    #[must_use]
    pub fn worded(mut self, words: Words) -> Self {
        for (node, sides) in sides(&self.nodes).into_iter().enumerate() {
            self.nodes[node].sides = sides;
        }
        self.words = Some(words);
        self
    }

    /// Adds the film of a training.
    #[must_use]
    pub fn filmed(mut self, film: Film) -> Self {
        self.film = Some(film);
        self
    }

    /// The value of the loss.
    pub fn loss(&self) -> f64 {
        self.nodes[self.root].value.as_slice()[0]
    }
}

/// One reverse sweep, step by step.
pub(super) struct Swept {
    /// The nodes passed, in order.
    pub(super) sweep: Vec<usize>,
    /// What each node's gradient is made of.
    pub(super) terms: BTreeMap<usize, Vec<Term>>,
    /// The gradients of all nodes that got one.
    pub(super) gradients: BTreeMap<usize, Tensor<f64>>,
}

impl Swept {
    #[track_caller]
    pub(super) fn of(loss: Var<'_, f64>) -> Self {
        let mut swept = Self { sweep: Vec::new(), terms: BTreeMap::new(), gradients: BTreeMap::new() };
        for step in loss.steps() {
            swept.sweep.push(step.node.index());
            for (input, value) in step.contributions {
                let term = Term { from: step.node.index(), value };
                swept.terms.entry(input.index()).or_default().push(term);
            }
            swept.gradients.insert(step.node.index(), step.dy);
        }
        // Leaves are never passed: their gradients are the sums of what reached them.
        for (node, terms) in &swept.terms {
            if !swept.gradients.contains_key(node) {
                swept.gradients.insert(*node, sum(terms));
            }
        }
        swept
    }
}

/// The sum of all terms, added in their order.
fn sum(terms: &[Term]) -> Tensor<f64> {
    let mut terms = terms.iter();
    let mut total = terms.next().map_or_else(|| Tensor::zeros([]), |term| term.value.clone());
    for term in terms {
        total.make_mut().iter_mut().zip(term.value.as_slice()).for_each(|(total, x)| *total += x);
    }
    total
}

/// The Euclidean norm.
pub(super) fn norm(x: &Tensor<f64>) -> f64 {
    x.as_slice().iter().map(|x| x * x).sum::<f64>().sqrt()
}

//! Which words the rows of a value are.

use std::collections::BTreeMap;

use autograd::Tensor;
use serde::Serialize;

use super::record::NodeRecord;

/// The words of the sentences on the tape, padding included.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Words {
    /// What the encoder reads.
    pub source: Vec<String>,
    /// What the decoder reads.
    pub target_in: Vec<String>,
    /// What the decoder should say.
    pub target_out: Vec<String>,
    /// All tokens that the model can say, where there are few enough to name them.
    pub vocabulary: Vec<String>,
    /// Where there are more: the tokens that it should say, and those that it finds the most probable.
    pub named: BTreeMap<u32, String>,
}

/// Vocabularies up to this size are named in full.
const NAMED: usize = 4000;

/// How many of the most probable tokens of each position are named.
const GUESSES: usize = 3;

impl Words {
    /// Names of a long vocabulary that are not needed are left out: `logits` `[T, V]` say which tokens are probable.
    pub(super) fn shortened(mut self, logits: &Tensor<f64>, targets: &[u32]) -> Self {
        if self.vocabulary.len() <= NAMED {
            return self;
        }
        let name = |id: u32| self.vocabulary.get(id as usize).map(|name| (id, name.clone()));
        let guesses = logits.as_slice().chunks(logits.shape().last()).flat_map(|row| {
            let mut ids: Vec<u32> = (0..row.len() as u32).collect();
            ids.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
            ids.truncate(GUESSES);
            ids
        });
        self.named = guesses.chain(targets.iter().copied()).filter_map(name).collect();
        self.vocabulary.clear();
        self
    }
}

/// Whose words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Side {
    /// The encoder's.
    #[serde(rename = "S")]
    Source,
    /// The decoder's.
    #[serde(rename = "T")]
    Target,
}

/// The sides of every node's rows and columns. Words come onto the tape by embeddings: the encoder's before it, the
/// decoder's after; ops hand them on.
pub(super) fn sides(nodes: &[NodeRecord]) -> Vec<[Option<Side>; 2]> {
    let encoder = nodes.iter().position(|node| node.path.starts_with("encoder.")).unwrap_or(nodes.len());
    let mut sides: Vec<[Option<Side>; 2]> = Vec::with_capacity(nodes.len());
    for (place, node) in nodes.iter().enumerate() {
        let of = |input: usize| node.inputs.get(input).map_or([None, None], |&input| sides[input]);
        let transposed = node.settings["tb"] == true;
        sides.push(match node.op {
            "embedding" if place < encoder => [Some(Side::Source), None],
            "embedding" => [Some(Side::Target), None],
            "matmul" => [of(0)[0], of(1)[usize::from(!transposed)]],
            _ => of(0),
        });
    }
    // Positions are constants: they have the words of what they are added to.
    for node in nodes.iter().filter(|node| node.op == "add") {
        if let [first, second] = node.inputs[..]
            && nodes[second].op == "constant"
        {
            sides[second] = sides[first];
        }
    }
    sides
}

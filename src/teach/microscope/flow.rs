//! Where the gradient of each target word's loss goes: to which source words, to which target words.

use autograd::{Tape, Tensor};
use serde::Serialize;

use super::norms::LayerNorms;
use super::record::Microscope;
use super::words::Side;

/// What the flow views show.
#[derive(Debug, Serialize)]
pub(super) struct Flow {
    /// Norm of the gradient of target word `t`'s loss with respect to the vector of source word `s`, `[T][S]`.
    source: Vec<Vec<f64>>,
    /// The same for the words that the decoder reads, `[T][T]`.
    target: Vec<Vec<f64>>,
    /// Gradients by layer, before and after training, with the norm before and after each sub-layer.
    pub(super) norms: Vec<LayerNorms>,
}

impl Microscope {
    /// Follows the gradient of each target word's loss back to the words; `norms` are shown beside it. Needs
    /// [`worded`](Self::worded).
    #[must_use]
    pub(super) fn flowing(mut self, tape: &Tape<f64>, norms: Vec<LayerNorms>) -> Self {
        let logits = self.nodes[self.root].inputs.first().copied().unwrap_or(self.root);
        let Some(gradient) = self.nodes[logits].gradient.clone() else { return self };
        let embedding = |side: Side| {
            let last =
                self.nodes.iter().position(|node| node.op == "embedding" && node.sides[0] == Some(side));
            last.unwrap_or(self.root)
        };
        let ends = [embedding(Side::Source), embedding(Side::Target)];
        let (rows, width) = (gradient.shape().rows(), gradient.shape().last());
        let (mut source, mut target) = (Vec::new(), Vec::new());
        for row in 0..rows {
            // The loss is a sum over words; the part of its gradient in one row is that of one word.
            let only = row * width..(row + 1) * width;
            let entry = |k: usize| if only.contains(&k) { gradient.as_slice()[k] } else { 0.0 };
            let cotangent = Tensor::from_fn(gradient.shape(), entry);
            let mut found = ends.map(|end| vec![0.0; self.nodes[end].value.shape().rows()]);
            for step in tape.at(self.nodes[logits].id).steps_from(cotangent) {
                for (end, found) in ends.iter().zip(&mut found) {
                    if step.node.index() == *end {
                        *found = step.dy.as_slice().chunks(step.dy.shape().last()).map(length).collect();
                    }
                }
            }
            let [to_source, to_target] = found;
            source.push(to_source);
            target.push(to_target);
        }
        self.flow = Some(Flow { source, target, norms });
        self
    }
}

fn length(row: &[f64]) -> f64 {
    row.iter().map(|x| x * x).sum::<f64>().sqrt()
}

//! Which op is to blame for a wrong gradient.

use super::{Differences, GradCheck, Report, largest};
use crate::Tensor;
use crate::tape::Tape;

impl GradCheck {
    /// The first op on the tape whose own backward disagrees with differences of its own forward.
    pub(crate) fn culprit(&self, tape: &Tape<f64>) -> Option<String> {
        let arena = tape.arena.borrow();
        for (index, node) in arena.nodes.iter().enumerate() {
            let (Some(record), Some(value)) = (&node.record, &node.value) else { continue };
            let parents = record.parents();
            let inputs: Option<Vec<_>> =
                parents.iter().map(|id| arena.nodes[id.index()].value.as_ref()).collect();
            let Some(inputs) = inputs else { continue };
            let cotangent = self.cotangent(value.shape(), 0);
            let mut grads = vec![None; index];
            record.backward(&arena.nodes, index, &cotangent, &mut grads);
            for (k, id) in parents.iter().enumerate() {
                // A node used twice has one gradient for two inputs; it is moved in both places at once.
                if !arena.nodes[id.index()].needs_grad || parents[..k].contains(id) {
                    continue;
                }
                let analytic = grads[id.index()].take().unwrap_or_else(|| Tensor::zeros(inputs[k].shape()));
                let mut differences = Differences {
                    check: self,
                    name: "",
                    x: inputs[k],
                    analytic: &analytic,
                    floor: 0.1 * largest(&analytic),
                    cotangent: &cotangent,
                    centre: value,
                    f: |moved| {
                        let moved: Vec<_> = (parents.iter().zip(&inputs))
                            .map(|(other, &x)| if other == id { &moved } else { x })
                            .collect();
                        record.rerun(&moved)
                    },
                };
                if differences.compare(&mut Report::default()).is_err() {
                    return Some(format!("{} #{index} ({})", node.name, node.location));
                }
            }
        }
        None
    }
}

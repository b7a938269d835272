//! Following a parameter through the tape.

use super::PathEnd;
use crate::Parameters;
use crate::inspect::Place;
use crate::tape::{NodeId, Tape};

/// Where the way from `from` to the loss ends: at the first op on it that is `alive`, which has a gradient and gives none
/// back, or at a value that nothing reads.
pub(super) fn end(
    tape: &Tape<f64>,
    model: &dyn Parameters<f64>,
    from: NodeId,
    alive: impl Fn(usize) -> bool,
) -> PathEnd {
    let nodes = tape.nodes();
    let mut on_path = vec![false; nodes.len()];
    on_path[from.index()] = true;
    let mut last = from;
    // Every node stands after its inputs, so that one pass follows all branches.
    for node in &nodes[from.index() + 1..] {
        if !node.inputs.iter().any(|input| on_path[input.index()]) {
            continue;
        }
        if alive(node.id.index()) {
            return PathEnd::Stops(Box::new(tape.place(model, node.id)));
        }
        on_path[node.id.index()] = true;
        last = node.id;
    }
    PathEnd::Unread(Box::new(tape.place(model, last)))
}

/// The first op that reads `node`.
pub(super) fn first_reader(tape: &Tape<f64>, model: &dyn Parameters<f64>, node: NodeId) -> Option<Place> {
    let reader = tape.nodes().into_iter().find(|other| other.inputs.contains(&node))?;
    Some(tape.place(model, reader.id))
}

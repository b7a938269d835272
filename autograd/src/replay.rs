//! Running parts of a tape again with other values: what differences of single nodes, and pages that explain them, are
//! made of.

use crate::tape::{NodeId, Tape, Var};
use crate::{Float, Tensor};

impl<T: Float> Tape<T> {
    /// The variable at this place of the tape.
    ///
    /// # Panics
    /// Where there is none.
    #[track_caller]
    pub fn at(&self, node: NodeId) -> Var<'_, T> {
        assert!(node.index() < self.len(), "tape: no node {node} on {self:?}");
        Var { tape: self, id: node }
    }

    /// What `root` would be if the value of `node` were `moved`: every op between them that depends on it runs again, with
    /// its dropout mask. Differences of this are the gradient that the sweep should find at the node.
    ///
    /// ```
    /// use autograd::{Tape, Tensor};
    /// let tape = Tape::eval();
    /// let x = tape.input(Tensor::scalar(3.0f64));
    /// let y = x * x;
    /// let z = y.scale(2.0) + x;
    /// assert_eq!(tape.replay(y.id(), Tensor::scalar(10.0), z.id()).item(), 23.0);
    /// ```
    ///
    /// # Panics
    /// Where there are no such nodes, the value has another shape than the node, no gradient flows into the node, or a backward sweep has freed the
    /// tape.
    #[track_caller]
    pub fn replay(&self, node: NodeId, moved: Tensor<T>, root: NodeId) -> Tensor<T> {
        let there = self.at(node);
        self.at(root);
        assert!(
            moved.shape() == there.shape(),
            "replay: a value of {} in the place of {there:?}",
            moved.shape()
        );
        assert!(
            there.needs_grad(),
            "replay: no gradient flows into {there:?}, so what reads it is not recorded"
        );
        let arena = self.arena.borrow();
        let mut now: Vec<Option<Tensor<T>>> = vec![None; root.index() + 1];
        if node.index() < now.len() {
            now[node.index()] = Some(moved);
        }
        for index in node.index() + 1..=root.index() {
            let Some(record) = &arena.nodes[index].record else { continue };
            let parents = record.parents();
            if parents.iter().any(|parent| now[parent.index()].is_some()) {
                let values: Vec<Tensor<T>> = (parents.iter())
                    .map(|&parent| now[parent.index()].clone().unwrap_or_else(|| self.at(parent).value()))
                    .collect();
                now[index] = Some(record.rerun(&values.iter().collect::<Vec<_>>()));
            }
        }
        now[root.index()].take().unwrap_or_else(|| self.at(root).value())
    }

    /// What the op of this node gives for other inputs; `None` for leaves, and where no gradient flows.
    ///
    /// # Panics
    /// Where there is no such node, or its op has not as many inputs.
    #[track_caller]
    pub fn rerun(&self, node: NodeId, inputs: &[&Tensor<T>]) -> Option<Tensor<T>> {
        self.at(node);
        let arena = self.arena.borrow();
        let record = arena.nodes[node.index()].record.as_ref()?;
        let (given, wanted) = (inputs.len(), record.parents().len());
        assert!(
            given == wanted,
            "rerun: {given} inputs for the {wanted} of {node} {}",
            arena.nodes[node.index()].name
        );
        Some(record.rerun(inputs))
    }

    /// Reads the settings of this node's op, where it is an `O`.
    ///
    /// ```
    /// use autograd::{Tape, Tensor, ops::scale::Scale};
    /// let tape = Tape::eval();
    /// let y = tape.input(Tensor::scalar(3.0f64)).scale(0.5);
    /// assert_eq!(tape.op_of(y.id(), |op: &Scale| op.factor), Some(0.5));
    /// ```
    ///
    /// # Panics
    /// Where there is no such node.
    #[track_caller]
    pub fn op_of<O: 'static, R>(&self, node: NodeId, read: impl FnOnce(&O) -> R) -> Option<R> {
        self.at(node);
        let arena = self.arena.borrow();
        arena.nodes[node.index()].record.as_ref()?.op().downcast_ref().map(read)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::{matmul::MatMul, scale::Scale};
    use crate::{Tape, Tensor};

    #[test]
    fn a_replay_moves_all_that_depends_on_the_node_and_nothing_else() {
        let tape = Tape::<f64>::train(3);
        let x = tape.input(Tensor::new([2], vec![1.0, 2.0]));
        let kept = x.scale(3.0);
        let y = (x * x).dropout(0.4);
        let z = (y + kept).sum();
        let same = tape.replay(x.id(), x.value(), z.id());
        assert_eq!(same, z.value(), "the same value gives the same result, dropout included");
        assert_eq!(
            tape.replay(kept.id(), Tensor::zeros([2]), z.id()).item(),
            y.value().as_slice().iter().sum::<f64>()
        );
        assert_eq!(tape.replay(z.id(), Tensor::scalar(5.0), z.id()).item(), 5.0);
        assert_eq!(
            tape.replay(z.id(), Tensor::scalar(5.0), y.id()),
            y.value(),
            "what stands before is as it was"
        );
    }

    #[test]
    fn settings_are_read_by_the_type_of_the_op() {
        let tape = Tape::<f64>::eval();
        let x = tape.input(Tensor::new([1, 2], vec![1.0, 2.0]));
        let y = x.matmul_nt(x);
        assert_eq!(tape.op_of(y.id(), |op: &MatMul| (op.transpose_a, op.transpose_b)), Some((false, true)));
        assert_eq!(tape.op_of(y.id(), |op: &Scale| op.factor), None);
        assert_eq!(tape.op_of(x.id(), |op: &Scale| op.factor), None);
        let two = Tensor::new([1, 2], vec![2.0, 0.0]);
        assert_eq!(tape.rerun(y.id(), &[&two, &two]).map(|y| y.item()), Some(4.0));
    }

    #[test]
    #[should_panic(expected = "replay: no gradient flows into")]
    fn a_constant_cannot_be_moved() {
        let tape = Tape::<f64>::eval();
        let c = tape.constant(Tensor::scalar(1.0));
        tape.replay(c.id(), Tensor::scalar(2.0), c.id());
    }
}

//! Running parts of a tape again with other values: what differences of single nodes, and pages that explain them, are
//! made of.

use crate::tape::{NodeId, Tape, Var};
use crate::{Float, Tensor};

impl<T: Float> Tape<T> {
    /// The variable of this node.
    ///
    /// # Panics
    /// Where the node is of another tape; for the same place of a pass that was run again, see [`nth`](Self::nth).
    #[track_caller]
    pub fn at(&self, node: NodeId) -> Var<'_, T> {
        assert!(node.tape == self.id, "tape: node {node} is of another tape, not of {self:?}");
        Var { tape: self, id: node }
    }

    /// The variable at this place of the tape, counted from 0 in order of execution.
    ///
    /// # Panics
    /// Where there is none.
    #[track_caller]
    pub fn nth(&self, index: usize) -> Var<'_, T> {
        assert!(index < self.len(), "tape: no node #{index} on {self:?}");
        Var { tape: self, id: self.node(index) }
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
    /// Where one of the two nodes is of another tape, the value has another shape than the node, no gradient flows into the node,
    /// or a backward sweep has freed the tape.
    #[track_caller]
    pub fn replay(&self, node: NodeId, moved: Tensor<T>, root: NodeId) -> Tensor<T> {
        let (there, _) = (self.at(node), self.at(root));
        assert!(!self.swept.get(), "replay: the backward sweep has freed this tape's values");
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
    /// Where the node is of another tape, or the inputs are not as many as its own, or of other shapes.
    #[track_caller]
    pub fn rerun(&self, node: NodeId, inputs: &[&Tensor<T>]) -> Option<Tensor<T>> {
        self.at(node);
        let arena = self.arena.borrow();
        let record = arena.nodes[node.index()].record.as_ref()?;
        let own = record.parents();
        let (given, wanted) = (inputs.len(), own.len());
        let name = arena.nodes[node.index()].name;
        assert!(given == wanted, "rerun: {given} inputs for the {wanted} of {node} {name}");
        for (parent, input) in own.iter().zip(inputs) {
            let (expected, shape) = (arena.nodes[parent.index()].shape, input.shape());
            assert!(shape == expected, "rerun: an input of {node} {name} is {expected}, not {shape}");
        }
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
    /// Where the node is of another tape.
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

    /// What is said where this is asked of a tape with nodes of another.
    fn refusal(ask: impl Fn(&Tape<f64>, [crate::NodeId; 2]) + std::panic::RefUnwindSafe) -> String {
        let [one, two] = [Tape::<f64>::eval(), Tape::eval()];
        let ids = [&one, &two].map(|tape| {
            let x = tape.input(Tensor::scalar(2.0));
            (x * x).id()
        });
        let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ask(&one, ids)));
        let said = asked.unwrap_err();
        let literal = said.downcast_ref::<&str>().map(|said| (*said).to_owned());
        said.downcast_ref::<String>().cloned().or(literal).unwrap()
    }

    #[test]
    fn nodes_of_another_tape_are_refused_whatever_is_asked() {
        let moved = || Tensor::scalar(1.0);
        let node = "tape: node #1 is of another tape, not of Tape<f64>";
        for said in [
            refusal(|tape, [_, other]| _ = tape.at(other)),
            refusal(|tape, [own, other]| _ = tape.replay(own, moved(), other)),
            refusal(|tape, [own, other]| _ = tape.replay(other, moved(), own)),
            refusal(|tape, [_, other]| _ = tape.rerun(other, &[&moved(), &moved()])),
            refusal(|tape, [_, other]| _ = tape.op_of(other, |op: &Scale| op.factor)),
        ] {
            assert!(said.starts_with(node), "{said}");
        }
        let said = refusal(|tape, [own, _]| _ = tape.rerun(own, &[&moved()]));
        assert!(said.contains("rerun: 1 inputs for the 2 of #1 mul"), "{said}");
        let said = refusal(|tape, [own, _]| _ = tape.rerun(own, &[&moved(), &Tensor::zeros([3])]));
        assert!(said.contains("rerun: an input of #1 mul is [], not [3]"), "{said}");
        let said = refusal(|tape, _| _ = tape.nth(2));
        assert!(said.starts_with("tape: no node #2 on "), "{said}");
        let said = refusal(|tape, [own, _]| {
            tape.at(own).backward();
            tape.replay(tape.nth(0).id(), moved(), own);
        });
        assert!(said.contains("replay: the backward sweep has freed this tape's values"), "{said}");
    }

    #[test]
    fn the_same_place_of_two_tapes_is_two_nodes() {
        let [one, two] = [Tape::<f64>::eval(), Tape::eval()].map(|tape| {
            let x = tape.input(Tensor::scalar(2.0));
            assert_eq!(tape.nth(0).id(), x.id());
            x.id()
        });
        assert_eq!(one.index(), two.index());
        assert_ne!(one, two);
    }

    #[test]
    #[should_panic(expected = "replay: no gradient flows into")]
    fn a_constant_cannot_be_moved() {
        let tape = Tape::<f64>::eval();
        let c = tape.constant(Tensor::scalar(1.0));
        tape.replay(c.id(), Tensor::scalar(2.0), c.id());
    }
}

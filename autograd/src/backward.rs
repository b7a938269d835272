//! The reverse sweep: once, consuming, with [`Var::backward`]; or step by step, for readers, with [`Var::steps`].

use std::time::Instant;

use crate::faults::Slip;
use crate::gradients::Gradients;
use crate::tape::{Arena, NodeId, Tape, Var};
use crate::{Float, Tensor};

impl<'t, T: Float> Var<'t, T> {
    /// The gradients of this scalar with respect to every parameter and input of its tape.
    ///
    /// Frees the value and saved state of each node as the sweep passes it, so memory falls as gradients appear, and
    /// parameters are not shared any more when it returns.
    ///
    /// # Panics
    /// Where it is not a scalar, where no gradient flows into it, or where the tape was swept before.
    #[track_caller]
    pub fn backward(self) -> Gradients<T> {
        let shape = self.shape();
        assert_eq!(
            shape.len(),
            1,
            "backward: {self:?} is not a scalar; sum it, or name a cotangent (backward_with)"
        );
        self.backward_with(self.value().alike(shape, |kernels, one| kernels.fill(T::ONE, one)))
    }

    /// The gradients of `⟨cotangent, self⟩`: the vector-Jacobian product.
    ///
    /// # Panics
    /// Where the cotangent has another shape, where no gradient flows into this value, or where the tape was swept.
    #[track_caller]
    pub fn backward_with(self, cotangent: Tensor<T>) -> Gradients<T> {
        assert!(!self.tape.swept.replace(true), "backward: this tape was swept before; a tape is one pass");
        let mut sweep = Sweep::new(self, cotangent);
        while let Some(node) = sweep.next_node() {
            sweep.pass(node);
        }
        // Gives the storage back to the parameters alone, so that the optimiser writes in place.
        {
            let Arena { nodes, params } = &mut *self.tape.arena.borrow_mut();
            for node in params.values() {
                nodes[node.index()].value = None;
            }
        }
        sweep.finish()
    }

    /// The same sweep as an iterator that frees nothing: at each node the rule, the upstream gradient, and what it adds
    /// to each input.
    ///
    /// ```
    /// use autograd::{Tape, Tensor};
    /// let tape = Tape::eval();
    /// let x = tape.input(Tensor::scalar(3.0f64));
    /// for step in (x * x).sum().steps() {
    ///     println!("{} {}  {}  dy = {}", step.node, step.op, step.rule, step.dy);
    /// }
    /// ```
    ///
    /// # Panics
    /// Where it is not a scalar, or where no gradient flows into it.
    #[track_caller]
    pub fn steps(self) -> Steps<'t, T> {
        let shape = self.shape();
        assert_eq!(shape.len(), 1, "steps: {self:?} is not a scalar; name a cotangent (steps_from)");
        self.steps_from(self.value().alike(shape, |kernels, one| kernels.fill(T::ONE, one)))
    }

    /// The sweep of [`steps`](Self::steps) for `⟨cotangent, self⟩`.
    ///
    /// # Panics
    /// Where the cotangent has another shape, or where no gradient flows into this value.
    #[track_caller]
    pub fn steps_from(self, cotangent: Tensor<T>) -> Steps<'t, T> {
        assert!(!self.tape.swept.get(), "steps: the backward sweep has freed this tape's values");
        Steps { sweep: Sweep::new(self, cotangent) }
    }
}

/// The gradients that have been collected for nodes not passed yet.
struct Sweep<'t, T: Float> {
    tape: &'t Tape<T>,
    root: usize,
    /// Nodes from here on have been passed.
    passed: usize,
    grads: Vec<Option<Tensor<T>>>,
}

impl<'t, T: Float> Sweep<'t, T> {
    #[track_caller]
    fn new(root: Var<'t, T>, cotangent: Tensor<T>) -> Self {
        assert!(
            root.needs_grad(),
            "backward: no parameter or input leads to {root:?}, or the tape records nothing (Tape::infer)"
        );
        assert_eq!(
            cotangent.shape(),
            root.shape(),
            "backward: the cotangent does not have the shape of {root:?}"
        );
        let root_index = root.id.index();
        let mut grads = vec![None; root_index + 1];
        grads[root_index] = Some(cotangent);
        Self { tape: root.tape, root: root_index, passed: root_index + 1, grads }
    }

    /// The next op node, in reverse order of execution, that a gradient has reached.
    fn next_node(&mut self) -> Option<usize> {
        let nodes = &self.tape.arena.borrow().nodes;
        let next = (0..self.passed).rev().find(|&i| nodes[i].record.is_some() && self.grads[i].is_some())?;
        self.passed = next;
        Some(next)
    }

    /// Moves the gradient of `node` on to its inputs, and frees the node.
    fn pass(&mut self, node: usize) {
        let mut arena = self.tape.arena.borrow_mut();
        let dy = self.grads[node].take();
        let record = arena.nodes[node].record.take();
        if let (Some(dy), Some(record)) = (dy, record) {
            self.slip(record.parents());
            let start = self.tape.profile.as_ref().map(|_| Instant::now());
            record.backward(&arena.nodes, node, &dy, &mut self.grads);
            if let (Some(profile), Some(start)) = (&self.tape.profile, start) {
                profile.borrow_mut().add_backward(arena.nodes[node].name, start.elapsed());
            }
        }
        // The root's value stays: it is the loss, which callers read.
        if node != self.root {
            arena.nodes[node].value = None;
        }
    }

    /// Loses what has been collected for these nodes, where a planted fault says so.
    fn slip(&mut self, parents: &[NodeId]) {
        if self.tape.slip() == Some(Slip::Overwrite) {
            for parent in parents {
                if self.grads[parent.index()].take().is_some() {
                    crate::faults::act();
                }
            }
        }
    }

    /// What has been collected at the leaves.
    fn finish(mut self) -> Gradients<T> {
        let arena = self.tape.arena.borrow();
        let mut gradients = Gradients::of(self.tape.id);
        for (&param, node) in &arena.params {
            if let Some(grad) = self.grads.get_mut(node.index()).and_then(Option::take) {
                gradients.insert(param, grad);
            }
        }
        for (index, grad) in self.grads.into_iter().enumerate() {
            if let Some(grad) = grad {
                gradients.insert_input(self.tape.node(index), grad);
            }
        }
        gradients
    }
}

/// The reverse sweep, one node at a time. Made by [`Var::steps`].
pub struct Steps<'t, T: Float = f32> {
    sweep: Sweep<'t, T>,
}

impl<T: Float> std::fmt::Debug for Steps<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Steps {{ before node {} of {:?} }}", self.sweep.passed, self.sweep.tape)
    }
}

/// What happens at one node of the reverse sweep.
#[derive(Clone, Debug)]
pub struct Step<T: Float = f32> {
    /// The node.
    pub node: NodeId,
    /// The name of its op.
    pub op: &'static str,
    /// The rule that is applied.
    pub rule: &'static str,
    /// The label it was given.
    pub label: Option<String>,
    /// Its value.
    pub value: Tensor<T>,
    /// The whole gradient that has reached it, `dy`.
    pub dy: Tensor<T>,
    /// What it adds to the gradient of each input that needs one.
    pub contributions: Vec<(NodeId, Tensor<T>)>,
}

impl<T: Float> Iterator for Steps<'_, T> {
    type Item = Step<T>;

    fn next(&mut self) -> Option<Step<T>> {
        let index = self.sweep.next_node()?;
        let arena = self.sweep.tape.arena.borrow();
        let node = &arena.nodes[index];
        let dy = self.sweep.grads[index].take()?;
        let record = node.record.as_ref()?;
        // Fresh slots, so that this node's own contributions are seen before they are added.
        let mut fresh = vec![None; index];
        record.backward(&arena.nodes, index, &dy, &mut fresh);
        self.sweep.slip(record.parents());
        let mut contributions = Vec::new();
        for (parent, contribution) in fresh.into_iter().enumerate() {
            let Some(contribution) = contribution else { continue };
            match &mut self.sweep.grads[parent] {
                Some(sum) => contribution.kernels().add_assign(&contribution, sum),
                empty => *empty = Some(contribution.clone()),
            }
            contributions.push((self.sweep.tape.node(parent), contribution));
        }
        let value = node.value.clone()?;
        let (op, rule, label) = (node.name, record.rule(), node.label.clone());
        Some(Step { node: self.sweep.tape.node(index), op, rule, label, value, dy, contributions })
    }
}

impl<T: Float> Steps<'_, T> {
    /// The gradients of the leaves, after the steps that are left.
    pub fn finish(mut self) -> Gradients<T> {
        while self.next().is_some() {}
        self.sweep.finish()
    }
}

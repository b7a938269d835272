//! The tape: one forward pass, recorded as an arena of op objects with `Copy` handles.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::faults::{Fault, Slip};
use crate::op::{Backward, Op, Slot};
use crate::param::{Param, ParamId};
use crate::profile::Profile;
use crate::{Float, Key, Seed, Shape, Tensor};

/// One forward pass, and all that its backward pass needs.
///
/// Modes and the random seed live here, so there is no `model.eval()` to forget, and a pass is reproducible: the same
/// seed gives the same dropout masks.
///
/// A variable cannot outlive its tape:
///
/// ```compile_fail
/// use autograd::{Tape, Tensor};
/// let x = {
///     let tape = Tape::eval();
///     tape.input(Tensor::scalar(1.0f32))
/// };
/// x.value();
/// ```
///
/// nor cross to another thread:
///
/// ```compile_fail
/// use autograd::{Tape, Tensor};
/// let tape = Tape::eval();
/// let x = tape.input(Tensor::scalar(1.0f32));
/// std::thread::scope(|scope| { scope.spawn(|| x.value()); });
/// ```
pub struct Tape<T: Float = f32> {
    pub(crate) id: TapeId,
    mode: Mode,
    seed: Seed,
    explained: bool,
    pub(crate) swept: Cell<bool>,
    fault: Cell<Option<&'static Fault>>,
    /// Nodes that fused ops have saved.
    saved: Cell<u64>,
    pub(crate) arena: RefCell<Arena<T>>,
    /// `None` where no clock is to be read.
    pub(crate) profile: Option<RefCell<Profile>>,
}

/// What a tape is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Train,
    Eval,
    Infer,
}

/// The nodes in order of execution: every node stands after its inputs.
pub(crate) struct Arena<T: Float> {
    pub(crate) nodes: Vec<Node<T>>,
    pub(crate) params: HashMap<ParamId, NodeId>,
}

pub(crate) struct Node<T: Float> {
    /// `None` once a backward sweep has passed.
    pub(crate) value: Option<Tensor<T>>,
    pub(crate) shape: Shape,
    /// How to go back; `None` for leaves, and where no gradient flows.
    pub(crate) record: Option<Box<dyn Record<T>>>,
    pub(crate) needs_grad: bool,
    pub(crate) name: &'static str,
    pub(crate) label: Option<String>,
    pub(crate) location: &'static Location<'static>,
}

/// Tells tapes apart within this process, also those that are gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct TapeId(u64);

/// The place of a value on its tape, counted from 0 in order of execution. It is of that tape: nodes of two tapes are never
/// equal, and a tape refuses the nodes of others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    pub(crate) tape: TapeId,
    index: u32,
}

impl NodeId {
    /// The number as an index.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("#{}", self.index))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.index)
    }
}

/// An op on the tape, whatever its number of inputs.
pub(crate) trait Record<T: Float> {
    fn op(&self) -> &dyn Any;
    fn debug(&self) -> String;
    fn rule(&self) -> &'static str;
    fn parents(&self) -> &[NodeId];
    /// Computes the output again from other inputs.
    fn rerun(&self, inputs: &[&Tensor<T>]) -> Tensor<T>;
    /// Moves the upstream gradient of node `id` into the gradients of its inputs.
    fn backward(&self, nodes: &[Node<T>], id: usize, dy: &Tensor<T>, grads: &mut [Option<Tensor<T>>]);
}

struct Recorded<O, S, const N: usize> {
    op: O,
    saved: S,
    parents: [NodeId; N],
    fault: Option<&'static Fault>,
}

impl<T: Float, O: Op<T, N>, const N: usize> Record<T> for Recorded<O, O::Saved, N> {
    fn op(&self) -> &dyn Any {
        &self.op
    }

    fn debug(&self) -> String {
        format!("{:?}", self.op)
    }

    fn rule(&self) -> &'static str {
        O::RULE
    }

    fn parents(&self) -> &[NodeId] {
        &self.parents
    }

    fn rerun(&self, inputs: &[&Tensor<T>]) -> Tensor<T> {
        self.op.forward(std::array::from_fn(|i| inputs[i])).0
    }

    fn backward(&self, nodes: &[Node<T>], id: usize, dy: &Tensor<T>, grads: &mut [Option<Tensor<T>>]) {
        let held = |id: usize| {
            nodes[id]
                .value
                .as_ref()
                .unwrap_or_else(|| unreachable!("the sweep frees a node after its last reader"))
        };
        let mut slots = self.parents.map(|parent| {
            let node = &nodes[parent.index()];
            // A fault wants to see what this op adds, apart from what others have.
            let grad = if self.fault.is_none() { grads[parent.index()].take() } else { None };
            Slot { grad, shape: node.shape, needed: node.needs_grad, device: dy.device() }
        });
        let (inputs, output) = (self.parents.map(|parent| held(parent.index())), held(id));
        self.op.backward(&self.saved, Backward { inputs, output, dy, grads: &mut slots });
        if let Some(fault) = self.fault {
            fault.distort(&self.op, &inputs, [output, dy], &mut slots);
        }
        for (parent, slot) in self.parents.iter().zip(slots) {
            let Some(contribution) = slot.grad else { continue };
            // The same node may be two inputs of one op (x·x): only the first slot held what was there before.
            let grad = &mut grads[parent.index()];
            match grad {
                Some(sum) => contribution.kernels().add_assign(&contribution, sum),
                None => *grad = Some(contribution),
            }
        }
    }
}

impl<T: Float> Tape<T> {
    fn new(mode: Mode, seed: Seed) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let arena = Arena { nodes: Vec::with_capacity(128), params: HashMap::new() };
        Self {
            id: TapeId(NEXT.fetch_add(1, Ordering::Relaxed)),
            mode,
            seed,
            explained: false,
            swept: Cell::new(false),
            fault: Cell::new(None),
            saved: Cell::new(0),
            arena: RefCell::new(arena),
            profile: None,
        }
    }

    /// A tape to train with: it records, and dropout drops, with masks drawn from `seed`.
    pub fn train(seed: impl Into<Seed>) -> Self {
        Self::new(Mode::Train, seed.into())
    }

    /// A tape that records, without dropout: to look at gradients and to check them.
    pub fn eval() -> Self {
        Self::new(Mode::Eval, 0.into())
    }

    /// A tape that records nothing: to translate and to measure.
    pub fn infer() -> Self {
        Self::new(Mode::Infer, 0.into())
    }

    /// This tape, empty, on which fused ops are recorded as their explained twins: the small ops that they are made of,
    /// each with its value and its gradient to look at. Packed rows of attention have no twin and stay fused.
    #[must_use]
    pub fn explained(self) -> Self {
        Self { explained: true, ..self }
    }

    /// Whether fused ops are recorded as their explained twins.
    pub fn explains(&self) -> bool {
        self.explained
    }

    /// This tape, empty, which from now on measures the time that its ops take.
    #[must_use]
    pub fn profiled(self) -> Self {
        Self { profile: Some(RefCell::default()), ..self }
    }

    /// The times of its ops so far; empty unless it was made [`profiled`](Self::profiled).
    pub fn profile(&self) -> Profile {
        self.profile.as_ref().map_or_else(Profile::default, |profile| profile.borrow().clone())
    }

    /// Whether dropout drops.
    pub fn is_training(&self) -> bool {
        self.mode == Mode::Train
    }

    /// Whether a backward pass is possible.
    pub fn records(&self) -> bool {
        self.mode != Mode::Infer
    }

    /// Plants a bug in every op recorded from here on that it is a bug of, to see whether a check finds it.
    pub fn plant(&self, fault: &'static Fault) {
        self.fault.set(Some(fault));
    }

    /// The way in which a planted fault makes the sweep lose gradients.
    pub(crate) fn slip(&self) -> Option<Slip> {
        self.fault.get()?.slip()
    }

    /// The name of the node at this place.
    pub(crate) fn node(&self, index: usize) -> NodeId {
        NodeId { tape: self.id, index: index as u32 }
    }

    /// The number of nodes so far.
    pub fn len(&self) -> usize {
        self.arena.borrow().nodes.len()
    }

    /// Whether nothing has been recorded yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key of the random numbers of the next node: a function of the tape's seed and the node's place. An op that fuses
    /// several counts for as many ([`fused`](Self::fused)).
    pub fn next_key(&self) -> Key {
        self.seed.at(self.len() as u64 + self.saved.get())
    }

    /// Says that the last node has saved so many that its explained twin would take, so that what later nodes draw does not
    /// depend on whether ops are fused.
    pub(crate) fn fused(&self, saves: u64) {
        self.saved.set(self.saved.get() + saves);
    }

    /// A value that no gradient is wanted of: data.
    #[track_caller]
    pub fn constant(&self, value: Tensor<T>) -> Var<'_, T> {
        self.leaf("constant", value, false)
    }

    /// A value whose gradient [`Gradients::wrt`](crate::Gradients::wrt) will give.
    #[track_caller]
    pub fn input(&self, value: Tensor<T>) -> Var<'_, T> {
        self.leaf("input", value, self.records())
    }

    /// A trainable parameter. Its value is shared, not copied; asked for again, the same node comes back, so that the
    /// contributions of tied weights add. No gradient flows into one that is [frozen](Param::freeze).
    #[track_caller]
    pub fn param(&self, param: &Param<T>) -> Var<'_, T> {
        let known = self.arena.borrow().params.get(&param.id()).copied();
        if let Some(id) = known {
            if self.slip() != Some(Slip::Untie) {
                return Var { tape: self, id };
            }
            crate::faults::act();
        }
        let var = self.leaf("param", param.value().clone(), self.records() && !param.is_frozen());
        self.arena.borrow_mut().params.insert(param.id(), var.id);
        var
    }

    #[track_caller]
    fn leaf(&self, name: &'static str, value: Tensor<T>, needs_grad: bool) -> Var<'_, T> {
        self.push(name, value, None, needs_grad)
    }

    /// A value computed in a way of its own, with no way back: only for tapes that record nothing.
    #[track_caller]
    pub(crate) fn computed(&self, name: &'static str, value: Tensor<T>) -> Var<'_, T> {
        assert!(!self.records(), "{name}: this way to compute it is for tapes that record nothing");
        self.push(name, value, None, false)
    }

    /// Runs an op on the values of `inputs` and records it. Every op's method on [`Var`] comes down to this.
    ///
    /// # Panics
    /// Where an input belongs to another tape, or its value was freed by a backward sweep.
    #[track_caller]
    pub fn apply<'t, O: Op<T, N>, const N: usize>(
        &'t self,
        mut op: O,
        inputs: [Var<'t, T>; N],
    ) -> Var<'t, T> {
        for input in inputs {
            assert!(std::ptr::eq(input.tape, self), "{}: an input belongs to another tape", O::NAME);
            // Here and not only below, where one that was freed would not be said to be so at the caller's line.
            let _ = input.value();
        }
        let values = inputs.map(Var::value);
        let fault = self.fault.get().filter(|fault| fault.op == O::NAME);
        if let Some(fault) = fault {
            fault.alter(&mut op, &values.each_ref().map(Tensor::shape));
        }
        let start = self.profile.as_ref().map(|_| Instant::now());
        let (output, saved) = op.forward(values.each_ref());
        if let (Some(profile), Some(start)) = (&self.profile, start) {
            profile.borrow_mut().add_forward(O::NAME, start.elapsed());
        }
        let needs_grad = self.records() && inputs.iter().any(|input| input.needs_grad());
        let record: Option<Box<dyn Record<T>>> = if needs_grad {
            Some(Box::new(Recorded { op, saved, parents: inputs.map(|input| input.id), fault }))
        } else {
            None
        };
        self.push(O::NAME, output, record, needs_grad)
    }

    #[track_caller]
    fn push(
        &self,
        name: &'static str,
        value: Tensor<T>,
        record: Option<Box<dyn Record<T>>>,
        needs_grad: bool,
    ) -> Var<'_, T> {
        let nodes = &mut self.arena.borrow_mut().nodes;
        assert!(u32::try_from(nodes.len()).is_ok(), "{name}: a tape holds at most {} nodes", u32::MAX);
        let id = self.node(nodes.len());
        let (shape, location) = (value.shape(), Location::caller());
        nodes.push(Node { value: Some(value), shape, record, needs_grad, name, label: None, location });
        Var { tape: self, id }
    }
}

impl<T: Float> fmt::Debug for Tape<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tape<{}> {{ {:?}, {} nodes }}", T::NAME, self.mode, self.len())
    }
}

/// A value on a tape: a `Copy` handle whose methods are the ops.
pub struct Var<'t, T: Float = f32> {
    pub(crate) tape: &'t Tape<T>,
    pub(crate) id: NodeId,
}

impl<T: Float> Clone for Var<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Float> Copy for Var<'_, T> {}

impl<'t, T: Float> Var<'t, T> {
    /// The tape it lies on.
    pub fn tape(self) -> &'t Tape<T> {
        self.tape
    }

    /// Its place on the tape.
    pub fn id(self) -> NodeId {
        self.id
    }

    /// The sizes of its axes.
    pub fn shape(self) -> Shape {
        self.tape.arena.borrow().nodes[self.id.index()].shape
    }

    /// Its value, shared.
    ///
    /// # Panics
    /// Where a backward sweep has freed it.
    #[track_caller]
    pub fn value(self) -> Tensor<T> {
        let arena = self.tape.arena.borrow();
        let node = &arena.nodes[self.id.index()];
        match &node.value {
            Some(value) => value.clone(),
            None => {
                panic!("value: {} {} was freed by the backward sweep; read it before", self.id, node.name)
            }
        }
    }

    /// The name of its op, or `param`, `input`, `constant`.
    pub(crate) fn name(self) -> &'static str {
        self.tape.arena.borrow().nodes[self.id.index()].name
    }

    /// Whether a gradient flows into it.
    pub fn needs_grad(self) -> bool {
        self.tape.arena.borrow().nodes[self.id.index()].needs_grad
    }

    /// Names it in tables and graphs.
    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        self.tape.arena.borrow_mut().nodes[self.id.index()].label = Some(label.into());
        self
    }
}

impl<T: Float> fmt::Debug for Var<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arena = self.tape.arena.borrow();
        let node = &arena.nodes[self.id.index()];
        write!(f, "{} {} {}", self.id, node.name, node.shape)
    }
}

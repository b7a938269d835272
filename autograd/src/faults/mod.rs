//! Planted bugs: wrong rules and wrong masks, such as people really write, to see whether a check finds them.
//!
//! A check that has never failed proves little. [`Tape::plant`] puts one fault on a tape, and whatever is recorded there
//! afterwards has it. The tests plant each of them in turn and demand that the checks of this project find it; what the
//! usual weaker checks find is counted beside it, in `docs/mutation-score.md`.
//!
//! ```
//! use autograd::{Tensor, faults, gradcheck, rng::Stream};
//! let fault = faults::named("softmax", "no inner product").unwrap();
//! let x = Tensor::normal([2, 3], 1.0, &mut Stream::new(1));
//! let check = gradcheck(|tape, [x]| { tape.plant(fault); x.softmax() }, [x]);
//! assert!(check.unwrap_err().culprit.unwrap().contains("softmax"));
//! ```
//!
//! Wrong rules are written in `f64` and cast to the tape's number type, so second derivatives do not pass through them.

use std::any::Any;
use std::cell::Cell;
use std::fmt;

use crate::tape::{Tape, Var};
use crate::{Float, Shape, Slot, Tensor};

mod arithmetic;
mod attention;
mod loss;
mod moving;
mod normalisation;
mod pointwise;
mod products;

/// A bug that can be planted on a tape.
pub struct Fault {
    /// The name of the op that has it, or `sweep` for a fault of the backward pass as a whole.
    pub op: &'static str,
    /// What it is called among the faults of its op: `no inner product`.
    pub name: &'static str,
    /// What is wrong, in a sentence.
    pub what: &'static str,
    /// The proof that it is no bug at all, where it is not: the gradient is the same by mathematics. No check may find it.
    pub equivalent: Option<&'static str>,
    kind: Kind,
}

/// Where a fault acts.
#[derive(Clone, Copy)]
enum Kind {
    /// Replaces what the op's rule adds to its inputs.
    Rule(fn(&mut Pass<'_>)),
    /// Changes the op's settings before it runs, so that forward and backward pass are wrong together. It is given the
    /// shapes of the inputs.
    Setting(fn(&mut dyn Any, &[Shape])),
    /// Loses gradients between ops.
    Sweep(Slip),
}

/// How the sweep loses gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slip {
    /// Of a value with several readers only the contribution that comes last counts.
    Overwrite,
    /// Each use of a parameter gets a leaf of its own, of which only the last is found again.
    Untie,
}

thread_local! {
    static ACTED: Cell<u64> = const { Cell::new(0) };
}

/// How often planted faults have acted on this thread so far: an op that has the fault was run, or swept, or the sweep came to
/// a place where it loses something. A check during which this number stays the same says nothing of the fault.
pub fn acted() -> u64 {
    ACTED.get()
}

/// Counts that a planted fault has acted.
pub(crate) fn act() {
    ACTED.set(ACTED.get() + 1);
}

/// All faults, by op.
pub fn all() -> impl Iterator<Item = &'static Fault> {
    let of_ops = [
        arithmetic::FAULTS,
        products::FAULTS,
        moving::FAULTS,
        pointwise::FAULTS,
        normalisation::FAULTS,
        attention::FAULTS,
        loss::FAULTS,
    ];
    of_ops.into_iter().flatten().chain(SWEEP)
}

/// The fault of this op and name.
pub fn named(op: &str, name: &str) -> Option<&'static Fault> {
    all().find(|fault| fault.op == op && fault.name == name)
}

static SWEEP: &[Fault] = &[
    slip("overwritten fan-out", "a value read twice keeps the last gradient, not the sum", Slip::Overwrite),
    slip("untied", "a parameter used twice keeps the gradient of one use", Slip::Untie),
];

const fn slip(name: &'static str, what: &'static str, slip: Slip) -> Fault {
    Fault { op: "sweep", name, what, equivalent: None, kind: Kind::Sweep(slip) }
}

const fn rule(op: &'static str, name: &'static str, what: &'static str, f: fn(&mut Pass<'_>)) -> Fault {
    Fault { op, name, what, equivalent: None, kind: Kind::Rule(f) }
}

const fn setting(
    op: &'static str,
    name: &'static str,
    what: &'static str,
    f: fn(&mut dyn Any, &[Shape]),
) -> Fault {
    Fault { op, name, what, equivalent: None, kind: Kind::Setting(f) }
}

impl Fault {
    /// The same, proved to be no bug.
    const fn equivalent(self, proof: &'static str) -> Self {
        let Self { op, name, what, kind, .. } = self;
        Self { op, name, what, equivalent: Some(proof), kind }
    }

    /// Changes an op before it runs.
    pub(crate) fn alter(&self, op: &mut dyn Any, shapes: &[Shape]) {
        if let Kind::Setting(alter) = self.kind {
            act();
            alter(op, shapes);
        }
    }

    /// Changes what the rule of an op has put into empty slots.
    pub(crate) fn distort<T: Float>(
        &self,
        op: &dyn Any,
        inputs: &[&Tensor<T>],
        [output, dy]: [&Tensor<T>; 2],
        slots: &mut [Slot<T>],
    ) {
        let Kind::Rule(rule) = self.kind else { return };
        act();
        let right =
            |slot: &Slot<T>| slot.grad.as_ref().map_or_else(|| Tensor::zeros(slot.shape), Tensor::cast);
        let mut pass = Pass {
            op,
            inputs: inputs.iter().map(|x| x.cast()).collect(),
            output: output.cast(),
            dy: dy.cast(),
            grads: slots.iter().map(right).collect(),
        };
        rule(&mut pass);
        for (slot, wrong) in slots.iter_mut().zip(pass.grads) {
            slot.grad = None;
            slot.add(&wrong.cast());
        }
    }

    /// The way in which it makes the sweep lose gradients.
    pub(crate) fn slip(&self) -> Option<Slip> {
        match self.kind {
            Kind::Sweep(slip) => Some(slip),
            _ => None,
        }
    }
}

/// `softmax: no inner product`
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}: {}", self.op, self.name))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault {{ {self} }}")
    }
}

/// One node in the backward pass, as a wrong rule sees it.
struct Pass<'a> {
    op: &'a dyn Any,
    inputs: Vec<Tensor<f64>>,
    output: Tensor<f64>,
    dy: Tensor<f64>,
    /// What the right rule adds to each input; what stands here afterwards is added instead.
    grads: Vec<Tensor<f64>>,
}

impl Pass<'_> {
    /// The settings of the op.
    fn settings<O: 'static>(&self) -> &O {
        let Some(op) = self.op.downcast_ref() else {
            unreachable!("a fault is planted in ops of its name only")
        };
        op
    }

    /// Applies the rule of another function of the same inputs, for the gradients of those in `which`.
    fn through(
        &mut self,
        which: &[usize],
        f: impl for<'t> Fn(&'t Tape<f64>, &[Var<'t, f64>]) -> Var<'t, f64>,
    ) {
        let tape = Tape::eval();
        let vars: Vec<_> = self.inputs.iter().map(|x| tape.input(x.clone())).collect();
        let gradients = f(&tape, &vars).backward_with(self.dy.clone());
        for &i in which {
            let zeros = || Tensor::zeros(self.inputs[i].shape());
            self.grads[i] = gradients.wrt(vars[i]).cloned().unwrap_or_else(zeros);
        }
    }

    /// Multiplies the gradient of input `i`.
    fn scale(&mut self, i: usize, factor: f64) {
        self.grads[i] = self.grads[i].map(|g| factor * g);
    }

    /// Puts `entry(k)` at entry `k` of the gradient of input `i`.
    fn set(&mut self, i: usize, entry: impl Fn(&Self, usize) -> f64) {
        self.grads[i] = Tensor::from_fn(self.inputs[i].shape(), |k| entry(self, k));
    }
}

/// The settings of the op that is about to run.
fn settings_mut<O: 'static>(op: &mut dyn Any) -> &mut O {
    let Some(op) = op.downcast_mut() else { unreachable!("a fault is planted in ops of its name only") };
    op
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Param, ops};

    #[test]
    fn every_op_has_a_fault_and_every_fault_an_op_and_a_name_of_its_own() {
        for (op, _) in ops::ALL {
            assert!(all().any(|fault| fault.op == *op), "{op} has no fault");
        }
        for fault in all() {
            assert!(fault.op == "sweep" || ops::ALL.iter().any(|(op, _)| *op == fault.op), "{fault}");
            assert!(
                std::ptr::eq(named(fault.op, fault.name).unwrap(), fault),
                "{fault}: the name stands for two"
            );
        }
        assert!(all().filter(|fault| fault.equivalent.is_none()).count() >= 40);
    }

    #[test]
    fn a_fault_acts_on_its_own_op_and_on_its_own_tape() {
        let fault = named("scale", "no factor").unwrap();
        let slope = |planted: bool| {
            let tape = Tape::<f32>::eval();
            if planted {
                tape.plant(fault);
            }
            let x = tape.input(Tensor::scalar(3.0));
            let gradients = (x.scale(5.0) * x).backward();
            gradients.wrt(x).unwrap().item()
        };
        let before = acted();
        assert_eq!((slope(false), acted()), (30.0, before), "nothing is planted");
        assert_eq!((slope(true), acted()), (18.0, before + 1));
    }

    #[test]
    fn the_sweep_loses_gradients_in_both_its_forms() {
        let fault = named("sweep", "overwritten fan-out").unwrap();
        let run = |stepwise: bool| {
            let tape = Tape::<f64>::eval();
            tape.plant(fault);
            let x = tape.input(Tensor::scalar(1.0));
            let y = x.scale(2.0) + x.scale(3.0);
            let gradients = if stepwise { y.steps().finish() } else { y.backward() };
            gradients.wrt(x).unwrap().item()
        };
        assert_eq!((run(false), run(true)), (2.0, 2.0), "the sweep reaches the first use last");
    }

    #[test]
    fn an_untied_parameter_is_two_leaves() {
        let param = Param::new(Tensor::scalar(1.0f64));
        let tape = Tape::eval();
        tape.plant(named("sweep", "untied").unwrap());
        let y = tape.param(&param).scale(2.0) + tape.param(&param).scale(3.0);
        assert_eq!(y.backward().get(&param).unwrap().item(), 3.0);
    }
}

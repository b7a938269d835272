//! All that the author of an op reads: [`Op`], [`Backward`], [`Slot`].

use std::fmt::Debug;

use crate::kernels::{Device, Kernels};
use crate::{Float, Shape, Tensor};

/// A differentiable function of `N` tensors, as an object that the tape can run, print and differentiate.
///
/// ```
/// use autograd::{Backward, Op, Tape, Tensor, gradcheck};
///
/// /// `y = x²`
/// #[derive(Debug)]
/// struct Square;
///
/// impl Op<f64, 1> for Square {
///     type Saved = ();
///     const NAME: &'static str = "square";
///     const RULE: &'static str = "dx += 2x ∘ dy";
///
///     fn forward(&self, [x]: [&Tensor<f64>; 1]) -> (Tensor<f64>, ()) {
///         (x.map(|x| x * x), ())
///     }
///
///     fn backward(&self, _: &(), cx: Backward<'_, f64, 1>) {
///         let ([x], [dx]) = (cx.inputs, cx.grads);
///         dx.add(&Tensor::from_fn(x.shape(), |i| 2.0 * x.as_slice()[i] * cx.dy.as_slice()[i]));
///     }
/// }
///
/// gradcheck(|tape, [x]| tape.apply(Square, [x]), [Tensor::new([3], vec![0.5, -1.0, 2.0])]).unwrap();
/// ```
pub trait Op<T: Float, const N: usize>: Debug + 'static {
    /// What the backward pass needs and cannot read off the inputs and the output.
    type Saved: 'static;
    /// The name in tables, graphs and errors, in lower case: `layer_norm`.
    const NAME: &'static str;
    /// The rule as mathematics, printed by every inspection tool: `dx += y ∘ (dy − ⟨dy, y⟩)`.
    const RULE: &'static str;

    /// Computes the output.
    ///
    /// # Panics
    /// Where shapes do not fit, at the caller's line, naming the op and the shapes.
    #[track_caller]
    fn forward(&self, inputs: [&Tensor<T>; N]) -> (Tensor<T>, Self::Saved);

    /// Adds to each input's gradient what flows into it. There is no default: an op without a rule does not compile.
    fn backward(&self, saved: &Self::Saved, cx: Backward<'_, T, N>);
}

/// What an op's backward pass is given.
#[derive(Debug)]
pub struct Backward<'a, T: Float, const N: usize> {
    /// The inputs of the forward pass.
    pub inputs: [&'a Tensor<T>; N],
    /// Its output, `y`.
    pub output: &'a Tensor<T>,
    /// The upstream gradient, `dy = ∂L/∂y`.
    pub dy: &'a Tensor<T>,
    /// Where the gradient of each input is collected.
    pub grads: &'a mut [Slot<T>; N],
}

/// Collects the gradient of one input. What is added to a slot that nobody needs is not even computed.
#[derive(Debug)]
pub struct Slot<T: Float> {
    pub(crate) grad: Option<Tensor<T>>,
    pub(crate) shape: Shape,
    pub(crate) needed: bool,
    /// Where the gradient lies: with the gradient that flows in.
    pub(crate) device: Device,
}

impl<T: Float> Slot<T> {
    /// Adds a contribution. The first one is shared, not copied.
    ///
    /// # Panics
    /// Where it does not have the input's shape.
    #[track_caller]
    pub fn add(&mut self, contribution: &Tensor<T>) {
        if !self.needed {
            return;
        }
        let shape = contribution.shape();
        assert!(shape == self.shape, "gradient: a contribution of {shape} to an input of {}", self.shape);
        match &mut self.grad {
            Some(grad) => contribution.kernels().add_assign(contribution, grad),
            grad @ None => *grad = Some(contribution.clone()),
        }
    }

    /// Lets `write(out, keep)` add its contribution in place: `out += …` where `keep`, `out = …` where not (`out` then
    /// holds anything, NaN included).
    ///
    /// # Panics
    /// Where the tensors lie on a card.
    #[track_caller]
    pub fn accumulate(&mut self, write: impl FnOnce(&mut [T], bool)) {
        if let Some((out, keep)) = self.open() {
            write(out, keep);
        }
    }

    /// The same with a kernel of the device that the gradient lies on.
    pub(crate) fn write(&mut self, write: impl FnOnce(&dyn Kernels<T>, &mut Tensor<T>, bool)) {
        let device = self.device.clone();
        if let Some((out, keep)) = self.open_tensor() {
            write(device.kernels(), out, keep);
        }
    }

    /// The memory to add to, and whether it holds something to keep, for rules that fill several slots at once; `None`
    /// where the gradient is not needed.
    ///
    /// # Panics
    /// Where the tensors lie on a card.
    #[track_caller]
    pub fn open(&mut self) -> Option<(&mut [T], bool)> {
        self.open_tensor().map(|(tensor, keep)| (tensor.make_mut(), keep))
    }

    /// The same as a tensor.
    pub(crate) fn open_tensor(&mut self) -> Option<(&mut Tensor<T>, bool)> {
        if !self.needed {
            return None;
        }
        let keep = self.grad.is_some();
        let (shape, device) = (self.shape, &self.device);
        let fresh = || Tensor::from_storage(shape, device.kernels().stale(shape.len()));
        Some((self.grad.get_or_insert_with(fresh), keep))
    }

    /// Whether anything upstream wants this gradient.
    pub fn is_needed(&self) -> bool {
        self.needed
    }
}

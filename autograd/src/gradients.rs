//! The result of a backward pass.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::kernels::Norm;
use crate::param::{Param, ParamId, Parameters};
use crate::tape::{NodeId, TapeId, Var};
use crate::threads::in_order;
use crate::{Float, Tensor};

/// The gradients of a loss with respect to the parameters and inputs of its tape.
///
/// Kept in the order in which parameters were made, so that sums over all of them come out the same every time.
#[derive(Clone, Debug)]
pub struct Gradients<T: Float = f32> {
    params: BTreeMap<ParamId, Tensor<T>>,
    inputs: BTreeMap<NodeId, Tensor<T>>,
    origin: Origin,
}

/// What gradients are of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    /// Nothing: there are none.
    Nothing,
    /// A value on this tape.
    Tape(TapeId),
    /// Values on several tapes, whose inputs have nothing to do with each other.
    Sum,
}

impl<T: Float> Default for Gradients<T> {
    fn default() -> Self {
        Self { params: BTreeMap::new(), inputs: BTreeMap::new(), origin: Origin::Nothing }
    }
}

impl<T: Float> Gradients<T> {
    /// No gradients yet of a value on this tape.
    pub(crate) fn of(tape: TapeId) -> Self {
        Self { origin: Origin::Tape(tape), ..Self::default() }
    }

    /// The gradient of a parameter; `None` where the loss does not depend on it.
    pub fn get(&self, param: &Param<T>) -> Option<&Tensor<T>> {
        self.params.get(&param.id())
    }

    /// The gradient of a leaf made with [`Tape::input`](crate::Tape::input); `None` where the loss does not depend on it.
    ///
    /// # Panics
    /// Where it is on another tape than the loss, or these are a [sum](Self::sum), which holds gradients of parameters alone; or
    /// where it is no such leaf, but a parameter, for which there is [`get`](Self::get), or what an op gives, whose gradient
    /// [`Var::steps`] shows.
    #[track_caller]
    pub fn wrt(&self, input: Var<'_, T>) -> Option<&Tensor<T>> {
        match self.origin {
            Origin::Nothing => {}
            Origin::Tape(tape) => {
                assert!(tape == input.id.tape, "gradients: {input:?} is on another tape than the loss");
            }
            Origin::Sum => panic!(
                "gradients: a sum has gradients of parameters alone, not of {input:?}; ask its parts before adding"
            ),
        }
        assert!(
            input.name() == "input" || !input.needs_grad(),
            "gradients: {input:?} is no input; ask for parameters with get, look at ops with steps"
        );
        self.inputs.get(&input.id)
    }

    /// The gradients of `inputs`, then of the parameters of `model`; zeros where the loss does not depend on one.
    #[track_caller]
    pub(crate) fn collect<M: Parameters<T>>(&self, inputs: &[Var<'_, T>], model: &M) -> Vec<Tensor<T>> {
        let of_inputs = inputs.iter().map(|&input| (self.wrt(input), input.shape()));
        let parameters = model.parameters();
        let of_parameters = parameters.iter().map(|(_, param)| (self.get(param), param.value().shape()));
        let all = of_inputs.chain(of_parameters);
        all.map(|(gradient, shape)| gradient.cloned().unwrap_or_else(|| Tensor::zeros(shape))).collect()
    }

    /// The number of parameters that have a gradient.
    pub fn len(&self) -> usize {
        self.params.len()
    }

    /// Whether no parameter has a gradient.
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// The parameter gradients of all parts of a batch, added in the order of the parts on up to `threads` threads, of which
    /// the result does not depend. Gradients of [inputs](Self::wrt), each of a tape of its own, are not in it.
    ///
    /// # Panics
    /// Where two parts have gradients of other shapes for a parameter.
    #[must_use]
    #[track_caller]
    pub fn sum(parts: Vec<Self>, threads: usize) -> Self {
        let mut by_param = BTreeMap::<_, Vec<Tensor<T>>>::new();
        for (id, grad) in parts.into_iter().flat_map(|part| part.params) {
            let grads = by_param.entry(id).or_default();
            let (shape, first) = (grad.shape(), grads.first().map_or(grad.shape(), Tensor::shape));
            assert!(shape == first, "gradients: one part of a sum has {first} where another has {shape}");
            grads.push(grad);
        }
        let (ids, waiting): (Vec<_>, Vec<_>) =
            by_param.into_iter().map(|(id, grads)| (id, Mutex::new(grads))).unzip();
        let sums = in_order(waiting.len(), threads, |k| {
            let mut grads =
                std::mem::take(&mut *waiting[k].lock().unwrap_or_else(PoisonError::into_inner)).into_iter();
            let mut sum = grads.next().unwrap_or_else(|| unreachable!("a parameter is here for a gradient"));
            for grad in grads {
                grad.kernels().add_assign(&grad, &mut sum);
            }
            sum
        });
        Self { params: ids.into_iter().zip(sums).collect(), inputs: BTreeMap::new(), origin: Origin::Sum }
    }

    /// Multiplies every parameter gradient by `factor`.
    pub fn scale(&mut self, factor: f64) {
        for grad in self.params.values_mut() {
            *grad = grad.alike(grad.shape(), |kernels, y| kernels.scale(grad, T::of(factor), y, false));
        }
    }

    /// The Euclidean norm of all parameter gradients together, summed in `f64`.
    pub fn norm(&self) -> f64 {
        self.norm_on(1).value()
    }

    /// The same on up to `threads` threads, of which the result does not depend; a card may still be at it.
    pub fn norm_on(&self, threads: usize) -> Norm<T> {
        let grads: Vec<&Tensor<T>> = self.params.values().collect();
        grads.first().map_or(Norm::of(0.0), |first| first.kernels().norm(&grads, threads))
    }

    /// Scales all gradients down so that their norm is at most `limit`; gives the norm they had (Pascanu et al., "On
    /// the difficulty of training recurrent neural networks", 2013). A norm that is not finite is left as it is.
    ///
    /// # Panics
    /// Where the limit is negative or not a number.
    #[track_caller]
    pub fn clip_norm(&mut self, limit: f64) -> f64 {
        assert!(limit >= 0.0, "clip_norm: the limit {limit} is not a number from 0 up");
        let norm = self.norm();
        if norm > limit && norm.is_finite() {
            self.scale(limit / norm);
        }
        norm
    }

    pub(crate) fn of_param(&self, param: ParamId) -> Option<&Tensor<T>> {
        self.params.get(&param)
    }

    pub(crate) fn insert(&mut self, param: ParamId, grad: Tensor<T>) {
        self.params.insert(param, grad);
    }

    pub(crate) fn insert_input(&mut self, node: NodeId, grad: Tensor<T>) {
        self.inputs.insert(node, grad);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Gradients, Param, Tape, Tensor};

    #[test]
    fn a_gradient_is_of_an_input_of_the_tape_of_its_loss() {
        let tape = Tape::<f64>::eval();
        let x = tape.input(Tensor::scalar(3.0));
        let unused = tape.input(Tensor::scalar(1.0));
        let gradients = (x * x).backward();
        assert_eq!(gradients.wrt(x).map(Tensor::item), Some(6.0));
        assert_eq!(gradients.wrt(unused), None, "the loss does not depend on it");
        assert_eq!(Gradients::default().wrt(x), None, "of nothing");
    }

    #[test]
    #[should_panic(expected = "gradients: #0 input [] is on another tape than the loss")]
    fn the_gradient_of_a_variable_of_another_tape_is_refused() {
        let [one, two] = [Tape::<f64>::eval(), Tape::eval()];
        let (a, b) = (one.input(Tensor::scalar(3.0)), two.input(Tensor::scalar(5.0)));
        (a * a).backward().wrt(b);
    }

    #[test]
    #[should_panic(expected = "gradients: #1 mul [] is no input")]
    fn what_an_op_gives_has_no_gradient_to_hand_out() {
        let tape = Tape::<f64>::eval();
        let x = tape.input(Tensor::scalar(3.0));
        let y = x * x;
        (y * y).backward().wrt(y);
    }

    #[test]
    #[should_panic(expected = "gradients: #0 param [] is no input")]
    fn a_parameter_is_asked_for_by_itself() {
        let (tape, param) = (Tape::<f64>::eval(), Param::new(Tensor::scalar(3.0)));
        let x = tape.param(&param);
        (x * x).backward().wrt(x);
    }

    #[test]
    #[should_panic(expected = "is on another tape than the loss")]
    fn the_tape_that_comes_after_one_that_is_gone_is_another() {
        let gradients = {
            let tape = Tape::<f64>::eval();
            let x = tape.input(Tensor::scalar(3.0));
            (x * x).steps().finish()
        };
        let tape = Tape::<f64>::eval();
        gradients.wrt(tape.input(Tensor::scalar(3.0)));
    }

    #[test]
    #[should_panic(expected = "gradients: a sum has gradients of parameters alone, not of #0 input []")]
    fn a_sum_of_gradients_has_none_of_inputs() {
        let tape = Tape::<f64>::eval();
        let x = tape.input(Tensor::scalar(3.0));
        Gradients::sum(vec![(x * x).backward()], 1).wrt(x);
    }

    #[test]
    #[should_panic(expected = "gradients: one part of a sum has [2] where another has [3]")]
    fn parts_of_other_shapes_are_not_added() {
        let mut weight = Param::new(Tensor::full([2], 1.0f32));
        let of = |weight: &Param| {
            let tape = Tape::eval();
            tape.param(weight).sum().backward()
        };
        let first = of(&weight);
        *weight.value_mut() = Tensor::full([3], 1.0);
        let _ = Gradients::sum(vec![first, of(&weight)], 1);
    }

    #[test]
    #[should_panic(expected = "clip_norm: the limit NaN is not a number from 0 up")]
    fn a_limit_that_is_no_number_is_refused() {
        Gradients::<f32>::default().clip_norm(f64::NAN);
    }
}

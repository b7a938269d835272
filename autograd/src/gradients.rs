//! The result of a backward pass.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::kernels::Norm;
use crate::param::{Param, ParamId, Parameters};
use crate::tape::{NodeId, Var};
use crate::threads::in_order;
use crate::{Float, Tensor};

/// The gradients of a loss with respect to the parameters and inputs of its tape.
///
/// Kept in the order in which parameters were made, so that sums over all of them come out the same every time.
#[derive(Clone, Debug)]
pub struct Gradients<T: Float = f32> {
    params: BTreeMap<ParamId, Tensor<T>>,
    inputs: BTreeMap<NodeId, Tensor<T>>,
}

impl<T: Float> Default for Gradients<T> {
    fn default() -> Self {
        Self { params: BTreeMap::new(), inputs: BTreeMap::new() }
    }
}

impl<T: Float> Gradients<T> {
    /// The gradient of a parameter; `None` where the loss does not depend on it.
    pub fn get(&self, param: &Param<T>) -> Option<&Tensor<T>> {
        self.params.get(&param.id())
    }

    /// The gradient of a leaf made with [`Tape::input`](crate::Tape::input); `None` where the loss does not depend on it.
    pub fn wrt(&self, input: Var<'_, T>) -> Option<&Tensor<T>> {
        self.inputs.get(&input.id)
    }

    /// The gradients of `inputs`, then of the parameters of `model`; zeros where the loss does not depend on one.
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
    /// the result does not depend.
    #[must_use]
    pub fn sum(parts: Vec<Self>, threads: usize) -> Self {
        let mut by_param = BTreeMap::<_, Vec<Tensor<T>>>::new();
        for (id, grad) in parts.into_iter().flat_map(|part| part.params) {
            by_param.entry(id).or_default().push(grad);
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
        Self { params: ids.into_iter().zip(sums).collect(), inputs: BTreeMap::new() }
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
    /// the difficulty of training recurrent neural networks", 2013).
    pub fn clip_norm(&mut self, limit: f64) -> f64 {
        let norm = self.norm();
        if norm > limit {
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

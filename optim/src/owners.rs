//! Whose state an optimiser keeps, and what all optimisers ask of a step.

use std::collections::BTreeMap;

use autograd::{Float, Gradients, Param, Shape, WeakParam};

/// Which parameters the state of an optimiser belongs to, since its first step with them.
///
/// State is found by path, so that checkpoints can hold it, and a path may be that of several parameters: of the same field
/// of two models, or the empty one of parameters that are stepped by themselves. So an optimiser remembers the parameter
/// that it has seen at each path. It refuses another one, but for a copy where the first is gone.
///
/// State that was loaded belongs to nobody until a parameter of its path comes. So does that of a copy of an optimiser,
/// which is made to go on with a copy of the model.
#[derive(Debug, Default)]
pub struct Owners(BTreeMap<String, Owner>);

#[derive(Debug)]
struct Owner {
    param: WeakParam,
    shape: Shape,
}

/// Nobody's.
impl Clone for Owners {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Owners {
    /// Gives the state at this path to the parameter.
    ///
    /// # Panics
    /// Where it is another's.
    #[track_caller]
    pub(crate) fn claim<T: Float>(&mut self, optimiser: &str, path: &str, param: &Param<T>) {
        let (id, shape) = (param.id(), param.value().shape());
        match self.0.get_mut(path) {
            Some(Owner { param: owner, .. }) if owner.id() == id => {}
            Some(Owner { param: owner, shape: its }) => {
                assert!(
                    owner.is(param),
                    "{optimiser}: the state at {path:?} is that of parameter {} {its}, not of {id} {shape}; one of them \
                     needs an optimiser of its own, or a clone of this one",
                    owner.id()
                );
                *owner = param.downgrade();
            }
            None => {
                self.0.insert(path.to_owned(), Owner { param: param.downgrade(), shape });
            }
        }
    }
}

/// A parameter that a step moves, with its path and its gradient.
pub(crate) type Moving<'m, 'g, T> = (String, &'m mut Param<T>, &'g autograd::Tensor<T>);

/// The parameters that a step moves: those that have a gradient.
///
/// # Panics
/// Where there are gradients, but none of a parameter that is not frozen; or one of another shape than its parameter.
#[track_caller]
pub(crate) fn moving<'m, 'g, T: Float>(
    optimiser: &str,
    parameters: Vec<(String, &'m mut Param<T>)>,
    gradients: &'g Gradients<T>,
) -> Vec<Moving<'m, 'g, T>> {
    let free = parameters.iter().filter(|(_, param)| !param.is_frozen()).count();
    let mut moving = Vec::with_capacity(parameters.len());
    for (path, param) in parameters {
        let Some(gradient) = gradients.get(param) else { continue };
        let (shape, its) = (param.value().shape(), gradient.shape());
        assert_eq!(its, shape, "{optimiser}: the gradient of {path:?} is {its}, and the parameter {shape}");
        moving.push((path, param, gradient));
    }
    assert!(
        !moving.is_empty() || free == 0 || gradients.is_empty(),
        "{optimiser}: the gradients are those of {} other parameters, and of none of the {free} to be moved",
        gradients.len()
    );
    moving
}

/// The rate in the numbers of the parameters.
///
/// # Panics
/// Where it is negative or not finite there.
#[track_caller]
pub(crate) fn rate_of<T: Float>(optimiser: &str, rate: f64) -> T {
    let of = T::of(rate);
    assert!(rate >= 0.0 && of.is_finite(), "{optimiser}: the rate {rate} is not a finite number from 0 up");
    of
}

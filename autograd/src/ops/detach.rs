//! The one way to stop a gradient, visible on the tape.

use crate::tape::Var;
use crate::{Backward, Float, Op, Tensor};

/// `y = x`, through which no gradient flows.
///
/// A value without a rule cannot be put on a tape by accident; this is the only op whose rule is to add nothing.
#[derive(Debug)]
pub struct Detach;

impl<T: Float> Op<T, 1> for Detach {
    type Saved = ();
    const NAME: &'static str = "detach";
    const RULE: &'static str = "dx += 0";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        (x.clone(), ())
    }

    fn backward(&self, _: &(), _: Backward<'_, T, 1>) {}
}

impl<'t, T: Float> Var<'t, T> {
    /// The value, with no gradient flowing back through it.
    #[track_caller]
    pub fn detach(self) -> Self {
        self.tape.apply(Detach, [self])
    }
}

cases! {
    // The factor that is detached is no function of x any more, so differences are taken of the other alone.
    "detach" [[2, 3]] |tape, x| x + tape.constant(x.value().zeros_like()).detach();
}

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn no_gradient_flows_through_detach() {
        let tape = Tape::<f64>::eval();
        let x = tape.input(Tensor::scalar(3.0));
        let gradients = (x * x.detach()).backward();
        assert_eq!(gradients.wrt(x).unwrap().item(), 3.0, "d(x·3)/dx, not d(x²)/dx");
    }
}

//! Which gradients of a Transformer are zero, and why: the one place that says so.

use autograd::Float;

use crate::transformer::Transformer;

impl<T: Float> Transformer<T> {
    /// Why the gradient of the parameter at `path` is zero whatever the weights and the batch are, where it is; for
    /// [`audit`](autograd::audit()), which refuses any other gradient of zero.
    ///
    /// * `k_proj.bias` of every attention: a shift `b` of all keys moves the score of each by the same `⟨q, b⟩`, and
    ///   softmax does not see what is added to all scores of a query.
    ///
    /// Rows of a table of words or positions that a batch does not use get zeros too, but a table is one parameter, whose
    /// other rows learn; it needs no excuse.
    pub fn zero_by_mathematics(&self, path: &str) -> Option<&'static str> {
        path.ends_with("_attn.k_proj.bias")
            .then_some("softmax does not see what a key's bias adds to all scores")
    }
}

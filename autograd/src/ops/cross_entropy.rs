//! Cross-entropy of logits with label smoothing and an ignored label.

use crate::kernels::Labels;
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Ids, Shape, Tensor};

/// The weighted sum over rows of `(1 − ε)(lse(x) − x_t) + ε(lse(x) − mean(x))`, with `lse(x) = ln Σ e^{xⱼ}`: the
/// cross-entropy with a target distribution that puts `1 − ε` on the label `t` and spreads `ε` evenly (Szegedy et al.,
/// "Rethinking the Inception architecture", 2016). Rows whose label is `ignore` count for nothing and get no gradient.
///
/// Input: logits `[.., V]`; output: a scalar.
#[derive(Debug)]
pub struct CrossEntropy {
    /// The label of every row.
    pub targets: Ids,
    /// ε, the share spread over all classes.
    pub smoothing: f64,
    /// The label whose rows do not count.
    pub ignore: Option<u32>,
    /// What the sum over rows is multiplied by.
    pub weight: f64,
}

/// No vocabulary is as large as this: the label to ignore where none is.
pub(super) const NOTHING: u32 = u32::MAX;

impl CrossEntropy {
    fn labels(&self) -> Labels<'_> {
        let &Self { ref targets, smoothing, ignore, weight } = self;
        Labels { targets, smoothing, ignore: ignore.unwrap_or(NOTHING), weight }
    }
}

impl<T: Float> Op<T, 1> for CrossEntropy {
    /// `lse(x)` of every row.
    type Saved = Tensor<T>;
    const NAME: &'static str = "cross_entropy";
    const RULE: &'static str = "dx += w·dy·(softmax(x) − (1 − ε)·onehot(t) − ε/V)";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, Tensor<T>) {
        let shape = x.shape();
        let leading = &shape[..shape.rank().saturating_sub(1)];
        check_labels("cross_entropy", leading, shape, &self.targets, self.ignore);
        check_smoothing("cross_entropy", self.smoothing);
        let mut lse = x.alike([x.shape().rows()], |_, _| {});
        (x.alike([], |kernels, loss| kernels.cross_entropy(x, self.labels(), loss, &mut lse)), lse)
    }

    fn backward(&self, lse: &Tensor<T>, cx: Backward<'_, T, 1>) {
        let ([x], [dx]) = (cx.inputs, cx.grads);
        dx.write(|kernels, out, keep| {
            kernels.cross_entropy_backward((x, lse), self.labels(), cx.dy, out, keep);
        });
    }
}

/// Panics where labels are not of these leading axes, or of all rows in one, or where one is outside the classes.
#[track_caller]
pub(super) fn check_labels(op: &str, leading: &[usize], logits: Shape, targets: &Ids, ignore: Option<u32>) {
    let (rows, n) = (logits.rows(), logits.last());
    let labels = targets.as_slice();
    assert!(labels.len() == rows, "{op}: {} labels for the {rows} rows of {logits}", labels.len());
    let shape = targets.shape();
    let fits = shape.as_slice() == leading || shape.rank() == 1;
    assert!(fits, "{op}: labels of {shape} are not for rows of {leading:?}");
    if let Some(label) = labels.iter().find(|&&label| label as usize >= n && Some(label) != ignore) {
        panic!("{op}: label {label} is not among the {n} classes of {logits}");
    }
}

#[track_caller]
pub(super) fn check_smoothing(op: &str, smoothing: f64) {
    assert!((0.0..1.0).contains(&smoothing), "{op}: the smoothing {smoothing} is not in [0, 1)");
}

/// 1 / the number of labels that count; 0 where none does.
pub(super) fn mean_weight(targets: &Ids, ignore: Option<u32>) -> f64 {
    match targets.as_slice().iter().filter(|&&label| Some(label) != ignore).count() {
        0 => 0.0,
        count => 1.0 / count as f64,
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// The mean cross-entropy, in nats, of these logits `[.., V]` with `targets [..]`, over the rows whose label is not
    /// `ignore`. Labels may also be in one axis.
    ///
    /// # Panics
    /// Where there is not one label for each row, one is outside the classes, or the smoothing is not in `[0, 1)`.
    #[track_caller]
    pub fn cross_entropy(self, targets: &Ids, smoothing: f64, ignore: Option<u32>) -> Self {
        self.cross_entropy_weighted(targets, smoothing, ignore, mean_weight(targets, ignore))
    }

    /// `weight` times the sum of the cross-entropies of all rows whose label is not `ignore`. Parts of a batch that are
    /// given the same weight add up to the loss of the whole.
    ///
    /// # Panics
    /// Where [`cross_entropy`](Self::cross_entropy) does.
    #[track_caller]
    pub fn cross_entropy_weighted(
        self,
        targets: &Ids,
        smoothing: f64,
        ignore: Option<u32>,
        weight: f64,
    ) -> Self {
        self.tape.apply(CrossEntropy { targets: targets.clone(), smoothing, ignore, weight }, [self])
    }
}

cases! {
    "cross_entropy" [[2, 3, 7]] |tape, x| x.cross_entropy(&Ids::new([2, 3], [1, 0, 6, 2, 2, 0]), 0.1, Some(0));
    "cross_entropy, plain" [[4, 5]] |tape, x| x.cross_entropy(&Ids::new([4], [1, 0, 4, 2]), 0.0, None);
}

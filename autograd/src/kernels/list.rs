//! The list of what a device must be able to do.

use super::Storage;
use super::cpu::adam::AdamStep;
use super::cpu::broadcast::Binary;
use crate::ops::attention::Attention;
use crate::{Float, Ids, Key, MAX_RANK, Param, Shape, Tensor};

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `x·½(1 + tanh(√(2/π)(x + 0.044715x³)))`
    Gelu,
    /// `x / (1 + e⁻ˣ)`
    Silu,
}

/// How entries of an array are walked: entry `i, j, …` is at `start + i·strides[0] + j·strides[1] + …`.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Where the first entry is.
    pub start: usize,
    /// The way from one entry to the next along each axis.
    pub strides: [usize; MAX_RANK],
}

impl Layout {
    /// All entries of an array of this shape, row by row.
    pub(crate) fn rows(shape: Shape) -> Self {
        Self { start: 0, strides: shape.strides() }
    }
}

/// A factor of a product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factor<'a, T: Float> {
    /// The matrices, rows one after the other.
    pub(crate) tensor: &'a Tensor<T>,
    /// Whether their transposes are multiplied.
    pub(crate) transposed: bool,
    /// Entries from one matrix to the next; 0 where all products share one.
    pub(crate) step: usize,
}

impl<'a, T: Float> Factor<'a, T> {
    /// One matrix.
    pub(crate) fn of(tensor: &'a Tensor<T>) -> Self {
        Self { tensor, transposed: false, step: 0 }
    }

    /// What is multiplied is the transpose of what was.
    pub(crate) fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }
}

/// `C (+)= A·B`, several times: A `[m, k]`, B `[k, n]`, C `[m, n]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product<'a, T: Float> {
    /// `(m, k, n)`
    pub(crate) size: (usize, usize, usize),
    /// How many products.
    pub(crate) batch: usize,
    /// A
    pub(crate) a: Factor<'a, T>,
    /// B
    pub(crate) b: Factor<'a, T>,
    /// From one result to the next; 0 where all are added to one.
    pub(crate) step: usize,
}

/// What a cross-entropy compares with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels<'a> {
    /// The class of every row.
    pub(crate) targets: &'a Ids,
    /// The label whose rows do not count; `u32::MAX` where all do.
    pub(crate) ignore: u32,
    /// ε, the share of probability that is spread over all classes.
    pub(crate) smoothing: f64,
    /// What the sum over rows is multiplied by.
    pub(crate) weight: f64,
}

/// What attention was given and what it gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attended<'a, T: Float> {
    /// Queries, keys and values.
    pub(crate) qkv: [&'a Tensor<T>; 3],
    /// The output.
    pub(crate) o: &'a Tensor<T>,
    /// The logarithms of the sums of exponentials, `[N, H]`.
    pub(crate) lse: &'a Tensor<T>,
}

/// Rows in a tensor, from one of them on.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, T: Float> {
    /// `[.., D]`
    pub tensor: &'a Tensor<T>,
    /// The number of the first row that is meant.
    pub first: usize,
}

/// The keys and values of S positions, and which of them belong to each of R queries.
#[derive(Clone, Debug)]
pub struct Gathered<'a, T: Float> {
    /// For each position, rows of keys, of all heads side by side: `[S]` of `[.., H·d]`.
    pub keys: Vec<Row<'a, T>>,
    /// For each position, rows of values.
    pub values: Vec<Row<'a, T>>,
    /// For each position, the number of the row that a query sees there: `[S]` of `[R]`.
    pub rows: Vec<&'a [u32]>,
    /// How many positions each query sees, from the first on, `[R]`; all where `None`.
    pub kept: Option<&'a [u32]>,
    /// H
    pub heads: usize,
    /// H·d
    pub width: usize,
}

/// A parameter with its gradient and what Adam remembers of it.
#[derive(Debug)]
pub struct AdamItem<'a, T: Float> {
    /// p
    pub value: &'a mut Tensor<T>,
    /// m
    pub mean: &'a mut Tensor<T>,
    /// v
    pub square: &'a mut Tensor<T>,
    /// g
    pub gradient: &'a Tensor<T>,
    /// Whether it decays.
    pub decays: bool,
}

/// The numbers of a step of Adam. A card reads them from its memory, where they may lie [staged](crate::stage) with a batch:
/// work that it has recorded takes another step where others are put in their place.
#[derive(Clone, Debug)]
pub struct AdamNumbers<T: Float> {
    step: AdamStep<T>,
    ids: Ids,
}

impl<T: Float> AdamNumbers<T> {
    /// The numbers.
    pub fn step(&self) -> &AdamStep<T> {
        &self.step
    }

    /// The bits that a card reads, to [stage](crate::stage).
    pub fn ids(&self) -> &Ids {
        &self.ids
    }
}

impl<T: Float> From<AdamStep<T>> for AdamNumbers<T> {
    fn from(step: AdamStep<T>) -> Self {
        let AdamStep { beta1, beta2, step_size, epsilon, .. } = step;
        let AdamStep { correction2_sqrt, decoupled_decay, l2, grad_scale, .. } = step;
        // In the order of the card's struct.
        let all = [beta1, beta2, step_size, epsilon, correction2_sqrt, decoupled_decay, l2, grad_scale];
        Self { step, ids: all.map(|number| (number.to_f64() as f32).to_bits()).into() }
    }
}

/// What a device must be able to do.
///
/// All tensors of a call lie on that device. An output `y` may hold anything; where there is a `keep`, true adds to what it
/// holds. Shapes were checked by the op.
pub(crate) trait Kernels<T: Float> {
    /// Memory that may hold anything.
    fn stale(&self, len: usize) -> Storage<T>;
    /// `y = value`
    fn fill(&self, value: T, y: &mut Tensor<T>);
    /// `y += x`
    fn add_assign(&self, x: &Tensor<T>, y: &mut Tensor<T>);
    /// `y (+)= factor·x`
    fn scale(&self, x: &Tensor<T>, factor: T, y: &mut Tensor<T>, keep: bool);
    /// `y (+)= factor·x` for a scalar.
    fn scale_by(&self, x: &Tensor<T>, factor: &Tensor<T>, y: &mut Tensor<T>, keep: bool);
    /// `y (+)= value / divisor` in every entry, for a scalar.
    fn spread(&self, value: &Tensor<T>, divisor: f64, y: &mut Tensor<T>, keep: bool);
    /// `y = Σ x / divisor`, a scalar.
    fn sum(&self, x: &Tensor<T>, divisor: f64, y: &mut Tensor<T>);
    /// `y = f(a, b)`, both stretched to `y`.
    fn binary(&self, f: Binary, a: &Tensor<T>, b: &Tensor<T>, y: &mut Tensor<T>);
    /// `dx (+)= Σ dy (∘ factor)` over the axes along which `dx` was stretched to `dy`.
    fn reduce(&self, dy: &Tensor<T>, factor: Option<&Tensor<T>>, dx: &mut Tensor<T>, keep: bool);
    /// `y (+)= x` for entries of these numbers along the axes, each walked in its own way; other entries of `y` stay.
    fn copy(&self, sizes: Shape, x: (&Tensor<T>, Layout), y: (&mut Tensor<T>, Layout), keep: bool);
    /// `y = f(x)`
    fn activation(&self, f: Activation, x: &Tensor<T>, y: &mut Tensor<T>);
    /// `dx (+)= dy ∘ f′(x)`
    fn activation_backward(
        &self,
        f: Activation,
        x: &Tensor<T>,
        dy: &Tensor<T>,
        dx: &mut Tensor<T>,
        keep: bool,
    );
    /// `y = value` where a flag is false, `x` elsewhere.
    fn mask_fill(&self, x: &Tensor<T>, flags: &[bool], value: T, y: &mut Tensor<T>);
    /// `y = x ∘ mask / (1 − p)`, with the mask of `key`.
    fn dropout(&self, x: &Tensor<T>, drop: (f64, &Key), y: &mut Tensor<T>);
    /// `dx (+)= dy ∘ mask / (1 − p)`
    fn dropout_backward(&self, dy: &Tensor<T>, drop: (f64, &Key), dx: &mut Tensor<T>, keep: bool);
    /// `y = x + a ∘ mask / (1 − p)`
    fn residual(&self, x: &Tensor<T>, a: &Tensor<T>, drop: (f64, &Key), y: &mut Tensor<T>);
    /// `y = max(A·B + bias, 0)`, the bias added to every row.
    fn product_relu(&self, product: Product<'_, T>, bias: &Tensor<T>, y: &mut Tensor<T>);
    /// `h = x + a ∘ mask / (1 − p)` and `y = layer_norm(h)`, into `[h, y]`.
    fn residual_layer_norm(
        &self,
        x_and_a: [&Tensor<T>; 2],
        drop: (f64, &Key),
        parameters: [&Tensor<T>; 2],
        epsilon: f64,
        h_and_y: [&mut Tensor<T>; 2],
        moments: [&mut Tensor<T>; 2],
    );
    /// With `dh` as of [`layer_norm_backward`](Self::layer_norm_backward): `dx (+)= dh`, `da (+)= dh ∘ mask / (1 − p)`.
    fn residual_layer_norm_backward(
        &self,
        h_and_gamma: (&Tensor<T>, &Tensor<T>),
        moments: [&Tensor<T>; 2],
        dy: &Tensor<T>,
        drop: (f64, &Key),
        gradients: [Option<(&mut Tensor<T>, bool)>; 2],
    );
    /// `y = γ ∘ x̂ + β` along the last axis, with the mean and `1/√(var + ε)` of every row.
    fn layer_norm(
        &self,
        x: &Tensor<T>,
        parameters: [&Tensor<T>; 2],
        epsilon: f64,
        y: &mut Tensor<T>,
        moments: [&mut Tensor<T>; 2],
    );
    /// `dx (+)= rstd·(g − mean(g) − x̂·mean(g∘x̂))`, `g = γ∘dy`
    fn layer_norm_backward(
        &self,
        x_and_gamma: (&Tensor<T>, &Tensor<T>),
        moments: [&Tensor<T>; 2],
        dy: &Tensor<T>,
        dx: &mut Tensor<T>,
        keep: bool,
    );
    /// `dγ (+)= Σ dy∘x̂`, `dβ (+)= Σ dy`
    fn layer_norm_parameters(
        &self,
        x: &Tensor<T>,
        moments: [&Tensor<T>; 2],
        dy: &Tensor<T>,
        gradients: [Option<(&mut Tensor<T>, bool)>; 2],
    );
    /// `y = softmax(x)` along the last axis, over the entries whose flag is true. A row without any is zero.
    fn softmax(&self, x: &Tensor<T>, flags: Option<&[bool]>, y: &mut Tensor<T>);
    /// `dx (+)= y ∘ (dy − ⟨dy, y⟩)`
    fn softmax_backward(&self, y: &Tensor<T>, dy: &Tensor<T>, dx: &mut Tensor<T>, keep: bool);
    /// The weighted sum of the rows' cross-entropies, and the logarithm of each row's sum of exponentials.
    fn cross_entropy(&self, x: &Tensor<T>, labels: Labels<'_>, loss: &mut Tensor<T>, lse: &mut Tensor<T>);
    /// `dx (+)= weight·dy·(softmax(x) − (1 − ε)·onehot(t) − ε/V)` for the scalar `dy`.
    fn cross_entropy_backward(
        &self,
        x_and_lse: (&Tensor<T>, &Tensor<T>),
        labels: Labels<'_>,
        dy: &Tensor<T>,
        dx: &mut Tensor<T>,
        keep: bool,
    );
    /// The cross-entropy of `x·Wᵀ`, and where wanted its gradients for `dy = 1`, without ever holding all logits.
    fn linear_cross_entropy(
        &self,
        x: &Tensor<T>,
        weight: &Tensor<T>,
        labels: Labels<'_>,
        loss: &mut Tensor<T>,
        gradients: Option<[&mut Tensor<T>; 2]>,
    );
    /// `y[i] = table[ids[i]]`
    fn embedding(&self, table: &Tensor<T>, ids: &Ids, y: &mut Tensor<T>);
    /// `dtable[ids[i]] += dy[i]`, in the order of `i`, after zeroing where not `keep`.
    fn embedding_backward(&self, dy: &Tensor<T>, ids: &Ids, dtable: &mut Tensor<T>, keep: bool);
    /// `C (+)= A·B`
    fn product(&self, product: Product<'_, T>, c: &mut Tensor<T>, keep: bool);
    /// `y = row` in every row.
    fn fill_rows(&self, row: &Tensor<T>, y: &mut Tensor<T>);
    /// `y (+)= ` the sum of the rows of `x`.
    fn sum_rows(&self, x: &Tensor<T>, y: &mut Tensor<T>, keep: bool);
    /// `y = x·Wᵀ + b` where nothing is recorded and `x` has few rows; a row's result does not depend on the others.
    fn linear_by(&self, x: &Tensor<T>, weight: &Param<T>, bias: Option<&Param<T>>, y: &mut Tensor<T>);
    /// `O = dropout(softmax(Q·Kᵀ/√d))·V` per sentence and head, and the logarithms of the sums of exponentials.
    fn attention(&self, settings: &Attention, qkv: [&Tensor<T>; 3], o: &mut Tensor<T>, lse: &mut Tensor<T>);
    /// The gradients of it that are wanted.
    fn attention_backward(
        &self,
        settings: &Attention,
        forward: Attended<'_, T>,
        d_o: &Tensor<T>,
        gradients: [Option<(&mut Tensor<T>, bool)>; 3],
    );
    /// Attention of one query a row over what is gathered.
    fn attention_step(&self, gathered: &Gathered<'_, T>, q: &Tensor<T>, o: &mut Tensor<T>);
    /// The Euclidean norm of all together, on up to `threads` threads.
    fn norm(&self, tensors: &[&Tensor<T>], threads: usize) -> Norm<T>;
    /// One step of Adam on up to `threads` threads: see [`adam()`].
    fn adam(
        &self,
        items: Vec<AdamItem<'_, T>>,
        numbers: &AdamNumbers<T>,
        norm: Option<&Norm<T>>,
        clip: f64,
        threads: usize,
    );
}

/// One step of Adam of parameters that lie on one device: see [`AdamStep`]. Gradients are multiplied by `grad_scale`, and
/// where the norm that they have before is given also by what makes the product at most `clip` long (0 for no limit); where
/// it is not finite, nothing moves. On the processor it runs on up to `threads` threads.
///
/// # Panics
/// Where a parameter, its moments and its gradient do not have one shape.
#[track_caller]
pub fn adam<T: Float>(
    items: Vec<AdamItem<'_, T>>,
    numbers: &AdamNumbers<T>,
    norm: Option<&Norm<T>>,
    clip: f64,
    threads: usize,
) {
    for AdamItem { value, mean, square, gradient, .. } in &items {
        let (shape, others) = (value.shape(), [mean.shape(), square.shape(), gradient.shape()]);
        let [m, v, g] = others;
        assert!(
            others == [shape; 3],
            "adam: a parameter of {shape}, moments of {m} and {v}, a gradient of {g}"
        );
    }
    for AdamItem { value, mean, square, gradient, .. } in &items {
        let (shape, others) = (value.shape(), [mean.shape(), square.shape(), gradient.shape()]);
        let [m, v, g] = others;
        assert!(
            others == [shape; 3],
            "adam: a parameter of {shape}, moments of {m} and {v}, a gradient of {g}"
        );
    }
    if let Some(first) = items.first() {
        first.gradient.kernels().adam(items, numbers, norm, clip, threads);
    }
}

/// The norm of a gradient, which may still be being computed where the gradient lies.
#[derive(Clone, Debug)]
pub struct Norm<T: Float>(Known<T>);

#[derive(Clone, Debug)]
enum Known<T: Float> {
    Here(f64),
    #[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "only a card has one"))]
    There(Tensor<T>),
}

impl<T: Float> Norm<T> {
    /// A norm that is known.
    pub fn of(norm: f64) -> Self {
        Self(Known::Here(norm))
    }

    /// A norm that a card is computing.
    #[cfg(feature = "cuda")]
    pub(crate) fn there(norm: Tensor<T>) -> Self {
        Self(Known::There(norm))
    }

    /// The norm on the card, where it is there.
    #[cfg(feature = "cuda")]
    pub(crate) fn tensor(&self) -> Option<&Tensor<T>> {
        match &self.0 {
            Known::Here(_) => None,
            Known::There(norm) => Some(norm),
        }
    }

    /// This norm where all of `numbers` are finite, and NaN where one is not, so that no step is taken with it.
    #[must_use]
    pub fn where_finite(&self, numbers: &[Tensor<T>]) -> Self {
        match &self.0 {
            Known::Here(norm) => {
                Self::of(if numbers.iter().all(|x| x.item().is_finite()) { *norm } else { f64::NAN })
            }
            Known::There(norm) => {
                let mut norm = norm.alike([], |kernels, y| kernels.scale(norm, T::ONE, y, false));
                // Nought times what is not finite is NaN.
                numbers.iter().for_each(|x| x.kernels().scale(x, T::ZERO, &mut norm, true));
                Self(Known::There(norm))
            }
        }
    }

    /// The number; waits for it where it is not there yet.
    pub fn value(&self) -> f64 {
        match &self.0 {
            Known::Here(norm) => *norm,
            Known::There(norm) => norm.item().to_f64(),
        }
    }

    /// What a vector of this norm is multiplied by to be no longer than `limit`; 1 where that is 0.
    pub fn scale_to(&self, limit: f64) -> f64 {
        let norm = self.value();
        if limit > 0.0 && norm > limit { limit / norm } else { 1.0 }
    }
}

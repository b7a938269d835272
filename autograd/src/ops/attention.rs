//! Scaled dot-product attention over several heads: fused, and explained in small visible ops.

use crate::kernels::cpu::attention::{Geometry, Span};
use crate::kernels::{Attended, Gathered};
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Ids, Keep, Key, Shape, Tensor};

/// `O = dropout(softmax(Q·Kᵀ / √d)) · V` in each of `H` heads (Vaswani et al., "Attention is all you need", 2017, eq. 1).
///
/// Queries `[B, T, H·d]`, keys and values `[B, S, H·d]`, output `[B, T, H·d]`; or, packed, `[N, H·d]` and `[M, H·d]`, the
/// rows of all sentences after each other. Heads are read by stride, and the weights `[B, H, T, S]` never exist as a
/// whole. A query that may see no key gives zeros and gets no gradient.
#[derive(Clone, Debug)]
pub struct Attention {
    /// The number of heads, H.
    pub heads: usize,
    /// How many keys of its sentence each query row may see, from the first on. Padding and causality are both of this
    /// kind.
    pub kept: Option<Ids>,
    /// Where sentences follow each other without padding: which rows are whose.
    pub packed: Option<Packed>,
    /// The probability that a weight is dropped.
    pub dropout: f64,
    /// The key of the dropout's random numbers.
    pub key: Key,
}

impl Attention {
    #[track_caller]
    fn check(&self, [q, k, v]: [Shape; 3]) {
        assert!(k == v && q.last() == k.last(), "attention: q {q}, k {k} and v {v} do not fit");
        match (&self.packed, q.as_slice(), k.as_slice()) {
            (None, &[batch, _, _], &[k_batch, _, _]) if batch == k_batch => {}
            (Some(packed), &[queries, _], &[keys, _]) => packed.check(queries, keys),
            _ => panic!(
                "attention: queries and keys must be [B, T, D] and [B, S, D], or packed [N, D] and [M, D], not {q} and {k}"
            ),
        }
        let (heads, width) = (self.heads, q.last());
        let divided = heads > 0 && width > 0 && width.is_multiple_of(heads);
        assert!(divided, "attention: {heads} heads do not divide {width} columns");
        if let Some(kept) = &self.kept {
            let counts = kept.as_slice().len();
            assert!(counts == q.rows(), "attention: {counts} counts for {} queries", q.rows());
        }
        let p = self.dropout;
        assert!((0.0..1.0).contains(&p), "attention: the probability {p} of dropout is not in [0, 1)");
    }

    /// What the processor's kernel is told of these settings, for operands that were checked.
    pub(crate) fn geometry(&self, [q, k, _]: [Shape; 3]) -> Geometry<'_> {
        let spans = match &self.packed {
            Some(packed) => {
                let [queries, keys] = [&packed.queries, &packed.keys].map(|starts| starts.as_slice().windows(2));
                let range = |pair: &[u32]| pair[0] as usize..pair[1] as usize;
                let span = |(queries, keys)| Span { queries: range(queries), keys: range(keys) };
                queries.zip(keys).map(span).collect()
            }
            None => {
                let (queries, keys) = (q[1], k[1]);
                let span = |b| Span { queries: b * queries..(b + 1) * queries, keys: b * keys..(b + 1) * keys };
                // Sentences without queries and keys may be more than memory could list.
                let sentences = if queries == 0 && keys == 0 { 0 } else { q[0] };
                (0..sentences).map(span).collect()
            }
        };
        let (heads, width) = (self.heads, q.last());
        Geometry {
            spans,
            heads,
            width,
            scale: 1.0 / ((width / heads) as f64).sqrt(),
            kept: self.kept.as_ref().map(Ids::as_slice),
            dropout: (self.dropout > 0.0).then_some((self.dropout, self.key.value())),
        }
    }
}

/// Sentences whose rows follow each other without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Where the queries of each sentence start, and where those of the last one end: `[B + 1]`.
    pub queries: Ids,
    /// The same of its keys.
    pub keys: Ids,
    /// How many weights a head has in the sentences before each one, in two halves, the lower first: `[B, 2]`. A card that
    /// drops weights numbers them with it.
    pub(crate) weights: Ids,
}

impl Packed {
    /// Sentences with these numbers of queries and of keys.
    ///
    /// # Panics
    /// Where they are not equally many, or have 2³² rows together.
    #[track_caller]
    pub fn new(queries: &[usize], keys: &[usize]) -> Self {
        let sentences = queries.len();
        assert!(sentences == keys.len(), "attention: queries of {sentences} sentences, keys of {}", keys.len());
        let mut before = 0u64;
        let mut weights = Vec::with_capacity(2 * sentences);
        for (&queries, &keys) in queries.iter().zip(keys) {
            weights.extend([before as u32, (before >> 32) as u32]);
            before = before.wrapping_add((queries as u64).wrapping_mul(keys as u64));
        }
        Self { queries: starts(queries), keys: starts(keys), weights: Ids::new([sentences, 2], weights) }
    }

    /// Stops where sentences do not follow each other from the first row to the last.
    #[track_caller]
    fn check(&self, queries: usize, keys: usize) {
        let [q, k] = [&self.queries, &self.keys].map(Ids::as_slice);
        let whole = |starts: &[u32], rows: usize| {
            starts.first() == Some(&0) && starts.is_sorted() && starts.last().map(|&end| end as usize) == Some(rows)
        };
        let ends = [q, k].map(|starts| starts.last().copied());
        assert!(
            q.len() == k.len() && whole(q, queries) && whole(k, keys),
            "attention: sentences of {ends:?} rows of queries and keys, packed in {:?}",
            [queries, keys]
        );
    }

    /// All its numbers, to [stage](crate::stage).
    pub fn ids(&self) -> [&Ids; 3] {
        [&self.queries, &self.keys, &self.weights]
    }
}

#[track_caller]
fn starts(lengths: &[usize]) -> Ids {
    let (mut starts, mut end) = (vec![0], 0u32);
    for &length in lengths {
        match u32::try_from(length).ok().and_then(|length| end.checked_add(length)) {
            Some(next) => end = next,
            None => panic!("attention: sentences of {length} rows after {end} are more than 2³² − 1"),
        }
        starts.push(end);
    }
    Ids::new([starts.len()], starts)
}

impl<T: Float> Op<T, 3> for Attention {
    /// The logarithm of each row's sum of exponentials, `[N, H]`.
    type Saved = Tensor<T>;
    const NAME: &'static str = "attention";
    const RULE: &'static str =
        "dV += Aᵀ·dO  dA = dO·Vᵀ  dS = A∘(dA − rowsum(A∘dA))  dQ += dS·K/√d  dK += dSᵀ·Q/√d";

    fn forward(&self, [q, k, v]: [&Tensor<T>; 3]) -> (Tensor<T>, Tensor<T>) {
        self.check([q, k, v].map(Tensor::shape));
        let mut lse = q.alike([q.shape().rows(), self.heads], |_, _| {});
        let o = q.alike(q.shape(), |kernels, o| kernels.attention(self, [q, k, v], o, &mut lse));
        (o, lse)
    }

    fn backward(&self, lse: &Tensor<T>, cx: Backward<'_, T, 3>) {
        let forward = Attended { qkv: cx.inputs, o: cx.output, lse };
        let gradients = cx.grads.each_mut().map(crate::Slot::open_tensor);
        cx.dy.kernels().attention_backward(self, forward, cx.dy, gradients);
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// Attention of these queries `[B, T, H·d]` over `keys` and `values` `[B, S, H·d]`, in one op; on a tape that
    /// [explains](crate::Tape::explained), in small ones.
    ///
    /// # Panics
    /// Where the shapes do not fit, the heads do not divide the columns, the settings are of other rows, or the probability
    /// of dropout is not in `[0, 1)`.
    #[track_caller]
    pub fn attention(self, keys: Self, values: Self, settings: &Attention) -> Self {
        if self.tape.explains() && settings.packed.is_none() {
            return self.attention_explained(keys, values, settings).0;
        }
        self.tape.apply(settings.clone(), [self, keys, values])
    }

    /// Attention of one query a row, `[R, H·d]`, over what `gathered` says, for decoding step by step.
    ///
    /// # Panics
    /// Where the tape records, where the heads do not divide the columns, or what is gathered is not for these queries or not
    /// there.
    #[track_caller]
    pub fn attention_step(self, gathered: &Gathered<'_, T>) -> Self {
        let q = self.value();
        check_gathered(gathered, q.shape());
        let o = q.alike(q.shape(), |kernels, o| kernels.attention_step(gathered, &q, o));
        self.tape.computed("attention", o)
    }

    /// The same made of small ops, each visible on the tape; also gives the weights `[B, H, T, S]`. Not for packed rows,
    /// whose weights are no array.
    ///
    /// # Panics
    /// Where [`attention`](Self::attention) does, or where rows are packed.
    #[track_caller]
    pub fn attention_explained(self, keys: Self, values: Self, settings: &Attention) -> (Self, Self) {
        let shapes = [self.shape(), keys.shape(), values.shape()];
        settings.check(shapes);
        let geometry = settings.geometry(shapes);
        let &[batch, queries, width] = self.shape().as_slice() else {
            panic!("attention_explained: queries must be [B, T, D], not packed {}", self.shape())
        };
        let Geometry { heads, scale, .. } = geometry;
        let split = |x: Self| {
            let length = x.shape()[1];
            x.reshape([batch, length, heads, width / heads]).permute(&[0, 2, 1, 3]) // [B, H, length, d]
        };
        let (q, k, v) = (split(self), split(keys), split(values));
        let scores = q.matmul_nt(k).scale(scale).label("scores"); // [B, H, T, S]
        let mut weights = match &settings.kept {
            Some(kept) => scores.masked_softmax(&prefix_mask(kept.as_slice(), batch, keys.shape()[1])),
            None => scores.softmax(),
        }
        .label("weights");
        if let Some((p, key)) = geometry.dropout {
            weights = weights.tape().apply(super::dropout::Dropout { p, key: key.into() }, [weights]);
        }
        let context = weights.matmul(v).label("context"); // [B, H, T, d]
        (context.permute(&[0, 2, 1, 3]).reshape([batch, queries, width]), weights)
    }
}

/// Stops where what is gathered is not for queries of this shape, or names rows that are not there.
#[track_caller]
fn check_gathered<T: Float>(gathered: &Gathered<'_, T>, q: Shape) {
    let &Gathered { ref keys, ref values, ref rows, kept, heads, width } = gathered;
    let fits = heads > 0 && width > 0 && width.is_multiple_of(heads);
    let queries = match *q {
        [queries, columns] if fits && columns == width => queries,
        _ => panic!("attention_step: {heads} heads of {width} columns are not for {q}"),
    };
    let [of_keys, of_values, positions] = [keys.len(), values.len(), rows.len()];
    let alike = of_keys == positions && of_values == positions;
    assert!(alike, "attention_step: rows of {positions} positions, keys of {of_keys}, values of {of_values}");
    for rows in rows.iter().copied().chain(kept) {
        assert!(rows.len() == queries, "attention_step: {} numbers for {queries} queries", rows.len());
    }
    for (position, rows) in rows.iter().enumerate() {
        let Some(&last) = rows.iter().max() else { continue };
        for row in [&keys[position], &values[position]] {
            let (shape, last) = (row.tensor.shape(), row.first.saturating_add(last as usize));
            let there = shape.last() == width && last < shape.rows();
            assert!(there, "attention_step: row {last} of width {width} is not in {shape}");
        }
    }
}

/// The counts of kept keys as flags `[B, 1, T, S]`.
fn prefix_mask(kept: &[u32], batch: usize, keys: usize) -> Keep {
    let flags: Vec<bool> =
        kept.iter().flat_map(|&count| (0..keys).map(move |key| key < count as usize)).collect();
    Keep::new([batch, 1, kept.len() / batch.max(1), keys], flags)
}

impl Attention {
    /// Every query sees every key, in this many heads.
    pub fn plain(heads: usize) -> Self {
        Self { heads, kept: None, packed: None, dropout: 0.0, key: 0.into() }
    }
}

/// Two sentences, causal: the first has three keys, the second one, and its first query sees none.
fn masked() -> Attention {
    Attention { kept: Some([1, 2, 3, 0, 1, 1].into()), ..Attention::plain(2) }
}

fn dropped() -> Attention {
    Attention { dropout: 0.4, key: 5.into(), ..masked() }
}

/// Sentences of two, none and three queries over three, two and no keys.
fn packed() -> Attention {
    let packed = Some(Packed::new(&[2, 0, 3], &[3, 2, 0]));
    Attention { kept: Some([2, 3, 0, 0, 0].into()), packed, ..Attention::plain(2) }
}

/// What [`packed`] computes, sentence by sentence. The last one's queries see nothing.
fn one_by_one<'t, T: Float>([q, k, v]: [Var<'t, T>; 3]) -> Var<'t, T> {
    let alone = |x: Var<'t, T>, length| x.slice(0, 0..length).reshape([1, length, 4]);
    let settings = Attention { kept: Some([2, 3].into()), ..Attention::plain(2) };
    let first = alone(q, 2).attention_explained(alone(k, 3), alone(v, 3), &settings).0;
    first.reshape([2, 4]).concat(q.slice(0, 2..5).scale(0.0), 0)
}

cases! {
    "attention" [[2, 3, 4], [2, 5, 4], [2, 5, 4]] |tape, q, k, v| {
        q.attention(k, v, &Attention::plain(2))
    }, explained: q.attention_explained(k, v, &Attention::plain(2)).0;
    "attention, masked" [[2, 3, 4], [2, 3, 4], [2, 3, 4]] |tape, q, k, v| {
        q.attention(k, v, &masked())
    }, explained: q.attention_explained(k, v, &masked()).0;
    "attention, masked, with dropout" [[2, 3, 4], [2, 3, 4], [2, 3, 4]] |tape, q, k, v| {
        q.attention(k, v, &dropped())
    }, explained: q.attention_explained(k, v, &dropped()).0;
    "attention, several blocks" [[1, 70, 2], [1, 70, 2], [1, 70, 2]] |tape, q, k, v| {
        q.attention(k, v, &causal_70())
    }, explained: q.attention_explained(k, v, &causal_70()).0;
    "attention, several tiles" [[1, 3, 2], [1, 300, 2], [1, 300, 2]] |tape, q, k, v| {
        q.attention(k, v, &two_tiles())
    }, explained: q.attention_explained(k, v, &two_tiles()).0;
    "attention, packed" [[5, 4], [5, 4], [5, 4]] |tape, q, k, v| {
        q.attention(k, v, &packed())
    }, explained: one_by_one([q, k, v]);
    "attention, packed, with dropout" [[5, 4], [5, 4], [5, 4]] |tape, q, k, v| {
        q.attention(k, v, &Attention { dropout: 0.4, key: 5.into(), ..packed() })
    };
    "attention, of itself" [[1, 3, 4]] |tape, x| {
        x.attention(x, x, &Attention::plain(2))
    }, explained: x.attention_explained(x, x, &Attention::plain(2)).0;
}

/// The first query sees one tile of keys, the last one all.
fn two_tiles() -> Attention {
    Attention { kept: Some([200, 257, 300].into()), ..Attention::plain(1) }
}

fn causal_70() -> Attention {
    Attention { kept: Some(std::array::from_fn::<_, 70, _>(|i| i as u32 + 1).into()), ..Attention::plain(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tape;

    #[test]
    fn a_query_that_every_key_repels_infinitely_gives_and_gets_nothing() {
        let tape = Tape::eval();
        let [q, k, v] = [1e30f32, -1e30, 3.0].map(|x| tape.input(Tensor::full([1, 2, 1], x)));
        let output = q.attention(k, v, &Attention::plain(1));
        assert_eq!(output.value().as_slice(), [0.0; 2]);
        let gradients = output.backward_with(Tensor::full([1, 2, 1], 1.0));
        for x in [q, k, v] {
            assert_eq!(gradients.wrt(x).map(|g| g.as_slice().to_vec()), Some(vec![0.0; 2]));
        }
    }
}

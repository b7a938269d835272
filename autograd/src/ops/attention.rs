//! Scaled dot-product attention over several heads: fused, and explained in small visible ops.

use std::sync::Arc;

use crate::kernels::cpu::attention::{Forward, Geometry, Span, attention, attention_backward};
use crate::kernels::cpu::attention_step::{Gathered, attention_step};
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Keep, Shape, Tensor};

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
    pub kept: Option<Arc<[u32]>>,
    /// Where sentences follow each other without padding: how many queries each has, and how many keys.
    pub packed: Option<[Arc<[usize]>; 2]>,
    /// The probability that a weight is dropped.
    pub dropout: f64,
    /// The key of the dropout's random numbers.
    pub key: u64,
}

impl Attention {
    #[track_caller]
    fn geometry(&self, [q, k, v]: [Shape; 3]) -> Geometry<'_> {
        assert!(k == v && q.last() == k.last(), "attention: q {q}, k {k} and v {v} do not fit");
        let spans = match (&self.packed, q.as_slice(), k.as_slice()) {
            (None, &[batch, queries, _], &[k_batch, keys, _]) if batch == k_batch => {
                let span = |b| Span { queries: b * queries..(b + 1) * queries, keys: b * keys..(b + 1) * keys };
                (0..batch).map(span).collect()
            }
            (Some(lengths), &[queries, _], &[keys, _]) => packed_spans(lengths, [queries, keys]),
            _ => panic!(
                "attention: queries and keys must be [B, T, D] and [B, S, D], or packed [N, D] and [M, D], not {q} and {k}"
            ),
        };
        let (heads, width) = (self.heads, q.last());
        assert!(heads > 0 && width % heads == 0, "attention: {heads} heads do not divide {width} columns");
        if let Some(kept) = &self.kept {
            assert_eq!(kept.len(), q.rows(), "attention: {} counts for {} queries", kept.len(), q.rows());
        }
        Geometry {
            spans,
            heads,
            width,
            scale: 1.0 / ((width / heads) as f64).sqrt(),
            kept: self.kept.as_deref(),
            dropout: (self.dropout > 0.0).then_some((self.dropout, self.key)),
        }
    }
}

/// Sentences one after the other.
#[track_caller]
fn packed_spans([queries, keys]: &[Arc<[usize]>; 2], rows: [usize; 2]) -> Vec<Span> {
    let lengths = [queries.len(), keys.len()];
    assert_eq!(lengths[0], lengths[1], "attention: queries of {} sentences, keys of {}", lengths[0], lengths[1]);
    let mut end = [0, 0];
    let spans = (queries.iter().zip(keys.iter()))
        .map(|(&queries, &keys)| {
            let start = end;
            end = [start[0] + queries, start[1] + keys];
            Span { queries: start[0]..end[0], keys: start[1]..end[1] }
        })
        .collect();
    assert_eq!(end, rows, "attention: sentences of {end:?} rows of queries and keys, packed in {rows:?}");
    spans
}

impl<T: Float> Op<T, 3> for Attention {
    /// The logarithm of each row's sum of exponentials, `[N, H]`.
    type Saved = Tensor<T>;
    const NAME: &'static str = "attention";
    const RULE: &'static str =
        "dV += Aᵀ·dO  dA = dO·Vᵀ  dS = A∘(dA − rowsum(A∘dA))  dQ += dS·K/√d  dK += dSᵀ·Q/√d";

    fn forward(&self, [q, k, v]: [&Tensor<T>; 3]) -> (Tensor<T>, Tensor<T>) {
        let geometry = self.geometry([q.shape(), k.shape(), v.shape()]);
        let mut lse = Tensor::fill_with([q.shape().rows(), self.heads], |_| {});
        let o = Tensor::fill_with(q.shape(), |o| {
            attention(&geometry, [q, k, v].map(Tensor::as_slice), o, lse.make_mut());
        });
        (o, lse)
    }

    fn backward(&self, lse: &Tensor<T>, cx: Backward<'_, T, 3>) {
        let geometry = self.geometry(cx.inputs.map(Tensor::shape));
        let qkv = cx.inputs.map(Tensor::as_slice);
        let forward = Forward { qkv, o: cx.output.as_slice(), lse: lse.as_slice() };
        attention_backward(&geometry, forward, cx.dy.as_slice(), cx.grads.each_mut().map(crate::Slot::open));
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// Attention of these queries `[B, T, H·d]` over `keys` and `values` `[B, S, H·d]`, in one op; on a tape that
    /// [explains](crate::Tape::explained), in small ones.
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
    /// Where the tape records.
    #[track_caller]
    pub fn attention_step(self, gathered: &Gathered<'_, T>) -> Self {
        let (q, heads) = (self.value(), gathered.heads);
        let fits = matches!(*q.shape(), [_, width] if width == gathered.width && width % heads.max(1) == 0);
        assert!(fits, "attention_step: {heads} heads of {} columns are not for {}", gathered.width, q.shape());
        let o = Tensor::fill_with(q.shape(), |o| attention_step(gathered, q.as_slice(), o));
        self.tape.computed("attention", o)
    }

    /// The same made of small ops, each visible on the tape; also gives the weights `[B, H, T, S]`. Not for packed rows,
    /// whose weights are no array.
    #[track_caller]
    pub fn attention_explained(self, keys: Self, values: Self, settings: &Attention) -> (Self, Self) {
        let geometry = settings.geometry([self.shape(), keys.shape(), values.shape()]);
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
            Some(kept) => scores.masked_softmax(&prefix_mask(kept, batch, keys.shape()[1])),
            None => scores.softmax(),
        }
        .label("weights");
        if let Some((p, key)) = geometry.dropout {
            weights = weights.tape().apply(super::dropout::Dropout { p, key }, [weights]);
        }
        let context = weights.matmul(v).label("context"); // [B, H, T, d]
        (context.permute(&[0, 2, 1, 3]).reshape([batch, queries, width]), weights)
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
        Self { heads, kept: None, packed: None, dropout: 0.0, key: 0 }
    }
}

/// Two sentences, causal: the first has three keys, the second one, and its first query sees none.
fn masked() -> Attention {
    Attention { kept: Some([1, 2, 3, 0, 1, 1].into()), ..Attention::plain(2) }
}

fn dropped() -> Attention {
    Attention { dropout: 0.4, key: 5, ..masked() }
}

/// Sentences of two, none and three queries over three, two and no keys.
fn packed() -> Attention {
    let lengths = [Arc::from([2, 0, 3]), Arc::from([3, 2, 0])];
    Attention { kept: Some([2, 3, 0, 0, 0].into()), packed: Some(lengths), ..Attention::plain(2) }
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
        q.attention(k, v, &Attention { dropout: 0.4, key: 5, ..packed() })
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
    Attention { kept: Some((1..=70).collect()), ..Attention::plain(1) }
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

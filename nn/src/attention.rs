//! Attention with its projections.

use autograd::ops::attention::Attention;
use autograd::{Float, Tensor, Var, parameters};

use crate::config::TransformerConfig;
use crate::init::Init;
use crate::linear::Linear;
use crate::mask::Mask;

/// Multi-head attention: queries, keys and values are projected, each head attends for itself, and the heads' outputs
/// are projected together (Vaswani et al., 2017, §3.2.2).
#[derive(Clone, Debug)]
pub struct MultiHeadAttention<T: Float = f32> {
    /// D to D, for queries.
    pub q_proj: Linear<T>,
    /// D to D, for keys. The gradient of its bias is zero ([`zero_by_mathematics`]).
    ///
    /// [`zero_by_mathematics`]: crate::Transformer::zero_by_mathematics
    pub k_proj: Linear<T>,
    /// D to D, for values.
    pub v_proj: Linear<T>,
    /// D to D, from all heads' outputs.
    pub out_proj: Linear<T>,
    /// H
    pub heads: usize,
    /// The share of attention weights that is dropped.
    pub dropout: f64,
}

parameters!(MultiHeadAttention { q_proj, k_proj, v_proj, out_proj });

impl<T: Float> MultiHeadAttention<T> {
    /// The attention of this model.
    pub fn new(config: &TransformerConfig, init: &mut Init) -> Self {
        let mut linear = || Linear::new(config.d_model, config.d_model, init);
        Self {
            q_proj: linear(),
            k_proj: linear(),
            v_proj: linear(),
            out_proj: linear(),
            heads: config.heads,
            dropout: config.dropout.attention,
        }
    }

    /// Attention of `query [B, T, D]` over `key` and `value [B, S, D]`: `[B, T, D]`; or of packed rows, `[N, D]`.
    #[track_caller]
    pub fn forward<'t>(
        &self,
        query: Var<'t, T>,
        key: Var<'t, T>,
        value: Var<'t, T>,
        mask: &Mask,
    ) -> Var<'t, T> {
        let (q, k, v) = (self.q_proj.forward(query), self.k_proj.forward(key), self.v_proj.forward(value));
        let context = q.attention(k, v, &self.settings(q, k, mask));
        self.out_proj.forward(context) // [B, T, D]
    }

    /// The same in small visible ops; also gives the attention weights `[B, H, T, S]`.
    #[track_caller]
    pub fn forward_explained<'t>(
        &self,
        query: Var<'t, T>,
        key: Var<'t, T>,
        value: Var<'t, T>,
        mask: &Mask,
    ) -> (Var<'t, T>, Var<'t, T>) {
        let q = self.q_proj.forward(query).label("query");
        let k = self.k_proj.forward(key).label("key");
        let v = self.v_proj.forward(value).label("value");
        let (context, weights) = q.attention_explained(k, v, &self.settings(q, k, mask));
        (self.out_proj.forward(context), weights)
    }

    /// Projects `memory [B, S, D]` once, for all queries that will come.
    #[track_caller]
    pub fn project_memory(&self, memory: Var<'_, T>) -> KeyValue<T> {
        let (k, v) = (self.k_proj.forward(memory), self.v_proj.forward(memory));
        KeyValue { keys: k.value(), values: v.value(), length: memory.shape()[1] }
    }

    /// Attention of new positions `x [B, 1, D]` over themselves and all before, whose keys and values are in `cache`;
    /// theirs are added to it. `[B, 1, D]`
    #[track_caller]
    pub fn forward_self_cached<'t>(&self, x: Var<'t, T>, cache: &mut KeyValue<T>) -> Var<'t, T> {
        cache.push(&self.k_proj.forward(x).value(), &self.v_proj.forward(x).value());
        self.forward_cached(x, cache, &Mask::keep_lengths(vec![cache.length; x.shape()[0]]))
    }

    /// Attention of `query [B, T, D]` over projected keys and values, of which `mask` keeps the valid ones.
    #[track_caller]
    pub fn forward_cached<'t>(&self, query: Var<'t, T>, cache: &KeyValue<T>, mask: &Mask) -> Var<'t, T> {
        let (tape, q) = (query.tape(), self.q_proj.forward(query));
        let (k, v) = (tape.constant(cache.keys.clone()), tape.constant(cache.values.clone()));
        self.out_proj.forward(q.attention(k, v, &self.settings(q, k, mask)))
    }

    fn settings(&self, q: Var<'_, T>, k: Var<'_, T>, mask: &Mask) -> Attention {
        let dropout = if q.tape().is_training() { self.dropout } else { 0.0 };
        let key = q.tape().next_key();
        Attention { dropout, key, ..mask.attention(self.heads, q.shape(), k.shape()) }
    }
}

/// Projected keys and values of all positions so far, with room for more.
#[derive(Clone, Debug)]
pub struct KeyValue<T: Float = f32> {
    /// `[B, room, D]`, of which the first `length` positions are filled.
    pub keys: Tensor<T>,
    /// `[B, room, D]`
    pub values: Tensor<T>,
    /// The number of positions filled.
    pub length: usize,
}

impl<T: Float> KeyValue<T> {
    /// No positions yet, for this many sentences.
    pub fn empty(batch: usize, width: usize) -> Self {
        let room = [batch, 16, width];
        Self { keys: Tensor::zeros(room), values: Tensor::zeros(room), length: 0 }
    }

    /// Appends one position `[B, 1, D]`.
    fn push(&mut self, key: &Tensor<T>, value: &Tensor<T>) {
        let [batch, room, width] = *self.keys.shape() else { unreachable!("a cache has three axes") };
        for (store, new) in [(&mut self.keys, key), (&mut self.values, value)] {
            if self.length == room {
                let mut larger = Tensor::zeros([batch, 2 * room, width]);
                for (to, from) in larger
                    .make_mut()
                    .chunks_exact_mut(2 * room * width)
                    .zip(store.as_slice().chunks(room * width))
                {
                    to[..room * width].copy_from_slice(from);
                }
                *store = larger;
            }
            let row = store.shape()[1] * width;
            for (to, from) in store.make_mut().chunks_exact_mut(row).zip(new.as_slice().chunks_exact(width)) {
                to[self.length * width..][..width].copy_from_slice(from);
            }
        }
        self.length += 1;
    }

    /// The cache of sentences `rows` of this one, in that order: some may come more than once, some not at all.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let [_, room, width] = *self.keys.shape() else { unreachable!("a cache has three axes") };
        let pick = |store: &Tensor<T>| {
            Tensor::fill_with([rows.len(), room, width], |out| {
                for (out, &row) in out.chunks_exact_mut(room * width).zip(rows) {
                    out.copy_from_slice(&store.as_slice()[row * room * width..][..room * width]);
                }
            })
        };
        Self { keys: pick(&self.keys), values: pick(&self.values), length: self.length }
    }
}

//! Attention with its projections.

use autograd::ops::attention::Attention;
use autograd::{Float, Var, parameters};

use crate::cache::{KeyValue, Rows};
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
    ///
    /// # Panics
    /// Where the configuration is not valid ([`TransformerConfig::validate`]).
    #[track_caller]
    pub fn new(config: &TransformerConfig, init: &mut Init) -> Self {
        config.demand_valid("attention");
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

    /// Projects `memory [B, S, D]` once, for all queries that will come: keys and values, `[B, S, D]`.
    #[track_caller]
    pub fn project_memory(&self, memory: Var<'_, T>) -> KeyValue<T> {
        KeyValue { keys: self.k_proj.forward(memory).value(), values: self.v_proj.forward(memory).value() }
    }

    /// Attention of a new position `x [R, D]` of every row over itself and all before, whose keys and values are in
    /// `own`; theirs are added to it. `[R, D]`
    #[track_caller]
    pub fn step_self<'t>(&self, x: Var<'t, T>, own: &mut Vec<KeyValue<T>>, rows: &Rows) -> Var<'t, T> {
        own.push(self.project_memory(x));
        let q = self.q_proj.forward(x);
        self.out_proj.forward(q.attention_step(&rows.of_targets(own, self.heads))) // [R, D]
    }

    /// Attention of one query a row, `x [R, D]`, over the row's source, whose keys and values are in `memory`: `[R, D]`.
    #[track_caller]
    pub fn step_memory<'t>(&self, x: Var<'t, T>, memory: &KeyValue<T>, rows: &Rows) -> Var<'t, T> {
        let q = self.q_proj.forward(x);
        self.out_proj.forward(q.attention_step(&rows.of_sources(memory, self.heads))) // [R, D]
    }

    fn settings(&self, q: Var<'_, T>, k: Var<'_, T>, mask: &Mask) -> Attention {
        let dropout = if q.tape().is_training() { self.dropout } else { 0.0 };
        let key = q.tape().next_key();
        Attention { dropout, key, ..mask.attention(self.heads, q.shape(), k.shape()) }
    }
}

//! Scaled dot-product attention by blocks of query rows, reading heads by stride.
//!
//! Queries, keys and values are rows of `H·d` columns, head `h` in columns `h·d .. (h + 1)·d`; the rows of a sentence follow
//! each other, with padding between sentences or without. Memory beyond the operands is one block of scores per call, linear in `S`: the backward pass computes the weights again from queries
//! and keys (Dao et al., "FlashAttention", 2022, without its tiling of keys).

use std::ops::Range;

use super::dropout::dropout_in_place_at;
use super::gemm::{Gemm, Matrix, product};
use super::softmax::{softmax_backward, softmax_prefix_in_place};
use crate::buffer::Buffer;
use crate::float::Float;

/// One sentence: its rows of queries, and its rows of keys and values.
#[derive(Clone, Debug)]
pub struct Span {
    /// Rows of the queries and of the output.
    pub queries: Range<usize>,
    /// Rows of the keys and of the values.
    pub keys: Range<usize>,
}

/// The sizes and settings of one call.
#[derive(Clone, Debug)]
pub struct Geometry<'a> {
    /// Which rows attend over which: every sentence's over its own.
    pub spans: Vec<Span>,
    /// Heads, H.
    pub heads: usize,
    /// Columns of all heads together, H·d.
    pub width: usize,
    /// What scores are multiplied by before the softmax.
    pub scale: f64,
    /// For each query row, how many keys of its sentence it may see, from the first on; all where `None`.
    pub kept: Option<&'a [u32]>,
    /// The probability that a weight is dropped, and the key of the random numbers.
    pub dropout: Option<(f64, u64)>,
}

/// Query rows of one block: enough for an efficient product, few enough that scores of a long sentence stay cached.
const BLOCK: usize = 64;

/// One head's block of query rows.
struct Block {
    head: usize,
    /// The first row of queries.
    query: usize,
    rows: usize,
    /// The first row of keys.
    key: usize,
    /// Keys that some row of the block may see; later ones are not even multiplied.
    limit: usize,
    /// Keys of the sentence, and the number that its first weight here has among the weights of the whole call.
    keys: usize,
    weight: usize,
}

impl Geometry<'_> {
    fn head_size(&self) -> usize {
        self.width / self.heads
    }

    fn blocks(&self) -> impl Iterator<Item = Block> {
        let mut weights = 0;
        self.spans.iter().flat_map(move |Span { queries, keys }| {
            let (before, size) = (weights, queries.len() * keys.len());
            weights += self.heads * size;
            (0..self.heads).flat_map(move |head| {
                queries.clone().step_by(BLOCK).map(move |query| {
                    let rows = BLOCK.min(queries.end - query);
                    let kept = self.kept.map(|kept| &kept[query..query + rows]);
                    let limit = kept.map_or(keys.len(), |kept| {
                        kept.iter().map(|&count| count as usize).max().unwrap_or(0).min(keys.len())
                    });
                    let weight = before + head * size + (query - queries.start) * keys.len();
                    Block { head, query, rows, key: keys.start, limit, keys: keys.len(), weight }
                })
            })
        })
    }

    /// Room for the scores of any block.
    fn scores(&self) -> usize {
        let of = |Span { queries, keys }: &Span| BLOCK.min(queries.len()) * keys.len();
        self.spans.iter().map(of).max().unwrap_or(0)
    }

    /// Where the block's queries begin.
    fn query_offset(&self, block: &Block) -> usize {
        block.query * self.width + block.head * self.head_size()
    }

    /// Where the block's keys begin.
    fn key_offset(&self, block: &Block) -> usize {
        block.key * self.width + block.head * self.head_size()
    }

    /// The block's attention weights, before dropout: `softmax(scale · Q·Kᵀ)` over the kept keys.
    fn weights<T: Float>(&self, block: &Block, q: &[T], k: &[T], weights: &mut [T]) {
        product(Gemm {
            size: (block.rows, self.head_size(), block.limit),
            a: Matrix::rows(&q[self.query_offset(block)..], self.width),
            b: Matrix::rows(&k[self.key_offset(block)..], self.width).t(),
            c: weights,
            c_stride: block.limit,
            scale: T::of(self.scale),
            keep: false,
        });
        let kept = self.kept.map(|kept| &kept[block.query..][..block.rows]);
        softmax_prefix_in_place(weights, block.limit, kept);
    }

    /// Drops entries of a block of weights, or of their gradient: both by the same mask.
    fn drop<T: Float>(&self, block: &Block, weights: &mut [T]) {
        let Some((p, key)) = self.dropout else { return };
        for (i, row) in weights.chunks_exact_mut(block.limit).enumerate() {
            dropout_in_place_at(row, key, p, (block.weight + i * block.keys) as u64);
        }
    }
}

/// `O = dropout(softmax(scale · Q·Kᵀ)) · V` per sentence and head; writes all of `o`.
pub fn attention<T: Float>(g: &Geometry<'_>, q: &[T], k: &[T], v: &[T], o: &mut [T]) {
    let mut scores = Buffer::<T>::stale(g.scores());
    for block in g.blocks() {
        let (out, d) = (&mut o[g.query_offset(&block)..], g.head_size());
        if block.limit == 0 {
            // No query of the block sees any key: the output is zero, not undefined.
            for row in 0..block.rows {
                out[row * g.width..][..d].fill(T::ZERO);
            }
            continue;
        }
        let weights = &mut scores[..block.rows * block.limit];
        g.weights(&block, q, k, weights);
        g.drop(&block, weights);
        product(Gemm {
            size: (block.rows, block.limit, d),
            a: Matrix::rows(weights, block.limit),
            b: Matrix::rows(&v[g.key_offset(&block)..], g.width),
            c: out,
            c_stride: g.width,
            scale: T::ONE,
            keep: false,
        });
    }
}

/// Adds the gradients of [`attention`] to those of `dq`, `dk` and `dv` that are wanted; each comes with whether it holds
/// something to keep.
///
/// With `A` the weights and `m` the dropout mask: `dV += (m∘A)ᵀ·dO`, `dA = m∘(dO·Vᵀ)`, `dS = A∘(dA − rowsum(A∘dA))`,
/// `dQ += scale·dS·K`, `dK += scale·dSᵀ·Q`.
pub fn attention_backward<T: Float>(
    g: &Geometry<'_>,
    [q, k, v, d_o]: [&[T]; 4],
    grads: [Option<(&mut [T], bool)>; 3],
) {
    let [mut dq, mut dk, mut dv] = grads.map(|slot| {
        slot.map(|(out, keep)| {
            // Blocks add up in keys and values, and skip those that no query sees: all start from something defined.
            if !keep {
                out.fill(T::ZERO);
            }
            out
        })
    });
    let size = g.scores();
    let (mut scores, mut dropped, mut flow) =
        (Buffer::<T>::stale(size), Buffer::<T>::stale(size), Buffer::<T>::stale(size));
    let d = g.head_size();
    for block in g.blocks() {
        let (rows, limit) = (block.rows, block.limit);
        if limit == 0 {
            continue;
        }
        let (at_query, at_key) = (g.query_offset(&block), g.key_offset(&block));
        let weights = &mut scores[..rows * limit];
        g.weights(&block, q, k, weights);
        if let Some(dv) = &mut dv {
            let mut weights = &*weights;
            if g.dropout.is_some() {
                let dropped = &mut dropped[..rows * limit];
                dropped.copy_from_slice(weights);
                g.drop(&block, dropped);
                weights = dropped;
            }
            product(Gemm {
                size: (limit, rows, d),
                a: Matrix::rows(weights, limit).t(),
                b: Matrix::rows(&d_o[at_query..], g.width),
                c: &mut dv[at_key..],
                c_stride: g.width,
                scale: T::ONE,
                keep: true,
            });
        }
        if dq.is_none() && dk.is_none() {
            continue;
        }
        let da = &mut flow[..rows * limit];
        product(Gemm {
            size: (rows, d, limit),
            a: Matrix::rows(&d_o[at_query..], g.width),
            b: Matrix::rows(&v[at_key..], g.width).t(),
            c: da,
            c_stride: limit,
            scale: T::ONE,
            keep: false,
        });
        g.drop(&block, da);
        let ds = &mut dropped[..rows * limit];
        softmax_backward(weights, da, ds, limit, false);
        let scale = T::of(g.scale);
        if let Some(dq) = &mut dq {
            product(Gemm {
                size: (rows, limit, d),
                a: Matrix::rows(ds, limit),
                b: Matrix::rows(&k[at_key..], g.width),
                c: &mut dq[at_query..],
                c_stride: g.width,
                scale,
                keep: true,
            });
        }
        if let Some(dk) = &mut dk {
            product(Gemm {
                size: (limit, rows, d),
                a: Matrix::rows(ds, limit).t(),
                b: Matrix::rows(&q[at_query..], g.width),
                c: &mut dk[at_key..],
                c_stride: g.width,
                scale,
                keep: true,
            });
        }
    }
}

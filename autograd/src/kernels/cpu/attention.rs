//! Scaled dot-product attention by tiles of query rows and keys, reading heads by stride.
//!
//! Queries, keys and values are rows of `H·d` columns, head `h` in columns `h·d .. (h + 1)·d`; the rows of a sentence follow
//! each other, with padding between sentences or without. Memory beyond the operands is linear in the length: a tile of
//! scores, one head's keys and values transposed, and the logarithm of each row's sum of exponentials, from which the
//! backward pass computes the weights again (Dao et al., "FlashAttention", 2022; the running maximum is that of Milakov
//! and Gimelshein, "Online normalizer calculation for softmax", 2018).

use std::ops::Range;

use super::dropout::dropout_in_place_at;
use super::gemm::{Gemm, Matrix};
use super::small_product::{small_product, transpose};
use super::softmax::{largest, weight};
use crate::buffer::Buffer;
use crate::{float::Float, simd};

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

/// Query rows of one tile: a multiple of what a small product keeps in registers.
const ROWS: usize = 48;

/// Keys of one tile: its scores, and the keys and values themselves, stay in the nearer caches.
const KEYS: usize = 256;

/// One head of one sentence.
struct Head {
    span: Span,
    head: usize,
    /// The number that its first weight has among the weights of the whole call.
    weight: usize,
}

/// Some query rows of a head.
struct Block {
    /// The first row, and how many there are.
    query: usize,
    rows: usize,
    /// Keys that some row of the block may see; later ones are not even multiplied.
    limit: usize,
}

impl Geometry<'_> {
    fn head_size(&self) -> usize {
        self.width / self.heads
    }

    fn heads(&self) -> impl Iterator<Item = Head> {
        let mut weight = 0;
        self.spans.iter().flat_map(move |span| {
            let (before, size) = (weight, span.queries.len() * span.keys.len());
            weight += self.heads * size;
            (0..self.heads).map(move |head| Head { span: span.clone(), head, weight: before + head * size })
        })
    }

    fn blocks(&self, head: &Head) -> impl Iterator<Item = Block> {
        let Span { queries, keys } = head.span.clone();
        queries.clone().step_by(ROWS).map(move |query| {
            let rows = ROWS.min(queries.end - query);
            let limit = self.kept(query, rows).map_or(keys.len(), |kept| {
                kept.iter().map(|&count| count as usize).max().unwrap_or(0).min(keys.len())
            });
            Block { query, rows, limit }
        })
    }

    fn kept(&self, query: usize, rows: usize) -> Option<&[u32]> {
        self.kept.map(|kept| &kept[query..query + rows])
    }

    /// The keys of the longest sentence.
    fn most_keys(&self) -> usize {
        self.spans.iter().map(|span| span.keys.len()).max().unwrap_or(0)
    }

    /// Where row `row` of a head begins.
    fn at(&self, row: usize, head: &Head) -> usize {
        row * self.width + head.head * self.head_size()
    }

    /// The keys or values of a head from its key `first` on, as rows.
    fn rows<'a, T>(&self, x: &'a [T], head: &Head, first: usize) -> Matrix<'a, T> {
        Matrix::rows(&x[self.at(head.span.keys.start + first, head)..], self.width)
    }

    /// The keys or values of a head as columns, `[d, S]`.
    fn columns<T: Float>(&self, x: &[T], head: &Head, out: &mut [T]) {
        if !head.span.keys.is_empty() {
            transpose(self.rows(x, head, 0), head.span.keys.len(), self.head_size(), out);
        }
    }

    /// `tile [rows, keys] = scale · x·yᵀ` for the block's rows of `x`, and `y` given by columns.
    fn scores<T: Float>(
        &self,
        head: &Head,
        block: &Block,
        keys: &Range<usize>,
        scale: T,
        x: &[T],
        y: &[T],
        tile: &mut [T],
    ) {
        small_product(Gemm {
            size: (block.rows, self.head_size(), keys.len()),
            a: Matrix::rows(&x[self.at(block.query, head)..], self.width),
            b: Matrix::rows(&y[keys.start..], head.span.keys.len()),
            c: tile,
            c_stride: keys.len(),
            scale,
            keep: false,
        });
    }

    /// Drops entries of a tile of weights, or of their gradient: both by the same mask.
    fn drop<T: Float>(&self, head: &Head, block: &Block, keys: &Range<usize>, tile: &mut [T]) {
        let Some((p, key)) = self.dropout else { return };
        let first = head.weight + (block.query - head.span.queries.start) * head.span.keys.len() + keys.start;
        for (i, row) in tile.chunks_exact_mut(keys.len()).enumerate() {
            dropout_in_place_at(row, key, p, (first + i * head.span.keys.len()) as u64);
        }
    }
}

/// `O = dropout(softmax(scale · Q·Kᵀ)) · V` per sentence and head; writes all of `o`, and into `lse [N, H]` the logarithm of
/// each row's sum of exponentials.
///
/// Tile by tile: where a new tile has a larger score than all before, what was summed so far is scaled down to it.
pub fn attention<T: Float>(g: &Geometry<'_>, [q, k, v]: [&[T]; 3], o: &mut [T], lse: &mut [T]) {
    let d = g.head_size();
    let mut columns = Buffer::<T>::stale(d * g.most_keys());
    let mut tile = Buffer::<T>::stale(ROWS * KEYS.min(g.most_keys()));
    for head in g.heads() {
        g.columns(k, &head, &mut columns);
        for block in g.blocks(&head) {
            let (mut max, mut total, mut shrink) = ([T::NEG_INFINITY; ROWS], [T::ZERO; ROWS], [T::ONE; ROWS]);
            let out = &mut o[g.at(block.query, &head)..];
            for first in (0..block.limit).step_by(KEYS) {
                let keys = first..block.limit.min(first + KEYS);
                let tile = &mut tile[..block.rows * keys.len()];
                g.scores(&head, &block, &keys, T::of(g.scale), q, &columns, tile);
                let kept = g.kept(block.query, block.rows);
                exponentials(tile, keys.len(), first, kept, &mut max, &mut total, &mut shrink);
                if first > 0 {
                    scale_rows(out, g.width, d, &shrink[..block.rows]);
                }
                g.drop(&head, &block, &keys, tile);
                small_product(Gemm {
                    size: (block.rows, keys.len(), d),
                    a: Matrix::rows(tile, keys.len()),
                    b: g.rows(v, &head, first),
                    c: out,
                    c_stride: g.width,
                    scale: T::ONE,
                    keep: first > 0,
                });
            }
            for r in 0..block.rows {
                lse[(block.query + r) * g.heads + head.head] = max[r] + total[r].ln();
                // No key is seen, or none has any weight: the output is zero, not undefined.
                let seen = total[r] > T::ZERO;
                shrink[r] = if seen { T::ONE / total[r] } else { T::ZERO };
                if !seen {
                    out[r * g.width..][..d].fill(T::ZERO);
                }
            }
            scale_rows(out, g.width, d, &shrink[..block.rows]);
        }
    }
}

/// What [`attention`] was given and what it gave.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a, T> {
    /// Queries, keys and values.
    pub qkv: [&'a [T]; 3],
    /// The output.
    pub o: &'a [T],
    /// The logarithms of the sums of exponentials.
    pub lse: &'a [T],
}

/// Adds the gradients of [`attention`] to those of queries, keys and values that are wanted; each comes with whether it
/// holds something to keep.
///
/// With `A` the weights and `m` the dropout mask: `dV += (m∘A)ᵀ·dO`, `dA = m∘(dO·Vᵀ)`, `dS = A∘(dA − rowsum(A∘dA))`,
/// `dQ += scale·dS·K`, `dK += scale·dSᵀ·Q`. The sum of row `i` is `Σⱼ Aᵢⱼ mᵢⱼ ⟨dOᵢ, Vⱼ⟩ = ⟨dOᵢ, Oᵢ⟩`, which needs no tile.
pub fn attention_backward<T: Float>(
    g: &Geometry<'_>,
    forward: Forward<'_, T>,
    d_o: &[T],
    grads: [Option<(&mut [T], bool)>; 3],
) {
    let Forward { qkv: [q, k, v], o, lse } = forward;
    let [mut dq, mut dk, mut dv] = grads.map(|slot| {
        slot.map(|(out, keep)| {
            // Tiles add up, and skip what no query sees: all start from something defined.
            if !keep {
                out.fill(T::ZERO);
            }
            out
        })
    });
    let d = g.head_size();
    let room = || Buffer::<T>::stale(d * g.most_keys());
    let (mut key_columns, mut value_columns) = (room(), room());
    let room = || Buffer::<T>::stale(ROWS * KEYS.min(g.most_keys()));
    let (mut weights, mut dropped, mut flow) = (room(), room(), room());
    let mut row_sums = [T::ZERO; ROWS];
    for head in g.heads() {
        g.columns(k, &head, &mut key_columns);
        g.columns(v, &head, &mut value_columns);
        for block in g.blocks(&head) {
            let at = g.at(block.query, &head);
            let queries = Matrix::rows(&q[at..], g.width);
            let upstream = Matrix::rows(&d_o[at..], g.width);
            row_dots(&d_o[at..], &o[at..], g.width, d, &mut row_sums[..block.rows]);
            let kept = g.kept(block.query, block.rows);
            let lse = &lse[block.query * g.heads + head.head..];
            for first in (0..block.limit).step_by(KEYS) {
                let keys = first..block.limit.min(first + KEYS);
                let (size, n) = (block.rows * keys.len(), keys.len());
                let at_key = g.at(head.span.keys.start + first, &head);
                let weights = &mut weights[..size];
                g.scores(&head, &block, &keys, T::of(g.scale), q, &key_columns, weights);
                weights_again(weights, n, first, kept, lse, g.heads);
                // `[keys, d] += tileᵀ · rows`, and `[rows, d] += tile · keys`
                let by_keys = |tile: &[T], scale, rows, out: &mut [T]| {
                    let a = Matrix::rows(tile, n).t();
                    let (c, c_stride) = (&mut out[at_key..], g.width);
                    small_product(Gemm {
                        size: (n, block.rows, d),
                        a,
                        b: rows,
                        c,
                        c_stride,
                        scale,
                        keep: true,
                    });
                };
                if let Some(dv) = &mut dv {
                    if g.dropout.is_some() {
                        let dropped = &mut dropped[..size];
                        dropped.copy_from_slice(weights);
                        g.drop(&head, &block, &keys, dropped);
                        by_keys(dropped, T::ONE, upstream, dv);
                    } else {
                        by_keys(weights, T::ONE, upstream, dv);
                    }
                }
                if dq.is_none() && dk.is_none() {
                    continue;
                }
                let flow = &mut flow[..size];
                g.scores(&head, &block, &keys, T::ONE, d_o, &value_columns, flow);
                g.drop(&head, &block, &keys, flow);
                through_softmax(weights, flow, n, &row_sums);
                let scale = T::of(g.scale);
                if let Some(dq) = &mut dq {
                    small_product(Gemm {
                        size: (block.rows, n, d),
                        a: Matrix::rows(flow, n),
                        b: g.rows(k, &head, first),
                        c: &mut dq[at..],
                        c_stride: g.width,
                        scale,
                        keep: true,
                    });
                }
                if let Some(dk) = &mut dk {
                    by_keys(flow, scale, queries, dk);
                }
            }
        }
    }
}

/// How many of the `n` keys from `first` on row `r` may see.
#[inline(always)]
fn seen(kept: Option<&[u32]>, r: usize, first: usize, n: usize) -> usize {
    kept.map_or(n, |kept| (kept[r] as usize).saturating_sub(first).min(n))
}

simd! {
    /// Turns rows of `n` scores into exponentials of their distance to the largest score so far, `max`, zero for keys that
    /// are not kept; `total` is their sum so far, and `shrink` what sums of earlier tiles are to be multiplied by.
    fn exponentials<T>(
        s,
        tile: &mut [T],
        n: usize,
        first: usize,
        kept: Option<&[u32]>,
        max: &mut [T],
        total: &mut [T],
        shrink: &mut [T],
    ) {
        for (r, row) in tile.chunks_exact_mut(n).enumerate() {
            let (row, rest) = row.split_at_mut(seen(kept, r, first, n));
            rest.fill(T::ZERO);
            let before = max[r];
            max[r] = before.max(largest(s, row));
            if max[r] == T::NEG_INFINITY {
                row.fill(T::ZERO);
                continue;
            }
            let most = s.splat(max[r]);
            let mut sum = s.splat(T::ZERO);
            for x in row.chunks_mut(S::LANES) {
                let e = weight(s, s.load(x, T::NEG_INFINITY), most);
                sum = s.add(sum, e);
                s.store(e, x);
            }
            shrink[r] = (before - max[r]).exp();
            total[r] = total[r] * shrink[r] + s.sum(sum);
        }
    }

    /// Turns rows of `n` scores into softmax weights, `exp(score − lse)`; the logarithms are `stride` apart.
    fn weights_again<T>(s, tile: &mut [T], n: usize, first: usize, kept: Option<&[u32]>, lse: &[T], stride: usize) {
        for (r, row) in tile.chunks_exact_mut(n).enumerate() {
            let lse = lse[r * stride];
            let count = if lse == T::NEG_INFINITY { 0 } else { seen(kept, r, first, n) };
            let (row, rest) = row.split_at_mut(count);
            rest.fill(T::ZERO);
            let lse = s.splat(lse);
            for x in row.chunks_mut(S::LANES) {
                s.store(weight(s, s.load(x, T::NEG_INFINITY), lse), x);
            }
        }
    }

    /// `flow = weights ∘ (flow − sum)`, with a sum for each row of `n`.
    fn through_softmax<T>(s, weights: &[T], flow: &mut [T], n: usize, sums: &[T]) {
        for ((weights, flow), &sum) in weights.chunks_exact(n).zip(flow.chunks_exact_mut(n)).zip(sums) {
            let sum = s.splat(sum);
            for (weights, flow) in weights.chunks(S::LANES).zip(flow.chunks_mut(S::LANES)) {
                let change = s.sub(s.load(flow, T::ZERO), sum);
                s.store(s.mul(s.load(weights, T::ZERO), change), flow);
            }
        }
    }

    /// `out[r] = ⟨a_r, b_r⟩` for rows of `n` entries that are `stride` apart.
    fn row_dots<T>(s, a: &[T], b: &[T], stride: usize, n: usize, out: &mut [T]) {
        for (r, out) in out.iter_mut().enumerate() {
            let (a, b) = (&a[r * stride..][..n], &b[r * stride..][..n]);
            let mut sum = s.splat(T::ZERO);
            for (a, b) in a.chunks(S::LANES).zip(b.chunks(S::LANES)) {
                sum = s.fma(s.load(a, T::ZERO), s.load(b, T::ZERO), sum);
            }
            *out = s.sum(sum);
        }
    }

    /// Multiplies rows of `n` entries that are `stride` apart by a factor each.
    fn scale_rows<T>(s, x: &mut [T], stride: usize, n: usize, factors: &[T]) {
        for (r, &factor) in factors.iter().enumerate() {
            let factor = s.splat(factor);
            for x in x[r * stride..][..n].chunks_mut(S::LANES) {
                s.store(s.mul(s.load(x, T::ZERO), factor), x);
            }
        }
    }
}

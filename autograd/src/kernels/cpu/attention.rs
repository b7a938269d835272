//! Scaled dot-product attention by tiles of query rows and keys, reading heads by stride.
//!
//! Queries, keys and values are rows of `H·d` columns, head `h` in columns `h·d .. (h + 1)·d`; the rows of a sentence follow
//! each other, with padding between sentences or without. What is read again and again is copied together first, because
//! rows at a power of two from each other fall into the same few lines of a cache. Memory beyond the operands is linear in
//! the length: a tile of scores, one head's keys and values, and the logarithm of each row's sum of exponentials, from which
//! the backward pass computes the weights again (Dao et al., "FlashAttention", 2022; the running maximum is that of Milakov
//! and Gimelshein, "Online normalizer calculation for softmax", 2018).

use std::ops::Range;

use super::dropout::dropout_rows_in_place_at;
use super::gemm::{Gemm, Matrix};
use super::simd::Simd;
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

/// What tiles of scores, and columns of keys, are rounded up to: a masked store at the end of a row would make the next load
/// of it wait.
const PAD: usize = 16;

/// Some query rows of a head.
struct Block {
    /// The first row, and how many there are.
    query: usize,
    rows: usize,
    /// Keys that some row of the block may see; later ones are not even multiplied.
    limit: usize,
}

/// Some keys of a head, from number `first` on.
#[derive(Clone, Copy)]
struct Keys {
    first: usize,
    count: usize,
}

impl Keys {
    /// The length of a tile's rows.
    fn stride(self) -> usize {
        self.count.next_multiple_of(PAD)
    }

    /// These keys among all of a head, by columns of whole tiles.
    fn of_columns<T>(self, columns: &[T], d: usize) -> &[T] {
        &columns[self.first * d..][..self.stride() * d]
    }

    fn of_columns_mut<T>(self, columns: &mut [T], d: usize) -> &mut [T] {
        &mut columns[self.first * d..][..self.stride() * d]
    }

    /// These keys among all of a head, by rows.
    fn of_rows<T>(self, rows: &[T], d: usize) -> &[T] {
        &rows[self.first * d..][..self.count * d]
    }

    fn of_rows_mut<T>(self, rows: &mut [T], d: usize) -> &mut [T] {
        &mut rows[self.first * d..][..self.count * d]
    }
}

impl Block {
    fn tiles(&self) -> impl Iterator<Item = Keys> {
        let limit = self.limit;
        (0..limit).step_by(KEYS).map(move |first| Keys { first, count: KEYS.min(limit - first) })
    }
}

impl Geometry<'_> {
    /// Stops where operands of so many entries are not the rows that spans, heads and counts speak of.
    #[track_caller]
    fn check(&self, [q, k, v, o, lse]: [usize; 5]) {
        let Self { heads, width, .. } = *self;
        let divided = heads > 0 && width > 0 && width.is_multiple_of(heads);
        assert!(divided, "attention: {heads} heads do not divide {width} columns");
        assert!(
            q == o && k == v && q.is_multiple_of(width) && k.is_multiple_of(width),
            "attention: {q}, {k}, {v} and {o} entries are no rows of {width} queries, keys, values and outputs"
        );
        let (queries, keys) = (q / width, k / width);
        let sums = queries.checked_mul(heads) == Some(lse);
        assert!(sums, "attention: {lse} sums for {heads} heads of {queries} queries");
        let within = |rows: &Range<usize>, there| rows.start <= rows.end && rows.end <= there;
        for span in &self.spans {
            let fits = within(&span.queries, queries) && within(&span.keys, keys);
            assert!(fits, "attention: {span:?} is not within {queries} queries and {keys} keys");
        }
        let counts = self.kept.map_or(queries, <[u32]>::len);
        assert!(counts >= queries, "attention: {counts} counts for {queries} queries");
        let p = self.dropout.map_or(0.0, |(p, _)| p);
        assert!((0.0..1.0).contains(&p), "attention: the probability {p} of dropout is not in [0, 1)");
    }

    fn head_size(&self) -> usize {
        self.width / self.heads
    }

    fn heads(&self) -> impl Iterator<Item = Head> {
        let mut weight = 0usize;
        self.spans.iter().flat_map(move |span| {
            let (before, size) = (weight, span.queries.len().wrapping_mul(span.keys.len()));
            // No more than numbers to draw from: spans may overlap, and so their weights be more than can be counted.
            weight = before.wrapping_add(self.heads.wrapping_mul(size));
            let at = move |head: usize| before.wrapping_add(head.wrapping_mul(size));
            (0..self.heads).map(move |head| Head { span: span.clone(), head, weight: at(head) })
        })
    }

    fn blocks(&self, head: &Head) -> impl Iterator<Item = Block> {
        let Span { queries, keys } = head.span.clone();
        queries.clone().step_by(ROWS).map(move |query| {
            let rows = ROWS.min(queries.end - query);
            let limit = self.kept.map_or(keys.len(), |kept| {
                kept[query..query + rows]
                    .iter()
                    .map(|&count| count as usize)
                    .max()
                    .unwrap_or(0)
                    .min(keys.len())
            });
            Block { query, rows, limit }
        })
    }

    fn kept(&self, block: &Block) -> Option<&[u32]> {
        self.kept.map(|kept| &kept[block.query..][..block.rows])
    }

    /// The keys of the longest sentence.
    fn most_keys(&self) -> usize {
        self.spans.iter().map(|span| span.keys.len()).max().unwrap_or(0)
    }

    /// Where row `row` of a head begins.
    fn at(&self, row: usize, head: &Head) -> usize {
        row * self.width + head.head * self.head_size()
    }

    /// Room for a tile of scores.
    fn tile_room<T: Float>(&self) -> Buffer<T> {
        Buffer::stale(ROWS * KEYS.min(self.most_keys().next_multiple_of(PAD)))
    }

    /// Room for the rows of one block of a head.
    fn block_room<T: Float>(&self) -> Buffer<T> {
        Buffer::stale(ROWS * self.head_size())
    }

    /// Room for all keys of a head, by rows or by columns.
    fn head_room<T: Float>(&self) -> Buffer<T> {
        Buffer::stale(self.most_keys().next_multiple_of(PAD) * self.head_size())
    }

    /// Copies rows of a head together: `[rows, d]`.
    fn gather<T: Float>(&self, x: &[T], rows: Range<usize>, head: &Head, out: &mut [T]) {
        let d = self.head_size();
        for (row, out) in rows.zip(out.chunks_exact_mut(d)) {
            out.copy_from_slice(&x[self.at(row, head)..][..d]);
        }
    }

    /// Copies the keys or values of a head by columns, tile by tile: `[d, keys]`, with zeros after the last of each row.
    fn columns<T: Float>(&self, x: &[T], head: &Head, out: &mut [T]) {
        let (all, d) = (head.span.keys.clone(), self.head_size());
        for first in (0..all.len()).step_by(KEYS) {
            let keys = Keys { first, count: KEYS.min(all.len() - first) };
            let rows = Matrix::rows(&x[self.at(all.start + first, head)..], self.width);
            transpose(rows, keys.count, d, keys.of_columns_mut(out, d), keys.stride());
        }
    }

    /// `tile [rows, keys] = scale · x·yᵀ` for a block of rows `x`, and `y` given by columns.
    fn scores<T: Float>(
        &self,
        head: &Head,
        block: &Block,
        keys: Keys,
        [x, y]: [&[T]; 2],
        scale: T,
        tile: &mut [T],
    ) {
        let d = self.head_size();
        // The columns were laid out for whole tiles; a block may want less of the last one it sees.
        let whole = Keys { count: KEYS.min(head.span.keys.len() - keys.first), ..keys };
        small_product(Gemm {
            size: (block.rows, d, keys.stride()),
            a: Matrix::rows(x, d),
            b: Matrix::rows(whole.of_columns(y, d), whole.stride()),
            c: tile,
            c_stride: keys.stride(),
            scale,
            keep: false,
        });
    }

    /// Drops entries of a tile of weights, or of their gradient: both by the same mask.
    fn drop<T: Float>(&self, head: &Head, block: &Block, keys: Keys, tile: &mut [T]) {
        let Some((p, key)) = self.dropout else { return };
        let all = head.span.keys.len();
        let above = (block.query - head.span.queries.start).wrapping_mul(all);
        let first = head.weight.wrapping_add(above).wrapping_add(keys.first);
        dropout_rows_in_place_at(tile, keys.stride(), keys.count, key, p, first as u64, all as u64);
    }
}

/// `O = dropout(softmax(scale · Q·Kᵀ)) · V` per sentence and head; writes all of `o`, and into `lse [N, H]` the logarithm of
/// each row's sum of exponentials.
///
/// Tile by tile: where a new tile has a larger score than all before, what was summed so far is scaled down to it.
///
/// # Panics
/// Where the operands are not the rows that the geometry speaks of.
#[track_caller]
pub fn attention<T: Float>(g: &Geometry<'_>, [q, k, v]: [&[T]; 3], o: &mut [T], lse: &mut [T]) {
    g.check([q.len(), k.len(), v.len(), o.len(), lse.len()]);
    if q.is_empty() && k.is_empty() {
        // Columns of no row may be more than there is room for.
        return;
    }
    let d = g.head_size();
    let (mut tile, mut queries, mut out) = (g.tile_room(), g.block_room(), g.block_room());
    let (mut key_columns, mut values) = (g.head_room(), g.head_room());
    for head in g.heads() {
        g.columns(k, &head, &mut key_columns);
        g.gather(v, head.span.keys.clone(), &head, &mut values);
        for block in g.blocks(&head) {
            let rows = block.query..block.query + block.rows;
            let out = &mut out[..block.rows * d];
            g.gather(q, rows.clone(), &head, &mut queries);
            let (mut max, mut total, mut factor) = ([T::NEG_INFINITY; ROWS], [T::ZERO; ROWS], [T::ONE; ROWS]);
            out.fill(T::ZERO);
            for keys in block.tiles() {
                let tile = &mut tile[..block.rows * keys.stride()];
                g.scores(&head, &block, keys, [&queries, &key_columns], T::of(g.scale), tile);
                exponentials(tile, keys, g.kept(&block), &mut max, &mut total, &mut factor);
                if keys.first > 0 {
                    scale_rows(out, &factor[..block.rows]);
                }
                g.drop(&head, &block, keys, tile);
                small_product(Gemm {
                    size: (block.rows, keys.count, d),
                    a: Matrix::rows(tile, keys.stride()),
                    b: Matrix::rows(keys.of_rows(&values, d), d),
                    c: out,
                    c_stride: d,
                    scale: T::ONE,
                    keep: keys.first > 0,
                });
            }
            for (r, row) in rows.enumerate() {
                lse[row * g.heads + head.head] = max[r] + total[r].ln();
                // No key is seen, or none has any weight: the output is zero, not undefined.
                factor[r] = if total[r] > T::ZERO { T::ONE / total[r] } else { T::ZERO };
            }
            scale_rows(out, &factor[..block.rows]);
            put_rows(out, d, &mut o[g.at(block.query, &head)..], g.width, false);
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
///
/// # Panics
/// Where the operands are not the rows that the geometry speaks of.
#[track_caller]
pub fn attention_backward<T: Float>(
    g: &Geometry<'_>,
    forward: Forward<'_, T>,
    d_o: &[T],
    grads: [Option<(&mut [T], bool)>; 3],
) {
    let Forward { qkv: [q, k, v], o, lse } = forward;
    g.check([q.len(), k.len(), v.len(), o.len(), lse.len()]);
    for (grad, x) in grads.iter().zip([q, k, v]) {
        let entries = grad.as_ref().map_or(x.len(), |(grad, _)| grad.len());
        assert!(entries == x.len(), "attention: a gradient of {entries} entries for {}", x.len());
    }
    assert!(d_o.len() == o.len(), "attention: a gradient of {} entries for {}", d_o.len(), o.len());
    if q.is_empty() && k.is_empty() {
        return;
    }
    let [mut dq, mut dk, mut dv] = grads;
    let (d, scale) = (g.head_size(), T::of(g.scale));
    let (mut weights, mut dropped, mut flow) = (g.tile_room(), g.tile_room(), g.tile_room());
    let (mut queries, mut upstream, mut query_sums) = (g.block_room(), g.block_room(), g.block_room());
    let (mut keys_by_rows, mut key_columns, mut value_columns) =
        (g.head_room(), g.head_room(), g.head_room());
    let (mut key_sums, mut value_sums) = (g.head_room(), g.head_room());
    let mut row_sums = [T::ZERO; ROWS];
    for head in g.heads() {
        let all = head.span.keys.clone();
        g.gather(k, all.clone(), &head, &mut keys_by_rows);
        g.columns(k, &head, &mut key_columns);
        g.columns(v, &head, &mut value_columns);
        key_sums[..all.len() * d].fill(T::ZERO);
        value_sums[..all.len() * d].fill(T::ZERO);
        for block in g.blocks(&head) {
            let (rows, at) = (block.query..block.query + block.rows, g.at(block.query, &head));
            g.gather(q, rows.clone(), &head, &mut queries);
            g.gather(d_o, rows, &head, &mut upstream);
            row_dots(&upstream[..block.rows * d], d, &o[at..], g.width, &mut row_sums);
            let query_sums = &mut query_sums[..block.rows * d];
            query_sums.fill(T::ZERO);
            for keys in block.tiles() {
                let size = block.rows * keys.stride();
                let weights = &mut weights[..size];
                g.scores(&head, &block, keys, [&queries, &key_columns], scale, weights);
                let lse = &lse[block.query * g.heads + head.head..];
                weights_again(weights, keys, g.kept(&block), lse, g.heads);
                // `out [keys, d] += scale · tileᵀ · rows`
                let by_keys = |tile: &[T], rows: &[T], scale, out: &mut [T]| {
                    small_product(Gemm {
                        size: (keys.count, block.rows, d),
                        a: Matrix::rows(tile, keys.stride()).t(),
                        b: Matrix::rows(rows, d),
                        c: keys.of_rows_mut(out, d),
                        c_stride: d,
                        scale,
                        keep: true,
                    });
                };
                if dv.is_some() && g.dropout.is_some() {
                    let dropped = &mut dropped[..size];
                    dropped.copy_from_slice(weights);
                    g.drop(&head, &block, keys, dropped);
                    by_keys(dropped, &upstream, T::ONE, &mut value_sums);
                } else if dv.is_some() {
                    by_keys(weights, &upstream, T::ONE, &mut value_sums);
                }
                if dq.is_none() && dk.is_none() {
                    continue;
                }
                let flow = &mut flow[..size];
                g.scores(&head, &block, keys, [&upstream, &value_columns], T::ONE, flow);
                g.drop(&head, &block, keys, flow);
                through_softmax(weights, flow, keys.stride(), &row_sums);
                if dq.is_some() {
                    small_product(Gemm {
                        size: (block.rows, keys.count, d),
                        a: Matrix::rows(flow, keys.stride()),
                        b: Matrix::rows(keys.of_rows(&keys_by_rows, d), d),
                        c: query_sums,
                        c_stride: d,
                        scale,
                        keep: true,
                    });
                }
                if dk.is_some() {
                    by_keys(flow, &queries, scale, &mut key_sums);
                }
            }
            if let Some((dq, keep)) = &mut dq {
                put_rows(query_sums, d, &mut dq[at..], g.width, *keep);
            }
        }
        for (sums, grad) in [(&key_sums, &mut dk), (&value_sums, &mut dv)] {
            // A sentence without keys has no row to begin at.
            if let (Some((out, keep)), false) = (grad, all.is_empty()) {
                put_rows(&sums[..all.len() * d], d, &mut out[g.at(all.start, &head)..], g.width, *keep);
            }
        }
    }
}

/// How many of these keys row `r` may see.
#[inline(always)]
fn seen(kept: Option<&[u32]>, r: usize, keys: Keys) -> usize {
    kept.map_or(keys.count, |kept| (kept[r] as usize).saturating_sub(keys.first).min(keys.count))
}

/// Turns the first `count` scores of a row into exponentials of their distance to `most`, and the others into zeros; gives
/// the sum.
#[inline(always)]
fn exponential_row<T: Float, S: Simd<T>>(s: S, row: &mut [T], count: usize, most: T) -> T {
    let most = s.splat(most);
    let mut sum = s.splat(T::ZERO);
    let whole = count.div_ceil(S::LANES) * S::LANES;
    for (i, x) in row[..whole].chunks_exact_mut(S::LANES).enumerate() {
        let left = count - i * S::LANES;
        let e = weight(s, s.load(&x[..S::LANES.min(left)], T::NEG_INFINITY), most);
        sum = s.add(sum, e);
        s.store(e, x);
    }
    row[whole..].fill(T::ZERO);
    s.sum(sum)
}

simd! {
    /// Turns rows of scores into exponentials of their distance to the largest score so far, `max`, zero for keys that are
    /// not kept; `total` is their sum so far, and `shrink` what sums of earlier tiles are to be multiplied by.
    fn exponentials<T>(
        s,
        tile: &mut [T],
        keys: Keys,
        kept: Option<&[u32]>,
        max: &mut [T],
        total: &mut [T],
        shrink: &mut [T],
    ) {
        for (r, row) in tile.chunks_exact_mut(keys.stride()).enumerate() {
            let (count, before) = (seen(kept, r, keys), max[r]);
            max[r] = before.max(largest(s, &row[..count]));
            if max[r] == T::NEG_INFINITY {
                row.fill(T::ZERO);
                continue;
            }
            let sum = exponential_row(s, row, count, max[r]);
            shrink[r] = (before - max[r]).exp();
            total[r] = total[r] * shrink[r] + sum;
        }
    }

    /// Turns rows of scores into softmax weights, `exp(score − lse)`; the logarithms are `stride` apart.
    fn weights_again<T>(s, tile: &mut [T], keys: Keys, kept: Option<&[u32]>, lse: &[T], stride: usize) {
        for (r, row) in tile.chunks_exact_mut(keys.stride()).enumerate() {
            let lse = lse[r * stride];
            let count = if lse == T::NEG_INFINITY { 0 } else { seen(kept, r, keys) };
            exponential_row(s, row, count, lse);
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

    /// `out[r] = ⟨a_r, b_r⟩` for the rows of `a [.., n]` and those of `b` that are `stride` apart.
    fn row_dots<T>(s, a: &[T], n: usize, b: &[T], stride: usize, out: &mut [T]) {
        for (r, (a, out)) in a.chunks_exact(n).zip(out).enumerate() {
            let mut sum = s.splat(T::ZERO);
            for (a, b) in a.chunks(S::LANES).zip(b[r * stride..][..n].chunks(S::LANES)) {
                sum = s.fma(s.load(a, T::ZERO), s.load(b, T::ZERO), sum);
            }
            *out = s.sum(sum);
        }
    }

    /// Multiplies each row of `x` by its factor.
    fn scale_rows<T>(s, x: &mut [T], factors: &[T]) {
        let n = x.len() / factors.len();
        for (x, &factor) in x.chunks_exact_mut(n).zip(factors) {
            let factor = s.splat(factor);
            for x in x.chunks_mut(S::LANES) {
                s.store(s.mul(s.load(x, T::ZERO), factor), x);
            }
        }
    }

    /// Writes rows of `n` entries to `out`, or adds them where `keep`, `stride` apart.
    fn put_rows<T>(s, x: &[T], n: usize, out: &mut [T], stride: usize, keep: bool) {
        for (r, x) in x.chunks_exact(n).enumerate() {
            let out = &mut out[r * stride..][..n];
            for (x, out) in x.chunks(S::LANES).zip(out.chunks_mut(S::LANES)) {
                let x = s.load(x, T::ZERO);
                s.store(if keep { s.add(x, s.load(out, T::ZERO)) } else { x }, out);
            }
        }
    }
}

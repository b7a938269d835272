//! Attention of one query a row over keys and values that lie where they were first written.
//!
//! While a search goes on, hypotheses part, meet and end, but a position's keys and values never change. So they stay, and
//! a table of numbers says for each row and position which ones are the row's.

use std::ops::Range;

use super::simd::Simd;
use super::softmax::{largest, weight};
use crate::buffer::Buffer;
use crate::kernels::{Gathered, Row};
use crate::{Shape, float::Float, simd};

#[cold]
fn missing_row(of: Shape) -> ! {
    panic!("attention_step: a row that is asked for is not in {of}")
}

impl<T: Float> Gathered<'_, T> {
    /// The row that query `query` sees at `position`, of its keys or of its values.
    #[inline(always)]
    fn row<'b>(&self, of: &'b [Row<'_, T>], position: usize, query: usize) -> &'b [T] {
        let Row { tensor, first } = of[position];
        let start = first
            .checked_add(self.rows[position][query] as usize)
            .and_then(|row| row.checked_mul(self.width));
        let row = start.and_then(|start| tensor.as_slice().get(start..)?.get(..self.width));
        row.unwrap_or_else(|| missing_row(tensor.shape()))
    }

    /// Stops where this is not for queries of so many entries. That every row is there, [`row`](Self::row) sees.
    #[track_caller]
    fn check(&self, q: usize, o: usize) {
        let Self { heads, width, .. } = *self;
        let divided = heads > 0 && width > 0 && width.is_multiple_of(heads);
        assert!(divided, "attention_step: {heads} heads do not divide {width} columns");
        assert!(
            q == o && q.is_multiple_of(width),
            "attention_step: {q} and {o} entries are no rows of {width}"
        );
        let [keys, values, positions] = [self.keys.len(), self.values.len(), self.rows.len()];
        let alike = keys == positions && values == positions;
        assert!(alike, "attention_step: rows of {positions} positions, keys of {keys}, values of {values}");
        let queries = q / width;
        for rows in self.rows.iter().copied().chain(self.kept) {
            assert!(rows.len() >= queries, "attention_step: {} numbers for {queries} queries", rows.len());
        }
    }
}

simd! {
    /// `O = softmax(Q·Kᵀ / √d) · V` for each query and head: `q` and `o` are `[R, H·d]`. A query that sees no position gives
    /// zeros.
    pub fn attention_step<T>(s, g: &Gathered<'_, T>, q: &[T], o: &mut [T]) {
        g.check(q.len(), o.len());
        let (width, d) = (g.width, g.width / g.heads);
        let scale = T::ONE / T::of(d as f64).sqrt();
        let mut scores = Buffer::stale(g.rows.len().next_multiple_of(GROUP));
        let (mut keys, mut values) = (Vec::with_capacity(g.rows.len()), Vec::with_capacity(g.rows.len()));
        for (r, (q, o)) in q.chunks_exact(width).zip(o.chunks_exact_mut(width)).enumerate() {
            let seen = g.kept.map_or(g.rows.len(), |kept| (kept[r] as usize).min(g.rows.len()));
            if seen == 0 {
                o.fill(T::ZERO);
                continue;
            }
            keys.clear();
            keys.extend((0..seen).map(|position| g.row(&g.keys, position, r)));
            values.clear();
            values.extend((0..seen).map(|position| g.row(&g.values, position, r)));
            let scores = &mut scores[..seen.next_multiple_of(GROUP)];
            for (h, (q, o)) in q.chunks_exact(d).zip(o.chunks_exact_mut(d)).enumerate() {
                let head = Head { q, keys: &keys, values: &values, column: h * d, scale };
                match d.div_ceil(S::LANES) {
                    1 => head.attend::<S, 1>(s, scores, o),
                    2 => head.attend::<S, 2>(s, scores, o),
                    3 | 4 => head.attend::<S, 4>(s, scores, o),
                    _ => head.attend::<S, 8>(s, scores, o),
                }
            }
        }
    }
}

/// Positions whose scores are summed up together.
const GROUP: usize = 4;

/// A query of one head, and what it sees.
struct Head<'a, T: Float> {
    /// `[d]`
    q: &'a [T],
    /// For each position, the keys of all heads.
    keys: &'a [&'a [T]],
    values: &'a [&'a [T]],
    /// Where this head's part of them begins.
    column: usize,
    scale: T,
}

impl<T: Float> Head<'_, T> {
    /// Writes the output `[d]`; `scores` has room for whole groups of positions. `W` vectors at a time stay in registers.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "constant indices keep vectors in registers")]
    fn attend<S: Simd<T>, const W: usize>(&self, s: S, scores: &mut [T], o: &mut [T]) {
        let (d, last) = (self.q.len(), self.keys.len() - 1);
        for start in (0..d).step_by(W * S::LANES) {
            let columns = start..d.min(start + W * S::LANES);
            let q = vectors::<T, S, W>(s, &self.q[columns.clone()]);
            for (group, scores) in scores.chunks_exact_mut(GROUP).enumerate() {
                let mut sums = [s.splat(T::ZERO); GROUP];
                for i in 0..GROUP {
                    // Past the end the last position once more, whose score nobody reads.
                    let key =
                        vectors::<T, S, W>(s, self.part(self.keys[last.min(group * GROUP + i)], &columns));
                    for w in 0..W {
                        sums[i] = s.fma(q[w], key[w], sums[i]);
                    }
                }
                let sums = s.sums(sums);
                for i in 0..GROUP {
                    scores[i] =
                        if start == 0 { self.scale * sums[i] } else { scores[i] + self.scale * sums[i] };
                }
            }
        }
        shares(s, &mut scores[..=last]);
        for start in (0..d).step_by(W * S::LANES) {
            let columns = start..d.min(start + W * S::LANES);
            // Sums of even and of odd positions, since one multiply-add would wait for the other.
            let (mut even, mut odd) = ([s.splat(T::ZERO); W], [s.splat(T::ZERO); W]);
            for position in (0..last).step_by(2) {
                let (a, b) = (s.splat(scores[position]), s.splat(scores[position + 1]));
                let x = vectors::<T, S, W>(s, self.part(self.values[position], &columns));
                let y = vectors::<T, S, W>(s, self.part(self.values[position + 1], &columns));
                for w in 0..W {
                    even[w] = s.fma(a, x[w], even[w]);
                    odd[w] = s.fma(b, y[w], odd[w]);
                }
            }
            if last.is_multiple_of(2) {
                let a = s.splat(scores[last]);
                let x = vectors::<T, S, W>(s, self.part(self.values[last], &columns));
                for w in 0..W {
                    even[w] = s.fma(a, x[w], even[w]);
                }
            }
            for (w, o) in o[columns.clone()].chunks_mut(S::LANES).enumerate() {
                s.store(s.add(even[w], odd[w]), o);
            }
        }
    }

    /// This head's columns of a row of all heads.
    #[inline(always)]
    fn part<'b>(&self, row: &'b [T], columns: &Range<usize>) -> &'b [T] {
        &row[self.column + columns.start..self.column + columns.end]
    }
}

/// Up to `W` vectors, zeros after the end.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "constant indices keep vectors in registers")]
fn vectors<T: Float, S: Simd<T>, const W: usize>(s: S, x: &[T]) -> [S::V; W] {
    let mut vectors = [s.splat(T::ZERO); W];
    if x.len() == W * S::LANES {
        for w in 0..W {
            vectors[w] = s.load(&x[w * S::LANES..][..S::LANES], T::ZERO);
        }
    } else {
        for w in 0..W {
            if w * S::LANES < x.len() {
                vectors[w] = s.load(&x[w * S::LANES..], T::ZERO);
            }
        }
    }
    vectors
}

/// Softmax in place; zeros where every score is −∞.
#[inline(always)]
fn shares<T: Float, S: Simd<T>>(s: S, scores: &mut [T]) {
    let max = largest(s, scores);
    if max == T::NEG_INFINITY {
        scores.fill(T::ZERO);
        return;
    }
    let (max, mut sum) = (s.splat(max), s.splat(T::ZERO));
    for x in scores.chunks_mut(S::LANES) {
        let e = weight(s, s.load(x, T::NEG_INFINITY), max);
        sum = s.add(sum, e);
        s.store(e, x);
    }
    let share = s.splat(T::ONE / s.sum(sum));
    for x in scores.chunks_mut(S::LANES) {
        s.store(s.mul(s.load(x, T::ZERO), share), x);
    }
}

#[cfg(test)]
mod tests {
    use super::super::attention::{Geometry, Span, attention};
    use super::super::testing::{assert_close, random, unread, widen};
    use super::*;
    use crate::Tensor;

    /// Rows of each position in an order of its own, some seen by several queries; against attention over keys and values
    /// that were copied into place for each query.
    fn check<T: Float>(heads: usize, d: usize) {
        const QUERIES: usize = 5;
        let kept = [7, 3, 0, 9, 1];
        let (width, positions) = (heads * d, 7);
        let q: Vec<T> = random(QUERIES * width, 1);
        let (keys, values): (Vec<T>, Vec<T>) =
            (random(positions * 6 * width, 2), random(positions * 6 * width, 3));
        let rows: Vec<Vec<u32>> =
            (0..positions).map(|t| (0..QUERIES).map(|r| ((r * r + 3 * t) % 6) as u32).collect()).collect();
        let [keys, values] = [keys, values].map(|x| Tensor::new([positions * 6, width], x));
        let each = |tensor| (0..positions).map(|position| Row { tensor, first: 6 * position }).collect();
        let gathered = Gathered {
            keys: each(&keys),
            values: each(&values),
            rows: rows.iter().map(Vec::as_slice).collect(),
            kept: Some(&kept),
            heads,
            width,
        };
        let mut o = unread(q.len());
        attention_step(&gathered, &q, &mut o);

        let copied = |x: &[T]| -> Vec<f64> {
            let row = |r: usize, t: usize| &x[(t * 6 + rows[t][r] as usize) * width..][..width];
            widen(
                &(0..QUERIES * positions)
                    .flat_map(|i| row(i / positions, i % positions))
                    .copied()
                    .collect::<Vec<_>>(),
            )
        };
        let span = |r| Span { queries: r..r + 1, keys: r * positions..(r + 1) * positions };
        let geometry = Geometry {
            spans: (0..QUERIES).map(span).collect(),
            heads,
            width,
            scale: 1.0 / (d as f64).sqrt(),
            kept: Some(&kept),
            dropout: None,
        };
        let mut expected = unread(q.len());
        let operands = [widen(&q), copied(keys.as_slice()), copied(values.as_slice())];
        attention(
            &geometry,
            operands.each_ref().map(Vec::as_slice),
            &mut expected,
            &mut unread(QUERIES * heads),
        );
        assert_close(&o, &expected, 64.0);
        assert!(o[2 * width..3 * width].iter().all(|&o| o == T::ZERO), "a query that sees nothing");
    }

    #[test]
    fn rows_attend_over_what_the_table_names() {
        for (heads, d) in [(1, 1), (2, 8), (4, 32), (2, 40), (3, 5), (1, 70)] {
            check::<f32>(heads, d);
            check::<f64>(heads, d);
        }
    }
}

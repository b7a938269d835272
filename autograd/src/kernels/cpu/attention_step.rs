//! Attention of one query a row over keys and values that lie where they were first written.
//!
//! While a search goes on, hypotheses part, meet and end, but a position's keys and values never change. So they stay, and
//! a table of numbers says for each row and position which ones are the row's.

use super::simd::Simd;
use super::softmax::{largest, weight};
use crate::buffer::Buffer;
use crate::kernels::{Gathered, Row};
use crate::{float::Float, simd};

impl<T: Float> Gathered<'_, T> {
    /// The row that query `query` sees at `position`, of its keys or of its values.
    #[inline(always)]
    fn row<'b>(&self, of: &'b [Row<'_, T>], position: usize, query: usize) -> &'b [T] {
        let Row { tensor, first } = of[position];
        let row = first + self.rows[position][query] as usize;
        &tensor.as_slice()[row * self.width..][..self.width]
    }
}

simd! {
    /// `O = softmax(Q·Kᵀ / √d) · V` for each query and head: `q` and `o` are `[R, H·d]`. A query that sees no position gives
    /// zeros.
    pub fn attention_step<T>(s, g: &Gathered<'_, T>, q: &[T], o: &mut [T]) {
        let (width, d) = (g.width, g.width / g.heads);
        assert!(width == d * g.heads && q.len() == o.len() && q.len().is_multiple_of(width), "attention step: sizes");
        assert!(g.keys.len() == g.rows.len() && g.values.len() == g.rows.len(), "attention step: positions");
        let scale = T::ONE / T::of(d as f64).sqrt();
        let mut scores = Buffer::stale(g.heads * g.rows.len());
        for (r, (q, o)) in q.chunks_exact(width).zip(o.chunks_exact_mut(width)).enumerate() {
            o.fill(T::ZERO);
            let seen = g.kept.map_or(g.rows.len(), |kept| (kept[r] as usize).min(g.rows.len()));
            if seen == 0 {
                continue;
            }
            // Position by position, because a row of keys or values comes from far away, and all heads of it at once.
            let scores = &mut scores[..g.heads * seen]; // [H, S]
            for position in 0..seen {
                let key = g.row(&g.keys, position, r);
                for (h, (q, key)) in q.chunks_exact(d).zip(key.chunks_exact(d)).enumerate() {
                    let mut sum = s.splat(T::ZERO);
                    for (q, key) in q.chunks(S::LANES).zip(key.chunks(S::LANES)) {
                        sum = s.fma(s.load(q, T::ZERO), s.load(key, T::ZERO), sum);
                    }
                    scores[h * seen + position] = scale * s.sum(sum);
                }
            }
            for scores in scores.chunks_exact_mut(seen) {
                shares(s, scores);
            }
            for position in 0..seen {
                let value = g.row(&g.values, position, r);
                for (h, (o, value)) in o.chunks_exact_mut(d).zip(value.chunks_exact(d)).enumerate() {
                    let share = s.splat(scores[h * seen + position]);
                    for (o, value) in o.chunks_mut(S::LANES).zip(value.chunks(S::LANES)) {
                        s.store(s.fma(share, s.load(value, T::ZERO), s.load(o, T::ZERO)), o);
                    }
                }
            }
        }
    }
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

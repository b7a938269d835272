//! The best few words of a row of scores, and what makes their scores log-probabilities.

use super::softmax::largest;
use crate::{float::Float, simd};

/// Scores that are looked at one by one only where the largest of them is good enough.
const BLOCK: usize = 64;

simd! {
    /// Leaves in `best` the `count` largest of the scores `x` with their indices, largest first, equal ones by index, but
    /// none of `skip` and none of −∞; returns `log Σ exp x` over all of them, NaN where one is NaN.
    ///
    /// One pass: a block whose largest score is below the worst kept so far is only summed. What was summed relative to a
    /// smaller maximum is scaled down when a larger one comes (Milakov and Gimelshein, "Online normalizer calculation for
    /// softmax", 2018, who fuse it with a top-k as well).
    pub fn best_and_log_sum<T>(s, x: &[T], count: usize, skip: &[u32], best: &mut Vec<(T, u32)>) -> T::Wide {
        let most = u32::MAX as usize;
        assert!(x.len() <= most, "best: {} scores are more than the {most} that have an index", x.len());
        best.clear();
        let (mut max, mut bar) = (T::NEG_INFINITY, T::NEG_INFINITY);
        let (mut even, mut odd) = (s.splat(T::ZERO), s.splat(T::ZERO));
        for (block, x) in x.chunks(BLOCK).enumerate() {
            let top = largest(s, x);
            if top > max {
                let shrink = s.splat((max - top).exp());
                (even, odd) = (s.mul(even, shrink), s.mul(odd, shrink));
                max = top;
            }
            // A block of nothing but −∞ at the start is no reason for ∞ − ∞.
            let shift = s.splat(if max == T::NEG_INFINITY { T::ZERO } else { max });
            for pair in x.chunks(2 * S::LANES) {
                even = s.add(even, s.exp(s.sub(s.load(pair, T::NEG_INFINITY), shift)));
                if pair.len() > S::LANES {
                    odd = s.add(odd, s.exp(s.sub(s.load(&pair[S::LANES..], T::NEG_INFINITY), shift)));
                }
            }
            if top > bar && count > 0 {
                for (index, &score) in (block * BLOCK..).zip(x) {
                    let index = index as u32;
                    if score > bar && !skip.contains(&index) {
                        if best.len() == count {
                            best.pop();
                        }
                        best.insert(best.partition_point(|&(kept, _)| kept >= score), (score, index));
                        if best.len() == count {
                            bar = best[count - 1].0;
                        }
                    }
                }
            }
        }
        max.widen() + s.sum(s.add(even, odd)).widen().ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn check<T: Float>(tolerance: f64) {
        let mut stream = Stream::new(3);
        let mut best = Vec::new();
        for length in (1..200).chain([1000]) {
            // Few different values, so that many are equal.
            let scores: Vec<T> =
                (0..length).map(|_| T::of((stream.uniform() * 20.0).floor() - 10.0)).collect();
            let log_sum = scores.iter().map(|score| score.to_f64().exp()).sum::<f64>().ln();
            for count in [0, 1, 2, 7, 16, 300] {
                let got = best_and_log_sum(&scores, count, &[3, 64], &mut best).to_f64();
                assert!((got - log_sum).abs() < tolerance, "{length}: {got} is not {log_sum}");
                let mut all: Vec<(T, u32)> = scores.iter().copied().zip(0..).collect();
                all.retain(|&(_, index)| index != 3 && index != 64);
                all.sort_by(|a, b| b.0.to_f64().total_cmp(&a.0.to_f64()).then(a.1.cmp(&b.1)));
                all.truncate(count);
                assert_eq!(best, all, "the {count} best of {length}");
            }
        }
    }

    #[test]
    fn the_best_are_those_of_a_full_sort_and_the_sum_is_that_of_the_definition() {
        check::<f32>(1e-5);
        check::<f64>(1e-13);
    }

    #[test]
    fn impossible_scores_count_for_nothing() {
        let none = f32::NEG_INFINITY;
        let mut best = Vec::new();
        let mut scores = vec![none; 150];
        assert_eq!(best_and_log_sum(&scores, 4, &[], &mut best), f64::NEG_INFINITY);
        assert_eq!(best, []);
        (scores[70], scores[140]) = (-1e30, 1.0);
        let log_sum = best_and_log_sum(&scores, 4, &[], &mut best);
        assert!((log_sum - 1.0).abs() < 1e-6, "{log_sum}");
        assert_eq!(best, [(1.0, 140), (-1e30, 70)]);
        scores[5] = f32::NAN;
        assert!(best_and_log_sum(&scores, 4, &[], &mut best).is_nan());
    }
}

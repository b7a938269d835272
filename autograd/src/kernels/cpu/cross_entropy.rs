//! Cross entropy of logits with label smoothing (Szegedy et al., 2016): the target distribution is `1 − ε` at the
//! target plus `ε/n` at every class, so a row costs `(1 − ε)(lse − x_t) + ε(lse − mean(x))` with
//! `lse = log Σ exp x`, and its gradient is `softmax(x) − (1 − ε)·onehot(t) − ε/n`.
//!
//! Everything is computed on `z = x − max(x)`, which changes no cost and keeps the exponentials at or below 1. Rows
//! whose target is `ignore` cost nothing and have gradient zero.

use super::check_rows;
use super::softmax::largest;
use crate::{float::Float, simd};

/// Logits whose maximum is taken just before their exponentials, so that a row comes from memory once.
const BLOCK: usize = 512;

/// The cost of a row from `ln Σ exp z`, the target's `z` and `Σ z`.
#[inline(always)]
fn cost<T: Float>(log_sum: T::Wide, at_target: T, sum: T::Wide, smoothing: T, n: usize) -> T::Wide {
    let hit = log_sum - at_target.widen();
    if smoothing == T::ZERO {
        // A logit of −∞ is a class that is ruled out, and only smoothing asks for its probability.
        return hit;
    }
    let smoothing = smoothing.widen();
    (T::Wide::ONE - smoothing) * hit + smoothing * (log_sum - sum / T::Wide::of(n as f64))
}

/// Stops where logits and targets do not fit, or a target is outside the classes.
#[track_caller]
fn check(entries: usize, targets: &[u32], ignore: u32, n: usize) {
    check_rows("cross_entropy", entries, targets.len(), n);
    if let Some(label) = targets.iter().find(|&&label| label as usize >= n && label != ignore) {
        panic!("cross_entropy: label {label} is not among the {n} classes");
    }
}

simd! {
    /// The sum of the costs of all rows that are not ignored; `x` is `[rows, n]`, `targets` and `lse` are `[rows]`.
    /// Leaves `log Σ exp x` of every row in `lse` for the gradient, and 0 for ignored rows.
    pub fn cross_entropy<T>(
        s, x: &[T], targets: &[u32], ignore: u32, smoothing: T, lse: &mut [T], n: usize
    ) -> T::Wide {
        check(x.len(), targets, ignore, n);
        assert!(targets.len() == lse.len(), "cross_entropy: {} log-sums for {} rows", lse.len(), targets.len());
        if n == 0 {
            // All rows are ignored.
            lse.fill(T::ZERO);
            return T::Wide::ZERO;
        }
        let mut total = T::Wide::ZERO;
        for ((x, &target), lse) in x.chunks_exact(n).zip(targets).zip(lse) {
            if target == ignore {
                *lse = T::ZERO;
                continue;
            }
            let (mut max, mut exps, mut sum) = (T::NEG_INFINITY, T::ZERO, T::Wide::ZERO);
            for x in x.chunks(BLOCK) {
                let top = largest(s, x);
                if top > max {
                    // What is summed already is relative to a smaller maximum; at first to −∞, and e^−∞ = 0.
                    exps *= (max - top).exp();
                    max = top;
                }
                // A block of nothing but −∞ at the start is no reason for ∞ − ∞.
                let shift = s.splat(if max == T::NEG_INFINITY { T::ZERO } else { max });
                let (mut block_exps, mut block_sum) = (s.splat(T::ZERO), s.splat(T::ZERO));
                for x in x.chunks(S::LANES) {
                    // Lanes past the end add about 1e-38 to a sum of at least 1, and exactly 0 to the other.
                    block_exps = s.add(block_exps, s.exp(s.sub(s.load(x, T::NEG_INFINITY), shift)));
                    block_sum = s.add(block_sum, s.sub(s.load(x, max), shift));
                }
                exps += s.sum(block_exps);
                sum += s.sum(block_sum).widen() + T::Wide::of(x.len() as f64) * max.widen();
            }
            let log_sum = exps.widen().ln();
            *lse = T::narrow(max.widen() + log_sum);
            let sum = sum - T::Wide::of(n as f64) * max.widen();
            total += cost(log_sum, x[target as usize] - max, sum, smoothing, n);
        }
        total
    }

    /// `dx (+)= scale · (softmax(x) − (1 − ε)·onehot(target) − ε/n)`, with the `lse` that [`cross_entropy`] left; rows
    /// that are ignored get 0.
    pub fn cross_entropy_backward<T>(
        s, x: &[T], targets: &[u32], ignore: u32, smoothing: T, lse: &[T], scale: T, dx: &mut [T], n: usize, keep: bool
    ) {
        check(x.len(), targets, ignore, n);
        assert!(x.len() == dx.len() && targets.len() == lse.len(), "cross_entropy: sizes differ");
        if n == 0 {
            return;
        }
        let factor = s.splat(scale);
        let uniform = s.splat(-scale * smoothing / T::of(n as f64));
        for (((x, dx), &target), &lse) in x.chunks_exact(n).zip(dx.chunks_exact_mut(n)).zip(targets).zip(lse) {
            if target == ignore {
                if !keep {
                    dx.fill(T::ZERO);
                }
                continue;
            }
            let shift = s.splat(lse);
            for (x, dx) in x.chunks(S::LANES).zip(dx.chunks_mut(S::LANES)) {
                let held = if keep { s.add(s.load(dx, T::ZERO), uniform) } else { uniform };
                let softmax = s.exp(s.sub(s.load(x, T::ZERO), shift));
                s.store(s.fma(softmax, factor, held), dx);
            }
            dx[target as usize] -= scale * (T::ONE - smoothing);
        }
    }

    /// Both at once: returns what [`cross_entropy`] does and replaces the logits by what [`cross_entropy_backward`]
    /// writes without `keep`.
    pub fn cross_entropy_in_place<T>(
        s, x: &mut [T], targets: &[u32], ignore: u32, smoothing: T, scale: T, n: usize
    ) -> T::Wide {
        check(x.len(), targets, ignore, n);
        if n == 0 {
            return T::Wide::ZERO;
        }
        let uniform = s.splat(-scale * smoothing / T::of(n as f64));
        let mut total = T::Wide::ZERO;
        for (x, &target) in x.chunks_exact_mut(n).zip(targets) {
            if target == ignore {
                x.fill(T::ZERO);
                continue;
            }
            let max = largest(s, x);
            let shift = s.splat(max);
            let at_target = x[target as usize] - max;
            let (mut exps, mut sum) = (s.splat(T::ZERO), s.splat(T::ZERO));
            for x in x.chunks_mut(S::LANES) {
                sum = s.add(sum, s.sub(s.load(x, max), shift));
                let e = s.exp(s.sub(s.load(x, T::NEG_INFINITY), shift));
                exps = s.add(exps, e);
                s.store(e, x);
            }
            let exps = s.sum(exps);
            total += cost(exps.widen().ln(), at_target, s.sum(sum).widen(), smoothing, n);
            let factor = s.splat(scale / exps);
            for x in x.chunks_mut(S::LANES) {
                s.store(s.fma(s.load(x, T::ZERO), factor, uniform), x);
            }
            x[target as usize] -= scale * (T::ONE - smoothing);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SIZES, assert_close, assert_gradient, both_ways, random, unread, widen};
    use super::*;

    const ROWS: usize = 6;
    const IGNORE: u32 = u32::MAX;

    fn targets(n: usize) -> Vec<u32> {
        (0..ROWS).map(|r| if r == 2 { IGNORE } else { (r * 7919 % n) as u32 }).collect()
    }

    /// Total, log-sums and gradient by the definition.
    fn reference(
        x: &[f64],
        targets: &[u32],
        smoothing: f64,
        scale: f64,
        n: usize,
    ) -> (f64, Vec<f64>, Vec<f64>) {
        let (mut total, mut all, mut dx) = (0.0, vec![], vec![]);
        for (x, &target) in x.chunks(n).zip(targets) {
            if target == IGNORE {
                all.push(0.0);
                dx.extend(std::iter::repeat_n(0.0, n));
                continue;
            }
            let lse = x.iter().map(|x| x.exp()).sum::<f64>().ln();
            let mean = x.iter().sum::<f64>() / n as f64;
            total += (1.0 - smoothing) * (lse - x[target as usize]) + smoothing * (lse - mean);
            all.push(lse);
            dx.extend(x.iter().enumerate().map(|(i, x)| {
                let hit = if i == target as usize { 1.0 - smoothing } else { 0.0 };
                scale * ((x - lse).exp() - hit - smoothing / n as f64)
            }));
        }
        (total, all, dx)
    }

    /// Sums of 1000 positive terms in lanes, and `lse` up to 9 rounded to its own size before it goes into an
    /// exponential: a few dozen roundings in all.
    fn check<T: Float>(n: usize, smoothing: f64) {
        let (x, targets): (Vec<T>, _) = (random(ROWS * n, n as u64), targets(n));
        // A power of two is exact in both types; so is a quarter for the smoothing.
        let (scale, eps) = (T::of(0.125), T::of(smoothing));
        let (total, all, gradient) = reference(&widen(&x), &targets, smoothing, 0.125, n);
        let mut lse = unread::<T>(ROWS);
        let got = cross_entropy(&x, &targets, IGNORE, eps, &mut lse, n);
        assert_close(&[T::narrow(got)], &[total], 64.0);
        assert_close(&lse, &all, 64.0);
        let dx = both_ways(x.len(), |dx, keep| {
            cross_entropy_backward(&x, &targets, IGNORE, eps, &lse, scale, dx, n, keep);
        });
        assert_close(&dx, &gradient, 32.0);
        let mut in_place = x.clone();
        let both = cross_entropy_in_place(&mut in_place, &targets, IGNORE, eps, scale, n);
        assert_close(&[T::narrow(both)], &[total], 64.0);
        assert_close(&in_place, &gradient, 32.0);
        assert!(in_place[2 * n..3 * n].iter().chain(&dx[2 * n..3 * n]).all(|dx| *dx == T::ZERO));
    }

    #[test]
    fn costs_and_gradients_agree_with_the_definition() {
        for n in SIZES {
            for smoothing in [0.0, 0.25] {
                check::<f32>(n, smoothing);
                check::<f64>(n, smoothing);
            }
        }
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        for n in [1, 3, 17, 24, 100] {
            let (x, targets): (Vec<f64>, _) = (random(ROWS * n, n as u64), targets(n));
            let cost = |x: &[f64]| 0.5 * cross_entropy(x, &targets, IGNORE, 0.1, &mut unread(ROWS), n);
            let mut dx = x.clone();
            cross_entropy_in_place(&mut dx, &targets, IGNORE, 0.1, 0.5, n);
            assert_gradient(cost, &x, &dx);
        }
    }

    #[test]
    fn large_logits_and_classes_ruled_out_are_no_trouble() {
        let mut x = [1e4f32, 0.0, f32::NEG_INFINITY, 1e4];
        let mut lse = [f32::NAN];
        let total = cross_entropy(&x, &[0], IGNORE, 0.0, &mut lse, 4);
        assert!((total - 2f64.ln()).abs() < 1e-6);
        assert!((lse[0] - 1e4).abs() < 1.0);
        assert!((cross_entropy_in_place(&mut x, &[0], IGNORE, 0.0, 1.0, 4) - total).abs() < 1e-6);
        assert!(x.iter().zip([-0.5, 0.0, 0.0, 0.5]).all(|(x, expected)| (x - expected).abs() < 1e-6));
    }

    #[test]
    fn the_maximum_may_come_in_any_block() {
        for at in [0, 511, 512, 1200, 2000] {
            // Blocks before it are ruled out altogether, or a hundred lower.
            for floor in [f32::NEG_INFINITY, -100.0] {
                let mut x = vec![floor; 2001];
                x[at] = 3.0;
                x[2000] = 3.0;
                let mut lse = [f32::NAN];
                let total = cross_entropy(&x, &[2000], IGNORE, 0.0, &mut lse, 2001);
                let expected = if at == 2000 { 0.0 } else { 2f64.ln() };
                assert!((total - expected).abs() < 1e-6 && (f64::from(lse[0]) - 3.0 - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    #[should_panic(expected = "is not among the")]
    fn a_target_beyond_the_classes_is_refused() {
        cross_entropy(&[0.0f32; 3], &[3], IGNORE, 0.0, &mut [0.0], 3);
    }
}

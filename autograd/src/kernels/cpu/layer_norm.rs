//! Layer normalisation (Ba, Kiros and Hinton, 2016): `y = γ ∘ x̂ + β` with `x̂ = (x − mean) · rstd` and
//! `rstd = 1 / √(variance + ε)`, mean and variance taken over each row.
//!
//! The variance is the mean of `(x − mean)²` in a second pass: the difference of two means of squares would lose all
//! digits where the mean is large.

use super::check_rows;
use crate::simd;

/// Rows that are added up in registers before the sum of columns goes back to memory.
const GROUP: usize = 8;

simd! {
    /// `y = γ ∘ x̂ + β`; `x` and `y` are `[rows, n]`, `gamma` and `beta` `[n]`. Leaves the mean and `rstd` of every row in
    /// `mean` and `rstd`, `[rows]`, for the gradient.
    pub fn layer_norm<T>(s, x: &[T], gamma: &[T], beta: &[T], y: &mut [T], mean: &mut [T], rstd: &mut [T], n: usize, eps: T) {
        assert!(x.len() == y.len() && gamma.len() == n && beta.len() == n, "layer_norm: sizes differ");
        assert!(mean.len() == rstd.len(), "layer_norm: not one mean for each row");
        check_rows("layer_norm", x.len(), mean.len(), n);
        if n == 0 {
            // What has no entries has no mean either.
            mean.fill(T::ZERO);
            rstd.fill(T::ZERO);
            return;
        }
        let share = T::ONE / T::of(n as f64);
        for (((x, y), mean), rstd) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)).zip(mean).zip(rstd) {
            let mut total = s.splat(T::ZERO);
            for x in x.chunks(S::LANES) {
                total = s.add(total, s.load(x, T::ZERO));
            }
            *mean = s.sum(total) * share;
            let centre = s.splat(*mean);
            let mut squares = s.splat(T::ZERO);
            for x in x.chunks(S::LANES) {
                // Lanes past the end hold the mean, so that they deviate by nothing.
                let deviation = s.sub(s.load(x, *mean), centre);
                squares = s.fma(deviation, deviation, squares);
            }
            *rstd = T::ONE / (s.sum(squares) * share + eps).sqrt();
            let factor = s.splat(*rstd);
            let parameters = gamma.chunks(S::LANES).zip(beta.chunks(S::LANES));
            for ((x, y), (gamma, beta)) in x.chunks(S::LANES).zip(y.chunks_mut(S::LANES)).zip(parameters) {
                let normal = s.mul(s.sub(s.load(x, T::ZERO), centre), factor);
                s.store(s.fma(normal, s.load(gamma, T::ZERO), s.load(beta, T::ZERO)), y);
            }
        }
    }

    /// `dx (+)= rstd · (g − mean(g) − x̂ · mean(g ∘ x̂))` with `g = γ ∘ dy`; shapes as in [`layer_norm`].
    pub fn layer_norm_backward<T>(s, x: &[T], gamma: &[T], mean: &[T], rstd: &[T], dy: &[T], dx: &mut [T], n: usize, keep: bool) {
        assert!(x.len() == dy.len() && x.len() == dx.len() && gamma.len() == n, "layer_norm: sizes differ");
        assert!(mean.len() == rstd.len(), "layer_norm: not one mean for each row");
        check_rows("layer_norm", x.len(), mean.len(), n);
        if n == 0 {
            return;
        }
        let share = T::ONE / T::of(n as f64);
        let rows = x.chunks_exact(n).zip(dy.chunks_exact(n)).zip(dx.chunks_exact_mut(n));
        for ((((x, dy), dx), &mean), &rstd) in rows.zip(mean).zip(rstd) {
            let (centre, factor) = (s.splat(mean), s.splat(rstd));
            let (mut plain, mut along) = (s.splat(T::ZERO), s.splat(T::ZERO));
            let columns = x.chunks(S::LANES).zip(dy.chunks(S::LANES)).zip(gamma.chunks(S::LANES));
            for ((x, dy), gamma) in columns {
                let g = s.mul(s.load(gamma, T::ZERO), s.load(dy, T::ZERO));
                plain = s.add(plain, g);
                along = s.fma(g, s.sub(s.load(x, T::ZERO), centre), along);
            }
            // mean(g ∘ x̂) · x̂ = Σ g ∘ (x − mean) · rstd² / n · (x − mean)
            let plain = s.splat(s.sum(plain) * share);
            let along = s.splat(s.sum(along) * share * rstd * rstd);
            let columns = x.chunks(S::LANES).zip(dy.chunks(S::LANES)).zip(gamma.chunks(S::LANES));
            for (((x, dy), gamma), dx) in columns.zip(dx.chunks_mut(S::LANES)) {
                let g = s.mul(s.load(gamma, T::ZERO), s.load(dy, T::ZERO));
                let deviation = s.sub(s.load(x, T::ZERO), centre);
                let inner = s.sub(s.sub(g, plain), s.mul(deviation, along));
                let held = if keep { s.load(dx, T::ZERO) } else { s.splat(T::ZERO) };
                s.store(s.fma(inner, factor, held), dx);
            }
        }
    }

    /// `dγ (+)= Σ dy ∘ x̂` and `dβ (+)= Σ dy` over the rows, each of them where it is wanted; `dgamma` and `dbeta` are
    /// `[n]`, other shapes as in [`layer_norm`].
    pub fn layer_norm_param_backward<T>(
        s, x: &[T], mean: &[T], rstd: &[T], dy: &[T], dgamma: Option<&mut [T]>, dbeta: Option<&mut [T]>, n: usize,
        keep_gamma: bool, keep_beta: bool,
    ) {
        assert!(x.len() == dy.len(), "layer_norm: sizes differ");
        assert!(mean.len() == rstd.len(), "layer_norm: not one mean for each row");
        check_rows("layer_norm", x.len(), mean.len(), n);
        // An unwanted gradient has no columns.
        let (dgamma, dbeta) = (dgamma.unwrap_or_default(), dbeta.unwrap_or_default());
        assert!(dgamma.len() == n || dgamma.is_empty(), "layer_norm: the gradient of γ has {} entries", dgamma.len());
        assert!(dbeta.len() == n || dbeta.is_empty(), "layer_norm: the gradient of β has {} entries", dbeta.len());
        if !keep_gamma {
            dgamma.fill(T::ZERO);
        }
        if !keep_beta {
            dbeta.fill(T::ZERO);
        }
        if x.is_empty() {
            return;
        }
        let groups = x.chunks(GROUP * n).zip(dy.chunks(GROUP * n));
        for ((x, dy), (mean, rstd)) in groups.zip(mean.chunks(GROUP).zip(rstd.chunks(GROUP))) {
            for (i, dgamma) in dgamma.chunks_mut(S::LANES).enumerate() {
                let at = i * S::LANES;
                let mut total = s.load(dgamma, T::ZERO);
                for (((x, dy), &mean), &rstd) in x.chunks_exact(n).zip(dy.chunks_exact(n)).zip(mean).zip(rstd) {
                    let normal = s.mul(s.sub(s.load(&x[at..], T::ZERO), s.splat(mean)), s.splat(rstd));
                    total = s.fma(normal, s.load(&dy[at..], T::ZERO), total);
                }
                s.store(total, dgamma);
            }
            for (i, dbeta) in dbeta.chunks_mut(S::LANES).enumerate() {
                let mut total = s.load(dbeta, T::ZERO);
                for dy in dy.chunks_exact(n) {
                    total = s.add(total, s.load(&dy[i * S::LANES..], T::ZERO));
                }
                s.store(total, dbeta);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SIZES, assert_close, assert_gradient, both_ways, random, unread, widen};
    use super::*;
    use crate::Float;

    const ROWS: usize = 11;
    const EPS: f64 = 1e-5;

    /// Mean, rstd and y by the definition.
    fn reference(x: &[f64], gamma: &[f64], beta: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let (mut means, mut rstds, mut y) = (vec![], vec![], vec![]);
        for x in x.chunks(gamma.len()) {
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
            let rstd = 1.0 / (variance + EPS).sqrt();
            y.extend(
                x.iter().zip(gamma).zip(beta).map(|((x, gamma), beta)| (x - mean) * rstd * gamma + beta),
            );
            means.push(mean);
            rstds.push(rstd);
        }
        (means, rstds, y)
    }

    /// Entries of size 1, ten digits above their mean at worst, so a few dozen roundings cover sums of 1000 terms in
    /// lanes. A row of 1 has variance 0 and multiplies its rounding errors by `rstd` = 316, hence the allowance there.
    fn check<T: Float>(n: usize) {
        let x: Vec<T> = random(ROWS * n, n as u64);
        let (gamma, beta): (Vec<T>, Vec<T>) = (random(n, 1), random(n, 2));
        let (mut y, mut mean, mut rstd) = (unread(x.len()), unread(ROWS), unread(ROWS));
        layer_norm(&x, &gamma, &beta, &mut y, &mut mean, &mut rstd, n, T::of(EPS));
        let (wide, wide_gamma) = (widen(&x), widen(&gamma));
        let (means, rstds, expected) = reference(&wide, &wide_gamma, &widen(&beta));
        let allowed = if n == 1 { 1000.0 } else { 64.0 };
        assert_close(&mean, &means, allowed);
        assert_close(&rstd, &rstds, allowed);
        assert_close(&y, &expected, allowed);

        let dy: Vec<T> = random(x.len(), 3);
        let wide_dy = widen(&dy);
        let (mut dgammas, mut dbetas, mut dxs) = (vec![0.0; n], vec![0.0; n], vec![0.0; x.len()]);
        for r in 0..ROWS {
            let g = |i: usize| wide_gamma[i] * wide_dy[r * n + i];
            let normal = |i: usize| (wide[r * n + i] - means[r]) * rstds[r];
            let plain = (0..n).map(g).sum::<f64>() / n as f64;
            let along = (0..n).map(|i| g(i) * normal(i)).sum::<f64>() / n as f64;
            for i in 0..n {
                dxs[r * n + i] = rstds[r] * (g(i) - plain - normal(i) * along);
                dgammas[i] += wide_dy[r * n + i] * normal(i);
                dbetas[i] += wide_dy[r * n + i];
            }
        }
        let dx =
            both_ways(x.len(), |dx, keep| layer_norm_backward(&x, &gamma, &mean, &rstd, &dy, dx, n, keep));
        assert_close(&dx, &dxs, 2.0 * allowed);
        let dgamma = both_ways(n, |dgamma, keep| {
            layer_norm_param_backward(&x, &mean, &rstd, &dy, Some(dgamma), None, n, keep, false);
        });
        assert_close(&dgamma, &dgammas, 2.0 * allowed);
        let dbeta = both_ways(n, |dbeta, keep| {
            let mut dgamma = unread(n);
            layer_norm_param_backward(&x, &mean, &rstd, &dy, Some(&mut dgamma), Some(dbeta), n, false, keep);
            assert_close(&dgamma, &dgammas, 2.0 * allowed);
        });
        assert_close(&dbeta, &dbetas, allowed);
    }

    #[test]
    fn values_and_gradients_agree_with_the_definition() {
        for n in SIZES {
            check::<f32>(n);
            check::<f64>(n);
        }
    }

    #[test]
    fn the_gradients_are_those_of_finite_differences() {
        // Rows of 2 and 3 can be nearly constant, where the curvature is beyond finite differences.
        for n in [7, 17, 24, 100] {
            let (x, dy): (Vec<f64>, Vec<f64>) = (random(3 * n, 4), random(3 * n, 5));
            let (gamma, beta): (Vec<f64>, Vec<f64>) = (random(n, 1), random(n, 2));
            let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| {
                let (mut y, mut mean, mut rstd) = (unread(x.len()), unread(3), unread(3));
                layer_norm(x, gamma, beta, &mut y, &mut mean, &mut rstd, n, EPS);
                (y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>(), mean, rstd)
            };
            let (_, mean, rstd) = loss(&x, &gamma, &beta);
            let (mut dx, mut dgamma, mut dbeta) = (unread(3 * n), unread(n), unread(n));
            layer_norm_backward(&x, &gamma, &mean, &rstd, &dy, &mut dx, n, false);
            let wanted = (Some(&mut dgamma[..]), Some(&mut dbeta[..]));
            layer_norm_param_backward(&x, &mean, &rstd, &dy, wanted.0, wanted.1, n, false, false);
            assert_gradient(|x| loss(x, &gamma, &beta).0, &x, &dx);
            assert_gradient(|gamma| loss(&x, gamma, &beta).0, &gamma, &dgamma);
            assert_gradient(|beta| loss(&x, &gamma, beta).0, &beta, &dbeta);
        }
    }

    #[test]
    fn a_large_mean_costs_no_digits_of_the_variance() {
        let x: Vec<f32> = random::<f32>(128, 6).iter().map(|x| (x * 64.0).round() / 64.0 + 4096.0).collect();
        let (mut y, mut mean, mut rstd) = (unread(128), unread(1), unread(1));
        layer_norm(&x, &[1.0; 128], &[0.0; 128], &mut y, &mut mean, &mut rstd, 128, EPS as f32);
        let (_, rstds, _) = reference(&widen(&x), &[1.0; 128], &[0.0; 128]);
        assert!((f64::from(rstd[0]) / rstds[0] - 1.0).abs() < 1e-6);
    }
}

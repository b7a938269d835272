//! Products against those of rounded factors in `f64`.

use super::super::gemm::{Gemm, Matrix};
use super::super::testing::{assert_close, random, unread};
use super::*;

/// The nearest bfloat16, ties to even: 8 bits of the significand are kept.
fn rounded(x: f32) -> f64 {
    let (x, exponent) = (f64::from(x), f64::from(x).abs().log2().floor());
    let unit = (exponent - 7.0).exp2();
    if x == 0.0 { 0.0 } else { (x / unit).round_ties_even() * unit }
}

fn skips() -> bool {
    if !available() {
        println!("SKIPPED bf16: this processor has no instructions for it");
    }
    !available()
}

#[test]
fn a_number_is_rounded_to_its_upper_half() {
    // From 1 on the numbers are 1/128 apart, below it 1/256; halfway the even one is taken.
    for (x, expected) in [(0, 0), (3, 0), (4, 0), (5, 8), (12, 16), (-18, -16)] {
        assert_eq!(rounded(1.0 + x as f32 / 1024.0), 1.0 + f64::from(expected) / 1024.0);
    }
}

#[test]
fn products_are_those_of_rounded_factors() {
    if skips() {
        return;
    }
    for (m, k, n) in [
        (1, 1, 1),
        (7, 2, 65),
        (5, 33, 64),
        (96, 128, 128),
        (97, 31, 70),
        (13, 512, 16),
        (100, 1100, 63),
        (6, 513, 3),
    ] {
        let (a, b): (Vec<f32>, Vec<f32>) = (random(m * k, 1), random(k * n, 2));
        for (left, right) in [(false, false), (false, true), (true, false), (true, true)] {
            let of_a = if left { Matrix::rows(&a, m).t() } else { Matrix::rows(&a, k) };
            let of_b = if right { Matrix::rows(&b, k).t() } else { Matrix::rows(&b, n) };
            let at = |x: &Matrix<'_, f32>, i: usize, j: usize| {
                rounded(x.data[i * x.row_stride + j * x.col_stride])
            };
            let expected: Vec<f64> = (0..m * n)
                .map(|ij| (0..k).map(|l| at(&of_a, ij / n, l) * at(&of_b, l, ij % n)).sum())
                .collect();
            let stride = n + 3;
            let mut c: Vec<f32> = unread(m * stride);
            let gemm = |c: &mut [f32], scale, keep| {
                product(Gemm { size: (m, k, n), a: of_a, b: of_b, c, c_stride: stride, scale, keep });
            };
            let rows =
                |c: &[f32]| -> Vec<f32> { c.chunks(stride).flat_map(|row| &row[..n]).copied().collect() };
            gemm(&mut c, 1.0, false);
            assert_close(&rows(&c), &expected, 8.0 * k as f64);
            assert!(c.chunks(stride).all(|row| row[n..].iter().all(|x| x.is_nan())), "beyond the columns");
            gemm(&mut c, -0.5, true);
            assert_close(&rows(&c), &expected.iter().map(|x| 0.5 * x).collect::<Vec<_>>(), 16.0 * k as f64);
        }
    }
}

#[test]
fn products_of_nothing_are_zero_and_what_is_undefined_stays_so() {
    if skips() {
        return;
    }
    let one = |a: &[f32], b: &[f32], k| {
        let mut c = [f32::NAN];
        let (a, b) = (Matrix::rows(a, k), Matrix::rows(b, 1));
        product(Gemm { size: (1, k, 1), a, b, c: &mut c, c_stride: 1, scale: 1.0, keep: false });
        c[0]
    };
    assert_eq!(one(&[], &[], 0), 0.0);
    assert!(one(&[f32::NAN], &[1.0], 1).is_nan());
    assert!(one(&[f32::from_bits(0x7fff_ffff)], &[1.0], 1).is_nan());
    assert_eq!(one(&[f32::INFINITY], &[1.0], 1), f32::INFINITY);
}

#[test]
fn panels_give_the_product_in_any_company() {
    if skips() {
        return;
    }
    for (inputs, outputs) in [(1, 1), (3, 64), (17, 63), (32, 65), (5, 200), (300, 1100)] {
        let (weight, bias): (Vec<f32>, Vec<f32>) = (random(outputs * inputs, 1), random(outputs, 2));
        let panels = PairPanels::new(&weight, inputs);
        let times = |x: &[f32]| {
            let mut y: Vec<f32> = unread(x.len() / inputs * outputs);
            let place = y.as_mut_ptr();
            panels.product(&panels.round(x), Some(&bias), 0..outputs.div_ceil(64), |i, p| {
                // SAFETY: one row of one panel at a time, within `y`.
                unsafe {
                    slice::from_raw_parts_mut(place.add(i * outputs + p * 64), 64.min(outputs - p * 64))
                }
            });
            y
        };
        for rows in [1, 2, 5, 6, 7, 13] {
            let x: Vec<f32> = random(rows * inputs, 3);
            let y = times(&x);
            let expected: Vec<f64> = (0..rows * outputs)
                .map(|at| {
                    let (x, w) = (&x[at / outputs * inputs..], &weight[at % outputs * inputs..]);
                    let sum: f64 = x.iter().zip(w).take(inputs).map(|(&x, &w)| rounded(x) * rounded(w)).sum();
                    sum + f64::from(bias[at % outputs])
                })
                .collect();
            assert_close(&y, &expected, 8.0 * inputs as f64);
            for (x, y) in x.chunks(inputs).zip(y.chunks(outputs)) {
                assert_eq!(times(x), y, "a row alone gives the same bits as in company");
            }
        }
    }
}

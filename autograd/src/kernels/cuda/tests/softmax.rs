//! Softmax, and cross entropy.

use super::device::{Device, assert_near, by_warps, random, random_below, wide};
use crate::kernels::cpu::cross_entropy;
use crate::kernels::cpu::softmax::{softmax_backward, softmax_masked};
use crate::kernels::cuda::driver::Argument::{Address, F32, I32, U32};

const IGNORE: u32 = u32::MAX;

pub(super) fn case(device: &Device) {
    for (rows, n) in [(1, 1), (9, 37), (5, 32), (63, 65), (3, 1000)] {
        for masked in [false, true] {
            let mut x = random(rows * n, 1);
            let mut flags: Vec<u8> =
                random(rows * n, 2).iter().map(|x| u8::from(!masked || *x > 0.0)).collect();
            if masked {
                // A row that keeps nothing; and what is masked must not matter, however large.
                flags[..n].fill(0);
                for (x, flag) in x.iter_mut().zip(&flags) {
                    *x = if *flag == 1 { *x } else { 1e30 };
                }
            } else if n > 1 {
                x[1] = f32::NEG_INFINITY;
            }
            check(device, &x, &flags, n, masked);
        }
    }
    // A row of nothing but −∞.
    check(device, &[f32::NEG_INFINITY; 5], &[1; 5], 5, false);
    check(device, &[1e30, f32::NEG_INFINITY, 1e30, -1e30], &[1; 4], 4, false);
}

fn check(device: &Device, x: &[f32], flags: &[u8], n: usize, masked: bool) {
    let rows = x.len() / n;
    let sizes = [I32(rows as i32), I32(n as i32)];
    let (dx, df) = (device.floats(x), if masked { device.put(flags) } else { 0 });
    let y = device.room(x.len());
    device.launch("softmax", by_warps(rows), &[Address(dx), Address(y), sizes[0], sizes[1], Address(df)]);
    let mut expected = vec![0.0; x.len()];
    let keep: Vec<bool> = flags.iter().map(|flag| *flag == 1).collect();
    softmax_masked(&wide(x), &mut expected, n, &keep);
    let got = device.read(y, x.len());
    assert_near(&got, &expected, 1e-6);
    let dy = random(x.len(), 3);
    let ddy = device.floats(&dy);
    let back = device.both_ways(x.len(), |to, keep| {
        let arguments = [Address(y), Address(ddy), Address(to), sizes[0], sizes[1], I32(keep)];
        device.launch("softmax_backward", by_warps(rows), &arguments);
    });
    let mut gradient = vec![0.0; x.len()];
    softmax_backward(&wide(&got), &wide(&dy), &mut gradient, n, false);
    // Differences of products of entries: absolute, where all of them cancel.
    let off: f64 =
        back.iter().zip(&gradient).map(|(back, gradient)| (f64::from(*back) - gradient).powi(2)).sum();
    let scale: f64 = expected.iter().zip(&dy).map(|(y, dy)| (y * f64::from(*dy)).powi(2)).sum();
    assert!(off.sqrt() <= 1e-6 * scale.sqrt(), "{:e}", off.sqrt() / scale.sqrt());
}

pub(super) fn cross_entropy_case(device: &Device) {
    for (rows, n) in [(1, 1), (5, 37), (4, 256), (3, 1000), (6, 3001)] {
        for smoothing in [0.0, 0.1] {
            for offset in [0.0, 300.0] {
                let x: Vec<f32> = random(rows * n, 1).iter().map(|x| 4.0 * x + offset).collect();
                check_cross_entropy(device, &x, n, smoothing);
            }
        }
    }
    // Classes that are ruled out, the first ones of a row among them.
    let mut x = random(2 * 37, 1);
    x[..5].fill(f32::NEG_INFINITY);
    x[37 + 9..].fill(f32::NEG_INFINITY);
    check_cross_entropy(device, &x, 37, 0.0);
    no_class(device);
}

fn check_cross_entropy(device: &Device, x: &[f32], n: usize, smoothing: f32) {
    let rows = x.len() / n;
    let mut labels = random_below(rows, n as u32, 3);
    // A label that can be chosen, and one that is ignored.
    for (row, label) in labels.iter_mut().enumerate() {
        while x[row * n + *label as usize] == f32::NEG_INFINITY {
            *label = (*label + 1) % n as u32;
        }
    }
    if rows > 2 {
        labels[2] = IGNORE;
    }
    let (dx, dl) = (device.floats(x), device.put(&labels));
    let (losses, lse) = (device.room(rows), device.room(rows));
    let blocks = [rows as u32, 1, 1];
    let settings = [Address(dl), U32(IGNORE), F32(smoothing)];
    let sizes = [I32(rows as i32), I32(n as i32)];
    let arguments = [&[Address(dx)], &settings[..], &[Address(losses), Address(lse)], &sizes].concat();
    device.launch("cross_entropy", blocks, &arguments);

    let (wide_x, wide_smoothing) = (wide(x), f64::from(smoothing));
    let mut lses = vec![0.0; rows];
    let expected: Vec<f64> = (0..rows)
        .map(|r| {
            let row = &wide_x[r * n..][..n];
            cross_entropy::cross_entropy(row, &labels[r..=r], IGNORE, wide_smoothing, &mut lses[r..=r], n)
        })
        .collect();
    // A loss of nothing, where there is one class: absolute.
    let losses = device.read(losses, rows);
    for (loss, expected) in losses.iter().zip(&expected) {
        assert!(
            (f64::from(*loss) - expected).abs() <= 1e-6 * expected.abs().max(1.0),
            "{loss} is not {expected}"
        );
    }
    assert_near(&device.read(lse, rows), &lses, 1e-6);

    // `lse` as `f32` is off by a part of itself, and so is every exponential of a distance to it: large offsets cost
    // digits here, on the CPU as well.
    let largest = lses.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
    let mut gradient = vec![0.0; x.len()];
    cross_entropy::cross_entropy_backward(
        &wide_x,
        &labels,
        IGNORE,
        wide_smoothing,
        &lses,
        0.75,
        &mut gradient,
        n,
        false,
    );
    let dy = device.floats(&[3.0]);
    let back = device.both_ways(x.len(), |to, keep| {
        let arguments = [
            &[Address(dx)],
            &settings[..],
            &[Address(lse), Address(dy), F32(0.25), Address(to)],
            &sizes,
            &[I32(keep)],
        ];
        device.launch("cross_entropy_backward", blocks, &arguments.concat());
    });
    assert_loss_gradient(&back, &gradient, 6e-8 * largest);

    let (in_place, again) = (device.floats(x), device.room(rows));
    let arguments = [&[Address(in_place)], &settings[..], &[F32(0.75), Address(again)], &sizes].concat();
    device.launch("cross_entropy_in_place", blocks, &arguments);
    assert_eq!(device.read(again, rows), losses);
    assert_loss_gradient(&device.read(in_place, x.len()), &gradient, 0.0);
}

/// With one class, the gradient is nothing: hence a part of an absolute one.
#[track_caller]
fn assert_loss_gradient(got: &[f32], expected: &[f64], more: f64) {
    let off: f64 = got.iter().zip(expected).map(|(got, expected)| (f64::from(*got) - expected).powi(2)).sum();
    let all = expected.iter().map(|x| x * x).sum::<f64>().max(1e-2);
    assert!((off / all).sqrt() <= 1e-6 + more, "{:e}", (off / all).sqrt());
}

/// A label that is no class reads nothing, and its loss says so.
fn no_class(device: &Device) {
    let (x, labels) = (device.floats(&random(5, 1)), device.put(&[5u32]));
    let (losses, lse) = (device.room(1), device.room(1));
    let settings = [Address(x), Address(labels), U32(IGNORE), F32(0.1), Address(losses), Address(lse)];
    device.launch("cross_entropy", [1, 1, 1], &[&settings[..], &[I32(1), I32(5)]].concat());
    assert!(device.read(losses, 1)[0].is_nan());
}

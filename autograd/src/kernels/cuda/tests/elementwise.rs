//! Kernels that take one entry at a time.

use super::device::{Device, any, assert_near, random, wide};
use crate::kernels::cpu::activation::{gelu, gelu_backward, relu, relu_backward, silu, silu_backward};
use crate::kernels::cuda::driver::Argument::{Address, F32, I32, U64};

/// Below, at and above what a block takes at once; the last one makes blocks take several turns.
const COUNTS: [usize; 6] = [1, 3, 37, 1024, 1025, 7001];

type Forward = fn(&[f64], &mut [f64]);
type Backward = fn(&[f64], &[f64], &mut [f64], bool);

const ACTIVATIONS: [(Forward, Backward); 3] = [
    (relu::<f64>, relu_backward::<f64>),
    (gelu::<f64>, gelu_backward::<f64>),
    (silu::<f64>, silu_backward::<f64>),
];

pub(super) fn case(device: &Device) {
    for n in COUNTS {
        linear(device, n);
        masks(device, n);
        activations(device, n);
    }
    for (rows, n) in [(1, 1), (5, 37), (3, 512)] {
        rows_of(device, rows, n);
    }
}

fn linear(device: &Device, n: usize) {
    let count = U64(n as u64);
    let (x, z) = (random(n, 1), random(n, 2));
    let (dx, factor) = (device.floats(&x), device.floats(&[3.0]));

    let y = device.room(n);
    device.launch("fill", any(n), &[Address(y), count, F32(0.3)]);
    assert_eq!(device.read(y, n), vec![0.3; n]);

    let y = device.floats(&z);
    device.launch("add_assign", any(n), &[Address(y), Address(dx), count]);
    let sums: Vec<f32> = x.iter().zip(&z).map(|(x, z)| x + z).collect();
    assert_eq!(device.read(y, n), sums);

    let scaled = device.both_ways(n, |y, keep| {
        device.launch("scale", any(n), &[Address(dx), F32(0.7), Address(y), count, I32(keep)]);
    });
    assert_eq!(scaled, x.iter().map(|x| 0.7 * x).collect::<Vec<_>>());

    let scaled = device.both_ways(n, |y, keep| {
        let arguments = [Address(dx), Address(factor), F32(0.25), Address(y), count, I32(keep)];
        device.launch("scale_by", any(n), &arguments);
    });
    assert_eq!(scaled, x.iter().map(|x| 0.75 * x).collect::<Vec<_>>());

    let spread = device.both_ways(n, |y, keep| {
        device.launch("spread", any(n), &[Address(factor), F32(0.25), Address(y), count, I32(keep)]);
    });
    assert_eq!(spread, vec![0.75; n]);
}

fn masks(device: &Device, n: usize) {
    let count = U64(n as u64);
    let x = random(n, 1);
    let flags: Vec<u8> = random(n, 5).iter().map(|x| u8::from(*x > 0.0)).collect();
    let (dx, df, y) = (device.floats(&x), device.put(&flags), device.room(n));
    let kept = |other| -> Vec<f32> {
        x.iter().zip(&flags).map(|(x, flag)| if *flag == 1 { *x } else { other }).collect()
    };
    device.launch(
        "mask_fill",
        any(n),
        &[Address(dx), Address(df), F32(f32::NEG_INFINITY), Address(y), count],
    );
    assert_eq!(device.read(y, n), kept(f32::NEG_INFINITY));
    let back = device.both_ways(n, |to, keep| {
        let arguments = [Address(dx), Address(df), Address(to), count, I32(keep)];
        device.launch("mask_fill_backward", any(n), &arguments);
    });
    assert_eq!(back, kept(0.0));
}

fn activations(device: &Device, n: usize) {
    let count = U64(n as u64);
    let mut x: Vec<f32> = random(n, 1).iter().map(|x| 3.0 * x).collect();
    if n > 1 {
        x[0] = -200.0; // e^200 is infinite in `f32`
    }
    let dy = random(n, 2);
    let (dx, ddy) = (device.floats(&x), device.floats(&dy));
    for (kind, (forward, backward)) in ACTIVATIONS.iter().enumerate() {
        let kind = I32(kind as i32);
        let (y, mut expected) = (device.room(n), vec![0.0; n]);
        device.launch("activation", any(n), &[kind, Address(dx), Address(y), count]);
        forward(&wide(&x), &mut expected);
        assert_near(&device.read(y, n), &expected, 1e-6);
        let back = device.both_ways(n, |to, keep| {
            let arguments = [kind, Address(dx), Address(ddy), Address(to), count, I32(keep)];
            device.launch("activation_backward", any(n), &arguments);
        });
        backward(&wide(&x), &wide(&dy), &mut expected, false);
        assert_near(&back, &expected, 1e-6);
    }
    far_activations(device);
}

/// Where powers of x are infinite in `f32`, and the activation is 0 or x.
fn far_activations(device: &Device) {
    let x = [-200.0, 1e20, -1e20, f32::MAX, f32::MIN];
    let n = x.len();
    let (dx, ones, count) = (device.floats(&x), device.floats(&[1.0; 5]), U64(n as u64));
    for (kind, (forward, backward)) in ACTIVATIONS.iter().enumerate() {
        let kind = I32(kind as i32);
        let (y, slope, mut expected) = (device.room(n), device.room(n), [0.0; 5]);
        device.launch("activation", any(n), &[kind, Address(dx), Address(y), count]);
        let arguments = [kind, Address(dx), Address(ones), Address(slope), count, I32(0)];
        device.launch("activation_backward", any(n), &arguments);
        let assert_exact = |got: &[f32], expected: &[f64]| {
            // What `f64` gives below the smallest number of `f32` is 0 there.
            let same = |(got, expected): (&f32, &f64)| *got == *expected as f32;
            assert!(got.iter().zip(expected).all(same), "{got:?} is not {expected:?}");
        };
        forward(&wide(&x), &mut expected);
        assert_exact(&device.read(y, n), &expected);
        backward(&wide(&x), &wide(&[1.0; 5]), &mut expected, false);
        assert_exact(&device.read(slope, n), &expected);
    }
}

fn rows_of(device: &Device, rows: usize, n: usize) {
    let (bias, y) = (random(n, 1), random(rows * n, 2));
    let db = device.floats(&bias);
    let sizes = [I32(rows as i32), I32(n as i32)];

    let to = device.room(rows * n);
    device.launch("fill_rows", any(rows * n), &[Address(db), Address(to), sizes[0], sizes[1]]);
    assert_eq!(device.read(to, rows * n), bias.repeat(rows));

    let sum: Vec<f64> = y.iter().enumerate().map(|(i, y)| f64::from(*y) + f64::from(bias[i % n])).collect();
    for kind in -1..3 {
        let to = device.floats(&y);
        let arguments = [Address(db), I32(kind), Address(to), sizes[0], sizes[1]];
        device.launch("bias_activation", any(rows * n), &arguments);
        let mut expected = sum.clone();
        if let Some((forward, _)) = ACTIVATIONS.get(kind as usize) {
            forward(&sum, &mut expected);
        }
        assert_near(&device.read(to, rows * n), &expected, 1e-6);
    }
}

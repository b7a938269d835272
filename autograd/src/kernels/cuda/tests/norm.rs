//! Layer normalisation, alone and behind a residual connection.

use super::device::{Device, assert_near, by_columns, by_warps, random, wide};
use crate::kernels::cpu::dropout::{dropout_add, dropout_backward};
use crate::kernels::cpu::layer_norm::{layer_norm, layer_norm_backward, layer_norm_param_backward};
use crate::kernels::cuda::driver::Argument::{Address, F32, I32, Struct};
use crate::kernels::cuda::source::arguments::Dropout;

const EPS: f32 = 1e-5;
const KEY: u64 = 11;

pub(super) fn case(device: &Device) {
    // In registers: multiples of 4 up to 1024. Not so: all others.
    for (rows, n) in [(1, 1), (9, 37), (5, 4), (17, 128), (3, 1000), (2, 1024), (2, 1028), (63, 65)] {
        plain(device, rows, n);
        for p in [0.0, 0.3] {
            residual(device, rows, n, p);
        }
        parameters(device, rows, n, 20);
    }
    parameters(device, 300, 24, 64);
}

/// The norm of `x` in `f64`: the result, means and reciprocal deviations.
fn reference(x: &[f64], gamma: &[f32], beta: &[f32]) -> [Vec<f64>; 3] {
    let n = gamma.len();
    let (mut y, mut mean) = (vec![0.0; x.len()], vec![0.0; x.len() / n]);
    let mut rstd = mean.clone();
    layer_norm(x, &wide(gamma), &wide(beta), &mut y, &mut mean, &mut rstd, n, f64::from(EPS));
    [y, mean, rstd]
}

fn plain(device: &Device, rows: usize, n: usize) {
    let (x, gamma, beta, dy) = (random(rows * n, 1), random(n, 2), random(n, 3), random(rows * n, 4));
    let [dx, dgamma, dbeta, ddy] = [&x, &gamma, &beta, &dy].map(|x| device.floats(x));
    let (y, mean, rstd) = (device.room(rows * n), device.room(rows), device.room(rows));
    let sizes = [I32(rows as i32), I32(n as i32)];
    let inputs = [Address(dx), Address(dgamma), Address(dbeta)];
    let outputs = [Address(y), Address(mean), Address(rstd)];
    device.launch("layer_norm", by_warps(rows), &[&inputs[..], &outputs, &sizes, &[F32(EPS)]].concat());
    let [expected, means, rstds] = reference(&wide(&x), &gamma, &beta);
    assert_near(&device.read(y, rows * n), &expected, 1e-6);
    assert_near(&device.read(mean, rows), &means, 1e-6);
    assert_near(&device.read(rstd, rows), &rstds, 1e-6);
    let back = device.both_ways(rows * n, |to, keep| {
        let inputs = [Address(dx), Address(dgamma), Address(mean), Address(rstd), Address(ddy), Address(to)];
        device.launch("layer_norm_backward", by_warps(rows), &[&inputs[..], &sizes, &[I32(keep)]].concat());
    });
    assert_near(&back, &gradient(&wide(&x), &gamma, &[means, rstds], &dy), 2e-6);
}

/// The gradient at the norm's input.
fn gradient(x: &[f64], gamma: &[f32], [mean, rstd]: &[Vec<f64>; 2], dy: &[f32]) -> Vec<f64> {
    let mut dx = vec![0.0; x.len()];
    layer_norm_backward(x, &wide(gamma), mean, rstd, &wide(dy), &mut dx, gamma.len(), false);
    // The gradient of a row of one entry is zero, which nothing can be compared with.
    dx
}

fn residual(device: &Device, rows: usize, n: usize, p: f64) {
    let count = rows * n;
    let [x, a, dy, dh] = [1, 2, 4, 5].map(|seed| random(count, seed));
    let (gamma, beta) = (random(n, 6), random(n, 7));
    let [dx, da, ddy, ddh, dgamma, dbeta] = [&x, &a, &dy, &dh, &gamma, &beta].map(|x| device.floats(x));
    let [h, y] = [(); 2].map(|()| device.room(count));
    let [mean, rstd] = [(); 2].map(|()| device.room(rows));
    let sizes = [I32(rows as i32), I32(n as i32)];
    let d = Dropout::new(KEY, p).bytes();
    let tensors = [dx, da, dgamma, dbeta, h, y, mean, rstd].map(Address);
    let arguments = [&tensors[..], &sizes, &[F32(EPS), Struct(&d)]].concat();
    device.launch("residual_layer_norm", by_warps(rows), &arguments);
    let mut sum = vec![0.0; count];
    dropout_add(&wide(&a), &wide(&x), &mut sum, KEY, p);
    let [expected, means, rstds] = reference(&sum, &gamma, &beta);
    assert_near(&device.read(h, count), &sum, 1e-6);
    assert_near(&device.read(y, count), &expected, 2e-6);

    let norm = gradient(&sum, &gamma, &[means, rstds], &dy);
    for upstream in [false, true] {
        let total: Vec<f64> =
            norm.iter().zip(&dh).map(|(g, dh)| g + if upstream { f64::from(*dh) } else { 0.0 }).collect();
        let mut masked = vec![0.0; count];
        dropout_backward(&total, &mut masked, KEY, p, false);
        let run = |to_x: u64, to_a: u64, keep| {
            let inputs =
                [h, dgamma, mean, rstd, ddy, if upstream { ddh } else { 0 }, to_x, to_a].map(Address);
            let arguments = [&inputs[..], &sizes, &[I32(keep), I32(keep), Struct(&d)]].concat();
            device.launch("residual_layer_norm_backward", by_warps(rows), &arguments);
        };
        // Together, and each alone.
        let to_a = device.room(count);
        let to_x = device.both_ways(count, |to_x, keep| run(to_x, if keep == 0 { to_a } else { 0 }, keep));
        assert_gradient(&to_x, &total, n);
        assert_gradient(&device.read(to_a, count), &masked, n);
        assert_gradient(&device.both_ways(count, |to_a, keep| run(0, to_a, keep)), &masked, n);
    }
    // What reaches `h` from elsewhere may lie where the sum goes.
    let to = device.floats(&dh);
    let inputs = [h, dgamma, mean, rstd, ddy, to, to, 0].map(Address);
    let arguments = [&inputs[..], &sizes, &[I32(0), I32(0), Struct(&d)]].concat();
    device.launch("residual_layer_norm_backward", by_warps(rows), &arguments);
    let total: Vec<f64> = norm.iter().zip(&dh).map(|(g, dh)| g + f64::from(*dh)).collect();
    assert_gradient(&device.read(to, count), &total, n);
}

/// Where rows have one entry, the gradient is a difference of two equal terms.
#[track_caller]
fn assert_gradient(got: &[f32], expected: &[f64], n: usize) {
    if n > 1 {
        assert_near(got, expected, 2e-6);
    } else {
        assert!(got.iter().zip(expected).all(|(got, expected)| (f64::from(*got) - expected).abs() < 1e-6));
    }
}

fn parameters(device: &Device, rows: usize, n: usize, chunk: usize) {
    let (x, dy) = (random(rows * n, 1), random(rows * n, 4));
    let (mean, rstd) = (random(rows, 2), random(rows, 3));
    let chunks = rows.div_ceil(chunk);
    let scratch = device.room(chunks * 2 * n);
    let tensors =
        [device.floats(&x), device.floats(&mean), device.floats(&rstd), device.floats(&dy), scratch];
    let sizes = [rows, n, chunk].map(|size| I32(size as i32));
    let arguments = [&tensors.map(Address)[..], &sizes].concat();
    device.launch("layer_norm_parameters_partial", by_columns(n, chunks), &arguments);
    let (mut along, mut plain) = (vec![0.0; n], vec![0.0; n]);
    layer_norm_param_backward(
        &wide(&x),
        &wide(&mean),
        &wide(&rstd),
        &wide(&dy),
        Some(&mut along),
        Some(&mut plain),
        n,
        false,
        false,
    );
    let finish = |dgamma, dbeta, keep_gamma, keep_beta| {
        let tensors = [scratch, dgamma, dbeta].map(Address);
        let numbers = [chunks as i32, n as i32, keep_gamma, keep_beta].map(I32);
        let arguments = [&tensors[..], &numbers].concat();
        device.launch("layer_norm_parameters_finish", by_columns(n, 1), &arguments);
    };
    let beta = device.room(n);
    let gamma = device.both_ways(n, |to, keep| finish(to, if keep == 0 { beta } else { 0 }, keep, 0));
    assert_near(&gamma, &along, 5e-6);
    assert_near(&device.read(beta, n), &plain, 5e-6);
    assert_near(&device.both_ways(n, |to, keep| finish(0, to, 1, keep)), &plain, 5e-6);
}

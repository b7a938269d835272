//! The norm of all gradients, and Adam.

use super::device::{Device, assert_near, random, wide};
use crate::kernels::AdamNumbers;
use crate::kernels::cpu::adam::{AdamStep as CpuStep, adam};
use crate::kernels::cuda::driver::Argument::{Address, F32, I32, Struct};
use crate::kernels::cuda::source::arguments::{AdamList, TensorList};
use crate::kernels::cuda::source::{ADAM_TENSORS, TENSORS};

const SIZES: [usize; 5] = [1, 37, 64, 1025, 5001];

pub(super) fn case(device: &Device) {
    let grads: Vec<Vec<f32>> = SIZES.iter().map(|n| random(*n, *n as u64)).collect();
    let squares: f64 = grads.iter().flatten().map(|x| f64::from(*x).powi(2)).sum();
    let norm = norm(device, &grads);
    assert!((f64::from(norm) / squares.sqrt() - 1.0).abs() < 1e-6);
    // The square of this one is beyond `f32`.
    let large = self::norm(device, &[vec![3e25], vec![4e25]]);
    assert!((large / 5e25 - 1.0).abs() < 1e-6);
    assert!(self::norm(device, &[vec![1.0, f32::INFINITY]]).is_infinite());
    // Of a gradient that is halved first.
    for clip in [0.0, 0.25 * norm, 0.75 * norm] {
        for (decay, l2) in [(0.0, 0.0), (0.01, 0.0), (0.0, 0.02)] {
            step(device, &grads, Some(norm), clip, (decay, l2));
        }
    }
    step(device, &grads, None, 0.0, (0.01, 0.0));
    for wild in [f32::NAN, f32::INFINITY] {
        step(device, &grads, Some(wild), 1.0, (0.01, 0.02));
    }
}

/// In two launches, as if there were more tensors than one takes.
fn norm(device: &Device, grads: &[Vec<f32>]) -> f32 {
    const BLOCKS: usize = 3;
    // Doubles: two floats each. Not shifted, so that they are aligned.
    let scratch = device.put(&vec![u64::MAX; BLOCKS * grads.len()]);
    let (first, second) = grads.split_at(grads.len() / 2);
    let mut offset = 0;
    for grads in [first, second] {
        let mut list = TensorList { p: [0; TENSORS], n: [0; TENSORS], count: grads.len() as i32 };
        for (i, grad) in grads.iter().enumerate() {
            list.p[i] = device.floats(grad);
            list.n[i] = grad.len() as u64;
        }
        if !grads.is_empty() {
            let arguments = [Struct(&list.bytes()), Address(scratch), I32(offset)];
            device.launch("squares_partial", [BLOCKS as u32, grads.len() as u32, 1], &arguments);
        }
        offset += (BLOCKS * grads.len()) as i32;
    }
    let norm = device.room(1);
    device.launch("squares_finish", [1, 1, 1], &[Address(scratch), I32(offset), Address(norm)]);
    device.read(norm, 1)[0]
}

fn step(device: &Device, grads: &[Vec<f32>], norm: Option<f32>, clip: f32, (decay, l2): (f32, f32)) {
    let state = |seed| -> Vec<Vec<f32>> { SIZES.iter().map(|n| random(*n, seed + *n as u64)).collect() };
    let positive = |x: Vec<Vec<f32>>| -> Vec<Vec<f32>> {
        x.into_iter().map(|x| x.into_iter().map(f32::abs).collect()).collect()
    };
    let (params, means, squares) = (state(10), state(20), positive(state(30)));
    let settings = CpuStep::<f32> {
        beta1: 0.9,
        beta2: 0.98,
        step_size: 0.01,
        epsilon: 1e-3,
        correction2_sqrt: 0.6,
        decoupled_decay: decay,
        l2,
        grad_scale: 0.5,
    };
    let none = [0; ADAM_TENSORS];
    let mut list =
        AdamList { p: none, g: none, m: none, v: none, n: none, decays: [0; ADAM_TENSORS], count: 5 };
    for i in 0..SIZES.len() {
        list.p[i] = device.floats(&params[i]);
        list.g[i] = device.floats(&grads[i]);
        list.m[i] = device.floats(&means[i]);
        list.v[i] = device.floats(&squares[i]);
        list.n[i] = SIZES[i] as u64;
        list.decays[i] = i32::from(i != 2);
    }
    let at = norm.map_or(0, |norm| device.floats(&[norm]));
    let numbers = device.put(AdamNumbers::from(settings).ids().as_slice());
    let arguments = [Struct(&list.bytes()), Address(numbers), Address(at), F32(clip)];
    device.launch("adam", [2, SIZES.len() as u32, 1], &arguments);
    for i in 0..SIZES.len() {
        let [p, m, v] = [list.p[i], list.m[i], list.v[i]].map(|at| device.read(at, SIZES[i]));
        if norm.is_some_and(|norm| !norm.is_finite()) {
            assert!(p == params[i] && m == means[i] && v == squares[i], "a step after a wild gradient");
            continue;
        }
        let shrink = match norm {
            Some(norm) if clip > 0.0 && 0.5 * norm > clip => f64::from(clip / (0.5 * norm)),
            _ => 1.0,
        };
        let decays = if i == 2 { 0.0 } else { 1.0 };
        let cpu = CpuStep {
            beta1: f64::from(settings.beta1),
            beta2: f64::from(settings.beta2),
            step_size: f64::from(settings.step_size),
            epsilon: f64::from(settings.epsilon),
            correction2_sqrt: f64::from(settings.correction2_sqrt),
            decoupled_decay: decays * f64::from(decay),
            l2: decays * f64::from(l2),
            grad_scale: f64::from(settings.grad_scale) * shrink,
        };
        let (mut wide_p, mut wide_m, mut wide_v) = (wide(&params[i]), wide(&means[i]), wide(&squares[i]));
        adam(&mut wide_p, &mut wide_m, &mut wide_v, &wide(&grads[i]), &cpu);
        assert_near(&p, &wide_p, 1e-6);
        assert_near(&m, &wide_m, 1e-6);
        assert_near(&v, &wide_v, 1e-6);
    }
}

//! Kernels whose operands differ in shape or in the order of axes.

use super::device::{Device, any, assert_near, random};
use crate::kernels::cuda::driver::Argument::{Address, F32, I32, Struct};
use crate::kernels::cuda::source::RANK;
use crate::kernels::cuda::source::arguments::{Broadcast, Reduce, Strided};

/// Sizes of the larger shape, and which of its axes the other one is stretched along.
const SHAPES: [(&[usize], &[usize]); 8] = [
    (&[1], &[0]),
    (&[37], &[]),
    (&[5, 37], &[0]),
    (&[5, 37], &[1]),
    (&[3, 2, 4, 5], &[0, 2]),
    (&[2, 3, 1, 4, 2, 3], &[1, 3, 5]),
    (&[2, 3, 1, 4, 2, 3], &[0, 1, 2, 3, 4, 5]),
    (&[70, 65], &[0, 1]),
];

pub(super) fn case(device: &Device) {
    for (sizes, stretched) in SHAPES {
        binary(device, sizes, stretched);
        reduce(device, sizes, stretched);
    }
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
        permute(device, [7, 33, 5], order);
    }
    part(device);
}

/// Strides of a contiguous shape, 0 along the stretched axes, which have one entry.
fn strides(sizes: &[usize], stretched: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; sizes.len()];
    let mut stride = 1;
    for axis in (0..sizes.len()).rev() {
        if !stretched.contains(&axis) {
            strides[axis] = stride;
            stride *= sizes[axis];
        }
    }
    strides
}

/// Where the entry with this number lies.
fn offset(mut i: usize, sizes: &[usize], strides: &[usize]) -> usize {
    let mut offset = 0;
    for (size, stride) in sizes.iter().zip(strides).rev() {
        offset += i % size * stride;
        i /= size;
    }
    offset
}

fn axes<T: Copy + Default + TryFrom<usize>>(values: &[usize]) -> [T; RANK] {
    let mut axes = [T::default(); RANK];
    for (axis, value) in axes.iter_mut().zip(values) {
        *axis = T::try_from(*value).ok().expect("a small number");
    }
    axes
}

fn binary(device: &Device, sizes: &[usize], stretched: &[usize]) {
    let count: usize = sizes.iter().product();
    let (a_strides, b_strides) = (strides(sizes, &[]), strides(sizes, stretched));
    let b_count: usize =
        (0..sizes.len()).filter(|axis| !stretched.contains(axis)).map(|axis| sizes[axis]).product();
    let (a, b) = (random(count, 1), random(b_count, 2));
    let (da, db) = (device.floats(&a), device.floats(&b));
    let s = Broadcast {
        count: count as u64,
        rank: sizes.len() as i32,
        sizes: axes(sizes),
        a_strides: axes(&a_strides),
        b_strides: axes(&b_strides),
    };
    let operations: [fn(f32, f32) -> f32; 3] = [|a, b| a + b, |a, b| a - b, |a, b| a * b];
    for (op, f) in operations.iter().enumerate() {
        let y = device.room(count);
        let arguments = [I32(op as i32), Address(da), Address(db), Address(y), Struct(&s.bytes())];
        device.launch("binary", any(count), &arguments);
        let expected: Vec<f32> = (0..count).map(|i| f(a[i], b[offset(i, sizes, &b_strides)])).collect();
        assert_eq!(device.read(y, count), expected);
    }
}

fn reduce(device: &Device, sizes: &[usize], stretched: &[usize]) {
    let all: usize = sizes.iter().product();
    let dx_strides = strides(sizes, stretched);
    let count: usize =
        (0..sizes.len()).filter(|axis| !stretched.contains(axis)).map(|axis| sizes[axis]).product();
    // The factor is stretched along the first axis.
    let factor_strides = strides(sizes, &[0]);
    let (dy, factor) = (random(all, 1), random(all / sizes[0], 2));
    let (ddy, df) = (device.floats(&dy), device.floats(&factor));
    let s = Reduce {
        count: count as u64,
        reduced: (all / count) as u64,
        rank: sizes.len() as i32,
        sizes: axes(sizes),
        factor_strides: axes(&factor_strides),
        dx_strides: axes(&dx_strides),
    };
    for with_factor in [false, true] {
        let dx = device.both_ways(count, |dx, keep| {
            let factor = Address(if with_factor { df } else { 0 });
            let arguments = [Address(ddy), factor, F32(-0.5), Address(dx), Struct(&s.bytes()), I32(keep)];
            device.launch("reduce_broadcast", any(count), &arguments);
        });
        let mut expected = vec![0.0; count];
        for (i, dy) in dy.iter().enumerate() {
            let by = if with_factor { f64::from(factor[offset(i, sizes, &factor_strides)]) } else { 1.0 };
            expected[offset(i, sizes, &dx_strides)] -= 0.5 * f64::from(*dy) * by;
        }
        assert_near(&dx, &expected, 5e-6);
    }
}

fn permute(device: &Device, sizes: [usize; 3], order: [usize; 3]) {
    let count = sizes.iter().product();
    let x = random(count, 1);
    let x_strides = strides(&sizes, &[]);
    let new_sizes = order.map(|axis| sizes[axis]);
    let from = order.map(|axis| x_strides[axis]);
    let s = Strided {
        count: count as u64,
        x_strides: axes(&from),
        y_strides: axes(&strides(&new_sizes, &[])),
        rank: 3,
        sizes: axes(&new_sizes),
    };
    let dx = device.floats(&x);
    let y = device.both_ways(count, |y, keep| {
        let arguments = [Address(dx), Address(y), Struct(&s.bytes()), I32(keep)];
        device.launch("strided_copy", any(count), &arguments);
    });
    assert_eq!(y, (0..count).map(|i| x[offset(i, &new_sizes, &from)]).collect::<Vec<_>>());
}

/// Rows 1 and 2 of a tensor, from column 2 on, into columns 1 to 3 of another.
fn part(device: &Device) {
    let (x, y) = (random(4 * 5, 1), random(2 * 6, 2));
    let (dx, dy) = (device.floats(&x), device.floats(&y));
    let s = Strided {
        count: 6,
        x_strides: axes(&[5, 1]),
        y_strides: axes(&[6, 1]),
        rank: 2,
        sizes: axes(&[2, 3]),
    };
    let arguments = [Address(dx + 4 * (5 + 2)), Address(dy + 4), Struct(&s.bytes()), I32(0)];
    device.launch("strided_copy", any(6), &arguments);
    let mut expected = y.clone();
    for row in 0..2 {
        expected[row * 6 + 1..][..3].copy_from_slice(&x[(row + 1) * 5 + 2..][..3]);
    }
    assert_eq!(device.read(dy, y.len()), expected);
}

//! Sums over everything, and over rows.

use super::device::{Device, any, assert_near, by_columns, random, wide};
use crate::kernels::cuda::driver::Argument::{Address, F32, I32, U64};

pub(super) fn case(device: &Device) {
    for n in [1, 37, 1025, 20_001] {
        let x = random(n, 1);
        let blocks = any(n)[0];
        let (dx, scratch, y) = (device.floats(&x), device.room(blocks as usize), device.room(1));
        device.launch("sum_partial", [blocks, 1, 1], &[Address(dx), Address(scratch), U64(n as u64)]);
        let arguments = [Address(scratch), F32(0.5), Address(y), I32(blocks as i32)];
        device.launch("sum_finish", [1, 1, 1], &arguments);
        // Signs cancel: the scale is that of the terms.
        let expected = 0.5 * wide(&x).iter().sum::<f64>();
        let error = (f64::from(device.read(y, 1)[0]) - expected).abs();
        assert!(error <= 5e-6 * (n as f64).sqrt(), "{error:e}");
    }
    for (rows, n, chunk) in [(1, 1, 4), (63, 37, 20), (65, 33, 65), (300, 64, 32), (5, 700, 2)] {
        let x = random(rows * n, 1);
        let chunks = rows.div_ceil(chunk);
        let (dx, scratch) = (device.floats(&x), device.room(chunks * n));
        let arguments = [Address(dx), Address(scratch), I32(rows as i32), I32(n as i32), I32(chunk as i32)];
        device.launch("sum_rows_partial", by_columns(n, chunks), &arguments);
        let sums = device.both_ways(n, |y, keep| {
            let arguments = [Address(scratch), Address(y), I32(chunks as i32), I32(n as i32), I32(keep)];
            device.launch("sum_rows_finish", by_columns(n, 1), &arguments);
        });
        let mut expected = vec![0.0; n];
        for (i, x) in x.iter().enumerate() {
            expected[i % n] += f64::from(*x);
        }
        assert_near(&sums, &expected, 5e-6);
    }
}

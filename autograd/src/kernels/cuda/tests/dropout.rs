//! The mask is the CPU's, bit for bit.

use super::device::{Device, any, random};
use super::*;
use crate::kernels::cpu::dropout::{dropout, dropout_add, dropout_rows_in_place_at};
use crate::kernels::cuda::driver::Argument::{Address, I32, Struct, U64};
use crate::kernels::cuda::source::arguments::Dropout;
use crate::kernels::cuda::source::program;
use crate::rng;

pub(super) fn case(device: &Device) {
    for n in [1, 37, 1025, 5000] {
        let plain = [(9, 0.1), (u64::MAX, 0.5), (3, 0.0), (1 << 40, 0.999)].map(|(key, p)| (key, p, None));
        // A seed that lies in memory, and the place that makes a key with it.
        let staged = [(7, 0.3), (1 << 35, 0.5)].map(|(place, p)| (place, p, Some(u64::MAX / 3)));
        for (number, p, seed) in plain.into_iter().chain(staged) {
            let (x, a) = (random(n, 1), random(n, 2));
            let (dx, da) = (device.floats(&x), device.floats(&a));
            let at = seed.map_or(0, |seed| device.put(&[seed]));
            let d = Dropout { seed: at, ..Dropout::new(number, p) }.bytes();
            let key = seed.map_or(number, |seed| rng::derive(seed, number));
            let (y, mut expected) = (device.room(n), vec![0.0; n]);
            device.launch("dropout", any(n), &[Address(dx), Address(y), U64(n as u64), Struct(&d)]);
            dropout(&x, &mut expected, key, p);
            assert_eq!(device.read(y, n), expected);
            let back = device.both_ways(n, |to, keep| {
                let arguments = [Address(dx), Address(to), U64(n as u64), Struct(&d), I32(keep)];
                device.launch("dropout_backward", any(n), &arguments);
            });
            assert_eq!(back, expected);
            let y = device.room(n);
            let arguments = [Address(dx), Address(da), Address(y), U64(n as u64), Struct(&d)];
            device.launch("residual", any(n), &arguments);
            dropout_add(&a, &x, &mut expected, key, p);
            // A card may add and multiply in one rounding.
            let wide: Vec<f64> = expected.iter().map(|x| f64::from(*x)).collect();
            super::device::assert_near(&device.read(y, n), &wide, 1e-6);
        }
    }
}

/// The mask far beyond what a test can hold in memory.
const FAR: &str = "
KERNEL(mask_far, BLOCK)(float* y, u64 first, u64 count, Dropout d) {
    Mask mask(d);
    map(y, count, 0, [&](u64 i) { return mask(first + i, 1.f); });
}
";

#[test]
fn the_upper_half_of_the_index_counts() {
    let emulator = Emulator::of(&(program() + FAR), &["mask_far"], Order::Ascending).unwrap();
    let device = Device::new(Arc::new(emulator), 0, true);
    for first in [0, (1 << 31) - 20, (1 << 32) - 20, (7 << 32) - 1, 1 << 50] {
        let (y, mut expected) = (device.room(100), vec![1.0f32; 100]);
        let d = Dropout::new(5, 0.5).bytes();
        device.launch("mask_far", [1, 1, 1], &[Address(y), U64(first), U64(100), Struct(&d)]);
        dropout_rows_in_place_at(&mut expected, 100, 100, 5, 0.5, first, 0);
        assert_eq!(device.read(y, 100), expected);
    }
}

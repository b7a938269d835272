//! Attention of one query a row, over rows that lie in several places.

use super::device::{Device, assert_near, random, random_below, wide};
use crate::Tensor;
use crate::kernels::cpu::attention_step::attention_step;
use crate::kernels::cuda::driver::Argument::{Address, F32, I32};
use crate::kernels::cuda::source::STEP_POSITIONS;
use crate::kernels::{Gathered, Row};

/// More positions than are weighed at a time.
const LONG: usize = STEP_POSITIONS as usize + 300;

/// Rows of keys, and of values, at each position.
const PLACES: usize = 6;

pub(super) fn case(device: &Device) {
    for (queries, positions, heads, d) in [
        (1, 1, 1, 1),
        (5, 7, 2, 8),
        (3, 70, 4, 32),
        (4, 9, 1, 37),
        (2, 3, 2, 130),
        (1, LONG, 1, 2),
        (1, 2 * LONG, 1, 3),
    ] {
        let width = heads * d;
        let q = random(queries * width, 1);
        let [keys, mut values] = [2, 3].map(|seed| random(positions * PLACES * width, seed));
        if positions >= LONG {
            // A mean of thousands of numbers of both signs is next to nothing beside its rounding errors.
            values.iter_mut().for_each(|value| *value = value.abs());
        }
        let rows: Vec<Vec<u32>> =
            (0..positions).map(|t| random_below(queries, PLACES as u32, 10 + t as u64)).collect();
        // One query sees nothing, one all and more than there are.
        let kept: Vec<u32> =
            (0..queries as u32).map(|query| [positions as u32 + 2, 0, 3][query as usize % 3]).collect();

        let [wide_keys, wide_values] =
            [&keys, &values].map(|x| Tensor::new([positions * PLACES, width], wide(x)));
        let each = |tensor| (0..positions).map(|t| Row { tensor, first: t * PLACES }).collect();
        let gathered = Gathered {
            keys: each(&wide_keys),
            values: each(&wide_values),
            rows: rows.iter().map(Vec::as_slice).collect(),
            kept: Some(&kept),
            heads,
            width,
        };
        let mut expected = vec![0.0; q.len()];
        attention_step(&gathered, &wide(&q), &mut expected);

        let [key_at, value_at] = [&keys, &values].map(|x| device.floats(x));
        let place = |at: u64| (0..positions as u64).map(move |t| at + 4 * t * (PLACES * width) as u64);
        let mut table: Vec<u8> = place(key_at).chain(place(value_at)).flat_map(u64::to_le_bytes).collect();
        table.extend(rows.iter().flatten().chain(&kept).flat_map(|number| number.to_le_bytes()));
        let (dq, o) = (device.floats(&q), device.room(q.len()));
        let sizes = [queries, positions, heads, width].map(|size| I32(size as i32));
        let scale = F32(1.0 / (d as f32).sqrt());
        let tensors = [Address(dq), Address(o), Address(device.put(&table))];
        let blocks = [queries as u32, heads as u32, 1];
        let arguments = [&tensors[..], &sizes, &[scale]].concat();
        let room = positions.min(STEP_POSITIONS as usize);
        let kernel = if positions > room { "attention_step_long" } else { "attention_step" };
        device.launch_with(kernel, blocks, 4 * room as u32, &arguments);
        assert_near(&device.read(o, q.len()), &expected, 1e-6);
    }
}

//! Rows of a table, and the sums of their gradients.

use super::device::{Device, assert_near, by_warps, random, random_below};
use crate::kernels::cuda::driver::Argument::{Address, I32};

pub(super) fn case(device: &Device) {
    for (count, n, vocabulary) in [(1, 1, 1), (50, 64, 20), (63, 37, 5), (20, 132, 300), (200, 8, 3)] {
        let table = random(vocabulary * n, 1);
        let ids = random_below(count, vocabulary as u32, 2);
        let (dt, di, y) = (device.floats(&table), device.put(&ids), device.room(count * n));
        let arguments = [Address(dt), Address(di), Address(y), I32(count as i32), I32(n as i32)];
        device.launch("embedding", by_warps(count), &arguments);
        let expected: Vec<f32> =
            ids.iter().flat_map(|id| table[*id as usize * n..][..n].iter().copied()).collect();
        assert_eq!(device.read(y, count * n), expected);
        backward(device, &ids, n, vocabulary);
    }
}

fn backward(device: &Device, ids: &[u32], n: usize, vocabulary: usize) {
    let dy = random(ids.len() * n, 3);
    let mut order: Vec<u32> = (0..ids.len() as u32).collect();
    order.sort_by_key(|position| ids[*position as usize]);
    let (mut rows, mut starts) = (Vec::new(), Vec::new());
    for (i, position) in order.iter().enumerate() {
        let id = ids[*position as usize];
        if rows.last() != Some(&id) {
            rows.push(id);
            starts.push(i as u32);
        }
    }
    // As many segments as places; the last ones are empty.
    rows.resize(ids.len(), u32::MAX);
    starts.resize(ids.len() + 1, order.len() as u32);
    let dtable = device.floats(&vec![1.0; vocabulary * n]);
    let tensors = [device.floats(&dy), device.put(&rows), device.put(&starts), device.put(&order), dtable];
    let sizes = [I32(rows.len() as i32), I32(n as i32)];
    device.launch("embedding_backward", by_warps(rows.len()), &[&tensors.map(Address)[..], &sizes].concat());
    let mut expected = vec![1.0; vocabulary * n];
    for (id, dy) in ids.iter().zip(dy.chunks(n)) {
        for (entry, dy) in expected[*id as usize * n..][..n].iter_mut().zip(dy) {
            *entry += f64::from(*dy);
        }
    }
    assert_near(&device.read(dtable, vocabulary * n), &expected, 1e-6);
}

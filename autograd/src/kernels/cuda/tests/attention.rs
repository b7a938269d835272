//! Attention by tiles and by rows, against the CPU's in `f64`, with the CPU's own dropout mask.

use super::device::{Device, assert_near, random, wide};
use crate::kernels::cpu::attention::{Forward, Geometry, Span, attention, attention_backward};
use crate::kernels::cuda::driver::Argument::{Address, I32, Struct};
use crate::kernels::cuda::source::arguments::{Attention, Dropout};
use crate::kernels::cuda::source::{ANY_SIZE, TILE, attention_backward_shared, attention_shared};
use crate::rng;

/// What masks are drawn from.
const SEED: u64 = 77;
const PLACE: u64 = 5;

/// Queries and keys of each sentence.
type Lengths = &'static [(usize, usize)];

/// One call.
#[derive(Clone, Copy)]
struct Call {
    lengths: Lengths,
    heads: usize,
    d: usize,
    kept: Kept,
    p: f64,
    any: bool,
    /// Whether the seed of its mask lies in memory.
    staged: bool,
}

/// Which keys queries see.
#[derive(Clone, Copy, PartialEq)]
enum Kept {
    All,
    Causal,
    /// Some see none, some more than there are.
    Odd,
}

const ODD: Lengths = &[(63, 65), (1, 1), (0, 5), (0, 0), (3, 0), (65, 63), (2, 130)];
const FEW: Lengths = &[(5, 40), (1, 1), (33, 7)];
const SAME: Lengths = &[(32, 32), (64, 64), (7, 7), (130, 130)];

pub(super) fn case(device: &Device) {
    if !device.aligned() {
        return;
    }
    for d in [32, 64, 128] {
        let heads = if d == 128 { 1 } else { 2 };
        for (lengths, kept, p) in
            [(SAME, Kept::Causal, 0.0), (ODD, Kept::All, 0.2), (ODD, Kept::Odd, 0.0), (SAME, Kept::Odd, 0.4)]
        {
            check(device, Call { lengths, heads, d, kept, p, any: false, staged: p > 0.3 });
        }
    }
}

pub(super) fn any_case(device: &Device) {
    for (heads, d, lengths, kept, p) in [
        (1, 1, ODD, Kept::All, 0.0),
        (2, 2, ODD, Kept::Odd, 0.3),
        (2, 8, SAME, Kept::Causal, 0.1),
        (1, 37, ODD, Kept::Odd, 0.0),
        (1, 256, ODD, Kept::Causal, 0.0),
        (1, 300, FEW, Kept::Odd, 0.3),
    ] {
        check(device, Call { lengths, heads, d, kept, p, any: true, staged: p > 0.2 });
    }
}

fn starts(lengths: impl Iterator<Item = usize>) -> Vec<u32> {
    let mut starts = vec![0];
    for length in lengths {
        starts.push(starts[starts.len() - 1] + length as u32);
    }
    starts
}

fn check(device: &Device, call: Call) {
    let Call { lengths, heads, d, p, .. } = call;
    let width = heads * d;
    let query_start = starts(lengths.iter().map(|(queries, _)| *queries));
    let key_start = starts(lengths.iter().map(|(_, keys)| *keys));
    let (rows, key_rows) = (*query_start.last().unwrap() as usize, *key_start.last().unwrap() as usize);
    let mut weight_start = vec![0];
    for (queries, keys) in lengths {
        weight_start.push(weight_start.last().unwrap() + (queries * keys) as u64);
    }
    let kept: Vec<u32> = lengths
        .iter()
        .flat_map(|(queries, _)| 0..*queries as u32)
        .enumerate()
        .map(|(row, query)| if call.kept == Kept::Causal { query + 1 } else { (row as u32 * 31) % 150 })
        .collect();
    let kept = (call.kept != Kept::All).then_some(&kept[..]);

    let inputs = [1, 2, 3].map(|seed| random(if seed == 1 { rows } else { key_rows } * width, seed));
    let dy = random(rows * width, 4);
    let scale = 1.0 / (d as f32).sqrt();
    let span = |i: usize| Span {
        queries: query_start[i] as usize..query_start[i + 1] as usize,
        keys: key_start[i] as usize..key_start[i + 1] as usize,
    };
    let geometry = Geometry {
        spans: (0..lengths.len()).map(span).collect(),
        heads,
        width,
        scale: f64::from(scale),
        kept,
        dropout: (p > 0.0).then_some((p, rng::derive(SEED, PLACE))),
    };
    let wides = inputs.each_ref().map(|x| wide(x));
    let (mut o, mut lse) = (vec![0.0; rows * width], vec![0.0; rows * heads]);
    attention(&geometry, wides.each_ref().map(Vec::as_slice), &mut o, &mut lse);

    let arguments = Attention {
        batch: lengths.len() as i32,
        heads: heads as i32,
        d: d as i32,
        width: width as i32,
        scale,
        dropout: match p > 0.0 {
            true if call.staged => Dropout { seed: device.put(&[SEED]), ..Dropout::new(PLACE, p) },
            true => Dropout::new(rng::derive(SEED, PLACE), p),
            false => Dropout::NONE,
        },
    }
    .bytes();
    let most_queries = lengths.iter().map(|(queries, _)| *queries as u32).max().unwrap();
    // The tiled kernels, where they are asked for and fit.
    let [tiled, tiled_backward] = match d {
        32 => ["attention_32", "attention_backward_32"],
        64 => ["attention_64", "attention_backward_64"],
        _ => ["attention_128", "attention_backward_128"],
    };
    let (any, any_backward) = match d > ANY_SIZE {
        true => ("attention_any_wide", "attention_backward_any_wide"),
        false => ("attention_any", "attention_backward_any"),
    };
    let fits = |kernel, shared| !call.any && shared <= device.shared_limit(kernel);
    let (shared, shared_backward) = (attention_shared(d as u32), attention_backward_shared(d as u32));
    let forward_fits = fits(tiled, shared);
    let (name, shared) = if forward_fits { (tiled, shared) } else { (any, 0) };
    let backward_fits = fits(tiled_backward, shared_backward);
    let (name_backward, shared_backward) =
        if backward_fits { (tiled_backward, shared_backward) } else { (any_backward, 0) };
    let [q, k, v] = inputs.each_ref().map(|x| device.floats(x));
    let (got, got_lse) = (device.room(rows * width), device.room(rows * heads));
    let [query_at, key_at] = [&query_start, &key_start].map(|starts| device.put(starts));
    let weight_at = if p > 0.0 { device.put(&weight_start[..lengths.len()]) } else { 0 };
    let spans = [query_at, key_at, weight_at, kept.map_or(0, |kept| device.put(kept))].map(Address);
    let batch = lengths.len() as u32;
    let forward = |q, k, o, lse| {
        let tensors = [q, k, v, o, lse].map(Address);
        let arguments = [&tensors[..], &spans, &[Struct(&arguments)]].concat();
        let tiles = [most_queries.div_ceil(TILE), heads as u32, batch];
        let blocks = if forward_fits { tiles } else { [rows as u32, heads as u32, 1] };
        device.launch_with(name, blocks, shared, &arguments);
    };
    if kept.is_none() {
        ruled_out(device, &inputs, width, heads, forward);
    }
    forward(q, k, got, got_lse);
    assert_near(&device.read(got, rows * width), &o, 1e-6);
    for (got, expected) in device.read(got_lse, rows * heads).iter().zip(&lse) {
        let near = (f64::from(*got) - expected).abs() <= 1e-5;
        assert!(near || f64::from(*got) == *expected, "{got} is not {expected}");
    }

    let mut expected = wides.each_ref().map(|x| vec![0.0; x.len()]);
    let given = Forward { qkv: wides.each_ref().map(Vec::as_slice), o: &o, lse: &lse };
    attention_backward(&geometry, given, &wide(&dy), expected.each_mut().map(|x| Some((&mut x[..], false))));
    let ddy = device.floats(&dy);
    let by_rows = [rows.max(key_rows) as u32, heads as u32, 1];
    let blocks = if backward_fits { [heads as u32, batch, 1] } else { by_rows };
    let backward = |gradients: [u64; 3], keep| {
        let tensors = [q, k, v, got, ddy, got_lse].map(Address);
        let gradients = gradients.map(Address);
        let arguments =
            [&tensors[..], &gradients, &spans, &[Struct(&arguments)], &[I32(keep), I32(keep), I32(keep)]];
        device.launch_with(name_backward, blocks, shared_backward, &arguments.concat());
    };
    // All three at once over NaN, and each alone added to ones.
    let all = expected.each_ref().map(|x| device.room(x.len()));
    backward(all, 0);
    for (i, expected) in expected.iter().enumerate() {
        assert_near(&device.read(all[i], expected.len()), expected, 2e-6);
        let one = device.floats(&vec![1.0; expected.len()]);
        let mut alone = [0; 3];
        alone[i] = one;
        backward(alone, 1);
        let added: Vec<f64> = expected.iter().map(|x| x + 1.0).collect();
        assert_near(&device.read(one, expected.len()), &added, 2e-6);
    }
}

/// A query all of whose scores are −∞ gives zeros, and others know nothing of it.
fn ruled_out(
    device: &Device,
    [q, k, _]: &[Vec<f32>; 3],
    width: usize,
    heads: usize,
    run: impl Fn(u64, u64, u64, u64),
) {
    let mut q = q.clone();
    q[..width].fill(f32::NEG_INFINITY);
    let k: Vec<f32> = k.iter().map(|k| k.abs() + 0.1).collect();
    let (o, lse) = (device.room(q.len()), device.room(q.len() / width * heads));
    run(device.floats(&q), device.floats(&k), o, lse);
    let (o, lse) = (device.read(o, q.len()), device.read(lse, q.len() / width * heads));
    assert!(o[..width].iter().all(|o| *o == 0.0) && lse[..heads].iter().all(|lse| *lse == f32::NEG_INFINITY));
    assert!(o[width..].iter().all(|o| o.is_finite()));
}

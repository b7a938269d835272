//! Attention on a card.

use super::device::Cuda;
use super::driver::{Argument, Threads};
use super::launch::int;
use super::source::arguments;
use super::source::{ANY_BLOCK, ANY_SIZE, BLOCK, TILE, attention_backward_shared, attention_shared};
use crate::kernels::list::{Attended, Gathered, Row};
use crate::ops::attention::{Attention, Packed};
use crate::{Float, Ids, Shape, Tensor};

/// The kernels for heads of `d` columns, forward and backward, and the threads of a block.
fn kernels(d: usize) -> ([&'static str; 2], u32) {
    match d {
        32 => (["attention_32", "attention_backward_32"], BLOCK),
        64 => (["attention_64", "attention_backward_64"], BLOCK),
        128 => (["attention_128", "attention_backward_128"], BLOCK),
        _ => (["attention_any", "attention_backward_any"], ANY_BLOCK),
    }
}

/// What every launch is told.
struct Call {
    sizes: [u8; size_of::<arguments::Attention>()],
    batch: usize,
    rows: Packed,
    kept: Option<Ids>,
    /// The most queries of a sentence, in tiles.
    tiles: u32,
    /// Rows of queries and of keys.
    all: [usize; 2],
    d: usize,
}

impl Call {
    fn new(cuda: &Cuda, settings: &Attention, [q, k]: [Shape; 2]) -> Self {
        let rows =
            settings.packed.clone().unwrap_or_else(|| Packed::new(&vec![q[1]; q[0]], &vec![k[1]; k[0]]));
        let lengths = rows.queries.as_slice().windows(2).map(|pair| pair[1] - pair[0]);
        let tiles = lengths.max().unwrap_or(0).div_ceil(TILE);
        let (width, batch) = (q.last(), rows.queries.as_slice().len() - 1);
        let d = width / settings.heads;
        let scale = 1.0 / (d as f64).sqrt();
        assert!(d <= ANY_SIZE, "attention: a card knows heads of at most {ANY_SIZE} columns, not of {d}");
        let sizes = arguments::Attention {
            batch: batch as i32,
            heads: settings.heads as i32,
            d: d as i32,
            width: width as i32,
            scale: scale as f32,
            dropout: cuda.mask((settings.dropout, &settings.key)),
        };
        Self {
            sizes: sizes.bytes(),
            batch,
            rows,
            kept: settings.kept.clone(),
            tiles,
            all: [q.rows(), k.rows()],
            d,
        }
    }

    /// Where the rows of sentences start, which rows see which keys, and the sizes.
    fn arguments(&self, cuda: &Cuda) -> [Argument<'_>; 5] {
        let numbers = self.rows.ids().into_iter().chain(&self.kept);
        cuda.stage(&[], &numbers.collect::<Vec<_>>());
        let address = |ids: &Ids| Argument::Address(cuda.staged(ids, false).address());
        let [queries, keys, weights] = self.rows.ids().map(address);
        let kept = self.kept.as_ref().map_or(Argument::Address(0), address);
        [queries, keys, weights, kept, Argument::Struct(&self.sizes)]
    }
}

pub(super) fn attention<T: Float>(
    cuda: &Cuda,
    settings: &Attention,
    [q, k, v]: [&Tensor<T>; 3],
    o: &mut Tensor<T>,
    lse: &mut Tensor<T>,
) {
    let call = Call::new(cuda, settings, [q.shape(), k.shape()]);
    let ([kernel, _], block) = kernels(call.d);
    let mut arguments = vec![cuda.of(q), cuda.of(k), cuda.of(v), cuda.to(o), cuda.to(lse)];
    arguments.extend(call.arguments(cuda));
    let (heads, batch) = (settings.heads as u32, call.batch as u32);
    let blocks = if block == BLOCK { [call.tiles, heads, batch] } else { [call.all[0] as u32, heads, 1] };
    let shared = if block == BLOCK { attention_shared(call.d as u32) } else { 0 };
    cuda.launch(kernel, Threads { blocks, block, shared }, &arguments);
}

pub(super) fn attention_backward<T: Float>(
    cuda: &Cuda,
    settings: &Attention,
    forward: Attended<'_, T>,
    d_o: &Tensor<T>,
    [dq, dk, dv]: [Option<(&mut Tensor<T>, bool)>; 3],
) {
    let Attended { qkv: [q, k, v], o, lse } = forward;
    let call = Call::new(cuda, settings, [q.shape(), k.shape()]);
    let ([_, kernel], block) = kernels(call.d);
    let ((dq, keep_q), (dk, keep_k), (dv, keep_v)) = (cuda.to_some(dq), cuda.to_some(dk), cuda.to_some(dv));
    let mut arguments =
        vec![cuda.of(q), cuda.of(k), cuda.of(v), cuda.of(o), cuda.of(d_o), cuda.of(lse), dq, dk, dv];
    arguments.extend(call.arguments(cuda));
    arguments.extend([keep_q, keep_k, keep_v]);
    let (heads, batch) = (settings.heads as u32, call.batch as u32);
    let threads = if block == BLOCK {
        Threads { blocks: [heads, batch, 1], block, shared: attention_backward_shared(call.d as u32) }
    } else {
        let [queries, keys] = call.all;
        Threads { blocks: [queries.max(keys) as u32, heads, 1], block, shared: 0 }
    };
    cuda.launch(kernel, threads, &arguments);
}

/// A block for each query and head. What is gathered is copied to the card as a table of addresses: this is for
/// translating, not for training.
pub(super) fn attention_step<T: Float>(
    cuda: &Cuda,
    gathered: &Gathered<'_, T>,
    q: &Tensor<T>,
    o: &mut Tensor<T>,
) {
    let &Gathered { ref keys, ref values, ref rows, kept, heads, width } = gathered;
    let (queries, positions) = (q.shape().rows(), rows.len());
    let address = |row: &Row<'_, T>| cuda.address(row.tensor) + 4 * (row.first * width) as u64;
    let addresses = keys.iter().chain(values).map(address).flat_map(u64::to_ne_bytes);
    let seen: Vec<u32> = match kept {
        Some(kept) => kept.to_vec(),
        None => vec![positions as u32; queries],
    };
    let numbers =
        rows.iter().copied().chain([seen.as_slice()]).flatten().flat_map(|number| number.to_ne_bytes());
    let table = cuda.copied(&addresses.chain(numbers).collect::<Vec<_>>());
    let scale = 1.0 / ((width / heads) as f64).sqrt();
    let arguments = [
        cuda.of(q),
        cuda.to(o),
        Argument::Address(table.address()),
        int(queries),
        int(positions),
        int(heads),
        int(width),
        Argument::F32(scale as f32),
    ];
    let shared = (4 * positions.max(1)) as u32;
    let threads = Threads { blocks: [queries as u32, heads as u32, 1], block: BLOCK, shared };
    cuda.launch("attention_step", threads, &arguments);
}

//! Attention on a card.

use std::io::Write;

use super::device::Cuda;
use super::driver::{Argument, Threads};
use super::launch::{blocks, int};
use super::source::arguments;
use super::source::{
    ANY_BLOCK, ANY_SIZE, BLOCK, MOST_BLOCKS, STEP_POSITIONS, TILE, attention_backward_shared,
    attention_shared,
};
use crate::kernels::list::{Attended, Gathered, Row};
use crate::ops::attention::{Attention, Packed};
use crate::{Float, Ids, Shape, Tensor};

/// One of the two passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Forward,
    Backward,
}

use Pass::{Backward, Forward};

/// A kernel with what a launch of it asks for.
#[derive(Clone, Copy, Debug)]
struct Kernel {
    name: &'static str,
    /// Whether it works on tiles of queries, in blocks of [`BLOCK`] threads.
    tiled: bool,
    shared: u32,
}

impl Kernel {
    /// The fast one for heads of `d` columns, where there is one.
    fn tiled(d: usize, pass: Pass) -> Option<Self> {
        let name = match (d, pass) {
            (32, Forward) => "attention_32",
            (64, Forward) => "attention_64",
            (128, Forward) => "attention_128",
            (32, Backward) => "attention_backward_32",
            (64, Backward) => "attention_backward_64",
            (128, Backward) => "attention_backward_128",
            _ => return None,
        };
        let shared = match pass {
            Forward => attention_shared(d as u32),
            Backward => attention_backward_shared(d as u32),
        };
        Some(Self { name, tiled: true, shared })
    }

    /// The one for heads of other sizes, and for cards with little shared memory.
    fn general(d: usize, pass: Pass) -> Self {
        let name = match pass {
            Forward if d <= ANY_SIZE => "attention_any",
            Forward => "attention_any_wide",
            Backward if d <= ANY_SIZE => "attention_backward_any",
            Backward => "attention_backward_any_wide",
        };
        Self { name, tiled: false, shared: 0 }
    }

    /// Whether a block of this card can have the shared memory that it asks for.
    fn fits(&self, cuda: &Cuda) -> bool {
        self.shared <= cuda.driver().shared_limit(self.name)
    }

    /// The fastest that this card can run.
    fn choose(cuda: &Cuda, d: usize, pass: Pass) -> Self {
        match Self::tiled(d, pass) {
            Some(kernel) if kernel.fits(cuda) => kernel,
            Some(_) => {
                say(cuda, d);
                Self::general(d, pass)
            }
            None => Self::general(d, pass),
        }
    }

    fn threads(&self, blocks: [u32; 3]) -> Threads {
        Threads { blocks, block: if self.tiled { BLOCK } else { ANY_BLOCK }, shared: self.shared }
    }
}

/// What is slower than it would be on a card with more shared memory, in one line.
pub(super) fn note(cuda: &Cuda, d: usize) -> Option<String> {
    let lacks = |pass| Kernel::tiled(d, pass).filter(|kernel| !kernel.fits(cuda));
    let (what, lacking) = match (lacks(Forward), lacks(Backward)) {
        (Some(forward), Some(_)) => ("attention", forward),
        (Some(forward), None) => ("attention's forward pass", forward),
        (None, Some(backward)) => ("attention's backward pass", backward),
        (None, None) => return None,
    };
    Some(format!(
        "{cuda}: a block has {} bytes of shared memory, and the fast kernel of {what} for heads of {d} columns asks for \
         {}: the general kernel takes its place, and is slower",
        cuda.driver().shared_limit(lacking.name),
        lacking.shared
    ))
}

/// Says so on standard error, once for heads of this size: when the first pass that is slower is asked for.
#[cold]
fn say(cuda: &Cuda, d: usize) {
    if !cuda.says_first(d) {
        return;
    }
    if let Some(note) = note(cuda, d) {
        // Where nobody listens, attention is computed all the same.
        let _ = writeln!(std::io::stderr(), "{note}");
    }
}

impl Cuda {
    /// The kernels that attention with heads of so many columns takes here, forward and backward: `attention_64` where a block
    /// can have the shared memory that it asks for, else `attention_any`.
    pub fn attention_kernels(&self, columns: usize) -> [&'static str; 2] {
        [Forward, Backward].map(|pass| {
            let tiled = Kernel::tiled(columns, pass).filter(|kernel| kernel.fits(self));
            tiled.unwrap_or(Kernel::general(columns, pass)).name
        })
    }

    /// Says in one line on standard error, unless it was said before, where attention with heads of so many columns will take
    /// slower kernels because of little shared memory. Else that is said when the first of them runs.
    pub(crate) fn announce_attention(&self, columns: usize) {
        if note(self, columns).is_some() {
            say(self, columns);
        }
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

    /// The first sentences of the launches of a kernel whose blocks count sentences along y or z, where a grid has few, and
    /// how many each launch is for.
    fn launches(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let ([_, most], batch) = (MOST_BLOCKS.map(|most| most as usize), self.batch);
        (0..batch).step_by(most).map(move |first| (first, most.min(batch - first)))
    }

    /// Where the rows of sentences from the `first` on start, which rows see which keys, and the sizes.
    fn arguments(&self, cuda: &Cuda, first: usize) -> [Argument<'_>; 5] {
        let numbers = self.rows.ids().into_iter().chain(&self.kept);
        cuda.stage(&[], &numbers.collect::<Vec<_>>());
        let address =
            |ids: &Ids, skipped| Argument::Address(cuda.staged(ids, false).address() + skipped as u64);
        let [queries, keys, weights] = self.rows.ids();
        let [queries, keys] = [queries, keys].map(|starts| address(starts, 4 * first));
        let weights = address(weights, 8 * first);
        let kept = self.kept.as_ref().map_or(Argument::Address(0), |kept| address(kept, 0));
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
    let kernel = Kernel::choose(cuda, call.d, Forward);
    let tensors = [cuda.of(q), cuda.of(k), cuda.of(v), cuda.to(o), cuda.to(lse)];
    let launch = |first, grid: [usize; 3]| {
        let arguments = [&tensors[..], &call.arguments(cuda, first)].concat();
        cuda.launch(kernel.name, kernel.threads(grid.map(blocks)), &arguments);
    };
    if kernel.tiled {
        call.launches()
            .for_each(|(first, count)| launch(first, [call.tiles as usize, settings.heads, count]));
    } else {
        launch(0, [call.all[0], settings.heads, 1]);
    }
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
    let kernel = Kernel::choose(cuda, call.d, Backward);
    let ((dq, keep_q), (dk, keep_k), (dv, keep_v)) = (cuda.to_some(dq), cuda.to_some(dk), cuda.to_some(dv));
    let tensors = [q, k, v, o, d_o, lse].map(|x| cuda.of(x));
    let launch = |first, grid: [usize; 3]| {
        let arguments =
            [&tensors[..], &[dq, dk, dv], &call.arguments(cuda, first), &[keep_q, keep_k, keep_v]];
        cuda.launch(kernel.name, kernel.threads(grid.map(blocks)), &arguments.concat());
    };
    if kernel.tiled {
        call.launches().for_each(|(first, count)| launch(first, [settings.heads, count, 1]));
    } else {
        let [queries, keys] = call.all;
        launch(0, [queries.max(keys), settings.heads, 1]);
    }
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
    let room = positions.clamp(1, STEP_POSITIONS as usize);
    let kernel = if positions > room { "attention_step_long" } else { "attention_step" };
    let threads = Threads { blocks: [queries, heads, 1].map(blocks), block: BLOCK, shared: 4 * room as u32 };
    cuda.launch(kernel, threads, &arguments);
}

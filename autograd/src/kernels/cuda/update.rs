//! The norm of all gradients, and a step of Adam, over many tensors at once.

use super::device::Cuda;
use super::driver::Argument;
use super::launch::int;
use super::source::arguments::{AdamList, TensorList};
use super::source::{ADAM_TENSORS, BLOCK, TENSORS};
use crate::kernels::list::{AdamItem, AdamNumbers, Norm};
use crate::{Float, Shape, Tensor};

/// Blocks of threads that share a tensor, at most.
const BLOCKS: usize = 128;

/// Blocks for tensors of which the longest has this many entries.
fn blocks(longest: usize) -> usize {
    longest.div_ceil(4 * BLOCK as usize).clamp(1, BLOCKS)
}

/// The Euclidean norm of all tensors together; stays on the card.
pub(super) fn norm<T: Float>(cuda: &Cuda, tensors: &[&Tensor<T>]) -> Norm<T> {
    let longest = tensors.iter().map(|x| x.len()).max().unwrap_or(0);
    let blocks = blocks(longest);
    let partial = blocks * tensors.len();
    let scratch = cuda.allocate(8 * partial.max(1));
    let room = Argument::Address(scratch.address());
    for (i, tensors) in tensors.chunks(TENSORS).enumerate() {
        let mut list = TensorList { p: [0; TENSORS], n: [0; TENSORS], count: tensors.len() as i32 };
        for (k, x) in tensors.iter().enumerate() {
            (list.p[k], list.n[k]) = (cuda.address(x), x.len() as u64);
        }
        let (list, offset) = (list.bytes(), int(i * TENSORS * blocks));
        let arguments = [Argument::Struct(&list), room, offset];
        cuda.launch_blocks("squares_partial", [blocks, tensors.len()], &arguments);
    }
    let mut norm = Tensor::from_storage(Shape::SCALAR, crate::kernels::Kernels::<T>::stale(cuda, 1));
    cuda.launch_blocks("squares_finish", [1, 1], &[room, int(partial), cuda.to(&mut norm)]);
    Norm::there(norm)
}

pub(super) fn adam<T: Float>(
    cuda: &Cuda,
    mut items: Vec<AdamItem<'_, T>>,
    numbers: &AdamNumbers<T>,
    norm: Option<&Norm<T>>,
    clip: f64,
) {
    let numbers = Argument::Address(cuda.staged(numbers.ids(), false).address());
    let norm = norm.map(|norm| match norm.tensor() {
        Some(norm) => norm.clone(),
        // It was computed here from gradients that lie there: bring it.
        None => Tensor::scalar(T::of(norm.value())).to(&crate::Device::Cuda(cuda.clone())),
    });
    let norm = norm.as_ref().map_or(Argument::Address(0), |norm| cuda.of(norm));
    for items in items.chunks_mut(ADAM_TENSORS) {
        let longest = items.iter().map(|item| item.value.len()).max().unwrap_or(0);
        let nothing = [0; ADAM_TENSORS];
        let mut list = AdamList {
            p: nothing,
            g: nothing,
            m: nothing,
            v: nothing,
            n: nothing,
            decays: [0; ADAM_TENSORS],
            count: items.len() as i32,
        };
        for (k, item) in items.iter_mut().enumerate() {
            for moved in [&mut *item.value, &mut *item.mean, &mut *item.square] {
                cuda.to(moved);
            }
            (list.p[k], list.g[k]) = (cuda.address(item.value), cuda.address(item.gradient));
            (list.m[k], list.v[k]) = (cuda.address(item.mean), cuda.address(item.square));
            (list.n[k], list.decays[k]) = (item.value.len() as u64, i32::from(item.decays));
        }
        let list = list.bytes();
        let arguments = [Argument::Struct(&list), numbers, norm, Argument::F32(clip as f32)];
        cuda.launch_blocks("adam", [blocks(longest), items.len()], &arguments);
    }
}

//! Cross-entropy on a card.

use super::array::CudaArray;
use super::device::Cuda;
use super::driver::{Argument, Factor, Product};
use super::launch::{flag, int};
use crate::kernels::list::Labels;
use crate::{Float, Tensor};

/// Logits that exist at a time: a quarter of a gibibyte.
const LOGITS: usize = 1 << 26;

/// The labels of the rows from `first` on.
fn targets(cuda: &Cuda, labels: Labels<'_>, first: usize) -> Argument<'static> {
    Argument::Address(cuda.staged(labels.targets, false).address() + 4 * first as u64)
}

pub(super) fn cross_entropy<T: Float>(
    cuda: &Cuda,
    x: &Tensor<T>,
    labels: Labels<'_>,
    loss: &mut Tensor<T>,
    lse: &mut Tensor<T>,
) {
    let (rows, n) = (x.shape().rows(), x.shape().last());
    let losses = CudaArray::stale(cuda, rows);
    let arguments = [
        cuda.of(x),
        targets(cuda, labels, 0),
        Argument::U32(labels.ignore),
        Argument::F32(labels.smoothing as f32),
        Argument::Address(losses.address()),
        cuda.to(lse),
        int(rows),
        int(n),
    ];
    cuda.launch_blocks("cross_entropy", [rows, 1], &arguments);
    cuda.add_up(losses.address(), rows, labels.weight, cuda.to(loss));
}

pub(super) fn cross_entropy_backward<T: Float>(
    cuda: &Cuda,
    (x, lse): (&Tensor<T>, &Tensor<T>),
    labels: Labels<'_>,
    dy: &Tensor<T>,
    (dx, keep): (&mut Tensor<T>, bool),
) {
    let (rows, n) = (x.shape().rows(), x.shape().last());
    let arguments = [
        cuda.of(x),
        targets(cuda, labels, 0),
        Argument::U32(labels.ignore),
        Argument::F32(labels.smoothing as f32),
        cuda.of(lse),
        cuda.of(dy),
        Argument::F32(labels.weight as f32),
        cuda.to(dx),
        int(rows),
        int(n),
        flag(keep),
    ];
    cuda.launch_blocks("cross_entropy_backward", [rows, 1], &arguments);
}

/// Rows go through in blocks, as on the processor, which are larger here.
pub(super) fn linear_cross_entropy<T: Float>(
    cuda: &Cuda,
    x: &Tensor<T>,
    weight: &Tensor<T>,
    labels: Labels<'_>,
    loss: &mut Tensor<T>,
    mut gradients: Option<[&mut Tensor<T>; 2]>,
) {
    let (rows, d, v) = (x.shape().rows(), x.shape().last(), weight.shape()[0]);
    let block = (LOGITS / v.max(1)).clamp(1, rows.max(1));
    let (logits, losses) = (CudaArray::stale(cuda, block * v), CudaArray::stale(cuda, rows));
    let lse = CudaArray::stale(cuda, block);
    for first in (0..rows).step_by(block) {
        let count = block.min(rows - first);
        let factor = |address, stride| Factor { address, stride, transposed: false, step: 0 };
        let rows_of_x = factor(cuda.address(x) + 4 * (first * d) as u64, d);
        let w = factor(cuda.address(weight), d);
        let product = Product {
            m: count,
            k: d,
            n: v,
            batch: 1,
            a: rows_of_x,
            b: Factor { transposed: true, ..w },
            c: logits.address(),
            keep: false,
            precision: cuda.precision(),
        };
        cuda.multiply(&product); // [count, V]
        let costs = Argument::Address(losses.address() + 4 * first as u64);
        let head = [
            Argument::Address(logits.address()),
            targets(cuda, labels, first),
            Argument::U32(labels.ignore),
            Argument::F32(labels.smoothing as f32),
        ];
        let Some([dx, dw]) = &mut gradients else {
            let tail = [costs, Argument::Address(lse.address()), int(count), int(v)];
            cuda.launch_blocks("cross_entropy", [count, 1], &[head, tail].concat());
            continue;
        };
        let tail = [Argument::F32(labels.weight as f32), costs, int(count), int(v)];
        cuda.launch_blocks("cross_entropy_in_place", [count, 1], &[head, tail].concat());
        let g = factor(logits.address(), v);
        cuda.to(dx);
        let c = cuda.address(dx) + 4 * (first * d) as u64;
        cuda.multiply(&Product { k: v, n: d, a: g, b: w, c, ..product }); // [count, D]
        cuda.to(dw);
        let (a, c) = (Factor { transposed: true, ..g }, cuda.address(dw));
        cuda.multiply(&Product { m: v, k: count, n: d, a, b: rows_of_x, c, keep: first > 0, ..product }); // [V, D]
    }
    if let (0, Some([_, dw])) = (rows, gradients) {
        crate::kernels::Kernels::fill(cuda, T::ZERO, dw);
    }
    cuda.add_up(losses.address(), rows, labels.weight, cuda.to(loss));
}

//! The processor as a device: kernels over tensors, as functions over their slices.

use std::sync::{Mutex, PoisonError};

use super::adam::{AdamStep, adam};
use super::attention::{Forward, attention, attention_backward};
use super::attention_step::attention_step;
use super::broadcast::{Binary, broadcast, reduce_broadcast};
use super::cross_entropy::{cross_entropy, cross_entropy_backward, cross_entropy_in_place};
use super::dropout::{dropout, dropout_add, dropout_backward};
use super::gemm::{Matrix, gemm};
use super::layer_norm::{layer_norm, layer_norm_backward, layer_norm_param_backward};
use super::panels::panel_product;
use super::softmax::{softmax, softmax_backward, softmax_masked};
use super::{activation, elementwise};
use crate::buffer::Buffer;
use crate::kernels::Storage;
use crate::kernels::list::{
    Activation, AdamItem, AdamNumbers, Attended, Factor, Gathered, Kernels, Labels, Layout, Norm, Product,
};
use crate::ops::attention::Attention;
use crate::shape::MAX_RANK;
use crate::{Float, Ids, Key, Param, Shape, Tensor, in_order};

/// This machine's processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu;

/// Rows of one block of the output layer: enough that each pass over the layer and its gradient serves many of them, few
/// enough that their logits take little memory. (256 rows take 4 % longer, all rows at once no less.)
const BLOCK: usize = 512;

/// Numbers that one thread moves at a time.
const PIECE: usize = 1 << 16;

impl<T: Float> Kernels<T> for Cpu {
    fn stale(&self, len: usize) -> Storage<T> {
        Storage::Cpu(Buffer::stale(len))
    }

    fn fill(&self, value: T, y: &mut Tensor<T>) {
        y.make_mut().fill(value);
    }

    fn add_assign(&self, x: &Tensor<T>, y: &mut Tensor<T>) {
        elementwise::add_assign(y.make_mut(), x.as_slice());
    }

    fn scale(&self, x: &Tensor<T>, factor: T, y: &mut Tensor<T>, keep: bool) {
        elementwise::scale(x.as_slice(), factor, y.make_mut(), keep);
    }

    fn scale_by(&self, x: &Tensor<T>, factor: &Tensor<T>, y: &mut Tensor<T>, keep: bool) {
        elementwise::scale(x.as_slice(), factor.item(), y.make_mut(), keep);
    }

    fn spread(&self, value: &Tensor<T>, divisor: f64, y: &mut Tensor<T>, keep: bool) {
        let value = value.item() / T::of(divisor);
        for y in y.make_mut() {
            *y = if keep { *y + value } else { value };
        }
    }

    fn sum(&self, x: &Tensor<T>, divisor: f64, y: &mut Tensor<T>) {
        y.make_mut()[0] = T::narrow(elementwise::sum(x.as_slice()) / T::Wide::of(divisor));
    }

    fn binary(&self, f: Binary, a: &Tensor<T>, b: &Tensor<T>, y: &mut Tensor<T>) {
        let shape = y.shape();
        broadcast(f, (a.as_slice(), a.shape()), (b.as_slice(), b.shape()), shape, y.make_mut());
    }

    fn reduce(&self, dy: &Tensor<T>, factor: Option<&Tensor<T>>, dx: &mut Tensor<T>, keep: bool) {
        let factor = factor.map(|factor| (factor.as_slice(), factor.shape()));
        let shape = dx.shape();
        reduce_broadcast((dy.as_slice(), dy.shape()), factor, shape, dx.make_mut(), keep);
    }

    fn copy(
        &self,
        sizes: Shape,
        (x, from): (&Tensor<T>, Layout),
        (y, to): (&mut Tensor<T>, Layout),
        keep: bool,
    ) {
        let (x, y) = (x.as_slice(), y.make_mut());
        // The last axis in one go where both walk it entry by entry.
        let rank = sizes.rank();
        let even = rank > 0 && from.strides[rank - 1] == 1 && to.strides[rank - 1] == 1;
        let (outer, run) = if even { (rank - 1, sizes.last()) } else { (rank, 1) };
        let count: usize = sizes[..outer].iter().product();
        let (mut index, mut i, mut j) = ([0; MAX_RANK], from.start, to.start);
        for _ in 0..if run == 0 { 0 } else { count } {
            elementwise::copy_or_add(&x[i..i + run], &mut y[j..j + run], keep);
            // Counts up like an odometer, the last axis fastest.
            for axis in (0..outer).rev() {
                index[axis] += 1;
                (i, j) = (i + from.strides[axis], j + to.strides[axis]);
                if index[axis] < sizes[axis] {
                    break;
                }
                (i, j) = (i - from.strides[axis] * sizes[axis], j - to.strides[axis] * sizes[axis]);
                index[axis] = 0;
            }
        }
    }

    fn activation(&self, f: Activation, x: &Tensor<T>, y: &mut Tensor<T>) {
        let (x, y) = (x.as_slice(), y.make_mut());
        match f {
            Activation::Relu => activation::relu(x, y),
            Activation::Gelu => activation::gelu(x, y),
            Activation::Silu => activation::silu(x, y),
        }
    }

    fn activation_backward(
        &self,
        f: Activation,
        x: &Tensor<T>,
        dy: &Tensor<T>,
        dx: &mut Tensor<T>,
        keep: bool,
    ) {
        let (x, dy, dx) = (x.as_slice(), dy.as_slice(), dx.make_mut());
        match f {
            Activation::Relu => activation::relu_backward(x, dy, dx, keep),
            Activation::Gelu => activation::gelu_backward(x, dy, dx, keep),
            Activation::Silu => activation::silu_backward(x, dy, dx, keep),
        }
    }

    fn mask_fill(&self, x: &Tensor<T>, flags: &[bool], value: T, y: &mut Tensor<T>) {
        for ((y, &x), &kept) in y.make_mut().iter_mut().zip(x.as_slice()).zip(flags) {
            *y = if kept { x } else { value };
        }
    }

    fn dropout(&self, x: &Tensor<T>, (p, key): (f64, &Key), y: &mut Tensor<T>) {
        dropout(x.as_slice(), y.make_mut(), key.value(), p);
    }

    fn dropout_backward(&self, dy: &Tensor<T>, (p, key): (f64, &Key), dx: &mut Tensor<T>, keep: bool) {
        dropout_backward(dy.as_slice(), dx.make_mut(), key.value(), p, keep);
    }

    fn residual(&self, x: &Tensor<T>, a: &Tensor<T>, (p, key): (f64, &Key), y: &mut Tensor<T>) {
        dropout_add(a.as_slice(), x.as_slice(), y.make_mut(), key.value(), p);
    }

    fn product_relu(&self, product: Product<'_, T>, bias: &Tensor<T>, y: &mut Tensor<T>) {
        self.fill_rows(bias, y);
        self.product(product, y, true);
        activation::relu_in_place(y.make_mut());
    }

    fn residual_layer_norm(
        &self,
        [x, a]: [&Tensor<T>; 2],
        drop: (f64, &Key),
        parameters: [&Tensor<T>; 2],
        epsilon: f64,
        [h, y]: [&mut Tensor<T>; 2],
        moments: [&mut Tensor<T>; 2],
    ) {
        self.residual(x, a, drop, h);
        self.layer_norm(h, parameters, epsilon, y, moments);
    }

    fn residual_layer_norm_backward(
        &self,
        of: (&Tensor<T>, &Tensor<T>),
        moments: [&Tensor<T>; 2],
        dy: &Tensor<T>,
        drop: (f64, &Key),
        [dx, da]: [Option<(&mut Tensor<T>, bool)>; 2],
    ) {
        // Where nothing else has reached x yet, its gradient is dh itself.
        let fresh;
        let dh = match dx {
            Some((dx, false)) => {
                self.layer_norm_backward(of, moments, dy, dx, false);
                &*dx
            }
            dx => {
                fresh = dy.alike(dy.shape(), |_, dh| self.layer_norm_backward(of, moments, dy, dh, false));
                if let Some((dx, _)) = dx {
                    self.add_assign(&fresh, dx);
                }
                &fresh
            }
        };
        if let Some((da, keep)) = da {
            self.dropout_backward(dh, drop, da, keep);
        }
    }

    fn layer_norm(
        &self,
        x: &Tensor<T>,
        [gamma, beta]: [&Tensor<T>; 2],
        epsilon: f64,
        y: &mut Tensor<T>,
        [mean, rstd]: [&mut Tensor<T>; 2],
    ) {
        let (gamma, beta, n) = (gamma.as_slice(), beta.as_slice(), gamma.len());
        let (mean, rstd) = (mean.make_mut(), rstd.make_mut());
        layer_norm(x.as_slice(), gamma, beta, y.make_mut(), mean, rstd, n, T::of(epsilon));
    }

    fn layer_norm_backward(
        &self,
        (x, gamma): (&Tensor<T>, &Tensor<T>),
        [mean, rstd]: [&Tensor<T>; 2],
        dy: &Tensor<T>,
        dx: &mut Tensor<T>,
        keep: bool,
    ) {
        let (mean, rstd, n) = (mean.as_slice(), rstd.as_slice(), gamma.len());
        layer_norm_backward(
            x.as_slice(),
            gamma.as_slice(),
            mean,
            rstd,
            dy.as_slice(),
            dx.make_mut(),
            n,
            keep,
        );
    }

    fn layer_norm_parameters(
        &self,
        x: &Tensor<T>,
        [mean, rstd]: [&Tensor<T>; 2],
        dy: &Tensor<T>,
        gradients: [Option<(&mut Tensor<T>, bool)>; 2],
    ) {
        let n = x.shape().last();
        let [(dgamma, keep_gamma), (dbeta, keep_beta)] =
            gradients.map(|gradient| gradient.map(|(tensor, keep)| (tensor.make_mut(), keep)).unzip());
        let (keep_gamma, keep_beta) = (keep_gamma == Some(true), keep_beta == Some(true));
        let (x, mean, rstd, dy) = (x.as_slice(), mean.as_slice(), rstd.as_slice(), dy.as_slice());
        layer_norm_param_backward(x, mean, rstd, dy, dgamma, dbeta, n, keep_gamma, keep_beta);
    }

    fn softmax(&self, x: &Tensor<T>, flags: Option<&[bool]>, y: &mut Tensor<T>) {
        let n = x.shape().last();
        match flags {
            None => softmax(x.as_slice(), y.make_mut(), n),
            Some(flags) => softmax_masked(x.as_slice(), y.make_mut(), n, flags),
        }
    }

    fn softmax_backward(&self, y: &Tensor<T>, dy: &Tensor<T>, dx: &mut Tensor<T>, keep: bool) {
        softmax_backward(y.as_slice(), dy.as_slice(), dx.make_mut(), y.shape().last(), keep);
    }

    fn cross_entropy(&self, x: &Tensor<T>, labels: Labels<'_>, loss: &mut Tensor<T>, lse: &mut Tensor<T>) {
        let Labels { targets, ignore, smoothing, weight } = labels;
        let (targets, n) = (targets.as_slice(), x.shape().last());
        let total = cross_entropy(x.as_slice(), targets, ignore, T::of(smoothing), lse.make_mut(), n);
        loss.make_mut()[0] = T::narrow(T::Wide::of(weight) * total);
    }

    fn cross_entropy_backward(
        &self,
        (x, lse): (&Tensor<T>, &Tensor<T>),
        labels: Labels<'_>,
        dy: &Tensor<T>,
        dx: &mut Tensor<T>,
        keep: bool,
    ) {
        let Labels { targets, ignore, smoothing, weight } = labels;
        let (targets, scale, n) = (targets.as_slice(), T::of(weight) * dy.item(), x.shape().last());
        let (x, lse, dx) = (x.as_slice(), lse.as_slice(), dx.make_mut());
        cross_entropy_backward(x, targets, ignore, T::of(smoothing), lse, scale, dx, n, keep);
    }

    /// Rows go through in blocks: logits, loss, gradient of the logits in place, and from it the block's part of `dx` and
    /// `dW`.
    fn linear_cross_entropy(
        &self,
        x: &Tensor<T>,
        weight: &Tensor<T>,
        labels: Labels<'_>,
        loss: &mut Tensor<T>,
        gradients: Option<[&mut Tensor<T>; 2]>,
    ) {
        let (d, v, rows) = (x.shape().last(), weight.shape()[0], x.shape().rows());
        let (smoothing, factor) = (T::of(labels.smoothing), T::of(labels.weight));
        let mut gradients = gradients.map(|tensors| tensors.map(Tensor::make_mut));
        let mut logits = Buffer::<T>::stale(BLOCK.min(rows) * v);
        let mut lse = [T::ZERO; BLOCK];
        let mut total = T::Wide::ZERO;
        for (i, targets) in labels.targets.as_slice().chunks(BLOCK).enumerate() {
            let (rows, start) = (targets.len(), i * BLOCK * d);
            let x = Matrix::rows(&x.as_slice()[start..start + rows * d], d);
            let w = Matrix::rows(weight.as_slice(), d);
            let logits = &mut logits[..rows * v];
            gemm((rows, d, v), x, w.t(), logits, false); // [rows, V]
            if let Some([dx, dw]) = &mut gradients {
                total += cross_entropy_in_place(logits, targets, labels.ignore, smoothing, factor, v);
                let g = Matrix::rows(logits, v);
                gemm((rows, v, d), g, w, &mut dx[start..start + rows * d], false); // [rows, D]
                gemm((v, rows, d), g.t(), x, dw, i > 0); // [V, D]
            } else {
                total += cross_entropy(logits, targets, labels.ignore, smoothing, &mut lse[..rows], v);
            }
        }
        if let (0, Some([_, dw])) = (rows, gradients) {
            dw.fill(T::ZERO);
        }
        loss.make_mut()[0] = T::narrow(T::Wide::of(labels.weight) * total);
    }

    fn embedding(&self, table: &Tensor<T>, ids: &Ids, y: &mut Tensor<T>) {
        let n = table.shape().last();
        // Rows without entries are no rows to walk.
        for (y, &id) in y.make_mut().chunks_exact_mut(n.max(1)).zip(ids.as_slice()) {
            y.copy_from_slice(&table.as_slice()[id as usize * n..][..n]);
        }
    }

    fn embedding_backward(&self, dy: &Tensor<T>, ids: &Ids, dtable: &mut Tensor<T>, keep: bool) {
        let n = dtable.shape().last();
        let dtable = dtable.make_mut();
        if !keep {
            dtable.fill(T::ZERO);
        }
        for (dy, &id) in dy.as_slice().chunks_exact(n.max(1)).zip(ids.as_slice()) {
            elementwise::add_assign(&mut dtable[id as usize * n..][..n], dy);
        }
    }

    fn product(&self, product: Product<'_, T>, c: &mut Tensor<T>, keep: bool) {
        let Product { size: (m, k, n), batch, a, b, step } = product;
        // Axes of size 0 let a batch have any number of products with nothing to write, or nothing to add.
        let batch = match (m == 0 || n == 0, k == 0 && step == 0) {
            (true, _) => 0,
            (_, true) => batch.min(1),
            _ => batch,
        };
        let c = c.make_mut();
        for i in 0..batch {
            let (a, b) = (matrix(a, i, (m, k)), matrix(b, i, (k, n)));
            gemm((m, k, n), a, b, &mut c[i * step..][..m * n], keep || (step == 0 && i > 0));
        }
    }

    fn fill_rows(&self, row: &Tensor<T>, y: &mut Tensor<T>) {
        elementwise::fill_rows(row.as_slice(), y.make_mut());
    }

    fn sum_rows(&self, x: &Tensor<T>, y: &mut Tensor<T>, keep: bool) {
        let n = y.len();
        elementwise::sum_rows(x.as_slice(), y.make_mut(), n, keep);
    }

    /// The weight is read in an order that suits few rows ([`Panels`](super::panels::Panels)).
    fn linear_by(&self, x: &Tensor<T>, weight: &Param<T>, bias: Option<&Param<T>>, y: &mut Tensor<T>) {
        let bias = bias.map(|bias| bias.value().as_slice());
        panel_product(x.as_slice(), weight.panels(), bias, y.make_mut());
    }

    fn attention(&self, settings: &Attention, qkv: [&Tensor<T>; 3], o: &mut Tensor<T>, lse: &mut Tensor<T>) {
        let geometry = settings.geometry(qkv.map(Tensor::shape));
        attention(&geometry, qkv.map(Tensor::as_slice), o.make_mut(), lse.make_mut());
    }

    fn attention_backward(
        &self,
        settings: &Attention,
        forward: Attended<'_, T>,
        d_o: &Tensor<T>,
        gradients: [Option<(&mut Tensor<T>, bool)>; 3],
    ) {
        let Attended { qkv, o, lse } = forward;
        let geometry = settings.geometry(qkv.map(Tensor::shape));
        let forward = Forward { qkv: qkv.map(Tensor::as_slice), o: o.as_slice(), lse: lse.as_slice() };
        let gradients = gradients.map(|gradient| gradient.map(|(tensor, keep)| (tensor.make_mut(), keep)));
        attention_backward(&geometry, forward, d_o.as_slice(), gradients);
    }

    fn attention_step(&self, gathered: &Gathered<'_, T>, q: &Tensor<T>, o: &mut Tensor<T>) {
        attention_step(gathered, q.as_slice(), o.make_mut());
    }

    fn norm(&self, tensors: &[&Tensor<T>], threads: usize) -> Norm<T> {
        let square = |k: usize| elementwise::sum_of_squares(tensors[k].as_slice()).to_f64();
        Norm::of(in_order(tensors.len(), threads, square).into_iter().sum::<f64>().sqrt())
    }

    fn adam(
        &self,
        items: Vec<AdamItem<'_, T>>,
        numbers: &AdamNumbers<T>,
        norm: Option<&Norm<T>>,
        clip: f64,
        threads: usize,
    ) {
        let step = numbers.step();
        let scale = norm.map_or(1.0, |norm| norm.scale_to(clip / step.grad_scale.to_f64()));
        if norm.is_some_and(|norm| !norm.value().is_finite()) {
            return;
        }
        let matrix = AdamStep { grad_scale: step.grad_scale * T::of(scale), ..*step };
        let vector = AdamStep { decoupled_decay: T::ZERO, l2: T::ZERO, ..matrix };
        let mut waiting = Vec::new();
        for AdamItem { value, mean, square, gradient, decays } in items {
            let step = if decays { &matrix } else { &vector };
            let moments = mean.make_mut().chunks_mut(PIECE).zip(square.make_mut().chunks_mut(PIECE));
            let values = value.make_mut().chunks_mut(PIECE).zip(gradient.as_slice().chunks(PIECE));
            waiting.extend(values.zip(moments).map(|piece| Mutex::new((piece, step))));
        }
        in_order(waiting.len(), threads, |k| {
            let (((value, gradient), (mean, square)), step) =
                &mut *waiting[k].lock().unwrap_or_else(PoisonError::into_inner);
            adam(value, mean, square, gradient, step);
        });
    }
}

/// Matrix `i` of a batch of `[rows, columns]`.
fn matrix<T: Float>(factor: Factor<'_, T>, i: usize, (rows, columns): (usize, usize)) -> Matrix<'_, T> {
    let data = &factor.tensor.as_slice()[i * factor.step..];
    if factor.transposed { Matrix::rows(data, rows).t() } else { Matrix::rows(data, columns) }
}

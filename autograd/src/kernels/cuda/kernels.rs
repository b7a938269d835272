//! What a card can do: launches of the kernels in `source/`.

use super::array::CudaArray;
use super::device::Cuda;
use super::driver::{self, Argument};
use super::launch::{flag, float, int, whole};
use super::source::arguments::{Broadcast, Reduce, Strided};
use super::source::{COLUMNS, RANK};
use super::{attention, loss, update};
use crate::kernels::Storage;
use crate::kernels::cpu::broadcast::Binary;
use crate::kernels::list::{
    Activation, AdamItem, AdamNumbers, Attended, Factor, Gathered, Kernels, Labels, Layout, Norm, Product,
};
use crate::ops::attention::Attention;
use crate::{Float, Ids, Key, MAX_RANK, Param, Shape, Tensor};

/// Rows of which one block leaves a partial sum, at least.
const CHUNK: usize = 128;

/// Partial sums of a column, at most.
const CHUNKS: usize = 256;

/// The number by which `activation.cu` knows a function.
fn kind(f: Activation) -> Argument<'static> {
    Argument::I32(match f {
        Activation::Relu => 0,
        Activation::Gelu => 1,
        Activation::Silu => 2,
    })
}

/// A size, or a stride, as kernels take it.
#[track_caller]
fn narrow(count: usize) -> i32 {
    i32::try_from(count)
        .unwrap_or_else(|_| panic!("an axis or a stride of {count} is more than a card counts"))
}

/// The sizes of all axes, of which there is at least one.
fn axes(shape: Shape) -> (i32, [i32; RANK]) {
    let mut sizes = [1; RANK];
    for (size, &of) in sizes.iter_mut().zip(shape.iter()) {
        *size = narrow(of);
    }
    (shape.rank().max(1) as i32, sizes)
}

/// Strides that read a shape as if it were `target`, which it broadcasts to.
fn stretched(shape: Shape, target: Shape) -> [usize; MAX_RANK] {
    shape.broadcast_strides(&target).unwrap_or_else(|| panic!("{shape} does not broadcast to {target}"))
}

fn ints(strides: [usize; MAX_RANK]) -> [i32; RANK] {
    strides.map(narrow)
}

/// Chunks of rows whose sums are added up at the end, and the rows of each.
fn chunks(rows: usize) -> [usize; 2] {
    let chunks = rows.div_ceil(CHUNK).clamp(1, CHUNKS);
    [chunks, rows.div_ceil(chunks)]
}

/// How a factor lies in memory.
fn factor<T: Float>(cuda: &Cuda, factor: Factor<'_, T>, (rows, columns): (usize, usize)) -> driver::Factor {
    driver::Factor {
        address: cuda.address(factor.tensor),
        stride: if factor.transposed { rows } else { columns },
        transposed: factor.transposed,
        step: factor.step,
    }
}

impl<T: Float> Kernels<T> for Cuda {
    fn stale(&self, len: usize) -> Storage<T> {
        Storage::Cuda(CudaArray::stale(self, len))
    }

    fn fill(&self, value: T, y: &mut Tensor<T>) {
        let count = y.len();
        self.launch_entries("fill", count, &[self.to(y), whole(count), float(value)]);
    }

    fn add_assign(&self, x: &Tensor<T>, y: &mut Tensor<T>) {
        let count = y.len();
        self.launch_entries("add_assign", count, &[self.to(y), self.of(x), whole(count)]);
    }

    fn scale(&self, x: &Tensor<T>, factor: T, y: &mut Tensor<T>, keep: bool) {
        let arguments = [self.of(x), float(factor), self.to(y), whole(x.len()), flag(keep)];
        self.launch_entries("scale", x.len(), &arguments);
    }

    fn scale_by(&self, x: &Tensor<T>, factor: &Tensor<T>, y: &mut Tensor<T>, keep: bool) {
        let arguments =
            [self.of(x), self.of(factor), Argument::F32(1.0), self.to(y), whole(x.len()), flag(keep)];
        self.launch_entries("scale_by", x.len(), &arguments);
    }

    fn spread(&self, value: &Tensor<T>, divisor: f64, y: &mut Tensor<T>, keep: bool) {
        let count = y.len();
        let arguments =
            [self.of(value), Argument::F32((1.0 / divisor) as f32), self.to(y), whole(count), flag(keep)];
        self.launch_entries("spread", count, &arguments);
    }

    fn sum(&self, x: &Tensor<T>, divisor: f64, y: &mut Tensor<T>) {
        self.add_up(self.address(x), x.len(), 1.0 / divisor, self.to(y));
    }

    fn binary(&self, f: Binary, a: &Tensor<T>, b: &Tensor<T>, y: &mut Tensor<T>) {
        let shape = y.shape();
        let op = match f {
            Binary::Add => 0,
            Binary::Sub => 1,
            Binary::Mul => 2,
        };
        let [a_strides, b_strides] = [a, b].map(|x| ints(stretched(x.shape(), shape)));
        let (rank, sizes) = axes(shape);
        let broadcast = Broadcast { count: shape.len() as u64, rank, sizes, a_strides, b_strides }.bytes();
        let arguments = [Argument::I32(op), self.of(a), self.of(b), self.to(y), Argument::Struct(&broadcast)];
        self.launch_entries("binary", shape.len(), &arguments);
    }

    fn reduce(&self, dy: &Tensor<T>, factor: Option<&Tensor<T>>, dx: &mut Tensor<T>, keep: bool) {
        if factor.is_none() && dy.shape() == dx.shape() {
            return self.scale(dy, T::ONE, dx, keep);
        }
        let (count, terms) = (dx.len(), dy.len() / dx.len().max(1));
        let (rank, sizes) = axes(dy.shape());
        let factor_strides =
            ints(factor.map_or([0; MAX_RANK], |factor| stretched(factor.shape(), dy.shape())));
        let dx_strides = ints(stretched(dx.shape(), dy.shape()));
        let (whole_count, reduced) = (count as u64, terms as u64);
        let reduce = Reduce { count: whole_count, reduced, rank, sizes, factor_strides, dx_strides }.bytes();
        let arguments = [
            self.of(dy),
            factor.map_or(Argument::Address(0), |factor| self.of(factor)),
            Argument::F32(1.0),
            self.to(dx),
            Argument::Struct(&reduce),
            flag(keep),
        ];
        // A warp for each entry where much is summed, a thread where little is.
        if terms >= 32 {
            self.launch_warps("reduce_broadcast", count, &arguments);
        } else {
            self.launch_entries("reduce_broadcast", 4 * count, &arguments);
        }
    }

    fn copy(
        &self,
        sizes: Shape,
        (x, from): (&Tensor<T>, Layout),
        (y, to): (&mut Tensor<T>, Layout),
        keep: bool,
    ) {
        y.storage_mut();
        let (rank, extents) = axes(sizes);
        let [x_strides, y_strides] = [from, to].map(|layout| layout.strides.map(|stride| stride as i64));
        let strided =
            Strided { count: sizes.len() as u64, x_strides, y_strides, rank, sizes: extents }.bytes();
        let arguments = [
            Argument::Address(self.address(x) + 4 * from.start as u64),
            Argument::Address(self.address(y) + 4 * to.start as u64),
            Argument::Struct(&strided),
            flag(keep),
        ];
        self.launch_entries("strided_copy", 4 * sizes.len(), &arguments);
    }

    fn activation(&self, f: Activation, x: &Tensor<T>, y: &mut Tensor<T>) {
        self.launch_entries("activation", x.len(), &[kind(f), self.of(x), self.to(y), whole(x.len())]);
    }

    fn activation_backward(
        &self,
        f: Activation,
        x: &Tensor<T>,
        dy: &Tensor<T>,
        dx: &mut Tensor<T>,
        keep: bool,
    ) {
        let arguments = [kind(f), self.of(x), self.of(dy), self.to(dx), whole(x.len()), flag(keep)];
        self.launch_entries("activation_backward", x.len(), &arguments);
    }

    fn mask_fill(&self, x: &Tensor<T>, flags: &[bool], value: T, y: &mut Tensor<T>) {
        let flags = self.flags(flags);
        let arguments =
            [self.of(x), Argument::Address(flags.address()), float(value), self.to(y), whole(x.len())];
        self.launch_entries("mask_fill", x.len(), &arguments);
    }

    fn dropout(&self, x: &Tensor<T>, drop: (f64, &Key), y: &mut Tensor<T>) {
        let mask = self.mask(drop).bytes();
        let arguments = [self.of(x), self.to(y), whole(x.len()), Argument::Struct(&mask)];
        self.launch_entries("dropout", x.len(), &arguments);
    }

    fn dropout_backward(&self, dy: &Tensor<T>, drop: (f64, &Key), dx: &mut Tensor<T>, keep: bool) {
        let mask = self.mask(drop).bytes();
        let mask = Argument::Struct(&mask);
        let arguments = [self.of(dy), self.to(dx), whole(dy.len()), mask, flag(keep)];
        self.launch_entries("dropout_backward", dy.len(), &arguments);
    }

    fn residual(&self, x: &Tensor<T>, a: &Tensor<T>, drop: (f64, &Key), y: &mut Tensor<T>) {
        let mask = self.mask(drop).bytes();
        let mask = Argument::Struct(&mask);
        self.launch_entries("residual", x.len(), &[self.of(x), self.of(a), self.to(y), whole(x.len()), mask]);
    }

    fn product_relu(&self, product: Product<'_, T>, bias: &Tensor<T>, y: &mut Tensor<T>) {
        self.product(product, y, false);
        let (rows, count) = (y.shape().rows(), y.len());
        let arguments = [self.of(bias), kind(Activation::Relu), self.to(y), int(rows), int(bias.len())];
        self.launch_entries("bias_activation", count, &arguments);
    }

    fn residual_layer_norm(
        &self,
        [x, a]: [&Tensor<T>; 2],
        drop: (f64, &Key),
        [gamma, beta]: [&Tensor<T>; 2],
        epsilon: f64,
        [h, y]: [&mut Tensor<T>; 2],
        [mean, rstd]: [&mut Tensor<T>; 2],
    ) {
        let (rows, mask) = (x.shape().rows(), self.mask(drop).bytes());
        let arguments = [
            self.of(x),
            self.of(a),
            self.of(gamma),
            self.of(beta),
            self.to(h),
            self.to(y),
            self.to(mean),
            self.to(rstd),
            int(rows),
            int(gamma.len()),
            Argument::F32(epsilon as f32),
            Argument::Struct(&mask),
        ];
        self.launch_warps("residual_layer_norm", rows, &arguments);
    }

    fn residual_layer_norm_backward(
        &self,
        (h, gamma): (&Tensor<T>, &Tensor<T>),
        [mean, rstd]: [&Tensor<T>; 2],
        dy: &Tensor<T>,
        drop: (f64, &Key),
        [dx, da]: [Option<(&mut Tensor<T>, bool)>; 2],
    ) {
        let (rows, mask) = (h.shape().rows(), self.mask(drop).bytes());
        let ((dx, keep_x), (da, keep_a)) = (self.to_some(dx), self.to_some(da));
        let arguments = [
            self.of(h),
            self.of(gamma),
            self.of(mean),
            self.of(rstd),
            self.of(dy),
            Argument::Address(0),
            dx,
            da,
            int(rows),
            int(gamma.len()),
            keep_x,
            keep_a,
            Argument::Struct(&mask),
        ];
        self.launch_warps("residual_layer_norm_backward", rows, &arguments);
    }

    fn layer_norm(
        &self,
        x: &Tensor<T>,
        [gamma, beta]: [&Tensor<T>; 2],
        epsilon: f64,
        y: &mut Tensor<T>,
        [mean, rstd]: [&mut Tensor<T>; 2],
    ) {
        let rows = x.shape().rows();
        let arguments = [
            self.of(x),
            self.of(gamma),
            self.of(beta),
            self.to(y),
            self.to(mean),
            self.to(rstd),
            int(rows),
            int(gamma.len()),
            Argument::F32(epsilon as f32),
        ];
        self.launch_warps("layer_norm", rows, &arguments);
    }

    fn layer_norm_backward(
        &self,
        (x, gamma): (&Tensor<T>, &Tensor<T>),
        [mean, rstd]: [&Tensor<T>; 2],
        dy: &Tensor<T>,
        dx: &mut Tensor<T>,
        keep: bool,
    ) {
        let rows = x.shape().rows();
        let arguments = [
            self.of(x),
            self.of(gamma),
            self.of(mean),
            self.of(rstd),
            self.of(dy),
            self.to(dx),
            int(rows),
            int(gamma.len()),
            flag(keep),
        ];
        self.launch_warps("layer_norm_backward", rows, &arguments);
    }

    fn layer_norm_parameters(
        &self,
        x: &Tensor<T>,
        [mean, rstd]: [&Tensor<T>; 2],
        dy: &Tensor<T>,
        [dgamma, dbeta]: [Option<(&mut Tensor<T>, bool)>; 2],
    ) {
        let (rows, n) = (x.shape().rows(), x.shape().last());
        let [chunks, chunk] = chunks(rows);
        let scratch = self.allocate(4 * chunks * 2 * n);
        let room = Argument::Address(scratch.address());
        let columns = n.div_ceil(COLUMNS as usize);
        let arguments =
            [self.of(x), self.of(mean), self.of(rstd), self.of(dy), room, int(rows), int(n), int(chunk)];
        self.launch_blocks("layer_norm_parameters_partial", [columns, chunks], &arguments);
        let ((dgamma, keep_gamma), (dbeta, keep_beta)) = (self.to_some(dgamma), self.to_some(dbeta));
        let arguments = [room, dgamma, dbeta, int(chunks), int(n), keep_gamma, keep_beta];
        self.launch_blocks("layer_norm_parameters_finish", [columns, 1], &arguments);
    }

    fn softmax(&self, x: &Tensor<T>, flags: Option<&[bool]>, y: &mut Tensor<T>) {
        let (rows, n) = (x.shape().rows(), x.shape().last());
        let flags = flags.map(|flags| self.flags(flags));
        let flags = Argument::Address(flags.as_ref().map_or(0, |flags| flags.address()));
        self.launch_warps("softmax", rows, &[self.of(x), self.to(y), int(rows), int(n), flags]);
    }

    fn softmax_backward(&self, y: &Tensor<T>, dy: &Tensor<T>, dx: &mut Tensor<T>, keep: bool) {
        let (rows, n) = (y.shape().rows(), y.shape().last());
        let arguments = [self.of(y), self.of(dy), self.to(dx), int(rows), int(n), flag(keep)];
        self.launch_warps("softmax_backward", rows, &arguments);
    }

    fn cross_entropy(&self, x: &Tensor<T>, labels: Labels<'_>, loss: &mut Tensor<T>, lse: &mut Tensor<T>) {
        loss::cross_entropy(self, x, labels, loss, lse);
    }

    fn cross_entropy_backward(
        &self,
        (x, lse): (&Tensor<T>, &Tensor<T>),
        labels: Labels<'_>,
        dy: &Tensor<T>,
        dx: &mut Tensor<T>,
        keep: bool,
    ) {
        loss::cross_entropy_backward(self, (x, lse), labels, dy, (dx, keep));
    }

    fn linear_cross_entropy(
        &self,
        x: &Tensor<T>,
        weight: &Tensor<T>,
        labels: Labels<'_>,
        loss: &mut Tensor<T>,
        gradients: Option<[&mut Tensor<T>; 2]>,
    ) {
        loss::linear_cross_entropy(self, x, weight, labels, loss, gradients);
    }

    fn embedding(&self, table: &Tensor<T>, ids: &Ids, y: &mut Tensor<T>) {
        let count = ids.shape().len();
        let numbers = Argument::Address(self.staged(ids, true).address());
        let arguments = [self.of(table), numbers, self.to(y), int(count), int(table.shape().last())];
        self.launch_warps("embedding", count, &arguments);
    }

    fn embedding_backward(&self, dy: &Tensor<T>, ids: &Ids, dtable: &mut Tensor<T>, keep: bool) {
        if !keep {
            self.fill(T::ZERO, dtable);
        }
        let Some(segments) = self.staged(ids, true).segments() else {
            panic!("embedding: these ids were brought to {self} as numbers, not to pick rows")
        };
        let arguments = [
            self.of(dy),
            Argument::Address(segments.rows),
            Argument::Address(segments.starts),
            Argument::Address(segments.order),
            self.to(dtable),
            int(segments.count),
            int(dtable.shape().last()),
        ];
        self.launch_warps("embedding_backward", segments.count, &arguments);
    }

    fn product(&self, product: Product<'_, T>, c: &mut Tensor<T>, keep: bool) {
        let Product { size: (m, k, n), batch, a, b, step } = product;
        c.storage_mut();
        let (a, b) = (factor(self, a, (m, k)), factor(self, b, (k, n)));
        let (c, precision) = (self.address(c), self.precision());
        let one = driver::Product { m, k, n, batch: 1, a, b, c, keep, precision };
        if step > 0 || batch == 1 {
            return self.multiply(&driver::Product { batch, ..one });
        }
        // All are added to one: one after the other.
        for i in 0..batch {
            let moved = |factor: driver::Factor| driver::Factor {
                address: factor.address + 4 * (i * factor.step) as u64,
                ..factor
            };
            self.multiply(&driver::Product { a: moved(a), b: moved(b), keep: keep || i > 0, ..one });
        }
    }

    fn fill_rows(&self, row: &Tensor<T>, y: &mut Tensor<T>) {
        let (count, rows) = (y.len(), y.shape().rows());
        let arguments = [self.of(row), self.to(y), int(rows), int(row.len())];
        self.launch_entries("fill_rows", count, &arguments);
    }

    fn sum_rows(&self, x: &Tensor<T>, y: &mut Tensor<T>, keep: bool) {
        let n = y.len();
        let rows = x.len() / n.max(1);
        let [chunks, chunk] = chunks(rows);
        let scratch = self.allocate(4 * chunks * n);
        let room = Argument::Address(scratch.address());
        let columns = n.div_ceil(COLUMNS as usize);
        let arguments = [self.of(x), room, int(rows), int(n), int(chunk)];
        self.launch_blocks("sum_rows_partial", [columns, chunks], &arguments);
        let arguments = [room, self.to(y), int(chunks), int(n), flag(keep)];
        self.launch_blocks("sum_rows_finish", [columns, 1], &arguments);
    }

    fn linear_by(&self, x: &Tensor<T>, weight: &Param<T>, bias: Option<&Param<T>>, y: &mut Tensor<T>) {
        let weight = weight.value();
        let size = (x.shape().rows(), weight.shape()[1], weight.shape()[0]);
        if let Some(bias) = bias {
            self.fill_rows(bias.value(), y);
        }
        let product = Product { size, batch: 1, a: Factor::of(x), b: Factor::of(weight).t(), step: 0 };
        self.product(product, y, bias.is_some());
    }

    fn attention(&self, settings: &Attention, qkv: [&Tensor<T>; 3], o: &mut Tensor<T>, lse: &mut Tensor<T>) {
        attention::attention(self, settings, qkv, o, lse);
    }

    fn attention_backward(
        &self,
        settings: &Attention,
        forward: Attended<'_, T>,
        d_o: &Tensor<T>,
        gradients: [Option<(&mut Tensor<T>, bool)>; 3],
    ) {
        attention::attention_backward(self, settings, forward, d_o, gradients);
    }

    fn attention_step(&self, gathered: &Gathered<'_, T>, q: &Tensor<T>, o: &mut Tensor<T>) {
        attention::attention_step(self, gathered, q, o);
    }

    fn norm(&self, tensors: &[&Tensor<T>], _threads: usize) -> Norm<T> {
        update::norm(self, tensors)
    }

    fn adam(
        &self,
        items: Vec<AdamItem<'_, T>>,
        numbers: &AdamNumbers<T>,
        norm: Option<&Norm<T>>,
        clip: f64,
        _threads: usize,
    ) {
        update::adam(self, items, numbers, norm, clip);
    }
}

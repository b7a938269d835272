//! Weights in the order in which a decoding step multiplies few rows by them.

use std::ops::Range;

use super::super::gemm::Matrix;
use super::super::panels::WIDTH;
use super::pairs::{Left, Pairs, right, round_rows};
use super::tile::{load, rows_by_panel, store};

/// A weight `[O, I]`, rounded, in panels of 64 outputs, each of them `[⌈I/2⌉, 64]`.
#[derive(Debug)]
pub(in crate::kernels::cpu) struct PairPanels {
    pairs: Pairs,
    inputs: usize,
}

/// Rows `[R, I]`, rounded.
pub(in crate::kernels::cpu) struct PairRows {
    pairs: Pairs,
    count: usize,
}

impl PairPanels {
    /// The panels of a weight of whole rows.
    pub(in crate::kernels::cpu) fn new(weight: &[f32], inputs: usize) -> Self {
        assert!(super::available(), "bf16: this processor cannot multiply so");
        let outputs = weight.len() / inputs;
        let mut pairs = Pairs::stale(inputs.div_ceil(2) * outputs.next_multiple_of(WIDTH));
        // SAFETY: the processor has the instructions.
        unsafe { right(Matrix::rows(weight, inputs).t(), (inputs, outputs), &mut pairs) };
        Self { pairs, inputs }
    }

    /// What [`product`](Self::product) multiplies the panels by.
    pub(in crate::kernels::cpu) fn round(&self, x: &[f32]) -> PairRows {
        let count = x.len() / self.inputs;
        let mut pairs = Pairs::stale(count * self.inputs.div_ceil(2));
        // SAFETY: panels are made only where the processor has the instructions.
        unsafe { round_rows(Matrix::rows(x, self.inputs), (count, self.inputs), &mut pairs) };
        PairRows { pairs, count }
    }

    /// Writes the product of all rows with some panels, on top of the outputs' bias where there is one: `row(i, p)` is where
    /// row `i` of panel `p` goes.
    pub(in crate::kernels::cpu) fn product<'y>(
        &self,
        x: &PairRows,
        bias: Option<&[f32]>,
        panels: Range<usize>,
        row: impl Fn(usize, usize) -> &'y mut [f32],
    ) {
        // SAFETY: panels are made only where the processor has the instructions.
        unsafe { self.some_panels(x, bias, panels, row) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    fn some_panels<'y>(
        &self,
        x: &PairRows,
        bias: Option<&[f32]>,
        panels: Range<usize>,
        row: impl Fn(usize, usize) -> &'y mut [f32],
    ) {
        let half = self.inputs.div_ceil(2);
        let left = Left { pairs: &x.pairs, row: half, pair: 1 };
        for p in panels {
            let panel = &self.pairs[p * half * WIDTH..][..half * WIDTH];
            let bias = bias.map_or(&[][..], |bias| &bias[p * WIDTH..]);
            let start = load(&bias[..bias.len().min(WIDTH)]);
            rows_by_panel(left, 0..x.count, panel, start, |i, sums| store(sums, row(i, p)));
        }
    }
}

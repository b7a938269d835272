//! What processors without such instructions have instead: nothing, and nobody gets here, since
//! [`available`](super::available) says so.

use std::ops::Range;

use super::super::gemm::Gemm;

#[derive(Debug)]
pub(in crate::kernels::cpu) struct PairPanels;

pub(in crate::kernels::cpu) struct PairRows;

pub(in crate::kernels::cpu) fn product(_: Gemm<'_, f32>) {
    unreachable!("{ABSENT}")
}

const ABSENT: &str = "bf16 is chosen only where the processor has instructions for it";

impl PairPanels {
    pub(in crate::kernels::cpu) fn new(_: &[f32], _: usize) -> Self {
        Self
    }

    pub(in crate::kernels::cpu) fn round(&self, _: &[f32]) -> PairRows {
        PairRows
    }

    pub(in crate::kernels::cpu) fn product<'y>(
        &self,
        _: &PairRows,
        _: Option<&[f32]>,
        _: Range<usize>,
        _: impl Fn(usize, usize) -> &'y mut [f32],
    ) {
        unreachable!("{ABSENT}")
    }
}

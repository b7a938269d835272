//! What processors without such instructions have instead: nothing, since [`available`](super::available) says so.

use std::ops::Range;

use super::super::gemm::Gemm;

#[derive(Debug)]
pub(in crate::kernels::cpu) enum PairPanels {}

pub(in crate::kernels::cpu) enum PairRows {}

pub(in crate::kernels::cpu) fn product(_: Gemm<'_, f32>) {
    unreachable!("bf16 is chosen only where the processor can")
}

impl PairPanels {
    pub(in crate::kernels::cpu) fn new(_: &[f32], _: usize) -> Self {
        unreachable!("bf16 is chosen only where the processor can")
    }

    pub(in crate::kernels::cpu) fn round(&self, _: &[f32]) -> PairRows {
        match *self {}
    }

    pub(in crate::kernels::cpu) fn product<'y>(
        &self,
        _: &PairRows,
        _: Option<&[f32]>,
        _: Range<usize>,
        _: impl Fn(usize, usize) -> &'y mut [f32],
    ) {
        match *self {}
    }
}

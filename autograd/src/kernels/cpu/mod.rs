//! Kernels on the CPU: functions over slices.
//!
//! `keep` means the same everywhere: true adds to what the output holds, false overwrites it, and then it may hold
//! anything, NaN included. Rows are contiguous, `n` entries each.

pub mod activation;
pub mod adam;
pub mod attention;
pub mod attention_step;
pub mod best;
pub(crate) mod bf16;
pub mod broadcast;
pub mod crew;
pub mod cross_entropy;
pub(crate) mod device;
pub mod dropout;
pub mod elementwise;
pub mod gemm;
pub mod layer_norm;
pub mod panels;
pub mod peak;
pub mod simd;
pub mod small_product;
pub mod softmax;

/// Stops where `entries` are not `rows` whole rows of `n`.
#[track_caller]
fn check_rows(op: &str, entries: usize, rows: usize, n: usize) {
    assert!(rows.checked_mul(n) == Some(entries), "{op}: {entries} entries are not {rows} rows of {n}");
}

/// Stops where `entries` are no whole rows of `n`; gives whether there is nothing in them, and so nothing to do.
#[track_caller]
fn no_rows(op: &str, entries: usize, n: usize) -> bool {
    assert!(entries.is_multiple_of(n), "{op}: {entries} entries in rows of {n}");
    entries == 0
}
#[cfg(test)]
mod testing;

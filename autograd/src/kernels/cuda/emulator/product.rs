//! Matrix products in the emulator's memory, by the kernels of the CPU.

use super::memory::Memory;
use crate::kernels::cpu::gemm::{Matrix, gemm};
use crate::kernels::cuda::driver::{CudaError, Factor, Precision, Product, Result};

/// Rounds to `bits` fewer bits of mantissa, to the nearest, ties to even.
fn round(x: f32, bits: u32) -> f32 {
    if !x.is_finite() {
        return x;
    }
    let half = (1 << (bits - 1)) - 1;
    let raw = x.to_bits();
    f32::from_bits(((raw + half + (raw >> bits & 1)) >> bits) << bits)
}

/// A factor, checked and rounded as the precision says: `rows` by `columns` as multiplied.
fn factor<'a>(
    all: &'a [f32],
    rounded: &'a mut Vec<f32>,
    factor: &Factor,
    precision: Precision,
) -> Matrix<'a, f32> {
    let bits = match precision {
        Precision::F32 => 0,
        Precision::Tf32 => 13,
        Precision::Bf16 => 16,
    };
    let data = if bits == 0 {
        all
    } else {
        rounded.extend(all.iter().map(|&x| round(x, bits)));
        rounded
    };
    let matrix = Matrix::rows(data, factor.stride);
    if factor.transposed { matrix.t() } else { matrix }
}

/// Entries that a matrix takes up in memory.
fn extent(factor: &Factor, rows: usize, columns: usize) -> usize {
    let (rows, columns) = if factor.transposed { (columns, rows) } else { (rows, columns) };
    if rows * columns == 0 { 0 } else { (rows - 1) * factor.stride + columns }
}

/// `C (+)= A·B`, batch by batch.
pub(super) fn product(memory: &Memory, p: &Product) -> Result<()> {
    let Product { m, k, n, .. } = *p;
    if m * n * p.batch == 0 {
        return Ok(());
    }
    for (factor, columns) in
        [(&p.a, if p.a.transposed { m } else { k }), (&p.b, if p.b.transposed { k } else { n })]
    {
        if factor.stride < columns {
            return Err(CudaError::new(format!(
                "emulator: a factor's rows of {columns} are {} entries from each other",
                factor.stride
            )));
        }
    }
    let (a_extent, b_extent) = (extent(&p.a, m, k), extent(&p.b, k, n));
    for batch in 0..p.batch {
        let at = |factor: &Factor| factor.address + 4 * (batch * factor.step) as u64;
        let c = p.c + 4 * (batch * m * n) as u64;
        if k > 0 {
            memory.check(at(&p.a), 4 * a_extent, "the left factor")?;
            memory.check(at(&p.b), 4 * b_extent, "the right factor")?;
        }
        memory.check(c, 4 * m * n, "a product")?;
        // SAFETY: just checked. The result overlaps neither factor: that is asked of whoever wants a product.
        let (a, b, c) = unsafe {
            let slice = |address: u64, entries| match entries {
                0 => &[],
                _ => std::slice::from_raw_parts(address as *const f32, entries),
            };
            let c = std::slice::from_raw_parts_mut(c as *mut f32, m * n);
            (slice(at(&p.a), a_extent), slice(at(&p.b), b_extent), c)
        };
        if k == 0 {
            if !p.keep {
                c.fill(0.0);
            }
            continue;
        }
        let (mut a_rounded, mut b_rounded) = (Vec::new(), Vec::new());
        let a = factor(a, &mut a_rounded, &p.a, p.precision);
        let b = factor(b, &mut b_rounded, &p.b, p.precision);
        gemm((m, k, n), a, b, c, p.keep);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::round;

    #[test]
    fn rounding_is_to_the_nearest_and_to_even() {
        assert_eq!(round(1.0 + 2f32.powi(-11), 13), 1.0);
        assert_eq!(round(1.0 + 3.0 * 2f32.powi(-11), 13), 1.0 + 2f32.powi(-9));
        assert_eq!(round(1.0 + 2f32.powi(-11) + 2f32.powi(-20), 13), 1.0 + 2f32.powi(-10));
        assert_eq!(round(-3.140625, 16), -3.140625);
        assert_eq!(round(f32::INFINITY, 16), f32::INFINITY);
    }
}

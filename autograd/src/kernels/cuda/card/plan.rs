//! What cuBLASLt is told of a product, made once and used at every step.

use std::ffi::c_void;

use cudarc::cublaslt::result::{self as lt, CublasError};
use cudarc::cublaslt::sys::{self, cublasLtMatmulPreferenceAttributes_t as Preference};

use super::problem::{Operand, Problem};
use crate::kernels::cuda::driver::Precision;

/// What a call of cuBLASLt gives.
pub(super) type Answer<T> = std::result::Result<T, CublasError>;

/// cuBLASLt's descriptions of a product.
#[derive(Debug)]
pub(super) struct Plan {
    operation: Operation,
    left: Layout,
    right: Layout,
    result: Layout,
    alignments: [u32; 3],
    beta: f32,
}

/// The addresses of a product's operands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) left: u64,
    pub(super) right: u64,
    pub(super) result: u64,
}

/// Where a product puts what it needs on the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workspace {
    pub(super) address: u64,
    pub(super) bytes: usize,
}

impl Plan {
    pub(super) fn new(problem: &Problem) -> Answer<Self> {
        let &Problem { left, right, result, batch, keep, precision } = problem;
        Ok(Self {
            operation: Operation::new(precision, left.transposed, right.transposed)?,
            left: Layout::new(left, batch)?,
            right: Layout::new(right, batch)?,
            result: Layout::new(result, batch)?,
            alignments: [left, right, result].map(|operand| operand.alignment),
            beta: if keep { 1.0 } else { 0.0 },
        })
    }

    /// What cuBLASLt thinks to be the fastest, the best first: at most `most`, perhaps none.
    pub(super) fn candidates(
        &self,
        handle: sys::cublasLtHandle_t,
        workspace: usize,
        most: usize,
    ) -> Answer<Vec<sys::cublasLtMatmulAlgo_t>> {
        let preferences = Preferences::new()?;
        preferences.set(Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &(workspace as u64))?;
        let [left, right, result] = self.alignments;
        preferences.set(Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &left)?;
        preferences.set(Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &right)?;
        preferences.set(Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &result)?;
        preferences.set(Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &result)?;
        let mut found = vec![unsuitable(); most];
        let mut count = 0;
        // SAFETY: all descriptions are alive, and at most `most` results are written.
        unsafe {
            sys::cublasLtMatmulAlgoGetHeuristic(
                handle,
                self.operation.0,
                self.left.0,
                self.right.0,
                self.result.0,
                self.result.0,
                preferences.0,
                i32::try_from(most).unwrap_or(i32::MAX),
                found.as_mut_ptr(),
                &mut count,
            )
        }
        .result()?;
        found.truncate(usize::try_from(count).unwrap_or(0));
        let suitable = found.into_iter().filter(|found| found.state.result().is_ok());
        Ok(suitable.map(|found| found.algo).collect())
    }

    /// Whether this algorithm, which may come from a file, can compute the product.
    pub(super) fn suits(
        &self,
        handle: sys::cublasLtHandle_t,
        algorithm: &sys::cublasLtMatmulAlgo_t,
        workspace: usize,
    ) -> bool {
        let mut found = unsuitable();
        // SAFETY: all descriptions are alive; cuBLASLt checks the algorithm.
        let checked = unsafe {
            sys::cublasLtMatmulAlgoCheck(
                handle,
                self.operation.0,
                self.left.0,
                self.right.0,
                self.result.0,
                self.result.0,
                algorithm,
                &mut found,
            )
        };
        checked.result().is_ok() && found.state.result().is_ok() && found.workspaceSize <= workspace
    }

    /// Puts the product on the stream.
    ///
    /// # Safety
    /// The places must hold what the plan says, and the algorithm must suit it.
    pub(super) unsafe fn run(
        &self,
        handle: sys::cublasLtHandle_t,
        algorithm: &sys::cublasLtMatmulAlgo_t,
        places: Places,
        workspace: Workspace,
        stream: sys::cudaStream_t,
    ) -> Answer<()> {
        let alpha = 1f32;
        // SAFETY: as the caller says; the factors are copied before this returns.
        unsafe {
            lt::matmul(
                handle,
                self.operation.0,
                (&raw const alpha).cast(),
                (&raw const self.beta).cast(),
                places.left as *const c_void,
                self.left.0,
                places.right as *const c_void,
                self.right.0,
                places.result as *const c_void,
                self.result.0,
                places.result as *mut c_void,
                self.result.0,
                algorithm,
                workspace.address as *mut c_void,
                workspace.bytes,
                stream,
            )
        }
    }
}

/// A result of a search that found nothing.
fn unsuitable() -> sys::cublasLtMatmulHeuristicResult_t {
    sys::cublasLtMatmulHeuristicResult_t {
        algo: sys::cublasLtMatmulAlgo_t { data: [0; 8] },
        workspaceSize: 0,
        state: sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED,
        wavesCount: 0.0,
        reserved: [0; 4],
    }
}

/// How to multiply, and what is transposed first.
#[derive(Debug)]
struct Operation(sys::cublasLtMatmulDesc_t);

impl Operation {
    fn new(precision: Precision, left: bool, right: bool) -> Answer<Self> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let compute = match precision {
            Precision::F32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            Precision::Tf32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            Precision::Bf16 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_16BF,
        };
        let operation = Self(lt::create_matmul_desc(compute, sys::cudaDataType::CUDA_R_32F)?);
        for (attribute, transposed) in
            [(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, left), (Attribute::CUBLASLT_MATMUL_DESC_TRANSB, right)]
        {
            // cublasOperation_t: 0 as it is, 1 transposed.
            let value = i32::from(transposed);
            // SAFETY: the description is alive, and the value is copied.
            unsafe {
                let size = size_of_val(&value);
                lt::set_matmul_desc_attribute(operation.0, attribute, (&raw const value).cast(), size)?;
            }
        }
        Ok(operation)
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // SAFETY: made by `new`, used by nobody any more. An error leaks it.
        let _ = unsafe { lt::destroy_matmul_desc(self.0) };
    }
}

/// How a matrix lies in memory.
#[derive(Debug)]
struct Layout(sys::cublasLtMatrixLayout_t);

impl Layout {
    fn new(operand: Operand, batch: usize) -> Answer<Self> {
        use sys::cublasLtMatrixLayoutAttribute_t as Attribute;
        let Operand { rows, columns, stride, step, .. } = operand;
        let numbers = sys::cudaDataType::CUDA_R_32F;
        let layout = Self(lt::create_matrix_layout(numbers, rows as u64, columns as u64, stride as i64)?);
        let (count, step) = (batch as i32, step as i64);
        // SAFETY: the description is alive, and the values are copied.
        unsafe {
            let (attribute, size) = (Attribute::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, size_of_val(&count));
            lt::set_matrix_layout_attribute(layout.0, attribute, (&raw const count).cast(), size)?;
            let (attribute, size) =
                (Attribute::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, size_of_val(&step));
            lt::set_matrix_layout_attribute(layout.0, attribute, (&raw const step).cast(), size)?;
        }
        Ok(layout)
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: made by `new`, used by nobody any more. An error leaks it.
        let _ = unsafe { lt::destroy_matrix_layout(self.0) };
    }
}

/// What a search for algorithms must heed.
struct Preferences(sys::cublasLtMatmulPreference_t);

impl Preferences {
    fn new() -> Answer<Self> {
        lt::create_matmul_pref().map(Self)
    }

    fn set<T: Copy>(&self, attribute: Preference, value: &T) -> Answer<()> {
        // SAFETY: the description is alive, and the value is copied.
        unsafe {
            lt::set_matmul_pref_attribute(self.0, attribute, std::ptr::from_ref(value).cast(), size_of::<T>())
        }
    }
}

impl Drop for Preferences {
    fn drop(&mut self) {
        // SAFETY: made by `new`, used by nobody any more. An error leaks it.
        let _ = unsafe { lt::destroy_matmul_pref(self.0) };
    }
}

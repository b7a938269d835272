//! The kernels' text, compiled for one kind of card.

use std::ffi::{CStr, CString};

use cudarc::nvrtc::result::{self as nvrtc, NvrtcError};
use cudarc::nvrtc::sys;

use super::architecture::Architecture;
use super::cache::Cache;
use super::libraries::Library;
use crate::kernels::cuda::driver::{CudaError, Result};

/// How kernels are compiled: all functions are for the card, lambdas too. Not with `--use_fast_math`: exponentials and
/// quotients would leave what the CPU computes.
const OPTIONS: &[&str] = &["--std=c++17", "--device-as-default-execution-space"];

/// What the compiler gives.
pub(crate) struct Compiled {
    /// Machine code for one architecture: the driver need not compile it any further.
    pub(crate) cubin: Vec<u8>,
    /// What the compiler said on the way.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests look for registers and spills in it"))]
    pub(crate) log: String,
}

/// The machine code of `program` for `architecture`, from the cache if it was compiled before.
///
/// # Errors
/// Where there is no NVRTC, or one that does not know this architecture, and what it says of the program.
pub(super) fn cubin(cache: &Cache, program: &str, architecture: Architecture) -> Result<Vec<u8>> {
    let options = OPTIONS.join(" ");
    let (name, version) = (architecture.to_string(), version());
    let key = [program, &name, &options, &version];
    cache.fetch("kernels", &key, "cubin", || {
        architecture.check_known(&version, &known())?;
        compile(program, &name, &[]).map(|compiled| compiled.cubin)
    })
}

/// The architectures that NVRTC compiles for, as 90 for 9.0; none where it does not say. The library must be there.
pub(super) fn known() -> Vec<i32> {
    let mut count = 0;
    // SAFETY: writes one number.
    let counted = unsafe { sys::nvrtcGetNumSupportedArchs(&mut count) }.result();
    let mut known = vec![0; usize::try_from(count).unwrap_or(0)];
    if counted.is_err() || known.is_empty() {
        return Vec::new();
    }
    // SAFETY: writes as many numbers as it just said.
    match unsafe { sys::nvrtcGetSupportedArchs(known.as_mut_ptr()) }.result() {
        Ok(()) => known,
        Err(_) => Vec::new(),
    }
}

/// Compiles `program` for `architecture` with `more` options. Needs no card, and no driver.
///
/// # Errors
/// As [`cubin`]. The compiler's words name files and lines as the program's `#line`s do.
pub(crate) fn compile(program: &str, architecture: &str, more: &[&str]) -> Result<Compiled> {
    Library::Nvrtc.require(None)?;
    let text = CString::new(program).map_err(|_| CudaError::new("the kernels' text has a zero byte"))?;
    let compilation = Compilation::new(&text)?;
    let target = format!("--gpu-architecture={architecture}");
    let options: Vec<&str> = [&target[..]].into_iter().chain(OPTIONS.iter().chain(more).copied()).collect();
    // SAFETY: the program is alive; the options hold no zero bytes, being ours and an architecture's name.
    let done = unsafe { nvrtc::compile_program(compilation.0, &options) };
    let log = compilation.log();
    if let Err(error) = done {
        let name = describe(error);
        let version = version();
        return Err(CudaError::new(format!("{version} for {architecture}: {name}\n{log}").trim_end()));
    }
    Ok(Compiled { cubin: compilation.cubin()?, log })
}

/// `NVRTC 13.0`. The library must be there.
fn version() -> String {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: writes two numbers. Where it fails, they stay 0.
    let _ = unsafe { sys::nvrtcVersion(&mut major, &mut minor) };
    format!("NVRTC {major}.{minor}")
}

fn describe(error: NvrtcError) -> String {
    // SAFETY: NVRTC has a constant string for every result, unknown ones included.
    unsafe { CStr::from_ptr(sys::nvrtcGetErrorString(error.0)) }.to_string_lossy().into_owned()
}

/// A program being compiled.
struct Compilation(sys::nvrtcProgram);

impl Compilation {
    fn new(text: &CStr) -> Result<Self> {
        let program = nvrtc::create_program(text, Some(c"kernels.cu"));
        program.map(Self).map_err(|error| CudaError::new(describe(error)))
    }

    fn log(&self) -> String {
        // SAFETY: the program is alive.
        let characters = unsafe { nvrtc::get_program_log(self.0) }.unwrap_or_default();
        let bytes: Vec<u8> =
            characters.iter().map(|c| c.to_ne_bytes()[0]).take_while(|&byte| byte != 0).collect();
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }

    fn cubin(&self) -> Result<Vec<u8>> {
        let failed = |error| CudaError::new(describe(error));
        let mut size = 0;
        // SAFETY: the program is alive.
        unsafe { sys::nvrtcGetCUBINSize(self.0, &mut size) }.result().map_err(failed)?;
        let mut cubin = vec![0u8; size];
        // SAFETY: as above; writes as many bytes as it just said.
        unsafe { sys::nvrtcGetCUBIN(self.0, cubin.as_mut_ptr().cast()) }.result().map_err(failed)?;
        Ok(cubin)
    }
}

impl Drop for Compilation {
    fn drop(&mut self) {
        // SAFETY: the program is alive, and used by nobody any more. An error leaks it.
        let _ = unsafe { nvrtc::destroy_program(self.0) };
    }
}

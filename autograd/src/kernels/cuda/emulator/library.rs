//! A compiled program, opened.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_uint, c_ulonglong, c_void};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::compile;
use crate::kernels::cuda::driver::{CudaError, Result, Threads};

/// A kernel, as `launch.h` lists it.
#[repr(C)]
#[derive(Debug)]
struct Listed {
    name: *const c_char,
    call: *const c_void,
    signature: *const c_char,
    threads: c_uint,
}

/// A kernel that can be launched.
#[derive(Debug)]
pub(super) struct Kernel {
    listed: *const Listed,
    /// A letter for each parameter: `p` pointer, `i` int, `u` unsigned, `q` unsigned long long, `f` float, `s16 ` struct.
    pub(super) signature: String,
}

type Launch = unsafe extern "C" fn(
    *const Listed,
    *const c_uint,
    c_uint,
    c_uint,
    *const *const c_void,
    c_ulonglong,
) -> *const c_char;

/// A program that can run.
#[derive(Debug)]
pub(super) struct Library {
    kernels: HashMap<String, Kernel>,
    launch: Launch,
    /// The program has one set of fibers and shared variables.
    turn: Mutex<()>,
    /// What the pointers above point into.
    _opened: libloading::Library,
}

// SAFETY: the table of kernels never changes, and launches wait for each other.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

/// The libraries that are open, by their files.
static OPEN: Mutex<Option<HashMap<PathBuf, Arc<Library>>>> = Mutex::new(None);

impl Library {
    /// The library of a program, opened once for all that ask.
    pub(super) fn of(program: &str, extra: &[&str]) -> Result<Arc<Self>> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.get_or_insert_default();
        let file = compile::library(program, extra)?;
        if let Some(library) = open.get(&file) {
            return Ok(Arc::clone(library));
        }
        let library = Arc::new(Self::open(&file)?);
        open.insert(file, Arc::clone(&library));
        Ok(library)
    }

    fn open(file: &std::path::Path) -> Result<Self> {
        let trouble = |error| CudaError::new(format!("emulator: cannot open {}: {error}", file.display()));
        // SAFETY: we have compiled it ourselves, its initialisers only make vectors, and both symbols have these types.
        unsafe {
            let opened = libloading::Library::new(file).map_err(trouble)?;
            let list: libloading::Symbol<'_, unsafe extern "C" fn() -> *const Listed> =
                opened.get(b"emulator_kernels").map_err(trouble)?;
            let mut kernels = HashMap::new();
            let mut at = list();
            while !(*at).name.is_null() {
                let text = |text| CStr::from_ptr(text).to_string_lossy().into_owned();
                kernels.insert(text((*at).name), Kernel { listed: at, signature: text((*at).signature) });
                at = at.add(1);
            }
            let launch = *opened.get::<Launch>(b"emulator_launch").map_err(trouble)?;
            Ok(Self { kernels, launch, turn: Mutex::new(()), _opened: opened })
        }
    }

    /// The kernel of this name.
    pub(super) fn kernel(&self, name: &str) -> Result<&Kernel> {
        self.kernels.get(name).ok_or_else(|| CudaError::new(format!("emulator: there is no kernel {name}")))
    }

    /// Runs a kernel with pointers to its arguments.
    ///
    /// # Safety
    ///
    /// The arguments must be as the kernel's signature says, and the kernel must stay within the memory that it is given.
    pub(super) unsafe fn launch(
        &self,
        kernel: &Kernel,
        threads: Threads,
        arguments: &[*const c_void],
        order: u64,
    ) -> std::result::Result<(), String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Threads { blocks, block, shared } = threads;
        // SAFETY: what the caller promises; and the text it returns is there until the next launch, which waits.
        unsafe {
            let said =
                (self.launch)(kernel.listed, blocks.as_ptr(), block, shared, arguments.as_ptr(), order);
            if said.is_null() { Ok(()) } else { Err(CStr::from_ptr(said).to_string_lossy().into_owned()) }
        }
    }
}

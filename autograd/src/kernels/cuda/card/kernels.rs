//! The compiled kernels on a card, and their launches.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::Arc;

use cudarc::driver::result as cuda;
use cudarc::driver::sys::{self, CUfunction_attribute as Attribute};

use super::context::Context;
use crate::kernels::cuda::driver::{
    Argument, CudaError, Result, Threads, check_shared, check_threads, shared_beside,
};
use crate::kernels::cuda::source::threads;

/// The kernels, loaded.
#[derive(Debug)]
pub(super) struct Kernels {
    module: sys::CUmodule,
    kernels: HashMap<&'static str, Kernel>,
    context: Arc<Context>,
}

/// A kernel, ready to be launched.
#[derive(Debug)]
struct Kernel {
    function: sys::CUfunction,
    /// The most shared memory that a launch can ask for.
    shared_limit: u32,
}

// SAFETY: modules and functions may be used from any thread in which their context is current.
unsafe impl Send for Kernels {}
// SAFETY: as above.
unsafe impl Sync for Kernels {}

impl Kernels {
    /// Loads machine code and looks up the kernels with these names: all at once, since the driver may stop to load a
    /// kernel when it is first used, and must not do so while work is recorded.
    ///
    /// # Errors
    /// Where the driver does not take the code, or a kernel is not in it.
    pub(super) fn load(context: Arc<Context>, cubin: &[u8], names: &[&'static str]) -> Result<Self> {
        context.enter()?;
        // SAFETY: the driver reads the size of the code from its header.
        let module = unsafe { cuda::module::load_data(cubin.as_ptr().cast()) };
        let what = "loading the kernels (is the driver older than the NVRTC that compiled them?)";
        let module = context.check(what, module)?;
        let mut kernels = Self { module, kernels: HashMap::with_capacity(names.len()), context };
        let limit = kernels.context.shared_limit()?;
        for name in names {
            let kernel = kernels.look_up(name, limit)?;
            kernels.kernels.insert(name, kernel);
        }
        Ok(kernels)
    }

    /// Runs a kernel, or records it.
    pub(super) fn launch(&self, name: &str, threads: Threads, arguments: &[Argument<'_>]) -> Result<()> {
        if threads.blocks.contains(&0) {
            return Ok(());
        }
        let refused = |why: String| Err(CudaError::new(format!("{}: {why}", self.context.name())));
        let Some(kernel) = self.kernels.get(name) else {
            return refused(format!("there is no kernel {name}"));
        };
        let Threads { blocks: [x, y, z], block, shared } = threads;
        if let Err(why) = check_shared(name, shared, kernel.shared_limit) {
            return refused(why.to_string());
        }
        self.context.enter()?;
        let mut pointers: Vec<_> = arguments.iter().map(Argument::pointer).collect();
        // SAFETY: what the kernel reads and writes is its launcher's care; arguments are copied before this returns.
        let launched = unsafe {
            let stream = self.context.stream();
            cuda::launch_kernel(kernel.function, (x, y, z), (block, 1, 1), shared, stream, &mut pointers)
        };
        self.context.check(format_args!("launching {name} (or work before it)"), launched)
    }

    /// Bytes of shared memory that a launch of this kernel may ask for.
    pub(super) fn shared_limit(&self, name: &str) -> u32 {
        self.kernels.get(name).map_or(0, |kernel| kernel.shared_limit)
    }

    fn look_up(&self, name: &str, shared_limit: u32) -> Result<Kernel> {
        let check = |answer| self.context.check(format_args!("preparing the kernel {name}"), answer);
        let symbol = CString::new(name).unwrap_or_default();
        // SAFETY: the module is alive.
        let function = unsafe { cuda::module::get_function(self.module, symbol) };
        let function = self.context.check(format_args!("looking for the kernel {name}"), function)?;
        // SAFETY: the function is alive.
        let ask = |attribute| check(unsafe { cuda::function::get_function_attribute(function, attribute) });
        let named = |error| CudaError::new(format!("{}: {error}", self.context.name()));
        // What a card has registers for.
        let (most, wanted) = (ask(Attribute::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK)?, threads(name));
        check_threads(name, wanted, most.unsigned_abs()).map_err(named)?;
        // More than 48 KiB of shared memory must be asked for beforehand. What the kernel declares itself counts too.
        let declared = ask(Attribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)?.unsigned_abs();
        let limit = shared_beside(name, declared, shared_limit).map_err(named)?;
        let most = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: as above.
        let set = unsafe { cuda::function::set_function_attribute(function, most, limit.cast_signed()) };
        self.context.check(format_args!("preparing the kernel {name}"), set)?;
        Ok(Kernel { function, shared_limit: limit })
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: nobody can launch the functions any more. Errors are of no use at the end.
            let _ = unsafe { cuda::module::unload(self.module) };
        }
    }
}

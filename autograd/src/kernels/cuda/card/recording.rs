//! Work that is recorded once and run again with one call.

use std::fmt;
use std::sync::Arc;

use cudarc::driver::result as cuda;
use cudarc::driver::sys;

use super::context::Context;
use crate::kernels::cuda::driver::{CudaError, Graph, Result};

/// A CUDA graph, ready to run. `Needs` is what its kernels need to live as long.
pub(super) struct Recorded<Needs> {
    graph: sys::CUgraphExec,
    context: Arc<Context>,
    _needs: Needs,
}

// SAFETY: graphs may be launched from any thread, one at a time: all launches go to one stream under the driver's lock.
unsafe impl<Needs: Send> Send for Recorded<Needs> {}
// SAFETY: as above.
unsafe impl<Needs: Sync> Sync for Recorded<Needs> {}

impl<Needs> Recorded<Needs> {
    /// Records what `work` puts on the stream.
    ///
    /// # Errors
    /// What `work` says, and where something was asked for that cannot be recorded.
    pub(super) fn new(
        context: &Arc<Context>,
        needs: Needs,
        work: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Self> {
        let mut recording = Recording::begin(context)?;
        let done = work();
        let nodes = recording.end();
        // Where the work failed, the recording often did too, but the work knows why.
        done?;
        let nodes = nodes?;
        // SAFETY: the nodes are alive.
        let graph = unsafe { cuda::graph::instantiate(nodes.0, sys::CUgraphInstantiate_flags_enum(0)) };
        let graph = context.check("making recorded work ready to run", graph)?;
        Ok(Self { graph, context: Arc::clone(context), _needs: needs })
    }
}

impl<Needs: Send + Sync> Graph for Recorded<Needs> {
    fn replay(&self) -> Result<()> {
        self.context.live("recorded work")?;
        self.context.enter()?;
        // SAFETY: the graph is alive, and so is what it needs; that its addresses are, is its owner's care.
        let launched = unsafe { cuda::graph::launch(self.graph, self.context.stream()) };
        self.context.check("running recorded work (or work before it)", launched)
    }
}

impl<Needs> fmt::Debug for Recorded<Needs> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorded({})", self.context.name())
    }
}

impl<Needs> Drop for Recorded<Needs> {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: ours. The driver keeps what still runs until it is done.
            let _ = unsafe { cuda::graph::exec_destroy(self.graph) };
        }
    }
}

/// A stream that records. Ends with this, also where the work panics.
struct Recording<'a> {
    context: &'a Context,
    ended: bool,
}

impl<'a> Recording<'a> {
    fn begin(context: &'a Context) -> Result<Self> {
        context.enter()?;
        if context.set_recording(true) {
            return Err(CudaError::new(format!("{}: work is being recorded already", context.name())));
        }
        // Other threads may go on using other streams and asking for memory.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is alive.
        let begun = unsafe { cuda::stream::begin_capture(context.stream(), mode) };
        if begun.is_err() {
            context.set_recording(false);
        }
        context.check("beginning to record", begun)?;
        Ok(Self { context, ended: false })
    }

    fn end(&mut self) -> Result<Nodes> {
        self.ended = true;
        // SAFETY: the stream is alive, and records.
        let graph = unsafe { cuda::stream::end_capture(self.context.stream()) };
        self.context.set_recording(false);
        let nodes = Nodes(self.context.check("recording", graph)?);
        if nodes.0.is_null() {
            return Err(CudaError::new(format!("{}: recording gave nothing", self.context.name())));
        }
        Ok(nodes)
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // What was recorded so far is of no use.
            let _ = self.end();
        }
    }
}

/// What was recorded, before it is made ready to run.
struct Nodes(sys::CUgraph);

impl Drop for Nodes {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: ours, and needed no more.
            let _ = unsafe { cuda::graph::destroy(self.0) };
        }
    }
}

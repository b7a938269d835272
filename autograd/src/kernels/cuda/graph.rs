//! Work that a card does again at one call.

use std::fmt;

use super::device::Cuda;
use super::driver::Graph;
use super::memory::Reserve;

/// Work that was recorded once. Done again, it reads and writes where it did when it was recorded, so what it is to be given
/// is written there before ([`Tensor::put`](crate::Tensor::put)).
///
/// ```text
/// let mut x = Tensor::zeros([64, 128]).to(&device);
/// let (graph, y) = cuda.record(|| …tensors computed of x…);
/// x.put(&numbers);
/// graph.replay();             // y is what x gives now
/// ```
pub struct CudaGraph {
    device: Cuda,
    // Before the memory that it uses.
    graph: Box<dyn Graph>,
    _memory: Reserve,
}

impl CudaGraph {
    /// Does the work again.
    #[track_caller]
    pub fn replay(&self) {
        self.device.expect("replay", self.graph.replay());
    }
}

impl fmt::Debug for CudaGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CudaGraph {{ on {} }}", self.device)
    }
}

impl Cuda {
    /// Records what `work` asks of this card, and gives what it returned. It runs twice: once to find its memory, which stays
    /// set apart for the graph, and once to be recorded; then the graph is replayed, so that the result is computed.
    ///
    /// Numbers that come from the host (ids, flags, a rate, the key of a dropout) stay as they were recorded.
    ///
    /// # Panics
    /// Where `work` copies to or from the card in its second run.
    #[track_caller]
    pub fn record<R>(&self, mut work: impl FnMut() -> R) -> (CudaGraph, R) {
        let memory = self.memory();
        let reserve = memory.reserve();
        let mut result = None;
        let graph = memory.within(&reserve, || {
            drop(work());
            let mut record = || {
                result = Some(work());
                Ok(())
            };
            self.expect("record", self.driver().capture(&mut record))
        });
        let Some(result) = result else { unreachable!("the driver runs what it records") };
        let graph = CudaGraph { device: self.clone(), graph, _memory: reserve };
        graph.replay();
        (graph, result)
    }
}

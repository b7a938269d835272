//! Work that a card does again at one call.

use std::fmt;
use std::sync::Arc;

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
    _memory: Arc<Reserve>,
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

/// Memory set apart for recorded work.
///
/// Several graphs may share one, where one runs at a time and what it computes is read before another runs: what one of them
/// leaves behind, others write over. Also what [`run`](Self::run) leaves behind is safe only where nothing was recorded before.
#[derive(Clone, Debug)]
pub struct GraphMemory {
    device: Cuda,
    reserve: Arc<Reserve>,
}

impl GraphMemory {
    /// None yet, on this card.
    pub fn new(device: &Cuda) -> Self {
        Self { device: device.clone(), reserve: Arc::new(device.memory().reserve()) }
    }

    /// Does `work` with memory from here, so that enough is here when the same is [recorded](Self::record).
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        self.device.memory().within(&self.reserve, work)
    }

    /// Records what `work` asks of the card, without doing it, and gives what it returned, which a replay will compute.
    ///
    /// # Panics
    /// Where `work` copies to or from the card.
    #[track_caller]
    pub fn record<R>(&self, work: impl FnOnce() -> R) -> (CudaGraph, R) {
        let (mut work, mut result) = (Some(work), None);
        let mut record = || {
            result = work.take().map(|work| work());
            Ok(())
        };
        let graph = self.run(|| self.device.driver().capture(&mut record));
        let graph = self.device.expect("record", graph);
        let Some(result) = result else { unreachable!("the driver runs what it records") };
        (CudaGraph { device: self.device.clone(), graph, _memory: Arc::clone(&self.reserve) }, result)
    }
}

impl Cuda {
    /// Records what `work` asks of this card, and gives what it returned. It runs twice: once to find its memory, which stays
    /// set apart for the graph, and once to be recorded; then the graph is replayed, so that the result is computed.
    ///
    /// Numbers that come from the host stay as they were recorded, but for those that were staged before, in whose place others
    /// can be put ([`restage`](crate::restage)).
    ///
    /// # Panics
    /// Where `work` copies to or from the card in its second run.
    #[track_caller]
    pub fn record<R>(&self, mut work: impl FnMut() -> R) -> (CudaGraph, R) {
        let memory = GraphMemory::new(self);
        drop(memory.run(&mut work));
        let (graph, result) = memory.record(work);
        graph.replay();
        (graph, result)
    }
}

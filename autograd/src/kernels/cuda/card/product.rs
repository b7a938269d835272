//! Matrix products, by cuBLASLt.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cudarc::cublaslt::{result as lt, sys};
use cudarc::driver::result as cuda;

use super::cache::Cache;
use super::choices::Choices;
use super::context::{Context, newest_cuda};
use super::libraries::Library;
use super::plan::{Answer, Places, Plan, Workspace};
use super::problem::Problem;
use crate::kernels::cuda::driver::{CudaError, Product, Result};

/// What NVIDIA recommends for its larger cards.
const WORKSPACE: usize = 32 << 20;
/// How many plans are kept: a model has some hundred for each size of batch.
const PLANS: usize = 20_000;
/// How many of cuBLASLt's guesses are timed.
const CANDIDATES: usize = 4;
/// How long each is timed, at least.
const TIMING: Duration = Duration::from_micros(300);
/// A later guess must be faster by so much: less is noise, and the first one is cuBLASLt's own choice.
const FASTER: f64 = 0.97;

/// cuBLASLt on a card, with a plan for each product that was asked for before.
#[derive(Debug)]
pub(super) struct Products {
    handle: sys::cublasLtHandle_t,
    workspace: Workspace,
    plans: Mutex<Plans>,
    context: Arc<Context>,
}

#[derive(Debug)]
struct Plans {
    ready: HashMap<Problem, (Plan, sys::cublasLtMatmulAlgo_t)>,
    choices: Choices,
}

// SAFETY: cuBLASLt may be called from any thread; plans are changed under a lock.
unsafe impl Send for Products {}
// SAFETY: as above.
unsafe impl Sync for Products {}

impl Products {
    pub(super) fn new(context: Arc<Context>, cache: &Cache) -> Result<Self> {
        Library::CublasLt.require(newest_cuda())?;
        context.enter()?;
        let handle = lt::create_handle().map_err(|error| {
            CudaError::new(format!("{}: cuBLASLt does not start: {:?}", context.name(), error.0))
        })?;
        // SAFETY: the library is there.
        let version = unsafe { sys::cublasLtGetVersion() }.to_string();
        let card = context.name().split_once(", ").map_or(context.name(), |(_, card)| card);
        let choices = Choices::load(cache.path("products", &[card, &version], "txt"));
        let plans = Mutex::new(Plans { ready: HashMap::new(), choices });
        // What was created before an error is given back as this is dropped.
        let mut products =
            Self { handle, workspace: Workspace { address: 0, bytes: WORKSPACE }, plans, context };
        // SAFETY: given back by `drop`.
        let address = unsafe { cuda::malloc_sync(WORKSPACE) };
        products.workspace.address = products.context.check("allocating cuBLASLt's workspace", address)?;
        Ok(products)
    }

    /// Multiplies, or records it.
    pub(super) fn multiply(&self, product: &Product) -> Result<()> {
        let &Product { m, k, n, batch, keep, c, .. } = product;
        let entries = batch * m * n;
        if entries == 0 || (k == 0 && keep) {
            return Ok(());
        }
        self.context.enter()?;
        if k == 0 {
            // SAFETY: the result has so many entries.
            let zeroed = unsafe { cuda::memset_d8_async(c, 0, 4 * entries, self.context.stream()) };
            return self.context.check("zeroing an empty product", zeroed);
        }
        let problem = Problem::new(product);
        let places = Places { left: product.b.address, right: product.a.address, result: c };
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if !plans.ready.contains_key(&problem) {
            if plans.ready.len() == PLANS {
                // Their algorithms are known, so that plans are soon made again.
                plans.ready.clear();
            }
            let plan = self.check(&problem, Plan::new(&problem))?;
            let algorithm = self.choose(&problem, &plan, places, &mut plans.choices)?;
            plans.ready.insert(problem, (plan, algorithm));
        }
        let (plan, algorithm) = &plans.ready[&problem];
        self.check(&problem, self.run(plan, algorithm, places))
    }

    /// The algorithm that was chosen for this class of products before, in an earlier run even, else the fastest by the
    /// clock. Whatever it is, this run keeps it.
    fn choose(
        &self,
        problem: &Problem,
        plan: &Plan,
        places: Places,
        choices: &mut Choices,
    ) -> Result<sys::cublasLtMatmulAlgo_t> {
        let class = problem.class();
        let known = choices.get(&class).map(|data| sys::cublasLtMatmulAlgo_t { data });
        if let Some(known) = known.filter(|known| plan.suits(self.handle, known, WORKSPACE)) {
            return Ok(known);
        }
        let candidates = self.check(problem, plan.candidates(self.handle, WORKSPACE, CANDIDATES))?;
        let Some(&first) = candidates.first() else {
            return Err(CudaError::new(format!(
                "{}: cuBLASLt cannot compute {problem}",
                self.context.name()
            )));
        };
        if known.is_some() {
            // An odd one of its class. It is given what cuBLASLt would take, so as to be the same in every run.
            return Ok(first);
        }
        // What is recorded does not run, so there is nothing to time.
        let best = if self.context.is_recording() {
            None
        } else {
            self.fastest(problem, plan, &candidates, places)?
        };
        match best {
            Some(best) => choices.save(&class, best.data),
            None => choices.keep(&class, first.data),
        }
        Ok(best.unwrap_or(first))
    }

    /// The fastest candidate, or none where there is no memory to try them.
    fn fastest(
        &self,
        problem: &Problem,
        plan: &Plan,
        candidates: &[sys::cublasLtMatmulAlgo_t],
        places: Places,
    ) -> Result<Option<sys::cublasLtMatmulAlgo_t>> {
        if let [only] = candidates {
            return Ok(Some(*only));
        }
        // A result that is written over may be written over several times, but one that is added to may not.
        let scratch = if problem.keep {
            let Ok(scratch) = Scratch::new(self.context.as_ref(), 4 * problem.batch * problem.result.step)
            else {
                return Ok(None);
            };
            Some(scratch)
        } else {
            None
        };
        let places = Places { result: scratch.as_ref().map_or(places.result, |s| s.address), ..places };
        let mut best: Option<(f64, sys::cublasLtMatmulAlgo_t)> = None;
        for algorithm in candidates {
            let seconds = self.time(problem, plan, algorithm, places)?;
            if best.is_none_or(|(least, _)| seconds < FASTER * least) {
                best = Some((seconds, *algorithm));
            }
        }
        Ok(best.map(|(_, algorithm)| algorithm))
    }

    /// Seconds that a product takes: the better of two measurements, after one run to warm up.
    fn time(
        &self,
        problem: &Problem,
        plan: &Plan,
        algorithm: &sys::cublasLtMatmulAlgo_t,
        places: Places,
    ) -> Result<f64> {
        let run = |times: u32| -> Result<Duration> {
            self.context.synchronize()?;
            let start = Instant::now();
            for _ in 0..times {
                self.check(problem, self.run(plan, algorithm, places))?;
            }
            self.context.synchronize()?;
            Ok(start.elapsed())
        };
        run(1)?;
        let once = run(1)?.max(Duration::from_micros(1));
        let times = TIMING.as_nanos().div_ceil(once.as_nanos()).clamp(1, 50) as u32;
        Ok(run(times)?.min(run(times)?).as_secs_f64() / f64::from(times))
    }

    fn run(&self, plan: &Plan, algorithm: &sys::cublasLtMatmulAlgo_t, places: Places) -> Answer<()> {
        let stream = self.context.stream().cast();
        // SAFETY: that the places hold what the product says is the care of whoever asks for it; the algorithm is
        // cuBLASLt's for this plan. Products share the workspace, since they run one after another.
        unsafe { plan.run(self.handle, algorithm, places, self.workspace, stream) }
    }

    fn check<T>(&self, problem: &Problem, answer: Answer<T>) -> Result<T> {
        answer.map_err(|error| {
            CudaError::new(format!("{}: product {problem}: {:?}", self.context.name(), error.0))
        })
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        // Work that was asked for may still use the workspace. Errors are of no use at the end.
        let _ = self.context.synchronize();
        if self.workspace.address != 0 {
            // SAFETY: ours, and used by nobody any more.
            let _ = unsafe { cuda::free_sync(self.workspace.address) };
        }
        self.plans.get_mut().unwrap_or_else(PoisonError::into_inner).ready.clear();
        // SAFETY: as above.
        let _ = unsafe { lt::destroy_handle(self.handle) };
    }
}

/// Memory for a trial: zeros, given back when dropped.
struct Scratch<'a> {
    address: u64,
    context: &'a Context,
}

impl<'a> Scratch<'a> {
    fn new(context: &'a Context, bytes: usize) -> Result<Self> {
        // SAFETY: given back by `drop`.
        let address = context.check("allocating memory for a trial", unsafe { cuda::malloc_sync(bytes) })?;
        let scratch = Self { address, context };
        // SAFETY: allocated with so many bytes.
        let zeroed = unsafe { cuda::memset_d8_async(address, 0, bytes, context.stream()) };
        context.check("zeroing memory for a trial", zeroed)?;
        Ok(scratch)
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // Work that was asked for may still write to it. Errors are of no use here.
        let _ = self.context.synchronize();
        // SAFETY: ours, and used by nobody any more.
        let _ = unsafe { cuda::free_sync(self.address) };
    }
}

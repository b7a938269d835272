//! Runs a target many times, and says which input it failed with.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gradus::autograd::rng::{Stream, derive};

use crate::memory;
use crate::mutate::mutated;
use crate::seeds;
use crate::targets::{TARGETS, Target};

/// Executions of all targets together, where `GRADUS_FUZZ_EXECUTIONS` does not say.
const EXECUTIONS: u64 = 500_000;

/// The most inputs that are mutated further.
const POOL: usize = 256;

/// How many bytes longer than all files of the corpus an input may be.
const LONGER: usize = 2048;

/// What an input may take of a processor.
const HANG: Duration = Duration::from_secs(2);

/// What it may take of the clock, when others take the processor.
const STUCK: Duration = Duration::from_secs(300);

thread_local! {
    /// The target and input that this thread is at.
    static INPUT: RefCell<Option<(&'static str, Vec<u8>)>> = const { RefCell::new(None) };
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
}

/// Runs a target on its corpus, and then on mutations.
pub(crate) fn fuzz(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let shares: u64 = TARGETS.iter().map(|target| target.share).sum();
    let executions = (setting("GRADUS_FUZZ_EXECUTIONS", EXECUTIONS) * target.share).div_ceil(shares);
    let seed = derive(setting("GRADUS_FUZZ_SEED", 1), target.name.bytes().map(u64::from).sum());
    let (watched, mut pool) = (Watched::begin(target.name), Vec::new());
    let (mut taken, mut refused) = (0u64, 0u64);
    std::panic::set_hook(Box::new(|panic| {
        memory::unlimited();
        eprintln!("{panic}");
    }));
    for input in seeds::of(target.name) {
        pool.push(input.clone());
        match run(target, &watched, input) {
            true => taken += 1,
            false => refused += 1,
        }
    }
    assert!(taken > 0, "{name}: no seed of the corpus is taken for what it is");
    let longest = LONGER + pool.iter().map(Vec::len).max().unwrap_or(0);
    let (corpus, begun) = (pool.len(), Instant::now());
    for number in 0..executions {
        let mut stream = Stream::new(derive(seed, number));
        let mut input = mutated(&pool, &mut stream);
        input.truncate(longest);
        let kept = input.clone();
        if run(target, &watched, input) {
            taken += 1;
            // Mutations of what is taken come further than those of what is not.
            if pool.len() < POOL {
                pool.push(kept);
            } else {
                let place = corpus + (stream.bits() % (POOL - corpus) as u64) as usize;
                pool[place] = kept;
            }
        } else {
            refused += 1;
        }
    }
    let speed = executions as f64 / begun.elapsed().as_secs_f64();
    println!("{name}: {executions} executions, {speed:.0} a second; {taken} were taken, {refused} refused");
    assert!(
        executions < 100 || taken > executions / 100,
        "{name}: {taken} were taken: nothing else is tested"
    );
}

fn run(target: &Target, watched: &Watched, input: Vec<u8>) -> bool {
    let limit = target.memory + target.memory_per_byte * input.len();
    watched.next(&input);
    let bytes = input.clone();
    INPUT.set(Some((target.name, input)));
    let result = memory::limited(limit, || catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes))));
    result.unwrap_or_else(|_| give_up("panics"))
}

/// Says what this thread's input did, and ends the program: a test that goes on in another thread may not end at all.
pub(crate) fn give_up(what: &str) -> ! {
    let input = INPUT.try_with(RefCell::take).ok().flatten();
    let (name, input) = input.unwrap_or(("memory", Vec::new()));
    failed(name, &input, what)
}

fn failed(name: &str, input: &[u8], what: &str) -> ! {
    let path = std::env::temp_dir().join(format!("gradus-fuzz-{name}"));
    let kept = match std::fs::write(&path, input) {
        Ok(()) => format!("it is in {}", path.display()),
        Err(error) => format!("it could not be kept: {error}"),
    };
    eprintln!("{name}: an input of {} bytes {what}; {kept}: {}", input.len(), input.escape_ascii());
    std::process::exit(101);
}

/// The input that a thread is at, for another one to look at.
struct Watched {
    number: AtomicU64,
    input: Mutex<Vec<u8>>,
}

/// The processor's time that a thread has had, where the system says.
fn time_of(thread: &str) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{thread}/schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Ends the watching when it is dropped.
struct Watch {
    watched: Arc<Watched>,
    _end: std::sync::mpsc::Sender<()>,
}

impl std::ops::Deref for Watch {
    type Target = Watched;
    fn deref(&self) -> &Watched {
        &self.watched
    }
}

impl Watched {
    /// Watches this thread from another one.
    fn begin(name: &'static str) -> Watch {
        let watched = Arc::new(Self { number: AtomicU64::new(0), input: Mutex::default() });
        let thread =
            std::fs::read_link("/proc/thread-self").ok().and_then(|path| path.to_str().map(str::to_owned));
        let (end, ended) = channel::<()>();
        let there = watched.clone();
        std::thread::spawn(move || {
            let time = || thread.as_deref().and_then(time_of);
            let mut since = (u64::MAX, time(), Instant::now());
            while ended.recv_timeout(HANG / 8) == Err(RecvTimeoutError::Timeout) {
                let (number, now) = (there.number.load(Ordering::Relaxed), time());
                let busy = now.zip(since.1).map(|(now, then)| now.saturating_sub(then));
                if number != since.0 {
                    since = (number, now, Instant::now());
                } else if busy.is_some_and(|busy| busy > HANG) || since.2.elapsed() > STUCK {
                    let input = there.input.lock().unwrap_or_else(PoisonError::into_inner);
                    failed(name, &input, &format!("has taken more than {HANG:?}"));
                }
            }
        });
        Watch { watched, _end: end }
    }

    fn next(&self, input: &[u8]) {
        let mut copy = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        copy.clear();
        copy.extend_from_slice(input);
        self.number.fetch_add(1, Ordering::Relaxed);
    }
}

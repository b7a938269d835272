//! Helpers for work that is too small to wake a thread for.
//!
//! A decoding step of one sentence is some thirty products of a few microseconds each, one after the other. Waking a
//! sleeping thread costs more than such a product, so the helpers of a crew do not sleep: while the crew is there they
//! look for work all the time. Whoever comes first takes the next piece, so that a helper that the system has put aside
//! holds nobody up.

use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;

/// Looks at the board before a helper lets other programs have its core for a moment.
const PATIENCE: u32 = 100;

thread_local! {
    /// The crew of this thread, where it has one.
    static CREW: Cell<*const Crew> = const { Cell::new(ptr::null()) };
}

type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// What a thread and its helpers share.
struct Crew {
    /// Which piece is to be taken next, of how many, of which job: see [`Ticket`].
    ticket: AtomicU64,
    /// Pieces of the present job that were finished.
    done: AtomicU32,
    /// The present job.
    work: UnsafeCell<*const Work<'static>>,
    /// A helper's piece has panicked.
    failed: AtomicBool,
    /// There is no more work to come.
    over: AtomicBool,
}

// SAFETY: `work` is written only by the thread that leads the crew, while no piece is left to be taken (`split`), and read
// only by who has taken a piece, which happens after the write (the ticket is released and acquired).
unsafe impl Sync for Crew {}

/// One number, so that a piece is taken in one step and a late helper cannot take a piece of the wrong job.
#[derive(Clone, Copy)]
struct Ticket {
    job: u32,
    pieces: u16,
    next: u16,
}

impl Ticket {
    fn of(bits: u64) -> Self {
        Self { job: (bits >> 32) as u32, pieces: (bits >> 16) as u16, next: bits as u16 }
    }

    fn bits(self) -> u64 {
        u64::from(self.job) << 32 | u64::from(self.pieces) << 16 | u64::from(self.next)
    }
}

impl Crew {
    /// Takes the next piece of the present job, if one is left.
    fn take(&self) -> Option<usize> {
        let mut bits = self.ticket.load(Ordering::Acquire);
        loop {
            let ticket = Ticket::of(bits);
            if ticket.next >= ticket.pieces {
                return None;
            }
            let taken = Ticket { next: ticket.next + 1, ..ticket }.bits();
            match self.ticket.compare_exchange_weak(bits, taken, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(usize::from(ticket.next)),
                Err(now) => bits = now,
            }
        }
    }

    /// Does a piece that was taken.
    fn perform(&self, piece: usize) {
        // Counted also where the piece panics, or the others would wait for it for ever.
        let _count = Count(self);
        // SAFETY: `split` neither returns nor changes `work` before every piece that was taken is counted.
        unsafe { (**self.work.get())(piece) }
    }

    fn help(&self) {
        let mut looks = 0;
        while !self.over.load(Ordering::Relaxed) {
            match self.take() {
                Some(piece) => {
                    self.perform(piece);
                    looks = 0;
                }
                None => linger(&mut looks),
            }
        }
    }
}

/// Passes a moment before the next look.
fn linger(looks: &mut u32) {
    *looks += 1;
    if *looks < PATIENCE {
        spin_loop();
    } else {
        *looks = 0;
        thread::yield_now();
    }
}

/// Counts a piece when it is dropped.
struct Count<'a>(&'a Crew);

impl Drop for Count<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
        }
        self.0.done.fetch_add(1, Ordering::Release);
    }
}

/// Dismisses a crew when it is dropped, also by a panic.
struct Dismiss<'a>(&'a Crew, *const Crew);

impl Drop for Dismiss<'_> {
    fn drop(&mut self) {
        CREW.set(self.1);
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` on this thread with `threads − 1` helpers at hand, that kernels share small pieces with. Results do not
/// depend on it.
pub fn with_crew<R>(threads: usize, work: impl FnOnce() -> R) -> R {
    if threads <= 1 {
        return work();
    }
    let idle: &Work<'static> = &|_| ();
    let crew = Crew {
        ticket: AtomicU64::new(0),
        done: AtomicU32::new(0),
        work: UnsafeCell::new(idle),
        failed: AtomicBool::new(false),
        over: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        // Before the first helper, who would else wait for ever if something went wrong with the next.
        let _dismiss = Dismiss(&crew, CREW.replace(&crew));
        for _ in 1..threads {
            // Where the system has no more threads, the crew is smaller.
            if thread::Builder::new().spawn_scoped(scope, || crew.help()).is_err() {
                break;
            }
        }
        work()
    })
}

/// Runs `work(0) .. work(pieces − 1)`, each once, on this thread and the helpers of its crew, if it has one.
///
/// # Panics
/// Where a piece does.
pub fn split(pieces: usize, work: &Work<'_>) {
    let crew = CREW.get();
    let count = u16::try_from(pieces).ok().filter(|&count| count > 1);
    let (false, Some(count)) = (crew.is_null(), count) else {
        return (0..pieces).for_each(work);
    };
    // SAFETY: `with_crew` sets the pointer for as long as the crew lives, and only for its own thread.
    let crew = unsafe { &*crew };
    // A piece that asks for help itself does without.
    let _alone = Alone(CREW.replace(ptr::null()));
    crew.done.store(0, Ordering::Relaxed);
    // SAFETY: all pieces of the job before were taken and finished, so nobody reads this. The reference is used until the
    // last piece is counted, which this function waits for, even where a piece of its own panics.
    unsafe { *crew.work.get() = std::mem::transmute::<*const Work<'_>, *const Work<'static>>(work) };
    let job = Ticket::of(crew.ticket.load(Ordering::Relaxed)).job.wrapping_add(1);
    crew.ticket.store(Ticket { job, pieces: count, next: 0 }.bits(), Ordering::Release);
    let wait = Wait { crew, pieces: u32::from(count) };
    while let Some(piece) = crew.take() {
        crew.perform(piece);
    }
    drop(wait);
    assert!(!crew.failed.load(Ordering::Relaxed), "a helper's piece of the work has panicked");
}

/// Gives a thread its crew back.
struct Alone(*const Crew);

impl Drop for Alone {
    fn drop(&mut self) {
        CREW.set(self.0);
    }
}

/// Waits, when it is dropped, until every piece of a job is finished.
struct Wait<'a> {
    crew: &'a Crew,
    pieces: u32,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        // Where a piece of this thread's own has panicked, what is left of the job is not begun.
        while self.crew.take().is_some() {
            self.crew.done.fetch_add(1, Ordering::Release);
        }
        let mut looks = 0;
        while self.crew.done.load(Ordering::Acquire) < self.pieces {
            linger(&mut looks);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn every_piece_is_done_once() {
        for threads in [1, 2, 4] {
            with_crew(threads, || {
                for pieces in [0, 1, 2, 3, 17, 100_000] {
                    for _ in 0..20 {
                        let counts: Vec<AtomicU32> = (0..pieces).map(|_| AtomicU32::new(0)).collect();
                        split(pieces, &|piece| _ = counts[piece].fetch_add(1, Ordering::Relaxed));
                        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
                    }
                }
            });
        }
    }

    #[test]
    fn helpers_do_some_of_the_work() {
        let own = thread::current().id();
        let helped = AtomicBool::new(false);
        with_crew(2, || {
            while !helped.load(Ordering::Relaxed) {
                split(2, &|_| {
                    if thread::current().id() != own {
                        helped.store(true, Ordering::Relaxed);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_ends_the_work_and_not_the_program() {
        let result = catch_unwind(AssertUnwindSafe(|| {
            with_crew(3, || split(50, &|piece| assert!(piece != 20, "piece 20")));
        }));
        assert!(result.is_err());
        // The thread is as it was before: it has no crew, and works alone.
        let own = thread::current().id();
        split(10, &|_| assert_eq!(thread::current().id(), own));
    }
}

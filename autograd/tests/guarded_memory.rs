//! Random calls of the safe functions, many of them with sizes that do not fit, under an allocator that ends memory at a page
//! without access: a single entry read or written out of bounds is a signal, which ends the test.
//!
//! `GRADUS_GUARDED_CALLS` says how many calls are made at each vector unit; where `GRADUS_SIMD` is set, only at that one:
//!
//! ```text
//! GRADUS_GUARDED_CALLS=100000 cargo test --release -p gradus-autograd --test guarded_memory
//! ```
//!
//! A call either works or panics in words of this crate: what the standard library says of an index or a range is a check
//! that was forgotten.

#![allow(unsafe_code, reason = "an allocator is unsafe by its trait, and pages are guarded by system calls")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(target_os = "linux")]
#[path = "guarded_memory/guard.rs"]
mod guard;

#[cfg(target_os = "linux")]
#[path = "guarded_memory/calls.rs"]
mod calls;

#[cfg(target_os = "linux")]
#[path = "guarded_memory/generate.rs"]
mod generate;

#[cfg(not(target_os = "linux"))]
#[test]
fn random_calls_touch_no_memory_but_their_own() {
    println!("SKIPPED: memory is guarded by the system calls of Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::RefCell;
    use std::env;
    use std::hint::black_box;
    use std::os::unix::process::ExitStatusExt;
    use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
    use std::process::{Command, Output};

    use autograd::rng::derive;

    use super::calls::CALLS;
    use super::generate::Generator;
    use super::guard::{self, Guarded, Side};

    #[global_allocator]
    static GUARDED: Guarded = Guarded;

    /// Calls at each vector unit where nothing else is asked for: a second or so.
    const FEW: u64 = 10_000;

    thread_local! {
        /// What the last panic of this thread said, and where.
        static SAID: RefCell<String> = RefCell::default();
    }

    /// Runs a test of this program alone, in a process of its own.
    fn alone(test: &str, variable: &str, value: &str) -> Output {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([&format!("linux::{test}"), "--exact", "--nocapture", "--test-threads", "1"]);
        command.env(variable, value).output().unwrap()
    }

    /// Words that the standard library has for what nobody checked.
    const NOT_OURS: &[&str] = &[
        "index out of bounds",
        "out of range",
        "range start",
        "range end",
        "slice index",
        "attempt to",
        "called `",
        "chunk size",
        "chunk_size",
        "mid > len",
        "capacity overflow",
        "unreachable code",
        "assertion",
        "slice length",
        "different lengths",
    ];

    /// Makes `count` random calls; the words of those that panicked as this crate does not are given back.
    fn make(count: u64) -> Vec<String> {
        set_hook(Box::new(|info| {
            let text = info.payload().downcast_ref::<String>().cloned();
            let text = text.or_else(|| info.payload().downcast_ref::<&str>().map(|&text| text.to_owned()));
            SAID.set(format!("{} ({})", text.unwrap_or_default(), info.location().unwrap()));
        }));
        let (mut wrong, mut refused) = (Vec::new(), 0);
        for number in 0..count {
            let generator = Generator::new(derive(14, number));
            let &(name, of) = generator.one_of(CALLS);
            let call = of[[0, 0, 0, 0, 0, 0, 0, 1, 1, 2][generator.below(10)]];
            guard::announce(number, name);
            guard::arm(Some(if number % 2 == 0 { Side::After } else { Side::Before }));
            let panicked = catch_unwind(AssertUnwindSafe(|| call(&generator))).is_err();
            guard::arm(None);
            if !panicked {
                continue;
            }
            refused += 1;
            let said = SAID.take();
            // Where two values were compared, the words follow.
            let said = said.strip_prefix("assertion `left == right` failed: ").unwrap_or(&said);
            let named = said.split_once(": ").is_some_and(|(name, _)| name.len() < 30);
            if !named || NOT_OURS.iter().any(|words| said.contains(words)) {
                wrong.push(format!("call {number}, {name}: {said}"));
            }
        }
        drop(take_hook());
        println!("{count} calls, of which {refused} were refused; {} blocks were guarded", guard::blocks());
        wrong
    }

    #[test]
    fn random_calls_touch_no_memory_but_their_own() {
        if env::var_os("GRADUS_SIMD").is_none() {
            for level in ["base", "avx2", "avx512"] {
                let run = alone("random_calls_touch_no_memory_but_their_own", "GRADUS_SIMD", level);
                let [out, said] = [&run.stdout, &run.stderr].map(|text| String::from_utf8_lossy(text));
                assert!(run.status.success(), "at {level}: {}\n{out}\n{said}", run.status);
            }
            return;
        }
        let count = env::var("GRADUS_GUARDED_CALLS").map_or(FEW, |count| count.parse().unwrap());
        let wrong = make(count);
        assert!(wrong.is_empty(), "{} calls:\n{}", wrong.len(), wrong[..wrong.len().min(30)].join("\n"));
    }

    /// In a process of its own: reads one entry beyond a block, or before it, or only what is in it.
    #[test]
    fn one_entry_out_of_bounds_is_a_signal() {
        let Ok(place) = env::var("GRADUS_GUARDED_PLACE") else {
            for (place, signal) in [("within", None), ("after", Some(11)), ("before", Some(11))] {
                let run = alone("one_entry_out_of_bounds_is_a_signal", "GRADUS_GUARDED_PLACE", place);
                assert_eq!(run.status.signal(), signal, "{place}: {}", String::from_utf8_lossy(&run.stderr));
            }
            return;
        };
        for side in [Side::After, Side::Before] {
            guard::arm(Some(side));
            let numbers = black_box(vec![1.0f32; 5]);
            guard::arm(None);
            let offset = match (place.as_str(), side) {
                ("after", Side::After) => 5,
                ("before", Side::Before) => -1,
                _ => 4,
            };
            // SAFETY: there is none, but within the block: that this ends the process is what is to be seen.
            assert_eq!(black_box(unsafe { *numbers.as_ptr().offset(offset) }), 1.0);
        }
    }
}

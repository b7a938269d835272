//! Kills at random moments, again and again.

use std::process::Stdio;
use std::time::{Duration, Instant};

use gradus::autograd::rng::Stream;

use super::{assert_same, count, done, project, recover, state};
use crate::program::gradus;

/// Kills that the gate tries.
const SAMPLE: usize = 12;

#[test]
fn trainings_that_are_killed_at_random_moments_end_as_if_they_had_not_been() {
    let begin = ["train", "--config", "small.toml", "--out", "run", "--steps", "120"];
    let kills = count("GRADUS_KILLS", SAMPLE);
    let mut stream = Stream::new(14);
    let (mut done_kills, mut trainings) = (0, 0);
    for rich in [false, true].into_iter().cycle() {
        if done_kills >= kills {
            break;
        }
        let project = project(rich);
        let start = Instant::now();
        done(project.path(), &begin);
        let length = start.elapsed();
        let expected = state(&project.path().join("run"));
        // A tenth of them at least, so that the reference is not trained anew for each.
        for _ in 0..(kills / 10).max(2) {
            let project = self::project(rich);
            let folder = project.path();
            trainings += 1;
            // Up to five kills of one training, each at a moment of its own.
            for _ in 0..1 + stream.bits() % 5 {
                let last = folder.join("run/checkpoints/last.gradus");
                let arguments: &[&str] = if last.exists() { &["train", "--resume", "run"] } else { &begin };
                let mut command = gradus(folder, arguments);
                let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                let moment = length.mul_f64((stream.bits() % 1000) as f64 / 1000.0);
                let end = Instant::now() + moment;
                while Instant::now() < end && child.try_wait().unwrap().is_none() {
                    std::thread::park_timeout(Duration::from_millis(1));
                }
                // One that has ended by itself cannot be killed.
                if child.try_wait().unwrap().is_none() {
                    child.kill().unwrap();
                    done_kills += 1;
                }
                child.wait().unwrap();
            }
            recover(folder, &begin);
            assert_same(&state(&folder.join("run")), &expected, &format!("kill {done_kills}"));
        }
    }
    println!("{done_kills} kills of {trainings} trainings: each ends with the same bits and files");
}

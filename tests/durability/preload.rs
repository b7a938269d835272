//! The library that lets calls to the system go wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::program::gradus;

/// The library, compiled once; `None` where it cannot be, which is said.
pub(super) fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    LIBRARY.get_or_init(compile).as_deref()
}

fn compile() -> Option<PathBuf> {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        eprintln!("skipped: crash points need Linux with the GNU C library");
        return None;
    }
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/durability/preload.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{}.so", std::process::id()));
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
    match compiler.output() {
        Ok(output) if output.status.success() => Some(library),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            eprintln!("skipped: crash points need a C compiler (cc)");
            None
        }
    }
}

/// A way in which a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Kill,
    Half,
    Fail,
    Short,
}

impl Fault {
    pub(super) const ALL: [Self; 4] = [Self::Kill, Self::Half, Self::Fail, Self::Short];

    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Half => "half",
            Self::Fail => "fail",
            Self::Short => "short",
        }
    }
}

/// The number of calls by which a command changes what is below `target`, a name in `folder`.
pub(super) fn calls(library: &Path, folder: &Path, target: &str, arguments: &[&str]) -> usize {
    let log = folder.join("calls.log");
    let mut command = gradus(folder, arguments);
    command.env("LD_PRELOAD", library).env("CRASH_FOLDER", folder.join(target));
    let output = command.env("CRASH_HOW", "count").env("CRASH_LOG", &log).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let calls = fs::read_to_string(&log).unwrap().lines().count();
    fs::remove_file(log).unwrap();
    calls
}

/// Runs a command of which the call number `at` goes wrong.
pub(super) fn crash(
    library: &Path,
    (folder, target): (&Path, &str),
    arguments: &[&str],
    (at, fault): (usize, Fault),
) -> Output {
    let mut command = gradus(folder, arguments);
    command.env("LD_PRELOAD", library).env("CRASH_FOLDER", folder.join(target));
    let output = command.env("CRASH_AT", at.to_string()).env("CRASH_HOW", fault.name()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{arguments:?}, {fault:?} at {at}: {stderr}");
    if matches!(fault, Fault::Fail | Fault::Short) {
        assert!(
            output.status.code().is_some_and(|code| code < 2),
            "{arguments:?}, {fault:?} at {at}: {}",
            output.status
        );
    }
    output
}

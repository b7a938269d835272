//! The kernels as a shared library, made by the system's C++ compiler and kept on disk.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kernels::cuda::driver::{CudaError, Result};
use crate::kernels::cuda::source::KERNELS;

macro_rules! files {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("device/", $name)))),*] };
}

/// What makes CUDA C++ of the compiler's C++, in front of the program.
const BEFORE: &[(&str, &str)] = files! { "fibers.h" "block.h" "language.h" };

/// What runs kernels, behind it.
const AFTER: (&str, &str) = ("launch.h", include_str!("device/launch.h"));

/// Bytes of a fiber's stack. What is not touched costs nothing.
const STACK: usize = 256 << 10;

/// Aliasing: kernels read `float` as `float4`, as CUDA allows. Contraction: the same bits on every processor.
const OPTIONS: [&str; 7] =
    ["-std=c++17", "-O1", "-w", "-fPIC", "-fno-strict-aliasing", "-ffp-contract=off", "-fvisibility=hidden"];

/// The program as C++, with a table of the kernels named in `exported` at its end.
pub(in super::super) fn unit(program: &str, exported: &[&str]) -> String {
    let mut text = format!("#define EMULATOR_STACK {STACK}\n");
    let mut add = |name: &str, file: &str| {
        // The compiler finds no file of these names, and needs none: they are all here.
        let lines =
            file.lines().filter(|line| !line.starts_with("#include \"") && !line.starts_with("#pragma once"));
        let file: String = lines.flat_map(|line| [line, "\n"]).collect();
        text += &format!("#line 2 \"{name}\"\n{file}");
    };
    for (name, file) in BEFORE {
        add(name, file);
    }
    add("program", program);
    add(AFTER.0, AFTER.1);
    text += "static const emulator::Kernel kernels[] = {\n";
    for kernel in exported {
        text += &format!("    EXPORT({kernel})\n");
    }
    text += "    {nullptr, nullptr, nullptr, 0}\n};\n";
    text
}

/// What a library shows.
const LIBRARY: &str = r#"
#define VISIBLE extern "C" __attribute__((visibility("default")))
VISIBLE const emulator::Kernel* emulator_kernels() { return kernels; }
VISIBLE const char* emulator_launch(const emulator::Kernel* kernel, const unsigned* blocks, unsigned threads, unsigned shared,
                                    void** arguments, unsigned long long order) {
    return emulator::launch(*kernel, blocks, threads, shared, arguments, order);
}
"#;

/// The compiler: `$CXX`, or what is usually there.
fn compilers() -> Vec<OsString> {
    std::env::var_os("CXX").into_iter().chain(["c++".into(), "g++".into(), "clang++".into()]).collect()
}

/// Where libraries are kept.
fn folder() -> PathBuf {
    match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) if !cache.is_empty() => PathBuf::from(cache).join("gradus"),
        _ => std::env::temp_dir().join("gradus-emulator"),
    }
}

/// The library of a program, compiled unless that was done before. `extra` are kernels besides the listed ones.
pub(super) fn library(program: &str, extra: &[&str]) -> Result<PathBuf> {
    let exported: Vec<&str> = KERNELS.iter().chain(extra).copied().collect();
    let mut options: Vec<&str> = OPTIONS.to_vec();
    options.push("-shared");
    compile(&(unit(program, &exported) + LIBRARY), &options, "so")
}

/// Compiles a text, or finds what an earlier run made of it. Written aside and renamed, so that of two runs at once neither
/// sees half a file.
pub(in super::super) fn compile(text: &str, options: &[&str], extension: &str) -> Result<PathBuf> {
    let compilers = compilers();
    let mut hasher = DefaultHasher::new();
    (text, options, &compilers, std::env::consts::ARCH).hash(&mut hasher);
    let folder = folder();
    let file = folder.join(format!("kernels-{:016x}.{extension}", hasher.finish()));
    if file.exists() {
        return Ok(file);
    }
    let trouble = |error| CudaError::new(format!("emulator: cannot write to {}: {error}", folder.display()));
    std::fs::create_dir_all(&folder).map_err(trouble)?;
    let aside = file.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
    let source = aside.with_extension("cpp");
    std::fs::write(&source, text).map_err(trouble)?;
    let made = run(&compilers, &source, &aside, options);
    let _ = std::fs::remove_file(&source);
    made?;
    std::fs::rename(&aside, &file).map_err(trouble)?;
    Ok(file)
}

/// Runs the first compiler that there is.
fn run(compilers: &[OsString], source: &Path, to: &Path, options: &[&str]) -> Result<()> {
    for compiler in compilers {
        let Ok(output) = Command::new(compiler).args(options).arg(source).arg("-o").arg(to).output() else {
            continue;
        };
        if output.status.success() {
            return Ok(());
        }
        let compiler = compiler.display();
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(CudaError::new(format!("emulator: {compiler} does not compile the kernels:\n{said}")));
    }
    Err(CudaError::new("emulator: no C++ compiler found (set CXX, or install g++)"))
}

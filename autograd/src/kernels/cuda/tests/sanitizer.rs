//! All cases once more, in a program of their own that the compiler's address and alignment sanitizers watch.

use std::collections::BTreeSet;
use std::fmt;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use super::*;
use crate::kernels::cuda::driver::{Address, Argument, Graph, Product, Result, Threads};
use crate::kernels::cuda::emulator::{compile, unit};
use crate::kernels::cuda::source::{BLOCK, KERNELS, program};

const OPTIONS: [&str; 7] = [
    "-std=c++17",
    "-O1",
    "-w",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
    "-fsanitize=address,alignment",
    "-fno-sanitize-recover=all",
];

/// Kernels that do what they must not.
const PLANTED: &str = "
KERNEL(one_beyond, BLOCK)(float* y, int n) {
    if ((int)threadIdx.x <= n) y[threadIdx.x] = 1.f;
}

KERNEL(one_beyond_shared, BLOCK)(float* y, int n) {
    float* room = (float*)launch_memory;
    room[threadIdx.x] = 1.f;
}

KERNEL(crooked, BLOCK)(float* y, int n) {
    if (threadIdx.x == 0) *(float4*)(y + 1) = make_float4(1.f, 2.f, 3.f, 4.f);
}
";

/// A driver that writes down what is asked of it. `dry` ones run no kernel.
pub(super) struct Recorder {
    inner: Emulator,
    dry: bool,
    record: Mutex<Vec<u8>>,
    kernels: Mutex<BTreeSet<&'static str>>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl Recorder {
    fn new(dry: bool) -> Arc<Self> {
        Self::over(Emulator::new(Order::Ascending).unwrap(), dry)
    }

    pub(super) fn over(inner: Emulator, dry: bool) -> Arc<Self> {
        Arc::new(Self { inner, dry, record: Mutex::default(), kernels: Mutex::default() })
    }

    /// The kernels that were launched.
    pub(super) fn launched(&self) -> BTreeSet<&'static str> {
        self.kernels.lock().unwrap().clone()
    }

    fn note(&self, what: u8, numbers: &[u64], bytes: &[u8]) {
        let mut record = self.record.lock().unwrap();
        record.push(what);
        record.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        record.extend(bytes);
    }
}

impl Driver for Recorder {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        let address = self.inner.allocate(bytes)?;
        self.note(b'A', &[address, bytes as u64], &[]);
        Ok(address)
    }

    fn free(&self, address: Address) {
        self.note(b'F', &[address], &[]);
        self.inner.free(address);
    }

    fn upload(&self, to: Address, bytes: &[u8]) -> Result<()> {
        self.note(b'U', &[to, bytes.len() as u64], bytes);
        self.inner.upload(to, bytes)
    }

    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<()> {
        self.inner.download(from, bytes)
    }

    fn shared_limit(&self, kernel: &'static str) -> u32 {
        self.inner.shared_limit(kernel)
    }

    fn launch(&self, kernel: &'static str, threads: Threads, arguments: &[Argument<'_>]) -> Result<()> {
        let [x, y, z] = threads.blocks;
        let mut words = [x, y, z, threads.block, threads.shared].map(u64::from).to_vec();
        words.push(arguments.len() as u64);
        for argument in arguments {
            match argument {
                Argument::Address(value) | Argument::U64(value) => words.extend([1, *value]),
                Argument::I32(value) => words.extend([1, u64::from(*value as u32)]),
                Argument::U32(value) => words.extend([1, u64::from(*value)]),
                Argument::F32(value) => words.extend([1, u64::from(value.to_bits())]),
                Argument::Struct(bytes) => {
                    words.push(bytes.len().div_ceil(8) as u64);
                    let mut bytes = bytes.to_vec();
                    bytes.resize(bytes.len().next_multiple_of(8), 0);
                    words.extend(bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())));
                }
            }
        }
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.note(b'L', &[kernel.len() as u64], &[kernel.as_bytes(), &words].concat());
        self.kernels.lock().unwrap().insert(kernel);
        if self.dry { Ok(()) } else { self.inner.launch(kernel, threads, arguments) }
    }

    fn product(&self, product: &Product) -> Result<()> {
        self.inner.product(product)
    }

    fn synchronize(&self) -> Result<()> {
        self.inner.synchronize()
    }

    fn capture(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Box<dyn Graph>> {
        self.inner.capture(work)
    }

    fn memory(&self) -> [usize; 2] {
        self.inner.memory()
    }
}

/// Whether the compiler can do it at all; if not, says so.
fn present() -> bool {
    let present = compile("int main() {}\n", &OPTIONS, "exe").is_ok();
    if !present {
        println!("SKIPPED address sanitizer: the C++ compiler has none");
    }
    present
}

/// Replays what was recorded, watched.
fn replay(recorder: &Recorder, extra: &[&str], program: &str) -> Output {
    let kernels: Vec<&str> = KERNELS.iter().chain(extra).copied().collect();
    let text = unit(program, &kernels) + include_str!("replay.h");
    let executable = compile(&text, &OPTIONS, "exe").unwrap();
    let name = format!("gradus-record-{}-{:?}", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, &*recorder.record.lock().unwrap()).unwrap();
    // The stacks of fibers are kept to the end, as they should be.
    let output = Command::new(executable).arg(&file).env("ASAN_OPTIONS", "detect_leaks=0").output().unwrap();
    std::fs::remove_file(file).unwrap();
    output
}

#[test]
fn no_kernel_touches_what_is_not_its_own() {
    if !present() {
        return;
    }
    let recorder = Recorder::new(false);
    for (_, case) in CASES {
        run(recorder.clone(), *case, false);
    }
    assert_eq!(recorder.launched(), KERNELS.iter().copied().collect(), "the kernels that the cases launch");
    let output = replay(&recorder, &[], &program());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.ends_with("launches\n"), "{said}");
}

#[test]
fn what_is_planted_is_found_by_the_sanitizer() {
    if !present() {
        return;
    }
    for (kernel, floats, wanted) in [
        ("one_beyond", 20, Some("heap-buffer-overflow")),
        ("one_beyond", 21, None),
        ("one_beyond_shared", 20, Some("heap-buffer-overflow")),
        ("crooked", 20, Some("misaligned address")),
    ] {
        let recorder = Recorder::new(true);
        let y = recorder.allocate(4 * floats).unwrap();
        let threads = Threads { blocks: [1, 1, 1], block: BLOCK, shared: 4 * (BLOCK - 1) };
        recorder.launch(kernel, threads, &[Argument::Address(y), Argument::I32(20)]).unwrap();
        let extra = ["one_beyond", "one_beyond_shared", "crooked"];
        let output = replay(&recorder, &extra, &(program() + PLANTED));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), wanted.is_none(), "{kernel}: {said}");
        assert!(said.contains(wanted.unwrap_or_default()), "{kernel}: {said}");
    }
}

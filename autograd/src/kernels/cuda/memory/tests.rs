use std::collections::BTreeMap;
use std::sync::Mutex;

use super::pool::size_class;
use super::*;
use crate::kernels::cuda::driver::{Address, Argument, Graph, Product, Threads};
use crate::kernels::cuda::emulator::{Emulator, Order};

/// A device that hands out addresses and has so much memory.
#[derive(Debug)]
struct Fake {
    capacity: usize,
    live: Mutex<BTreeMap<Address, usize>>,
    next: Mutex<Address>,
}

impl Fake {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, live: Mutex::default(), next: Mutex::new(4096) })
    }

    fn held(&self) -> usize {
        self.live.lock().unwrap().values().sum()
    }
}

impl Driver for Fake {
    fn name(&self) -> String {
        "fake".to_owned()
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        if self.held() + bytes > self.capacity {
            return Err(CudaError::new("fake: refused"));
        }
        let mut next = self.next.lock().unwrap();
        let address = *next;
        *next += (bytes as Address).next_multiple_of(256);
        self.live.lock().unwrap().insert(address, bytes);
        Ok(address)
    }

    fn free(&self, address: Address) {
        assert!(self.live.lock().unwrap().remove(&address).is_some(), "{address} is not allocated");
    }

    fn upload(&self, _: Address, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn download(&self, _: Address, _: &mut [u8]) -> Result<()> {
        Ok(())
    }

    fn shared_limit(&self, _: &'static str) -> u32 {
        0
    }

    fn launch(&self, _: &'static str, _: Threads, _: &[Argument<'_>]) -> Result<()> {
        Ok(())
    }

    fn product(&self, _: &Product) -> Result<()> {
        Ok(())
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    fn capture(&self, _: &mut dyn FnMut() -> Result<()>) -> Result<Box<dyn Graph>> {
        Err(CudaError::new("nothing to capture"))
    }

    fn memory(&self) -> [usize; 2] {
        [self.held(), self.held()]
    }
}

const MIB: usize = 1 << 20;

#[test]
fn size_classes_are_aligned_and_waste_little() {
    for bytes in [0, 1, 512, 513, 2047, 2049, 5000, 300_000, MIB, MIB + 1, 3 * MIB, 100 * MIB + 1, 3 << 30] {
        let class = size_class(bytes);
        assert!(class >= bytes.max(1), "{bytes} -> {class}");
        assert!(class <= bytes + (bytes / 4).max(2 * MIB), "{bytes} -> {class}");
        assert_eq!(class % if class > MIB { 2 * MIB } else { 512 }, 0, "{bytes} -> {class}");
        assert_eq!(size_class(class), class, "a class is its own class");
    }
    assert_eq!([size_class(1), size_class(513), size_class(5000)], [512, 1024, 5120]);
    assert_eq!(size_class(MIB + 1), 2 * MIB);
}

#[test]
fn live_buffers_never_overlap() {
    let fake = Fake::new(1 << 40);
    let memory = Memory::new(fake.clone());
    let mut live: Vec<DeviceBuffer> = Vec::new();
    let mut random = 1u64;
    for _ in 0..1500 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = (random >> 33) as usize;
        if draw % 5 < 3 || live.is_empty() {
            let buffer = memory.allocate(draw % (1 << (draw % 24))).unwrap();
            assert_eq!(buffer.address() % 256, 0);
            live.push(buffer);
        } else {
            live.swap_remove(draw % live.len());
        }
        let mut spans: Vec<_> =
            live.iter().map(|b| (b.address(), b.address() + b.bytes() as Address)).collect();
        spans.sort_unstable();
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
        let held = fake.live.lock().unwrap();
        for (start, end) in spans {
            let (address, bytes) = held.range(..=start).next_back().unwrap();
            assert!(
                start > 0 && end <= address + *bytes as Address,
                "a buffer reaches out of its allocation"
            );
        }
    }
    drop(live);
    assert_eq!(memory.in_use(), 0);
    assert!(memory.peak() > 0 && memory.peak() <= fake.held());
    drop(memory);
    assert_eq!(fake.held(), 0, "all goes back to the driver in the end");
}

#[test]
fn a_dropped_buffer_is_reused_at_once() {
    let fake = Fake::new(1 << 40);
    let memory = Memory::new(fake.clone());
    for bytes in [3000, 40 * MIB] {
        let first = memory.allocate(bytes).unwrap();
        let address = first.address();
        drop(first);
        let second = memory.allocate(bytes - bytes / 10).unwrap();
        assert_eq!(second.address(), address, "a little less finds the same block");
        let third = memory.allocate(bytes).unwrap();
        assert_ne!(third.address(), address, "which has an owner now");
        drop((second, third));
        assert_ne!(memory.allocate(bytes / 4).unwrap().address(), address, "far less does not waste it");
    }
    let held = fake.held();
    for _ in 0..100 {
        drop((memory.allocate(3000).unwrap(), memory.allocate(40 * MIB).unwrap()));
    }
    assert_eq!(fake.held(), held, "a step like the last one asks the driver for nothing");
}

#[test]
fn counters_follow_buffers() {
    let memory = Memory::new(Fake::new(1 << 40));
    let a = memory.allocate(4 * MIB).unwrap();
    let b = memory.allocate(100).unwrap();
    assert_eq!([memory.in_use(), memory.peak()], [4 * MIB + 512, 4 * MIB + 512]);
    drop(a);
    assert_eq!([memory.in_use(), memory.peak()], [512, 4 * MIB + 512]);
    memory.reset_peak();
    assert_eq!(memory.peak(), 512);
    b.upload(&[1; 100]).unwrap();
    b.download(&mut [0; 7]).unwrap();
    b.download(&mut [0; 8]).unwrap();
    assert_eq!(memory.copies(), [1, 2]);
    let message = b.upload(&[1; 101]).unwrap_err().to_string();
    assert_eq!(message, "upload of 101 bytes in a device buffer of 100", "though its block is larger");
    assert_eq!(memory.copies(), [1, 2]);
}

#[test]
fn what_waits_is_given_back_before_memory_runs_out() {
    let fake = Fake::new(96 * MIB);
    let memory = Memory::new(fake.clone());
    let kept = memory.allocate(40 * MIB).unwrap();
    drop(memory.allocate(48 * MIB).unwrap());
    // Too large for the block that waits, and for what the driver has left beside it.
    let second = memory.allocate(56 * MIB).unwrap();
    assert_eq!(fake.held(), 96 * MIB);
    let message = memory.allocate(3 * MIB / 2).unwrap_err().to_string();
    assert_eq!(message, "fake: refused: 1.5 MiB wanted beside 96.0 MiB in use and 0 bytes kept for reuse");
    drop((kept, second));
    memory.allocate(90 * MIB).unwrap();
    // Also for a reserve, whose own blocks stay.
    let reserve = memory.reserve();
    memory.within(&reserve, || drop(memory.allocate(40 * MIB).unwrap()));
    let message = memory.allocate(60 * MIB).unwrap_err().to_string();
    assert_eq!(message, "fake: refused: 60.0 MiB wanted beside 0 bytes in use and 40.0 MiB kept for reuse");
}

#[test]
fn a_reserve_keeps_its_addresses_to_itself() {
    let fake = Fake::new(1 << 40);
    let memory = Memory::new(fake.clone());
    drop(memory.allocate(8 * MIB).unwrap());
    let reserve = memory.reserve();
    let (inside, kept) = memory.within(&reserve, || {
        let dropped = memory.allocate(8 * MIB).unwrap();
        let address = dropped.address();
        drop(dropped);
        let kept = memory.allocate(6 * MIB).unwrap();
        assert_eq!(kept.address(), address, "within, memory is recycled as ever");
        (address, kept)
    });
    drop(kept);
    let common = memory.allocate(8 * MIB).unwrap();
    assert_ne!(common.address(), inside, "outside, what the reserve holds is left alone");
    memory.trim();
    memory.within(&reserve, || assert_eq!(memory.allocate(8 * MIB).unwrap().address(), inside));
    let held = fake.held();
    drop(reserve);
    assert_eq!(held - fake.held(), 8 * MIB, "a dropped reserve goes back to the driver");
}

#[test]
fn a_panic_within_a_reserve_leaves_it() {
    let memory = Memory::new(Fake::new(1 << 40));
    let reserve = memory.reserve();
    let work = || memory.within(&reserve, || panic!("on purpose"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err());
    assert!(Arc::ptr_eq(&memory.current.lock().unwrap(), &memory.common));
}

/// `y += 1`, on a device; what it needs on the way is given back before the work is done.
fn add_one(memory: &Arc<Memory>, y: &DeviceBuffer) -> Result<()> {
    let (count, threads) = (y.bytes() / 4, Threads { blocks: [2, 1, 1], block: 256, shared: 0 });
    let ones = memory.allocate(y.bytes())?;
    let [one, y] = [ones.address(), y.address()].map(Argument::Address);
    let count = Argument::U64(count as u64);
    memory.driver().launch("fill", threads, &[one, count, Argument::F32(1.0)])?;
    memory.driver().launch("add_assign", threads, &[y, one, count])
}

#[test]
fn recorded_work_keeps_its_memory() {
    let emulator = match Emulator::new(Order::Ascending) {
        Ok(emulator) => Arc::new(emulator),
        Err(missing) => return eprintln!("SKIPPED emulator: {missing}"),
    };
    let memory = Memory::new(emulator);
    let y = memory.allocate(4 * 1000).unwrap();
    y.upload(&[0; 4 * 1000]).unwrap();
    let reserve = memory.reserve();
    // Once unrecorded, for the emulator gives no memory while it records.
    memory.within(&reserve, || add_one(&memory, &y)).unwrap();
    let graph = memory.within(&reserve, || memory.driver().capture(&mut || add_one(&memory, &y))).unwrap();
    for _ in 0..3 {
        // Whoever allocates between two replays gets other memory than the recorded work has.
        let others: Vec<_> = (0..10).map(|_| memory.allocate(4 * 1000).unwrap()).collect();
        others.iter().for_each(|other| other.upload(&[7; 4 * 1000]).unwrap());
        graph.replay().unwrap();
        for other in others {
            let mut bytes = [0; 4 * 1000];
            other.download(&mut bytes).unwrap();
            assert!(bytes == [7; 4 * 1000], "the recorded work wrote to it");
        }
    }
    let mut bytes = [0; 4 * 1000];
    y.download(&mut bytes).unwrap();
    assert!(bytes.chunks(4).all(|float| float == 4f32.to_le_bytes()));
}

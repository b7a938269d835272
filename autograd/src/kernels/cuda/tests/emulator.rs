//! The emulator finds what is planted, and does what a card does.

use std::sync::Arc;

use super::*;
use crate::kernels::cuda::driver::Argument::{self, Address, F32, I32, U64};
use crate::kernels::cuda::driver::{Factor, Precision, Product, Result, Threads};
use crate::kernels::cuda::source::{BLOCK, SOURCE, program};

/// Kernels with a fault each.
const PLANTED: &str = "
#line 1 \"planted.cu\"
// Each thread shows a number to the one after the next, without waiting for it to be written.
KERNEL(no_barrier, BLOCK)(const float* x, float* y) {
    __shared__ float room[BLOCK];
    room[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = room[(threadIdx.x + 2) % BLOCK];
}

KERNEL(no_warp_barrier, 32)(const float* x, float* y) {
    __shared__ float room[32];
    room[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = room[31 - threadIdx.x];
}

KERNEL(with_barrier, BLOCK)(const float* x, float* y) {
    __shared__ float room[BLOCK];
    room[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = room[(threadIdx.x + 2) % BLOCK];
}

KERNEL(left_barrier, BLOCK)(float* y, int rows) {
    if ((int)threadIdx.x >= rows) return;
    __syncthreads();
    y[threadIdx.x] = 1.f;
}

KERNEL(parted_lanes, 32)(float* y) {
    if (threadIdx.x < 16) y[threadIdx.x] = warp_sum(1.f);
    else __syncthreads();
}

KERNEL(two_barriers, BLOCK)(float* y) {
    if (threadIdx.x < 128) {
        __syncthreads();
    } else {
        __syncthreads();
    }
    y[threadIdx.x] = 1.f;
}

// Lanes that have left show nothing.
KERNEL(left_lanes, 32)(float* y) {
    if (threadIdx.x >= 16) return;
    y[threadIdx.x] = __shfl_xor_sync(ALL_LANES, 1.f, 16);
}

KERNEL(two_writers, BLOCK)(float* y) {
    y[0] = blockIdx.x;
}
";

const NAMES: [&str; 8] = [
    "no_barrier",
    "no_warp_barrier",
    "with_barrier",
    "left_barrier",
    "parted_lanes",
    "two_barriers",
    "left_lanes",
    "two_writers",
];

fn planted(order: Order) -> Emulator {
    Emulator::of(&(program() + PLANTED), &NAMES, order).unwrap()
}

fn launch(driver: &Emulator, kernel: &'static str, threads: u32, arguments: &[Argument<'_>]) -> Result<()> {
    driver.launch(kernel, Threads { blocks: [3, 1, 1], block: threads, shared: 0 }, arguments)
}

/// What a kernel from `x` to `y` computes in each order.
fn computed(kernel: &'static str, threads: usize) -> [Vec<u32>; 3] {
    ORDERS.map(|order| {
        let device = Device::new(Arc::new(planted(order)), 0, true);
        let (x, y) = (device.floats(&device::random(threads, 1)), device.room(threads));
        device.launch_in(kernel, threads as u32, &[Address(x), Address(y)]);
        device.read(y, threads);
        device.bits()
    })
}

#[test]
fn a_missing_barrier_shows_in_the_order_of_threads() {
    let [a, b, c] = computed("with_barrier", BLOCK as usize);
    assert!(a == b && b == c);
    let [a, b, c] = computed("no_barrier", BLOCK as usize);
    assert!(a != b && b != c && a != c);
    let [a, b, c] = computed("no_warp_barrier", 32);
    assert!(a != b && b != c && a != c);
}

#[test]
fn two_writers_show_in_the_order_of_blocks() {
    let [a, b, _] = ORDERS.map(|order| {
        let driver = planted(order);
        let y = driver.allocate(4).unwrap();
        launch(&driver, "two_writers", BLOCK, &[Address(y)]).unwrap();
        let mut bytes = [0; 4];
        driver.download(y, &mut bytes).unwrap();
        f32::from_le_bytes(bytes)
    });
    assert_eq!((a, b), (2.0, 0.0));
}

#[test]
fn waiting_in_vain_is_an_error_and_the_next_launch_runs() {
    let driver = planted(Order::Ascending);
    let y = driver.allocate(4 * BLOCK as usize).unwrap();
    let said = |kernel, threads, arguments: &[Argument<'_>]| {
        launch(&driver, kernel, threads, arguments).unwrap_err().to_string()
    };
    assert_eq!(
        said("left_barrier", BLOCK, &[Address(y), I32(100)]),
        "emulator: left_barrier: deadlock: threads wait at the barrier in line 23, which others never reach \
         (block 0, 0, 0)"
    );
    launch(&driver, "left_barrier", BLOCK, &[Address(y), I32(BLOCK as i32)]).unwrap();
    assert!(said("parted_lanes", 32, &[Address(y)]).contains("lanes of a warp part"));
    assert!(said("two_barriers", BLOCK, &[Address(y)]).contains("wait at different barriers"));
    launch(&driver, "left_lanes", 32, &[Address(y)]).unwrap();
    let mut bytes = [0; 4];
    driver.download(y, &mut bytes).unwrap();
    assert!(f32::from_le_bytes(bytes).is_nan(), "a lane that has left showed something");
}

#[test]
fn launches_are_compared_with_what_kernels_take() {
    let driver = Emulator::new(Order::Ascending).unwrap();
    let y = driver.allocate(40).unwrap();
    let said = |kernel, threads, arguments: &[Argument<'_>]| {
        launch(&driver, kernel, threads, arguments).unwrap_err().to_string()
    };
    assert_eq!(
        said("fill", BLOCK, &[Address(y), I32(10), F32(1.0)]),
        "emulator: fill takes (pqf), not (pif)"
    );
    assert_eq!(
        said("fill", 128, &[Address(y), U64(10), F32(1.0)]),
        "emulator: fill: blocks of 128 threads, where the kernel is written for 256 (block 0, 0, 0)"
    );
    assert_eq!(
        said("fill", BLOCK, &[Address(1 << 20), U64(10), F32(1.0)]),
        "emulator: argument 0 of fill lies in no allocated block"
    );
    let threads = Threads { blocks: [1, 1 << 16, 1], block: BLOCK, shared: 0 };
    let many = driver.launch("fill", threads, &[Address(y), U64(10), F32(1.0)]).unwrap_err().to_string();
    assert_eq!(
        many,
        "emulator: fill: 65536 by 1 blocks along y and z, where there may be 65535 (block 0, 0, 0)"
    );
    assert_eq!(said("fil", BLOCK, &[]), "emulator: there is no kernel fil");
    assert_eq!(
        driver.upload(y + 36, &[0; 8]).unwrap_err().to_string(),
        "emulator: an upload wants 8 bytes, where its block has 4 more"
    );
    driver.free(y);
    assert_eq!(
        driver.download(y, &mut [0; 4]).unwrap_err().to_string(),
        "emulator: a download lies in no allocated block"
    );
    assert_eq!(driver.memory(), [0, 40]);
}

#[test]
fn a_program_that_does_not_compile_is_quoted_by_file_and_line() {
    let text = program().replacen("y[i] = keep", "y[i] = kept", 1);
    let said = Emulator::of(&text, &[], Order::Ascending).unwrap_err().to_string();
    let (_, file) = SOURCE[0];
    let line = 1 + file.lines().position(|line| line.contains("y[i] = keep")).unwrap();
    assert!(said.contains(&format!("common.cuh:{line}:")) && said.contains("kept"), "{said}");
}

#[test]
fn captured_work_runs_when_it_is_replayed() {
    let driver = Emulator::new(Order::Ascending).unwrap();
    let x = driver.allocate(16).unwrap();
    driver.upload(x, &[0; 16]).unwrap();
    let factor = |stride| Factor { address: x, stride, transposed: false, step: 0 };
    let y = driver.allocate(16).unwrap();
    let product = Product {
        m: 2,
        k: 2,
        n: 2,
        batch: 1,
        a: factor(2),
        b: factor(2),
        c: y,
        keep: false,
        precision: Precision::F32,
    };
    let mut work = || {
        assert!(driver.synchronize().is_err() && driver.upload(x, &[]).is_err());
        // The bytes of an argument are the graph's own.
        let value = 1.5;
        launch(&driver, "fill", BLOCK, &[Address(x), U64(4), F32(value)])?;
        driver.product(&product)
    };
    let graph = driver.capture(&mut work).unwrap();
    let read = |at| {
        let mut bytes = [0; 4];
        driver.download(at, &mut bytes).unwrap();
        f32::from_le_bytes(bytes)
    };
    assert_eq!(read(x), 0.0);
    graph.replay().unwrap();
    assert_eq!((read(x), read(y + 12)), (1.5, 4.5));
}

#[test]
fn products_are_those_of_the_definition() {
    let driver = Emulator::new(Order::Ascending).unwrap();
    let device = Device::new(Arc::new(driver), 0, true);
    let (m, k, n, batch) = (5, 7, 3, 2);
    for (a_transposed, b_transposed, precision) in [
        (false, false, Precision::F32),
        (true, false, Precision::F32),
        (false, true, Precision::Tf32),
        (true, true, Precision::Bf16),
    ] {
        // Rows one entry longer than they need to be.
        let stride =
            |rows: usize, columns: usize, transposed| if transposed { rows + 1 } else { columns + 1 };
        let (a_stride, b_stride) = (stride(m, k, a_transposed), stride(k, n, b_transposed));
        let (a, b) = (device::random(200, 1), device::random(200, 2));
        let factor = |x: &[f32], stride, transposed, step| Factor {
            address: device.floats(x),
            stride,
            transposed,
            step,
        };
        let c = device.room(batch * m * n);
        let mut product = Product {
            m,
            k,
            n,
            batch,
            a: factor(&a, a_stride, a_transposed, 100),
            b: factor(&b, b_stride, b_transposed, 0),
            c,
            keep: false,
            precision,
        };
        let expected: Vec<f64> = (0..batch * m * n)
            .map(|i| {
                let (batch, row, column) = (i / (m * n), i / n % m, i % n);
                let at = |stride, transposed, row, column| {
                    if transposed { column * stride + row } else { row * stride + column }
                };
                let term = |l| {
                    let a = a[batch * 100 + at(a_stride, a_transposed, row, l)];
                    f64::from(a) * f64::from(b[at(b_stride, b_transposed, l, column)])
                };
                (0..k).map(term).sum()
            })
            .collect();
        let tolerance = match precision {
            Precision::F32 => 1e-6,
            Precision::Tf32 => 1e-3,
            Precision::Bf16 => 1e-2,
        };
        device.product(&product);
        device::assert_near(&device.read(c, batch * m * n), &expected, tolerance);
        product.keep = true;
        device.product(&product);
        let twice: Vec<f64> = expected.iter().map(|x| 2.0 * x).collect();
        device::assert_near(&device.read(c, batch * m * n), &twice, tolerance);
        // Nothing to sum.
        product.k = 0;
        device.product(&product);
        device::assert_near(&device.read(c, batch * m * n), &twice, tolerance);
        product.keep = false;
        device.product(&product);
        assert!(device.read(c, batch * m * n).iter().all(|c| *c == 0.0));
    }
}

//! Cards of which a block can have less shared memory than the largest.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::sanitizer::Recorder;
use super::*;
use crate::kernels::cuda::Cuda;
use crate::kernels::cuda::attention::note;
use crate::kernels::cuda::driver::Argument::{self, Address};
use crate::kernels::cuda::driver::Threads;
use crate::kernels::cuda::source::{BLOCK, attention_backward_shared, program};
use crate::ops::attention::{Attention, Packed};
use crate::rng::Stream;
use crate::{Tape, Tensor};

/// KiB of shared memory of a block on a Turing, a GeForce RTX 30, 40 or 50, an A100, an H100; the columns of the heads that it
/// computes with its fast kernels, forward and backward.
const LIMITS: [(u32, [&[usize]; 2]); 4] = [
    (64, [&[32, 64], &[32]]),
    (99, [&[32, 64, 128], &[32, 64]]),
    (163, [&[32, 64, 128], &[32, 64, 128]]),
    (227, [&[32, 64, 128], &[32, 64, 128]]),
];

fn emulator(kibibytes: u32, order: Order) -> Emulator {
    Emulator::limited(order, kibibytes << 10).unwrap()
}

/// Causal attention with two heads of `d` columns and dropout, and its gradients, on a device: their bits.
fn attend(cuda: &Cuda, d: usize) -> Vec<u32> {
    let device = crate::Device::Cuda(cuda.clone());
    let tape = Tape::train(3);
    let normal = |seed| Tensor::<f32>::normal([2, 70, 2 * d], 1.0, &mut Stream::new(seed)).to(&device);
    let [q, k, v] = [1, 2, 3].map(|seed| tape.input(normal(seed)));
    let kept = std::array::from_fn::<u32, 140, _>(|row| 1 + row as u32 % 70);
    let settings =
        Attention { kept: Some(kept.into()), dropout: 0.2, key: tape.next_key(), ..Attention::plain(2) };
    let y = q.attention(k, v, &settings);
    let value = y.value();
    let gradients = y.backward_with(normal(4));
    let all = [value].into_iter().chain([q, k, v].map(|x| gradients.wrt(x).unwrap().clone()));
    all.flat_map(|x| x.to(&crate::Device::Cpu).as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn heads_take_the_fast_kernels_where_a_block_has_the_shared_memory_and_others_elsewhere() {
    for d in [32, 64, 128] {
        let mut fast_results = BTreeSet::new();
        for (kibibytes, fast) in LIMITS {
            let recorder = Recorder::over(emulator(kibibytes, Order::Ascending), false);
            let cuda = Cuda::new(format!("{kibibytes} KiB"), recorder.clone());
            let result = attend(&cuda, d);
            let names = ["attention", "attention_backward"];
            let expected = std::array::from_fn::<_, 2, _>(|pass| match fast[pass].contains(&d) {
                true => format!("{}_{d}", names[pass]),
                false => format!("{}_any", names[pass]),
            });
            let launched = recorder.launched();
            let launched: Vec<_> = launched.iter().filter(|name| name.starts_with("attention")).collect();
            let mut sorted = expected.clone();
            sorted.sort_unstable();
            assert_eq!(
                launched.iter().map(|name| (**name).to_owned()).collect::<Vec<_>>(),
                sorted,
                "{kibibytes} KiB, {d}"
            );
            assert_eq!(
                cuda.attention_kernels(d),
                expected.each_ref().map(String::as_str),
                "{kibibytes} KiB, {d}"
            );
            if fast.iter().all(|fast| fast.contains(&d)) {
                fast_results.insert(result);
            }
        }
        assert_eq!(fast_results.len(), 1, "the same kernels, the same bits, for heads of {d}");
    }
}

/// What the program says before and after each barrier within a tile of attention.
const BARRIERS: [(&str, &str); 5] = [
    ("        // Nobody reads keys any more.\n", "        store_tile<D>(keys, values);\n"),
    ("        store_tile<D>(keys, values);\n", "        add_product<D>(weights, keys, out);\n"),
    ("                }\n", "                if (dv) add_transposed<D>(scores, upstream, of_values);\n"),
    (
        "                if (dv) add_transposed<D>(scores, upstream, of_values);\n",
        "                if (dk || dq) {\n",
    ),
    ("                    store_scores(scores, change);\n", "                    if (dk) add_transposed"),
];

#[test]
fn every_barrier_within_a_tile_of_attention_is_missed_where_it_is_missing() {
    let right = attend(&Cuda::new("emulator".to_owned(), Arc::new(emulator(227, Order::Ascending))), 32);
    for (before, after) in BARRIERS {
        let whole = program();
        let barrier = ["", "        ", "            "]
            .map(|more| format!("{before}        {more}__syncthreads();\n{after}"));
        let there = barrier.iter().find(|text| whole.matches(text.as_str()).count() == 1).unwrap();
        let text = whole.replacen(there.as_str(), &format!("{before}{after}"), 1);
        let wrong = [Order::Ascending, Order::Descending].into_iter().any(|order| {
            let driver = Arc::new(Emulator::of(&text, &[], order).unwrap());
            attend(&Cuda::new("emulator".to_owned(), driver), 32) != right
        });
        assert!(wrong, "without the barrier after {before:?}");
    }
}

#[test]
fn kernels_for_heads_of_any_size_give_the_same_bits_in_any_order_of_threads() {
    for (kibibytes, d) in [(64, 64), (64, 128), (99, 128)] {
        let [a, b, c] = ORDERS.map(|order| {
            let driver = Arc::new(emulator(kibibytes, order));
            attend(&Cuda::new("emulator".to_owned(), driver), d)
        });
        assert!(a == b && b == c, "{kibibytes} KiB, heads of {d}");
    }
}

#[test]
fn every_kernel_agrees_with_its_definition_in_64_kib_of_shared_memory() {
    for (_, case) in CASES {
        run(Arc::new(emulator(64, Order::Ascending)), *case, true);
    }
}

#[test]
fn attention_agrees_with_the_cpu_at_each_limit_of_shared_memory() {
    for (kibibytes, _) in LIMITS {
        attention::case(&cuda_case(kibibytes));
    }
}

fn cuda_case(kibibytes: u32) -> Device {
    Device::new(Arc::new(emulator(kibibytes, Order::Shuffled(7))), 0, true)
}

#[test]
fn more_sentences_than_a_grid_has_blocks_are_attended_to() {
    // All but these are without words, on both sides of where the second launch begins.
    let mut lengths = vec![0; 65_540];
    for at in [0, 1, 65_534, 65_535, 65_539] {
        lengths[at] = 2 + at % 4;
    }
    let rows: usize = lengths.iter().sum();
    let packed = Packed::new(&lengths, &lengths);
    let run = |device: crate::Device| {
        let tape = Tape::train(3);
        let normal = |seed| Tensor::<f32>::normal([rows, 32], 1.0, &mut Stream::new(seed)).to(&device);
        let [q, k, v] = [1, 2, 3].map(|seed| tape.input(normal(seed)));
        let settings = Attention {
            packed: Some(packed.clone()),
            dropout: 0.2,
            key: tape.next_key(),
            ..Attention::plain(1)
        };
        let y = q.attention(k, v, &settings);
        let value = y.value();
        let gradients = y.backward_with(normal(4));
        let all = [value].into_iter().chain([q, k, v].map(|x| gradients.wrt(x).unwrap().clone()));
        all.map(|x| x.to(&crate::Device::Cpu).as_slice().to_vec()).collect::<Vec<_>>()
    };
    let cuda = Cuda::new("emulator".to_owned(), Arc::new(emulator(227, Order::Ascending)));
    for (found, expected) in run(crate::Device::Cuda(cuda)).iter().zip(run(crate::Device::Cpu)) {
        device::assert_near(found, &device::wide(&expected), 2e-6);
    }
}

#[test]
fn a_launch_that_asks_for_more_than_a_block_has_is_refused() {
    let driver = emulator(64, Order::Ascending);
    let y = driver.allocate(4).unwrap();
    let said = |kernel, shared, arguments: &[Argument<'_>]| {
        let threads = Threads { blocks: [1, 1, 1], block: BLOCK, shared };
        driver.launch(kernel, threads, arguments).map_err(|error| error.to_string())
    };
    let (limit, sum) = (64 << 10, [Address(y), Argument::F32(1.0), Address(y), Argument::I32(0)]);
    // What it declares itself counts too.
    assert_eq!(said("sum_finish", limit - 64, &sum), Ok(()));
    assert_eq!(
        said("sum_finish", limit - 63, &sum),
        Err("emulator: sum_finish asks for 65473 bytes of shared memory, and a block can have 65472"
            .to_owned())
    );
    assert_eq!(driver.shared_limit("attention_backward_64"), limit);
    assert!(attention_backward_shared(64) > limit);
}

#[test]
fn a_card_with_too_little_shared_memory_for_any_kernel_is_not_opened() {
    let said =
        |shared| Cuda::emulator_of(shared).map(|cuda| cuda.to_string()).map_err(|error| error.to_string());
    assert_eq!(said(1024), Ok("emulator:1KiB".to_owned()));
    assert_eq!(
        said(1023),
        Err("emulator:1023B: sum_rows_partial wants 1024 bytes of shared memory, and a block can have 1023"
            .to_owned())
    );
    assert_eq!("emulator:99KiB".parse::<crate::Device>().unwrap().to_string(), "emulator:99KiB");
    let said = "emulator:0KiB".parse::<crate::Device>().unwrap_err().to_string();
    assert_eq!(said, "emulator:0KiB: sum_partial wants 32 bytes of shared memory, and a block can have 0");
    for name in ["emulator:99", "emulator:KiB", "emulator:-1KiB", "emulator:99999999KiB"] {
        assert!(name.parse::<crate::Device>().unwrap_err().to_string().contains("no such device"), "{name}");
    }
}

#[test]
fn what_is_slower_for_want_of_shared_memory_is_said_once() {
    let cuda = Cuda::new("card".to_owned(), Arc::new(emulator(64, Order::Ascending)));
    assert_eq!([32, 40, 256].map(|d| note(&cuda, d)), [None, None, None]);
    assert_eq!(
        note(&cuda, 64).unwrap(),
        "card: a block has 65536 bytes of shared memory, and the fast kernel of attention's backward pass for heads of 64 \
         columns asks for 87808: the general kernel takes its place, and is slower"
    );
    assert_eq!(
        note(&cuda, 128).unwrap(),
        "card: a block has 65536 bytes of shared memory, and the fast kernel of attention for heads of 128 columns asks for \
         85248: the general kernel takes its place, and is slower"
    );
    assert!(cuda.says_first(64) && !cuda.says_first(64) && cuda.says_first(128) && !cuda.says_first(128));
    let large = Cuda::new("card".to_owned(), Arc::new(emulator(163, Order::Ascending)));
    assert_eq!([32, 64, 128].map(|d| note(&large, d)), [None, None, None]);
}

#[test]
#[should_panic(
    expected = "fill on card: 1 × 65536 × 1 blocks, where a card runs at most 2147483647 × 65535 × 65535"
)]
fn a_grid_that_no_card_runs_is_refused_before_it_is_launched() {
    let cuda = Cuda::new("card".to_owned(), Arc::new(emulator(227, Order::Ascending)));
    cuda.launch_blocks("fill", [1, 65_536], &[]);
}

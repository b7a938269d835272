//! Every op on every device there is, against the processor: what it computes, and its gradients.
//!
//! The emulator is there wherever a C++ compiler is. A card is looked for; where there is none a line says so, and with
//! `REQUIRE_CUDA=1` that is a failure.

#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Mutex, PoisonError};

use autograd::cases::{Build, Case};
use autograd::kernels::cuda::{Cuda, GraphMemory, Order};
use autograd::ops::attention::{Attention, Packed};
use autograd::rng::Stream;
use autograd::{Device, Ids, Precision, Seed, Tape, Tensor, ops, restage, stage};

/// The devices of this machine, without the processor.
fn devices() -> Vec<Cuda> {
    let mut devices = Vec::new();
    match Cuda::emulator() {
        Ok(emulator) => devices.push(emulator),
        Err(error) => println!("SKIPPED on {error}"),
    }
    match Cuda::open(0) {
        Ok(card) => devices.push(card),
        Err(error) => {
            println!("SKIPPED on {error}");
            assert!(std::env::var_os("REQUIRE_CUDA").is_none(), "REQUIRE_CUDA is set: {error}");
        }
    }
    devices
}

/// Emulated cards with less shared memory than the largest have, and that one: Turing, GeForce RTX 30 to 50, A100, H100.
fn of_all_limits() -> Vec<Cuda> {
    let limits = [64, 99, 163, 227].map(|kibibytes| Cuda::emulator_of(kibibytes << 10));
    limits.into_iter().flatten().collect()
}

/// Tests share the devices, and one of them changes how they multiply.
static ALONE: Mutex<()> = Mutex::new(());

/// The output of a case and its input gradients for a random cotangent.
fn run(case: &Case, build: Build<f32>, device: &Device) -> Vec<Tensor> {
    let tape = Tape::train(3);
    let vars: Vec<_> = case.inputs().iter().map(|x| tape.input(x.cast().to(device))).collect();
    let y = build(&tape, &vars);
    let value = y.value();
    let cotangent = Tensor::normal(value.shape(), 1.0, &mut Stream::new(9)).to(device);
    let gradients = y.backward_with(cotangent);
    let zeros = |x: &Tensor<f64>| Tensor::zeros(x.shape());
    let dx = vars.iter().zip(case.inputs());
    let dx = dx.map(|(&var, x)| gradients.wrt(var).cloned().unwrap_or_else(|| zeros(&x)));
    [value].into_iter().chain(dx).map(|x| x.to(&Device::Cpu)).collect()
}

/// `‖a − b‖ / ‖b‖`, the largest of all.
fn distance(a: &[Tensor], b: &[Tensor]) -> f64 {
    let of = |(a, b): (&Tensor, &Tensor)| {
        assert_eq!(a.shape(), b.shape());
        let pairs = || a.as_slice().iter().zip(b.as_slice()).map(|(&a, &b)| (f64::from(a), f64::from(b)));
        let off = pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        let size = pairs().map(|(_, b)| b * b).sum::<f64>().sqrt();
        if off == 0.0 { 0.0 } else { off / size }
    };
    a.iter().zip(b).map(of).fold(0.0, f64::max)
}

fn bits(x: &[Tensor]) -> Vec<u32> {
    x.iter().flat_map(|x| x.as_slice().iter().map(|x| x.to_bits())).collect()
}

#[test]
fn every_op_computes_what_the_processor_does() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all = devices();
    all.extend(of_all_limits().into_iter().filter(|limited| limited.to_string() != "emulator"));
    for cuda in all {
        let device = Device::Cuda(cuda.clone());
        for case in ops::ALL.iter().flat_map(|(_, cases)| cases.iter()) {
            let expected = run(case, case.f32, &Device::Cpu);
            let found = run(case, case.f32, &device);
            let distance = distance(&found, &expected);
            assert!(distance < 5e-6, "{} on {cuda}: {distance:e}", case.name);
            assert_eq!(
                bits(&run(case, case.f32, &device)),
                bits(&found),
                "{} on {cuda}: two runs",
                case.name
            );
        }
    }
}

#[test]
fn attention_computes_what_the_processor_does_at_any_limit_of_shared_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let fast = |cuda: &Cuda, d| cuda.attention_kernels(d).map(|name| name.ends_with(&format!("_{d}")));
    for d in [32, 64, 128] {
        let run = |device: &Device| {
            let tape = Tape::train(3);
            let normal = |seed| Tensor::<f32>::normal([70, 2 * d], 1.0, &mut Stream::new(seed)).to(device);
            let [q, k, v] = [1, 2, 3].map(|seed| tape.input(normal(seed)));
            let kept = std::array::from_fn::<u32, 70, _>(|row| row as u32);
            let settings = Attention {
                packed: Some(Packed::new(&[3, 67], &[3, 67])),
                kept: Some(kept.into()),
                dropout: 0.3,
                key: tape.next_key(),
                ..Attention::plain(2)
            };
            let y = q.attention(k, v, &settings);
            let value = y.value();
            let gradients = y.backward_with(normal(4));
            let all = [value].into_iter().chain([q, k, v].map(|x| gradients.wrt(x).unwrap().clone()));
            all.map(|x| x.to(&Device::Cpu)).collect::<Vec<_>>()
        };
        let expected = run(&Device::Cpu);
        for cuda in of_all_limits() {
            let found = run(&Device::Cuda(cuda.clone()));
            let distance = distance(&found, &expected);
            assert!(distance < 5e-6, "heads of {d} on {cuda}: {distance:e}");
        }
    }
    // None where there is no compiler.
    let all = of_all_limits();
    let [turing, geforce, a100, h100] = &all[..] else { return };
    assert_eq!([32, 64, 128].map(|d| fast(turing, d)), [[true, true], [true, false], [false, false]]);
    assert_eq!([32, 64, 128].map(|d| fast(geforce, d)), [[true, true], [true, true], [true, false]]);
    for large in [a100, h100] {
        assert_eq!([32, 64, 128].map(|d| fast(large, d)), [[true, true]; 3]);
    }
}

/// No result may depend on which thread or block of a kernel comes first.
#[test]
fn every_op_is_the_same_in_any_order_of_threads() {
    let orders = [Order::Ascending, Order::Descending, Order::Shuffled(5)].map(Cuda::emulated);
    let devices: Vec<_> = orders.into_iter().flatten().map(Device::Cuda).collect();
    for case in ops::ALL.iter().flat_map(|(_, cases)| cases.iter()) {
        let results: Vec<_> = devices.iter().map(|device| bits(&run(case, case.f32, device))).collect();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{}", case.name);
    }
}

#[test]
fn recorded_work_computes_what_it_did_when_it_was_not() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for cuda in devices() {
        let device = Device::Cuda(cuda.clone());
        let normal = |shape: [usize; 2], seed| Tensor::<f32>::normal(shape, 1.0, &mut Stream::new(seed));
        let (w, gain, shift) = (normal([32, 32], 2).to(&device), normal([1, 32], 3), normal([1, 32], 4));
        let [gain, shift] = [gain, shift].map(|x| x.reshape([32]).to(&device));
        let gradients = |x: &Tensor| {
            let tape = Tape::train(7);
            let [x, w] = [x, &w].map(|x| tape.input(x.clone()));
            let [gain, shift] = [&gain, &shift].map(|x| tape.input(x.clone()));
            let h = x.linear(w, None).layer_norm(gain, shift, 1e-5);
            let y = x.residual(h.gelu(), 0.2).softmax();
            let loss = (y * y).sum();
            let value = loss.value();
            let gradients = loss.backward();
            [value]
                .into_iter()
                .chain([x, w].iter().filter_map(|&x| gradients.wrt(x).cloned()))
                .collect::<Vec<_>>()
        };
        let here = |x: &[Tensor]| x.iter().map(|x| x.to(&Device::Cpu)).collect::<Vec<_>>();
        let mut x = normal([5, 32], 1).to(&device);
        let (graph, recorded) = cuda.record(|| gradients(&x));
        for seed in [1, 5, 6] {
            x.put(normal([5, 32], seed).as_slice());
            graph.replay();
            let expected = here(&gradients(&x));
            assert_eq!(expected.len(), 3);
            assert_eq!(bits(&here(&recorded)), bits(&expected), "on {cuda}");
        }
    }
}

/// Words of sentences, which rows are whose, and a seed.
struct Batch {
    words: Ids,
    rows: Packed,
    seed: Seed,
}

impl Batch {
    fn new(words: [u32; 7], lengths: &[usize], seed: Seed) -> Self {
        Self { words: words.into(), rows: Packed::new(lengths, lengths), seed }
    }

    fn numbers(&self) -> Vec<&Ids> {
        self.rows.ids().into_iter().chain(self.seed.ids()).collect()
    }

    /// A loss of theirs, and the gradient of the table.
    fn gradient(&self, table: &Tensor) -> [Tensor; 2] {
        let tape = Tape::train(self.seed.clone());
        let table = tape.input(table.clone());
        let x = table.embedding(&self.words).dropout(0.3);
        let rows = Attention { packed: Some(self.rows.clone()), dropout: 0.4, ..Attention::plain(2) };
        let x = x.residual(x.attention(x, x, &Attention { key: tape.next_key(), ..rows }), 0.2);
        let loss = (x * x).sum();
        let value = loss.value();
        let gradients = loss.backward();
        [value, gradients.wrt(table).unwrap().clone()]
    }
}

#[test]
fn recorded_work_reads_the_numbers_that_are_put_in_their_places() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for cuda in devices() {
        let device = Device::Cuda(cuda.clone());
        let table = Tensor::<f32>::normal([9, 8], 1.0, &mut Stream::new(1)).to(&device);
        let here = |x: &[Tensor; 2]| x.each_ref().map(|x| x.to(&Device::Cpu));
        let first = Batch::new([3, 3, 1, 0, 8, 5, 3], &[2, 5], Seed::staged(11));
        let memory = GraphMemory::new(&cuda);
        let work = || first.gradient(&table);
        let ran = memory.run(|| {
            stage(&device, &[&first.words], &first.numbers());
            here(&work())
        });
        let (graph, recorded) = memory.record(work);
        for (words, lengths, seed) in [
            ([3, 3, 1, 0, 8, 5, 3], [2, 5], 11),
            ([8, 7, 6, 5, 4, 3, 2], [6, 1], u64::MAX - 5),
            ([0; 7], [0, 7], 1 << 40),
        ] {
            let next = Batch::new(words, &lengths, Seed::staged(seed));
            let uploads = cuda.traffic().uploads;
            restage(&device, [&[&first.words], &first.numbers()], [&[&next.words], &next.numbers()]);
            graph.replay();
            assert_eq!(cuda.traffic().uploads, uploads + 1, "to {cuda}");
            let plain = Batch::new(words, &lengths, seed.into());
            let expected = here(&plain.gradient(&table));
            assert_eq!(bits(&here(&recorded)), bits(&expected), "{words:?} on {cuda}");
            if seed == 11 {
                assert_eq!(bits(&ran), bits(&expected), "before it was recorded, on {cuda}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "restage: ids of [3] do not fit where ids of [2] were staged")]
fn numbers_are_put_only_where_they_fit() {
    let Ok(cuda) = Cuda::emulator() else {
        panic!("restage: ids of [3] do not fit where ids of [2] were staged, if there were an emulator")
    };
    let (device, two, three) = (Device::Cuda(cuda), Ids::from([1, 2]), Ids::from([1, 2, 3]));
    stage(&device, &[], &[&two]);
    restage(&device, [&[], &[&two]], [&[], &[&three]]);
}

#[test]
fn products_are_as_exact_as_their_precision() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for cuda in devices() {
        let device = Device::Cuda(cuda.clone());
        let [x, w] = [1, 2].map(|seed| Tensor::<f32>::normal([67, 129], 1.0, &mut Stream::new(seed)));
        let product = |device: &Device| {
            let tape = Tape::infer();
            let [x, w] = [&x, &w].map(|x| tape.constant(x.to(device)));
            [x.linear(w, None).value().to(&Device::Cpu)]
        };
        let exact = product(&Device::Cpu);
        for (precision, limit) in [(Precision::F32, 1e-6), (Precision::Tf32, 1e-3), (Precision::Bf16, 1e-2)] {
            cuda.set_precision(precision);
            let distance = distance(&product(&device), &exact);
            cuda.set_precision(Precision::F32);
            assert!(distance < limit, "{precision:?} on {cuda}: {distance:e}");
        }
    }
}

#[test]
#[should_panic(expected = "this tensor lies on emulator")]
fn entries_of_a_card_are_not_read_by_accident() {
    let Ok(cuda) = Cuda::emulator() else { panic!("this tensor lies on emulator, if there were one") };
    Tensor::full([3], 1.0f32).to(&Device::Cuda(cuda)).as_slice();
}

#[test]
fn values_come_back_as_they_went() {
    for cuda in devices() {
        let x = Tensor::<f32>::normal([5, 7], 1.0, &mut Stream::new(1));
        let there = x.to(&Device::Cuda(cuda.clone()));
        assert_eq!(there.device(), Device::Cuda(cuda));
        assert_eq!(there.to(&Device::Cpu).as_slice(), x.as_slice());
        assert_eq!(there.reshape([35]), x.reshape([35]));
    }
}

#[test]
fn work_that_copies_from_the_device_cannot_be_recorded() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let cuda = match Cuda::emulator() {
        Ok(emulator) => emulator,
        Err(error) => return println!("SKIPPED on {error}"),
    };
    let there = Tensor::full([2], 1.0f32).to(&Device::Cuda(cuda.clone()));
    let copies = |record: fn(&Cuda, &Tensor)| {
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| record(&cuda, &there)));
        let said = refused.expect_err("a copy was recorded");
        let said = said.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(said.contains("while a graph is captured"), "{said:?}");
        assert_eq!(there.to(&Device::Cpu).as_slice(), [1.0; 2], "the device goes on");
    };
    copies(|cuda, there| drop(GraphMemory::new(cuda).record(|| there.to(&Device::Cpu))));
    copies(|cuda, there| drop(cuda.record(|| there.to(&Device::Cpu))));
}

//! Every kernel against references in `f64`, on any driver.
//!
//! A case uploads, launches, downloads and compares; it knows nothing of what runs it. [`CASES`] lists them all: they run in
//! the emulator in three orders of threads, whose results must have the same bits; once more under an address sanitizer;
//! and on a card where there is one.

mod attention;
mod attention_step;
mod card;
mod device;
mod dropout;
mod elementwise;
mod embedding;
mod emulator;
mod limits;
mod norm;
mod nvrtc;
mod optim;
mod sanitizer;
mod shapes;
mod softmax;
mod sums;

use std::sync::Arc;

use self::device::Device;
use super::driver::Driver;
use super::emulator::{Emulator, Order};

/// Uploads, launches, downloads and compares.
type Case = fn(&Device);

/// The cases by their names.
const CASES: &[(&str, Case)] = &[
    ("elementwise", elementwise::case),
    ("shapes", shapes::case),
    ("sums", sums::case),
    ("dropout", dropout::case),
    ("norm", norm::case),
    ("softmax", softmax::case),
    ("cross entropy", softmax::cross_entropy_case),
    ("embedding", embedding::case),
    ("optim", optim::case),
    ("attention", attention::case),
    ("attention of any size", attention::any_case),
    ("attention step", attention_step::case),
];

/// Whatever the order, results have the same bits.
const ORDERS: [Order; 3] = [Order::Ascending, Order::Descending, Order::Shuffled(1)];

/// Where floats begin, in entries: at an address that suits float4, and at one that does not.
const SHIFTS: [usize; 2] = [0, 1];

/// Runs a case on a driver, at both kinds of addresses; gives the bits of all it computed.
fn run(driver: Arc<dyn Driver>, case: Case, guarded: bool) -> Vec<Vec<u32>> {
    let bits = |shift| {
        let device = Device::new(Arc::clone(&driver), shift, guarded);
        case(&device);
        device.bits()
    };
    SHIFTS.map(bits).to_vec()
}

/// The case in all orders.
#[track_caller]
fn in_all_orders(name: &str) {
    let (_, case) = CASES.iter().find(|(listed, _)| *listed == name).expect("a listed case");
    let [first, others @ ..] = ORDERS.map(|order| run(Arc::new(Emulator::new(order).unwrap()), *case, true));
    for other in others {
        assert!(first == other, "{name}: the order of threads changes the result");
    }
}

macro_rules! in_all_orders {
    ($($test:ident: $name:literal)*) => {$(
        #[test]
        fn $test() {
            in_all_orders($name);
        }
    )*};
}

in_all_orders! {
    elementwise_kernels_agree_with_their_definitions: "elementwise"
    kernels_of_other_shapes_agree_with_their_definitions: "shapes"
    sums_agree_with_their_definitions: "sums"
    dropout_draws_the_mask_of_the_cpu: "dropout"
    norms_agree_with_the_cpu: "norm"
    softmax_agrees_with_the_cpu: "softmax"
    cross_entropy_agrees_with_the_cpu: "cross entropy"
    embeddings_agree_with_their_definitions: "embedding"
    optimisers_agree_with_the_cpu: "optim"
    attention_agrees_with_the_cpu: "attention"
    attention_of_any_size_agrees_with_the_cpu: "attention of any size"
    a_step_of_attention_agrees_with_the_cpu: "attention step"
}

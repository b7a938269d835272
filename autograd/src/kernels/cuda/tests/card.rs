//! All cases on a card, where there is one.

use std::sync::Arc;

use super::{CASES, run};
use crate::kernels::cuda::card::Card;

#[test]
fn every_kernel_agrees_with_its_definition_on_a_card() {
    let card = match Card::open(0) {
        Ok(card) => Arc::new(card),
        Err(missing) => {
            assert!(std::env::var_os("REQUIRE_CUDA").is_none(), "{missing}");
            println!("SKIPPED on cuda: {missing}");
            return;
        }
    };
    for (name, case) in CASES {
        assert!(run(card.clone(), *case, true) == run(card.clone(), *case, true), "{name}: two runs differ");
    }
}

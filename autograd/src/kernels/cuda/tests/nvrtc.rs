//! NVIDIA's compiler takes the program, and finds registers for every kernel. It needs no card.

use crate::kernels::cuda::card::compile::compile;
use crate::kernels::cuda::card::libraries::Library;
use crate::kernels::cuda::source::{KERNELS, program};

#[test]
fn all_kernels_compile_for_a_card_without_spills() {
    if let Err(missing) = Library::Nvrtc.require(None) {
        println!("SKIPPED nvrtc: {missing}");
        return;
    }
    let log = compile(&program(), "sm_90a", &["--ptxas-options=-v"]).unwrap().log;
    let (mut kernel, mut compiled) = ("", Vec::new());
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            kernel = rest.split('\'').next().unwrap();
            compiled.push(kernel);
        }
        if line.contains("spill") {
            assert!(line.contains(" 0 bytes spill stores, 0 bytes spill loads"), "{kernel}: {line}");
        }
        if line.contains("registers") {
            println!("{kernel}: {line}");
        }
    }
    compiled.sort_unstable();
    let mut listed = KERNELS.to_vec();
    listed.sort_unstable();
    assert_eq!(compiled, listed);
}

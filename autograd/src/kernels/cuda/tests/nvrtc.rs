//! NVIDIA's compiler takes the program, and finds registers for every kernel. It needs no card.

use crate::kernels::cuda::card::compile::compile;
use crate::kernels::cuda::card::libraries::Library;
use crate::kernels::cuda::source::{KERNELS, declared, program};

#[test]
fn all_kernels_compile_for_a_card_without_spills() {
    if let Err(missing) = Library::Nvrtc.require(None) {
        println!("SKIPPED nvrtc: {missing}");
        return;
    }
    for architecture in ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90a"] {
        compiles_without_spills(architecture);
    }
}

fn compiles_without_spills(architecture: &str) {
    let log = compile(&program(), architecture, &["--ptxas-options=-v"]).unwrap().log;
    let (mut kernel, mut compiled) = ("", Vec::new());
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            kernel = rest.split('\'').next().unwrap();
            compiled.push(kernel);
        }
        if line.contains("spill") {
            let none = line.contains(" 0 bytes spill stores, 0 bytes spill loads");
            assert!(none, "{kernel} for {architecture}: {line}");
        }
        if line.contains("registers") {
            println!("{architecture} {kernel}: {line}");
            let shared = line.split(", ").find_map(|part| part.strip_suffix(" bytes smem")).unwrap_or("0");
            assert_eq!(shared.parse::<u32>().unwrap(), declared(kernel), "{kernel} for {architecture}");
        }
    }
    compiled.sort_unstable();
    let mut listed = KERNELS.to_vec();
    listed.sort_unstable();
    assert_eq!(compiled, listed);
}

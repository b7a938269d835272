//! What can be tested of a card where there may be none.

use cudarc::cublaslt::sys::cublasStatus_t;

use super::compile::{compile, known};
use super::libraries::Library;
use super::plan::Plan;
use super::problem::Problem;
use super::*;
use crate::kernels::cuda::driver::{Factor, Precision};

/// Prints why a test does nothing, unless `REQUIRE_CUDA` makes that a failure.
fn skipped(what: &str, why: &dyn std::fmt::Display) {
    assert!(std::env::var_os("REQUIRE_CUDA").is_none(), "REQUIRE_CUDA is set: {why}");
    eprintln!("SKIPPED {what}: {why}");
}

#[test]
fn what_is_missing_is_one_line() {
    match Card::open(0) {
        Ok(card) => eprintln!("there is a card: {}", card.name()),
        Err(error) => {
            let line = error.to_string();
            assert!(!line.contains('\n') && !line.is_empty(), "{line}");
            // Asking again gives the same answer, and again no panic.
            assert_eq!(Card::open(0).unwrap_err().to_string(), line);
        }
    }
    match Card::count() {
        Ok(count) => {
            let line = Card::open(count).unwrap_err().to_string();
            assert!(line.starts_with(&format!("no cuda:{count}: there ")), "{line}");
        }
        Err(error) => assert_eq!(Card::open(0).unwrap_err(), error),
    }
}

#[test]
fn the_compiler_names_file_and_line() {
    if let Err(why) = Library::Nvrtc.require(None) {
        return skipped("nvrtc", &why);
    }
    let good = "extern \"C\" __global__ void twice(float* x) { x[threadIdx.x] *= 2; }\n";
    let compiled = compile(good, "sm_90a", &["--ptxas-options=-v"]).unwrap();
    assert!(compiled.cubin.starts_with(b"\x7fELF"));
    assert!(compiled.log.contains("registers"), "{}", compiled.log);
    assert!(known().contains(&90), "{:?}", known());
    let bad = format!("#line 1 \"first.cu\"\n{good}#line 1 \"second.cu\"\n\nint wrong = none;\n");
    let Err(error) = compile(&bad, "sm_90a", &[]) else { panic!("it compiles") };
    let message = error.to_string();
    assert!(message.contains("second.cu(2): error: identifier \"none\" is undefined"), "{message}");
    let Err(error) = compile(good, "sm_1", &[]) else { panic!("it compiles") };
    assert!(error.to_string().contains("sm_1"), "{error}");
}

#[test]
fn cublaslt_understands_what_it_is_told() {
    if let Err(why) = Library::CublasLt.require(None) {
        return skipped("cublaslt", &why);
    }
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        for (transposed, batch, keep) in [(false, 1, false), (true, 8, true)] {
            let factor = Factor { address: 256, stride: 40, transposed, step: 1600 };
            let product = Product { m: 7, k: 5, n: 37, batch, a: factor, b: factor, c: 256, keep, precision };
            let problem = Problem::new(&product);
            let plan = Plan::new(&problem).unwrap();
            // It takes all that is said of the product, and only then finds that there is no card to look at.
            let answer = plan.candidates(std::ptr::null_mut(), 1 << 20, 4);
            let status = answer.map_err(|error| error.0);
            assert_eq!(status, Err(cublasStatus_t::CUBLAS_STATUS_NOT_INITIALIZED), "{problem}");
        }
    }
}

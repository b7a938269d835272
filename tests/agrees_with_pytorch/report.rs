//! How far our numbers are from PyTorch's.

use std::fmt::Write;

use gradus::autograd::Tensor;

use super::fixture::{Case, Results};
use crate::common::largest;

/// The bars, relative to the largest entry of the tensor.
pub(super) const F64: f64 = 1e-10;
pub(super) const F32: f64 = 1e-5;

/// The worst deviation of every case.
pub(super) struct Report {
    what: &'static str,
    lines: Vec<Line>,
}

struct Line {
    case: String,
    dtype: &'static str,
    worst: f64,
    key: String,
    limit: f64,
}

impl Report {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, lines: Vec::new() }
    }

    /// Holds our results in both types to PyTorch's in `f64`. PyTorch's own in `f32` are the yardstick beside ours.
    pub(super) fn compare_both(&mut self, case: &Case, f64: &Results, f32: &Results) {
        let truth = case.expected("f64");
        self.compare(case, "f64", f64, &truth, F64);
        self.compare(case, "f32", f32, &truth, F32);
        self.compare(case, "f32 of PyTorch", &case.expected("f32"), &truth, F32);
    }

    /// Holds our results to PyTorch's. Differences are relative to the largest entry of PyTorch's tensor.
    pub(super) fn compare(
        &mut self,
        case: &Case,
        dtype: &'static str,
        ours: &Results,
        theirs: &Results,
        limit: f64,
    ) {
        let keys = |results: &Results| results.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(ours), keys(theirs), "{}: not the same results here and in PyTorch", case.name);
        assert!(!ours.is_empty(), "{}: nothing to compare", case.name);
        let distance = |key: &String| {
            // The gradient of a key projection's bias is zero by mathematics: only the weight's says how large a
            // rounding may be.
            let by = key.replace("k_proj.bias", "k_proj.weight");
            (
                distance(&ours[key], &theirs[key], largest(&theirs[&by]), &format!("{}: {key}", case.name)),
                key.clone(),
            )
        };
        let (worst, key) = ours.keys().map(distance).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        self.lines.push(Line { case: case.name.clone(), dtype, worst, key, limit });
    }

    /// Prints the worst of every case, and panics where one is over its limit.
    pub(super) fn conclude(self) {
        let mut table = String::new();
        let mut failed = 0;
        for Line { case, dtype, worst, key, limit } in &self.lines {
            let over = *worst > *limit;
            failed += usize::from(over);
            let mark = if over { format!("  more than {limit:e}") } else { String::new() };
            writeln!(table, "{worst:9.1e}  {dtype:14}  {case}: {key}{mark}").unwrap();
        }
        assert!(
            failed == 0,
            "{}: {failed} of {} disagree with PyTorch\n{table}",
            self.what,
            self.lines.len()
        );
    }
}

/// The largest difference, relative to `scale`. Zeros are to be met exactly.
fn distance(ours: &Tensor<f64>, theirs: &Tensor<f64>, scale: f64, place: &str) -> f64 {
    assert_eq!(ours.shape(), theirs.shape(), "{place}");
    assert!(ours.as_slice().iter().all(|x| x.is_finite()), "{place} is not finite");
    let differences = ours.as_slice().iter().zip(theirs.as_slice()).map(|(a, b)| (a - b).abs());
    match differences.fold(0.0, f64::max) {
        0.0 => 0.0,
        difference => difference / scale,
    }
}

//! Claims about what a search finds.

mod cache_company_and_threads_change_nothing;
mod draws_follow_the_model;
mod lively;
mod models_together;
mod scores_equal_the_search;
mod search_equals_its_definition;
mod toy;

use gradus::decode::{Hypothesis, Specials};

const SPECIALS: Specials = Specials { bos: 0, eos: 2, pad: 1 };

#[track_caller]
fn assert_same(found: &[Hypothesis], expected: &[Hypothesis], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{found:?} for {expected:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.tokens, expected.tokens, "{found:?} for {expected:?}");
        let difference = (found.log_prob - expected.log_prob).abs().max((found.score - expected.score).abs());
        assert!(difference <= tolerance, "{found:?} for {expected:?}");
    }
}

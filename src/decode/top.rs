//! The best few words of a row of scores.

use autograd::Float;

/// Leaves in `best` the `count` largest of `scores` with their indices, largest first, equal ones by index; only those
/// that `may_come`. Never an entry of −∞ or NaN.
///
/// One pass: almost every block of scores is below the worst kept so far, and is passed over without a branch for each.
pub(super) fn top<T: Float>(
    scores: &[T],
    count: usize,
    may_come: impl Fn(u32) -> bool,
    best: &mut Vec<(T, u32)>,
) {
    const BLOCK: usize = 16;
    best.clear();
    let mut bar = T::NEG_INFINITY;
    for (block, scores) in scores.chunks(BLOCK).enumerate() {
        if !scores.iter().fold(false, |any, &score| any | (score > bar)) {
            continue;
        }
        for (token, &score) in (block * BLOCK..).zip(scores) {
            let token = token as u32;
            if score > bar && may_come(token) {
                if best.len() == count {
                    best.pop();
                }
                best.insert(best.partition_point(|&(kept, _)| kept >= score), (score, token));
                if best.len() == count {
                    bar = best[count - 1].0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use autograd::rng::Stream;

    use super::*;

    #[test]
    fn the_best_are_those_of_a_full_sort() {
        let mut stream = Stream::new(3);
        let mut best = Vec::new();
        for length in 1..200 {
            // Few different values, so that many are equal.
            let scores: Vec<f32> = (0..length).map(|_| (stream.uniform() * 20.0).floor() as f32).collect();
            for count in [1, 2, 7, 16, 300] {
                top(&scores, count, |token| token % 5 != 3, &mut best);
                let mut all: Vec<(f32, u32)> = scores.iter().copied().zip(0..).collect();
                all.retain(|(_, token)| token % 5 != 3);
                all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                all.truncate(count);
                assert_eq!(best, all, "the {count} best of {length}");
            }
        }
    }

    #[test]
    fn impossible_scores_are_never_among_the_best() {
        let mut best = Vec::new();
        top(&[f64::NAN, f64::NEG_INFINITY, 1.0, f64::NAN, -1e300], 4, |_| true, &mut best);
        assert_eq!(best, [(1.0, 2), (-1e300, 4)]);
    }
}

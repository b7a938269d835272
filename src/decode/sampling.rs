//! Translations drawn at random.

use autograd::Float;
use autograd::rng::{Stream, derive};
use serde::{Deserialize, Serialize};

use super::beam::Live;
use super::scores::{Scores, log_prob};
use super::{Hypothesis, Search, Specials};

/// How words are drawn. Temperature comes first, then `top_k`, then `top_p`; log-probabilities that are reported are those
/// of the model itself.
///
/// What is drawn is a function of the seed, the source's number and the draw's, and so the same in any company.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// τ of `softmax(scores / τ)`: 1 draws as the model says, less prefers the probable more.
    pub temperature: f64,
    /// Only the k most probable words are drawn from; 0 for all (Fan, Lewis and Dauphin, "Hierarchical neural story
    /// generation", 2018).
    pub top_k: usize,
    /// Only the fewest most probable words are drawn from that together have at least this probability; 1 for all
    /// (Holtzman et al., "The curious case of neural text degeneration", 2020).
    pub top_p: f64,
    /// Where the random numbers come from.
    pub seed: u64,
    /// The number of the first source: text that is translated in parts is then drawn as if it were whole.
    pub first: usize,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0, seed: 1, first: 0 }
    }
}

impl Sampling {
    pub(super) fn validate(&self) -> Result<(), String> {
        let &Self { temperature, top_p, .. } = self;
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(format!("temperature = {temperature} is not a number above 0"));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(format!("top_p = {top_p} is not above 0 and at most 1"));
        }
        Ok(())
    }
}

/// The draws of one sentence.
#[derive(Debug)]
pub(super) struct Sampler {
    sampling: Sampling,
    /// The most tokens a hypothesis may have, its end included.
    limit: usize,
    /// The number of tokens of every draw that goes on.
    length: usize,
    /// All draws, those that have ended too.
    draws: Vec<Draw>,
    /// Those that go on, in their order.
    live: Vec<Live>,
}

#[derive(Debug)]
struct Draw {
    stream: Stream,
    /// Its row among those of the sentence; `None` when it has ended.
    row: Option<usize>,
    found: Hypothesis,
}

impl Sampler {
    /// As many draws as are asked for, without tokens, for the source of this number.
    pub(super) fn new(limit: usize, sampling: &Sampling, source: usize, count: usize) -> Self {
        let of_source = derive(sampling.seed, (sampling.first + source) as u64);
        let draw = |number| Draw {
            stream: Stream::new(derive(of_source, number)),
            row: Some(0),
            found: Hypothesis { tokens: Vec::new(), log_prob: 0.0, score: 0.0 },
        };
        let draws = (0..count as u64).map(draw).collect();
        Self { sampling: sampling.clone(), limit, length: 0, draws, live: vec![Live::root()] }
    }

    /// The draws that go on.
    pub(super) fn live(&self) -> &[Live] {
        &self.live
    }

    /// Draws a word for all that go on. Their scores are the rows from `first` on.
    pub(super) fn advance<T: Float>(
        &mut self,
        scores: &mut Scores<T>,
        first: usize,
        specials: Specials,
        options: &Search,
    ) {
        scores.ban(specials, options, self.length);
        self.length += 1;
        let last = self.length == self.limit;
        self.live.clear();
        for draw in &mut self.draws {
            let Some(row) = draw.row else { continue };
            let found = &mut draw.found;
            if options.no_repeat_ngram > 0 {
                let last_first: Vec<u32> = found.tokens.iter().rev().copied().collect();
                scores.ban_repeats(&last_first, options.no_repeat_ngram);
            }
            let log_sum = scores.find_best(first + row, 0);
            let row_scores = scores.row(first + row);
            let token = if last {
                Some(specials.eos)
            } else {
                pick(row_scores, scores.banned(), &self.sampling, draw.stream.uniform())
            };
            // Where no word is possible the draw ends as it is.
            let own = token.map_or(f64::NEG_INFINITY, |token| log_prob(row_scores[token as usize], log_sum));
            found.log_prob += if own.is_nan() { f64::NEG_INFINITY } else { own };
            match token {
                Some(token) if token != specials.eos => {
                    found.tokens.push(token);
                    draw.row = Some(self.live.len());
                    self.live.push(Live::after(row, token));
                }
                _ => {
                    found.score = options.score(found.log_prob, self.length);
                    draw.row = None;
                }
            }
        }
    }

    /// What was drawn, in the order of drawing.
    pub(super) fn into_draws(self) -> Vec<Hypothesis> {
        self.draws.into_iter().map(|draw| draw.found).collect()
    }
}

/// The word that `uniform`, drawn evenly from `[0, 1)`, falls on. `None` where no word has a probability.
fn pick<T: Float>(scores: &[T], banned: &[u32], sampling: &Sampling, uniform: f64) -> Option<u32> {
    let mut words: Vec<(f64, u32)> = scores.iter().map(|score| score.to_f64()).zip(0..).collect();
    for &token in banned {
        if let Some(word) = words.get_mut(token as usize) {
            word.0 = f64::NEG_INFINITY;
        }
    }
    // `max` would swallow a NaN.
    let max = words.iter().fold(f64::NEG_INFINITY, |max, &(score, _)| if score > max { score } else { max });
    if !max.is_finite() || words.iter().any(|(score, _)| score.is_nan()) {
        return None;
    }
    let best_first = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if (1..words.len()).contains(&sampling.top_k) {
        words.select_nth_unstable_by(sampling.top_k - 1, best_first);
        words.truncate(sampling.top_k);
    }
    for (score, _) in &mut words {
        *score = ((*score - max) / sampling.temperature).exp();
    }
    let mut total: f64 = words.iter().map(|(weight, _)| weight).sum();
    if sampling.top_p < 1.0 {
        // All words below this together have less than what may be left out.
        let floor = (1.0 - sampling.top_p) * total / words.len() as f64;
        words.retain(|&(weight, _)| weight >= floor);
        words.sort_unstable_by(best_first);
        let wanted = sampling.top_p * total;
        total = 0.0;
        let within = words.iter().take_while(|(weight, _)| {
            let more = total < wanted;
            total += if more { *weight } else { 0.0 };
            more
        });
        let count = within.count();
        words.truncate(count);
    }
    let mut left = uniform * total;
    let fallen_on = words.iter().filter(|&&(weight, _)| weight > 0.0).find(|&&(weight, _)| {
        left -= weight;
        left < 0.0
    });
    // Roundings can leave a last little of the sum that belongs to no word.
    fallen_on.or_else(|| words.iter().rfind(|&&(weight, _)| weight > 0.0)).map(|&(_, token)| token)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each of the words is picked, of a thousand even steps through `[0, 1)`.
    fn counts(probabilities: &[f64], banned: &[u32], sampling: &Sampling) -> Vec<usize> {
        let scores: Vec<f64> = probabilities.iter().map(|p| p.ln()).collect();
        let mut counts = vec![0; scores.len()];
        for i in 0..1000 {
            counts[pick(&scores, banned, sampling, (i as f64 + 0.5) / 1000.0).unwrap() as usize] += 1;
        }
        counts
    }

    #[test]
    fn words_are_picked_as_often_as_they_are_probable() {
        let p = [0.1, 0.4, 0.2, 0.3];
        let own = Sampling::default();
        assert_eq!(counts(&p, &[], &own), [100, 400, 200, 300]);
        assert_eq!(counts(&p, &[1], &own), [167, 0, 333, 500]);
        let sharper = Sampling { temperature: 0.5, ..own.clone() };
        // 0.01, 0.16, 0.04, 0.09 of 0.3
        assert_eq!(counts(&p, &[], &sharper), [33, 534, 133, 300]);
        let two = Sampling { top_k: 2, ..own.clone() };
        assert_eq!(counts(&p, &[], &two), [0, 571, 0, 429]);
        for (top_p, expected) in
            [(0.39, [0, 1000, 0, 0]), (0.69, [0, 571, 0, 429]), (0.71, [0, 444, 222, 334])]
        {
            assert_eq!(counts(&p, &[], &Sampling { top_p, ..own.clone() }), expected, "top_p = {top_p}");
        }
        // Half of the two that are left is in the first of them.
        assert_eq!(counts(&p, &[], &Sampling { top_p: 0.5, ..two }), [0, 1000, 0, 0]);
    }

    #[test]
    fn equal_words_are_ranked_by_their_ids_and_impossible_ones_are_never_picked() {
        let three = Sampling { top_k: 3, ..Sampling::default() };
        let [first, second, third, none, last] = counts(&[0.2; 5], &[], &three)[..] else { unreachable!() };
        assert!(first.min(second).min(third) >= 333 && none + last == 0);
        assert_eq!(counts(&[0.0, 0.5, 0.0, 0.5, 0.0], &[], &Sampling::default()), [0, 500, 0, 500, 0]);
        assert_eq!(pick(&[0.0, f64::NAN], &[], &three, 0.5), None);
        assert_eq!(pick(&[0.0, f64::NEG_INFINITY], &[0], &three, 0.5), None);
    }
}

//! STUB
use nn::{Sentences, Transformer};
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Search {
    pub beam: usize,
    pub length_penalty: f64,
}
impl Default for Search {
    fn default() -> Self {
        Self { beam: 4, length_penalty: 0.6 }
    }
}
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Hypothesis {
    pub tokens: Vec<u32>,
}
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Specials;
#[allow(missing_docs)]
pub fn translate_all(
    model: &Transformer<f32>,
    sources: &[Vec<u32>],
    _: Specials,
    _: &Search,
    _: usize,
    threads: usize,
    progress: impl Fn(usize) + Sync,
) -> Vec<Vec<Hypothesis>> {
    let chunks: Vec<&[Vec<u32>]> = sources.chunks(64).collect();
    crate::train::step::in_order(chunks.len(), threads, |c| {
        let rows = chunks[c];
        let mut cache = model.start(&Sentences::new(rows, 0));
        let mut tokens = vec![1u32; rows.len()];
        let mut out = vec![Vec::new(); rows.len()];
        let mut done = vec![false; rows.len()];
        for _ in 0..60 {
            let scores = model.step(&tokens, &mut cache);
            for (i, row) in scores.as_slice().chunks(model.config.target_vocab).enumerate() {
                let best = (2..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(2) as u32;
                tokens[i] = best;
                if best == 2 {
                    done[i] = true;
                }
                if !done[i] {
                    out[i].push(best);
                }
            }
            if done.iter().all(|&d| d) {
                break;
            }
        }
        progress(rows.len());
        out.into_iter().map(|tokens| vec![Hypothesis { tokens }]).collect::<Vec<_>>()
    })
    .concat()
}

//! From text to text.

use nn::{Positions, Transformer};

use super::{Search, Specials, translate_all};
use crate::data::tokenizer::{BOS, EOS, PAD, Tokenizer};

/// The best translation of every text; blank for a blank one. Where positions are learned, what goes beyond them is cut
/// off.
pub fn translate(
    model: &Transformer,
    (source, target): (&Tokenizer, &Tokenizer),
    texts: &[&str],
    search: &Search,
    threads: usize,
    progress: impl Fn(usize) + Sync,
) -> Vec<String> {
    let longest = match model.config.positions {
        Positions::Learned => model.config.max_length,
        Positions::Sinusoidal => usize::MAX,
    };
    let mut sources = Vec::new();
    let mut places = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let mut ids = source.encode(text);
        if ids.is_empty() {
            continue;
        }
        ids.truncate(longest - 1);
        ids.push(EOS);
        sources.push(ids);
        places.push(place);
    }
    progress(texts.len() - sources.len());
    let specials = Specials { bos: BOS, eos: EOS, pad: PAD };
    let batch_tokens = BATCH_TOKENS / search.beam;
    let found = translate_all(model, &sources, specials, search, batch_tokens, threads, progress);
    let mut translations = vec![String::new(); texts.len()];
    for (place, hypotheses) in places.into_iter().zip(found) {
        if let Some(best) = hypotheses.first() {
            translations[place] = target.decode(&best.tokens);
        }
    }
    translations
}

/// Source tokens that are translated together, times hypotheses: what the caches grow with. Some hundred rows are as fast
/// as any larger number.
const BATCH_TOKENS: usize = 1024;

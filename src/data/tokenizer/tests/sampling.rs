use super::*;

#[test]
fn without_dropout_a_sample_is_what_the_tokenizer_gives() {
    let tokenizer = trained(Subwords::Bpe);
    let characters: Vec<char> = TEXTS.concat().chars().chain("  日本é".chars()).collect();
    let mut next = random(8);
    let texts: Vec<String> =
        (0..1500).map(|_| (0..next(60)).map(|_| characters[next(characters.len())]).collect()).collect();
    let sampler = Sampler::new(&tokenizer, texts.iter().map(String::as_str)).unwrap();
    for (i, text) in texts.iter().enumerate() {
        assert_eq!(sampler.sample(i, 0.0, 7), tokenizer.encode(text), "{text:?}");
    }
}

#[test]
fn a_sample_spells_the_same_text_in_smaller_pieces() {
    let tokenizer = trained(Subwords::Bpe);
    let sampler = Sampler::new(&tokenizer, TEXTS.into_iter()).unwrap();
    let mut counts = Vec::new();
    for share in [0.0, 0.1, 0.5, 0.999_999] {
        let mut count = 0;
        for (text, original) in TEXTS.iter().enumerate() {
            for seed in 0..20 {
                let ids = sampler.sample(text, share, seed);
                assert_eq!(ids, sampler.sample(text, share, seed), "a function of the seed");
                assert_eq!(tokenizer.decode(&ids), *original);
                count += ids.len();
            }
        }
        counts.push(count);
    }
    assert!(counts.is_sorted_by(|a, b| a < b), "{counts:?}");
    // Without any merge there are characters: those of the text, and the space before its first word.
    let characters: usize = TEXTS.iter().map(|text| 20 * (text.chars().count() + 1)).sum();
    assert_eq!(counts[3], characters);
    assert_ne!(sampler.sample(5, 0.1, 1), sampler.sample(5, 0.1, 2));
}

#[test]
fn a_merge_is_left_out_as_often_as_asked() {
    let config = TokenizerConfig { vocab_size: 7, min_frequency: 1, ..TokenizerConfig::default() };
    let tokenizer = Tokenizer::train(["aa"].iter(), &config).unwrap();
    assert_eq!(tokenizer.encode("aa").len(), 2, "one merge was learnt, of ▁ and a or of both letters");
    let sampler = Sampler::new(&tokenizer, ["aa"].into_iter()).unwrap();
    let whole = (0..20_000).filter(|&seed| sampler.sample(0, 0.1, seed).len() == 2).count();
    // 18 000 expected, standard deviation 42.
    assert!(whole.abs_diff(18_000) < 200, "{whole}");
}

#[test]
fn only_byte_pair_encoding_has_merges_to_leave_out() {
    let error = Sampler::new(&trained(Subwords::Unigram), TEXTS.into_iter()).unwrap_err().to_string();
    assert!(error.contains("tokenizer.dropout leaves out merges of byte-pair encoding"), "{error}");
}

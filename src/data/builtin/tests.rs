//! Claims about the corpus as a whole.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::lexicon::{ADJECTIVES, NOUNS};
use super::*;

fn small() -> Sizes {
    Sizes { train: 20_000, valid: 200, test: 300, unseen: 300 }
}

#[test]
fn the_parts_have_the_sizes_asked_for() {
    let corpus = generate(3, &small());
    let lengths = [&corpus.train, &corpus.valid, &corpus.test, &corpus.unseen].map(Vec::len);
    assert_eq!(lengths, [20_000, 200, 300, 300]);
}

#[test]
fn splits_never_share_a_sentence() {
    let corpus = generate(3, &small());
    let mut seen = HashSet::new();
    for pair in [&corpus.train, &corpus.valid, &corpus.test, &corpus.unseen].into_iter().flatten() {
        assert!(seen.insert(&pair.source), "{} comes twice", pair.source);
    }
}

#[test]
fn same_seed_same_corpus() {
    assert_eq!(generate(5, &small()), generate(5, &small()));
    assert_ne!(generate(5, &small()), generate(6, &small()));
}

#[test]
fn the_corpus_of_a_seed_is_pinned() {
    // Another value means that figures measured on the corpus no longer compare: change it on purpose only.
    let corpus = generate(0, &Sizes { train: 2000, valid: 50, test: 50, unseen: 50 });
    let parts = [&corpus.train, &corpus.valid, &corpus.test, &corpus.unseen];
    let bytes = parts.into_iter().flatten().flat_map(|pair| pair.source.bytes().chain(pair.target.bytes()));
    assert_eq!(fingerprint(bytes), 14_802_196_030_765_757_161);
}

#[test]
fn held_out_pairs_never_occur_in_training() {
    let mut source = Source { sampler: Sampler::new(11), sentences: HashSet::new() };
    let mut held = 0;
    for _ in 0..20_000 {
        let sentence = source.sampler.sentence();
        held += usize::from(has_held_out(&sentence));
    }
    assert!((600..4000).contains(&held), "{held} of 20000 sentences have a held-out combination");
    // The text itself is searched too: nothing that stands side by side in train may be held out.
    let corpus = generate(11, &small());
    let forms: HashMap<String, &'static lexicon::Noun> = NOUNS
        .iter()
        .flat_map(|noun| [(noun.english.to_owned(), noun), (english::plural(noun.english), noun)])
        .collect();
    let mut found = 0;
    for (pairs, expected) in
        [(&corpus.train, false), (&corpus.valid, false), (&corpus.test, false), (&corpus.unseen, true)]
    {
        for pair in pairs {
            let words: Vec<&str> = split(&pair.source).collect();
            let beside = words.windows(2).any(|two| {
                let adjective = ADJECTIVES.iter().find(|adjective| adjective.english == two[0]);
                adjective.zip(forms.get(two[1])).is_some_and(|(adjective, noun)| held_out((noun, adjective)))
            });
            assert!(expected || !beside, "{}", pair.source);
            found += usize::from(beside);
        }
    }
    assert!(found > 100, "only {found} held-out combinations are attributive");
}

#[test]
fn about_a_tenth_of_the_combinations_is_held_out_and_every_word_keeps_most_of_its_own() {
    let fits = |noun: &lexicon::Noun, adjective: &lexicon::Adjective| noun.is_a(adjective.kinds);
    let share = |pairs: &[Combination]| {
        pairs.iter().filter(|pair| held_out(**pair)).count() as f64 / pairs.len() as f64
    };
    let of = |noun: &'static lexicon::Noun| {
        ADJECTIVES.iter().filter(move |a| fits(noun, a)).map(move |a| (noun, a))
    };
    let all: Vec<Combination> = NOUNS.iter().flat_map(of).collect();
    assert!((0.07..0.13).contains(&share(&all)), "{} of {}", share(&all), all.len());
    for noun in NOUNS {
        assert!(share(&of(noun).collect::<Vec<_>>()) < 0.5, "{}", noun.english);
    }
    for adjective in ADJECTIVES {
        let pairs: Vec<_> = all.iter().copied().filter(|pair| pair.1 == adjective).collect();
        assert!(share(&pairs) < 0.5, "{}", adjective.english);
    }
}

#[test]
fn a_source_has_one_translation() {
    let mut sampler = Sampler::new(17);
    let mut translations = HashMap::new();
    for _ in 0..200_000 {
        let pair = translate(&sampler.sentence());
        let known = translations.entry(pair.source.clone()).or_insert_with(|| pair.target.clone());
        assert_eq!(*known, pair.target, "{}", pair.source);
    }
}

#[test]
fn more_than_a_million_distinct_sentences() {
    // They are drawn, not estimated; only the hashes are kept, to spare memory.
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut sampler = Sampler::new(23);
    let mut seen = HashSet::new();
    let mut drawn = 0;
    while seen.len() <= 1_000_000 {
        seen.insert(hasher.hash_one(to_english::realise(&sampler.sentence())));
        drawn += 1;
        assert!(drawn < 2_000_000, "only {} distinct sentences", seen.len());
    }
    println!("{drawn} draws gave {} distinct sentences", seen.len());
}

#[test]
fn more_than_250_words_on_each_side() {
    let corpus = generate(29, &small());
    let mut train = corpus.train.clone();
    for pair in &mut train {
        pair.source = pair.source.to_lowercase();
        pair.target = pair.target.to_lowercase();
    }
    let source = words_of(train.iter().map(|pair| &pair.source)).len();
    let target = words_of(train.iter().map(|pair| &pair.target)).len();
    println!("{source} English and {target} French words");
    assert!(source > 400 && target > 400);
}

#[test]
fn every_word_outside_train_is_in_train() {
    let corpus = generate(31, &small());
    let words = Words::of(&corpus.train);
    for pair in [&corpus.valid, &corpus.test, &corpus.unseen].into_iter().flatten() {
        assert!(words.cover(pair), "{}", pair.source);
    }
}

#[test]
fn every_noun_adjective_and_verb_occurs_often() {
    let corpus = generate(37, &Sizes { train: 60_000, valid: 0, test: 0, unseen: 0 });
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in corpus.train.iter().flat_map(|pair| split(&pair.source)) {
        *counts.entry(word).or_default() += 1;
    }
    let count = |word: &str| counts.get(word).copied().unwrap_or(0);
    for noun in NOUNS {
        assert!(count(noun.english) + count(&english::plural(noun.english)) > 120, "{}", noun.english);
    }
    for adjective in ADJECTIVES {
        assert!(count(adjective.english) > 40, "{}: {}", adjective.english, count(adjective.english));
    }
    for verb in lexicon::VERBS {
        assert!(count(verb.english) > 100, "{}: {}", verb.english, count(verb.english));
    }
}

#[test]
fn sentences_have_three_to_twenty_words() {
    let corpus = generate(41, &small());
    let lengths: Vec<usize> =
        corpus.train.iter().map(|pair| pair.source.split_whitespace().count()).collect();
    let mean = lengths.iter().sum::<usize>() as f64 / lengths.len() as f64;
    println!("{mean} words a sentence, {:?} at most", lengths.iter().max());
    assert!(lengths.iter().all(|length| LENGTHS.contains(length)));
    assert!((7.0..10.5).contains(&mean), "{mean}");
}

#[test]
fn the_text_is_written_as_people_write() {
    for pair in generate(43, &small()).train {
        for text in [&pair.source, &pair.target] {
            assert!(text.starts_with(char::is_uppercase) && text.ends_with(['.', '?']), "{text}");
            assert!(!["  ", " ,", " .", " ?", "' ", " '"].iter().any(|wrong| text.contains(wrong)), "{text}");
        }
        for wrong in
            [" de le ", " de les ", " à le ", " à les ", " le a", " que il", " ne a", " je a", " de e"]
        {
            assert!(!pair.target.contains(wrong), "{}", pair.target);
        }
    }
}

#[test]
fn a_tiny_train_gives_shorter_parts_and_still_ends() {
    let corpus = generate(1, &Sizes { train: 5, valid: 5, test: 5, unseen: 5 });
    assert_eq!(corpus.train.len(), 5);
    assert!(corpus.test.len() <= 5);
}

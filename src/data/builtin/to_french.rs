//! French syntax: how the abstract sentence is said in French.

use super::english::Words;
use super::french;
use super::grammar::{
    Adjunct, Asked, Clause, Connective, Determiner, Features, Modifier, Mood, Nominal, Phrase, Polarity,
    Predicate, Sentence, Tense,
};
use super::lexicon::BE;

/// The sentence in French.
pub(super) fn realise(sentence: &Sentence) -> String {
    let mut words = Words::new();
    let end = match sentence {
        Sentence::Statement(opening, clause) => {
            if let Some(time) = opening {
                say(&mut words, &[time.french, ","]);
            }
            put_clause(&mut words, clause);
            '.'
        }
        Sentence::Joined(first, connective, second) => {
            put_clause(&mut words, first);
            say(
                &mut words,
                match connective {
                    Connective::And => &["et"],
                    Connective::But => &[",", "mais"],
                    Connective::Because => &["parce", "que"],
                },
            );
            put_clause(&mut words, second);
            '.'
        }
        Sentence::Whether(clause) => question(&mut words, &[], clause),
        Sentence::Asking(Asked::Where, clause) => question(&mut words, &["où"], clause),
        Sentence::Asking(Asked::Why, clause) => question(&mut words, &["pourquoi"], clause),
        Sentence::Asking(Asked::When, clause) => question(&mut words, &["quand"], clause),
        Sentence::What(clause) => {
            // The first "que" elides before "est-ce", as any other does.
            question(&mut words, &["que"], clause)
        }
        Sentence::Who(clause) => {
            say(&mut words, &["qui"]);
            put_clause(&mut words, clause);
            '?'
        }
        Sentence::HowMany(phrase, clause) => {
            say(&mut words, &["combien", "de"]);
            words.extend(kernel(phrase).0);
            question(&mut words, &[], clause)
        }
        Sentence::WhereIs(phrase) => {
            let features = phrase.features();
            say(&mut words, &["où", &french::finite(&BE, Tense::Present, features.person)]);
            put_phrase(&mut words, phrase, Mood::Said);
            '?'
        }
        Sentence::There { phrase, place, tense, mood } => {
            if *mood == Mood::Asked {
                say(&mut words, &["est-ce", "que"]);
            }
            let verb = if *tense == Tense::Future { "aura" } else { "a" };
            say(
                &mut words,
                match mood {
                    Mood::Denied => &["il", "ne", "y"],
                    Mood::Said | Mood::Asked => &["il", "y"],
                },
            );
            say(&mut words, &[verb]);
            if *mood == Mood::Denied {
                say(&mut words, &["pas"]);
            }
            put_phrase(&mut words, phrase, *mood);
            put_adjunct(&mut words, place);
            if *mood == Mood::Asked { '?' } else { '.' }
        }
    };
    french::join(&words, end)
}

/// Puts a question with *est-ce que*, which leaves the order of the clause alone.
fn question(words: &mut Words, asked: &[&str], clause: &Clause) -> char {
    say(words, asked);
    say(words, &["est-ce", "que"]);
    put_clause(words, clause);
    '?'
}

fn say(words: &mut Words, texts: &[&str]) {
    words.extend(texts.iter().map(|text| (*text).to_owned()));
}

fn put_clause(words: &mut Words, clause: &Clause) {
    let features = clause.subject.features();
    match &clause.subject {
        Nominal::Pronoun(pronoun) => say(words, &[french::subject(*pronoun)]),
        subject => put_nominal(words, subject, Mood::Said),
    }
    if clause.polarity != Polarity::Positive {
        say(words, &["ne"]);
    }
    let verb = match &clause.predicate {
        Predicate::Verb { verb, object, recipient } => {
            if let Some(Nominal::Pronoun(pronoun)) = object {
                say(words, &[french::clitic(*pronoun, verb.traits.dative)]);
            }
            if let Some(Nominal::Pronoun(pronoun)) = recipient {
                say(words, &[french::clitic(*pronoun, true)]);
            }
            verb
        }
        Predicate::Adjective(_) | Predicate::Place => &BE,
    };
    words.push(french::finite(verb, clause.tense, features.person));
    match clause.polarity {
        Polarity::Positive => {}
        Polarity::Not => say(words, &["pas"]),
        Polarity::Never => say(words, &["jamais"]),
    }
    if let Some(frequency) = clause.frequency {
        say(words, &[frequency.french]);
    }
    let (near, last) = match clause.time {
        Some(time) if time.follows_verb => (Some(time), None),
        time => (None, time),
    };
    if let Some(time) = near {
        say(words, &[time.french]);
    }
    if clause.tense == Tense::Past {
        let participle = french::participle(verb);
        words.push(match preceding_object(clause) {
            Some(features) => french::agree_participle(&participle, features),
            None => participle,
        });
    }
    put_complements(words, clause, features);
    if let Some(adjunct) = &clause.adjunct {
        put_adjunct(words, adjunct);
    }
    if let Some(time) = last {
        say(words, &[time.french]);
    }
}

/// What the participle agrees with: a direct object that has gone before it, as a pronoun or as a gap.
fn preceding_object(clause: &Clause) -> Option<Features> {
    match &clause.predicate {
        Predicate::Verb { verb, object: Some(object), .. } if !verb.traits.dative => match object {
            Nominal::Pronoun(_) | Nominal::Gap(_) => Some(object.features()),
            Nominal::Phrase(_) | Nominal::Both(..) => None,
        },
        _ => None,
    }
}

/// What follows the verb. Pronouns have gone before it.
fn put_complements(words: &mut Words, clause: &Clause, features: Features) {
    match &clause.predicate {
        Predicate::Verb { verb, object, recipient } => {
            if let Some(object @ (Nominal::Phrase(_) | Nominal::Both(..))) = object {
                if verb.traits.dative {
                    put_recipient(words, object);
                } else {
                    // Only the negation matters: a question keeps its articles.
                    put_nominal(words, object, clause.mood(false));
                }
            }
            if let Some(recipient @ (Nominal::Phrase(_) | Nominal::Both(..))) = recipient {
                put_recipient(words, recipient);
            }
        }
        Predicate::Adjective(modifier) => put_modifier(words, modifier, features),
        Predicate::Place => {}
    }
}

/// Puts *à* before each phrase of the nominal.
fn put_recipient(words: &mut Words, nominal: &Nominal) {
    for (position, phrase) in nominal.phrases().into_iter().enumerate() {
        say(words, if position == 0 { &["à"] } else { &["et", "à"] });
        put_phrase(words, phrase, Mood::Said);
    }
}

fn put_nominal(words: &mut Words, nominal: &Nominal, mood: Mood) {
    for (position, phrase) in nominal.phrases().into_iter().enumerate() {
        if position > 0 {
            say(words, &["et"]);
        }
        put_phrase(words, phrase, mood);
    }
}

fn put_adjunct(words: &mut Words, adjunct: &Adjunct) {
    match adjunct {
        Adjunct::Place(preposition, _) => say(words, preposition.french),
        Adjunct::Company(_) => say(words, &["avec"]),
    }
    put_phrase(words, adjunct.phrase(), Mood::Said);
}

fn put_modifier(words: &mut Words, modifier: &Modifier, features: Features) {
    if modifier.very {
        say(words, &["très"]);
    }
    words.push(french::agree(modifier.adjective, features));
}

/// The noun with the adjectives before and after it, and whether an adjective comes first.
fn kernel(phrase: &Phrase) -> (Words, bool) {
    let features = phrase.features();
    let noun = phrase.noun.french;
    let mut words = Words::new();
    for modifier in phrase.modifiers.iter().filter(|modifier| modifier.adjective.precedes) {
        put_modifier(&mut words, modifier, features);
        let before_vowel = modifier.adjective.before_vowel.filter(|_| french::starts_with_vowel(noun));
        if let (Some(form), false, false) = (before_vowel, features.feminine, features.plural) {
            words.pop();
            say(&mut words, &[form]);
        }
    }
    let preceded = !words.is_empty();
    words.push(if phrase.plural { french::plural(noun) } else { noun.to_owned() });
    for modifier in phrase.modifiers.iter().filter(|modifier| !modifier.adjective.precedes) {
        put_modifier(&mut words, modifier, features);
    }
    (words, preceded)
}

fn put_phrase(words: &mut Words, phrase: &Phrase, mood: Mood) {
    let features = phrase.features();
    let (kernel, preceded) = kernel(phrase);
    let before_vowel = french::starts_with_vowel(&kernel[0]);
    let the = match features {
        Features { plural: true, .. } => "les",
        Features { feminine: true, .. } => "la",
        _ => "le",
    };
    let determiner: &[&str] = match phrase.determiner {
        Determiner::The => &[the],
        Determiner::Indefinite if mood == Mood::Denied => &["de"],
        Determiner::Indefinite if phrase.noun.is_mass() => &["de", the],
        // A preposed adjective turns "des" into "de": de petites maisons.
        Determiner::Indefinite if phrase.plural && preceded => &["de"],
        Determiner::Indefinite if phrase.plural => &["des"],
        Determiner::Indefinite => &[if features.feminine { "une" } else { "un" }],
        Determiner::This => &[match features {
            Features { plural: true, .. } => "ces",
            Features { feminine: true, .. } => "cette",
            _ if before_vowel => "cet",
            _ => "ce",
        }],
        Determiner::Possessive(owner) => &[french::possessive(owner, features, before_vowel)],
        Determiner::Number => &[],
        Determiner::Many => &["beaucoup", "de"],
        Determiner::Several => &["plusieurs"],
        Determiner::Every => &["chaque"],
        Determiner::All => &[if features.feminine { "toutes" } else { "tous" }, "les"],
    };
    say(words, determiner);
    words.extend(phrase.count.map(|count| count.french.to_owned()));
    words.extend(kernel);
    if let Some(relative) = &phrase.relative {
        say(words, &[if matches!(relative.subject, Nominal::Gap(_)) { "qui" } else { "que" }]);
        put_clause(words, relative);
    }
}

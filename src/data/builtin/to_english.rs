//! English syntax: how the abstract sentence is said in English.

use super::english::{self, Words};
use super::grammar::{
    Adjunct, Asked, Clause, Connective, Determiner, Features, Modifier, Mood, Nominal, Person, Phrase,
    Polarity, Predicate, Sentence, Tense,
};
use super::lexicon::{Verb, kind};

/// The sentence in English.
pub(super) fn realise(sentence: &Sentence) -> String {
    let mut words = Words::new();
    let end = match sentence {
        Sentence::Statement(opening, clause) => {
            if let Some(time) = opening {
                say(&mut words, time.english);
                say(&mut words, ",");
            }
            put_clause(&mut words, clause, Order::Statement);
            '.'
        }
        Sentence::Joined(first, connective, second) => {
            put_clause(&mut words, first, Order::Statement);
            match connective {
                Connective::And => say(&mut words, "and"),
                Connective::But => words.extend([",", "but"].map(str::to_owned)),
                Connective::Because => say(&mut words, "because"),
            }
            put_clause(&mut words, second, Order::Statement);
            '.'
        }
        Sentence::Whether(clause) => {
            put_clause(&mut words, clause, Order::Whether);
            '?'
        }
        Sentence::Asking(asked, clause) => {
            say(
                &mut words,
                match asked {
                    Asked::Where => "where",
                    Asked::Why => "why",
                    Asked::When => "when",
                },
            );
            put_clause(&mut words, clause, Order::Asking);
            '?'
        }
        Sentence::What(clause) => {
            say(&mut words, "what");
            put_clause(&mut words, clause, Order::Asking);
            '?'
        }
        Sentence::Who(clause) => {
            say(&mut words, "who");
            // The question word is the subject, so that no auxiliary is called for.
            put_clause(&mut words, clause, Order::Statement);
            '?'
        }
        Sentence::HowMany(phrase, clause) => {
            words.extend(["how", "many"].map(str::to_owned));
            words.extend(kernel(phrase));
            put_clause(&mut words, clause, Order::Asking);
            '?'
        }
        Sentence::WhereIs(phrase) => {
            say(&mut words, "where");
            say(&mut words, english::be(phrase.features()));
            put_phrase(&mut words, phrase, Mood::Said);
            '?'
        }
        Sentence::There { phrase, place, tense, mood } => {
            let asked = *mood == Mood::Asked;
            let future = *tense == Tense::Future;
            let first = if future { "will" } else { english::be(phrase.features()) };
            words.extend(if asked { [first, "there"] } else { ["there", first] }.map(str::to_owned));
            if future {
                say(&mut words, "be");
            }
            if *mood == Mood::Denied {
                // "There is no cat" is what people say, not "there is not a cat".
                say(&mut words, "no");
                words.extend(kernel(phrase));
            } else {
                put_phrase(&mut words, phrase, *mood);
            }
            put_adjunct(&mut words, place);
            if asked { '?' } else { '.' }
        }
    };
    english::join(&words, end)
}

fn say(words: &mut Words, text: &str) {
    words.push(text.to_owned());
}

/// The order of the words in a clause.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Statement,
    /// A question for yes or no: inverted, and with "any" for "some".
    Whether,
    /// A question with a question word: inverted.
    Asking,
}

/// Puts a clause; a question has its auxiliary before the subject.
fn put_clause(words: &mut Words, clause: &Clause, order: Order) {
    let question = order != Order::Statement;
    let features = clause.subject.features();
    let (auxiliary, main) = verb_group(clause, features, question);
    if question && let Some(auxiliary) = &auxiliary {
        say(words, auxiliary);
    }
    put_nominal(words, &clause.subject, Mood::Said, english::subject);
    if !question && let Some(auxiliary) = &auxiliary {
        say(words, auxiliary);
    }
    match clause.polarity {
        Polarity::Positive => {}
        Polarity::Not => say(words, "not"),
        Polarity::Never => say(words, "never"),
    }
    if let Some(frequency) = clause.frequency {
        say(words, frequency.english);
    }
    words.extend(main);
    match &clause.predicate {
        Predicate::Verb { verb, object, recipient } => {
            if let (Some(particle), Some(_)) = (verb.particle, object) {
                say(words, particle);
            }
            if let Some(object) = object {
                put_nominal(words, object, clause.mood(order == Order::Whether), english::object);
            }
            if let Some(recipient) = recipient {
                say(words, "to");
                put_nominal(words, recipient, Mood::Said, english::object);
            }
        }
        Predicate::Adjective(modifier) => put_modifier(words, modifier),
        Predicate::Place => {}
    }
    if let Some(adjunct) = &clause.adjunct {
        put_adjunct(words, adjunct);
    }
    if let Some(time) = clause.time {
        say(words, time.english);
    }
}

/// The auxiliary, if there is one, and the main verb, unless "be" alone does for both.
fn verb_group(clause: &Clause, features: Features, question: bool) -> (Option<String>, Option<String>) {
    match (&clause.predicate, clause.tense) {
        (Predicate::Verb { verb, .. }, tense) => {
            if question || clause.polarity == Polarity::Not || tense == Tense::Future {
                let auxiliary = english::auxiliary(tense, features);
                (Some(auxiliary.to_owned()), Some(verb.english.to_owned()))
            } else {
                (None, Some(finite(verb, tense, features)))
            }
        }
        (_, Tense::Future) => (Some("will".to_owned()), Some("be".to_owned())),
        (_, Tense::Present | Tense::Past) => (Some(english::be(features).to_owned()), None),
    }
}

/// The verb in a simple tense.
fn finite(verb: &Verb, tense: Tense, features: Features) -> String {
    match tense {
        Tense::Past => verb.past.to_owned(),
        _ if features.person == Person::Third => english::third_person(verb.english),
        _ => verb.english.to_owned(),
    }
}

fn put_nominal(
    words: &mut Words,
    nominal: &Nominal,
    mood: Mood,
    pronoun_form: fn(super::grammar::Pronoun) -> &'static str,
) {
    match nominal {
        Nominal::Pronoun(pronoun) => say(words, pronoun_form(*pronoun)),
        Nominal::Phrase(phrase) => put_phrase(words, phrase, mood),
        Nominal::Both(first, second) => {
            put_phrase(words, first, mood);
            say(words, "and");
            put_phrase(words, second, mood);
        }
        Nominal::Gap(_) => {}
    }
}

fn put_adjunct(words: &mut Words, adjunct: &Adjunct) {
    say(
        words,
        match adjunct {
            Adjunct::Place(preposition, _) => preposition.english,
            Adjunct::Company(_) => "with",
        },
    );
    put_phrase(words, adjunct.phrase(), Mood::Said);
}

fn put_modifier(words: &mut Words, modifier: &Modifier) {
    if modifier.very {
        say(words, "very");
    }
    say(words, modifier.adjective.english);
}

/// The adjectives and the noun.
fn kernel(phrase: &Phrase) -> Words {
    let mut words = Words::new();
    for modifier in &phrase.modifiers {
        put_modifier(&mut words, modifier);
    }
    let noun = phrase.noun.english;
    words.push(if phrase.plural { english::plural(noun) } else { noun.to_owned() });
    words
}

fn put_phrase(words: &mut Words, phrase: &Phrase, mood: Mood) {
    let kernel = kernel(phrase);
    let counted = phrase.plural || phrase.noun.is_mass();
    let determiner = match phrase.determiner {
        Determiner::The => Some("the"),
        Determiner::Indefinite if counted && mood == Mood::Said => Some("some"),
        Determiner::Indefinite if counted => Some("any"),
        Determiner::Indefinite => Some(english::article(&kernel[0])),
        Determiner::This => Some(if phrase.plural { "these" } else { "this" }),
        Determiner::Possessive(owner) => Some(english::possessive(owner)),
        Determiner::Number => None,
        Determiner::Many => Some("many"),
        Determiner::Several => Some("several"),
        Determiner::Every => Some("every"),
        Determiner::All => Some("all the"),
    };
    words.extend(determiner.map(str::to_owned));
    words.extend(phrase.count.map(|count| count.english.to_owned()));
    words.extend(kernel);
    if let Some(relative) = &phrase.relative {
        let about_people = matches!(relative.subject, Nominal::Gap(_)) && phrase.noun.is_a(kind::PEOPLE);
        say(words, if about_people { "who" } else { "that" });
        put_clause(words, relative, Order::Statement);
    }
}

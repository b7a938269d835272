//! Sentences written by hand, in both languages, and built through the grammar: one or more for each phenomenon.

mod phrases;
mod sentences;

use super::grammar::Determiner::{
    self, All, Every, Indefinite, Many, Number, Possessive, Several, The, This,
};
use super::grammar::Tense::{Future, Past, Present};
use super::grammar::{
    Adjunct, Asked, Clause, Connective, Features, Modifier, Mood, Nominal, Phrase, Polarity, Predicate,
    Pronoun, Sentence, Tense,
};
use super::lexicon::{
    ADJECTIVES, Adjective, FREQUENCIES, NOUNS, NUMBERS, Noun, PREPOSITIONS, TIMES, VERBS, Verb, Word,
};
use super::translate;

fn noun(english: &str) -> &'static Noun {
    NOUNS.iter().find(|noun| noun.english == english).expect("a noun")
}

fn adjective(english: &str) -> &'static Adjective {
    ADJECTIVES.iter().find(|adjective| adjective.english == english).expect("an adjective")
}

/// A verb by its English, with its particle.
fn verb(english: &str) -> &'static Verb {
    let named = |verb: &&Verb| match verb.particle {
        Some(particle) => english == format!("{} {particle}", verb.english),
        None => english == verb.english,
    };
    VERBS.iter().find(named).expect("a verb")
}

fn number(english: &str) -> &'static Word {
    NUMBERS.iter().find(|number| number.english == english).expect("a number")
}

fn one(determiner: Determiner, name: &str) -> Phrase {
    Phrase::new(determiner, noun(name), false)
}

fn more(determiner: Determiner, name: &str) -> Phrase {
    Phrase::new(determiner, noun(name), true)
}

impl Phrase {
    fn being(mut self, name: &str) -> Self {
        self.modifiers.push(Modifier { adjective: adjective(name), very: false });
        self
    }

    fn counted(mut self, name: &str) -> Self {
        self.count = Some(number(name));
        self
    }

    /// A relative clause whose subject is the phrase.
    fn who(mut self, tense: Tense, name: &str, object: impl Into<Nominal>) -> Self {
        self.relative = Some(Box::new(act(Nominal::Gap(self.features()), tense, name, object)));
        self
    }

    /// A relative clause whose object is the phrase.
    fn that(mut self, subject: impl Into<Nominal>, tense: Tense, name: &str) -> Self {
        self.relative = Some(Box::new(act(subject, tense, name, Nominal::Gap(self.features()))));
        self
    }
}

impl From<Phrase> for Nominal {
    fn from(phrase: Phrase) -> Self {
        Self::Phrase(phrase)
    }
}

impl From<Pronoun> for Nominal {
    fn from(pronoun: Pronoun) -> Self {
        Self::Pronoun(pronoun)
    }
}

fn clause(subject: impl Into<Nominal>, tense: Tense, predicate: Predicate) -> Clause {
    Clause {
        subject: subject.into(),
        tense,
        polarity: Polarity::Positive,
        frequency: None,
        predicate,
        adjunct: None,
        time: None,
    }
}

fn act(subject: impl Into<Nominal>, tense: Tense, name: &str, object: impl Into<Nominal>) -> Clause {
    clause(subject, tense, Predicate::Verb { verb: verb(name), object: Some(object.into()), recipient: None })
}

fn rest(subject: impl Into<Nominal>, tense: Tense, name: &str) -> Clause {
    clause(subject, tense, Predicate::Verb { verb: verb(name), object: None, recipient: None })
}

fn be(subject: impl Into<Nominal>, tense: Tense, name: &str) -> Clause {
    clause(subject, tense, Predicate::Adjective(Modifier { adjective: adjective(name), very: false }))
}

impl Clause {
    fn not(self) -> Self {
        Self { polarity: Polarity::Not, ..self }
    }

    fn never(self) -> Self {
        Self { polarity: Polarity::Never, ..self }
    }

    fn often(self) -> Self {
        Self { frequency: Some(&FREQUENCIES[0]), ..self }
    }

    fn at(self, english: &str) -> Self {
        Self { time: TIMES.iter().find(|time| time.english == english), ..self }
    }

    fn place(self, preposition: &str, phrase: Phrase) -> Self {
        Self { adjunct: Some(place(preposition, phrase)), ..self }
    }

    fn to(mut self, someone: impl Into<Nominal>) -> Self {
        if let Predicate::Verb { recipient, .. } = &mut self.predicate {
            *recipient = Some(someone.into());
        }
        self
    }
}

fn place(english: &str, phrase: Phrase) -> Adjunct {
    let preposition = PREPOSITIONS.iter().find(|preposition| preposition.english == english);
    Adjunct::Place(preposition.expect("a preposition"), phrase)
}

fn check(sentence: &Sentence, english: &str, french: &str) {
    let pair = translate(sentence);
    assert_eq!((pair.source.as_str(), pair.target.as_str()), (english, french));
}

fn says(clause: Clause, english: &str, french: &str) {
    check(&Sentence::Statement(None, clause), english, french);
}

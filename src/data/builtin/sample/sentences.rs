//! Draws whole sentences of each kind but the plain questions.

use super::super::grammar::{
    Connective, Determiner, Features, Mood, Nominal, Phrase, Polarity, Predicate, Pronoun, Sentence, Tense,
};
use super::super::lexicon::{BE, FREQUENCIES, Kinds, NOUNS, NUMBERS, Use, Verb, kind};
use super::{PRONOUNS, Role, Sampler, Weight, bare_clause};

/// What can be said to be somewhere.
const LOCATED: Kinds = kind::LIVING | kind::PORTABLE | kind::FOOD | kind::VEHICLE;

impl Sampler {
    /// A statement about an action.
    pub(super) fn statement(&mut self) -> Option<Sentence> {
        let tense = self.tense();
        let polarity = self.polarity();
        // Meals get a share of their own: food and drink are many words with few verbs.
        let meal = self.chance(15);
        let fare = kind::EDIBLE | kind::DRINK | kind::DISH;
        let verb = self.verb(tense, |verb| !meal || verb.objects != 0 && verb.objects & !fare == 0)?;
        let mut clause = self.action(verb, tense, polarity, Weight::Full)?;
        let mut opening = None;
        if self.chance(35) {
            let time = self.time(tense, verb.traits.daily && polarity == Polarity::Positive);
            if !verb.traits.stative && polarity != Polarity::Never && clause.frequency.is_none() {
                // After a relative clause the time would be taken for a part of it.
                if self.chance(30) || clause.ends_in_relative() {
                    opening = time;
                } else {
                    clause.time = time;
                }
            }
        }
        Some(Sentence::Statement(opening, clause))
    }

    /// "The houses are old."
    pub(super) fn description(&mut self) -> Option<Sentence> {
        let polarity = self.polarity();
        let role = if polarity == Polarity::Positive { Role::Subject } else { Role::PlainSubject };
        let (subject, modifier) = self.described(role)?;
        let passing = modifier.adjective.use_as != Use::Second;
        let tense = if passing && self.chance(33) { Tense::Future } else { Tense::Present };
        let mut clause = bare_clause(subject, tense, polarity, &BE);
        clause.predicate = Predicate::Adjective(modifier);
        if modifier.adjective.use_as == Use::Mood && polarity != Polarity::Never && self.chance(50) {
            if polarity == Polarity::Positive && self.chance(50) {
                clause.frequency = Some(&FREQUENCIES[self.below(FREQUENCIES.len())]);
            } else {
                clause.time = self.time(tense, false);
            }
        }
        Some(Sentence::Statement(None, clause))
    }

    /// "The book is on the table."
    pub(super) fn location(&mut self) -> Option<Sentence> {
        let polarity = if self.chance(25) { Polarity::Not } else { Polarity::Positive };
        let noun = self.noun(LOCATED)?;
        let tense = self.pick(&[Tense::Present, Tense::Present, Tense::Future]);
        let subject = self.phrase(noun, Role::PlainSubject, Weight::Full);
        let mut clause = bare_clause(Nominal::Phrase(subject), tense, polarity, &BE);
        clause.predicate = Predicate::Place;
        clause.adjunct = Some(self.place_for(noun)?);
        if polarity == Polarity::Positive && self.chance(30) {
            return Some(Sentence::Whether(clause));
        }
        Some(Sentence::Statement(None, clause))
    }

    /// "There is a cat under the table."
    pub(super) fn existence(&mut self) -> Option<Sentence> {
        let noun = self.noun(LOCATED & !kind::FAMILY)?;
        let plural = !noun.is_a(kind::MASS | kind::PARENT) && self.chance(60);
        let mood = self.pick(&[Mood::Said, Mood::Said, Mood::Denied, Mood::Asked]);
        let mut phrase = Phrase::new(Determiner::Indefinite, noun, plural);
        if mood == Mood::Said && plural && self.chance(60) {
            phrase.determiner = self.pick(&[Determiner::Number, Determiner::Many, Determiner::Several]);
        }
        if phrase.determiner == Determiner::Number {
            phrase.count = Some(&NUMBERS[self.below(NUMBERS.len())]);
        }
        if self.chance(45) {
            self.modify(&mut phrase, Weight::Light);
        }
        let place = self.place_for(noun)?;
        let tense = self.pick(&[Tense::Present, Tense::Present, Tense::Future]);
        Some(Sentence::There { phrase, place, tense, mood })
    }

    /// "What does the boy see?", "Who sees the boy?", "How many boys do you see?"
    pub(super) fn question_about_a_part(&mut self) -> Option<Sentence> {
        let tense = self.tense();
        let part = self.below(3);
        let transitive = |verb: &Verb| verb.objects != 0 && !verb.traits.dative;
        // One does not ask "what" where the answer would be a person or a place.
        let of_things = |verb: &Verb| {
            transitive(verb)
                && (verb.objects & (kind::LIVING | kind::PLACE | kind::CROSSABLE) == 0
                    || verb.objects == kind::ANY)
        };
        let verb = match part {
            0 => self.verb(tense, |verb| verb.subjects & kind::PEOPLE != 0)?,
            1 => self.verb(tense, of_things)?,
            _ => self.verb(tense, |verb| {
                transitive(verb) && !verb.traits.definite && verb.objects & !kind::MASS != 0
            })?,
        };
        if part == 0 {
            let polarity = if self.chance(15) { Polarity::Not } else { Polarity::Positive };
            let mood = if polarity == Polarity::Positive { Mood::Said } else { Mood::Denied };
            let who = Nominal::Gap(Features::third(false, false));
            let mut clause = bare_clause(who, tense, polarity, verb);
            self.complete(&mut clause, verb, mood, Weight::Full)?;
            return Some(Sentence::Who(clause));
        }
        let subject = self.subject(verb.subjects, Role::PlainSubject, Weight::Light)?;
        let mut clause = bare_clause(subject, tense, Polarity::Positive, verb);
        if part == 1 {
            let what = Nominal::Gap(Features::third(false, false));
            self.set_object(&mut clause, verb, Some(what))?;
            return Some(Sentence::What(clause));
        }
        let noun = self.noun(verb.objects & !kind::MASS)?;
        if noun.is_mass() {
            return None;
        }
        let mut phrase = Phrase::new(Determiner::Many, noun, true);
        if self.chance(30) {
            self.modify(&mut phrase, Weight::Light);
        }
        self.set_object(&mut clause, verb, Some(Nominal::Gap(phrase.features())))?;
        Some(Sentence::HowMany(phrase, clause))
    }

    /// "The boy is sad because he lost his key."
    pub(super) fn reasoned(&mut self) -> Option<Sentence> {
        let pronoun = self.pick(&PRONOUNS);
        let features = pronoun.features();
        let noun = self.pick_where(NOUNS, |noun| {
            noun.is_a(kind::PEOPLE) && noun.feminine == (pronoun == Pronoun::She)
        })?;
        let named = matches!(pronoun, Pronoun::He | Pronoun::She | Pronoun::They) && self.chance(60);
        let subject = if named {
            let mut phrase = Phrase::new(Determiner::The, noun, features.plural);
            if noun.is_a(kind::FAMILY) {
                phrase.determiner = Determiner::Possessive(self.pick(&PRONOUNS));
            }
            if self.chance(30) {
                self.modify(&mut phrase, Weight::Light);
            }
            Nominal::Phrase(phrase)
        } else {
            Nominal::Pronoun(pronoun)
        };
        let shown = matches!(pronoun, Pronoun::He | Pronoun::She | Pronoun::They);
        let first = if self.chance(70) {
            let modifier = self.predicate(|adjective| {
                let known = !named || noun.is_a(adjective.kinds);
                adjective.use_as == Use::Mood && known && (shown || adjective.is_epicene())
            })?;
            let mut clause = bare_clause(subject, Tense::Present, Polarity::Positive, &BE);
            clause.predicate = Predicate::Adjective(modifier);
            clause
        } else {
            let verb = self.verb(Tense::Present, |verb| verb.traits.emotion)?;
            bare_clause(subject, Tense::Present, Polarity::Positive, verb)
        };
        let tense = self.pick(&[Tense::Present, Tense::Past, Tense::Past]);
        let polarity = if self.chance(40) { Polarity::Not } else { Polarity::Positive };
        let verb = self.verb(tense, |verb| verb.subjects & kind::PEOPLE != 0 && !verb.traits.emotion)?;
        let mut second = bare_clause(Nominal::Pronoun(pronoun), tense, polarity, verb);
        let mood = if polarity == Polarity::Positive { Mood::Said } else { Mood::Denied };
        self.complete(&mut second, verb, mood, Weight::Light)?;
        Some(Sentence::Joined(first, Connective::Because, second))
    }

    /// Two clauses with "and", or with "but" where one of them is negated.
    pub(super) fn joined(&mut self) -> Option<Sentence> {
        let tense = self.tense();
        let connective = self.pick(&[Connective::And, Connective::But]);
        let (first, second) = match connective {
            Connective::But if self.chance(30) => (Polarity::Not, Polarity::Positive),
            Connective::But => (Polarity::Positive, Polarity::Not),
            Connective::And | Connective::Because => (Polarity::Positive, Polarity::Positive),
        };
        let mut clauses = Vec::with_capacity(2);
        for polarity in [first, second] {
            let verb = self.verb(tense, |_| true)?;
            let clause = self.action(verb, tense, polarity, Weight::Light)?;
            clauses.push(clause);
        }
        let second = clauses.pop()?;
        let first = clauses.pop()?;
        // "they" and "them" could stand for women of the other clause, and would then not be "ils".
        let same = first.subject == second.subject || second.speaks_of_them();
        (!same).then_some(Sentence::Joined(first, connective, second))
    }
}

//! Draws clauses: a verb with its subject, object, recipient and adjunct.

use super::super::grammar::{Adjunct, Asked, Clause, Mood, Nominal, Polarity, Predicate, Pronoun, Tense};
use super::super::lexicon::{BE, FREQUENCIES, PREPOSITIONS, Verb, kind};
use super::{PRONOUNS, Role, Sampler, Weight, bare_clause, distinct};

impl Sampler {
    /// A clause with a verb, its subject and its complements, without a time.
    pub(super) fn action(
        &mut self,
        verb: &'static Verb,
        tense: Tense,
        polarity: Polarity,
        weight: Weight,
    ) -> Option<Clause> {
        let role = if polarity == Polarity::Positive { Role::Subject } else { Role::PlainSubject };
        let subject = self.subject(verb.subjects, role, weight)?;
        let mood = if polarity == Polarity::Positive { Mood::Said } else { Mood::Denied };
        let mut clause = Clause {
            subject,
            tense,
            polarity,
            frequency: None,
            predicate: Predicate::Verb { verb, object: None, recipient: None },
            adjunct: None,
            time: None,
        };
        self.complete(&mut clause, verb, mood, weight)?;
        if polarity == Polarity::Positive && !verb.traits.stative && self.chance(12) {
            clause.frequency = Some(&FREQUENCIES[self.below(FREQUENCIES.len())]);
        }
        Some(clause)
    }

    /// Gives the verb its object, recipient and adjunct.
    pub(super) fn complete(
        &mut self,
        clause: &mut Clause,
        verb: &'static Verb,
        mood: Mood,
        weight: Weight,
    ) -> Option<()> {
        // Nothing may follow a relative clause that could be taken for a part of it.
        let weight = if verb.traits.recipient { Weight::Light } else { weight };
        let object = if verb.objects == 0 { None } else { Some(self.object(clause, verb, mood, weight)?) };
        let alone = object.is_none();
        self.set_object(clause, verb, object)?;
        let open = clause.ends_in_relative();
        let excluded = if clause.subject.phrases().iter().any(|phrase| phrase.noun.is_a(kind::ANIMAL)) {
            kind::INDOORS
        } else {
            0
        };
        let about_places = verb.objects & (kind::PLACE | kind::CROSSABLE) != 0;
        let closed = open || about_places || verb.traits.stative || verb.traits.recipient;
        let located = if alone {
            60
        } else if closed {
            0
        } else {
            17
        };
        if verb.traits.water {
            let noun = self.noun(kind::WATER)?;
            let place = self.phrase(noun, Role::Oblique, Weight::Light);
            clause.adjunct = self.chance(70).then_some(Adjunct::Place(&PREPOSITIONS[0], place));
        } else if alone && verb.traits.company && self.chance(35) {
            let friend = self.noun(if verb.subjects & kind::PET != 0 {
                kind::PEOPLE | kind::PET
            } else {
                kind::PEOPLE
            })?;
            clause.adjunct = Some(Adjunct::Company(self.phrase(friend, Role::Oblique, Weight::Light)));
        } else if self.chance(located) {
            clause.adjunct = self.scene(excluded);
        }
        Some(())
    }

    /// Gives the verb its object, and a recipient if it takes one.
    pub(super) fn set_object(
        &mut self,
        clause: &mut Clause,
        verb: &'static Verb,
        object: Option<Nominal>,
    ) -> Option<()> {
        let recipient = if verb.traits.recipient { Some(self.recipient(&clause.subject)?) } else { None };
        clause.predicate = Predicate::Verb { verb, object, recipient };
        Some(())
    }

    pub(super) fn object(
        &mut self,
        clause: &Clause,
        verb: &'static Verb,
        mood: Mood,
        weight: Weight,
    ) -> Option<Nominal> {
        let definite = verb.traits.definite;
        // To a pronoun before a verb with a recipient French would add a second pronoun.
        let living = verb.objects & kind::LIVING != 0 && !verb.traits.recipient;
        let sought = !verb.traits.stative || definite;
        if living && sought && self.chance(if verb.objects == kind::ANY { 25 } else { 30 }) {
            return self.pronoun_object(clause, verb);
        }
        let noun = self.noun(verb.objects)?;
        let role = if definite { Role::DefiniteObject } else { Role::Object(mood) };
        let first = self.phrase(noun, role, weight);
        if role == Role::Object(Mood::Denied) || !self.chance(6) {
            return Some(Nominal::Phrase(first));
        }
        let other = self.noun(verb.objects)?;
        let second = self.phrase(other, role, Weight::Light);
        (noun != other && first.relative.is_none()).then_some(Nominal::Both(first, second))
    }

    /// A pronoun as a direct object. A past participle would show the gender of "me", "you" and "us", which
    /// English does not tell, so that these only go with the other tenses and with indirect objects.
    pub(super) fn pronoun_object(&mut self, clause: &Clause, verb: &'static Verb) -> Option<Nominal> {
        let spoken = verb.objects & kind::PEOPLE != 0 && (clause.tense != Tense::Past || verb.traits.dative);
        let pronoun = if spoken {
            self.pick(&PRONOUNS)
        } else {
            self.pick(&[Pronoun::He, Pronoun::She, Pronoun::They])
        };
        distinct(&clause.subject, pronoun).then_some(Nominal::Pronoun(pronoun))
    }

    /// A clause to be asked about, as a whole or about the adjunct that the question word asks for.
    pub(super) fn question(&mut self, asked: Option<Asked>) -> Option<Clause> {
        let mut tense = self.tense();
        if asked == Some(Asked::When) && tense == Tense::Present {
            tense = Tense::Future;
        }
        if asked.is_none_or(|asked| asked == Asked::Why) && self.chance(25) {
            let (subject, modifier) = self.described(Role::PlainSubject)?;
            let mut clause = bare_clause(subject, Tense::Present, Polarity::Positive, &BE);
            clause.predicate = Predicate::Adjective(modifier);
            return Some(clause);
        }
        let verb = self.verb(tense, |verb| match asked {
            None => true,
            // A verb whose object is a place or goes to somebody is not asked where.
            Some(Asked::Where) => {
                let placed = verb.objects & kind::OPEN_AIR != 0 && verb.objects != kind::ANY;
                !(verb.traits.stative || verb.traits.recipient || placed)
            }
            Some(Asked::Why | Asked::When) => !verb.traits.stative,
        })?;
        let subject = self.subject(verb.subjects, Role::PlainSubject, Weight::Light)?;
        let negated = asked == Some(Asked::Why) && self.chance(40);
        let polarity = if negated { Polarity::Not } else { Polarity::Positive };
        let mut clause = bare_clause(subject, tense, polarity, verb);
        let mood = if negated { Mood::Denied } else { Mood::Asked };
        self.complete(&mut clause, verb, mood, Weight::Full)?;
        if asked == Some(Asked::Where) {
            clause.adjunct = None;
        }
        if asked.is_none() && !verb.traits.stative && !clause.ends_in_relative() && self.chance(25) {
            clause.time = self.time(tense, verb.traits.daily);
        }
        Some(clause)
    }
}

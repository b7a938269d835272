//! Draws noun phrases and what hangs on them.

use super::super::grammar::{
    Adjunct, Clause, Determiner, Modifier, Mood, Nominal, Phrase, Polarity, Predicate, Pronoun, Tense,
};
use super::super::lexicon::{ADJECTIVES, Adjective, BE, Kinds, NUMBERS, Noun, PREPOSITIONS, Use, kind};
use super::{PRONOUNS, Role, Sampler, Weight, bare_clause, distinct};

/// What the nouns are that one may call one's own.
const OWNABLE: Kinds = kind::FAMILY
    | kind::ANIMAL
    | kind::EDIBLE
    | kind::DRINK
    | kind::PORTABLE
    | kind::INSTRUMENT
    | kind::FURNITURE
    | kind::VEHICLE
    | kind::ROOM
    | kind::PORTAL;

impl Sampler {
    pub(super) fn determiner(&mut self, noun: &Noun, role: Role, plural: bool) -> Determiner {
        let own = noun.is_a(OWNABLE);
        let owner = self.pick(&PRONOUNS);
        // One seldom speaks of "a mother" or "this brother": relatives are somebody's.
        if noun.is_a(kind::FAMILY) && (noun.is_a(kind::PARENT) || !matches!(role, Role::Subject)) {
            return if self.chance(65) { Determiner::Possessive(owner) } else { Determiner::The };
        }
        match self.below(100) {
            0..45 => Determiner::The,
            45..55 if noun.is_a(kind::FAMILY) => Determiner::Possessive(owner),
            45..55 => Determiner::This,
            55..70 if own => Determiner::Possessive(owner),
            55..75 if role == Role::Oblique && !noun.is_mass() && !plural => Determiner::Indefinite,
            70..100 if matches!(role, Role::Object(_)) => {
                let bare = role == Role::Object(Mood::Said) && !noun.is_mass();
                if bare && self.chance(35) { self.quantity() } else { Determiner::Indefinite }
            }
            70..100 if role == Role::Subject && noun.is_a(kind::FAMILY) => self.quantity(),
            70..100 if role == Role::Subject && !noun.is_mass() => {
                if self.chance(50) {
                    self.quantity()
                } else {
                    Determiner::Indefinite
                }
            }
            _ => Determiner::The,
        }
    }

    pub(super) fn quantity(&mut self) -> Determiner {
        self.pick(&[
            Determiner::Number,
            Determiner::Number,
            Determiner::Many,
            Determiner::Several,
            Determiner::Every,
            Determiner::All,
        ])
    }

    /// Adds one adjective, or one before and one after the French noun.
    pub(super) fn modify(&mut self, phrase: &mut Phrase, weight: Weight) {
        let noun = phrase.noun;
        let fits = |adjective: &Adjective| noun.is_a(adjective.kinds) && adjective.use_as != Use::Predicate;
        let double = weight == Weight::Full && self.chance(20);
        let first =
            self.pick_where(ADJECTIVES, |adjective| fits(adjective) && (adjective.precedes || !double));
        let second = if double {
            self.pick_where(ADJECTIVES, |adjective| fits(adjective) && adjective.use_as == Use::Second)
        } else {
            None
        };
        for adjective in first.into_iter().chain(second) {
            let very = adjective.is_gradable() && !double && self.chance(12);
            phrase.modifiers.push(Modifier { adjective, very });
        }
    }

    pub(super) fn phrase(&mut self, noun: &'static Noun, role: Role, weight: Weight) -> Phrase {
        let plural =
            !noun.is_a(kind::MASS | kind::PARENT) && self.chance(if role == Role::Oblique { 20 } else { 35 });
        let determiner = self.determiner(noun, role, plural);
        // The determiner may ask for a number of its own.
        let plural = match determiner {
            Determiner::Every => false,
            Determiner::Number | Determiner::Many | Determiner::Several | Determiner::All => true,
            _ => plural,
        };
        let mut phrase = Phrase::new(determiner, noun, plural);
        let countable = matches!(determiner, Determiner::The | Determiner::This | Determiner::Possessive(_));
        if determiner == Determiner::Number || plural && countable && self.chance(15) {
            phrase.count = Some(&NUMBERS[self.below(NUMBERS.len())]);
        }
        if self.chance(if weight == Weight::Full { 55 } else { 35 }) {
            self.modify(&mut phrase, weight);
        }
        let room = phrase.modifiers.len() < 2 && weight == Weight::Full;
        if room && determiner == Determiner::The && role != Role::Oblique && self.chance(22) {
            // "they" could be the women of the main clause, and would then not be "ils".
            let clause = self.relative(&phrase).filter(|clause| !clause.speaks_of_them());
            phrase.relative = clause.map(Box::new);
        }
        phrase
    }

    pub(super) fn subject(&mut self, kinds: Kinds, role: Role, weight: Weight) -> Option<Nominal> {
        if kinds & kind::PEOPLE != 0 && self.chance(34) {
            return Some(Nominal::Pronoun(self.pick(&PRONOUNS)));
        }
        let noun = self.noun(kinds)?;
        if self.chance(10) {
            let other = self.noun(kinds)?;
            let alike = noun.is_a(kind::PEOPLE) == other.is_a(kind::PEOPLE) && noun != other;
            let first = self.phrase(noun, Role::PlainSubject, Weight::Light);
            let second = self.phrase(other, Role::PlainSubject, Weight::Light);
            return alike.then_some(Nominal::Both(first, second));
        }
        Some(Nominal::Phrase(self.phrase(noun, role, weight)))
    }

    pub(super) fn recipient(&mut self, subject: &Nominal) -> Option<Nominal> {
        if self.chance(45) {
            let pronoun = self.pick(&PRONOUNS);
            return distinct(subject, pronoun).then_some(Nominal::Pronoun(pronoun));
        }
        let noun = self.noun(kind::PEOPLE)?;
        Some(Nominal::Phrase(self.phrase(noun, Role::Oblique, Weight::Light)))
    }

    /// A place where something happens.
    pub(super) fn scene(&mut self, excluded: Kinds) -> Option<Adjunct> {
        let preposition = &PREPOSITIONS[self.below(PREPOSITIONS.len())];
        let noun = self.noun(preposition.scenes & !excluded)?;
        Some(Adjunct::Place(preposition, self.phrase(noun, Role::Oblique, Weight::Light)))
    }

    /// A place where something of these kinds may be.
    pub(super) fn place_for(&mut self, figure: &Noun) -> Option<Adjunct> {
        let preposition = &PREPOSITIONS[self.below(PREPOSITIONS.len())];
        let ground = if figure.is_a(kind::VEHICLE) {
            preposition.stands
        } else if figure.is_a(kind::PET) && self.chance(50) || !figure.is_a(kind::LIVING) {
            preposition.spots
        } else {
            preposition.scenes
        };
        // A bag is not put into another bag.
        let ground = if figure.is_a(kind::HOLDER | kind::LIVING) { ground & !kind::HOLDER } else { ground };
        let noun = self.noun(ground)?;
        Some(Adjunct::Place(preposition, self.phrase(noun, Role::Oblique, Weight::Light)))
    }

    /// A relative clause about the phrase, which is the subject or the object in it.
    pub(super) fn relative(&mut self, phrase: &Phrase) -> Option<Clause> {
        let noun = phrase.noun;
        let tense = self.pick(&[Tense::Present, Tense::Past]);
        let polarity = if self.chance(10) { Polarity::Not } else { Polarity::Positive };
        let gap = Nominal::Gap(phrase.features());
        if noun.is_a(kind::LIVING) && self.chance(50) {
            let verb = self.verb(tense, |verb| noun.is_a(verb.subjects))?;
            let mood = if polarity == Polarity::Positive { Mood::Said } else { Mood::Denied };
            let mut clause = bare_clause(gap, tense, polarity, verb);
            self.complete(&mut clause, verb, mood, Weight::Light)?;
            let indoors =
                clause.adjunct.as_ref().is_some_and(|adjunct| adjunct.phrase().noun.is_a(kind::INDOORS));
            return (!indoors || noun.is_a(kind::PEOPLE)).then_some(clause);
        }
        if self.chance(20) {
            let modifier = self.predicate(|adjective| {
                noun.is_a(adjective.kinds)
                    && phrase.modifiers.iter().all(|other| other.adjective != adjective)
            })?;
            let mut clause = bare_clause(gap, Tense::Present, polarity, &BE);
            clause.predicate = Predicate::Adjective(modifier);
            return Some(clause);
        }
        let verb = self.verb(tense, |verb| noun.is_a(verb.objects) && !verb.traits.dative)?;
        let subject = self.subject(verb.subjects, Role::PlainSubject, Weight::Light)?;
        let mut clause = bare_clause(subject, tense, polarity, verb);
        self.set_object(&mut clause, verb, Some(gap))?;
        Some(clause)
    }

    /// An adjective to be said of a subject.
    pub(super) fn predicate(&mut self, fits: impl Fn(&Adjective) -> bool) -> Option<Modifier> {
        let adjective =
            self.pick_where(ADJECTIVES, |adjective| adjective.use_as != Use::Attribute && fits(adjective))?;
        let very = adjective.is_gradable() && self.chance(25);
        Some(Modifier { adjective, very })
    }

    /// A subject with an adjective that suits it.
    pub(super) fn described(&mut self, role: Role) -> Option<(Nominal, Modifier)> {
        if self.chance(28) {
            let pronoun = self.pick(&PRONOUNS);
            let modifier = self.predicate(|adjective| {
                // Of a person who speaks or is spoken to the gender is unknown.
                let shown = matches!(pronoun, Pronoun::He | Pronoun::She | Pronoun::They);
                adjective.kinds & kind::PEOPLE != 0 && (shown || adjective.is_epicene())
            })?;
            return Some((Nominal::Pronoun(pronoun), modifier));
        }
        let noun = self.noun(kind::ANY)?;
        let other = self.chance(10).then(|| self.noun(noun.kinds)).flatten();
        let modifier = self.predicate(|adjective| {
            noun.is_a(adjective.kinds) && other.is_none_or(|other| other.is_a(adjective.kinds))
        })?;
        let subject = match other {
            Some(other) if other == noun => return None,
            Some(other) => {
                let first = self.phrase(noun, Role::PlainSubject, Weight::Light);
                Nominal::Both(first, self.phrase(other, Role::PlainSubject, Weight::Light))
            }
            None => Nominal::Phrase(self.phrase(noun, role, Weight::Full)),
        };
        // One description is enough beside the predicate.
        let crowded = subject
            .phrases()
            .iter()
            .filter_map(|phrase| phrase.relative.as_ref())
            .any(|relative| matches!(relative.predicate, Predicate::Adjective(_)));
        (!crowded).then_some((subject, modifier))
    }
}

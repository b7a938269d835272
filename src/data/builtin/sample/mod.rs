//! Draws abstract sentences at random.

mod clauses;
mod phrases;
mod sentences;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use super::grammar::{Asked, Clause, Mood, Nominal, Polarity, Predicate, Pronoun, Sentence, Tense};
use super::lexicon::{Adjective, Kinds, NOUNS, Noun, OPPOSITES, TIMES, Time, Use, VERBS, Verb, kind};

const PRONOUNS: [Pronoun; 6] =
    [Pronoun::I, Pronoun::You, Pronoun::He, Pronoun::She, Pronoun::We, Pronoun::They];

/// How much a noun phrase may carry.
#[derive(Clone, Copy, PartialEq)]
enum Weight {
    /// At most one adjective.
    Light,
    /// Two adjectives or a relative clause besides.
    Full,
}

/// Where a noun phrase stands, which decides on its determiner.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// The subject of a positive statement.
    Subject,
    /// A subject that is negated or questioned, whose determiner must not clash with that.
    PlainSubject,
    Object(Mood),
    /// An object that must be definite.
    DefiniteObject,
    /// After a preposition: definite, or "a".
    Oblique,
}

/// A source of random sentences.
pub(in super::super) struct Sampler {
    // A named generator: its sequence is promised to stay the same on every platform and in every release.
    random: Xoshiro256PlusPlus,
}

impl Sampler {
    /// A sampler whose sentences depend on the seed alone.
    pub(in super::super) fn new(seed: u64) -> Self {
        Self { random: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// The next sentence.
    pub(in super::super) fn sentence(&mut self) -> Sentence {
        loop {
            if let Some(sentence) = self.attempt().filter(is_sensible) {
                return sentence;
            }
        }
    }

    /// A number below `bound`, by multiplication: the draws do not depend on the algorithms of a library's
    /// distributions, which may change.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.random.next_u64()) * bound as u128) >> 64) as usize
    }

    /// True in `percent` of the cases.
    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// One of the items that qualify, if any does.
    fn pick_where<T>(&mut self, items: &'static [T], qualifies: impl Fn(&T) -> bool) -> Option<&'static T> {
        let number = items.iter().filter(|item| qualifies(item)).count();
        if number == 0 {
            return None;
        }
        let chosen = self.below(number);
        items.iter().filter(|item| qualifies(item)).nth(chosen)
    }

    /// A sentence, or nothing where the draws do not fit together.
    fn attempt(&mut self) -> Option<Sentence> {
        match self.below(100) {
            0..46 => self.statement(),
            46..58 => self.description(),
            58..62 => self.location(),
            62..67 => self.existence(),
            67..76 => Some(Sentence::Whether(self.question(None)?)),
            76..79 => Some(Sentence::Asking(Asked::Where, self.question(Some(Asked::Where))?)),
            79..81 => Some(Sentence::Asking(Asked::Why, self.question(Some(Asked::Why))?)),
            81..83 => Some(Sentence::Asking(Asked::When, self.question(Some(Asked::When))?)),
            83..88 => self.question_about_a_part(),
            88..89 => {
                let noun = self.noun(kind::PORTABLE | kind::PET | kind::FAMILY | kind::BUILDING)?;
                Some(Sentence::WhereIs(self.phrase(noun, Role::DefiniteObject, Weight::Light)))
            }
            89..93 => self.reasoned(),
            _ => self.joined(),
        }
    }

    fn noun(&mut self, kinds: Kinds) -> Option<&'static Noun> {
        self.pick_where(NOUNS, |noun| noun.is_a(kinds))
    }

    fn verb(&mut self, tense: Tense, qualifies: impl Fn(&Verb) -> bool) -> Option<&'static Verb> {
        self.pick_where(VERBS, |verb| !(verb.traits.stative && tense == Tense::Past) && qualifies(verb))
    }

    fn tense(&mut self) -> Tense {
        self.pick(&[Tense::Present, Tense::Present, Tense::Past, Tense::Past, Tense::Future])
    }

    fn polarity(&mut self) -> Polarity {
        match self.below(100) {
            0..22 => Polarity::Not,
            22..28 => Polarity::Never,
            _ => Polarity::Positive,
        }
    }

    fn time(&mut self, tense: Tense, daily: bool) -> Option<&'static Time> {
        self.pick_where(TIMES, |time| time.tense == tense && (daily || !time.habitual))
    }
}

/// Whether no noun comes twice, and nothing is said to be twice the same or the opposite of what it is.
fn is_sensible(sentence: &Sentence) -> bool {
    let contents = sentence.contents();
    let nouns = &contents.nouns;
    let repeated = nouns.iter().enumerate().any(|(position, noun)| nouns[..position].contains(noun));
    let combinations = &contents.combinations;
    let clash = combinations.iter().enumerate().any(|(position, (noun, adjective))| {
        combinations[..position].iter().any(|(other_noun, other)| {
            let both_second = adjective.use_as == Use::Second && other.use_as == Use::Second;
            noun == other_noun && (both_second || adjective == other || are_opposites(adjective, other))
        })
    });
    !repeated && !clash
}

fn are_opposites(one: &Adjective, other: &Adjective) -> bool {
    let (one, other) = (one.english, other.english);
    OPPOSITES.contains(&(one, other)) || OPPOSITES.contains(&(other, one))
}

/// A clause that says nothing but its verb.
fn bare_clause(subject: Nominal, tense: Tense, polarity: Polarity, verb: &'static Verb) -> Clause {
    let predicate = Predicate::Verb { verb, object: None, recipient: None };
    Clause { subject, tense, polarity, frequency: None, predicate, adjunct: None, time: None }
}

/// Whether the pronoun is somebody other than the subject, so that no reflexive is called for.
fn distinct(subject: &Nominal, pronoun: Pronoun) -> bool {
    match subject {
        Nominal::Pronoun(Pronoun::I | Pronoun::We) => !matches!(pronoun, Pronoun::I | Pronoun::We),
        Nominal::Pronoun(Pronoun::You) => pronoun != Pronoun::You,
        _ => true,
    }
}

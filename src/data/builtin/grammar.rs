//! The abstract sentence. It says what is meant, and each language realises it in its own way: neither realisation
//! ever looks at the other, so that both are translations of one tree.

use super::lexicon::{Adjective, Noun, Preposition, Time, Verb, Word};

/// The persons that verbs tell apart. "you" is always the polite *vous* said to one person.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Person {
    I,
    Third,
    We,
    You,
    Thirds,
}

/// What a verb or an adjective agrees with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Features {
    pub(super) person: Person,
    pub(super) feminine: bool,
    pub(super) plural: bool,
}

impl Features {
    /// The third person, singular or plural.
    pub(super) fn third(feminine: bool, plural: bool) -> Self {
        Self { person: if plural { Person::Thirds } else { Person::Third }, feminine, plural }
    }
}

/// The three tenses: present, past (*passé composé*), future (*futur simple*).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Tense {
    Present,
    Past,
    Future,
}

/// Whether and how a clause is negated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Polarity {
    Positive,
    Not,
    Never,
}

/// The personal pronouns. "it" is left out, since English hides its gender; "they" is *ils*.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pronoun {
    I,
    You,
    He,
    She,
    We,
    They,
}

impl Pronoun {
    /// What agrees with the pronoun. The gender of I, you and we is unknown, and never asked for.
    pub(super) fn features(self) -> Features {
        match self {
            Self::I => Features { person: Person::I, feminine: false, plural: false },
            Self::You => Features { person: Person::You, feminine: false, plural: false },
            Self::He => Features::third(false, false),
            Self::She => Features::third(true, false),
            Self::We => Features { person: Person::We, feminine: false, plural: true },
            Self::They => Features::third(false, true),
        }
    }
}

/// What opens a noun phrase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Determiner {
    The,
    /// "a", and "some" before a plural or a stuff.
    Indefinite,
    This,
    Possessive(Pronoun),
    /// A bare number: "two dogs".
    Number,
    Many,
    Several,
    Every,
    All,
}

/// An adjective, perhaps with "very".
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Modifier {
    pub(super) adjective: &'static Adjective,
    pub(super) very: bool,
}

/// A noun with all that hangs on it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Phrase {
    pub(super) determiner: Determiner,
    /// A number: after "the", "these" and possessives, or alone as [`Determiner::Number`].
    pub(super) count: Option<&'static Word>,
    pub(super) noun: &'static Noun,
    pub(super) plural: bool,
    /// In the English order.
    pub(super) modifiers: Vec<Modifier>,
    /// A relative clause, whose gap is its subject or its object.
    pub(super) relative: Option<Box<Clause>>,
}

impl Phrase {
    /// A bare phrase.
    pub(super) fn new(determiner: Determiner, noun: &'static Noun, plural: bool) -> Self {
        Self { determiner, count: None, noun, plural, modifiers: Vec::new(), relative: None }
    }

    /// What agrees with the phrase.
    pub(super) fn features(&self) -> Features {
        Features::third(self.noun.feminine, self.plural)
    }
}

/// What can be a subject or an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Nominal {
    Pronoun(Pronoun),
    Phrase(Phrase),
    /// Two phrases joined by "and".
    Both(Phrase, Phrase),
    /// The place that a relative or question word has left empty, with what agrees with it.
    Gap(Features),
}

impl Nominal {
    /// What agrees with the nominal; of two genders the masculine prevails.
    pub(super) fn features(&self) -> Features {
        match self {
            Self::Pronoun(pronoun) => pronoun.features(),
            Self::Phrase(phrase) => phrase.features(),
            Self::Both(first, second) => Features::third(first.noun.feminine && second.noun.feminine, true),
            Self::Gap(features) => *features,
        }
    }

    /// The phrases in it.
    pub(super) fn phrases(&self) -> Vec<&Phrase> {
        match self {
            Self::Phrase(phrase) => vec![phrase],
            Self::Both(first, second) => vec![first, second],
            Self::Pronoun(_) | Self::Gap(_) => Vec::new(),
        }
    }
}

/// Where, or with whom.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Adjunct {
    Place(&'static Preposition, Phrase),
    Company(Phrase),
}

impl Adjunct {
    /// The phrase in it.
    pub(super) fn phrase(&self) -> &Phrase {
        match self {
            Self::Place(_, phrase) | Self::Company(phrase) => phrase,
        }
    }
}

/// What a clause says of its subject.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one sentence lives at a time, so that its size does not matter"
)]
pub(super) enum Predicate {
    Verb {
        verb: &'static Verb,
        object: Option<Nominal>,
        recipient: Option<Nominal>,
    },
    Adjective(Modifier),
    /// Only "is" and the adjunct of the clause.
    Place,
}

/// A subject and what is said of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clause {
    pub(super) subject: Nominal,
    pub(super) tense: Tense,
    pub(super) polarity: Polarity,
    pub(super) frequency: Option<&'static Word>,
    pub(super) predicate: Predicate,
    pub(super) adjunct: Option<Adjunct>,
    pub(super) time: Option<&'static Time>,
}

/// What joins two clauses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Connective {
    And,
    But,
    Because,
}

/// The question words that ask for an adjunct.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Asked {
    Where,
    Why,
    When,
}

/// A whole sentence.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one sentence lives at a time, so that its size does not matter"
)]
pub(super) enum Sentence {
    /// A clause, perhaps with a time before it.
    Statement(Option<&'static Time>, Clause),
    Joined(Clause, Connective, Clause),
    /// A question to be answered by yes or no.
    Whether(Clause),
    Asking(Asked, Clause),
    /// "What does the boy see?": the object is a gap.
    What(Clause),
    /// "Who sees the boy?": the subject is a gap.
    Who(Clause),
    /// "How many apples does the boy eat?": the object is a gap.
    HowMany(Phrase, Clause),
    /// "Where are the keys?"
    WhereIs(Phrase),
    /// "There is a cat under the table."
    There {
        phrase: Phrase,
        place: Adjunct,
        tense: Tense,
        mood: Mood,
    },
}

/// Whether something is said, denied or asked. It decides between "some", "any" and "no".
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mood {
    Said,
    Denied,
    Asked,
}

impl Clause {
    /// Whether the object of the verb has a relative clause and so ends the clause as it stands.
    pub(super) fn ends_in_relative(&self) -> bool {
        match &self.predicate {
            Predicate::Verb { object: Some(Nominal::Phrase(phrase)), .. } => phrase.relative.is_some(),
            _ => false,
        }
    }

    /// Whether "they" is the subject or "them" the direct object.
    pub(super) fn speaks_of_them(&self) -> bool {
        let object = match &self.predicate {
            Predicate::Verb { object, .. } => object.as_ref(),
            Predicate::Adjective(_) | Predicate::Place => None,
        };
        [Some(&self.subject), object].contains(&Some(&Nominal::Pronoun(Pronoun::They)))
    }

    /// The mood that the object of the clause sees.
    pub(super) fn mood(&self, question: bool) -> Mood {
        match self.polarity {
            Polarity::Not | Polarity::Never => Mood::Denied,
            Polarity::Positive if question => Mood::Asked,
            Polarity::Positive => Mood::Said,
        }
    }

    /// Collects what is in the clause; `antecedent` is what a gap as subject stands for.
    fn collect(&self, antecedent: Option<&'static Noun>, contents: &mut Contents) {
        for phrase in self.subject.phrases() {
            phrase.collect(contents);
        }
        match &self.predicate {
            Predicate::Verb { object, recipient, .. } => {
                for phrase in object.iter().chain(recipient).flat_map(Nominal::phrases) {
                    phrase.collect(contents);
                }
            }
            Predicate::Adjective(modifier) => {
                let nouns = self.subject.phrases().into_iter().map(|phrase| phrase.noun).chain(antecedent);
                contents.combinations.extend(nouns.map(|noun| (noun, modifier.adjective)));
            }
            Predicate::Place => {}
        }
        if let Some(adjunct) = &self.adjunct {
            adjunct.phrase().collect(contents);
        }
    }
}

/// A noun and an adjective said of it.
pub(super) type Combination = (&'static Noun, &'static Adjective);

/// The words of a sentence that carry its meaning.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Every noun, as often as it occurs.
    pub(super) nouns: Vec<&'static Noun>,
    /// Every noun with every adjective said of it, attributively or predicatively.
    pub(super) combinations: Vec<Combination>,
}

impl Phrase {
    fn collect(&self, contents: &mut Contents) {
        contents.nouns.push(self.noun);
        contents.combinations.extend(self.modifiers.iter().map(|modifier| (self.noun, modifier.adjective)));
        if let Some(relative) = &self.relative {
            relative.collect(Some(self.noun), contents);
        }
    }
}

impl Sentence {
    /// The nouns of the sentence and what is said of them.
    pub(super) fn contents(&self) -> Contents {
        let mut contents = Contents::default();
        match self {
            Self::Statement(_, clause)
            | Self::Whether(clause)
            | Self::Asking(_, clause)
            | Self::What(clause)
            | Self::Who(clause) => clause.collect(None, &mut contents),
            Self::Joined(first, _, second) => {
                first.collect(None, &mut contents);
                second.collect(None, &mut contents);
            }
            Self::HowMany(phrase, clause) => {
                phrase.collect(&mut contents);
                clause.collect(None, &mut contents);
            }
            Self::WhereIs(phrase) => phrase.collect(&mut contents),
            Self::There { phrase, place, .. } => {
                phrase.collect(&mut contents);
                place.phrase().collect(&mut contents);
            }
        }
        contents
    }
}

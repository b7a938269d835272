//! The words of the built-in corpus: what they are called on each side and what they may be combined with.

mod adjectives;
mod adverbs;
mod nouns;
mod verbs;

pub(super) use adjectives::{ADJECTIVES, OPPOSITES};
pub(super) use adverbs::{FREQUENCIES, NUMBERS, PREPOSITIONS, TIMES};
pub(super) use nouns::NOUNS;
pub(super) use verbs::{BE, HAVE, VERBS};

/// A set of semantic classes, one bit each. It keeps sentences sensible: a verb or an adjective names the
/// classes it goes with.
pub(super) type Kinds = u64;

/// The semantic classes and a few unions of them.
#[rustfmt::skip]
pub(super) mod kind {
    use super::Kinds;

    pub(crate) const FAMILY: Kinds     = 1;
    pub(crate) const PERSON: Kinds     = 1 << 1;
    pub(crate) const ANIMAL: Kinds     = 1 << 2;
    /// Animals that live in houses, and are small enough for a place under a table.
    pub(crate) const PET: Kinds        = 1 << 3;
    pub(crate) const BEAST: Kinds      = 1 << 4;
    pub(crate) const FOOD: Kinds       = 1 << 5;
    /// Food that is not counted ("some bread").
    pub(crate) const STAPLE: Kinds     = 1 << 6;
    /// Drinks, which are not counted either.
    pub(crate) const DRINK: Kinds      = 1 << 7;
    pub(crate) const FRUIT: Kinds      = 1 << 8;
    /// What a cook prepares and a waiter serves.
    pub(crate) const DISH: Kinds       = 1 << 9;
    /// Texts on paper, which one can carry about: a book, a letter.
    pub(crate) const PAPER: Kinds      = 1 << 10;
    pub(crate) const THING: Kinds      = 1 << 11;
    pub(crate) const VESSEL: Kinds     = 1 << 12;
    /// What one can put things in: a bag, a box, a basket.
    pub(crate) const HOLDER: Kinds     = 1 << 13;
    pub(crate) const OPENS: Kinds      = 1 << 14;
    /// What works, breaks down and can be repaired.
    pub(crate) const DEVICE: Kinds     = 1 << 15;
    pub(crate) const FRAGILE: Kinds    = 1 << 16;
    pub(crate) const CLOTHES: Kinds    = 1 << 17;
    pub(crate) const FURNITURE: Kinds  = 1 << 18;
    pub(crate) const PORTAL: Kinds     = 1 << 19;
    pub(crate) const BUILDING: Kinds   = 1 << 20;
    /// Places out of doors that one is "in".
    pub(crate) const OPEN_AIR: Kinds   = 1 << 21;
    /// Places that one is "on": an island, a bridge.
    pub(crate) const SURFACE: Kinds    = 1 << 22;
    pub(crate) const CROSSABLE: Kinds  = 1 << 23;
    pub(crate) const VEHICLE: Kinds    = 1 << 24;
    /// Vehicles that a driver drives (French *conduire*).
    pub(crate) const DRIVEN: Kinds     = 1 << 25;
    pub(crate) const INSTRUMENT: Kinds = 1 << 26;
    pub(crate) const TREE: Kinds       = 1 << 27;
    pub(crate) const WATER: Kinds      = 1 << 28;
    /// Rooms: part of a building, so that one does not build or visit them.
    pub(crate) const ROOM: Kinds       = 1 << 29;
    pub(crate) const FLOWER: Kinds     = 1 << 30;

    /// Texts that are no things: a story, a poem.
    pub(crate) const WORK: Kinds       = 1 << 31;
    /// Children: an "old girl" is a *vieille fille* and much else in French.
    pub(crate) const CHILD: Kinds      = 1 << 32;
    /// Fathers and mothers, who have no plural here: nobody has two of them.
    pub(crate) const PARENT: Kinds     = 1 << 33;
    /// Buildings that a person may own and sell.
    pub(crate) const ESTATE: Kinds     = 1 << 34;
    /// Places that one goes to see.
    pub(crate) const SITE: Kinds       = 1 << 36;
    /// Dishes that may be hot.
    pub(crate) const WARM: Kinds       = 1 << 37;
    /// What is built besides buildings.
    pub(crate) const BUILT: Kinds      = 1 << 35;

    pub(crate) const PEOPLE: Kinds = FAMILY | PERSON | CHILD;
    pub(crate) const LIVING: Kinds = PEOPLE | ANIMAL;
    pub(crate) const EDIBLE: Kinds = FOOD | STAPLE;
    pub(crate) const MASS: Kinds = STAPLE | DRINK;
    pub(crate) const TEXT: Kinds = PAPER | WORK;
    pub(crate) const PORTABLE: Kinds = PAPER | THING | VESSEL | CLOTHES | FLOWER;
    pub(crate) const INDOORS: Kinds = BUILDING | ROOM;
    pub(crate) const PLACE: Kinds = INDOORS | OPEN_AIR | SURFACE;
    pub(crate) const ANY: Kinds = Kinds::MAX;
}

/// A noun. Plurals come from the morphology of each language.
#[derive(Debug, PartialEq)]
pub(super) struct Noun {
    pub(super) english: &'static str,
    pub(super) french: &'static str,
    pub(super) feminine: bool,
    pub(super) kinds: Kinds,
}

impl Noun {
    /// Whether the noun names a stuff, which has no plural and no "a".
    pub(super) fn is_mass(&self) -> bool {
        self.is_a(kind::MASS)
    }

    /// Whether the noun belongs to one of these classes.
    pub(super) fn is_a(&self, kinds: Kinds) -> bool {
        self.kinds & kinds != 0
    }
}

/// An adjective with the French forms that no rule gives.
#[derive(Debug, PartialEq)]
pub(super) struct Adjective {
    pub(super) english: &'static str,
    pub(super) masculine: &'static str,
    pub(super) feminine: &'static str,
    /// The masculine singular before a vowel, where it is special: *bel*, *vieil*, *nouvel*.
    pub(super) before_vowel: Option<&'static str>,
    /// Whether the French adjective stands before its noun.
    pub(super) precedes: bool,
    pub(super) use_as: Use,
    pub(super) kinds: Kinds,
}

/// What an adjective is good for beyond standing next to a noun.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Use {
    /// May be graded with "very".
    Plain,
    /// A passing state of people: graded, and goes with a time and a reason.
    Mood,
    /// Not graded.
    Absolute,
    /// Not graded, and never a predicate, where French would take another word.
    Attribute,
    /// Only a predicate: next to the noun the French word would mean another thing.
    Predicate,
    /// A colour or an origin: not graded, and may follow another adjective in English.
    Second,
}

impl Adjective {
    /// Whether both genders are written alike, so that "I" and "we" can be so described.
    pub(super) fn is_epicene(&self) -> bool {
        self.masculine == self.feminine
    }

    /// Whether "very" may stand before it.
    pub(super) fn is_gradable(&self) -> bool {
        matches!(self.use_as, Use::Plain | Use::Mood | Use::Predicate)
    }
}

/// A French verb: the regular groups by their infinitive, the others by the forms that matter.
#[derive(Debug, PartialEq)]
pub(super) enum Paradigm {
    /// First group: *chanter* (and *manger*, *lancer* with their spelling rule).
    Er(&'static str),
    /// Second group: *finir*, *finissons*.
    Ir(&'static str),
    /// The regular verbs in *-re*: *vendre*.
    Re(&'static str),
    /// All else: je, il, nous, vous, ils; the past participle; the stem of the future.
    Irregular([&'static str; 5], &'static str, &'static str),
}

/// A verb; it never takes *être* as its auxiliary, and its English past differs from its present.
#[derive(Debug, PartialEq)]
pub(super) struct Verb {
    pub(super) english: &'static str,
    pub(super) past: &'static str,
    /// The word that follows the English verb before its object: "look for".
    pub(super) particle: Option<&'static str>,
    pub(super) french: Paradigm,
    pub(super) subjects: Kinds,
    /// What it may take as an object; none for an intransitive verb.
    pub(super) objects: Kinds,
    pub(super) traits: Traits,
}

/// Peculiarities of a verb.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Traits {
    /// A state, whose past French would put in the imparfait: the grammar gives it no past.
    pub(super) stative: bool,
    /// Its object is always definite ("loves the apples"): with "some" French would not use *des*.
    pub(super) definite: bool,
    /// May have a recipient ("gives … to the boy").
    pub(super) recipient: bool,
    /// French makes an indirect object of the English object: *répondre à*.
    pub(super) dative: bool,
    /// Done day after day, so that "every day" fits.
    pub(super) daily: bool,
    /// Done with somebody: "plays with the dog".
    pub(super) company: bool,
    /// An expression of feeling that may be given a reason.
    pub(super) emotion: bool,
    /// Done in the water and nowhere else.
    pub(super) water: bool,
}

/// An adverb of time and the tense it asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Time {
    pub(super) english: &'static str,
    pub(super) french: &'static str,
    pub(super) tense: super::grammar::Tense,
    /// Whether it tells of a habit, which only some verbs allow.
    pub(super) habitual: bool,
    /// Whether the French adverb likes to follow the verb: *verra bientôt le chat*.
    pub(super) follows_verb: bool,
}

/// A word that has one form on each side.
#[derive(Debug, PartialEq)]
pub(super) struct Word {
    pub(super) english: &'static str,
    pub(super) french: &'static str,
}

/// A preposition of place.
#[derive(Debug, PartialEq)]
pub(super) struct Preposition {
    pub(super) english: &'static str,
    pub(super) french: &'static [&'static str],
    /// Where living beings are and things happen.
    pub(super) scenes: Kinds,
    /// Where small things lie.
    pub(super) spots: Kinds,
    /// Where vehicles stand.
    pub(super) stands: Kinds,
}

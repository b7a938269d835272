//! The small words: adverbs, numbers and prepositions.

use super::super::grammar::Tense::{self, Future, Past, Present};
use super::kind::*;
use super::{Preposition, Time, Word};

const fn time(english: &'static str, french: &'static str, tense: Tense) -> Time {
    Time { english, french, tense, habitual: false, follows_verb: false }
}

const fn habit(english: &'static str, french: &'static str) -> Time {
    Time { english, french, tense: Present, habitual: true, follows_verb: false }
}

const fn word(english: &'static str, french: &'static str) -> Word {
    Word { english, french }
}

/// Adverbs of time, each with the one tense it goes with.
pub(crate) const TIMES: &[Time] = &[
    time("yesterday", "hier", Past),
    time("last week", "la semaine dernière", Past),
    time("this morning", "ce matin", Past),
    time("tomorrow", "demain", Future),
    time("next week", "la semaine prochaine", Future),
    time("this evening", "ce soir", Future),
    Time { follows_verb: true, ..time("soon", "bientôt", Future) },
    time("today", "aujourd'hui", Present),
    habit("every day", "tous les jours"),
    habit("every morning", "tous les matins"),
];

/// Adverbs of frequency: before the English verb, after the first French verb word.
pub(crate) const FREQUENCIES: &[Word] = &[
    word("often", "souvent"),
    word("always", "toujours"),
    word("sometimes", "parfois"),
    word("rarely", "rarement"),
];

/// The numbers from two to ten.
pub(crate) const NUMBERS: &[Word] = &[
    word("two", "deux"),
    word("three", "trois"),
    word("four", "quatre"),
    word("five", "cinq"),
    word("six", "six"),
    word("seven", "sept"),
    word("eight", "huit"),
    word("nine", "neuf"),
    word("ten", "dix"),
];

/// The prepositions of place.
pub(crate) const PREPOSITIONS: &[Preposition] = &[
    Preposition {
        english: "in",
        french: &["dans"],
        scenes: INDOORS | OPEN_AIR,
        spots: HOLDER | ROOM,
        stands: OPEN_AIR,
    },
    Preposition { english: "on", french: &["sur"], scenes: SURFACE, spots: FURNITURE, stands: SURFACE },
    Preposition { english: "under", french: &["sous"], scenes: TREE, spots: FURNITURE, stands: TREE },
    Preposition {
        english: "behind",
        french: &["derrière"],
        scenes: BUILDING | TREE,
        spots: PORTAL | FURNITURE,
        stands: BUILDING | TREE,
    },
    Preposition {
        english: "in front of",
        french: &["devant"],
        scenes: BUILDING,
        spots: PORTAL,
        stands: BUILDING,
    },
    Preposition {
        english: "near",
        french: &["près", "de"],
        scenes: BUILDING | TREE | WATER | SURFACE,
        spots: PORTAL | FURNITURE,
        stands: BUILDING | TREE | WATER | SURFACE,
    },
    Preposition {
        english: "next to",
        french: &["à", "côté", "de"],
        scenes: BUILDING | TREE,
        spots: FURNITURE | HOLDER,
        stands: BUILDING | TREE,
    },
    Preposition {
        english: "far from",
        french: &["loin", "de"],
        scenes: BUILDING | OPEN_AIR | WATER,
        spots: PORTAL,
        stands: BUILDING | OPEN_AIR | WATER,
    },
];

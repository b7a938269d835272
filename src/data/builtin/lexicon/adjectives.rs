//! The adjectives: English, French masculine and feminine, and the nouns they go with.

use super::kind::*;
use super::{Adjective, Kinds, Use};

/// An adjective that stands before its French noun.
const fn before(
    english: &'static str,
    masculine: &'static str,
    feminine: &'static str,
    kinds: Kinds,
) -> Adjective {
    Adjective { precedes: true, ..after(english, masculine, feminine, kinds) }
}

/// An adjective that stands after its French noun.
const fn after(
    english: &'static str,
    masculine: &'static str,
    feminine: &'static str,
    kinds: Kinds,
) -> Adjective {
    Adjective { english, masculine, feminine, before_vowel: None, precedes: false, use_as: Use::Plain, kinds }
}

impl Adjective {
    /// Gives the masculine form used before a vowel.
    const fn before_vowel(self, form: &'static str) -> Self {
        Self { before_vowel: Some(form), ..self }
    }

    const fn used_as(self, use_as: Use) -> Self {
        Self { use_as, ..self }
    }
}

const MADE: Kinds = THING | VESSEL | CLOTHES | FURNITURE | VEHICLE | INSTRUMENT;
const COLOURED: Kinds = CLOTHES | THING | VESSEL | FURNITURE | VEHICLE | PORTAL | FLOWER;
const FOREIGN: Kinds = PERSON | CHILD | STAPLE | VEHICLE;

/// Every adjective. Some combinations are left out because French gives them a sense of their own: a *petit ami*
/// is a boyfriend, a *belle-mère* a mother-in-law, a *grand homme* a great man.
pub(crate) const ADJECTIVES: &[Adjective] = &[
    before(
        "small",
        "petit",
        "petite",
        PERSON | CHILD | ANIMAL | FOOD | MADE | PLACE | TREE | FLOWER | PORTAL | WATER,
    ),
    before("big", "grand", "grande", ANIMAL | MADE | PLACE | TREE | FLOWER | PORTAL | WATER),
    before("tall", "grand", "grande", PERSON | CHILD).used_as(Use::Predicate),
    before("huge", "énorme", "énorme", ANIMAL | FOOD | MADE | PLACE | TREE).used_as(Use::Absolute),
    before(
        "beautiful",
        "beau",
        "belle",
        PERSON | CHILD | ANIMAL | MADE | PLACE | TREE | FLOWER | TEXT | WATER,
    )
    .before_vowel("bel"),
    before("pretty", "joli", "jolie", MADE | PLACE | FLOWER | TEXT | WATER),
    before("old", "vieux", "vieille", FAMILY | PERSON | ANIMAL | MADE | PLACE | TREE | PORTAL | TEXT)
        .before_vowel("vieil"),
    before("young", "jeune", "jeune", LIVING),
    before("new", "nouveau", "nouvelle", MADE | PLACE | PORTAL | TEXT)
        .before_vowel("nouvel")
        .used_as(Use::Attribute),
    before("good", "bon", "bonne", EDIBLE | DRINK | TEXT),
    before("bad", "mauvais", "mauvaise", EDIBLE | DRINK | TEXT),
    before("fat", "gros", "grosse", ANIMAL),
    // Colours and origins.
    after("red", "rouge", "rouge", COLOURED).used_as(Use::Second),
    after("green", "vert", "verte", COLOURED).used_as(Use::Second),
    after("blue", "bleu", "bleue", COLOURED).used_as(Use::Second),
    after("yellow", "jaune", "jaune", COLOURED).used_as(Use::Second),
    after("white", "blanc", "blanche", COLOURED | ANIMAL | BUILDING).used_as(Use::Second),
    after("black", "noir", "noire", COLOURED | ANIMAL).used_as(Use::Second),
    after("grey", "gris", "grise", COLOURED | ANIMAL | BUILDING).used_as(Use::Second),
    after("French", "français", "française", FOREIGN).used_as(Use::Second),
    after("English", "anglais", "anglaise", FOREIGN).used_as(Use::Second),
    after("Italian", "italien", "italienne", FOREIGN).used_as(Use::Second),
    after("German", "allemand", "allemande", FOREIGN).used_as(Use::Second),
    // People and animals.
    after("happy", "heureux", "heureuse", LIVING).used_as(Use::Mood),
    after("sad", "triste", "triste", LIVING).used_as(Use::Mood),
    after("tired", "fatigué", "fatiguée", LIVING).used_as(Use::Mood),
    after("sick", "malade", "malade", LIVING),
    after("calm", "calme", "calme", LIVING | WATER),
    after("jealous", "jaloux", "jalouse", PEOPLE).used_as(Use::Mood),
    after("proud", "fier", "fière", PEOPLE).used_as(Use::Mood),
    after("rich", "riche", "riche", PEOPLE),
    after("poor", "pauvre", "pauvre", PEOPLE),
    after("intelligent", "intelligent", "intelligente", LIVING),
    after("strong", "fort", "forte", LIVING),
    after("brave", "courageux", "courageuse", LIVING),
    after("curious", "curieux", "curieuse", LIVING),
    after("lazy", "paresseux", "paresseuse", LIVING),
    after("generous", "généreux", "généreuse", PEOPLE),
    after("kind", "gentil", "gentille", PEOPLE | PET),
    after("shy", "timide", "timide", PEOPLE),
    after("cruel", "cruel", "cruelle", PERSON),
    after("funny", "drôle", "drôle", PEOPLE | PET | TEXT),
    after("famous", "célèbre", "célèbre", PERSON | TEXT | BUILDING | SURFACE),
    after("dangerous", "dangereux", "dangereuse", BEAST | OPEN_AIR | SURFACE | WATER | VEHICLE),
    // Things.
    after("fast", "rapide", "rapide", ANIMAL | VEHICLE),
    after("slow", "lent", "lente", ANIMAL | VEHICLE),
    after("heavy", "lourd", "lourde", THING | VESSEL | FURNITURE),
    after("light", "léger", "légère", THING | VESSEL | CLOTHES),
    after("expensive", "cher", "chère", MADE | EDIBLE | DRINK | BUILDING),
    after("dirty", "sale", "sale", MADE | PORTAL | INDOORS | OPEN_AIR),
    after("clean", "propre", "propre", MADE | PORTAL | INDOORS | OPEN_AIR),
    after("empty", "vide", "vide", VESSEL | INDOORS | OPEN_AIR).used_as(Use::Absolute),
    after("full", "plein", "pleine", VESSEL).used_as(Use::Absolute),
    after("broken", "cassé", "cassée", FRAGILE | FURNITURE | INSTRUMENT).used_as(Use::Absolute),
    after("dry", "sec", "sèche", CLOTHES),
    after("wet", "mouillé", "mouillée", CLOTHES | PET),
    after("elegant", "élégant", "élégante", CLOTHES | FURNITURE | PEOPLE),
    after("modern", "moderne", "moderne", BUILDING | FURNITURE | VEHICLE | DEVICE),
    after("quiet", "tranquille", "tranquille", PLACE),
    after("strange", "étrange", "étrange", PERSON | CHILD | ANIMAL | THING | TEXT | PLACE),
    after("interesting", "intéressant", "intéressante", TEXT | BUILDING),
    // Food and drink.
    after("hot", "chaud", "chaude", WARM),
    after("cold", "froid", "froide", DISH | DRINK | ROOM | WATER),
    after("fresh", "frais", "fraîche", EDIBLE),
    after("ripe", "mûr", "mûre", FRUIT),
    after("delicious", "délicieux", "délicieuse", EDIBLE | DRINK).used_as(Use::Absolute),
];

/// Adjectives, by their English names, that one does not say of one thing at once.
pub(crate) const OPPOSITES: &[(&str, &str)] = &[
    ("small", "big"),
    ("small", "huge"),
    ("old", "young"),
    ("old", "new"),
    ("old", "modern"),
    ("new", "broken"),
    ("good", "bad"),
    ("good", "delicious"),
    ("bad", "delicious"),
    ("happy", "sad"),
    ("rich", "poor"),
    ("fast", "slow"),
    ("heavy", "light"),
    ("dirty", "clean"),
    ("empty", "full"),
    ("hot", "cold"),
    ("dry", "wet"),
    ("beautiful", "pretty"),
    ("big", "huge"),
    ("fat", "big"),
    ("fat", "small"),
    ("fat", "huge"),
];

//! French morphology and spelling: plurals, agreement, conjugation, elision and contraction.

use super::grammar::{Features, Person, Pronoun, Tense};
use super::lexicon::{Adjective, HAVE, Paradigm, Verb};

/// The words that begin with an *h aspiré* (or behave so, like *huit*): nothing elides before them.
const ASPIRATED: &[&str] = &["hibou", "hiboux", "héros", "haricot", "haricots", "huit"];

/// The words that lose their last letter before a vowel.
const ELIDED: &[&str] = &["je", "me", "ne", "le", "la", "de", "que"];

/// The plural of a noun or of a masculine adjective.
pub(super) fn plural(word: &str) -> String {
    match word {
        // In compounds the first word, or both words, take the mark.
        "pomme de terre" => "pommes de terre".to_owned(),
        "grand-mère" => "grands-mères".to_owned(),
        "bijou" | "hibou" => format!("{word}x"),
        "bleu" => "bleus".to_owned(),
        _ if word.ends_with(['s', 'x', 'z']) => word.to_owned(),
        _ if word.ends_with("eau") || word.ends_with("eu") => format!("{word}x"),
        _ => word.strip_suffix("al").map_or_else(|| format!("{word}s"), |stem| format!("{stem}aux")),
    }
}

/// The adjective in the gender and number asked for. The form before a vowel is up to the noun phrase.
pub(super) fn agree(adjective: &Adjective, features: Features) -> String {
    match (features.feminine, features.plural) {
        (false, false) => adjective.masculine.to_owned(),
        (false, true) => plural(adjective.masculine),
        (true, false) => adjective.feminine.to_owned(),
        (true, true) => plural(adjective.feminine),
    }
}

/// The past participle in agreement with a direct object that stands before it.
pub(super) fn agree_participle(participle: &str, features: Features) -> String {
    let gendered = if features.feminine { format!("{participle}e") } else { participle.to_owned() };
    if features.plural { plural(&gendered) } else { gendered }
}

fn index(person: Person) -> usize {
    match person {
        Person::I => 0,
        Person::Third => 1,
        Person::We => 2,
        Person::You => 3,
        Person::Thirds => 4,
    }
}

/// The finite verb: of the *passé composé* it is the auxiliary, which is always *avoir* here.
pub(super) fn finite(verb: &Verb, tense: Tense, person: Person) -> String {
    match tense {
        Tense::Present => present(&verb.french, person),
        Tense::Past => present(&HAVE.french, person),
        Tense::Future => {
            let endings = ["ai", "a", "ons", "ez", "ont"];
            format!("{}{}", future_stem(&verb.french), endings[index(person)])
        }
    }
}

fn present(paradigm: &Paradigm, person: Person) -> String {
    let (infinitive, endings) = match paradigm {
        Paradigm::Er(infinitive) => (infinitive, ["e", "e", "ons", "ez", "ent"]),
        Paradigm::Ir(infinitive) => (infinitive, ["is", "it", "issons", "issez", "issent"]),
        Paradigm::Re(infinitive) => (infinitive, ["s", "", "ons", "ez", "ent"]),
        Paradigm::Irregular(forms, _, _) => return forms[index(person)].to_owned(),
    };
    let stem = stem(infinitive);
    let ending = endings[index(person)];
    // The g and the c of the stem keep their soft sound: mangeons, lançons.
    if ending == "ons" && stem.ends_with('g') {
        format!("{stem}eons")
    } else if let (true, Some(soft)) = (ending == "ons", stem.strip_suffix('c')) {
        format!("{soft}çons")
    } else {
        format!("{stem}{ending}")
    }
}

/// The infinitive without its ending, which has two letters in every regular group.
fn stem(infinitive: &str) -> &str {
    &infinitive[..infinitive.len() - 2]
}

fn future_stem(paradigm: &Paradigm) -> &str {
    match paradigm {
        Paradigm::Er(infinitive) | Paradigm::Ir(infinitive) => infinitive,
        Paradigm::Re(infinitive) => &infinitive[..infinitive.len() - 1],
        Paradigm::Irregular(_, _, stem) => stem,
    }
}

/// The past participle, masculine singular.
pub(super) fn participle(verb: &Verb) -> String {
    match &verb.french {
        Paradigm::Er(infinitive) => format!("{}é", stem(infinitive)),
        Paradigm::Ir(infinitive) => format!("{}i", stem(infinitive)),
        Paradigm::Re(infinitive) => format!("{}u", stem(infinitive)),
        Paradigm::Irregular(_, participle, _) => (*participle).to_owned(),
    }
}

/// The pronoun as a subject.
pub(super) fn subject(pronoun: Pronoun) -> &'static str {
    match pronoun {
        Pronoun::I => "je",
        Pronoun::You => "vous",
        Pronoun::He => "il",
        Pronoun::She => "elle",
        Pronoun::We => "nous",
        Pronoun::They => "ils",
    }
}

/// The pronoun before the verb: as a direct object, or as an indirect one (*lui*, *leur*).
pub(super) fn clitic(pronoun: Pronoun, indirect: bool) -> &'static str {
    match (pronoun, indirect) {
        (Pronoun::I, _) => "me",
        (Pronoun::You, _) => "vous",
        (Pronoun::We, _) => "nous",
        (Pronoun::He | Pronoun::She, true) => "lui",
        (Pronoun::They, true) => "leur",
        (Pronoun::He, false) => "le",
        (Pronoun::She, false) => "la",
        (Pronoun::They, false) => "les",
    }
}

/// The possessive; the masculine form also stands before a feminine word with a vowel: *mon école*.
pub(super) fn possessive(owner: Pronoun, features: Features, before_vowel: bool) -> &'static str {
    let forms = match owner {
        Pronoun::I => ["mon", "ma", "mes"],
        Pronoun::He | Pronoun::She => ["son", "sa", "ses"],
        Pronoun::We => ["notre", "notre", "nos"],
        Pronoun::You => ["votre", "votre", "vos"],
        Pronoun::They => ["leur", "leur", "leurs"],
    };
    match features {
        Features { plural: true, .. } => forms[2],
        Features { feminine: true, .. } if !before_vowel => forms[1],
        _ => forms[0],
    }
}

/// Whether words elide before this one: it begins with a vowel or a mute h. The only y is that of *il y a*.
pub(super) fn starts_with_vowel(word: &str) -> bool {
    word.starts_with(['a', 'e', 'i', 'o', 'u', 'y', 'h', 'â', 'ê', 'é', 'è', 'î', 'ô', 'œ'])
        && !ASPIRATED.contains(&word)
}

/// Joins the words: elides (*l'homme*, *qu'il*), contracts (*au*, *du*, *aux*, *des*) and closes the sentence.
/// The question mark stands without a space before it, to keep the text plain.
pub(super) fn join(words: &[String], end: char) -> String {
    let mut text = String::new();
    let mut position = 0;
    while position < words.len() {
        let word = words[position].as_str();
        let next = words.get(position + 1).map_or("", String::as_str);
        let after = words.get(position + 2).map_or("", String::as_str);
        if !text.is_empty() && !text.ends_with('\'') && word != "," {
            text.push(' ');
        }
        // An article that elides does not contract: à l'homme.
        let contraction = match (word, next) {
            ("à", "le") if !starts_with_vowel(after) => Some("au"),
            ("de", "le") if !starts_with_vowel(after) => Some("du"),
            ("à", "les") => Some("aux"),
            ("de", "les") => Some("des"),
            _ => None,
        };
        if let Some(contraction) = contraction {
            text.push_str(contraction);
            position += 2;
            continue;
        }
        if ELIDED.contains(&word) && starts_with_vowel(next) {
            text.push_str(&word[..word.len() - 1]);
            text.push('\'');
        } else {
            text.push_str(word);
        }
        position += 1;
    }
    text.push(end);
    super::english::capitalise(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::builtin::lexicon::{NOUNS, VERBS};

    fn joined(words: &[&str]) -> String {
        join(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), '.')
    }

    fn verb(english: &str) -> &'static Verb {
        VERBS.iter().find(|verb| verb.english == english).expect("a verb")
    }

    #[test]
    fn elision_before_a_vowel_and_a_mute_h() {
        assert_eq!(joined(&["le", "homme"]), "L'homme.");
        assert_eq!(joined(&["la", "école"]), "L'école.");
        assert_eq!(joined(&["le", "œuf"]), "L'œuf.");
        assert_eq!(joined(&["je", "ne", "ai", "pas", "de", "âne"]), "Je n'ai pas d'âne.");
    }

    #[test]
    fn no_elision_before_an_aspirated_h() {
        assert_eq!(joined(&["le", "hibou"]), "Le hibou.");
        assert_eq!(joined(&["à", "le", "héros"]), "Au héros.");
        assert_eq!(joined(&["de", "haricots"]), "De haricots.");
    }

    #[test]
    fn every_noun_in_h_is_known_to_be_mute_or_aspirated() {
        let mute = ["homme", "histoire", "horloge", "hôtel", "hôpital"];
        for noun in NOUNS.iter().filter(|noun| noun.french.starts_with('h')) {
            assert_ne!(mute.contains(&noun.french), ASPIRATED.contains(&noun.french), "{}", noun.french);
        }
    }

    #[test]
    fn the_article_contracts_unless_it_elides() {
        assert_eq!(joined(&["à", "le", "garçon"]), "Au garçon.");
        assert_eq!(joined(&["à", "les", "enfants"]), "Aux enfants.");
        assert_eq!(joined(&["près", "de", "le", "parc"]), "Près du parc.");
        assert_eq!(joined(&["près", "de", "le", "hôtel"]), "Près de l'hôtel.");
        assert_eq!(joined(&["à", "la", "fille"]), "À la fille.");
    }

    #[test]
    fn plurals_follow_the_ending() {
        for (one, many) in [
            ("chien", "chiens"),
            ("cheval", "chevaux"),
            ("hôpital", "hôpitaux"),
            ("gâteau", "gâteaux"),
            ("oiseau", "oiseaux"),
            ("bijou", "bijoux"),
            ("souris", "souris"),
            ("bleu", "bleus"),
            ("vieux", "vieux"),
            ("beau", "beaux"),
            ("pomme de terre", "pommes de terre"),
        ] {
            assert_eq!(plural(one), many);
        }
    }

    #[test]
    fn regular_groups_conjugate() {
        let forms = |english: &str, tense| {
            [Person::I, Person::Third, Person::We, Person::You, Person::Thirds]
                .map(|person| finite(verb(english), tense, person))
                .join(" ")
        };
        assert_eq!(forms("eat", Tense::Present), "mange mange mangeons mangez mangent");
        assert_eq!(forms("choose", Tense::Present), "choisis choisit choisissons choisissez choisissent");
        assert_eq!(forms("lose", Tense::Present), "perds perd perdons perdez perdent");
        assert_eq!(forms("lose", Tense::Future), "perdrai perdra perdrons perdrez perdront");
        assert_eq!(forms("see", Tense::Future), "verrai verra verrons verrez verront");
        assert_eq!(forms("see", Tense::Past), "ai a avons avez ont");
    }

    #[test]
    fn participles_agree_with_what_stands_before() {
        assert_eq!(agree_participle("vu", Features::third(true, true)), "vues");
        assert_eq!(agree_participle("pris", Features::third(false, true)), "pris");
        assert_eq!(agree_participle("pris", Features::third(true, false)), "prise");
        assert_eq!(agree_participle(&participle(verb("eat")), Features::third(true, false)), "mangée");
    }
}

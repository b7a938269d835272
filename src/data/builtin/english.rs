//! English morphology: plurals, the third person, "be" and "do", and "a" or "an".

use super::grammar::{Features, Person, Pronoun, Tense};

/// The words of a sentence in the making. A comma is a word of its own until they are joined.
pub(super) type Words = Vec<String>;

/// The plural of a noun.
pub(super) fn plural(noun: &str) -> String {
    let irregular = match noun {
        "man" => "men",
        "woman" => "women",
        "child" => "children",
        "mouse" => "mice",
        "wolf" => "wolves",
        "thief" => "thieves",
        "knife" => "knives",
        "scarf" => "scarves",
        _ => return sibilant_s(noun),
    };
    irregular.to_owned()
}

/// The third person singular of the present.
pub(super) fn third_person(verb: &str) -> String {
    if verb == "have" { "has".to_owned() } else { sibilant_s(verb) }
}

/// Adds the *s* of plurals and verbs: bus, buses; city, cities; potato, potatoes.
fn sibilant_s(word: &str) -> String {
    if let Some(stem) = word.strip_suffix('y')
        && !stem.ends_with(['a', 'e', 'o', 'u'])
    {
        return format!("{stem}ies");
    }
    let hissing = ["s", "x", "z", "ch", "sh", "to", "ro"].iter().any(|ending| word.ends_with(ending));
    format!("{word}{}", if hissing { "es" } else { "s" })
}

/// "a" or "an" before a word. No word of the lexicon has a vowel letter without a vowel sound, or the reverse.
pub(super) fn article(next: &str) -> &'static str {
    if next.to_lowercase().starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// The present of "be".
pub(super) fn be(features: Features) -> &'static str {
    match features.person {
        Person::I => "am",
        Person::Third => "is",
        Person::We | Person::You | Person::Thirds => "are",
    }
}

/// "do" as an auxiliary; the future has "will" in its place.
pub(super) fn auxiliary(tense: Tense, features: Features) -> &'static str {
    match (tense, features.person) {
        (Tense::Future, _) => "will",
        (Tense::Past, _) => "did",
        (Tense::Present, Person::Third) => "does",
        (Tense::Present, _) => "do",
    }
}

/// The pronoun as a subject.
pub(super) fn subject(pronoun: Pronoun) -> &'static str {
    match pronoun {
        Pronoun::I => "I",
        Pronoun::You => "you",
        Pronoun::He => "he",
        Pronoun::She => "she",
        Pronoun::We => "we",
        Pronoun::They => "they",
    }
}

/// The pronoun as an object.
pub(super) fn object(pronoun: Pronoun) -> &'static str {
    match pronoun {
        Pronoun::I => "me",
        Pronoun::You => "you",
        Pronoun::He => "him",
        Pronoun::She => "her",
        Pronoun::We => "us",
        Pronoun::They => "them",
    }
}

/// The pronoun as an owner.
pub(super) fn possessive(pronoun: Pronoun) -> &'static str {
    match pronoun {
        Pronoun::I => "my",
        Pronoun::You => "your",
        Pronoun::He => "his",
        Pronoun::She => "her",
        Pronoun::We => "our",
        Pronoun::They => "their",
    }
}

/// Joins the words and closes the sentence.
pub(super) fn join(words: &[String], end: char) -> String {
    let mut text = String::new();
    for word in words {
        if !text.is_empty() && word != "," {
            text.push(' ');
        }
        text.push_str(word);
    }
    text.push(end);
    capitalise(&text)
}

/// Writes the first letter large. Both languages use it.
pub(super) fn capitalise(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_follow_the_spelling_rules() {
        for (one, many) in [
            ("dog", "dogs"),
            ("bus", "buses"),
            ("box", "boxes"),
            ("church", "churches"),
            ("city", "cities"),
            ("boy", "boys"),
            ("key", "keys"),
            ("tomato", "tomatoes"),
            ("hero", "heroes"),
            ("mouse", "mice"),
            ("wolf", "wolves"),
            ("knife", "knives"),
        ] {
            assert_eq!(plural(one), many);
        }
    }

    #[test]
    fn the_third_person_follows_the_spelling_rules() {
        for (base, third) in [
            ("have", "has"),
            ("carry", "carries"),
            ("obey", "obeys"),
            ("buy", "buys"),
            ("catch", "catches"),
            ("cross", "crosses"),
            ("show", "shows"),
        ] {
            assert_eq!(third_person(base), third);
        }
    }

    #[test]
    fn the_article_looks_at_the_next_word() {
        assert_eq!((article("old"), article("dog"), article("English")), ("an", "a", "an"));
    }
}

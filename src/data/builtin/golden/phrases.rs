//! What happens in and around noun phrases.

use super::*;

#[test]
fn articles_show_gender_and_elide() {
    says(
        act(one(The, "man"), Present, "see", one(The, "house")),
        "The man sees the house.",
        "L'homme voit la maison.",
    );
    says(
        act(one(Indefinite, "woman"), Past, "buy", one(Indefinite, "orange")),
        "A woman bought an orange.",
        "Une femme a acheté une orange.",
    );
    says(
        act(one(The, "hero"), Past, "look for", one(The, "owl")),
        "The hero looked for the owl.",
        "Le héros a cherché le hibou.",
    );
    says(
        act(Pronoun::We, Present, "drink", one(Indefinite, "water")),
        "We drink some water.",
        "Nous buvons de l'eau.",
    );
    says(
        act(Pronoun::He, Past, "buy", one(Indefinite, "wine").being("good")),
        "He bought some good wine.",
        "Il a acheté du bon vin.",
    );
}

#[test]
fn adjectives_agree_and_find_their_place() {
    says(
        act(one(The, "boy"), Present, "love", more(The, "horse").being("beautiful").being("white")),
        "The boy loves the beautiful white horses.",
        "Le garçon aime les beaux chevaux blancs.",
    );
    says(
        act(one(Indefinite, "man").being("old"), Past, "visit", one(Indefinite, "hotel").being("new")),
        "An old man visited a new hotel.",
        "Un vieil homme a visité un nouvel hôtel.",
    );
    says(
        act(Pronoun::She, Past, "draw", one(The, "owl").being("old")),
        "She drew the old owl.",
        "Elle a dessiné le vieux hibou.",
    );
    says(
        act(Pronoun::I, Past, "see", one(Indefinite, "tree").being("beautiful")),
        "I saw a beautiful tree.",
        "J'ai vu un bel arbre.",
    );
    says(be(more(The, "house"), Present, "old"), "The houses are old.", "Les maisons sont vieilles.");
    says(be(one(The, "queen"), Future, "jealous"), "The queen will be jealous.", "La reine sera jalouse.");
}

#[test]
fn a_preposed_adjective_turns_des_into_de() {
    says(
        act(Pronoun::They, Past, "build", more(Indefinite, "house").being("small")),
        "They built some small houses.",
        "Ils ont construit de petites maisons.",
    );
    says(
        act(Pronoun::They, Present, "feed", more(Indefinite, "elephant").being("huge")),
        "They feed some huge elephants.",
        "Ils nourrissent d'énormes éléphants.",
    );
    says(
        act(Pronoun::They, Past, "buy", more(Indefinite, "shirt").being("red")),
        "They bought some red shirts.",
        "Ils ont acheté des chemises rouges.",
    );
}

#[test]
fn negation_surrounds_the_verb_and_turns_the_article_into_de() {
    says(
        act(one(The, "girl"), Present, "have", one(Indefinite, "cat")).not(),
        "The girl does not have a cat.",
        "La fille n'a pas de chat.",
    );
    says(
        act(Pronoun::I, Past, "eat", more(Indefinite, "egg")).not(),
        "I did not eat any eggs.",
        "Je n'ai pas mangé d'œufs.",
    );
    says(
        act(Pronoun::You, Future, "drink", one(Indefinite, "milk")).not(),
        "You will not drink any milk.",
        "Vous ne boirez pas de lait.",
    );
    says(
        act(Pronoun::We, Present, "open", one(The, "window")).never(),
        "We never open the window.",
        "Nous n'ouvrons jamais la fenêtre.",
    );
    says(be(Pronoun::They, Present, "rich").never(), "They are never rich.", "Ils ne sont jamais riches.");
}

#[test]
fn object_pronouns_stand_before_the_verb() {
    says(act(one(The, "boy"), Present, "see", Pronoun::She), "The boy sees her.", "Le garçon la voit.");
    says(act(Pronoun::I, Present, "help", Pronoun::He), "I help him.", "Je l'aide.");
    says(act(Pronoun::She, Past, "see", Pronoun::They), "She saw them.", "Elle les a vus.");
    says(
        act(Pronoun::They, Past, "invite", Pronoun::She).not(),
        "They did not invite her.",
        "Ils ne l'ont pas invitée.",
    );
    says(
        act(Pronoun::He, Future, "follow", Pronoun::We).not(),
        "He will not follow us.",
        "Il ne nous suivra pas.",
    );
    says(act(Pronoun::He, Past, "take", Pronoun::They), "He took them.", "Il les a pris.");
}

#[test]
fn indirect_objects_take_a_or_a_dative_pronoun() {
    says(
        act(Pronoun::She, Present, "give", one(The, "book")).to(one(The, "boy")),
        "She gives the book to the boy.",
        "Elle donne le livre au garçon.",
    );
    says(
        act(Pronoun::He, Past, "show", one(Possessive(Pronoun::He), "house")).to(more(The, "child")),
        "He showed his house to the children.",
        "Il a montré sa maison aux enfants.",
    );
    says(
        act(Pronoun::I, Future, "send", one(Indefinite, "letter")).to(Pronoun::They),
        "I will send a letter to them.",
        "Je leur enverrai une lettre.",
    );
    says(
        act(Pronoun::You, Past, "give", one(The, "key")).to(Pronoun::I).not(),
        "You did not give the key to me.",
        "Vous ne m'avez pas donné la clé.",
    );
    says(act(Pronoun::She, Past, "answer", Pronoun::They), "She answered them.", "Elle leur a répondu.");
    says(act(Pronoun::I, Present, "obey", one(The, "man")), "I obey the man.", "J'obéis à l'homme.");
}

#[test]
fn relative_clauses_agree_with_what_they_follow() {
    says(
        act(Pronoun::I, Present, "look for", one(The, "dog").that(one(The, "boy"), Present, "see")),
        "I look for the dog that the boy sees.",
        "Je cherche le chien que le garçon voit.",
    );
    says(
        act(Pronoun::We, Present, "eat", more(The, "apple").that(Pronoun::He, Past, "buy")),
        "We eat the apples that he bought.",
        "Nous mangeons les pommes qu'il a achetées.",
    );
    says(
        act(more(The, "child").who(Past, "find", one(The, "key")), Future, "open", one(The, "box")),
        "The children who found the key will open the box.",
        "Les enfants qui ont trouvé la clé ouvriront la boîte.",
    );
    says(
        be(more(The, "strawberry").that(one(The, "farmer"), Past, "choose"), Present, "delicious"),
        "The strawberries that the farmer chose are delicious.",
        "Les fraises que le fermier a choisies sont délicieuses.",
    );
}

#[test]
fn determiners_have_their_forms() {
    says(
        act(one(This, "child"), Present, "know", one(This, "man")),
        "This child knows this man.",
        "Cet enfant connaît cet homme.",
    );
    says(
        act(one(This, "girl"), Past, "forget", more(This, "key").counted("three")),
        "This girl forgot these three keys.",
        "Cette fille a oublié ces trois clés.",
    );
    says(
        act(one(Possessive(Pronoun::I), "aunt"), Present, "clean", one(Possessive(Pronoun::She), "bedroom")),
        "My aunt cleans her bedroom.",
        "Ma tante nettoie sa chambre.",
    );
    says(
        act(Pronoun::I, Past, "lose", one(Possessive(Pronoun::I), "scarf").being("blue")),
        "I lost my blue scarf.",
        "J'ai perdu mon écharpe bleue.",
    );
    says(
        act(Pronoun::You, Past, "break", one(Possessive(Pronoun::You), "clock").being("old")),
        "You broke your old clock.",
        "Vous avez cassé votre vieille horloge.",
    );
    says(
        act(more(Many, "bird"), Present, "see", more(All, "tree")),
        "Many birds see all the trees.",
        "Beaucoup d'oiseaux voient tous les arbres.",
    );
    says(
        act(one(Every, "student"), Past, "write", more(Several, "story")),
        "Every student wrote several stories.",
        "Chaque étudiant a écrit plusieurs histoires.",
    );
    says(
        act(more(Number, "friend").counted("eight"), Future, "visit", more(All, "city")),
        "Eight friends will visit all the cities.",
        "Huit amis visiteront toutes les villes.",
    );
}

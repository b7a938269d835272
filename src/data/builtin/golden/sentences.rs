//! What happens in whole clauses and sentences.

use super::*;

#[test]
fn two_subjects_are_plural_and_the_masculine_prevails() {
    let both = |first: &str, second: &str| Nominal::Both(one(The, first), one(The, second));
    says(
        be(both("house", "church"), Present, "white"),
        "The house and the church are white.",
        "La maison et l'église sont blanches.",
    );
    says(
        be(both("woman", "king"), Present, "happy"),
        "The woman and the king are happy.",
        "La femme et le roi sont heureux.",
    );
}

#[test]
fn adverbs_and_places_follow_the_verb() {
    says(
        act(Pronoun::He, Past, "see", one(The, "wolf")).often().place("near", one(The, "bridge")),
        "He often saw the wolf near the bridge.",
        "Il a souvent vu le loup près du pont.",
    );
    says(
        rest(Pronoun::She, Past, "sleep").place("next to", one(The, "hospital")).at("yesterday"),
        "She slept next to the hospital yesterday.",
        "Elle a dormi à côté de l'hôpital hier.",
    );
    says(
        act(Pronoun::We, Future, "receive", one(The, "letter")).at("soon"),
        "We will receive the letter soon.",
        "Nous recevrons bientôt la lettre.",
    );
    says(
        clause(more(The, "shoe"), Present, Predicate::Place).place("under", one(The, "bed")),
        "The shoes are under the bed.",
        "Les chaussures sont sous le lit.",
    );
    check(
        &Sentence::Statement(
            TIMES.iter().find(|time| time.english == "tomorrow"),
            rest(more(The, "child"), Future, "run").place("in", one(The, "park")),
        ),
        "Tomorrow, the children will run in the park.",
        "Demain, les enfants courront dans le parc.",
    );
}

#[test]
fn questions_use_est_ce_que() {
    let gap = || Nominal::Gap(Features::third(false, false));
    check(
        &Sentence::Whether(act(one(Indefinite, "man"), Present, "see", more(Indefinite, "bird"))),
        "Does a man see any birds?",
        "Est-ce qu'un homme voit des oiseaux?",
    );
    check(
        &Sentence::Whether(be(Pronoun::She, Present, "proud")),
        "Is she proud?",
        "Est-ce qu'elle est fière?",
    );
    check(
        &Sentence::Asking(Asked::Where, act(one(The, "girl"), Past, "find", one(The, "jewel"))),
        "Where did the girl find the jewel?",
        "Où est-ce que la fille a trouvé le bijou?",
    );
    check(
        &Sentence::Asking(Asked::Why, act(Pronoun::You, Present, "eat", one(Indefinite, "soup")).not()),
        "Why do you not eat any soup?",
        "Pourquoi est-ce que vous ne mangez pas de soupe?",
    );
    check(
        &Sentence::Asking(Asked::When, act(Pronoun::They, Future, "build", one(The, "bridge"))),
        "When will they build the bridge?",
        "Quand est-ce qu'ils construiront le pont?",
    );
    check(
        &Sentence::What(act(one(The, "uncle"), Past, "break", gap())),
        "What did the uncle break?",
        "Qu'est-ce que l'oncle a cassé?",
    );
    check(
        &Sentence::Who(act(gap(), Past, "eat", one(The, "cake")).not()),
        "Who did not eat the cake?",
        "Qui n'a pas mangé le gâteau?",
    );
    check(
        &Sentence::HowMany(
            more(Many, "pear"),
            act(Pronoun::He, Past, "eat", Nominal::Gap(Features::third(true, true))),
        ),
        "How many pears did he eat?",
        "Combien de poires est-ce qu'il a mangées?",
    );
    check(&Sentence::WhereIs(more(The, "key")), "Where are the keys?", "Où sont les clés?");
}

#[test]
fn il_y_a_says_that_there_is() {
    let there = |phrase: Phrase, tense, mood| Sentence::There {
        phrase,
        place: place("under", one(The, "table")),
        tense,
        mood,
    };
    check(
        &there(one(Indefinite, "cat"), Present, Mood::Said),
        "There is a cat under the table.",
        "Il y a un chat sous la table.",
    );
    check(
        &there(more(Indefinite, "apple"), Present, Mood::Denied),
        "There are no apples under the table.",
        "Il n'y a pas de pommes sous la table.",
    );
    check(
        &there(more(Indefinite, "mouse").being("small"), Future, Mood::Asked),
        "Will there be any small mice under the table?",
        "Est-ce qu'il y aura de petites souris sous la table?",
    );
}

#[test]
fn clauses_are_joined() {
    check(
        &Sentence::Joined(
            act(one(The, "woman"), Past, "call", one(The, "doctor")),
            Connective::But,
            act(Pronoun::He, Past, "answer", Pronoun::She).not(),
        ),
        "The woman called the doctor, but he did not answer her.",
        "La femme a appelé le médecin, mais il ne lui a pas répondu.",
    );
    check(
        &Sentence::Joined(
            be(one(The, "boy"), Present, "sad"),
            Connective::Because,
            act(Pronoun::He, Past, "lose", one(Possessive(Pronoun::He), "toy")),
        ),
        "The boy is sad because he lost his toy.",
        "Le garçon est triste parce qu'il a perdu son jouet.",
    );
    check(
        &Sentence::Joined(
            rest(Pronoun::I, Present, "sing"),
            Connective::And,
            rest(Pronoun::You, Present, "dance"),
        ),
        "I sing and you dance.",
        "Je chante et vous dansez.",
    );
}

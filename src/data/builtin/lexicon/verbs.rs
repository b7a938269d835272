//! The verbs: English present and past, French paradigm, subjects and objects.

use super::Paradigm::{Er, Ir, Irregular, Re};
use super::kind::*;
use super::{Kinds, Paradigm, Traits, Verb};

const PLAIN: Traits = Traits {
    stative: false,
    definite: false,
    recipient: false,
    dative: false,
    daily: false,
    company: false,
    emotion: false,
    water: false,
};

const fn verb(
    english: &'static str,
    past: &'static str,
    french: Paradigm,
    subjects: Kinds,
    objects: Kinds,
) -> Verb {
    Verb { english, past, particle: None, french, subjects, objects, traits: PLAIN }
}

impl Verb {
    const fn with(self, particle: &'static str) -> Self {
        Self { particle: Some(particle), ..self }
    }

    const fn stative(self) -> Self {
        Self { traits: Traits { stative: true, ..self.traits }, ..self }
    }

    const fn definite(self) -> Self {
        Self { traits: Traits { definite: true, ..self.traits }, ..self }
    }

    const fn recipient(self) -> Self {
        Self { traits: Traits { recipient: true, ..self.traits }, ..self }
    }

    const fn dative(self) -> Self {
        Self { traits: Traits { dative: true, definite: true, ..self.traits }, ..self }
    }

    const fn daily(self) -> Self {
        Self { traits: Traits { daily: true, ..self.traits }, ..self }
    }

    const fn company(self) -> Self {
        Self { traits: Traits { company: true, ..self.traits }, ..self }
    }

    const fn in_water(self) -> Self {
        Self { traits: Traits { water: true, ..self.traits }, ..self }
    }

    const fn emotion(self) -> Self {
        Self { traits: Traits { emotion: true, ..self.traits }, ..self }
    }
}

/// The copula, used with predicates and places only.
pub(crate) const BE: Verb =
    verb("be", "was", Irregular(["suis", "est", "sommes", "êtes", "sont"], "été", "ser"), ANY, 0);

const AVOIR: Paradigm = Irregular(["ai", "a", "avons", "avez", "ont"], "eu", "aur");

/// "have", which is also the French auxiliary.
pub(crate) const HAVE: Verb = verb("have", "had", AVOIR, PEOPLE, OWNED).stative();

const GOODS: Kinds = PORTABLE | INSTRUMENT;
const OWNED: Kinds = GOODS | VEHICLE | FURNITURE | FOOD | ANIMAL;

/// Every verb except the copula. Those whose English past looks like the present (read, put, cut) are left out:
/// their tense could not be read off the sentence.
#[rustfmt::skip]
pub(crate) const VERBS: &[Verb] = &[
    // The regular verbs of the first group.
    verb("love", "loved", Er("aimer"), PEOPLE, LIVING | EDIBLE | DRINK | PLACE | TEXT | CLOTHES).stative().definite(),
    verb("hate", "hated", Er("détester"), PEOPLE, LIVING | EDIBLE | DRINK | PLACE | TEXT | CLOTHES).stative().definite(),
    verb("look", "looked", Er("chercher"), PEOPLE, LIVING | GOODS | FOOD | FURNITURE).with("for"),
    verb("look", "looked", Er("regarder"), LIVING, LIVING | GOODS | PLACE | TREE | VEHICLE | WATER).with("at"),
    verb("find", "found", Er("trouver"), PEOPLE, LIVING | GOODS | FOOD | FURNITURE),
    verb("eat", "ate", Er("manger"), LIVING, EDIBLE).daily(),
    verb("give", "gave", Er("donner"), PEOPLE, GOODS | EDIBLE | DRINK).recipient(),
    verb("show", "showed", Er("montrer"), PEOPLE, GOODS | BUILDING | VEHICLE | ANIMAL).recipient(),
    verb("bring", "brought", Er("apporter"), PEOPLE, GOODS | EDIBLE | DRINK).recipient(),
    verb("lend", "lent", Er("prêter"), PEOPLE, THING | CLOTHES | VEHICLE | INSTRUMENT | VESSEL).recipient(),
    verb("wash", "washed", Er("laver"), PEOPLE, CLOTHES | VESSEL | VEHICLE | PET).daily(),
    verb("close", "closed", Er("fermer"), PEOPLE, OPENS).daily(),
    verb("break", "broke", Er("casser"), PEOPLE, FRAGILE | FURNITURE | INSTRUMENT),
    verb("forget", "forgot", Er("oublier"), PEOPLE, GOODS | WORK | PEOPLE),
    verb("hide", "hid", Er("cacher"), PEOPLE, GOODS | FOOD),
    verb("carry", "carried", Er("porter"), PEOPLE, GOODS | FURNITURE),
    verb("wear", "wore", Er("porter"), PEOPLE, CLOTHES).daily(),
    verb("admire", "admired", Er("admirer"), PEOPLE, PEOPLE | BUILDING | OPEN_AIR | SURFACE | FLOWER | TREE | CLOTHES),
    verb("draw", "drew", Er("dessiner"), PEOPLE, LIVING | BUILDING | FLOWER | TREE | VEHICLE),
    verb("help", "helped", Er("aider"), PEOPLE, PEOPLE).daily(),
    verb("invite", "invited", Er("inviter"), PEOPLE, PEOPLE),
    verb("listen", "listened", Er("écouter"), LIVING, PEOPLE | INSTRUMENT | WORK).with("to").daily(),
    verb("meet", "met", Er("rencontrer"), PEOPLE, PEOPLE),
    verb("thank", "thanked", Er("remercier"), PEOPLE, PEOPLE),
    verb("repair", "repaired", Er("réparer"), PEOPLE, DEVICE | FURNITURE | PORTAL),
    verb("prepare", "prepared", Er("préparer"), PEOPLE, DISH).daily(),
    verb("visit", "visited", Er("visiter"), PEOPLE, BUILDING | SITE),
    verb("cross", "crossed", Er("traverser"), LIVING, CROSSABLE).daily(),
    verb("leave", "left", Er("quitter"), PEOPLE, PLACE),
    verb("catch", "caught", Er("attraper"), PEOPLE | BEAST, ANIMAL),
    // First group with a change in the stem.
    verb("buy", "bought", Irregular(["achète", "achète", "achetons", "achetez", "achètent"], "acheté", "achèter"),
        PEOPLE, GOODS | EDIBLE | DRINK | FURNITURE | VEHICLE | ESTATE),
    verb("call", "called", Irregular(["appelle", "appelle", "appelons", "appelez", "appellent"], "appelé", "appeller"),
        PEOPLE, PEOPLE | PET).daily(),
    verb("clean", "cleaned", Irregular(["nettoie", "nettoie", "nettoyons", "nettoyez", "nettoient"], "nettoyé", "nettoier"),
        PEOPLE, INDOORS | FURNITURE | CLOTHES | VEHICLE | PORTAL).daily(),
    verb("send", "sent", Irregular(["envoie", "envoie", "envoyons", "envoyez", "envoient"], "envoyé", "enverr"),
        PEOPLE, PAPER | THING | FLOWER).recipient(),
    verb("prefer", "preferred", Irregular(["préfère", "préfère", "préférons", "préférez", "préfèrent"], "préféré", "préférer"),
        PEOPLE, EDIBLE | DRINK | CLOTHES | TEXT | VEHICLE).stative().definite(),
    // Second group.
    verb("choose", "chose", Ir("choisir"), PEOPLE, GOODS | FOOD | FURNITURE | VEHICLE),
    verb("finish", "finished", Ir("finir"), PEOPLE, TEXT | DISH).definite(),
    verb("feed", "fed", Ir("nourrir"), PEOPLE, ANIMAL).daily(),
    verb("obey", "obeyed", Ir("obéir"), PEOPLE, PEOPLE).dative().daily(),
    // The regular verbs in -re.
    verb("sell", "sold", Re("vendre"), PEOPLE, GOODS | EDIBLE | DRINK | FURNITURE | VEHICLE | ESTATE).recipient(),
    verb("lose", "lost", Re("perdre"), PEOPLE, GOODS),
    verb("wait", "waited", Re("attendre"), PEOPLE, PEOPLE | VEHICLE).with("for").daily(),
    verb("hear", "heard", Re("entendre"), LIVING, LIVING | INSTRUMENT | VEHICLE),
    verb("answer", "answered", Re("répondre"), PEOPLE, PEOPLE).dative(),
    // Irregular verbs.
    HAVE,
    verb("see", "saw", Irregular(["vois", "voit", "voyons", "voyez", "voient"], "vu", "verr"), LIVING, ANY),
    verb("take", "took", Irregular(["prends", "prend", "prenons", "prenez", "prennent"], "pris", "prendr"),
        PEOPLE, GOODS | FOOD),
    verb("understand", "understood", Irregular(["comprends", "comprend", "comprenons", "comprenez", "comprennent"], "compris", "comprendr"),
        PEOPLE, PEOPLE | TEXT).definite(),
    verb("drink", "drank", Irregular(["bois", "boit", "buvons", "buvez", "boivent"], "bu", "boir"), PEOPLE, DRINK).daily(),
    verb("write", "wrote", Irregular(["écris", "écrit", "écrivons", "écrivez", "écrivent"], "écrit", "écrir"), PEOPLE, TEXT).daily(),
    verb("open", "opened", Irregular(["ouvre", "ouvre", "ouvrons", "ouvrez", "ouvrent"], "ouvert", "ouvrir"), PEOPLE, OPENS).daily(),
    verb("offer", "offered", Irregular(["offre", "offre", "offrons", "offrez", "offrent"], "offert", "offrir"),
        PEOPLE, GOODS | DISH | DRINK).recipient(),
    verb("follow", "followed", Irregular(["suis", "suit", "suivons", "suivez", "suivent"], "suivi", "suivr"),
        LIVING, LIVING | VEHICLE),
    verb("know", "knew", Irregular(["connais", "connaît", "connaissons", "connaissez", "connaissent"], "connu", "connaîtr"),
        PEOPLE, PEOPLE | PLACE | TEXT).stative().definite(),
    verb("want", "wanted", Irregular(["veux", "veut", "voulons", "voulez", "veulent"], "voulu", "voudr"),
        PEOPLE, GOODS | EDIBLE | DRINK | VEHICLE | PET).stative(),
    verb("build", "built", Irregular(["construis", "construit", "construisons", "construisez", "construisent"], "construit", "construir"),
        PEOPLE, BUILDING | BUILT),
    verb("drive", "drove", Irregular(["conduis", "conduit", "conduisons", "conduisez", "conduisent"], "conduit", "conduir"),
        PEOPLE, DRIVEN).daily(),
    verb("paint", "painted", Irregular(["peins", "peint", "peignons", "peignez", "peignent"], "peint", "peindr"),
        PEOPLE, LIVING | BUILDING | FLOWER | TREE | FURNITURE | PORTAL),
    verb("serve", "served", Irregular(["sers", "sert", "servons", "servez", "servent"], "servi", "servir"),
        PEOPLE, DISH | DRINK).recipient().daily(),
    verb("receive", "received", Irregular(["reçois", "reçoit", "recevons", "recevez", "reçoivent"], "reçu", "recevr"),
        PEOPLE, PAPER | THING | FLOWER),
    // Without an object.
    verb("work", "worked", Er("travailler"), PEOPLE, 0).daily().company(),
    verb("sing", "sang", Er("chanter"), PEOPLE, 0).daily().company(),
    verb("dance", "danced", Er("danser"), PEOPLE, 0).daily().company(),
    verb("play", "played", Er("jouer"), PEOPLE | PET, 0).daily().company(),
    verb("walk", "walked", Er("marcher"), LIVING, 0).daily().company(),
    verb("swim", "swam", Er("nager"), LIVING, 0).daily().in_water(),
    verb("cry", "cried", Er("pleurer"), PEOPLE, 0).daily().emotion(),
    verb("sleep", "slept", Irregular(["dors", "dort", "dormons", "dormez", "dorment"], "dormi", "dormir"), LIVING, 0).daily(),
    verb("run", "ran", Irregular(["cours", "court", "courons", "courez", "courent"], "couru", "courr"), LIVING, 0).daily(),
    verb("laugh", "laughed", Irregular(["ris", "rit", "rions", "riez", "rient"], "ri", "rir"), PEOPLE, 0).emotion(),
    verb("smile", "smiled", Irregular(["souris", "sourit", "sourions", "souriez", "sourient"], "souri", "sourir"), PEOPLE, 0).emotion(),
];

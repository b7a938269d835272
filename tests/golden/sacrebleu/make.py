"""Writes cases.json: what sacreBLEU itself computes for sentences made up for this purpose.

Run it where Python can import sacrebleu; the file says by which version it was made.

The sentences are ours and come from no corpus. The random ones are drawn with a fixed seed, so the file is the same
at every run.
"""

import json
import os
import random
from pathlib import Path

import sacrebleu
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

# name -> pairs of (hypothesis, reference)
PAIRS = {
    "english": [
        ("The ferry leaves the harbour at seven every morning.",
         "Every morning at seven the ferry leaves the harbour."),
        ("She has repaired the old clock, which her grandfather had built.",
         "She repaired the old clock that her grandfather had built."),
        ("Nobody knew, why the lights went out in the library.",
         "Nobody knew why the lights in the library went out."),
        ("We'll need more flour, two eggs and a pinch of salt.",
         "We'll need more flour, two eggs, and a pinch of salt."),
        ("The committee's report wasn't published until last Thursday!",
         "The committee's report was not published until last Thursday."),
        ("Our neighbours are growing tomatoes on the roof of the garage.",
         "Our neighbours grow tomatoes on the roof of their garage."),
    ],
    "german": [
        ("Die Fähre verlässt den Hafen jeden Morgen um sieben Uhr.",
         "Jeden Morgen um sieben Uhr legt die Fähre im Hafen ab."),
        ("Er fragte mich, ob ich den Schlüssel gesehen hätte.",
         "Er wollte wissen, ob ich den Schlüssel gesehen hätte."),
        ("Das Straßenbauamt hat die Brücke über den Fluß gesperrt.",
         "Das Straßenbauamt hat die Brücke über den Fluss gesperrt."),
        ("„Ich komme später“, sagte die Tischlerin.",
         "„Ich komme erst später“, sagte die Tischlerin."),
        ("ÜBERMORGEN beginnt die Apfelernte in unserem Dorf.",
         "Übermorgen beginnt in unserem Dorf die Apfelernte."),
    ],
    "french": [
        ("Le boulanger ouvre sa boutique avant l'aube.",
         "Le boulanger ouvre son magasin avant l'aube."),
        ("Qu'est-ce que tu as vu dans le jardin ?",
         "Qu'as-tu vu dans le jardin\u00a0?"),
        ("Les élèves ont dessiné une carte de l'île.",
         "Les élèves ont dessiné la carte d'une île."),
        ("«\u202fIl pleut\u202f», dit-elle en fermant la fenêtre.",
         "« Il pleut », a-t-elle dit en fermant la fenêtre."),
    ],
    "one_hypothesis_is_empty": [
        ("", "The kettle is still warm."),
        ("The kettle is cold again, I am afraid.", "The kettle is cold again, I fear."),
        ("There is nothing to translate here today.", ""),
    ],
    "all_hypotheses_are_empty": [("", "A train passes."), ("   ", "A second train passes."), ("\n", "A third.")],
    "all_references_are_empty": [("A train passes by.", ""), ("Another one passes, too.", " ")],
    "everything_is_empty": [("", ""), ("", "")],
    "one_word": [("Yes", "Yes")],
    "one_wrong_word": [("Yes", "No")],
    "one_letter": [("a", "a")],
    "three_tokens_have_no_4_grams": [("Come in!", "Come in!"), ("Oh no.", "Oh no!")],
    "four_tokens": [("Please come in.", "Please do come in.")],
    "smoothing_acts_on_two_orders": [("The dog barked loudly.", "A dog loudly barked.")],
    "smoothing_acts_on_three_orders": [("red blue green yellow white", "white yellow green blue red")],
    "smoothing_acts_between_matches": [("one x two y three z", "one two three four five six seven")],
    "equal": [
        ("The bridge was closed for repairs in the spring of 1987.",) * 2,
        ("Nobody complained about the noise, not even Mr. O'Neill.",) * 2,
    ],
    "no_overlap": [("Entirely different words appear.", "小さな猫が屋根で眠る"), ("abc def ghi jkl", "mno pqr stu vwx")],
    "only_lower_case_matches": [("THE WIND HAS TURNED TO THE EAST", "the wind has turned to the east")],
    "chinese": [
        ("渡轮每天早上七点离开港口。", "渡轮每天早晨七点钟离开港口。"),
        ("她修好了祖父做的旧钟,很高兴。", "她修好了祖父制作的旧钟,非常高兴。"),
        ("图书馆 的 灯 为什么 灭 了 ?", "图书馆 的 灯 为什么 熄灭 了 ?"),
    ],
    "russian": [
        ("Паром уходит из гавани каждое утро в семь часов.", "Каждое утро в семь часов паром уходит из гавани."),
        ("Она починила старые часы, которые сделал её дед.", "Она починила старые часы, сделанные её дедом."),
        ("НИКТО не знает, почему погас свет!", "Никто не знает, почему погас свет."),
    ],
    "arabic": [
        ("تغادر العبارة الميناء كل صباح في الساعة السابعة.", "تغادر العبارة الميناء في السابعة من كل صباح."),
        ("هل رأيت المفتاح على الطاولة؟", "هل رأيت المفتاح فوق الطاولة؟"),
        ("دفعنا ١٢٫٥ دينار، أي 3,5 يورو.", "دفعنا ١٢٫٥ دينارًا، أي 3.5 يورو."),
    ],
    "greek_and_turkish_case": [
        ("Ο ΣΟΦΟΣ ΟΔΗΓΟΣ ΤΗΣ ΠΟΛΗΣ. ΟΔΟΣ", "ο σοφός οδηγος της πολης. οδος"),
        ("İstanbul'da IŞIK yandı ve söndü.", "istanbul'da ışık yandı ve söndü."),
        ("Σ ΑΣ' ΑΣΑ ΣΣ", "σ ας' ασα σς"),
    ],
    "numbers": [
        ("In 1999, the town had 1,204,511 inhabitants and 3.5 doctors per 1,000.",
         "In 1999 the town had 1.204.511 inhabitants, and 3.5 doctors per 1000."),
        ("The talks of 2019-20 cost $4.2m, i.e. -5% on 2018.", "The 2019-20 talks cost $ 4.2m, i.e. 5 % less than 2018."),
        ("Call 555-0199, ext. 7; open 9.30-17.00, Mon.-Fri.", "Call 555-0199 (ext. 7), open 9:30-17:00 Mon-Fri."),
        ("Version 2.0.1-rc.3 costs 10,- or .99, see p.12,13.", "Version 2.0.1-rc3 costs 10.- or 0.99; see p. 12,13."),
    ],
    "entities": [
        ("The &quot;R&amp;D&quot; team wrote 3 &lt; 4 &gt; 2.", "The \"R&D\" team wrote 3 < 4 > 2."),
        ("Twice escaped: &amp;lt;b&amp;gt; and &amp;quot;this&amp;quot; and &amp;amp;.", "Twice escaped: <b> and \"this\" and &."),
        ("Others stay: &nbsp; &apos; &#39; <skipped> text", "Others stay: &nbsp; &apos; &#39; text"),
    ],
    "quotes_and_brackets": [
        ("“Stop!” he cried; ‘why?’ she asked (twice).", "\"Stop!\" he cried; 'why?' she asked [twice]."),
        ("'Tis the sailors' song -- isn't it?", "'Tis the sailors' song – isn't it?"),
        ("See http://example.org/a_b?c=d&e=f#g or write to me@example.org...", "See http://example.org/a_b or write to me@example.org."),
        ("{a} [b] (c) <d> ~e `f` g^h i|j k\\l m*n o+p q=r", "{a} [b] (c) <d> ~e `f` g^h i|j k\\l m*n o+p q=r s"),
    ],
    "white_space": [
        ("  The gate is open, come in.  ", "The gate is open, come in."),
        ("The gate is open,\tcome in.\n", "The gate  is open, come in.\r\n"),
        ("The trans-\nlation spans\nlines and ends in a dash-\n", "The translation spans lines and ends in a dash-"),
        ("no\u00a0break\u2003em\u3000wide\u200bzero\u2028line", "no break em wide zero line"),
        ("unit\u001fseparated\u001cwords\u0085next", "unit separated words next"),
    ],
    "repetition": [("the the the the the the the", "the cat is on the mat"), ("na na na na hey", "na na hey hey na")],
    "longer_than_the_reference": [("It rained and it rained and it rained all day long.", "It rained all day long.")],
    "an_exact_tie_in_rounding": [("a b c d e f g h i j k l m n o p", "a q r s t u v w x y z aa bb cc dd ee")],
}

PIECES = [
    "a", "the", "The", "fox", "Zoë", "naïve", "STRASSE", "straße", "don't", "co-op", "猫", "слово", "ΟΔΟΣ", "İ", "🙂",
    "1", "20", "3.5", "1,000", "1990-95", "-5", "٣", ".", ",", "-", "..", "...", ",,", "--", "!", "?!", "(", ")", "\"",
    "'", "/", "&", "&amp;", "&lt;", "&quot;", "<skipped>", "-\n", "\n", "\t", "\u00a0", "\u001d", "_", "@", "#", "$", "%",
    "«", "»", "。", "\uff0c", "\u0301", "{x}", "[y]", ";", ":", "~", "`", "^", "=", "+", "*", "|", "\\",
]


def random_pairs(count):
    """Pairs of lines of awkward pieces, with or without a space between them; a reference is its hypothesis edited."""
    draw = random.Random(2002)
    pairs = []
    for _ in range(count):
        pieces = [draw.choice(PIECES) + draw.choice(["", " "]) for _ in range(draw.randrange(24))]
        edited = [draw.choice(PIECES) + " " if draw.random() < 0.2 else piece for piece in pieces]
        pairs.append(("".join(pieces), "".join(edited)))
    return pairs


def scored(metric, hypotheses, references):
    """The score in full, the printed line and the signature."""
    score = metric.corpus_score(hypotheses, [references])
    return score, {"score": score.score, "line": str(score), "signature": str(metric.get_signature())}


def expected_bleu(hypotheses, references, **options):
    score, result = scored(BLEU(**options), hypotheses, references)
    return result | {
        "precisions": score.precisions,
        "brevity_penalty": score.bp,
        "counts": score.counts,
        "totals": score.totals,
        "hypothesis_length": score.sys_len,
        "reference_length": score.ref_len,
    }


def expected_chrf(hypotheses, references, **options):
    return scored(CHRF(**options), hypotheses, references)[1]


def case(name, pairs):
    hypotheses, references = [list(side) for side in zip(*pairs)]
    both = hypotheses, references
    return {
        "name": name,
        "hypotheses": hypotheses,
        "references": references,
        "hypotheses_13a": [Tokenizer13a()(hypothesis) for hypothesis in hypotheses],
        "bleu": expected_bleu(*both),
        "bleu_lowercase": expected_bleu(*both, lowercase=True),
        "bleu_none": expected_bleu(*both, tokenize="none"),
        "bleu_char": expected_bleu(*both, tokenize="char"),
        "chrf": expected_chrf(*both),
        "chrf_plus_plus": expected_chrf(*both, word_order=2),
        "chrf_plus_plus_lowercase": expected_chrf(*both, word_order=2, lowercase=True),
        "chrf_whitespace": expected_chrf(*both, whitespace=True),
        "chrf_beta_3": expected_chrf(*both, char_order=4, word_order=1, beta=3),
    }


def resampled(seed, samples, pairs, baseline):
    """Intervals and significance of one system against another."""
    os.environ["SACREBLEU_SEED"] = str(seed)
    hypotheses, references = [list(side) for side in zip(*pairs)]
    make = {
        "bleu": lambda: BLEU(lowercase=True),
        "chrf": CHRF,
        "chrf++": lambda: CHRF(word_order=2),
    }
    metrics = {name: metric() for name, metric in make.items()}
    systems = [("baseline", baseline), ("system", hypotheses)]
    signatures, scores = PairedTest(systems, metrics, [references], "bs", samples)()
    results = {}
    for name, column in zip(make, list(scores)[1:]):
        metric = make[name]()
        score = metric.corpus_score(hypotheses, [references], n_bootstrap=samples)
        results[name] = {
            "line": str(score),
            "signature": str(metric.get_signature()),
            "baseline": scores[column][0].score,
            "p": scores[column][1].p_value,
        }
        assert str(signatures[column]) == results[name]["signature"]
    return {
        "seed": seed,
        "samples": samples,
        "hypotheses": hypotheses,
        "baseline": baseline,
        "references": references,
        "results": results,
    }


def main():
    cases = [case(name, pairs) for name, pairs in PAIRS.items()]
    pairs = random_pairs(160)
    cases.append(case("random_pieces", pairs))
    # Single sentences are where smoothing, short orders and empty sides matter.
    cases += [case(f"random_pieces_{index}", [pair]) for index, pair in enumerate(pairs[:24])]
    # A baseline that errs a little more often than the system.
    draw = random.Random(7)
    worse = [hypothesis if draw.random() < 0.7 else hypothesis[: len(hypothesis) // 2] for hypothesis, _ in pairs]
    close = [hypothesis if draw.random() < 0.97 else "" for hypothesis, _ in pairs]
    bootstrap = [
        resampled(12345, 400, pairs, worse),
        resampled(12345, 400, pairs, close),
        resampled(9876543210, 100, pairs[:31], close[:31]),
        resampled(0, 40, pairs[:1], worse[:1]),
    ]
    # Everything but ASCII is escaped: the texts hold invisible characters.
    text = json.dumps({"sacrebleu": sacrebleu.__version__, "cases": cases, "bootstrap": bootstrap}, indent=1)
    Path(__file__).with_name("cases.json").write_text(text + "\n", encoding="ascii")


if __name__ == "__main__":
    main()

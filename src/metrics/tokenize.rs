//! How BLEU cuts a segment into tokens.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The tokenisation that BLEU counts n-grams over; part of the score's definition.
///
/// It reads and prints as sacreBLEU names it:
///
/// ```
/// use gradus::metrics::Tokenize;
///
/// let tokenize: Tokenize = "13a".parse()?;
/// assert_eq!(tokenize.apply("It cost $1,299.99 (in 2019-20)."), "It cost $ 1,299.99 ( in 2019 - 20 ) .");
/// # Ok::<(), gradus::metrics::UnknownTokenize>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tokenize {
    /// The rules of NIST's `mteval-v13a`, which WMT uses: four XML entities are resolved, ASCII punctuation becomes
    /// tokens of its own, and periods, commas and dashes are split off depending on the digits around them.
    #[default]
    V13a,
    /// The text is taken as tokenised: only white space separates tokens.
    None,
    /// Every character is a token: for scripts without spaces.
    Char,
}

/// The error of parsing a [`Tokenize`]: the name is none of `13a`, `none` and `char`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTokenize {
    /// The name that was given.
    pub name: String,
}

impl Tokenize {
    /// The segment with its tokens separated by white space.
    pub fn apply(self, segment: &str) -> Cow<'_, str> {
        match self {
            Self::V13a => Cow::Owned(tokenize_13a(segment)),
            Self::None => Cow::Borrowed(segment),
            Self::Char => {
                Cow::Owned(segment.chars().flat_map(|character| [' ', character]).skip(1).collect())
            }
        }
    }
}

impl fmt::Display for Tokenize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::V13a => "13a",
            Self::None => "none",
            Self::Char => "char",
        })
    }
}

impl FromStr for Tokenize {
    type Err = UnknownTokenize;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "13a" => Ok(Self::V13a),
            "none" => Ok(Self::None),
            "char" => Ok(Self::Char),
            _ => Err(UnknownTokenize { name: name.to_owned() }),
        }
    }
}

impl fmt::Display for UnknownTokenize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "unknown tokenisation {:?}: known are \"13a\", \"none\" and \"char\"", self.name)
    }
}

impl std::error::Error for UnknownTokenize {}

/// White space as Python's `str` methods understand it, and with them sacreBLEU: Unicode's `White_Space` and the
/// four ASCII information separators, which Rust does not count as white space.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// The non-empty pieces between white space.
pub(super) fn split_space(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// The tokens of `mteval-v13a`, joined by single spaces.
fn tokenize_13a(segment: &str) -> String {
    // Entities are resolved once each and in this order, so `&amp;lt;` becomes `<` but `&amp;quot;` stays `&quot;`.
    let plain = segment
        .replace("<skipped>", "")
        .replace("-\n", "")
        .replace('\n', " ")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">");

    // The spaces at the ends let the rules about neighbours see the first and the last character too.
    let mut spaced = String::with_capacity(plain.len() * 2);
    spaced.push(' ');
    for character in plain.chars() {
        if stands_alone(character) {
            spaced.extend([' ', character, ' ']);
        } else {
            spaced.push(character);
        }
    }
    spaced.push(' ');

    let is_digit = |character: char| character.is_ascii_digit();
    let is_point = |character: char| matches!(character, '.' | ',');
    let spaced = rewrite_pairs(&spaced, |left, right| {
        (!is_digit(left) && is_point(right)).then_some([left, ' ', right, ' '])
    });
    let spaced = rewrite_pairs(&spaced, |left, right| {
        (is_point(left) && !is_digit(right)).then_some([' ', left, ' ', right])
    });
    let spaced = rewrite_pairs(&spaced, |left, right| {
        (is_digit(left) && right == '-').then_some([left, ' ', right, ' '])
    });
    split_space(&spaced).collect::<Vec<_>>().join(" ")
}

/// Whether the character is a token wherever it occurs: all ASCII punctuation but the apostrophe, which belongs to
/// its word, and comma, dash and period, for which the neighbours decide.
fn stands_alone(character: char) -> bool {
    character.is_ascii_punctuation() && !matches!(character, '\'' | ',' | '-' | '.')
}

/// Replaces pairs of neighbouring characters, from left to right. A pair that was replaced is used up: its second
/// character is not the first of another pair. So a run like `...` is not treated the same at each of its periods.
fn rewrite_pairs(text: &str, rewrite: impl Fn(char, char) -> Option<[char; 4]>) -> String {
    let mut result = String::with_capacity(text.len() * 2);
    let mut characters = text.chars().peekable();
    while let Some(left) = characters.next() {
        match characters.peek().and_then(|&right| rewrite(left, right)) {
            Some(replacement) => {
                characters.next();
                result.extend(replacement);
            }
            None => result.push(left),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_tokens(segment: &str, tokens: &str) {
        assert_eq!(Tokenize::V13a.apply(segment), tokens, "the tokens of {segment:?}");
    }

    #[test]
    fn punctuation_is_split_from_words_but_apostrophes_are_not() {
        assert_tokens("Hello, world!", "Hello , world !");
        assert_tokens("\"Don't,\" she said.", "\" Don't , \" she said .");
        assert_tokens("a/b [c] {d} ~e `f` g_h", "a / b [ c ] { d } ~ e ` f ` g _ h");
        assert_tokens("well-known", "well-known");
    }

    #[test]
    fn periods_commas_and_dashes_depend_on_digits() {
        assert_tokens("1,234.56", "1,234.56");
        assert_tokens("In 1999, 3.", "In 1999 , 3 .");
        assert_tokens(".5 and 5.", ". 5 and 5 .");
        assert_tokens("v.2,x", "v . 2 , x");
        assert_tokens("1990-95 but A-95 and -5", "1990 - 95 but A-95 and -5");
    }

    #[test]
    fn runs_of_periods_split_by_position() {
        assert_tokens("Wait...", "Wait . . .");
        assert_tokens("1..2", "1 . . 2");
        assert_tokens("1...2", "1 . . .2");
    }

    #[test]
    fn entities_are_resolved_once() {
        assert_tokens("&quot;R&amp;D&quot; &lt;b&gt;", "\" R & D \" < b >");
        assert_tokens("&amp;lt; &amp;quot;", "< & quot ;");
        assert_tokens("&nbsp;", "& nbsp ;");
    }

    #[test]
    fn line_ends_join_hyphenated_words_and_separate_others() {
        assert_tokens("trans-\nlation of\ntext", "translation of text");
        assert_tokens("a <skipped>b", "a b");
    }

    #[test]
    fn only_ascii_counts() {
        assert_tokens("¿Qué? «Oui» 5,٣", "¿Qué ? «Oui» 5 , ٣");
        assert_tokens("你好。再见,朋友", "你好。再见 , 朋友");
    }

    #[test]
    fn white_space_is_what_python_takes_for_it() {
        assert_tokens("  a\t b\u{a0}c\u{1f}d\u{3000} ", "a b c d");
        assert_tokens("a\u{200b}b", "a\u{200b}b");
        assert_tokens(" ", "");
    }

    #[test]
    fn none_leaves_the_segment_alone() {
        assert_eq!(Tokenize::None.apply("a  b, &amp;"), "a  b, &amp;");
    }

    #[test]
    fn every_character_can_be_a_token() {
        assert_eq!(Tokenize::Char.apply("猫 a."), "猫   a .");
        assert_eq!(Tokenize::Char.apply(""), "");
    }

    #[test]
    fn names_are_those_of_sacrebleu() {
        for tokenize in [Tokenize::V13a, Tokenize::None, Tokenize::Char] {
            assert_eq!(tokenize.to_string().parse(), Ok(tokenize));
        }
        let error = "intl".parse::<Tokenize>().expect_err("the tokenisation does not exist here");
        assert_eq!(
            error.to_string(),
            "unknown tokenisation \"intl\": known are \"13a\", \"none\" and \"char\""
        );
    }
}

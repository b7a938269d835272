//! Words of commands that are printed for a person to copy.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// A text as one word of a POSIX shell's command: as it is where no character of it means anything to a shell; else in single
/// quotes; with control characters in it in `$'…'`, which bash, zsh, ksh and POSIX since 2024 read, so that it stays on one line.
pub(crate) fn quote(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "_-./,:@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    if !text.contains(char::is_control) {
        return Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")));
    }
    let mut quoted = String::from("$'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            // Bytes in octal, of which there are always three digits: no digit behind them can be taken for theirs.
            c if c.is_control() => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(quoted, "\\{byte:03o}");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    Cow::Owned(quoted)
}

/// A path as one word.
pub(crate) fn quote_path(path: &Path) -> String {
    quote(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn plain_paths_stay_as_they_are_and_others_are_one_word() {
        for plain in ["runs/en-de", "./a_b/c.gradus", "größe", "10%"] {
            assert_eq!(quote(plain), plain);
        }
        for (text, quoted) in [
            ("", "''"),
            ("my run", "'my run'"),
            ("it's", r"'it'\''s'"),
            ("~", "'~'"),
            ("$(rm x)", "'$(rm x)'"),
            ("a\nb\u{1b}1'\\", r"$'a\012b\0331\'\\'"),
            ("\u{9b}", r"$'\302\233'"),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let texts = [
            "",
            "a b",
            "it's",
            "a\"b`c`$d",
            "x;y|z&w>v<u",
            "*?[a]{b,c}~!#^=",
            "-n",
            "tab\tnew\nline\u{1b}[31m7",
            "\\'\u{85}é",
        ];
        for text in texts {
            let printed = Command::new("bash").args(["-c", &format!("printf %s {}", quote(text))]).output();
            let Ok(printed) = printed else {
                eprintln!("skipped: there is no bash");
                return;
            };
            assert_eq!(String::from_utf8(printed.stdout).unwrap(), text);
        }
    }
}

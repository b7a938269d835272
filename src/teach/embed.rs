//! Data within a page's scripts.

/// JSON in a form that can stand within a `<script>` element, as data or as part of a program, in HTML and in XHTML.
///
/// What could end the element, begin a comment, end a CDATA section or be an entity is written as escapes of JSON, which has these
/// characters in strings only: no `<`, `>` or `&` is left. So are U+2028 and U+2029, which end a line in JavaScript before 2019.
pub(crate) fn script_data(json: &str) -> String {
    let mut safe = String::with_capacity(json.len() + json.len() / 64);
    let mut rest = json;
    while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        let (before, from) = rest.split_at(at);
        let mut characters = from.chars();
        safe.push_str(before);
        safe.push_str(match characters.next() {
            Some('<') => "\\u003c",
            Some('>') => "\\u003e",
            Some('&') => "\\u0026",
            Some('\u{2028}') => "\\u2028",
            _ => "\\u2029",
        });
        rest = characters.as_str();
    }
    safe + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_embedded_data_means_anything_to_html() {
        let texts =
            ["<!-- <script> x", "</script>", "]]>", "&lt;&amp;", "a\u{2028}b\u{2029}c", "\\<", "漢字"];
        let data = script_data(&serde_json::to_string(&texts).unwrap());
        assert!(!data.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{data}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&data).unwrap(), texts);
    }
}

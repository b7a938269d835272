//! Two languages on one page without a script: both are there, and the style sheet hides one.

use maud::{Markup, Render, html};

/// A text in English and in Chinese.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text(pub(super) &'static str, pub(super) &'static str);

impl Render for Text {
    fn render(&self) -> Markup {
        both(self.0, self.1)
    }
}

/// What is said in English and in Chinese, of which a reader sees one.
pub(super) fn both(english: impl Render, chinese: impl Render) -> Markup {
    html! {
        span.en lang="en" { (english) }
        span.zh lang="zh-Hans" { (chinese) }
    }
}

/// The choice of the language. What it switches must come after it, beside it: the style sheet looks for what follows.
pub(super) fn choice() -> Markup {
    html! {
        input.language id="en" type="radio" name="language" checked;
        label for="en" lang="en" { "English" }
        input.language id="zh" type="radio" name="language";
        label for="zh" lang="zh-Hans" { "中文" }
    }
}

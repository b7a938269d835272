//! The page itself.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{Chart, Line};
use super::heat_map::heat_maps;
use super::history::{End, History, Validation};
use super::language::{Text, both, choice};
use super::sentences::Reading;
use crate::train::thousands;

/// The most validations whose translations are shown; more are thinned evenly, first and last kept.
const SHOWN: usize = 10;

/// The whole page.
pub(super) fn page(title: &str, history: &History, readings: &[Reading], config: &toml::Table) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta name="generator" content="Gradus";
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Training report: " (title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                (choice())
                main {
                    h1 { (Text("Training report: ", "训练报告：")) (title) }
                    (scores(history))
                    h2 { (Text("Curves", "曲线")) }
                    div.charts { @for chart in charts(history) { (chart.draw()) } }
                    @if !history.samples().is_empty() {
                        h2 { (Text("Sample translations over time", "译文示例随训练的变化")) }
                        (translations(history))
                    }
                    @if !readings.is_empty() {
                        h2 { (Text("What the model reads while it writes", "模型写出译文时在读什么")) }
                        p {
                            (Text(
                                "Cross-attention of the last layer of the finished model, which has translated the samples \
                                 greedily. A row is a token that is written, a column a token of the source; each row sums to \
                                 1, and colours are linear: ",
                                "训练完成的模型用贪心解码翻译这些示例时，最后一层的交叉注意力。每行是写出的一个词元，每列是源句的一个\
                                 词元；每行之和为 1，颜色为线性刻度："
                            ))
                            span.scale { "0" i {} "1" }
                            (Text(". ▁ begins a word.", "。▁ 表示一个词的开头。"))
                        }
                        @for reading in readings { (heat_maps(reading)) }
                    }
                    h2 { (Text("Configuration", "配置")) }
                    div.config { (settings("", config)) }
                }
            }
        }
    }
}

/// The scores of the finished model, or how far an unfinished training has come.
fn scores(history: &History) -> Markup {
    let Some(end) = &history.end else {
        let last = thousands(history.last_step() as usize);
        let english = html! { "Not finished: the last step recorded is " (last) "." };
        return html! { p { (both(english, html! { "尚未完成：最后记录的是第 " (last) " 步。" })) } };
    };
    let End {
        test_bleu,
        unseen_pair_bleu,
        valid_bleu,
        steps,
        epochs,
        seconds,
        tokens_per_second,
        parameters,
    } = end;
    let bleu = |score: &f64| format!("{score:.1}");
    let tiles = [
        test_bleu.as_ref().map(|score| (Text("test BLEU", "测试 BLEU"), bleu(score))),
        unseen_pair_bleu.as_ref().map(|score| (Text("unseen-pair BLEU", "未见搭配 BLEU"), bleu(score))),
        Some((Text("validation BLEU", "验证 BLEU"), bleu(valid_bleu))),
        Some((Text("parameters", "参数"), thousands(*parameters as usize))),
        Some((Text("steps", "训练步数"), thousands(*steps as usize))),
        Some((Text("whole epochs", "完整轮数"), thousands(*epochs as usize))),
        Some((Text("time", "用时"), duration(*seconds))),
        Some((Text("target tokens a second", "每秒目标词元"), thousands(*tokens_per_second as usize))),
        (history.skipped > 0).then(|| {
            (Text("steps left out, not finite", "因数值非有限而跳过的步"), thousands(history.skipped))
        }),
    ];
    html! {
        dl.tiles {
            // Of the two names the style sheet hides one.
            @for (Text(name, chinese), value) in tiles.into_iter().flatten() {
                div { dt.zh lang="zh-Hans" { (chinese) } dt { (name) } dd { (value) } }
            }
        }
    }
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

fn charts(history: &History) -> [Chart; 5] {
    let train = |of: fn(&super::history::Steps) -> f64| -> Vec<(f64, f64)> {
        history.train.iter().map(|steps| (steps.step as f64, of(steps))).collect()
    };
    let valid = |of: fn(&Validation) -> f64| -> Vec<(f64, f64)> {
        history.valid.iter().map(|validation| (validation.step as f64, of(validation))).collect()
    };
    let line = |name, points| Line { name, points, marked: false };
    let marked = |name, points| Line { name, points, marked: true };
    [
        Chart {
            title: Text("Loss", "损失"),
            caption: Text(
                "nats a token; in training with label smoothing and dropout, in validation without",
                "每词元 nat；训练时含标签平滑与 dropout，验证时不含",
            ),
            lines: vec![
                line(Text("training", "训练"), train(|s| s.loss)),
                marked(Text("validation", "验证"), valid(|v| v.loss)),
            ],
            from_zero: true,
        },
        Chart {
            title: Text("Validation BLEU", "验证 BLEU"),
            caption: Text("0 to 100, greedy", "0 到 100，贪心解码"),
            lines: vec![marked(Text("validation BLEU", "验证 BLEU"), valid(|v| v.bleu))],
            from_zero: true,
        },
        Chart {
            title: Text("Learning rate", "学习率"),
            caption: Text("of the optimiser's step", "优化器每步所用"),
            lines: vec![line(Text("rate", "学习率"), train(|s| s.rate))],
            from_zero: true,
        },
        Chart {
            title: Text("Gradient norm", "梯度范数"),
            caption: Text("of all parameters together, before clipping", "全部参数合计，裁剪之前"),
            lines: vec![line(Text("norm", "范数"), train(|s| s.gradient_norm))],
            from_zero: true,
        },
        Chart {
            title: Text("Speed", "速度"),
            caption: Text(
                "target tokens a second, mean since the start, validation not counted",
                "每秒目标词元，自开始以来的平均，不计验证",
            ),
            lines: vec![line(Text("speed", "速度"), train(|s| s.tokens_per_second))],
            from_zero: true,
        },
    ]
}

/// For each sample, what was made of it at one validation after the other.
fn translations(history: &History) -> Markup {
    let count = history.valid.len();
    let shown: Vec<&Validation> = match count {
        0..=SHOWN => history.valid.iter().collect(),
        _ => (0..SHOWN).map(|i| &history.valid[i * (count - 1) / (SHOWN - 1)]).collect(),
    };
    html! {
        @if shown.len() < count {
            p { (both(html! { (shown.len()) " of " (count) " validations." }, html! { (count) " 次验证中的 " (shown.len()) " 次。" })) }
        }
        @for (i, last) in history.samples().iter().enumerate() {
            table.sample {
                thead {
                    tr { th { (Text("source", "源句")) } td dir="auto" { (last.source) } }
                    tr { th { (Text("reference", "参考译文")) } td dir="auto" { (last.reference) } }
                }
                tbody {
                    @for validation in &shown {
                        @if let Some(sample) = validation.samples.get(i).filter(|s| s.source == last.source) {
                            tr {
                                @let step = thousands(validation.step as usize);
                                th { (both(html! { "step " (step) }, html! { "第 " (step) " 步" })) }
                                td dir="auto" {
                                    (sample.model)
                                    @if sample.model == sample.reference {
                                        " " span.same title="equal to the reference · 与参考译文相同" { "✓" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A table for every section, those within it after it.
fn settings(name: &str, section: &toml::Table) -> Markup {
    let is_table = |value: &toml::Value| value.is_table();
    html! {
        @if section.values().any(|value| !is_table(value)) {
            table.settings {
                caption { (name) }
                @for (key, value) in section.iter().filter(|(_, value)| !is_table(value)) {
                    tr { th { (key) } td { (plain(value)) } }
                }
            }
        }
        @for (key, table) in section.iter().filter_map(|(key, value)| Some((key, value.as_table()?))) {
            (settings(&if name.is_empty() { key.clone() } else { format!("{name}.{key}") }, table))
        }
    }
}

/// A setting without the quotation marks of TOML.
fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use autograd::Tensor;

    use super::super::history::Sample;
    use super::*;

    #[test]
    fn what_comes_from_outside_is_escaped_and_nothing_is_fetched() {
        let evil = "<script>alert(\"1\")</script> & Co.".to_owned();
        let sample = Sample { source: evil.clone(), model: evil.clone(), reference: evil.clone() };
        let validation = Validation { step: 300, loss: 2.0, bleu: 12.5, samples: vec![sample] };
        let history = History { valid: vec![validation], ..History::default() };
        let reading = Reading {
            source: vec![evil.clone()],
            target: vec![evil.clone()],
            weights: Tensor::full([1, 1, 1], 1.0),
        };
        let config: toml::Table =
            "[data]\nsource = \"<script>\"\n[model.dropout]\nresidual = 0.1\n".parse().unwrap();
        let page = page(&evil, &history, &[reading], &config).into_string();
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
        assert!(page.contains("&amp; Co.") && page.contains("model.dropout") && page.contains("✓"));
        for fetches in ["http", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(fetches), "the page fetches nothing: {fetches}");
        }
        assert!(page.contains("Not finished: the last step recorded is 300."));
    }

    #[test]
    fn times_are_read_in_the_units_of_people() {
        assert_eq!([9.6, 75.0, 7300.0].map(duration), ["10 s", "1 min 15 s", "2 h 1 min"]);
    }
}

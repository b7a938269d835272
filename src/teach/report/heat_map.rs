//! Attention weights as inline SVG: the darker a cell, the more is read.

use maud::{Markup, html};

use super::language::both;
use super::sentences::Reading;

// In pixels.
const CELL: usize = 24;
const SMALL: usize = 9;
const LABEL: usize = 11;

/// The mean of all heads with its tokens, and each head small beside it.
pub(super) fn heat_maps(reading: &Reading) -> Markup {
    let [heads, rows, columns] = *reading.weights.shape() else { unreachable!("weights are [H, T, S]") };
    let weights = reading.weights.as_slice();
    let at = |head: usize, row: usize, column: usize| weights[(head * rows + row) * columns + column];
    let mean = |row, column| (0..heads).map(|head| at(head, row, column)).sum::<f32>() / heads as f32;
    html! {
        div.maps {
            figure.map {
                figcaption { (both(html! { "mean of " (heads) " heads" }, html! { (heads) " 个注意力头的平均" })) }
                (large(reading, mean))
            }
            div.heads {
                @for head in 0..heads {
                    figure.map {
                        figcaption { (both(html! { "head " (head + 1) }, html! { "注意力头 " (head + 1) })) }
                        (small(rows, columns, |row, column| at(head, row, column)))
                    }
                }
            }
        }
    }
}

fn large(reading: &Reading, weight: impl Fn(usize, usize) -> f32) -> Markup {
    let Reading { source, target, .. } = reading;
    let longest = |tokens: &[String]| tokens.iter().map(|token| token.chars().count()).max().unwrap_or(0);
    // A letter of the labels is about seven pixels wide; the ones above are set upright.
    let (left, top) = (16 + longest(target) * 7, 16 + longest(source) * 7);
    let (width, height) = (left + source.len() * CELL + 2, top + target.len() * CELL + 2);
    html! {
        svg width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="img"
            aria-label="how much of each source token is read while each target token is written · 写出每个目标词元时各源词元被读取的比例" {
            @for (column, token) in source.iter().enumerate() {
                @let (x, y) = (left + column * CELL + CELL / 2 + LABEL / 3, top - 6);
                text.token x=(x) y=(y) transform={ "rotate(-90 " (x) " " (y) ")" } { (token) }
            }
            @for (row, token) in target.iter().enumerate() {
                @let y = top + row * CELL;
                text.token x=(left - 6) y=(y + CELL / 2 + LABEL / 3) text-anchor="end" { (token) }
                @for (column, read) in source.iter().enumerate() {
                    @let share = weight(row, column);
                    rect.cell x=(left + column * CELL) y=(y) width=(CELL - 1) height=(CELL - 1)
                        fill-opacity=(format!("{share:.2}")) {
                        title { (token) " ← " (read) ": " (format!("{:.0} %", 100.0 * share)) }
                    }
                }
            }
            rect.frame x=(left) y=(top) width=(source.len() * CELL) height=(target.len() * CELL) {}
        }
    }
}

fn small(rows: usize, columns: usize, weight: impl Fn(usize, usize) -> f32) -> Markup {
    let (width, height) = (columns * SMALL, rows * SMALL);
    html! {
        svg width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } aria-hidden="true" {
            @for row in 0..rows {
                @for column in 0..columns {
                    @let share = weight(row, column);
                    @if share >= 0.02 {
                        rect.cell x=(column * SMALL) y=(row * SMALL) width=(SMALL) height=(SMALL)
                            fill-opacity=(format!("{share:.2}")) {}
                    }
                }
            }
            rect.frame x="0" y="0" width=(width) height=(height) {}
        }
    }
}

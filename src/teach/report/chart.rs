//! A line chart as inline SVG: no script, colours from the page's style sheet.

use std::fmt::Write;

use maud::{Markup, html};

use super::language::{Text, both};

/// Numbers over steps.
pub(super) struct Chart {
    pub(super) title: Text,
    /// What the numbers are, with their unit.
    pub(super) caption: Text,
    pub(super) lines: Vec<Line>,
    /// Whether the axis begins at zero.
    pub(super) from_zero: bool,
}

/// One line of a chart.
pub(super) struct Line {
    pub(super) name: Text,
    /// Step and number.
    pub(super) points: Vec<(f64, f64)>,
    /// Whether each point is marked, with its number to be read by pointing at it.
    pub(super) marked: bool,
}

// In units of the drawing, which the page scales to its columns.
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;

/// More points than this say no more on a drawing of this width.
const POINTS: usize = 300;

impl Chart {
    /// The chart as a figure.
    pub(super) fn draw(&self) -> Markup {
        let Text(english, chinese) = self.title;
        let title = both(html! { strong { (english) } }, html! { strong { (chinese) } });
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let finite = || points().filter(|(_, y)| y.is_finite());
        let top = finite().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
        let low = finite().map(|point| point.1).fold(f64::INFINITY, f64::min);
        if top < low {
            return html! { figure { figcaption { (title) (Text(": nothing recorded", "：没有记录")) } } };
        }
        let y_axis = Axis::new(if self.from_zero { 0.0 } else { low }, top);
        let x_axis = Axis::from_zero(points().map(|point| point.0).fold(1.0, f64::max));
        let x = |step: f64| LEFT + (WIDTH - LEFT - RIGHT) * x_axis.place(step);
        let y = |value: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y_axis.place(value);
        html! {
            figure.chart {
                figcaption {
                    (title) " " span.unit { (self.caption) }
                    @if self.lines.len() > 1 {
                        span.legend {
                            @for (i, line) in self.lines.iter().enumerate() {
                                span class={ "key line" (i) } { (line.name) }
                            }
                        }
                    }
                }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label={ (english) " · " (chinese) } {
                    @for tick in y_axis.ticks() {
                        line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(short(y(tick))) y2=(short(y(tick))) {}
                        text.tick x=(LEFT - 6.0) y=(short(y(tick) + 4.0)) text-anchor="end" { (y_axis.label(tick)) }
                    }
                    @for tick in x_axis.ticks() {
                        text.tick x=(short(x(tick))) y=(HEIGHT - BOTTOM + 16.0) text-anchor="middle" {
                            (x_axis.label(tick))
                        }
                    }
                    @for (class, step) in [("tick en", "step"), ("tick zh", "训练步数")] {
                        text class=(class) x=(short((LEFT + WIDTH - RIGHT) / 2.0)) y=(HEIGHT - 6.0) text-anchor="middle" {
                            (step)
                        }
                    }
                    @for (i, line) in self.lines.iter().enumerate() {
                        @let drawn = thin(&line.points);
                        path class={ "stroke line" (i) } d=(path(drawn.iter().map(|p| (x(p.0), y(p.1))))) {}
                        @if line.marked {
                            @for (step, value) in &drawn {
                                circle class={ "dot line" (i) } cx=(short(x(*step))) cy=(short(y(*value))) r="3" {
                                    title { (step) ": " (format!("{value:.3}")) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A range and where its marks stand.
struct Axis {
    low: f64,
    high: f64,
    tick: f64,
}

impl Axis {
    /// An axis that holds both ends, from mark to mark, where marks are 1, 2 or 5 times a power of ten.
    fn new(low: f64, high: f64) -> Self {
        let span = if high > low { high - low } else { high.abs().max(1.0) };
        let rough = span / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let tick =
            [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|&t| t >= rough).unwrap_or(rough);
        let low = (low / tick).floor() * tick;
        let high = (high / tick).ceil() * tick;
        Self { low, high: if high > low { high } else { low + tick }, tick }
    }

    /// An axis from zero to exactly `high`.
    fn from_zero(high: f64) -> Self {
        Self { high, ..Self::new(0.0, high) }
    }

    /// Where a value lies between the ends, 0 to 1.
    fn place(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.tick + 1e-9).floor() as u32;
        (0..=count).map(|i| self.low + f64::from(i) * self.tick).collect()
    }

    /// A mark in as many digits as tell it from its neighbours.
    fn label(&self, value: f64) -> String {
        if value.abs() < self.tick / 2.0 {
            return "0".to_owned();
        }
        if self.tick < 1e-3 {
            // A multiple of the tick, without the last digits of a sum of floats.
            let digits = (value.abs().log10().floor() - self.tick.log10().floor()).max(0.0) as usize;
            return format!("{value:.digits$e}");
        }
        if self.tick >= 1.0 {
            return crate::train::thousands(value.round() as usize);
        }
        format!("{value:.0$}", (-self.tick.log10().floor()) as usize)
    }
}

/// As many points as can be seen: means of neighbours where there are more.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite: Vec<(f64, f64)> = points.iter().copied().filter(|point| point.1.is_finite()).collect();
    let mean = |group: &[(f64, f64)]| {
        let sum = group.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / group.len() as f64, sum.1 / group.len() as f64)
    };
    finite.chunks(finite.len().div_ceil(POINTS).max(1)).map(mean).collect()
}

fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (x, y) in points {
        let command = if path.is_empty() { 'M' } else { 'L' };
        // Writing to a string cannot fail.
        let _ = write!(path, "{command}{} {}", short(x), short(y));
    }
    path
}

/// A place on the drawing, to a tenth of its unit.
fn short(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_numbers_that_hold_both_ends() {
        let labels = |axis: Axis| axis.ticks().iter().map(|&tick| axis.label(tick)).collect::<Vec<_>>();
        assert_eq!(labels(Axis::new(1.73, 9.29)), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(Axis::new(0.0, 0.002)), ["0", "5e-4", "1.0e-3", "1.5e-3", "2.0e-3"]);
        assert_eq!(labels(Axis::new(0.41, 1.29)), ["0.4", "0.6", "0.8", "1.0", "1.2", "1.4"]);
        assert_eq!(labels(Axis::from_zero(5383.0)), ["0", "2,000", "4,000"]);
        assert_eq!(labels(Axis::new(3.0, 3.0)), ["3", "4"]);
    }

    #[test]
    fn many_points_are_thinned_and_what_is_not_finite_is_left_out() {
        let points: Vec<(f64, f64)> = (0..1000).map(|i| (f64::from(i), 2.0)).collect();
        let thinned = thin(&points);
        assert!(thinned.len() <= POINTS && thinned.iter().all(|point| point.1 == 2.0));
        assert_eq!(thin(&[(1.0, f64::NAN), (2.0, 3.0)]), [(2.0, 3.0)]);
        let empty = Chart { title: Text("t", "t"), caption: Text("", ""), lines: vec![], from_zero: true };
        assert!(empty.draw().into_string().contains("nothing recorded"));
    }
}

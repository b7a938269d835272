//! Products of a few rows with a weight that was put in order beforehand.
//!
//! A decoding step multiplies a handful of rows by every weight of the model. A general product spends more time on
//! putting the weight in order than on the arithmetic, and so would a dot product for each output on adding up its lanes.
//! [`Panels`] are the order in which such a product reads a weight, made once and used for all steps.

use std::ops::Range;

use super::bf16::{self, PairPanels};
use super::crew::split;
use super::simd::Simd;
use crate::buffer::Buffer;
use crate::{float::Float, simd};

/// Outputs of one panel.
pub(super) const WIDTH: usize = 64;

/// Rows of a tile: with four vectors of 16 lanes each, they fit 32 registers together with what they are multiplied by;
/// with two vectors of 8 lanes, 16 registers.
const ROWS: usize = 6;

/// A weight `[O, I]` in panels of 64 outputs, each of them `[I, 64]`. The last one is filled up with zeros.
#[derive(Debug)]
pub struct Panels<T: Float> {
    entries: Entries<T>,
    inputs: usize,
    outputs: usize,
}

#[derive(Debug)]
enum Entries<T: Float> {
    Whole(Buffer<T>),
    Rounded(PairPanels),
}

impl<T: Float> Panels<T> {
    /// The panels of a weight that has rows of `inputs` entries, rounded where products of `f32` are to be.
    ///
    /// # Panics
    /// Where these are not whole rows.
    #[track_caller]
    pub fn new(weight: &[T], inputs: usize) -> Self {
        assert!(
            inputs > 0 && weight.len().is_multiple_of(inputs),
            "panels: no whole rows of {inputs} entries"
        );
        let outputs = weight.len() / inputs;
        if outputs == 0 {
            return Self { entries: Entries::Whole(Buffer::stale(0)), inputs, outputs };
        }
        if let (true, Some(weight)) = (bf16::chosen(), bf16::singles(weight)) {
            return Self { entries: Entries::Rounded(PairPanels::new(weight, inputs)), inputs, outputs };
        }
        let mut data = Buffer::stale(outputs.next_multiple_of(WIDTH) * inputs);
        let panels = data.chunks_exact_mut(WIDTH * inputs).zip(weight.chunks(WIDTH * inputs));
        for (panel, weight) in panels {
            let count = weight.len() / inputs;
            for (i, out) in panel.chunks_exact_mut(WIDTH).enumerate() {
                out[count..].fill(T::ZERO);
                for (o, out) in out[..count].iter_mut().enumerate() {
                    *out = weight[o * inputs + i];
                }
            }
        }
        Self { entries: Entries::Whole(data), inputs, outputs }
    }

    /// O
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// I
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The number of panels.
    pub fn count(&self) -> usize {
        self.outputs.div_ceil(WIDTH)
    }
}

/// `y = x·Wᵀ (+ b)` for rows `x [R, I]` and `b [O]`: `y [R, O]`.
///
/// Every entry is summed from the bias over the first input to the last, whatever the number of rows, so that a row gives
/// the same bits alone and among others. Panels are shared with the thread's crew, if it has one.
///
/// # Panics
/// Where these are not whole rows, or there is not one bias for each output.
#[track_caller]
pub fn panel_product<T: Float>(x: &[T], weight: &Panels<T>, bias: Option<&[T]>, y: &mut [T]) {
    let (inputs, outputs) = (weight.inputs, weight.outputs);
    let rows = x.len() / inputs;
    assert!(
        x.len() == rows * inputs && Some(y.len()) == rows.checked_mul(outputs),
        "panel product: {} and {} entries are not rows of {inputs} and {outputs}",
        x.len(),
        y.len()
    );
    assert!(bias.is_none_or(|bias| bias.len() == outputs), "panel product: not one bias for each output");
    let y = Columns { y: y.as_mut_ptr(), rows, outputs };
    let rounded = match &weight.entries {
        Entries::Rounded(panels) => bf16::singles(x).map(|x| (panels, panels.round(x))),
        Entries::Whole(_) => None,
    };
    let pieces = if x.len().saturating_mul(outputs) < SHARED { 1 } else { PIECES };
    let share = weight.count().div_ceil(pieces).max(1);
    split(weight.count().div_ceil(share), &|piece| {
        let panels = piece * share..((piece + 1) * share).min(weight.count());
        match &rounded {
            Some((weight, x)) => {
                // SAFETY: this piece of the product computes these panels, one row after the other.
                let row = |i, panel| bf16::singles_mut(unsafe { y.of(i, panel, 0) }).unwrap_or_default();
                weight.product(x, bias.and_then(bf16::singles), panels, row);
            }
            None => some_panels(x, weight, bias, &y, panels),
        }
    });
}

/// Multiply-adds from which on a product is shared: a smaller one takes less time than its operands and results take from
/// one core to another.
const SHARED: usize = 1 << 18;

/// Pieces that a product is cut into at most: a few for each of a few threads.
const PIECES: usize = 8;

/// A result `[R, O]` whose columns several threads write, each those of its own panels.
struct Columns<T> {
    y: *mut T,
    rows: usize,
    outputs: usize,
}

// SAFETY: the pointer is that of a `&mut [T]`, and the pieces of a product write different columns.
unsafe impl<T: Send> Sync for Columns<T> {}

impl<T> Columns<T> {
    /// The part of a row that lies in one panel, from its column `column` on.
    ///
    /// # Safety
    /// Only who computes this panel may call it, and hold one such slice at a time.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "the columns of a panel belong to who computes it")]
    unsafe fn of(&self, row: usize, panel: usize, column: usize) -> &mut [T] {
        let (start, end) = (panel * WIDTH + column, ((panel + 1) * WIDTH).min(self.outputs));
        assert!(row < self.rows && start <= end, "panel product: no such place");
        // SAFETY: within the row, whose place is within the slice.
        unsafe { std::slice::from_raw_parts_mut(self.y.add(row * self.outputs + start), end - start) }
    }
}

simd! {
    fn some_panels<T>(
        s,
        x: &[T],
        weight: &Panels<T>,
        bias: Option<&[T]>,
        y: &Columns<T>,
        panels: Range<usize>,
    ) {
        // Tiles of like sizes: seven rows are four and three, not six and one.
        let tiles = y.rows.div_ceil(ROWS);
        let Entries::Whole(data) = &weight.entries else { return };
        for panel in panels {
            let size = WIDTH * weight.inputs;
            let (data, next) = data[panel * size..].split_at(size);
            // While the tiles of a panel are computed, the next panel is on its way; a few rows alone wait for memory all
            // the time, with nothing to do meanwhile. (16 rows by weights of 120 MB: 6 % more sentences a second.)
            let next = if tiles > 1 { &next[..size.min(next.len())] } else { &[] };
            let part = |t: usize| t * next.len() / tiles;
            for t in 0..tiles {
                let rows = t * y.rows / tiles..(t + 1) * y.rows / tiles;
                let next = &next[part(t)..part(t + 1)];
                let place = Place { rows, panel, next, lines: LINES.div_ceil(tiles) };
                match place.rows.len() {
                    1 => across::<T, S, 1>(s, x, data, bias, y, &place),
                    2 => across::<T, S, 2>(s, x, data, bias, y, &place),
                    3 => across::<T, S, 3>(s, x, data, bias, y, &place),
                    4 => across::<T, S, 4>(s, x, data, bias, y, &place),
                    5 => across::<T, S, 5>(s, x, data, bias, y, &place),
                    _ => across::<T, S, ROWS>(s, x, data, bias, y, &place),
                }
            }
        }
    }
}

/// Where in the result the product of some rows with one panel goes.
struct Place<'a, T> {
    rows: Range<usize>,
    panel: usize,
    /// What is to be asked of memory meanwhile, and how many lines of it with each input.
    next: &'a [T],
    lines: usize,
}

/// Numbers of `f32` in a line of the cache.
const LINE: usize = 16;

/// Lines of the inputs' rows in a panel.
const LINES: usize = WIDTH / LINE;

/// `M` rows of `x` times one panel, as many vectors at a time as there are registers for.
#[inline(always)]
fn across<T: Float, S: Simd<T>, const M: usize>(
    s: S,
    x: &[T],
    panel: &[T],
    bias: Option<&[T]>,
    y: &Columns<T>,
    place: &Place<'_, T>,
) {
    let count = WIDTH.min(y.outputs - place.panel * WIDTH);
    if S::LANES >= 16 || M <= 2 {
        for column in (0..count).step_by(4 * S::LANES) {
            tile::<T, S, M, 4>(s, x, panel, bias, y, place, column);
        }
    } else {
        for column in (0..count).step_by(2 * S::LANES) {
            tile::<T, S, M, 2>(s, x, panel, bias, y, place, column);
        }
    }
}

/// `M` rows of `x` times `W` vectors of a panel, from `column` on.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "constant indices keep sums in registers")]
fn tile<T: Float, S: Simd<T>, const M: usize, const W: usize>(
    s: S,
    x: &[T],
    panel: &[T],
    bias: Option<&[T]>,
    y: &Columns<T>,
    place: &Place<'_, T>,
    column: usize,
) {
    let inputs = panel.len() / WIDTH;
    let x = &x[place.rows.start * inputs..][..M * inputs];
    let mut rows = [x; M];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = &x[r * inputs..][..inputs];
    }
    let first = place.panel * WIDTH + column;
    let mut start = [s.splat(T::ZERO); W];
    if let Some(bias) = bias {
        let bias = &bias[first..];
        for w in 0..W {
            if w * S::LANES < bias.len() {
                start[w] = s.load(&bias[w * S::LANES..], T::ZERO);
            }
        }
    }
    let mut sums = [start; M];
    let mut panel = panel.chunks_exact(WIDTH);
    // Nothing in this loop can panic, and `sums` is indexed by constants alone: else it would be kept in memory.
    for i in 0..inputs {
        let Some(weights) = panel.next().and_then(|weights| weights.get(column..column + W * S::LANES))
        else {
            break;
        };
        for line in i * place.lines..(i + 1) * place.lines {
            if let Some(entry) = place.next.get(line * LINE) {
                s.prefetch(entry);
            }
        }
        let mut vectors = [s.splat(T::ZERO); W];
        for (w, v) in vectors.iter_mut().enumerate() {
            *v = s.load(&weights[w * S::LANES..][..S::LANES], T::ZERO);
        }
        for r in 0..M {
            // SAFETY: every row was cut to `inputs` entries above.
            let x = s.splat(unsafe { *rows[r].get_unchecked(i) });
            for w in 0..W {
                sums[r][w] = s.fma(x, vectors[w], sums[r][w]);
            }
        }
    }
    for r in 0..M {
        // SAFETY: this piece of the product computes this panel.
        let y = unsafe { y.of(place.rows.start + r, place.panel, column) };
        for w in 0..W {
            if w * S::LANES < y.len() {
                s.store(sums[r][w], &mut y[w * S::LANES..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::crew::with_crew;
    use super::super::testing::{assert_close, random, unread, widen};
    use super::*;

    fn check<T: Float>(rows: usize, inputs: usize, outputs: usize) {
        let (x, weight, bias): (Vec<T>, Vec<T>, Vec<T>) =
            (random(rows * inputs, 1), random(outputs * inputs, 2), random(outputs, 3));
        let panels = Panels::new(&weight, inputs);
        let (wide_x, wide_weight) = (widen(&x), widen(&weight));
        for bias in [None, Some(&bias[..])] {
            let mut y = unread(rows * outputs);
            panel_product(&x, &panels, bias, &mut y);
            let expected: Vec<f64> = (0..rows * outputs)
                .map(|at| {
                    let (x, weight) =
                        (&wide_x[at / outputs * inputs..], &wide_weight[at % outputs * inputs..]);
                    let sum: f64 = x.iter().zip(weight).take(inputs).map(|(x, w)| x * w).sum();
                    sum + bias.map_or(0.0, |bias| bias[at % outputs].to_f64())
                })
                .collect();
            assert_close(&y, &expected, 4.0 * inputs as f64);
            let mut shared = unread(rows * outputs);
            with_crew(3, || panel_product(&x, &panels, bias, &mut shared));
            assert_eq!(shared, y, "helpers change nothing");
            for (row, y) in x.chunks(inputs).zip(y.chunks(outputs)) {
                let mut alone = unread(outputs);
                panel_product(row, &panels, bias, &mut alone);
                assert_eq!(alone, y, "a row alone gives the same bits as in company");
            }
        }
    }

    #[test]
    fn panels_give_the_product_in_any_company() {
        for (inputs, outputs) in [(1, 1), (3, 64), (17, 63), (32, 65), (5, 200), (128, 16), (300, 1100)] {
            for rows in [0, 1, 2, 3, 5, 6, 7, 13] {
                check::<f32>(rows, inputs, outputs);
                check::<f64>(rows, inputs, outputs);
            }
        }
    }

    #[test]
    #[should_panic(expected = "panel product: 4 and 6 entries are not rows of 3 and 2")]
    fn broken_rows_are_refused() {
        panel_product(&[0.0f32; 4], &Panels::new(&[0.0; 6], 3), None, &mut [0.0; 6]);
    }
}

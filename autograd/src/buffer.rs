//! Memory that is recycled: a dropped buffer waits on a free list for the next tensor of its size class.
//!
//! A training step asks for the same few hundred buffers again and again. Returning the large ones to the operating
//! system would page-fault them in anew at every step, which costs more than the arithmetic that fills them.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::float::Float;

/// A block of `len` numbers, borrowed from the free list of its type.
#[derive(Debug)]
pub struct Buffer<T: Float> {
    /// Always as long as its size class; stale entries lie beyond (and, before the first write, within) `len`.
    data: Vec<T>,
    len: usize,
}

impl<T: Float> Buffer<T> {
    /// A buffer whose entries are **stale**: whatever an earlier owner left, or zeros. For kernels that write all of it.
    ///
    /// # Panics
    /// Where there is no memory for so many.
    #[track_caller]
    pub fn stale(len: usize) -> Self {
        match Self::try_stale(len) {
            Some(buffer) => buffer,
            None => panic!("buffer: no memory for {len} entries of {}", T::NAME),
        }
    }

    /// The same; `None` where there is no memory for so many.
    pub fn try_stale(len: usize) -> Option<Self> {
        let entry = size_of::<T>();
        // A size class is at most a quarter larger, and twice that must be a number.
        if len.checked_mul(entry)? > MOST_BYTES {
            return None;
        }
        let class = size_class(len);
        let data = match T::pool().take(class) {
            Some(data) => data,
            None => {
                // A list that cannot have its memory ends the process, so large ones are asked for on trial first. Zeroed
                // memory comes untouched from the system, which what is grown entry by entry does not.
                if class * entry >= LARGE && Vec::<T>::new().try_reserve_exact(class).is_err() {
                    return None;
                }
                vec![T::ZERO; class]
            }
        };
        Some(Self { data, len })
    }

    /// A buffer filled with `value`.
    ///
    /// # Panics
    /// Where there is no memory for so many.
    #[track_caller]
    pub fn filled(len: usize, value: T) -> Self {
        let mut buffer = Self::stale(len);
        buffer.fill(value);
        buffer
    }
}

impl<T: Float> From<Vec<T>> for Buffer<T> {
    fn from(data: Vec<T>) -> Self {
        let len = data.len();
        Self { data, len }
    }
}

impl<T: Float> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::stale(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl<T: Float> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.data[..self.len]
    }
}

impl<T: Float> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[..self.len]
    }
}

impl<T: Float> Drop for Buffer<T> {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        if data.len() >= SMALLEST && data.len() == size_class(data.len()) {
            T::pool().give(data);
        }
    }
}

/// Gives all waiting buffers back to the operating system, for example between training and a long evaluation.
pub fn trim() {
    f32::pool().lock().clear();
    f64::pool().lock().clear();
    crate::Dual::pool().lock().clear();
}

/// The free lists of one number type, one per size class.
#[derive(Debug)]
pub struct Pool<T> {
    /// `(class, buffers)`; a few dozen classes at most, so a scan is as good as a map.
    shelves: Mutex<Vec<(usize, Vec<Vec<T>>)>>,
}

impl<T: Float> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self { shelves: Mutex::new(Vec::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(usize, Vec<Vec<T>>)>> {
        // Nothing under the lock can leave a shelf half-changed, so a panicking thread poisons nothing.
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, class: usize) -> Option<Vec<T>> {
        if class < SMALLEST {
            return None;
        }
        // Batches differ a little in size from step to step: a somewhat larger buffer that waits is better than a new
        // one, which would have to be faulted in and would wait in its turn.
        let fits = |(size, shelf): &&mut (usize, Vec<Vec<T>>)| {
            (class..=2 * class).contains(size) && !shelf.is_empty()
        };
        self.lock().iter_mut().filter(fits).min_by_key(|(size, _)| *size)?.1.pop()
    }

    fn give(&self, data: Vec<T>) {
        let mut shelves = self.lock();
        match shelves.iter_mut().find(|(size, _)| *size == data.len()) {
            Some((_, shelf)) => shelf.push(data),
            None => shelves.push((data.len(), vec![data])),
        }
    }
}

/// No memory has more bytes.
const MOST_BYTES: usize = isize::MAX as usize / 4;

/// Bytes from which on memory is asked for on trial. It is more than what the C library ever keeps from the system's mapping
/// of single blocks, so that a trial changes nothing for those that follow.
const LARGE: usize = 1 << 26;

/// Below this many entries the system's allocator is as fast as a free list.
const SMALLEST: usize = 1024;

/// The next size of the form `2^k · {4, 5, 6, 7} / 4`: at most a quarter is wasted, and batches of slightly different
/// lengths share their buffers.
fn size_class(len: usize) -> usize {
    if len < SMALLEST {
        return len;
    }
    let quarter = 1 << (len.ilog2() - 2);
    len.div_ceil(quarter) * quarter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_waste_at_most_a_quarter() {
        for len in [1024, 1025, 1279, 1281, 2047, 2049, 15_360_000] {
            let class = size_class(len);
            assert!(class >= len && class <= len + len / 4, "{len} -> {class}");
            assert_eq!(size_class(class), class, "a class is its own class");
        }
    }

    #[test]
    fn a_dropped_buffer_is_reused() {
        // A size no other test asks for, since tests share the pool.
        let len = size_class(77_777_777 / 8);
        let first = Buffer::<f64>::filled(len, 3.0);
        let address = first.as_ptr();
        drop(first);
        assert_eq!(Buffer::<f64>::stale(len - 5).as_ptr(), address);
    }
}

//! Whole numbers of a batch on their way to a card: all in one copy.

use std::sync::Arc;

use super::device::Cuda;
use super::driver::Address;
use super::memory::DeviceBuffer;
use crate::Ids;

/// Where numbers of an [`Ids`] lie on a card.
#[derive(Debug)]
pub(crate) struct StagedIds {
    /// What all that was copied at once lies in.
    buffer: Arc<DeviceBuffer>,
    device: Cuda,
    /// Bytes from the start of the buffer to the numbers.
    offset: usize,
    segments: Option<Segments>,
}

/// The places of ids in the order of the ids: a segment is an id and the places where it stands. There are as many as places,
/// the last ones empty, so that how many there are does not depend on the ids.
///
/// With them the gradient of a table is added up in a fixed order without atomics: whoever adds to a row reads all its places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segments {
    pub(super) count: usize,
    /// `[N]` ids, `[N + 1]` where each one's places start, `[N]` places.
    pub(super) rows: Address,
    pub(super) starts: Address,
    pub(super) order: Address,
}

impl StagedIds {
    pub(super) fn address(&self) -> Address {
        self.buffer.address() + self.offset as u64
    }

    pub(super) fn segments(&self) -> Option<Segments> {
        self.segments
    }
}

impl Cuda {
    /// Brings numbers here that are not here yet. Those of `picks` are also sorted, for the gradients of the tables whose rows
    /// they pick.
    #[track_caller]
    pub(crate) fn stage(&self, picks: &[&Ids], numbers: &[&Ids]) {
        let missing = |ids: &&Ids| ids.staged.get().is_none_or(|staged| staged.device != *self);
        let mut bytes = self.room();
        let places = lay_out(with_kind(picks, numbers).filter(|(ids, _)| missing(ids)), &mut bytes);
        if places.is_empty() {
            return;
        }
        let buffer = Arc::new(self.copied(&bytes));
        for Place { ids, offset, segments } in places {
            let segments = segments.map(|at| {
                let count = ids.as_slice().len();
                let address = |entry: usize| buffer.address() + (at + 4 * entry) as u64;
                let [rows, starts, order] = [0, count, 2 * count + 1].map(address);
                Segments { count, rows, starts, order }
            });
            let staged = StagedIds { buffer: Arc::clone(&buffer), device: self.clone(), offset, segments };
            // Another thread may have been faster: then its copy serves as well.
            let _ = ids.staged.set(staged);
        }
    }

    /// Brings numbers to where `there` lie, which were [staged](Self::stage) at once and are as many, and of the same kinds:
    /// recorded work reads these then. What reads `there` outside of it does so too.
    #[track_caller]
    pub(crate) fn restage(&self, there: [&[&Ids]; 2], [picks, numbers]: [&[&Ids]; 2]) {
        let mut bytes = self.room();
        let places = lay_out(with_kind(picks, numbers), &mut bytes);
        let mut recorded = there.concat().into_iter();
        let mut first = None;
        for Place { ids, offset, segments } in places {
            let staged = recorded.next().and_then(|ids| Some((ids.shape(), ids.staged.get()?)));
            let Some((shape, staged)) = staged else {
                panic!("restage: there is no place for ids of {}", ids.shape())
            };
            let buffer = *first.get_or_insert(&staged.buffer);
            assert!(
                shape == ids.shape()
                    && staged.offset == offset
                    && staged.segments.is_some() == segments.is_some()
                    && Arc::ptr_eq(&staged.buffer, buffer),
                "restage: ids of {} do not fit where ids of {shape} were staged",
                ids.shape()
            );
        }
        assert!(recorded.next().is_none(), "restage: fewer ids than were staged");
        if let Some(buffer) = first {
            self.expect("upload", buffer.upload(&bytes));
        }
    }

    /// Where the numbers lie, brought here now if they are not here yet.
    #[track_caller]
    pub(super) fn staged<'a>(&self, ids: &'a Ids, sort: bool) -> &'a StagedIds {
        if sort {
            self.stage(&[ids], &[]);
        } else {
            self.stage(&[], &[ids]);
        }
        match ids.staged.get() {
            Some(staged) if staged.device == *self => staged,
            _ => panic!("ids: these lie on another device than {self}"),
        }
    }
}

/// Ids on their way, and the bytes from the start of the buffer to them and to what they are sorted into.
struct Place<'a> {
    ids: &'a Ids,
    offset: usize,
    segments: Option<usize>,
}

/// All, each with whether it is to be sorted.
fn with_kind<'a>(picks: &[&'a Ids], numbers: &[&'a Ids]) -> impl Iterator<Item = (&'a Ids, bool)> {
    picks.iter().map(|ids| (*ids, true)).chain(numbers.iter().map(|ids| (*ids, false)))
}

/// Writes what is copied, and says what lies where in it, which is a matter of how many numbers there are, not of which.
fn lay_out<'a>(all: impl Iterator<Item = (&'a Ids, bool)>, bytes: &mut Vec<u8>) -> Vec<Place<'a>> {
    bytes.clear();
    let mut places = Vec::new();
    for (ids, sort) in all {
        // Some are read in pairs, as numbers of 64 bits.
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let offset = bytes.len();
        write(ids.as_slice(), bytes);
        let segments = sort.then_some(bytes.len());
        if sort {
            segments_of(ids.as_slice()).iter().for_each(|numbers| write(numbers, bytes));
        }
        places.push(Place { ids, offset, segments });
    }
    places
}

fn write(numbers: &[u32], bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.resize(start + 4 * numbers.len(), 0);
    for (bytes, number) in bytes[start..].chunks_exact_mut(4).zip(numbers) {
        bytes.copy_from_slice(&number.to_ne_bytes());
    }
}

/// The id of a segment that is empty: who reads its row anyway reads where nothing is.
const NONE: u32 = u32::MAX;

/// `[rows, starts, order]`: the different ids in rising order, where the places of each start, and the places, those of an id in
/// rising order. As many segments as there are places: those after the last id are empty.
fn segments_of(ids: &[u32]) -> [Vec<u32>; 3] {
    // Sorted by counting: ids are rows of a table, and so not much larger than there are.
    let rows = ids.iter().max().map_or(0, |&most| most as usize + 1);
    let mut next = vec![0u32; rows];
    for &id in ids {
        next[id as usize] += 1;
    }
    let (mut present, mut starts, mut before) = (Vec::new(), Vec::new(), 0);
    for (id, next) in next.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
        present.push(id as u32);
        starts.push(before);
        (*next, before) = (before, before + *next);
    }
    let mut order = vec![0; ids.len()];
    for (place, &id) in ids.iter().enumerate() {
        let next = &mut next[id as usize];
        order[*next as usize] = place as u32;
        *next += 1;
    }
    present.resize(ids.len(), NONE);
    starts.resize(ids.len() + 1, ids.len() as u32);
    [present, starts, order]
}

#[cfg(test)]
mod tests {
    use super::{NONE, segments_of};

    #[test]
    fn places_of_an_id_keep_their_order() {
        let [rows, starts, order] = segments_of(&[4, 0, 4, 2, 4]);
        assert_eq!(rows, [0, 2, 4, NONE, NONE]);
        assert_eq!(starts, [0, 1, 2, 5, 5, 5]);
        assert_eq!(order, [1, 3, 0, 2, 4]);
        assert_eq!(segments_of(&[]), [vec![], vec![0], vec![]]);
    }
}

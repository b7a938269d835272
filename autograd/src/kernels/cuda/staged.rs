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

/// The places of ids in the order of the ids: a segment is an id and the places where it stands.
///
/// With them the gradient of a table is added up in a fixed order without atomics: whoever adds to a row reads all its places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segments {
    pub(super) count: usize,
    /// `[segments]` ids, `[segments + 1]` where each one's places start, `[N]` places.
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
        let mut all: Vec<u32> = Vec::new();
        let mut places = Vec::new();
        let sorted = picks.iter().map(|ids| (*ids, true)).chain(numbers.iter().map(|ids| (*ids, false)));
        for (ids, sort) in sorted.filter(|(ids, _)| missing(ids)) {
            // Some are read in pairs, as numbers of 64 bits.
            all.resize(all.len().next_multiple_of(2), 0);
            let offset = all.len();
            all.extend_from_slice(ids.as_slice());
            let segments = sort.then(|| {
                let (rows, starts, order) = segments(ids.as_slice());
                let at = all.len();
                all.extend(rows.iter().chain(&starts).chain(&order));
                (rows.len(), at)
            });
            places.push((ids, offset, segments));
        }
        if places.is_empty() {
            return;
        }
        let bytes: Vec<u8> = all.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let buffer = Arc::new(self.copied(&bytes));
        for (ids, offset, segments) in places {
            let segments = segments.map(|(count, at)| {
                let address = |entry: usize| buffer.address() + 4 * entry as u64;
                let [rows, starts, order] = [at, at + count, at + 2 * count + 1].map(address);
                Segments { count, rows, starts, order }
            });
            let staged =
                StagedIds { buffer: Arc::clone(&buffer), device: self.clone(), offset: 4 * offset, segments };
            // Another thread may have been faster: then its copy serves as well.
            let _ = ids.staged.set(staged);
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

/// The different ids in rising order, where the places of each start, and the places, those of an id in rising order.
fn segments(ids: &[u32]) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let mut order: Vec<u32> = (0..ids.len() as u32).collect();
    order.sort_by_key(|&place| ids[place as usize]);
    let (mut rows, mut starts) = (Vec::new(), Vec::new());
    for (i, &place) in order.iter().enumerate() {
        let id = ids[place as usize];
        if rows.last() != Some(&id) {
            rows.push(id);
            starts.push(i as u32);
        }
    }
    starts.push(ids.len() as u32);
    (rows, starts, order)
}

#[cfg(test)]
mod tests {
    use super::segments;

    #[test]
    fn places_of_an_id_keep_their_order() {
        let (rows, starts, order) = segments(&[4, 0, 4, 2, 4]);
        assert_eq!((rows, starts, order), (vec![0, 2, 4], vec![0, 1, 2, 5], vec![1, 3, 0, 2, 4]));
        assert_eq!(segments(&[]), (vec![], vec![0], vec![]));
    }
}

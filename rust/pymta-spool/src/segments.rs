//! What each segment of the log still holds: the books by which space comes back.
//!
//! | kept per segment | why |
//! | --- | --- |
//! | live octets | messages, their chunks and their status records; at 0 nothing in it is needed |
//! | open chunks | pieces of bodies that still arrive; while there are any it stays as it is |
//! | targets | segments that its tombstones speak of; while one exists the tombstone must not be lost |
//!
//! Rule: everything here is derived from the log and the index, and is only ever changed after the log was.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::codec::Tombstone;
use crate::format::{DATA_OFFSET, Location};
use crate::storage::SegmentFile;

/// One segment of the log.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: Arc<dyn SegmentFile>,
    /// Number in the file's name.
    pub(crate) slot: u32,
    pub(crate) generation: u64,
    /// Behind the last record that counts.
    pub(crate) end: u32,
    pub(crate) live_octets: u64,
    pub(crate) open_chunks: u32,
    pub(crate) targets: HashMap<u32, u32>,
    /// Nothing will be appended to it any more.
    pub(crate) is_sealed: bool,
    /// A sweep has moved everything that mattered; it may go whatever its targets.
    pub(crate) is_swept: bool,
    /// It could not be freed or swept; only a new start tries again.
    pub(crate) is_stuck: bool,
    /// Damaged parts (from, to) that start-up has set aside.
    pub(crate) damaged: Vec<(u32, u32)>,
}

impl Segment {
    pub(crate) fn new(file: Arc<dyn SegmentFile>, slot: u32, generation: u64) -> Self {
        Self {
            file,
            slot,
            generation,
            end: DATA_OFFSET,
            live_octets: 0,
            open_chunks: 0,
            targets: HashMap::new(),
            is_sealed: false,
            is_swept: false,
            is_stuck: false,
            damaged: Vec::new(),
        }
    }

    fn is_unused(&self) -> bool {
        self.is_sealed && self.live_octets == 0 && self.open_chunks == 0
    }
}

/// All segments of the log, by number.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    pub(crate) map: BTreeMap<u32, Segment>,
}

impl Segments {
    pub(crate) fn file(&self, number: u32) -> Option<Arc<dyn SegmentFile>> {
        self.map.get(&number).map(|s| s.file.clone())
    }

    pub(crate) fn add_live(&mut self, at: Location, octets: u32) {
        if let Some(segment) = self.map.get_mut(&at.segment) {
            segment.live_octets += u64::from(octets);
        }
    }

    pub(crate) fn sub_live(&mut self, at: Location, octets: u32) {
        if let Some(segment) = self.map.get_mut(&at.segment) {
            debug_assert!(segment.live_octets >= u64::from(octets), "books out of order");
            segment.live_octets = segment.live_octets.saturating_sub(u64::from(octets));
        }
    }

    /// These records are not needed any more.
    pub(crate) fn discard(&mut self, garbage: &[(Location, u32)]) {
        for &(at, octets) in garbage {
            self.sub_live(at, octets);
        }
    }

    pub(crate) fn open_chunk(&mut self, at: Location) {
        if let Some(segment) = self.map.get_mut(&at.segment) {
            segment.open_chunks += 1;
        }
    }

    pub(crate) fn close_chunk(&mut self, at: Location) {
        if let Some(segment) = self.map.get_mut(&at.segment) {
            debug_assert!(segment.open_chunks > 0, "books out of order");
            segment.open_chunks = segment.open_chunks.saturating_sub(1);
        }
    }

    /// Notes tombstones that lie in the segment `number`.
    pub(crate) fn bury(&mut self, number: u32, tombstones: &[Tombstone]) {
        if let Some(segment) = self.map.get_mut(&number) {
            for tombstone in tombstones.iter().filter(|t| t.segment != number) {
                *segment.targets.entry(tombstone.segment).or_default() += 1;
            }
        }
    }

    /// Whether tombstones in the segment are still needed.
    fn has_needed_tombstones(&self, segment: &Segment, is_all_carried: bool) -> bool {
        let is_carried = segment.is_swept && is_all_carried;
        !is_carried && segment.targets.keys().any(|target| self.map.contains_key(target))
    }

    /// A segment that can be freed as it is, among those that `may_go`. Where `is_all_carried` is false, tombstones that
    /// sweeps carried forward are not durable in their new place.
    pub(crate) fn next_to_free(
        &self,
        may_go: impl Fn(&Segment) -> bool,
        is_all_carried: bool,
    ) -> Option<u32> {
        self.map
            .iter()
            .filter(|(_, s)| s.is_unused() && !s.is_stuck && may_go(s))
            .find(|(_, s)| !self.has_needed_tombstones(s, is_all_carried))
            .map(|(&number, _)| number)
    }

    /// A segment that is worth being swept: its live records and needed tombstones copied forward, so that it can go.
    ///
    /// - first one that only tombstones keep, or rather a segment that they speak of where that is less than half full:
    ///   with it go they, while tombstones that are carried on have to be carried on again;
    /// - then the one with the least live octets, if it is less than half full and so are all of them together.
    pub(crate) fn next_to_sweep(&self, segment_octets: u32) -> Option<u32> {
        let sealed = || {
            self.map
                .iter()
                .filter(|(_, s)| s.is_sealed && s.open_chunks == 0 && !s.is_swept && !s.is_stuck)
        };
        if sealed().count() < 2 {
            return None;
        }
        let half = u64::from(segment_octets) / 2;
        if let Some((&number, segment)) = sealed().find(|(_, s)| s.live_octets == 0) {
            let target = sealed()
                .filter(|(target, s)| segment.targets.contains_key(target) && s.live_octets < half)
                .min_by_key(|(_, s)| s.live_octets);
            return Some(target.map_or(number, |(&target, _)| target));
        }
        let (count, live) = sealed().fold((0u64, 0u64), |(n, live), (_, s)| (n + 1, live + s.live_octets));
        if count < 3 || live > count * half {
            return None;
        }
        sealed()
            .min_by_key(|(_, s)| s.live_octets)
            .filter(|(_, s)| s.live_octets < half)
            .map(|(&number, _)| number)
    }

    /// Segments that a sweep has left with something in them, and how many octets: each is told once, and marked.
    pub(crate) fn stuck(&mut self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.map
            .iter_mut()
            .filter(|(_, s)| s.is_swept && s.live_octets > 0 && !s.is_stuck)
            .map(|(&number, s)| {
                s.is_stuck = true;
                (number, s.live_octets)
            })
    }

    pub(crate) fn live_octets(&self) -> u64 {
        self.map.values().map(|s| s.live_octets).sum()
    }
}

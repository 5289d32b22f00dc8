//! Every message of the spool in memory: one small entry each, found by id. What is rare lies beside it.
//!
//! Rule: a waiting message costs at most 100 octets in all (this file and `schedule.rs`; a test adds them up), so an
//! entry holds numbers only. Nothing here reads the disk or decides anything.

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::codec::ExtentRef;
use crate::format::Location;
use crate::message::StoredMessage;

/// Names an entry while its message exists.
pub(crate) type Slot = u32;

/// No slot, or not in a heap.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// What a message is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Spooled and never tried.
    Incoming,
    /// In hand.
    Active,
    /// Tried and to be tried again.
    Deferred,
    /// Waiting for an operator.
    Hold,
}

impl State {
    /// The word for it in lists and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::Active => "active",
            Self::Deferred => "deferred",
            Self::Hold => "hold",
        }
    }
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// 0 where the slot is vacant.
    pub(crate) id: u64,
    pub(crate) due_ms: u64,
    /// Its message record.
    pub(crate) at: Location,
    /// Its status record, if it has exactly one; see `Index::chains` for more.
    pub(crate) status_at: Location,
    /// Octets of the message record in the log.
    pub(crate) octets: u32,
    pub(crate) status_octets: u32,
    /// Header section and body; saturates.
    pub(crate) content_octets: u32,
    pub(crate) group: u32,
    /// Where in its group's heap it is. In a vacant slot: the next vacant one.
    pub(crate) heap_at: u32,
    pub(crate) attempts: u16,
    pub(crate) state: State,
    flags: u8,
}

const HOLD_REQUESTED: u8 = 1;
const SEVERAL_RECIPIENTS: u8 = 2;

/// Entries are allocated in pieces of this many, so that growing neither doubles the memory nor copies it.
const PIECE: usize = 1024;

/// One status record of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusRef {
    pub(crate) at: Location,
    pub(crate) octets: u32,
}

/// A message in hand.
#[derive(Debug)]
pub(crate) enum InHand {
    /// The reader is getting it.
    Loading,
    Loaded(Arc<StoredMessage>),
}

/// All entries.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pieces: Vec<Box<[Entry]>>,
    vacant: Option<Slot>,
    by_id: HashTable<Slot>,
    /// Status records of messages that have more than one, oldest first.
    chains: HashMap<Slot, Vec<StatusRef>>,
    /// Chunks of messages whose body is not inline.
    pub(crate) extents: HashMap<Slot, Box<[ExtentRef]>>,
    /// Segments that hold an older copy of the message's record, until they are freed. When the message ends, its
    /// tombstones must name these too.
    pub(crate) stale: HashMap<Slot, Vec<u32>>,
    /// Active messages.
    pub(crate) in_hand: HashMap<Slot, InHand>,
    /// Fresh messages that are not active yet and still in memory.
    pub(crate) cached: HashMap<Slot, Arc<StoredMessage>>,
}

impl Entry {
    /// What it becomes when it is not active any more.
    pub(crate) fn waiting_state(&self) -> State {
        if self.hold_requested() {
            State::Hold
        } else if self.attempts == 0 {
            State::Incoming
        } else {
            State::Deferred
        }
    }

    /// Whether it is put on hold as soon as it is settled.
    pub(crate) fn hold_requested(&self) -> bool {
        self.flags & HOLD_REQUESTED != 0
    }

    /// Puts it on hold as soon as it is settled, or not; says what was wanted before.
    pub(crate) fn request_hold(&mut self, wanted: bool) -> bool {
        self.set(HOLD_REQUESTED, wanted)
    }

    /// Whether there may be recipients of other groups than its own.
    pub(crate) fn has_several_recipients(&self) -> bool {
        self.flags & SEVERAL_RECIPIENTS != 0
    }

    pub(crate) fn set_recipient_count(&mut self, count: usize) {
        self.set(SEVERAL_RECIPIENTS, count > 1);
    }

    fn set(&mut self, flag: u8, wanted: bool) -> bool {
        let before = self.flags & flag != 0;
        self.flags = if wanted {
            self.flags | flag
        } else {
            self.flags & !flag
        };
        before
    }

    const VACANT: Self = Self {
        id: 0,
        due_ms: 0,
        at: Location::NOWHERE,
        status_at: Location::NOWHERE,
        octets: 0,
        status_octets: 0,
        content_octets: 0,
        group: 0,
        heap_at: NO_SLOT,
        attempts: 0,
        state: State::Incoming,
        flags: 0,
    };
}

/// Ids are a clock and a counter: mixed, so that both halves of the hash differ between neighbours.
fn hash(id: u64) -> u64 {
    let product = u128::from(id ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93_u128;
    let [low, high] =
        [product, product >> 64].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0));
    low ^ high
}

impl Index {
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn find(&self, id: u64) -> Option<Slot> {
        self.by_id
            .find(hash(id), |&slot| self.get(slot).id == id)
            .copied()
    }

    pub(crate) fn get(&self, slot: Slot) -> &Entry {
        &self.pieces[slot as usize / PIECE][slot as usize % PIECE]
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut Entry {
        &mut self.pieces[slot as usize / PIECE][slot as usize % PIECE]
    }

    /// Adds an entry with an id that is not there yet.
    pub(crate) fn insert(&mut self, id: u64) -> Slot {
        let slot = self.vacant.unwrap_or_else(|| self.grow());
        let next = self.get(slot).heap_at;
        self.vacant = (next != NO_SLOT).then_some(next);
        *self.get_mut(slot) = Entry { id, ..Entry::VACANT };
        let pieces = &self.pieces;
        self.by_id.insert_unique(hash(id), slot, |&other| {
            hash(pieces[other as usize / PIECE][other as usize % PIECE].id)
        });
        slot
    }

    /// Another piece of vacant slots, chained; returns the first.
    fn grow(&mut self) -> Slot {
        let first =
            u32::try_from(self.pieces.len() * PIECE).expect("fewer than four thousand million messages");
        let last = first + u32::try_from(PIECE).expect("a small constant") - 1;
        self.pieces.push(
            (first..=last)
                .map(|slot| Entry {
                    heap_at: if slot == last { NO_SLOT } else { slot + 1 },
                    ..Entry::VACANT
                })
                .collect(),
        );
        first
    }

    /// Takes an entry out, and everything beside it; returns what it was.
    pub(crate) fn remove(&mut self, slot: Slot) -> Entry {
        let entry = self.get(slot).clone();
        if let Ok(found) = self.by_id.find_entry(hash(entry.id), |&other| other == slot) {
            found.remove();
        }
        self.chains.remove(&slot);
        self.extents.remove(&slot);
        self.stale.remove(&slot);
        self.in_hand.remove(&slot);
        self.cached.remove(&slot);
        *self.get_mut(slot) = Entry {
            heap_at: self.vacant.unwrap_or(NO_SLOT),
            ..Entry::VACANT
        };
        self.vacant = Some(slot);
        entry
    }

    /// The status records of a message, oldest first.
    pub(crate) fn chain(&self, slot: Slot) -> Vec<StatusRef> {
        if let Some(chain) = self.chains.get(&slot) {
            return chain.clone();
        }
        let entry = self.get(slot);
        if entry.status_at.is_nowhere() {
            return Vec::new();
        }
        vec![StatusRef {
            at: entry.status_at,
            octets: entry.status_octets,
        }]
    }

    pub(crate) fn chain_len(&self, slot: Slot) -> usize {
        match self.chains.get(&slot) {
            Some(chain) => chain.len(),
            None => usize::from(!self.get(slot).status_at.is_nowhere()),
        }
    }

    /// Notes where a status record lies; returns those that it replaces.
    pub(crate) fn set_status(&mut self, slot: Slot, status: StatusRef, is_snapshot: bool) -> Vec<StatusRef> {
        let before = self.chain(slot);
        if is_snapshot || before.is_empty() {
            self.chains.remove(&slot);
            let entry = self.get_mut(slot);
            entry.status_at = status.at;
            entry.status_octets = status.octets;
            return before;
        }
        self.chains.entry(slot).or_insert(before).push(status);
        Vec::new()
    }

    /// The message's record now lies at `at`; a copy stays behind where it was.
    pub(crate) fn moved(&mut self, slot: Slot, at: Location, octets: u32) -> (Location, u32) {
        let entry = self.get_mut(slot);
        let before = (entry.at, entry.octets);
        (entry.at, entry.octets) = (at, octets);
        let stale = self.stale.entry(slot).or_default();
        stale.retain(|&segment| segment != at.segment);
        if before.0.segment != at.segment && !stale.contains(&before.0.segment) {
            stale.push(before.0.segment);
        }
        before
    }

    /// All segments that hold a record of the message.
    pub(crate) fn homes(&self, slot: Slot) -> Vec<u32> {
        let mut homes = self.stale.get(&slot).cloned().unwrap_or_default();
        homes.push(self.get(slot).at.segment);
        homes
    }

    /// The segment is gone, and with it the copies in it.
    pub(crate) fn forget_segment(&mut self, number: u32) {
        self.stale.retain(|_, segments| {
            segments.retain(|&segment| segment != number);
            !segments.is_empty()
        });
    }

    /// All messages, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Entry)> {
        self.pieces
            .iter()
            .flatten()
            .zip(0..)
            .filter(|(entry, _)| entry.id != 0)
            .map(|(entry, slot)| (slot, entry))
    }

    /// Memory for waiting messages, in octets; not that of messages in hand.
    pub(crate) fn memory_octets(&self) -> usize {
        let chains: usize = self
            .chains
            .values()
            .map(|c| 48 + c.capacity() * size_of::<StatusRef>())
            .sum();
        let extents: usize = self
            .extents
            .values()
            .map(|e| 48 + e.len() * size_of::<ExtentRef>())
            .sum();
        let stale: usize = self.stale.values().map(|s| 48 + s.capacity() * 4).sum();
        self.pieces.len() * PIECE * size_of::<Entry>()
            + self.by_id.allocation_size()
            + chains
            + extents
            + stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(segment: u32) -> StatusRef {
        StatusRef {
            at: Location {
                segment,
                offset: 4096,
            },
            octets: 64,
        }
    }

    #[test]
    fn entries_are_found_until_removed_and_slots_are_reused() {
        let mut index = Index::default();
        let slots: Vec<Slot> = (1..=5000).map(|id| index.insert(id << 20)).collect();
        assert_eq!(5000, index.len());
        for (id, &slot) in (1..=5000u64).zip(&slots) {
            assert_eq!(Some(slot), index.find(id << 20));
        }
        assert_eq!(2 << 20, index.remove(slots[1]).id);
        assert_eq!(None, index.find(2 << 20));
        assert_eq!(slots[1], index.insert(7));
        assert_eq!(5000, index.iter().count());
    }

    #[test]
    fn a_snapshot_replaces_the_chain_and_a_delta_adds_to_it() {
        let mut index = Index::default();
        let slot = index.insert(1);
        assert!(index.set_status(slot, place(1), false).is_empty());
        assert!(index.set_status(slot, place(2), false).is_empty());
        assert_eq!(vec![place(1), place(2)], index.chain(slot));
        assert_eq!(vec![place(1), place(2)], index.set_status(slot, place(3), true));
        assert_eq!(vec![place(3)], index.chain(slot));
        assert_eq!(vec![place(3)], index.set_status(slot, place(4), true));
        assert_eq!(1, index.chain_len(slot));
    }
}

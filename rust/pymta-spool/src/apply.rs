//! Brings the books in line with what was just written: the only place that changes them after the log changed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use crate::codec::{CHUNK_HEAD_OCTETS, ExtentRef, Tombstone};
use crate::error::SpoolError;
use crate::format::{Location, record_span};
use crate::index::{Entry, Slot, State, StatusRef};
use crate::lock::lock;
use crate::log::{Ended, Item, Placed, Prepared, PreparedBody};
use crate::message::{Body, ExtentBody, StoredMessage};
use crate::shared::{Completion, Core, Shared, cached_octets};
use crate::status::Statuses;
use crate::sweep::Sweep;

/// A fresh message that is due later than this is not kept in memory until then.
const CACHE_AHEAD_MS: u64 = 10_000;

/// Octets that a chunk record takes in the log.
pub(crate) fn chunk_span(extent: &ExtentRef) -> u32 {
    record_span(CHUNK_HEAD_OCTETS + extent.octets as usize)
}

/// Enters what was written to the segment `number`, whose records now end at `end`. Returns tombstones that turned
/// out to be needed: for messages that were moved and ended at the same time.
pub(crate) fn apply(
    shared: &Shared,
    number: u32,
    end: u32,
    placed: Vec<Placed>,
    mut sweep: Option<&mut Sweep>,
) -> Vec<Item> {
    let mut completions: Vec<Completion> = Vec::new();
    let mut late = Vec::new();
    let mut core = lock(&shared.core);
    let core = &mut *core;
    if let Some(segment) = core.segments.map.get_mut(&number) {
        segment.end = end;
    }
    for Placed { item, at, span, .. } in placed {
        match item {
            Item::Commit(prepared) => completions.push(apply_commit(shared, core, *prepared, at, span)),
            Item::Chunk { stream, piece, .. } => {
                stream.written(piece);
                core.segments.open_chunk(at);
            }
            Item::Status {
                id,
                is_snapshot,
                message,
                ..
            } => {
                if let Some(message) = message {
                    message.unwritten.fetch_sub(1, Ordering::Relaxed);
                }
                if let Some(slot) = core.index.find(id) {
                    core.set_status(slot, StatusRef { at, octets: span }, is_snapshot);
                    if core.index.get(slot).attempts > 0 {
                        core.evict(slot);
                    }
                }
            }
            Item::Done(ended) => {
                core.segments.bury(at.segment, &ended.tombstones);
                core.segments.discard(&ended.garbage);
            }
            Item::MoveMessage {
                id, from, extents, ..
            } => {
                let found = core
                    .index
                    .find(id)
                    .filter(|&slot| core.index.get(slot).at == from);
                match found {
                    Some(slot) => move_message(core, slot, at, span, extents),
                    None => late.push(Item::Done(Ended::of(vec![Tombstone {
                        id,
                        segment: at.segment,
                    }]))),
                }
                if let Some(sweep) = sweep.as_deref_mut() {
                    sweep.close_moved(core);
                }
            }
            Item::MoveStatus { id, from, .. } => {
                let found = core.index.find(id).filter(|&slot| core.index.chain(slot) == from);
                if let Some(slot) = found {
                    core.set_status(slot, StatusRef { at, octets: span }, true);
                }
            }
            Item::MoveChunk { from, .. } => {
                // Without a sweep (it was given up) the copy is nobody's.
                if let Some(sweep) = sweep.as_deref_mut() {
                    core.segments.open_chunk(at);
                    sweep.moved.insert(from, at);
                }
            }
            Item::Abandon(_) => {}
        }
    }
    core.commit_count += completions.iter().filter(|(_, result)| result.is_ok()).count() as u64;
    core.batch_count += u64::from(!completions.is_empty());
    shared.complete(completions);
    late
}

/// Enters a message, whoever may still want it.
fn apply_commit(shared: &Shared, core: &mut Core, prepared: Prepared, at: Location, span: u32) -> Completion {
    let completion = crate::log::completion_of(&prepared);
    let is_given_up = shared.is_given_up(prepared.token);
    let group = prepared.group();
    let slot = core.index.insert(prepared.id.0);
    let content_octets = prepared.header_section.len() as u64 + prepared.body_octets;
    let entry = core.index.get_mut(slot);
    entry.at = at;
    entry.octets = span;
    entry.content_octets = u32::try_from(content_octets).unwrap_or(u32::MAX);
    entry.set_recipient_count(prepared.envelope.recipients.len());
    entry.due_ms = prepared.due.map_or(crate::codec::HELD_DUE_MS, |due| due.0);
    entry.state = if prepared.due.is_some() {
        State::Incoming
    } else {
        State::Hold
    };
    *core.counts.get(entry.state) += 1;
    core.segments.add_live(at, span);
    core.schedule.join(&mut core.index, slot, &group);
    let due_ms = core.index.get(slot).due_ms;
    let is_soon = prepared.due.is_some() && due_ms <= prepared.spooled_at.0.saturating_add(CACHE_AHEAD_MS);
    if prepared.due.is_some() {
        core.schedule.add(&mut core.index, slot);
    }
    let body = match prepared.body {
        PreparedBody::Inline(octets) => Body::Inline(octets),
        PreparedBody::Stream(stream) => {
            let extents = stream.extents();
            let references: Box<[ExtentRef]> = extents.iter().map(|e| e.reference).collect();
            for extent in &references {
                core.segments.close_chunk(extent.at);
                core.segments.add_live(extent.at, chunk_span(extent));
            }
            core.index.extents.insert(slot, references);
            Body::Extents(ExtentBody::new(extents))
        }
    };
    if is_given_up {
        // Nobody could have taken it: the books are locked. Written like any other end, because it may be on the disk.
        let ended = core.forget(slot);
        shared.push(Item::Done(ended), 0);
        return (completion.0, Err(SpoolError::GivenUp));
    }
    let message = StoredMessage {
        id: prepared.id,
        statuses: Mutex::new(Statuses::new(prepared.envelope.recipients.len())),
        unwritten: 0.into(),
        envelope: prepared.envelope,
        annotations: prepared.annotations,
        header_section: prepared.header_section,
        spooled_at: prepared.spooled_at,
        body,
    };
    let octets = cached_octets(&message);
    if is_soon && core.cached_octets + octets <= shared.settings.memory_octets_max {
        core.cache(slot, Arc::new(message));
    }
    completion
}

fn move_message(core: &mut Core, slot: Slot, at: Location, span: u32, extents: Vec<ExtentRef>) {
    let (from, octets) = core.index.moved(slot, at, span);
    core.segments.sub_live(from, octets);
    core.segments.add_live(at, span);
    if extents.is_empty() {
        return;
    }
    for extent in &extents {
        core.segments.add_live(extent.at, chunk_span(extent));
    }
    let before = core.index.extents.insert(slot, extents.into_boxed_slice());
    for extent in before.iter().flatten() {
        core.segments.sub_live(extent.at, chunk_span(extent));
    }
    // A copy in memory would keep the old segment's file open for as long as nobody takes it.
    core.evict(slot);
}

impl Core {
    /// Notes where a status record lies; what it replaces is garbage.
    pub(crate) fn set_status(&mut self, slot: Slot, status: StatusRef, is_snapshot: bool) {
        self.segments.add_live(status.at, status.octets);
        for replaced in self.index.set_status(slot, status, is_snapshot) {
            self.segments.sub_live(replaced.at, replaced.octets);
        }
    }

    /// Takes a message out of the books, whatever its state. What is returned must be written: its records in the log
    /// count as needed until then.
    pub(crate) fn forget(&mut self, slot: Slot) -> Ended {
        self.schedule.withdraw(&mut self.index, slot);
        if self.index.get(slot).state == State::Active {
            self.schedule.note_active(&self.index, slot, false);
        }
        self.schedule.leave(&self.index, slot);
        self.uncache(slot);
        let mut garbage: Vec<(Location, u32)> =
            self.index.chain(slot).iter().map(|s| (s.at, s.octets)).collect();
        let extents = self.index.extents.get(&slot).into_iter().flatten();
        garbage.extend(extents.map(|e| (e.at, chunk_span(e))));
        let homes = self.index.homes(slot);
        let Entry {
            id,
            at,
            octets,
            state,
            ..
        } = self.index.remove(slot);
        garbage.push((at, octets));
        *self.counts.get(state) -= 1;
        Ended {
            tombstones: homes
                .into_iter()
                .map(|segment| Tombstone { id, segment })
                .collect(),
            garbage,
        }
    }
}

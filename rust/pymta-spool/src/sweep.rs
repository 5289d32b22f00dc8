//! Gives back the space of a segment that a few messages keep: copies forward what still matters in it, in pieces
//! small enough that no commit waits for more than one.
//!
//! What matters: messages that live there, their chunks, their status (merged on the way), and tombstones of messages
//! that an older segment still holds. Order: chunks first, then the records from the front. When all copies are
//! durable the segment is empty by the books, and `log.rs` frees it.
//!
//! Rule: until the segment is gone, the index remembers that it holds an older copy of each message that was moved, so
//! that tombstones name both. A sweep that is interrupted leaves copies, of which the last one counts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::codec::{ExtentRef, MessageHead, decode_done};
use crate::error::SpoolError;
use crate::format::{DATA_OFFSET, Kind, Location, RECORD_HEADER_OCTETS, RecordHeader, u64_at};
use crate::lock::lock;
use crate::log::{Ended, Item, Log};
use crate::reader::{merged_status, set_aside};
use crate::record::read_record;
use crate::settings::SWEEP_OCTETS_MAX;
use crate::shared::{Core, Health, Shared};
use crate::storage::SegmentFile;

/// Most records looked at in one step.
const RECORDS_PER_STEP_MAX: usize = 2000;

/// A segment being swept.
#[derive(Debug)]
pub(crate) struct Sweep {
    number: u32,
    file: Arc<dyn SegmentFile>,
    /// Messages with chunks in it, still to be looked at.
    chunked: Vec<u64>,
    /// Chunks of the last of `chunked` that were copied: from where, to where.
    pub(crate) moved: HashMap<Location, Location>,
    /// The next record to look at.
    offset: u32,
    end: u32,
    damaged: Vec<(u32, u32)>,
}

/// What one step may still move.
struct Budget {
    octets: usize,
    records: usize,
}

impl Sweep {
    /// Copied chunks are accounted for by their message, or by nobody.
    pub(crate) fn close_moved(&mut self, core: &mut Core) {
        for (_, to) in self.moved.drain() {
            core.segments.close_chunk(to);
        }
    }

    /// Copies chunks of one message, or the message itself once all of its chunks are copied. Nothing is left to do
    /// where `chunked` is empty.
    fn chunk_piece(&mut self, shared: &Shared, budget: &mut Budget) -> Result<Vec<Item>, SpoolError> {
        while let Some(&id) = self.chunked.last() {
            let places = {
                let mut core = lock(&shared.core);
                let slot = core.index.find(id);
                let here = |slot: u32, core: &Core| -> Option<(Location, u32, Vec<ExtentRef>)> {
                    let extents = core.index.extents.get(&slot)?;
                    let entry = core.index.get(slot);
                    let is_here = extents.iter().any(|e| e.at.segment == self.number);
                    is_here.then(|| (entry.at, entry.octets, extents.to_vec()))
                };
                let places = slot.and_then(|slot| here(slot, &core));
                if places.is_none() {
                    self.close_moved(&mut core);
                    self.chunked.pop();
                }
                places
            };
            let Some((at, octets, extents)) = places else {
                continue;
            };
            let mut items = Vec::new();
            for extent in extents
                .iter()
                .filter(|e| e.at.segment == self.number && !self.moved.contains_key(&e.at))
            {
                if budget.octets == 0 {
                    return Ok(items);
                }
                budget.octets = budget.octets.saturating_sub(extent.octets as usize);
                let record = match read_record(&*self.file, shared.salt, extent.at, 0) {
                    Err(error @ SpoolError::Damaged(_)) => {
                        set_aside(shared, id, &error);
                        return Ok(items);
                    }
                    other => other?,
                };
                items.push(Item::MoveChunk {
                    from: extent.at,
                    head: record.head().to_vec(),
                    tail: record.into_tail(),
                });
            }
            if items.is_empty() {
                // All of them are copied.
                items.push(self.move_of_streamed(shared, id, at, octets, extents)?);
            }
            return Ok(items);
        }
        Ok(Vec::new())
    }

    /// The message record anew, with the new places of its chunks.
    fn move_of_streamed(
        &self,
        shared: &Shared,
        id: u64,
        at: Location,
        octets: u32,
        mut extents: Vec<ExtentRef>,
    ) -> Result<Item, SpoolError> {
        for extent in &mut extents {
            extent.at = self.moved.get(&extent.at).copied().unwrap_or(extent.at);
        }
        let file = lock(&shared.core).segments.file(at.segment);
        let file = file.ok_or(SpoolError::Damaged("its segment is gone"))?;
        let record = read_record(&*file, shared.salt, at, octets)?;
        let head = MessageHead {
            extents: extents.clone(),
            ..MessageHead::decode(record.head())?
        };
        Ok(Item::MoveMessage {
            id,
            from: at,
            head: head.encode(),
            tail: Vec::new(),
            extents,
        })
    }

    /// Copies what matters among the next records.
    fn record_piece(&mut self, shared: &Shared, budget: &mut Budget) -> Result<Vec<Item>, SpoolError> {
        let mut items = Vec::new();
        let mut statuses = HashSet::new();
        while self.offset < self.end && budget.octets > 0 && budget.records > 0 {
            budget.records -= 1;
            if let Some(&(_, to)) = self.damaged.iter().find(|(from, _)| *from == self.offset) {
                self.offset = to;
                continue;
            }
            let mut start = [0; RECORD_HEADER_OCTETS + 8];
            let at = Location {
                segment: self.number,
                offset: self.offset,
            };
            self.file
                .read_at(u64::from(at.offset), &mut start)
                .map_err(|e| SpoolError::io("read the spool", e))?;
            let header = RecordHeader::decode(&start)
                .filter(|h| h.epoch == self.number)
                .ok_or(SpoolError::Damaged("a record has no header any more"))?;
            let id = u64_at(&start, RECORD_HEADER_OCTETS);
            let item = match header.kind {
                Kind::Message => self.message(shared, id, at, &header)?,
                // One that is moved takes along what others of the message say; one that was replaced takes nothing.
                Kind::Status if !statuses.contains(&id) => {
                    self.status(shared, id, at)?.inspect(|_| _ = statuses.insert(id))
                }
                Kind::Done => self.tombstones(shared, at, &header)?,
                Kind::Status | Kind::Chunk => None,
            };
            if let Some(item) = item {
                budget.octets = budget.octets.saturating_sub(header.span() as usize);
                items.push(item);
            }
            self.offset += header.span();
        }
        Ok(items)
    }

    fn message(
        &self,
        shared: &Shared,
        id: u64,
        at: Location,
        header: &RecordHeader,
    ) -> Result<Option<Item>, SpoolError> {
        let extents: Vec<ExtentRef> = {
            let core = lock(&shared.core);
            let Some(slot) = core.index.find(id).filter(|&slot| core.index.get(slot).at == at) else {
                return Ok(None);
            };
            core.index
                .extents
                .get(&slot)
                .into_iter()
                .flatten()
                .copied()
                .collect()
        };
        let record = match read_record(&*self.file, shared.salt, at, header.span()) {
            Err(error @ SpoolError::Damaged(_)) => {
                set_aside(shared, id, &error);
                return Ok(None);
            }
            other => other?,
        };
        Ok(Some(Item::MoveMessage {
            id,
            from: at,
            head: record.head().to_vec(),
            tail: record.into_tail(),
            extents,
        }))
    }

    fn status(&self, shared: &Shared, id: u64, at: Location) -> Result<Option<Item>, SpoolError> {
        let is_live = {
            let core = lock(&shared.core);
            let slot = core.index.find(id);
            slot.is_some_and(|slot| core.index.chain(slot).iter().any(|s| s.at == at))
        };
        if !is_live {
            return Ok(None);
        }
        match merged_status(shared, id) {
            Err(error @ SpoolError::Damaged(_)) => {
                set_aside(shared, id, &error);
                Ok(None)
            }
            merged => Ok(merged?.map(|(from, payload)| Item::MoveStatus { id, from, payload })),
        }
    }

    fn tombstones(
        &self,
        shared: &Shared,
        at: Location,
        header: &RecordHeader,
    ) -> Result<Option<Item>, SpoolError> {
        let record = match read_record(&*self.file, shared.salt, at, header.span()) {
            Err(error @ SpoolError::Damaged(_)) => {
                // Their messages may be delivered again; there is nothing to set aside.
                shared.trouble(format!(
                    "segment {}: tombstones are damaged: {error}",
                    self.number
                ));
                return Ok(None);
            }
            other => other?,
        };
        let mut tombstones = decode_done(record.head())?;
        let core = lock(&shared.core);
        tombstones.retain(|t| t.segment != self.number && core.segments.map.contains_key(&t.segment));
        Ok((!tombstones.is_empty()).then_some(Item::Done(Ended::of(tombstones))))
    }

    fn is_finished(&self) -> bool {
        self.chunked.is_empty() && self.offset >= self.end
    }
}

impl Log {
    /// The next piece of the sweep that is going on, or of one that should be.
    pub(crate) fn sweep_piece(&mut self, shared: &Shared) -> Vec<Item> {
        if shared.health() != Health::Good {
            return Vec::new();
        }
        if self.sweep.as_ref().is_some_and(Sweep::is_finished) {
            self.end_sweep(shared);
        }
        if self.sweep.is_none() {
            self.sweep = begin_sweep(shared, self.room(shared));
        }
        let Some(sweep) = &mut self.sweep else {
            return Vec::new();
        };
        let mut budget = Budget {
            octets: SWEEP_OCTETS_MAX,
            records: RECORDS_PER_STEP_MAX,
        };
        let piece = match sweep.chunk_piece(shared, &mut budget) {
            Ok(items) if items.is_empty() => sweep.record_piece(shared, &mut budget),
            other => other,
        };
        match piece {
            Ok(items) => items,
            Err(error) => {
                let number = sweep.number;
                self.abort_sweep(shared, &error.to_string());
                if let Some(segment) = lock(&shared.core).segments.map.get_mut(&number) {
                    segment.is_stuck = true;
                }
                Vec::new()
            }
        }
    }

    /// Whether a sweep has more to do.
    pub(crate) fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    fn end_sweep(&mut self, shared: &Shared) {
        let Some(sweep) = self.sweep.take() else {
            return;
        };
        // What still counts as live in it belongs to messages that ended meanwhile: it is garbage when their tombstones
        // are durable, and then the segment can go.
        if let Some(segment) = lock(&shared.core).segments.map.get_mut(&sweep.number) {
            segment.is_swept = true;
        }
    }

    /// With nothing left to be written, a swept segment that still holds something is a mistake of ours: it is kept,
    /// and said, rather than freed.
    pub(crate) fn find_stuck(&self, shared: &Shared) {
        let mut core = lock(&shared.core);
        // Messages end, and hand in their tombstones, under the lock of the books.
        if !self.retained.is_empty() || !lock(&shared.inbox).items.is_empty() {
            return;
        }
        let stuck: Vec<String> = core
            .segments
            .stuck()
            .map(|(number, octets)| format!("segment {number}: {octets} octets could not be moved"))
            .collect();
        drop(core);
        for text in stuck {
            shared.trouble(text);
        }
    }

    /// Gives the sweep up for now; it is begun anew with the next step that has something to do.
    pub(crate) fn abort_sweep(&mut self, shared: &Shared, why: &str) {
        if let Some(mut sweep) = self.sweep.take() {
            sweep.close_moved(&mut lock(&shared.core));
            shared.trouble(format!("segment {}: cannot be swept: {why}", sweep.number));
        }
    }
}

/// Begins a sweep if one is worth it and there is room for what has to be copied: on a full disk one that fails would
/// be begun again and again.
fn begin_sweep(shared: &Shared, room_octets: u64) -> Option<Sweep> {
    let core = lock(&shared.core);
    let number = core.segments.next_to_sweep(shared.settings.segment_octets)?;
    if room_octets < u64::from(shared.settings.segment_octets) / 2 {
        return None;
    }
    let segment = core.segments.map.get(&number)?;
    let is_here = |extents: &[ExtentRef]| extents.iter().any(|e| e.at.segment == number);
    let mut chunked: Vec<u64> = core
        .index
        .extents
        .iter()
        .filter(|(_, extents)| is_here(extents))
        .map(|(&slot, _)| core.index.get(slot).id)
        .collect();
    chunked.sort_unstable(); // the same disk, the same sweep
    Some(Sweep {
        number,
        file: segment.file.clone(),
        chunked,
        moved: HashMap::new(),
        offset: DATA_OFFSET,
        end: segment.end,
        damaged: segment.damaged.clone(),
    })
}

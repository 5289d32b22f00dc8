//! What the spool does when it starts: finds the segments, reads them in order, and builds the books from them.
//!
//! Rule: damage never stops a start. It is copied to the folder `corrupt`, counted and reported; a torn end is no
//! damage (nobody was told that it was safe). Only another version's format, and a disk that cannot be read at all,
//! are errors.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::apply::chunk_span;
use crate::codec::{HELD_DUE_MS, MessageHead, Tombstone, decode_done};
use crate::error::SpoolError;
use crate::format::{DATA_OFFSET, Kind, Location, SLOT_OCTETS, SegmentHeader, SegmentState, Slot, VERSION};
use crate::index::{Slot as EntrySlot, State, StatusRef};
use crate::lock::lock;
use crate::log::{Ended, Item, Log};
use crate::reader::set_aside;
use crate::scan::{Found, Range, Scanned, salvage_epoch, scan};
use crate::segments::Segment;
use crate::settings::{SPARE_SEGMENTS_MAX, Settings};
use crate::shared::{Core, Shared, Spare, Waker};
use crate::status::StatusRecord;
use crate::storage::{SegmentFile, Storage};

/// What a start found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Recovery {
    /// Messages in the spool.
    pub messages: u64,
    /// Valid records.
    pub records: u64,
    /// Segments of the log.
    pub segments: u64,
    /// Damaged parts and messages that were set aside.
    pub damaged_records: u64,
    /// Octets of batches that a crash left unfinished.
    pub torn_octets: u64,
}

/// A segment file and what its headers say.
struct Candidate {
    slot: u32,
    file: Arc<dyn SegmentFile>,
    octets: u64,
    /// The valid headers, the newest first.
    headers: Vec<SegmentHeader>,
    /// A slot that was written and is not valid.
    has_invalid_header: bool,
}

/// Reads the whole spool; returns what the face and the writer begin with.
///
/// # Errors
/// `LaterFormat`; `Io` where the folder or a segment cannot be read.
pub(crate) fn recover(
    settings: Settings,
    storage: Arc<dyn Storage>,
    waker: Waker,
) -> Result<(Arc<Shared>, Log, Recovery), SpoolError> {
    let candidates = read_headers(&*storage)?;
    let salt = candidates
        .iter()
        .flat_map(|c| &c.headers)
        .map(|h| h.salt)
        .next()
        .unwrap_or_else(|| storage.secret());
    let shared = Arc::new(Shared::new(settings, storage, salt, waker));
    shared.reserve_slots(candidates.iter().map(|c| c.slot).max().unwrap_or(0));
    let all_headers = || candidates.iter().flat_map(|c| &c.headers);
    shared.reserve_ids(all_headers().map(|h| h.id_floor).max().unwrap_or(0));
    // A number that some header speaks of is not used again, even if its segment is gone.
    let spoken_of = |h: &SegmentHeader| h.cuts.iter().map(|c| c.0).chain([h.number, h.before.0]).max();
    let number_max = all_headers().filter_map(spoken_of).max().unwrap_or(0);
    // What a header says about other segments stays true whatever became of its own: numbers are never used twice.
    let ends = Ends {
        known: all_headers().map(|h| h.before).collect(),
        cuts: all_headers().flat_map(|h| h.cuts.iter().copied()).collect(),
    };

    let mut active = BTreeMap::new();
    let mut free = Vec::new();
    for candidate in candidates {
        match classify(&shared, &candidate)? {
            Some((number, generation)) => {
                active.insert(number, (candidate, generation));
            }
            None => free.push(candidate),
        }
    }
    let is_cut = |(number, _): (&u32, &u32)| active.contains_key(number);
    let may_remove = !ends.cuts.iter().any(is_cut);
    keep_spares(&shared, free, may_remove);
    let mut recovering = Recovering::new(&shared);
    let (before, cuts) = recovering.read_segments(&active, ends)?;
    let number_max = number_max.max(before.0);
    let mut log = Log::new(number_max + 1, before, cuts);
    recovering.finish(&mut log);
    let found = recovering.found;
    Ok((shared, log, found))
}

fn read_headers(storage: &dyn Storage) -> Result<Vec<Candidate>, SpoolError> {
    let reading = |e| SpoolError::io("read the spool", e);
    let mut candidates = Vec::new();
    for slot in storage.list().map_err(reading)? {
        let file = storage.open(slot).map_err(reading)?;
        let mut octets = vec![0; 2 * SLOT_OCTETS];
        let read = file.read_at(0, &mut octets).map_err(reading)?;
        octets.truncate(read);
        let mut headers = Vec::new();
        let mut has_invalid_header = false;
        for octets in octets.chunks(SLOT_OCTETS) {
            match SegmentHeader::decode(octets) {
                Slot::Valid(header) => headers.push(header),
                Slot::Later(version) => {
                    return Err(SpoolError::LaterFormat {
                        slot,
                        version,
                        known: VERSION,
                    });
                }
                Slot::Invalid => has_invalid_header |= octets.iter().any(|&o| o != 0),
            }
        }
        headers.sort_by_key(|h| std::cmp::Reverse(h.generation));
        // A killed process may have left them in the system's memory only; see `write_again`.
        write_again(&*file, 0, DATA_OFFSET)
            .and_then(|()| file.sync())
            .map_err(|e| SpoolError::io("sync the spool", e))?;
        let octets = file.octets().map_err(reading)?;
        candidates.push(Candidate {
            slot,
            file,
            octets,
            headers,
            has_invalid_header,
        });
    }
    Ok(candidates)
}

/// Whether the file is a segment of the log: its number and generation.
///
/// A header that is not valid is either the torn one of a segment that was about to begin, or a damaged one. The
/// records tell: a segment's first record is written after its header is durable, so records of an epoch that no valid
/// header of the file knows belong to a segment whose header was damaged.
fn classify(shared: &Shared, candidate: &Candidate) -> Result<Option<(u32, u64)>, SpoolError> {
    let newest = candidate.headers.first();
    match newest {
        Some(header) if header.state == SegmentState::Active => {
            return Ok(Some((header.number, header.generation)));
        }
        Some(_) if !candidate.has_invalid_header => return Ok(None),
        _ => {}
    }
    let above = newest.map_or(0, |h| h.number);
    let number = salvage_epoch(&*candidate.file, shared.salt, above)
        .map_err(|e| SpoolError::io("read the spool", e))?;
    if number == 0 {
        return Ok(None);
    }
    shared.trouble(format!(
        "segment file {:08}: its header is not readable; its records say that it is segment {number}",
        candidate.slot
    ));
    let generation = newest.map_or(2, |h| h.generation + 1);
    Ok(Some((number, generation)))
}

/// Free files of the right size are kept for reuse. The others are removed, unless one of them may be the only one that
/// knows a cut (`log/space.rs`).
fn keep_spares(shared: &Shared, free: Vec<Candidate>, may_remove: bool) {
    let mut spares = lock(&shared.spares);
    for candidate in free {
        let fits = candidate.octets == u64::from(shared.settings.segment_octets);
        if fits && (spares.len() < SPARE_SEGMENTS_MAX || !may_remove) {
            spares.push(Spare {
                slot: candidate.slot,
                file: candidate.file,
                // Without any valid header: above what a torn one may have been.
                generation: candidate.headers.first().map_or(2, |h| h.generation),
            });
        } else if may_remove && let Err(error) = shared.storage.remove(candidate.slot) {
            shared.trouble(format!(
                "segment file {:08}: cannot be removed: {error}",
                candidate.slot
            ));
        }
    }
}

/// Where segments end, as headers of others say.
struct Ends {
    known: HashMap<u32, u32>,
    cuts: HashMap<u32, u32>,
}

/// What status records said about a message whose own record comes later: it was moved.
#[derive(Default)]
struct Orphan {
    chain: Vec<(StatusRef, bool)>,
    last: LastStatus,
}

#[derive(Clone, Default)]
struct LastStatus {
    due_ms: u64,
    attempts: u32,
    held: bool,
    group: String,
}

impl LastStatus {
    fn of(record: &StatusRecord<'_>) -> Self {
        Self {
            due_ms: record.due_ms,
            attempts: record.attempts,
            held: record.held,
            group: record.group.to_owned(),
        }
    }
}

struct Recovering<'a> {
    shared: &'a Shared,
    core: Core,
    orphans: HashMap<u64, Orphan>,
    /// Segments that no tombstone of an ended message names though they hold a record of it.
    unnamed: HashMap<u64, HashSet<u32>>,
    found: Recovery,
}

impl<'a> Recovering<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            core: Core::default(),
            orphans: HashMap::new(),
            unnamed: HashMap::new(),
            found: Recovery::default(),
        }
    }

    /// Reads all segments in order. Returns number and end of the last one, and the cuts that still matter.
    #[allow(clippy::type_complexity)] // two pairs that go straight into Log::new
    fn read_segments(
        &mut self,
        active: &BTreeMap<u32, (Candidate, u64)>,
        ends: Ends,
    ) -> Result<((u32, u32), Vec<(u32, u32)>), SpoolError> {
        let Ends { mut known, mut cuts } = ends;
        cuts.retain(|number, _| active.contains_key(number));
        known.extend(&cuts);
        for (&number, (candidate, generation)) in active {
            let segment = Segment {
                is_sealed: true,
                ..Segment::new(candidate.file.clone(), candidate.slot, *generation)
            };
            self.core.segments.map.insert(number, segment);
        }
        let mut before = (0, 0);
        for (&number, (candidate, _)) in active {
            let known_end = known.get(&number).copied();
            let range = Range {
                number,
                salt: self.shared.salt,
                end_max: known_end.unwrap_or(u32::MAX),
                known_end,
            };
            let scanned = scan(&*candidate.file, &range, &mut |record| self.visit(&record))
                .map_err(|e| SpoolError::io("read the spool", e))?;
            if known_end.is_none() {
                write_again(&*candidate.file, scanned.last_batch, scanned.end)
                    .and_then(|()| candidate.file.sync())
                    .map_err(|e| SpoolError::io("sync the spool", e))?;
            }
            before = (number, scanned.end);
            self.note_segment(number, &*candidate.file, scanned);
        }
        Ok((before, cuts.into_iter().collect()))
    }

    fn note_segment(&mut self, number: u32, file: &dyn SegmentFile, scanned: Scanned) {
        self.found.segments += 1;
        self.found.records += scanned.records;
        self.found.torn_octets += scanned.torn_octets;
        for &(from, to) in &scanned.damaged {
            self.found.damaged_records += 1;
            self.core.corrupt_count += 1;
            let mut octets = vec![0; (to - from) as usize];
            let name = format!("{number:08}-{from:08x}.part");
            let kept = file
                .read_at(u64::from(from), &mut octets)
                .and_then(|read| self.shared.storage.set_aside(&name, &octets[..read]));
            self.shared.trouble(match kept {
                Ok(()) => format!("segment {number}: octets {from} to {to} are damaged, see corrupt/{name}"),
                Err(error) => {
                    format!("segment {number}: octets {from} to {to} are damaged and not kept: {error}")
                }
            });
        }
        if let Some(segment) = self.core.segments.map.get_mut(&number) {
            segment.end = scanned.end;
            segment.damaged = scanned.damaged;
        }
    }

    fn visit(&mut self, record: &Found<'_>) {
        let span = record.header.span();
        let decoded = match record.header.kind {
            Kind::Message => {
                MessageHead::decode(record.head).map(|head| self.message(&head, record.at, span))
            }
            Kind::Status => {
                StatusRecord::decode(record.head).map(|status| self.status(&status, record.at, span))
            }
            Kind::Done => decode_done(record.head).map(|tombstones| self.done(&tombstones, record.at)),
            Kind::Chunk => Ok(()),
        };
        if decoded.is_err() {
            // Whole by its checksum, so it was written like this: a bug of ours, not the disk's.
            let Location { segment, offset } = record.at;
            self.shared.trouble(format!(
                "segment {segment}: the record at octet {offset} makes no sense"
            ));
            self.found.damaged_records += 1;
        }
    }

    fn message(&mut self, head: &MessageHead<'_>, at: Location, span: u32) {
        self.shared.reserve_ids(head.id);
        let core = &mut self.core;
        core.segments.add_live(at, span);
        for extent in &head.extents {
            core.segments.add_live(extent.at, chunk_span(extent));
        }
        if let Some(slot) = core.index.find(head.id) {
            let (from, octets) = core.index.moved(slot, at, span);
            core.segments.sub_live(from, octets);
            if !head.extents.is_empty() {
                let before = core
                    .index
                    .extents
                    .insert(slot, head.extents.clone().into_boxed_slice());
                for extent in before.iter().flatten() {
                    core.segments.sub_live(extent.at, chunk_span(extent));
                }
            }
            return;
        }
        let slot = core.index.insert(head.id);
        let entry = core.index.get_mut(slot);
        let content_octets = head.header_section.len() as u64 + head.body_octets;
        (entry.at, entry.octets) = (at, span);
        entry.content_octets = u32::try_from(content_octets).unwrap_or(u32::MAX);
        entry.set_recipient_count(head.recipient_count as usize);
        entry.due_ms = head.due_ms;
        entry.state = if head.due_ms == HELD_DUE_MS {
            State::Hold
        } else {
            State::Incoming
        };
        if !head.extents.is_empty() {
            core.index
                .extents
                .insert(slot, head.extents.clone().into_boxed_slice());
        }
        core.schedule.join(&mut core.index, slot, head.group);
        if let Some(orphan) = self.orphans.remove(&head.id) {
            for (status, is_snapshot) in orphan.chain {
                core.set_status(slot, status, is_snapshot);
            }
            note_status(core, slot, &orphan.last);
        }
    }

    fn status(&mut self, record: &StatusRecord<'_>, at: Location, span: u32) {
        let status = StatusRef { at, octets: span };
        let last = LastStatus::of(record);
        if let Some(slot) = self.core.index.find(record.id) {
            self.core.set_status(slot, status, record.is_snapshot);
            return note_status(&mut self.core, slot, &last);
        }
        let orphan = self.orphans.entry(record.id).or_default();
        if record.is_snapshot {
            orphan.chain.clear();
        }
        orphan.chain.push((status, record.is_snapshot));
        orphan.last = last;
    }

    fn done(&mut self, tombstones: &[Tombstone], at: Location) {
        self.core.segments.bury(at.segment, tombstones);
        for tombstone in tombstones {
            self.shared.reserve_ids(tombstone.id);
            self.orphans.remove(&tombstone.id);
            if let Some(slot) = self.core.index.find(tombstone.id) {
                let homes = self.core.index.homes(slot);
                *self.core.counts.get(self.core.index.get(slot).state) += 1; // `forget` counts down; see `finish`
                let ended = self.core.forget(slot);
                self.core.segments.discard(&ended.garbage);
                self.unnamed.insert(tombstone.id, homes.into_iter().collect());
            }
            if let Some(homes) = self.unnamed.get_mut(&tombstone.id) {
                homes.remove(&tombstone.segment);
                if homes.is_empty() {
                    self.unnamed.remove(&tombstone.id);
                }
            }
        }
    }

    /// Everything is read: what is in the books now is the spool.
    fn finish(&mut self, log: &mut Log) {
        let unnamed = std::mem::take(&mut self.unnamed);
        let tombstones: Vec<Tombstone> = unnamed
            .into_iter()
            .flat_map(|(id, homes)| homes.into_iter().map(move |segment| Tombstone { id, segment }))
            .collect();
        if !tombstones.is_empty() {
            log.retained.push(Item::Done(Ended::of(tombstones)));
        }
        let core = &mut self.core;
        let slots: Vec<EntrySlot> = core.index.iter().map(|(slot, _)| slot).collect();
        for &slot in &slots {
            let state = core.index.get(slot).state;
            *core.counts.get(state) += 1;
            if state != State::Hold {
                core.schedule.add(&mut core.index, slot);
            }
        }
        let incomplete: Vec<u64> = core
            .index
            .extents
            .iter()
            .filter(|(_, extents)| extents.iter().any(|e| !is_whole(core, e.at, chunk_span(e))))
            .map(|(&slot, _)| core.index.get(slot).id)
            .collect();
        self.found.messages = slots.len() as u64 - incomplete.len() as u64;
        self.found.damaged_records += incomplete.len() as u64;
        *lock(&self.shared.core) = std::mem::take(core);
        for id in incomplete {
            set_aside(
                self.shared,
                id,
                &SpoolError::Damaged("a part of its body is lost"),
            );
        }
    }
}

/// Writes what is there once more, so that a sync makes sure that it is on the disk: it counts from now on.
///
/// A killed process may have left its last batch, and headers, in the system's memory only. If their sync had failed,
/// the system takes them for written though they are not, and another sync alone would do nothing. The same octets in
/// the same place harm nothing if this is interrupted.
fn write_again(file: &dyn SegmentFile, from: u32, to: u32) -> std::io::Result<()> {
    let mut octets = vec![0; (to - from) as usize];
    let read = file.read_at(u64::from(from), &mut octets)?;
    file.write_at(u64::from(from), &[std::io::IoSlice::new(&octets[..read])])
}

fn note_status(core: &mut Core, slot: EntrySlot, last: &LastStatus) {
    let entry = core.index.get_mut(slot);
    entry.due_ms = last.due_ms;
    entry.attempts = u16::try_from(last.attempts).unwrap_or(u16::MAX);
    entry.state = match (last.held, last.attempts) {
        (true, _) => State::Hold,
        (false, 0) => State::Incoming,
        (false, _) => State::Deferred,
    };
    let group = core.index.get(slot).group;
    if core.schedule.name(group) != last.group {
        core.schedule.leave(&core.index, slot);
        core.schedule.join(&mut core.index, slot, &last.group);
    }
}

/// Whether a record lies wholly in what was read and not in what is damaged.
fn is_whole(core: &Core, at: Location, span: u32) -> bool {
    core.segments.map.get(&at.segment).is_some_and(|segment| {
        let end = at.offset + span;
        end <= segment.end
            && segment
                .damaged
                .iter()
                .all(|&(from, to)| end <= from || to <= at.offset)
    })
}

//! The writer: takes what waits, lays it out behind the last record, writes it, syncs once, and only then says so.
//!
//! It works in steps so that a simulation can drive it without threads; `spool.rs` calls [`Log::step`] in a loop. Rules:
//! - nobody is told of success before the sync returned;
//! - a sync that failed is never repeated: the segment is closed where it was last known to be durable (a "cut",
//!   written into the headers of later segments), and what was not acknowledged is laid out anew in another segment;
//! - a segment is begun only after the one before is durable, so only the last one can have a torn end.

mod space;

use std::io::IoSlice;
use std::sync::Arc;

use pymta_types::{Envelope, SpoolId, UnixMs};

use crate::codec::{
    ExtentRef, HELD_DUE_MS, MessageHead, Tombstone, encode_chunk_head, encode_done, encode_envelope,
};
use crate::content::Stream;
use crate::error::SpoolError;
use crate::format::{
    CUTS_MAX, DATA_OFFSET, Kind, Location, RECORD_HEADER_OCTETS, RecordHeader, SegmentHeader, SegmentState,
    octets_u32, record_span,
};
use crate::index::StatusRef;
use crate::lock::lock;
use crate::message::{Extent, StoredMessage};
use crate::segments::Segment;
use crate::settings::{BATCH_OCTETS_MAX, UNSYNCED_OCTETS_MAX};
use crate::shared::{Completion, Health, Shared, Spare};
use crate::storage::SegmentFile;
use crate::sweep::Sweep;

/// Something to be written.
pub(crate) enum Item {
    Commit(Box<Prepared>),
    /// A piece of a streamed body.
    Chunk {
        stream: Arc<Stream>,
        piece: usize,
        octets: Arc<Vec<u8>>,
        at: u64,
    },
    /// A streamed body that will not be committed.
    Abandon(Arc<Stream>),
    Status {
        id: u64,
        payload: Vec<u8>,
        is_snapshot: bool,
        /// The message in memory whose status this is; None where only the disk has it.
        message: Option<Arc<StoredMessage>>,
    },
    Done(Ended),
    /// The sweep moves a message record.
    MoveMessage {
        id: u64,
        from: Location,
        head: Vec<u8>,
        tail: Vec<u8>,
        /// Its chunks, some of them moved before.
        extents: Vec<ExtentRef>,
    },
    /// The sweep moves a message's status, merged.
    MoveStatus {
        id: u64,
        from: Vec<StatusRef>,
        payload: Vec<u8>,
    },
    /// The sweep moves a chunk record.
    MoveChunk {
        from: Location,
        head: Vec<u8>,
        tail: Vec<u8>,
    },
}

/// Messages that left the spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) tombstones: Vec<Tombstone>,
    /// Records that are garbage as soon as the tombstones are durable: until then a crash brings the message back, and
    /// it must come with its status.
    pub(crate) garbage: Vec<(Location, u32)>,
}

impl Ended {
    pub(crate) fn of(tombstones: Vec<Tombstone>) -> Self {
        Self {
            tombstones,
            garbage: Vec::new(),
        }
    }
}

/// A message to be committed.
pub(crate) struct Prepared {
    pub(crate) token: u64,
    pub(crate) id: SpoolId,
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) annotations: Vec<u8>,
    pub(crate) header_section: Vec<u8>,
    pub(crate) spooled_at: UnixMs,
    pub(crate) due: Option<UnixMs>,
    pub(crate) body: PreparedBody,
    pub(crate) body_octets: u64,
}

pub(crate) enum PreparedBody {
    Inline(Vec<u8>),
    Stream(Arc<Stream>),
}

impl Prepared {
    /// The canonical domain of the first recipient.
    pub(crate) fn group(&self) -> String {
        self.envelope
            .recipients
            .first()
            .map(|r| r.forward_path.domain().to_lowercase())
            .unwrap_or_default()
    }

    fn head(&self) -> Vec<u8> {
        let mut envelope = Vec::new();
        encode_envelope(&self.envelope, &mut envelope);
        MessageHead {
            id: self.id.0,
            due_ms: self.due.map_or(HELD_DUE_MS, |due| due.0),
            spooled_at_ms: self.spooled_at.0,
            body_octets: self.body_octets,
            recipient_count: octets_u32(self.envelope.recipients.len()),
            group: &self.group(),
            envelope: &envelope,
            annotations: &self.annotations,
            header_section: &self.header_section,
            extents: match &self.body {
                PreparedBody::Inline(_) => Vec::new(),
                PreparedBody::Stream(stream) => stream.extents().iter().map(|e| e.reference).collect(),
            },
        }
        .encode()
    }
}

/// An item with its place in the log.
pub(crate) struct Placed {
    pub(crate) item: Item,
    head: Vec<u8>,
    pub(crate) at: Location,
    pub(crate) span: u32,
}

impl Placed {
    fn kind(&self) -> Kind {
        match self.item {
            Item::Commit(_) | Item::MoveMessage { .. } => Kind::Message,
            Item::Chunk { .. } | Item::MoveChunk { .. } => Kind::Chunk,
            Item::Status { .. } | Item::MoveStatus { .. } => Kind::Status,
            Item::Done(_) | Item::Abandon(_) => Kind::Done,
        }
    }

    fn tail(&self) -> &[u8] {
        tail_of(&self.item)
    }
}

/// The segment that is being written.
struct Current {
    number: u32,
    file: Arc<dyn SegmentFile>,
    /// Where the next record goes.
    offset: u32,
    /// Where the first record goes that the next sync covers.
    batch: u32,
    /// Up to where all is durable.
    synced_end: u32,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There was nothing to do.
    Idle,
    Worked,
    /// Something could not be written and is kept for later.
    Failed,
}

/// The writer's state.
pub(crate) struct Log {
    current: Option<Current>,
    next_number: u32,
    /// The last segment that was sealed: number and end.
    before: (u32, u32),
    /// Segments that failed: their records do not count from an offset on.
    pub(crate) cuts: Vec<(u32, u32)>,
    placed: Vec<Placed>,
    ended: Ended,
    /// What must not be lost though it could not be written.
    pub(crate) retained: Vec<Item>,
    /// A status record was kept back in this round: those behind it must wait too, because the last one counts.
    is_backed_up: bool,
    /// Streams with pieces that were written and not synced.
    unsynced: Vec<Arc<Stream>>,
    /// True while a failed batch is laid out anew: a second failure is final.
    is_rewriting: bool,
    pub(crate) sweep: Option<Sweep>,
}

impl Log {
    pub(crate) fn new(next_number: u32, before: (u32, u32), cuts: Vec<(u32, u32)>) -> Self {
        Self {
            current: None,
            next_number,
            before,
            cuts,
            placed: Vec::new(),
            ended: Ended::default(),
            retained: Vec::new(),
            is_backed_up: false,
            unsynced: Vec::new(),
            is_rewriting: false,
            sweep: None,
        }
    }

    /// Writes what waits, and a piece of a sweep.
    pub(crate) fn step(&mut self, shared: &Shared) -> Progress {
        let moves = self.sweep_piece(shared);
        self.write_round(shared, moves)
    }

    /// Writes `moves` and then what waits. Much may have happened to the messages since `moves` were read.
    pub(crate) fn write_round(&mut self, shared: &Shared, moves: Vec<Item>) -> Progress {
        let mut items: Vec<(Item, usize)> = std::mem::take(&mut self.retained)
            .into_iter()
            .map(|i| (i, 0))
            .collect();
        self.is_backed_up = false;
        take_batch(shared, &mut items);
        if items.is_empty() && moves.is_empty() {
            self.probe(shared);
            self.find_stuck(shared);
            let goes_on = self.release(shared) || (self.is_sweeping() && shared.health() == Health::Good);
            return if goes_on { Progress::Worked } else { Progress::Idle };
        }
        let octets: usize = items.iter().map(|(_, octets)| octets).sum();
        let must_sync = !moves.is_empty()
            || items
                .iter()
                .any(|(i, _)| !matches!(i, Item::Chunk { .. } | Item::Abandon(_)));
        for item in moves.into_iter().chain(items.into_iter().map(|(item, _)| item)) {
            match item {
                // Gathered, and written behind everything else of the round.
                Item::Done(mut ended) => {
                    self.ended.tombstones.append(&mut ended.tombstones);
                    self.ended.garbage.append(&mut ended.garbage);
                }
                item => self.place(shared, item),
            }
        }
        self.place_ended(shared);
        let unsynced = self
            .current
            .as_ref()
            .map_or(0, |c| u64::from(c.offset - c.synced_end));
        self.flush(shared, must_sync || unsynced >= UNSYNCED_OCTETS_MAX);
        shared
            .pending_octets
            .fetch_sub(octets, std::sync::atomic::Ordering::Relaxed);
        self.release(shared);
        self.order_spare(shared);
        if self.retained.is_empty() || shared.health() == Health::Good {
            Progress::Worked
        } else {
            Progress::Failed
        }
    }

    /// Lays out the tombstones of the round. Their garbage goes with the last of their records, which a sync covers no
    /// earlier than the others.
    fn place_ended(&mut self, shared: &Shared) {
        let Ended {
            tombstones,
            mut garbage,
        } = std::mem::take(&mut self.ended);
        let mut groups = tombstones.chunks(TOMBSTONES_PER_RECORD).peekable();
        while let Some(group) = groups.next() {
            let is_last = groups.peek().is_none();
            let ended = Ended {
                tombstones: group.to_vec(),
                garbage: if is_last {
                    std::mem::take(&mut garbage)
                } else {
                    Vec::new()
                },
            };
            self.place(shared, Item::Done(ended));
        }
    }

    /// Ends the log in good order: an empty record of its own says that everything before it was synced, so that
    /// whatever is not whole at the next start is damage and not torn by a crash.
    pub(crate) fn finish(&mut self, shared: &Shared) {
        if self.current.is_some() && shared.health() == Health::Good {
            self.flush(shared, true);
            self.place(shared, Item::Done(Ended::default()));
            self.flush(shared, true);
        }
    }

    /// Tries whether a log that could not be written can be written again.
    fn probe(&mut self, shared: &Shared) {
        match shared.health() {
            Health::Good => {}
            Health::Full => {
                if shared.has_room()
                    && let Ok(spare) = shared.make_spare()
                {
                    shared.add_spare(spare);
                }
            }
            Health::Broken => {
                if self.current.is_some() || self.roll(shared).is_ok() {
                    self.flush(shared, true);
                }
            }
        }
    }

    /// Gives an item its place behind the last one, in the next segment if need be.
    fn place(&mut self, shared: &Shared, item: Item) {
        let Some(mut item) = self.prepare(shared, item) else {
            return;
        };
        let mut head = head_of(&item);
        let span = record_span(head.len() + tail_of(&item).len());
        if span > shared.settings.segment_octets - DATA_OFFSET {
            return self.give_up(shared, item, &SpoolError::TooLarge);
        }
        if matches!(item, Item::Commit(_) | Item::Chunk { .. })
            && let Err(error) = self.secure_reserve(shared, span)
        {
            return self.give_up(shared, item, &error);
        }
        let fits = |c: &Current| c.offset + span <= shared.settings.segment_octets;
        if !self.current.as_ref().is_some_and(fits) {
            self.flush(shared, true);
            // The flush may have failed and begun another segment.
            if !self.current.as_ref().is_some_and(fits)
                && let Err(error) = self.roll(shared)
            {
                return self.give_up(shared, item, &error);
            }
            // Once more: if the flush failed, chunks have other places now, or none.
            item = match self.prepare(shared, item) {
                Some(item) => item,
                None => return,
            };
            head = head_of(&item);
        }
        let Some(current) = self.current.as_mut() else {
            return self.give_up(shared, item, &SpoolError::Closed);
        };
        let at = Location {
            segment: current.number,
            offset: current.offset,
        };
        current.offset += span;
        if let Item::Chunk {
            stream,
            piece,
            octets,
            ..
        } = &item
        {
            let reference = ExtentRef {
                at,
                octets: octets_u32(octets.len()),
            };
            let file = current.file.clone();
            let salt = shared.salt;
            stream.placed(
                *piece,
                Extent {
                    file,
                    salt,
                    reference,
                },
            );
        }
        self.placed.push(Placed { item, head, at, span });
    }

    /// Weeds out what needs no record (any more).
    fn prepare(&mut self, shared: &Shared, item: Item) -> Option<Item> {
        match &item {
            Item::Status { .. } if self.is_backed_up => {
                self.retained.push(item);
                None
            }
            Item::Abandon(stream) => {
                close_stream(shared, stream);
                None
            }
            Item::Chunk { stream, piece, .. } if stream.failure().is_some() => {
                stream.lost(*piece);
                None
            }
            Item::Commit(prepared) => match &prepared.body {
                PreparedBody::Stream(stream) => match stream.failure() {
                    Some(error) => {
                        close_stream(shared, stream);
                        shared.complete(vec![(prepared.token, Err(error.clone()))]);
                        None
                    }
                    None => Some(item),
                },
                PreparedBody::Inline(_) => Some(item),
            },
            Item::Status { id, .. } | Item::MoveStatus { id, .. } => {
                lock(&shared.core).index.find(*id).is_some().then_some(item)
            }
            _ => Some(item),
        }
    }

    /// Writes what is laid out, syncs if asked to, and then lets everybody know.
    fn flush(&mut self, shared: &Shared, sync: bool) {
        let Some(current) = self.current.as_mut() else {
            return;
        };
        let nothing_new = self.placed.is_empty() && (!sync || current.synced_end == current.offset);
        if nothing_new && shared.health() != Health::Broken {
            return;
        }
        let written = write_out(shared.salt, current, &self.placed)
            .and_then(|()| if sync { current.file.sync() } else { Ok(()) });
        if let Err(error) = written {
            return self.recover(shared, error);
        }
        if sync {
            current.synced_end = current.offset;
            current.batch = current.offset;
            self.unsynced.clear();
            shared.heal(Health::Broken);
        }
        let (number, end) = (current.number, current.offset);
        let placed = std::mem::take(&mut self.placed);
        self.unsynced
            .extend(placed.iter().filter(|_| !sync).filter_map(|p| match &p.item {
                Item::Chunk { stream, .. } => Some(stream.clone()),
                _ => None,
            }));
        let mut late = crate::apply::apply(shared, number, end, placed, self.sweep.as_mut());
        self.retained.append(&mut late);
    }

    /// A write or sync failed: nothing is known about what was not synced. Closes the segment where it is durable and
    /// lays the batch out anew, once.
    fn recover(&mut self, shared: &Shared, error: std::io::Error) {
        let Some(failed) = self.current.take() else {
            return;
        };
        shared.trouble(format!(
            "segment {}: writing failed at octet {}, going on in another: {error}",
            failed.number, failed.synced_end
        ));
        self.cuts.push((failed.number, failed.synced_end));
        self.seal(shared, failed.number, failed.synced_end);
        let error = SpoolError::io("write the spool", error);
        // Their earlier pieces are lost; those of this batch are still in memory, but of no use without the others.
        self.unsynced.drain(..).for_each(|stream| stream.fail(&error));
        let placed = std::mem::take(&mut self.placed);
        if self.is_rewriting {
            shared.set_health(Health::of(&error));
            for placed in placed {
                self.give_up(shared, placed.item, &error);
            }
            return;
        }
        self.is_rewriting = true;
        for placed in placed {
            self.place(shared, placed.item);
        }
        self.flush(shared, true);
        self.is_rewriting = false;
    }

    /// An item cannot be written now. Commits are refused; what is already true is kept until it can be written.
    fn give_up(&mut self, shared: &Shared, item: Item, error: &SpoolError) {
        match item {
            Item::Commit(prepared) => {
                if let PreparedBody::Stream(stream) = &prepared.body {
                    close_stream(shared, stream);
                }
                shared.complete(vec![(prepared.token, Err(error.clone()))]);
            }
            Item::Chunk { stream, piece, .. } => {
                stream.fail(error);
                stream.lost(piece);
            }
            Item::Status { .. } | Item::Done(_) => {
                self.is_backed_up |= matches!(item, Item::Status { .. });
                self.retained.push(item);
            }
            Item::MoveMessage { .. } | Item::MoveStatus { .. } | Item::MoveChunk { .. } => {
                self.abort_sweep(shared, &error.to_string());
            }
            Item::Abandon(_) => {}
        }
    }
}

/// Most tombstones of one record.
const TOMBSTONES_PER_RECORD: usize = 512;

/// Takes from the inbox what one round may hold.
fn take_batch(shared: &Shared, items: &mut Vec<(Item, usize)>) {
    let mut inbox = lock(&shared.inbox);
    let mut octets = 0;
    while octets < BATCH_OCTETS_MAX {
        let Some(next) = inbox.items.pop_front() else {
            break;
        };
        inbox.commit_count -= usize::from(matches!(next.0, Item::Commit(_)));
        octets += next.1;
        items.push(next);
    }
    inbox.is_due = !inbox.items.is_empty();
}

/// The chunks of a body that will not be committed no longer keep their segments.
fn close_stream(shared: &Shared, stream: &Stream) {
    let mut core = lock(&shared.core);
    for extent in stream.written_extents() {
        core.segments.close_chunk(extent.reference.at);
    }
}

fn head_of(item: &Item) -> Vec<u8> {
    match item {
        Item::Commit(prepared) => prepared.head(),
        Item::Chunk { stream, at, .. } => encode_chunk_head(stream.number, *at),
        Item::Status { payload, .. } | Item::MoveStatus { payload, .. } => payload.clone(),
        Item::Done(ended) => encode_done(&ended.tombstones),
        Item::MoveMessage { head, .. } | Item::MoveChunk { head, .. } => head.clone(),
        Item::Abandon(_) => Vec::new(),
    }
}

fn tail_of(item: &Item) -> &[u8] {
    match item {
        Item::Commit(prepared) => match &prepared.body {
            PreparedBody::Inline(octets) => octets,
            PreparedBody::Stream(_) => &[],
        },
        Item::Chunk { octets, .. } => octets,
        Item::MoveMessage { tail, .. } | Item::MoveChunk { tail, .. } => tail,
        _ => &[],
    }
}

fn write_out(salt: u32, current: &Current, placed: &[Placed]) -> std::io::Result<()> {
    let Some(first) = placed.first() else {
        return Ok(());
    };
    const ZEROS: [u8; 8] = [0; 8];
    let headers: Vec<[u8; RECORD_HEADER_OCTETS]> = placed
        .iter()
        .map(|p| RecordHeader::of(salt, p.kind(), current.number, current.batch, &p.head, p.tail()).encode())
        .collect();
    let mut pieces = Vec::with_capacity(4 * placed.len());
    for (placed, header) in placed.iter().zip(&headers) {
        let (head, tail) = (&placed.head, placed.tail());
        let padding = placed.span as usize - header.len() - head.len() - tail.len();
        for piece in [&header[..], head, tail, &ZEROS[..padding]] {
            if !piece.is_empty() {
                pieces.push(IoSlice::new(piece));
            }
        }
    }
    current.file.write_at(u64::from(first.at.offset), &pieces)
}

pub(crate) fn completion_of(prepared: &Prepared) -> Completion {
    (prepared.token, Ok(prepared.id))
}

//! What the face of the spool, its writer and its reader have in common: the inbox of the writer, the books, and the
//! lists of what is finished.
//!
//! Rule: locks are held for moments and never while the disk works. Where two are needed, `core` is taken first.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use pymta_types::{SpoolId, UnixMs};

use crate::error::SpoolError;
use crate::format::{SegmentHeader, SegmentState};
use crate::index::{Index, Slot};
use crate::lock::lock;
use crate::log::Item;
use crate::message::StoredMessage;
use crate::schedule::Schedule;
use crate::segments::Segments;
use crate::settings::{SHARDS_MAX, SPARE_SEGMENTS_MAX, Settings, TROUBLES_MAX};
use crate::storage::{SegmentFile, Storage};

/// How a commit ended: its token, and the message's id or why it is not spooled.
pub type Completion = (u64, Result<SpoolId, SpoolError>);

/// The commits that ended and were not asked for yet, and those that nobody waits for any more.
#[derive(Default)]
struct Answers {
    ended: Vec<Completion>,
    given_up: HashSet<u64>,
}

/// Called when `completions`, `loaded` or `troubles` have something new, or the schedule was changed behind the queue's
/// back; from the writer's and the reader's thread. It must not call back.
pub type Waker = Box<dyn Fn() + Send + Sync>;

/// What waits for the writer.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) items: VecDeque<(Item, usize)>,
    /// Commits among them.
    pub(crate) commit_count: usize,
    pub(crate) is_closing: bool,
    /// More is about to come: the next batch begins with `write_gathered`.
    pub(crate) is_gathering: bool,
    /// A batch is to begin, even if more is being gathered by the time the writer looks. Only the writer, taking one,
    /// makes it false: whoever made it true may have been the last to ring.
    pub(crate) is_due: bool,
    pub(crate) waiting: Waiting,
}

impl Inbox {
    /// Whether there is no reason to begin a batch.
    pub(crate) fn is_quiet(&self) -> bool {
        !(self.is_due || self.is_closing)
    }
}

/// What the writer's thread sleeps for. While it works it looks again by itself, which saves a system call an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Waiting {
    #[default]
    Nothing,
    Anything,
    /// For a moment: a commit to share a sync with.
    Commit,
}

/// What waits for the reader.
#[derive(Default)]
pub(crate) struct Errands {
    pub(crate) loads: VecDeque<u64>,
    /// A segment is to be made ready ahead of its need.
    pub(crate) wants_spare: bool,
    pub(crate) is_closing: bool,
}

/// The books: what is in the spool, where, and when it is due.
#[derive(Default)]
pub(crate) struct Core {
    pub(crate) index: Index,
    pub(crate) schedule: Schedule,
    pub(crate) segments: Segments,
    /// Octets of messages kept in memory though they are not in hand.
    pub(crate) cached_octets: usize,
    pub(crate) counts: Counts,
    pub(crate) corrupt_count: u64,
    pub(crate) commit_count: u64,
    pub(crate) batch_count: u64,
}

/// Messages by state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts([usize; 4]);

impl Counts {
    pub(crate) fn get(&mut self, state: crate::index::State) -> &mut usize {
        &mut self.0[state as usize]
    }

    #[cfg(test)]
    pub(crate) fn all(self) -> [usize; 4] {
        self.0
    }
}

impl Core {
    /// Changes the state of a message, and the count of messages in it.
    pub(crate) fn set_state(&mut self, slot: Slot, state: crate::index::State) {
        let entry = self.index.get_mut(slot);
        *self.counts.get(entry.state) -= 1;
        entry.state = state;
        *self.counts.get(state) += 1;
    }

    /// The message is no longer kept in memory for whoever takes it first.
    pub(crate) fn uncache(&mut self, slot: Slot) -> Option<Arc<StoredMessage>> {
        let message = self.index.cached.remove(&slot)?;
        self.cached_octets -= cached_octets(&message);
        Some(message)
    }

    /// Keeps the message in memory while nobody has it in hand.
    pub(crate) fn cache(&mut self, slot: Slot, message: Arc<StoredMessage>) {
        self.cached_octets += cached_octets(&message);
        self.index.cached.insert(slot, message);
    }

    /// The message can be read back when it is wanted, unless the disk does not know all about it yet.
    pub(crate) fn evict(&mut self, slot: Slot) {
        let is_written = |m: &Arc<StoredMessage>| m.unwritten.load(Ordering::Relaxed) == 0;
        if self.index.cached.get(&slot).is_some_and(is_written) {
            self.uncache(slot);
        }
    }
}

/// What a message in memory counts for.
pub(crate) fn cached_octets(message: &StoredMessage) -> usize {
    message.header_section.len() + message.as_slices().map_or(0, |[_, body]| body.len())
}

/// A segment file that is free to be used again.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) slot: u32,
    pub(crate) file: Arc<dyn SegmentFile>,
    pub(crate) generation: u64,
}

/// Whether the log can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Health {
    Good = 0,
    /// No space for a new segment.
    Full = 1,
    /// Writing fails.
    Broken = 2,
}

impl Health {
    pub(crate) fn of(error: &SpoolError) -> Self {
        if matches!(error, SpoolError::Full) {
            Self::Full
        } else {
            Self::Broken
        }
    }
}

/// See the module's description.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) storage: Arc<dyn Storage>,
    /// See `format.rs`.
    pub(crate) salt: u32,
    pub(crate) inbox: Mutex<Inbox>,
    pub(crate) inbox_filled: Condvar,
    pub(crate) errands: Mutex<Errands>,
    pub(crate) errands_filled: Condvar,
    pub(crate) core: Mutex<Core>,
    pub(crate) spares: Mutex<Vec<Spare>>,
    next_slot: Mutex<u32>,
    answers: Mutex<Answers>,
    loaded: Mutex<Vec<Arc<StoredMessage>>>,
    /// Taken, but neither handed out by `take_loaded` nor given up.
    loading_count: AtomicUsize,
    troubles: Mutex<VecDeque<String>>,
    waker: Waker,
    held_octets: AtomicUsize,
    pub(crate) pending_octets: AtomicUsize,
    last_id: AtomicU64,
    stream_count: AtomicU64,
    token_count: AtomicU64,
    health: AtomicU8,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings, storage: Arc<dyn Storage>, salt: u32, waker: Waker) -> Self {
        Self {
            settings,
            storage,
            salt,
            inbox: Mutex::default(),
            inbox_filled: Condvar::new(),
            errands: Mutex::default(),
            errands_filled: Condvar::new(),
            core: Mutex::default(),
            spares: Mutex::default(),
            next_slot: Mutex::new(1),
            answers: Mutex::default(),
            loaded: Mutex::default(),
            loading_count: AtomicUsize::new(0),
            troubles: Mutex::default(),
            waker,
            held_octets: AtomicUsize::new(0),
            pending_octets: AtomicUsize::new(0),
            last_id: AtomicU64::new(0),
            stream_count: AtomicU64::new(0),
            token_count: AtomicU64::new(0),
            health: AtomicU8::new(Health::Good as u8),
        }
    }

    /// Gives the writer something to do; `octets` is what it holds in memory until it is written.
    pub(crate) fn push(&self, item: Item, octets: usize) {
        self.pending_octets.fetch_add(octets, Ordering::Relaxed);
        let mut inbox = lock(&self.inbox);
        let is_commit = matches!(item, Item::Commit(_));
        inbox.commit_count += usize::from(is_commit);
        inbox.items.push_back((item, octets));
        inbox.is_due |= !inbox.is_gathering;
        let wakes = match inbox.waiting {
            _ if inbox.is_gathering => false,
            Waiting::Nothing => false,
            Waiting::Anything => true,
            Waiting::Commit => is_commit,
        };
        if wakes {
            inbox.waiting = Waiting::Nothing;
            self.inbox_filled.notify_one();
        }
    }

    /// From now on what is pushed waits for `write_gathered`.
    pub(crate) fn gather(&self) {
        lock(&self.inbox).is_gathering = true;
    }

    pub(crate) fn write_gathered(&self) {
        let mut inbox = lock(&self.inbox);
        inbox.is_gathering = false;
        inbox.is_due = !inbox.items.is_empty();
        if inbox.waiting != Waiting::Nothing && inbox.is_due {
            inbox.waiting = Waiting::Nothing;
            self.inbox_filled.notify_one();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.inbox).is_closing
    }

    /// Answers commits, and wakes whoever waits for the answers.
    pub(crate) fn complete(&self, completions: Vec<Completion>) {
        if !completions.is_empty() {
            let mut answers = lock(&self.answers);
            for (token, _) in &completions {
                answers.given_up.remove(token);
            }
            answers.ended.extend(completions);
            drop(answers);
            (self.waker)();
        }
    }

    pub(crate) fn take_completions(&self) -> Vec<Completion> {
        std::mem::take(&mut lock(&self.answers).ended)
    }

    /// False where the commit has ended already, however. The lock of `core` is held: a batch that was written goes into
    /// the books and is answered in one piece.
    pub(crate) fn give_up(&self, _: &Core, token: u64) -> bool {
        let mut answers = lock(&self.answers);
        let goes_on = answers.ended.iter().all(|(ended, _)| *ended != token);
        if goes_on {
            answers.given_up.insert(token);
        }
        goes_on
    }

    pub(crate) fn is_given_up(&self, token: u64) -> bool {
        lock(&self.answers).given_up.contains(&token)
    }

    pub(crate) fn deliver_loaded(&self, message: Arc<StoredMessage>) {
        lock(&self.loaded).push(message);
        (self.waker)();
    }

    pub(crate) fn take_loaded(&self) -> Vec<Arc<StoredMessage>> {
        let loaded = std::mem::take(&mut *lock(&self.loaded));
        self.loading_count.fetch_sub(loaded.len(), Ordering::Relaxed);
        loaded
    }

    /// Sends for messages that are not in memory.
    pub(crate) fn send_for(&self, ids: Vec<u64>) {
        self.loading_count.fetch_add(ids.len(), Ordering::Relaxed);
        lock(&self.errands).loads.extend(ids);
        self.errands_filled.notify_one();
    }

    /// One that was sent for does not come.
    pub(crate) fn gave_up_loading(&self) {
        self.loading_count.fetch_sub(1, Ordering::Relaxed);
        (self.waker)(); // whoever counts it as in hand has room again
    }

    pub(crate) fn loading_count(&self) -> usize {
        self.loading_count.load(Ordering::Relaxed)
    }

    /// Notes something that a person should know, for the log.
    pub(crate) fn trouble(&self, text: String) {
        let mut troubles = lock(&self.troubles);
        if troubles.len() < TROUBLES_MAX {
            troubles.push_back(text);
        }
        drop(troubles);
        (self.waker)();
    }

    pub(crate) fn take_troubles(&self) -> Vec<String> {
        lock(&self.troubles).drain(..).collect()
    }

    pub(crate) fn next_token(&self) -> u64 {
        self.token_count.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn next_stream(&self) -> u64 {
        self.stream_count.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// An id greater than all before, which sorts by time as long as the clock does not go back: the time in
    /// milliseconds, ten bits that count, ten bits of shard.
    pub(crate) fn next_id(&self, now: UnixMs) -> SpoolId {
        let by_clock = now.0.min((1 << 43) - 1) << 20;
        let shards = u64::from(SHARDS_MAX);
        let shard = u64::from(self.settings.shard);
        let next = |last: u64| ((last / shards + 1) * shards).max(by_clock) + shard;
        let last = self
            .last_id
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)))
            .unwrap_or_else(|last| last);
        SpoolId(next(last))
    }

    pub(crate) fn last_id(&self) -> u64 {
        self.last_id.load(Ordering::Relaxed)
    }

    /// No id up to this one is given out again.
    pub(crate) fn reserve_ids(&self, last: u64) {
        self.last_id.fetch_max(last, Ordering::Relaxed);
    }

    pub(crate) fn next_slot(&self) -> u32 {
        let mut slot = lock(&self.next_slot);
        *slot += 1;
        *slot - 1
    }

    pub(crate) fn reserve_slots(&self, last: u32) {
        let mut slot = lock(&self.next_slot);
        *slot = (*slot).max(last + 1);
    }

    /// A writer holds `now` octets instead of `before`.
    pub(crate) fn note_held(&self, before: usize, now: usize) {
        // Wraps where it shrinks, which is what subtraction is.
        self.held_octets
            .fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Octets that writers hold in memory.
    pub(crate) fn held_octets(&self) -> usize {
        self.held_octets.load(Ordering::Relaxed)
    }

    /// From which size on a body goes to the log, and in pieces of which size.
    pub(crate) fn piece_octets(&self) -> usize {
        let held = self.held_octets() + self.pending_octets.load(Ordering::Relaxed);
        if held > self.settings.memory_octets_max {
            self.settings.spill_octets / 8
        } else {
            self.settings.spill_octets
        }
    }

    /// So much waits to be written that more must not be kept in memory.
    pub(crate) fn is_overrun(&self) -> bool {
        self.pending_octets.load(Ordering::Relaxed) > 2 * self.settings.pending_octets_max
    }

    pub(crate) fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            0 => Health::Good,
            1 => Health::Full,
            _ => Health::Broken,
        }
    }

    pub(crate) fn set_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Relaxed);
    }

    /// The log is no longer in that state, if it was.
    pub(crate) fn heal(&self, from: Health) {
        if self.health() == from {
            self.set_health(Health::Good);
        }
    }

    /// Whether the disk has room for another segment and what must stay free.
    pub(crate) fn has_room(&self) -> bool {
        let needed = self.settings.free_octets_min + u64::from(self.settings.segment_octets);
        self.storage.free_octets().is_ok_and(|free| free >= needed)
    }

    /// Keeps a free segment; returns the oldest where there are too many: the headers of the newest know the latest
    /// ids.
    pub(crate) fn add_spare(&self, spare: Spare) -> Option<Spare> {
        self.heal(Health::Full);
        let mut spares = lock(&self.spares);
        spares.push(spare);
        (spares.len() > SPARE_SEGMENTS_MAX).then(|| spares.remove(0))
    }

    /// Makes a new segment file, ahead of its need or because none is left.
    pub(crate) fn make_spare(&self) -> Result<Spare, SpoolError> {
        let slot = self.next_slot();
        let create = || {
            let file = self.storage.create(slot, self.settings.segment_octets)?;
            // Should its first header be damaged one day, this one still tells the salt. It needs no sync of its own.
            let header = SegmentHeader {
                state: SegmentState::Free,
                number: 0,
                generation: 0,
                id_floor: self.last_id(),
                segment_octets: self.settings.segment_octets,
                salt: self.salt,
                before: (0, 0),
                cuts: Vec::new(),
            };
            file.write_at(header.offset(), &[std::io::IoSlice::new(&header.encode())])?;
            Ok(file)
        };
        let file = create().map_err(|e| SpoolError::io("create a segment", e))?;
        Ok(Spare {
            slot,
            file,
            generation: 0,
        })
    }
}

//! The face of the durable queue: what the rest of pymta may do with it.
//!
//! Nothing here waits for the disk except `load` (for a person who looks) and `close`. Commits are answered by
//! [`Spool::completions`], messages that have to be read by [`Spool::loaded`]; the waker says when to look.

mod operator;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use pymta_types::{SpoolId, UnixMs};

use crate::content::ContentWriter;
use crate::error::SpoolError;
use crate::index::{InHand, Slot, State};
use crate::lock::lock;
use crate::log::{Item, Log};
use crate::message::StoredMessage;
use crate::reader;
use crate::recovery::{Recovery, recover};
use crate::settings::{CHAIN_MAX, FREE_CHECK_MS, SNAPSHOT_RECIPIENTS_MAX, Settings};
use crate::shared::{Completion, Core, Health, Shared, Waker};
use crate::status::{Outcome, StatusHead, Statuses, encode_delta, encode_snapshot};
use crate::storage::{Disk, Storage};
use crate::threads::Threads;

/// What one attempt said about one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Note<'a> {
    /// Which recipient, by its index in the envelope.
    pub index: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// The last reply about it; what is longer than 256 octets is cut.
    pub reply: &'a str,
}

/// Whether new mail may be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Ok,
    /// The disk is full: 452 4.3.1.
    Full,
    /// Too much waits to be written: 451 4.3.0.
    Slow,
    /// Writing fails: 451 4.3.0.
    Broken,
}

/// One line of a list of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The message.
    pub id: SpoolId,
    /// What it waits for.
    pub state: State,
    /// Canonical domain of its first pending recipient.
    pub group: String,
    /// When it is due; 0 where it is on hold from the start.
    pub due: UnixMs,
    /// When it was spooled.
    pub spooled_at: UnixMs,
    /// Rounds that ended with something deferred.
    pub attempts: u32,
    /// Header section and body; at most 4 GiB is said.
    pub size_octets: u64,
}

/// Which messages to list.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Only in this state.
    pub state: Option<State>,
    /// Only with a recipient at this domain; or with several recipients, of which one may be there.
    pub domain: Option<&'a str>,
    /// Only ids greater than this one.
    pub after: Option<SpoolId>,
}

/// Numbers for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages never tried.
    pub incoming: u64,
    /// Messages in hand.
    pub active: u64,
    /// Messages to be tried again.
    pub deferred: u64,
    /// Messages on hold.
    pub hold: u64,
    /// Messages and parts of segments that were set aside as damaged since the start (found at it included).
    pub corrupt: u64,
    /// Segments of the log.
    pub segments: u64,
    /// Octets of all segment files, spare ones included.
    pub disk_octets: u64,
    /// Octets in them that are still needed.
    pub live_octets: u64,
    /// Memory of index and schedule.
    pub index_octets: u64,
    /// Messages committed since the start.
    pub commits: u64,
    /// Syncs that they shared.
    pub commit_batches: u64,
    /// Octets that wait to be written.
    pub pending_octets: u64,
}

/// The durable queue of one folder.
pub struct Spool {
    shared: Arc<Shared>,
    log: Arc<Mutex<Log>>,
    threads: Mutex<Option<Threads>>,
    recovery: Recovery,
    /// When the free space was last asked for, and whether it was enough.
    free_space: Mutex<(u64, bool)>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("recovery", &self.recovery)
            .finish_non_exhaustive()
    }
}

impl Spool {
    /// Opens (or makes) the spool in `folder`, and starts its writer and its reader.
    ///
    /// # Errors
    /// `InUse`, `LaterFormat`, or `Io` where the folder cannot be used.
    pub fn open(folder: &Path, settings: Settings, waker: Waker) -> Result<Self, SpoolError> {
        let disk = Disk::open(folder)
            .map_err(|e| SpoolError::io("open the spool folder", e))?
            .ok_or(SpoolError::InUse)?;
        let spool = Self::open_stepped(Arc::new(disk), settings, waker)?;
        spool.lay_out_spare();
        let threads =
            Threads::start(&spool.shared, &spool.log).map_err(|e| SpoolError::io("start a thread", e))?;
        *lock(&spool.threads) = Some(threads);
        Ok(spool)
    }

    /// The first commit shall not wait for a segment to be laid out. Where that fails, the commit will say so.
    fn lay_out_spare(&self) {
        if lock(&self.shared.spares).is_empty()
            && self.shared.has_room()
            && let Ok(spare) = self.shared.make_spare()
        {
            self.shared.add_spare(spare);
        }
    }

    /// The same without threads: whoever has it calls `write_step` and `read_step`.
    pub(crate) fn open_stepped(
        storage: Arc<dyn Storage>,
        settings: Settings,
        waker: Waker,
    ) -> Result<Self, SpoolError> {
        let (shared, log, recovery) = recover(settings.bounded(), storage, waker)?;
        log.order_spare(&shared);
        Ok(Self {
            shared,
            log: Arc::new(Mutex::new(log)),
            threads: Mutex::new(None),
            recovery,
            free_space: Mutex::new((0, true)),
        })
    }

    #[cfg(test)]
    pub(crate) fn write_step(&self) -> crate::log::Progress {
        lock(&self.log).step(&self.shared)
    }

    #[cfg(test)]
    pub(crate) fn read_step(&self) -> bool {
        crate::threads::read_step(&self.shared)
    }

    #[cfg(test)]
    pub(crate) fn finish(&self) {
        while self.write_step() == crate::log::Progress::Worked {}
        lock(&self.log).finish(&self.shared);
    }

    #[cfg(test)]
    pub(crate) fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        lock(&self.log)
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What the start found.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// A writer for the content of one message.
    pub fn writer(&self) -> ContentWriter {
        ContentWriter::new(self.shared.clone())
    }

    /// What is committed from now on waits for `write_gathered`, so that messages that end at nearly the same time
    /// share one sync from the start and the first of them does not get one of its own.
    pub fn gather(&self) {
        self.shared.gather();
    }

    /// Begins to write what was gathered. Without `gather`, the writer begins by itself.
    pub fn write_gathered(&self) {
        self.shared.write_gathered();
    }

    /// Nobody waits for this commit any more, whose message was refused: when it ends the message is not in the spool. It
    /// cannot be called back, as the disk may have it already. False where it has ended: `completions` says how.
    pub fn give_up(&self, token: u64) -> bool {
        let core = lock(&self.shared.core);
        self.shared.give_up(&core, token)
    }

    /// The commits that ended since the last call.
    pub fn completions(&self) -> Vec<Completion> {
        self.shared.take_completions()
    }

    /// The messages that `take_due` sent for and that were read since the last call.
    pub fn loaded(&self) -> Vec<Arc<StoredMessage>> {
        self.shared.take_loaded()
    }

    /// How many messages `take_due` sent for that `loaded` did not return yet; those that cannot be read no longer count.
    pub fn loading_count(&self) -> usize {
        self.shared.loading_count()
    }

    /// What a person should know, a line each, since the last call.
    pub fn troubles(&self) -> Vec<String> {
        self.shared.take_troubles()
    }

    /// Octets that wait to be written.
    pub fn pending_octets(&self) -> usize {
        self.shared.pending_octets.load(Ordering::Relaxed)
    }

    /// Whether new mail may be accepted now.
    pub fn admission(&self, now: UnixMs) -> Admission {
        match self.shared.health() {
            Health::Broken => return Admission::Broken,
            Health::Full => return Admission::Full,
            Health::Good => {}
        }
        if self.pending_octets() > self.shared.settings.pending_octets_max {
            return Admission::Slow;
        }
        let mut free_space = lock(&self.free_space);
        // A clock that was set back must not stop the asking.
        if now.0.abs_diff(free_space.0) >= FREE_CHECK_MS {
            let free = self.shared.storage.free_octets();
            *free_space = (
                now.0,
                free.is_ok_and(|f| f >= self.shared.settings.free_octets_min),
            );
        }
        if free_space.1 {
            Admission::Ok
        } else {
            Admission::Full
        }
    }

    /// Takes up to `count_max` messages that are due, fairly between groups, of which none gets more than
    /// `active_per_group_max` in all. Those in memory are returned; the others come by `loaded`.
    pub fn take_due(
        &self,
        now: UnixMs,
        count_max: usize,
        active_per_group_max: u32,
    ) -> Vec<Arc<StoredMessage>> {
        let mut taken = Vec::new();
        let mut loads = Vec::new();
        {
            let mut core = lock(&self.shared.core);
            let core = &mut *core;
            while taken.len() + loads.len() < count_max {
                let Some(slot) = core.schedule.take(&mut core.index, now.0, active_per_group_max) else {
                    break;
                };
                core.set_state(slot, State::Active);
                match core.uncache(slot) {
                    Some(message) => {
                        core.index.in_hand.insert(slot, InHand::Loaded(message.clone()));
                        taken.push(message);
                    }
                    None => {
                        core.index.in_hand.insert(slot, InHand::Loading);
                        loads.push(core.index.get(slot).id);
                    }
                }
            }
        }
        if !loads.is_empty() {
            self.shared.send_for(loads);
        }
        taken
    }

    /// Notes outcomes of an active message, with the next batch.
    ///
    /// # Errors
    /// `NotActive`, `NoSuchRecipient`; then nothing was noted.
    pub fn record(&self, id: SpoolId, notes: &[Note<'_>]) -> Result<(), SpoolError> {
        let mut core = lock(&self.shared.core);
        let (slot, message) = in_hand(&core, id)?;
        let mut statuses = message.statuses();
        note_all(&mut statuses, notes)?;
        self.write_status(&mut core, slot, &message, &statuses, notes);
        Ok(())
    }

    /// `record`, then ends the round. Returns true where no recipient is pending any more and the message left the
    /// spool; else it waits until `due`.
    ///
    /// # Errors
    /// As of `record`.
    pub fn settle(&self, id: SpoolId, notes: &[Note<'_>], due: UnixMs) -> Result<bool, SpoolError> {
        let mut core = lock(&self.shared.core);
        let core = &mut *core;
        let (slot, message) = in_hand(core, id)?;
        let mut statuses = message.statuses();
        note_all(&mut statuses, notes)?;
        if statuses.pending_count() == 0 {
            drop(statuses);
            let ended = core.forget(slot);
            self.shared.push(Item::Done(ended), 0);
            return Ok(true);
        }
        if std::mem::take(&mut statuses.deferred_in_round) {
            statuses.attempts += 1;
        }
        core.schedule.note_active(&core.index, slot, false);
        core.index.in_hand.remove(&slot);
        let entry = core.index.get_mut(slot);
        entry.attempts = u16::try_from(statuses.attempts).unwrap_or(u16::MAX);
        entry.due_ms = due.0;
        let state = entry.waiting_state();
        entry.request_hold(false);
        core.set_state(slot, state);
        let group = group_of(&message, &statuses);
        if core.schedule.name(core.index.get(slot).group) != group {
            core.schedule.leave(&core.index, slot);
            core.schedule.join(&mut core.index, slot, &group);
        }
        if state != State::Hold {
            core.schedule.add(&mut core.index, slot);
        }
        self.write_status(core, slot, &message, &statuses, notes);
        drop(statuses);
        // Whoever takes it before this record is written must not read the one before.
        core.cache(slot, message);
        Ok(false)
    }

    /// Has a status record written: of everything where that is little or there are many records already, of what
    /// changed otherwise.
    fn write_status(
        &self,
        core: &mut Core,
        slot: Slot,
        message: &Arc<StoredMessage>,
        statuses: &Statuses,
        notes: &[Note<'_>],
    ) {
        let entry = core.index.get(slot);
        let head = StatusHead {
            id: entry.id,
            due_ms: entry.due_ms,
            held: entry.state == State::Hold || entry.hold_requested(),
            group: group_of(message, statuses),
        };
        // A snapshot of many recipients is written only between rounds: in one, records come often.
        let is_settled = entry.state != State::Active;
        let is_snapshot = message.envelope.recipients.len() <= SNAPSHOT_RECIPIENTS_MAX
            || (is_settled && core.index.chain_len(slot) >= CHAIN_MAX);
        let payload = if is_snapshot {
            encode_snapshot(&head, statuses)
        } else {
            encode_delta(&head, statuses, notes.iter().map(|n| n.index))
        };
        let octets = payload.len();
        message.unwritten.fetch_add(1, Ordering::Relaxed);
        self.shared.push(
            Item::Status {
                id: head.id,
                payload,
                is_snapshot,
                message: Some(message.clone()),
            },
            octets,
        );
    }

    /// When there may next be something to take; None where nothing waits.
    pub fn next_due(&self) -> Option<UnixMs> {
        let core = lock(&self.shared.core);
        core.schedule.next_due_ms().map(UnixMs)
    }

    /// Nothing of the group is due before `until`; `UnixMs(0)` ends a suspension. Not remembered over a restart.
    pub fn suspend(&self, group: &str, until: UnixMs) {
        let mut core = lock(&self.shared.core);
        let core = &mut *core;
        core.schedule.suspend(&core.index, group, until.0);
    }

    /// The groups that are suspended, and until when.
    pub fn suspended(&self, now: UnixMs) -> Vec<(String, UnixMs)> {
        let suspended = lock(&self.shared.core).schedule.suspended(now.0);
        suspended
            .into_iter()
            .map(|(group, until_ms)| (group, UnixMs(until_ms)))
            .collect()
    }

    /// The message as it is now, read from the disk if need be; None where it is not in the spool.
    ///
    /// # Errors
    /// `Io`, or `Damaged`.
    pub fn load(&self, id: SpoolId) -> Result<Option<Arc<StoredMessage>>, SpoolError> {
        {
            let core = lock(&self.shared.core);
            let Some(slot) = core.index.find(id.0) else {
                return Ok(None);
            };
            if let Some(InHand::Loaded(message)) = core.index.in_hand.get(&slot) {
                return Ok(Some(message.clone()));
            }
            if let Some(message) = core.index.cached.get(&slot) {
                return Ok(Some(message.clone()));
            }
        }
        reader::load(&self.shared, id.0)
    }

    /// Writes what waits, syncs, and stops the threads. May be called again.
    pub fn close(&self) {
        lock(&self.shared.inbox).is_closing = true;
        match lock(&self.threads).take() {
            Some(threads) => threads.stop(&self.shared),
            None => return,
        }
        self.shared.take_loaded();
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.close();
    }
}

/// The canonical domain of the first pending recipient.
fn group_of(message: &StoredMessage, statuses: &Statuses) -> String {
    statuses
        .pending()
        .next()
        .and_then(|index| message.envelope.recipients.get(index as usize))
        .map(|recipient| recipient.forward_path.domain().to_lowercase())
        .unwrap_or_default()
}

fn in_hand(core: &Core, id: SpoolId) -> Result<(Slot, Arc<StoredMessage>), SpoolError> {
    let slot = core.index.find(id.0).ok_or(SpoolError::NotActive)?;
    match core.index.in_hand.get(&slot) {
        Some(InHand::Loaded(message)) => Ok((slot, message.clone())),
        Some(InHand::Loading) | None => Err(SpoolError::NotActive),
    }
}

fn note_all(statuses: &mut Statuses, notes: &[Note<'_>]) -> Result<(), SpoolError> {
    if let Some(note) = notes.iter().find(|n| statuses.state(n.index).is_none()) {
        return Err(SpoolError::NoSuchRecipient(note.index));
    }
    for note in notes {
        statuses.note(note.index, note.outcome, note.reply);
    }
    Ok(())
}

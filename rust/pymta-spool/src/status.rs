//! What became of each recipient of one message: in memory while it is in hand, and as payload of a status record.
//!
//! Not here: when records are written, and where they lie (`index.rs`, `log.rs`).

use crate::codec::{DecodeError, Decoder};
use crate::format::octets_u32;
use crate::settings::{REPLY_OCTETS_MAX, SNAPSHOT_RECIPIENTS_MAX};

/// What one attempt said about a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The next hop took it.
    Delivered,
    /// Try again later.
    Deferred,
    /// The same, and the reverse-path was told that it is late.
    Delayed,
    /// It cannot be delivered.
    Failed,
    /// Its lifetime is over.
    Expired,
    /// An operator took it out.
    Dropped,
}

/// Where a recipient stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RecipientState {
    /// Never tried.
    #[default]
    Pending = 0,
    /// See [`Outcome`].
    Delivered = 1,
    /// See [`Outcome`].
    Failed = 2,
    /// See [`Outcome`].
    Expired = 3,
    /// See [`Outcome`].
    Dropped = 4,
    /// To be tried again.
    Deferred = 5,
    /// To be tried again, and the delay was reported; it stays so, since it is reported once.
    Delayed = 6,
}

impl RecipientState {
    /// Whether it still has to be tried.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Pending | Self::Deferred | Self::Delayed)
    }

    /// The word for it in lists and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
            Self::Deferred => "deferred",
            Self::Delayed => "delayed",
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [
            Self::Pending,
            Self::Delivered,
            Self::Failed,
            Self::Expired,
            Self::Dropped,
            Self::Deferred,
            Self::Delayed,
        ]
        .into_iter()
        .find(|s| *s as u8 == code)
    }
}

impl From<Outcome> for RecipientState {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Deferred => Self::Deferred,
            Outcome::Delayed => Self::Delayed,
            Outcome::Delivered => Self::Delivered,
            Outcome::Failed => Self::Failed,
            Outcome::Expired => Self::Expired,
            Outcome::Dropped => Self::Dropped,
        }
    }
}

/// One recipient's state and the last reply about it, cut to 256 octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) state: RecipientState,
    pub(crate) reply: Option<Box<str>>,
}

/// The status of all recipients of a message.
#[derive(Clone, Debug, Default)]
pub struct Statuses {
    /// Empty as long as nothing was ever said.
    items: Vec<Status>,
    recipient_count: usize,
    pending_count: usize,
    /// Rounds that ended with something deferred.
    pub(crate) attempts: u32,
    /// Whether anything was deferred in the round that is going on.
    pub(crate) deferred_in_round: bool,
}

impl Statuses {
    pub(crate) fn new(recipient_count: usize) -> Self {
        Self {
            recipient_count,
            pending_count: recipient_count,
            ..Self::default()
        }
    }

    /// Rounds of delivery so far that ended with something deferred.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How many recipients still have to be tried.
    pub fn pending_count(&self) -> usize {
        self.pending_count
    }

    /// Indexes of the recipients that still have to be tried.
    pub fn pending(&self) -> impl Iterator<Item = u32> + '_ {
        (0..octets_u32(self.recipient_count))
            .filter(|&i| self.state(i).is_some_and(RecipientState::is_pending))
    }

    /// The state of a recipient; None where there is no such index.
    pub fn state(&self, index: u32) -> Option<RecipientState> {
        let index = index as usize;
        (index < self.recipient_count).then(|| self.items.get(index).map(|s| s.state).unwrap_or_default())
    }

    /// The last reply about a recipient; empty where there was none.
    pub fn reply(&self, index: u32) -> &str {
        self.items
            .get(index as usize)
            .and_then(|s| s.reply.as_deref())
            .unwrap_or("")
    }

    /// Notes an outcome. A recipient that is no longer pending keeps its state: it left the queue one way, once.
    ///
    /// Returns false where there is no such index.
    pub(crate) fn note(&mut self, index: u32, outcome: Outcome, reply: &str) -> bool {
        let state = match (self.state(index), outcome) {
            (None, _) => return false,
            (Some(before), _) if !before.is_pending() => return true,
            (Some(RecipientState::Delayed), Outcome::Deferred) => RecipientState::Delayed,
            (Some(_), outcome) => outcome.into(),
        };
        self.deferred_in_round |= state.is_pending();
        self.set(index, state, reply);
        true
    }

    fn set(&mut self, index: u32, state: RecipientState, reply: &str) {
        if self.items.is_empty() {
            self.items = vec![Status::default(); self.recipient_count];
        }
        let item = &mut self.items[index as usize];
        let (was_pending, is_pending) = (item.state.is_pending(), state.is_pending());
        item.state = state;
        item.reply = (!reply.is_empty()).then(|| cut(reply).into());
        self.pending_count = self.pending_count + usize::from(is_pending) - usize::from(was_pending);
    }

    /// All that the disk must know: final states in runs, and replies: of the pending, and where there are few
    /// recipients of all.
    fn snapshot_entries(&self) -> Vec<StatusEntry<'_>> {
        let keeps_all = self.recipient_count <= SNAPSHOT_RECIPIENTS_MAX;
        let mut entries: Vec<StatusEntry<'_>> = Vec::new();
        for (index, item) in self.items.iter().enumerate() {
            let pending = item.state.is_pending();
            let reply = item
                .reply
                .as_deref()
                .filter(|_| pending || keeps_all)
                .unwrap_or("");
            if item.state == RecipientState::Pending && reply.is_empty() {
                continue;
            }
            let index = octets_u32(index);
            match entries.last_mut() {
                Some(last)
                    if last.state == item.state && last.reply == reply && last.index + last.run == index =>
                {
                    last.run += 1;
                }
                _ => entries.push(StatusEntry {
                    index,
                    run: 1,
                    state: item.state,
                    reply,
                }),
            }
        }
        entries
    }

    /// Applies a status record read from the disk.
    pub(crate) fn apply(&mut self, record: &StatusRecord<'_>) -> Result<(), DecodeError> {
        if record.is_snapshot {
            *self = Self::new(self.recipient_count);
        }
        self.attempts = record.attempts;
        for entry in record.entries()? {
            let end = entry.index.checked_add(entry.run).ok_or(DecodeError)?;
            if end as usize > self.recipient_count {
                return Err(DecodeError);
            }
            (entry.index..end).for_each(|index| self.set(index, entry.state, entry.reply));
        }
        Ok(())
    }
}

/// A run of recipients with the same status.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StatusEntry<'a> {
    pub(crate) index: u32,
    pub(crate) run: u32,
    pub(crate) state: RecipientState,
    pub(crate) reply: &'a str,
}

/// What a status record says about the message beside its recipients.
#[derive(Clone, Debug)]
pub(crate) struct StatusHead {
    pub(crate) id: u64,
    pub(crate) due_ms: u64,
    pub(crate) held: bool,
    /// Canonical domain of the first pending recipient.
    pub(crate) group: String,
}

/// Payload of a status record; all of it is head.
///
/// | offset | octets | field |
/// | --- | --- | --- |
/// | 0 | 8 | id of the message |
/// | 8 | 8 | due, Unix ms |
/// | 16 | 4 | attempts |
/// | 20 | 1 | flags: 1 snapshot (forget what earlier records said), 2 held |
/// | 21 | 1 | zero |
/// | 22 | 2 | octets of the group |
/// | 24 | 4 | count of entries |
/// | 28 | | group, then entries |
///
/// Entry: index (4), run (4), state (1), zero (1), octets of the reply (2), reply. It is about `run` recipients from
/// `index` on. States: 0 never tried,
/// 1 delivered, 2 failed, 3 expired, 4 dropped, 5 deferred, 6 deferred and the delay was reported.
#[derive(Debug)]
pub(crate) struct StatusRecord<'a> {
    pub(crate) id: u64,
    pub(crate) due_ms: u64,
    pub(crate) attempts: u32,
    pub(crate) is_snapshot: bool,
    pub(crate) held: bool,
    pub(crate) group: &'a str,
    entry_count: u32,
    entries: &'a [u8],
}

const SNAPSHOT: u8 = 1;
const HELD: u8 = 2;

impl<'a> StatusRecord<'a> {
    pub(crate) fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(payload);
        let id = from.u64()?;
        let due_ms = from.u64()?;
        let attempts = from.u32()?;
        let flags = from.u8()?;
        from.u8()?;
        let group_octets = from.u16()?;
        let entry_count = from.u32()?;
        Ok(Self {
            id,
            due_ms,
            attempts,
            is_snapshot: flags & SNAPSHOT != 0,
            held: flags & HELD != 0,
            group: from.text(usize::from(group_octets))?,
            entry_count,
            entries: from.rest(),
        })
    }

    /// What it says about the message.
    pub(crate) fn head(&self) -> StatusHead {
        StatusHead {
            id: self.id,
            due_ms: self.due_ms,
            held: self.held,
            group: self.group.to_owned(),
        }
    }

    pub(crate) fn entries(&self) -> Result<Vec<StatusEntry<'a>>, DecodeError> {
        let mut from = Decoder::new(self.entries);
        // Not reserved by the count: it came from the disk.
        let mut entries = Vec::new();
        for _ in 0..self.entry_count {
            let index = from.u32()?;
            let run = from.u32()?;
            let state = RecipientState::from_code(from.u8()?).ok_or(DecodeError)?;
            from.u8()?;
            let reply_octets = from.u16()?;
            let reply = from.text(usize::from(reply_octets))?;
            entries.push(StatusEntry {
                index,
                run,
                state,
                reply,
            });
        }
        Ok(entries)
    }
}

/// A status record that replaces all earlier ones of its message.
pub(crate) fn encode_snapshot(head: &StatusHead, statuses: &Statuses) -> Vec<u8> {
    encode(head, statuses, SNAPSHOT, &statuses.snapshot_entries())
}

/// A status record that adds to the earlier ones of its message.
pub(crate) fn encode_delta(
    head: &StatusHead,
    statuses: &Statuses,
    indexes: impl Iterator<Item = u32>,
) -> Vec<u8> {
    let entries: Vec<StatusEntry<'_>> = indexes
        .map(|index| StatusEntry {
            index,
            run: 1,
            state: statuses.state(index).unwrap_or_default(),
            reply: statuses.reply(index),
        })
        .collect();
    encode(head, statuses, 0, &entries)
}

/// A delta without entries, for a message whose statuses are on the disk only.
pub(crate) fn encode_change(head: &StatusHead, attempts: u32) -> Vec<u8> {
    let statuses = Statuses {
        attempts,
        ..Statuses::default()
    };
    encode(head, &statuses, 0, &[])
}

fn encode(head: &StatusHead, statuses: &Statuses, flags: u8, entries: &[StatusEntry<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(28 + head.group.len() + entries.len() * 16);
    out.extend_from_slice(&head.id.to_le_bytes());
    out.extend_from_slice(&head.due_ms.to_le_bytes());
    out.extend_from_slice(&statuses.attempts.to_le_bytes());
    out.push(flags | if head.held { HELD } else { 0 });
    out.push(0);
    out.extend_from_slice(&length_u16(head.group.len()).to_le_bytes());
    out.extend_from_slice(&octets_u32(entries.len()).to_le_bytes());
    out.extend_from_slice(head.group.as_bytes());
    for entry in entries {
        out.extend_from_slice(&entry.index.to_le_bytes());
        out.extend_from_slice(&entry.run.to_le_bytes());
        out.push(entry.state as u8);
        out.push(0);
        out.extend_from_slice(&length_u16(entry.reply.len()).to_le_bytes());
        out.extend_from_slice(entry.reply.as_bytes());
    }
    out
}

/// Domains and cut replies are shorter than 64 KiB.
fn length_u16(octets: usize) -> u16 {
    u16::try_from(octets).expect("domains and cut replies are short")
}

/// The beginning of a reply, cut at a character boundary.
fn cut(reply: &str) -> &str {
    let mut end = reply.len().min(REPLY_OCTETS_MAX);
    while !reply.is_char_boundary(end) {
        end -= 1;
    }
    &reply[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> StatusHead {
        StatusHead {
            id: 5,
            due_ms: 1000,
            held: true,
            group: "example.test".into(),
        }
    }

    fn reread(statuses: &Statuses, payload: &[u8], onto: &mut Statuses) {
        let record = StatusRecord::decode(payload).unwrap();
        assert_eq!((5, 1000, true), (record.id, record.due_ms, record.held));
        assert_eq!("example.test", record.group);
        onto.apply(&record).unwrap();
        assert_eq!(statuses.pending_count(), onto.pending_count());
    }

    #[test]
    fn a_snapshot_holds_final_states_and_replies_of_the_pending() {
        let mut statuses = Statuses::new(1000);
        (0..900).for_each(|i| assert!(statuses.note(i, Outcome::Delivered, "250 ok")));
        assert!(statuses.note(901, Outcome::Deferred, "451 later"));
        assert!(!statuses.note(1000, Outcome::Failed, "no such index"));
        statuses.attempts = 3;

        let payload = encode_snapshot(&head(), &statuses);
        assert!(payload.len() < 100, "runs keep it small: {}", payload.len());
        let mut read = Statuses::new(1000);
        reread(&statuses, &payload, &mut read);
        assert_eq!(100, read.pending_count());
        assert_eq!(3, read.attempts());
        assert_eq!("451 later", read.reply(901));
        assert_eq!(Some(RecipientState::Delivered), read.state(899));
        assert_eq!(900, read.pending().next().unwrap());
    }

    #[test]
    fn deltas_add_up() {
        let mut statuses = Statuses::new(3);
        let mut read = Statuses::new(3);
        statuses.note(1, Outcome::Failed, "550 no");
        reread(
            &statuses,
            &encode_delta(&head(), &statuses, [1].into_iter()),
            &mut read,
        );
        statuses.note(0, Outcome::Deferred, "450 wait");
        reread(
            &statuses,
            &encode_delta(&head(), &statuses, [0].into_iter()),
            &mut read,
        );
        assert_eq!(vec![0, 2], read.pending().collect::<Vec<_>>());
        assert_eq!("450 wait", read.reply(0));
    }

    #[test]
    fn a_recipient_leaves_the_queue_once() {
        let mut statuses = Statuses::new(1);
        statuses.note(0, Outcome::Delivered, "250 ok");
        statuses.note(0, Outcome::Deferred, "451 too late");
        assert_eq!(Some(RecipientState::Delivered), statuses.state(0));
        assert!(!statuses.deferred_in_round);
    }

    #[test]
    fn a_delay_is_reported_once() {
        let mut statuses = Statuses::new(1);
        statuses.note(0, Outcome::Deferred, "451 a");
        assert_eq!(Some(RecipientState::Deferred), statuses.state(0));
        statuses.note(0, Outcome::Delayed, "451 b");
        statuses.note(0, Outcome::Deferred, "451 c");
        let mut read = Statuses::new(1);
        reread(&statuses, &encode_snapshot(&head(), &statuses), &mut read);
        assert_eq!(Some(RecipientState::Delayed), read.state(0));
        assert_eq!(("451 c", 1), (read.reply(0), read.pending_count()));
    }

    #[test]
    fn a_long_reply_is_cut_at_a_character() {
        let mut statuses = Statuses::new(1);
        statuses.note(0, Outcome::Deferred, &"é".repeat(300));
        assert_eq!(256, statuses.reply(0).len());
    }
}

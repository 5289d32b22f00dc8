//! The selected mailbox as this client was told it is: which message has which number, what its flags were.
//!
//! The mailbox moves on meanwhile. What is new is taken into the picture at once ([`Picture::refresh`]), but a message
//! keeps its number until its end may be told ([`Picture::tell`]), and a new one has none before that.

use std::ops::RangeInclusive;
use std::sync::Arc;

use pymta_imap::Enabled;
use pymta_imap::write;
use pymta_index::{Changes, IndexError, Mailbox, Message, Rights, StoreMode, Within, flag};
use pymta_types::UnixMs;

use crate::accounts::Reader;
use crate::ending::Tells;
use crate::places::Place;
use crate::rows::RowForm;
use crate::shared_rows::SharedRows;
use crate::unread_rights::UnreadRights;
use crate::updates::Updates;

/// Flags that may be changed with these rights (RFC 4314 §4): s, t, and w for all the others.
pub(crate) fn within(rights: Rights) -> Within {
    let of = |right, flags| if rights.has(right) { flags } else { 0 };
    let others = flag::ALL & !flag::SEEN & !flag::DELETED;
    let flags = of(Rights::SEEN, flag::SEEN) | of(Rights::DELETED, flag::DELETED) | of(Rights::WRITE, others);
    Within {
        flags,
        keywords: rights.has(Rights::WRITE),
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Picture {
    /// Ascending UIDs; those from `told` on have no number yet. Other sessions may have the same, and find them by the account's
    /// place in memory: first in here, so that they are dropped before the mailbox is.
    rows: Arc<Vec<Message>>,
    told: usize,
    pub(crate) mailbox: Arc<Mailbox>,
    /// As the client calls it.
    pub(crate) name: String,
    /// Whose it is, and what this reader may do with it.
    pub(crate) place: Place,
    pub(crate) is_read_only: bool,
    /// This client wants mod-sequences (RFC 7162 §3.1).
    pub(crate) condstore: bool,
    pub(crate) uid_validity: u32,
    /// When it was selected.
    uid_next: u32,
    /// Up to where changes are in the picture.
    pub(crate) modseq: u64,
    shared: SharedRows,
    /// Some rows say `\Recent`, which is this session's alone.
    has_marks: bool,
    /// The rows that are left are those of `modseq`: this session changed none since.
    is_settled: bool,
    /// UIDs of rows that are no more, ascending; they still have numbers.
    gone: Vec<u32>,
    /// UIDs of rows with other flags than the client knows.
    dirty: Vec<u32>,
    /// Names of the keywords' bits; an empty one is free.
    pub(crate) keywords: Vec<String>,
    keywords_are_new: bool,
    /// Of a session that knows `\Recent`; IMAP4rev2 has no such flag.
    has_recent: bool,
    /// `$` (RFC 5182): UIDs, ascending.
    pub(crate) saved: Vec<u32>,
    /// What the client wants to be told of.
    pub(crate) wants: Wants,
    /// The client's own command removed messages: that is its answer, and no event.
    pub(crate) owes_gone: bool,
    /// UIDs of new messages whose contents are still to be said (NOTIFY).
    pub(crate) arrived: Vec<u32>,
    /// UIDs of messages that this client added itself.
    own: Vec<u32>,
    /// Results of searches that are kept up to date.
    pub(crate) updates: Updates,
    /// The mailbox is to be listed once more, when nobody waits for it.
    pub(crate) listing_is_due: bool,
}

/// What a client wants to be told of the selected mailbox. Without NOTIFY (RFC 5465): as IMAP has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // independent wishes
pub(crate) struct Wants {
    /// Of messages that come and go.
    pub(crate) messages: bool,
    /// Of other flags.
    pub(crate) flags: bool,
    /// With their UIDs.
    pub(crate) uids: bool,
    /// And what is in new messages.
    pub(crate) contents: bool,
}

impl Wants {
    /// Nothing (NOTIFY NONE).
    pub(crate) fn none() -> Self {
        Self {
            messages: false,
            flags: false,
            uids: false,
            contents: false,
        }
    }
}

impl Default for Wants {
    fn default() -> Self {
        Self {
            messages: true,
            flags: true,
            uids: false,
            contents: false,
        }
    }
}

impl Picture {
    /// The mailbox as it is now.
    pub(crate) fn of(
        mailbox: Arc<Mailbox>,
        name: &str,
        place: Place,
        is_read_only: bool,
        shared: SharedRows,
        now: UnixMs,
    ) -> Result<Self, IndexError> {
        let listing_is_due = mailbox.reconcile_but_list_again(now)?;
        let numbers = mailbox.numbers()?;
        let (uid_validity, modseq) = (numbers.uid_validity, numbers.highest_modseq);
        let (rows, is_settled) = match shared.get(&mailbox, uid_validity, modseq) {
            Some(rows) => (rows, true),
            None => {
                let rows = Arc::new(mailbox.messages()?);
                let is_settled = mailbox.numbers()? == numbers;
                if is_settled {
                    shared.put(&mailbox, uid_validity, modseq, &rows);
                }
                (rows, is_settled)
            }
        };
        let mut picture = Self {
            name: name.to_owned(),
            place,
            is_read_only,
            condstore: false,
            uid_validity,
            uid_next: numbers.uid_next,
            modseq,
            rows,
            shared,
            has_marks: false,
            is_settled,
            told: 0,
            gone: Vec::new(),
            dirty: Vec::new(),
            keywords: mailbox.keywords()?,
            keywords_are_new: false,
            has_recent: false,
            saved: Vec::new(),
            wants: Wants::default(),
            owes_gone: false,
            arrived: Vec::new(),
            own: Vec::new(),
            updates: Updates::default(),
            listing_is_due,
            mailbox,
        };
        // What another session did between these looks comes once more as a change, which does no harm.
        picture.told = picture.rows.len();
        Ok(picture)
    }

    /// Whether it is one copy that both have.
    #[cfg(test)]
    pub(crate) fn shares_rows_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rows, &other.rows)
    }

    /// The messages that have numbers, in their order.
    pub(crate) fn rows(&self) -> &[Message] {
        &self.rows[..self.told]
    }

    /// Whether the message is no more.
    pub(crate) fn is_gone(&self, uid: u32) -> bool {
        self.gone.binary_search(&uid).is_ok()
    }

    /// The row's place, where the message has a number.
    pub(crate) fn position(&self, uid: u32) -> Option<usize> {
        self.rows().binary_search_by_key(&uid, |row| row.uid).ok()
    }

    /// What this reader may do now: rights that are taken away end at once. Who may not read it any more is told what he
    /// would be told if it were deleted.
    pub(crate) fn look_at_rights(
        &mut self,
        reader: &Reader,
        unread: &UnreadRights,
    ) -> Result<(), IndexError> {
        let place = &mut self.place;
        let owner = place.owner.as_ref().unwrap_or(&reader.account);
        let acl = self.mailbox.acl().inspect_err(|_| {
            // What another gave is not taken for granted until it can be asked again.
            if place.owner.is_some() {
                place.rights = Rights::NONE;
            }
        })?;
        if reader.shares {
            unread.heed(&acl, owner, &place.name);
        }
        place.rights = reader.rights(acl, owner);
        if place.rights.has(Rights::READ) {
            Ok(())
        } else {
            Err(IndexError::NoMailbox)
        }
    }

    /// Whether something may be changed for which one of these rights is needed.
    pub(crate) fn may(&self, needed: Rights) -> bool {
        !self.is_read_only && self.place.rights.has_any(needed)
    }

    /// Flags that may be changed (RFC 4314 §4).
    pub(crate) fn changeable(&self) -> Within {
        if self.is_read_only {
            within(Rights::NONE)
        } else {
            within(self.place.rights)
        }
    }

    /// Takes in what changed.
    pub(crate) fn refresh(&mut self, now: UnixMs) -> Result<(), IndexError> {
        self.listing_is_due = self.mailbox.reconcile_but_list_again(now)?;
        let changes = self.mailbox.changes(self.modseq)?;
        if !changes.changed.is_empty() {
            self.take_keywords()?;
        }
        self.take(&changes);
        self.mark_recent(self.told)
    }

    /// The client knows `\Recent`, and is told.
    pub(crate) fn take_recent(&mut self) -> Result<(), IndexError> {
        self.has_recent = true;
        self.mark_recent(0)
    }

    /// Of the rows from a place on, marks those of which no session was told; this one is.
    fn mark_recent(&mut self, place: usize) -> Result<(), IndexError> {
        let Some(last) = self.rows[place..].last().filter(|_| self.has_recent) else {
            return Ok(());
        };
        let end = last.uid.saturating_add(1);
        let from = if self.is_read_only {
            self.mailbox.recent_from()?
        } else {
            self.mailbox.take_recent(end)?
        };
        let first = self.rows.partition_point(|row| row.uid < from).max(place);
        if first < self.rows.len() {
            self.has_marks = true;
            for row in &mut Arc::make_mut(&mut self.rows)[first..] {
                row.flags |= flag::RECENT;
            }
        }
        Ok(())
    }

    /// How many of the messages are recent.
    pub(crate) fn recent_count(&self) -> usize {
        if !self.has_marks {
            return 0;
        }
        self.rows()
            .iter()
            .filter(|row| row.flags & flag::RECENT != 0)
            .count()
    }

    fn take(&mut self, changes: &Changes) {
        let others = self.rows_of_others(changes);
        for message in &changes.changed {
            let found = self.rows.binary_search_by_key(&message.uid, |row| row.uid);
            if let Ok(at) = found {
                self.note_news(at, message);
            }
            if others.is_some() {
                continue;
            }
            let rows = Arc::make_mut(&mut self.rows);
            match found {
                Ok(at) => put(&mut rows[at], message),
                // UIDs ascend in the order of commits: nothing new comes in between.
                Err(at) if at == rows.len() => rows.push(*message),
                Err(_) => {}
            }
        }
        for range in &changes.vanished {
            self.take_vanished(range);
        }
        let is_news = self.modseq < changes.highest_modseq;
        self.modseq = self.modseq.max(changes.highest_modseq);
        self.is_settled |= is_news;
        match others {
            Some(rows) => self.rows = rows,
            None if is_news => self.share(),
            None => {}
        }
    }

    /// What another session that has taken these changes made of the same rows.
    fn rows_of_others(&self, changes: &Changes) -> Option<Arc<Vec<Message>>> {
        let is_more = self.modseq < changes.highest_modseq;
        if !is_more || self.has_marks || !self.gone.is_empty() || !changes.vanished.is_empty() {
            return None;
        }
        let rows = self
            .shared
            .get(&self.mailbox, self.uid_validity, changes.highest_modseq)?;
        let is_longer = match self.rows.len().checked_sub(1) {
            Some(last) => rows.get(last).is_some_and(|row| row.uid == self.rows[last].uid),
            None => true,
        };
        is_longer.then_some(rows)
    }

    /// Others may have these rows, or this session those of another one that are the same.
    fn share(&mut self) {
        if self.has_marks || !self.gone.is_empty() || !self.is_settled {
            return;
        }
        match self.shared.get(&self.mailbox, self.uid_validity, self.modseq) {
            Some(rows) if rows.len() == self.rows.len() => self.rows = rows,
            _ => self
                .shared
                .put(&self.mailbox, self.uid_validity, self.modseq, &self.rows),
        }
    }

    /// A message is not as it was in that row.
    fn note_news(&mut self, at: usize, message: &Message) {
        if at >= self.told {
            return;
        }
        let row = self.rows[at];
        let recent = row.flags & flag::RECENT;
        let has_other_flags = row.flags != message.flags | recent || row.keywords != message.keywords;
        if has_other_flags || self.condstore && row.modseq != message.modseq {
            self.dirty.push(message.uid);
        }
        self.updates.note_changed(std::iter::once(message.uid));
    }

    fn take_vanished(&mut self, range: &RangeInclusive<u32>) {
        let first = self.rows.partition_point(|row| row.uid < *range.start());
        let end = self.rows.partition_point(|row| row.uid <= *range.end());
        for row in &self.rows[first.min(self.told)..end.min(self.told)] {
            if let Err(at) = self.gone.binary_search(&row.uid) {
                self.gone.insert(at, row.uid);
            }
        }
        let untold = first.max(self.told)..end.max(self.told);
        if !untold.is_empty() {
            Arc::make_mut(&mut self.rows).drain(untold);
        }
    }

    /// What this session changed itself, and says itself.
    pub(crate) fn set(&mut self, changed: &[Message]) {
        if !changed.is_empty() {
            self.is_settled = false;
            let rows = Arc::make_mut(&mut self.rows);
            for message in changed {
                if let Ok(at) = rows.binary_search_by_key(&message.uid, |row| row.uid) {
                    put(&mut rows[at], message);
                }
            }
        }
        self.updates
            .note_changed(changed.iter().map(|message| message.uid));
    }

    /// What this session changed itself without saying more: the client works out the new flags from those that it knows.
    /// Where another session was quicker they are others, which is told.
    pub(crate) fn set_silently(
        &mut self,
        changed: &[Message],
        mode: StoreMode,
        (flags, keywords): (u8, &[&str]),
    ) {
        let has_name = |name: &String| keywords.iter().any(|keyword| keyword.eq_ignore_ascii_case(name));
        let bits = self
            .keywords
            .iter()
            .zip(0u32..)
            .filter(|(name, _)| has_name(name));
        let keywords = bits.fold(0, |bits, (_, bit)| bits | 1u64.checked_shl(bit).unwrap_or(0));
        for message in changed {
            let Some(row) = self.position(message.uid).map(|at| self.rows[at]) else {
                continue;
            };
            let expected = match mode {
                StoreMode::Add => (row.flags | flags, row.keywords | keywords),
                StoreMode::Remove => (row.flags & !flags, row.keywords & !keywords),
                StoreMode::Replace => (flags, keywords),
            };
            let recent = row.flags & flag::RECENT;
            if (expected.0 | recent, expected.1) != (message.flags | recent, message.keywords) {
                self.dirty.push(message.uid);
            }
        }
        self.set(changed);
    }

    /// Messages that this client added itself: of their contents it need not be told (RFC 5465 §5.2).
    pub(crate) fn note_own(&mut self, uids: impl Iterator<Item = u32>) {
        if self.wants.contents {
            self.own.extend(uids);
        }
    }

    /// New messages get their numbers, which may be told at any time (RFC 9051 §7.4.1).
    pub(crate) fn tell_arrivals(&mut self, out: &mut Vec<u8>, enabled: Enabled) {
        if self.told == self.rows.len() || !self.wants.messages {
            return;
        }
        let own = std::mem::take(&mut self.own);
        if self.wants.contents {
            let uids = self.rows[self.told..].iter().map(|row| row.uid);
            self.arrived.extend(uids.filter(|uid| !own.contains(uid)));
        }
        self.updates.note_arrived(&self.rows[self.told..]);
        self.told = self.rows.len();
        line(out, &format!("* {} EXISTS", self.told));
        if !enabled.rev2 {
            line(out, &format!("* {} RECENT", self.recent_count()));
        }
    }

    /// Says what is new.
    pub(crate) fn tell(&mut self, out: &mut Vec<u8>, tells: Tells, enabled: Enabled) {
        if tells == Tells::All && (self.wants.messages || self.owes_gone) {
            self.owes_gone = false;
            self.tell_gone(out, enabled);
        }
        if self.wants.messages {
            self.tell_keywords(out);
            self.tell_arrivals(out, enabled);
        }
        self.dirty.sort_unstable();
        self.dirty.dedup();
        if !self.wants.flags {
            return;
        }
        for uid in std::mem::take(&mut self.dirty) {
            if let Some(at) = self.position(uid)
                && !self.is_gone(uid)
            {
                let with_uid = enabled.qresync || enabled.rev2 || self.wants.uids;
                self.say_row(
                    out,
                    at,
                    RowForm {
                        with_uid,
                        with_flags: true,
                        with_modseq: self.condstore,
                    },
                    enabled,
                );
            }
        }
    }

    fn tell_gone(&mut self, out: &mut Vec<u8>, enabled: Enabled) {
        if self.gone.is_empty() {
            return;
        }
        let gone = std::mem::take(&mut self.gone);
        self.tell_removed(&gone, out, enabled);
        if enabled.qresync || enabled.uid_only {
            out.extend_from_slice(b"* VANISHED ");
            write::set(out, gone.iter().copied());
            out.extend_from_slice(b"\r\n");
        } else {
            let numbers = gone.iter().filter_map(|&uid| self.position(uid));
            for (before, at) in numbers.enumerate() {
                // Each one that goes moves those behind it up (RFC 9051 §7.5.1).
                line(out, &format!("* {} EXPUNGE", at + 1 - before));
            }
        }
        let held = self.rows().len();
        Arc::make_mut(&mut self.rows).retain(|row| gone.binary_search(&row.uid).is_err());
        self.told = held - gone.len();
        self.share();
        self.saved.retain(|uid| gone.binary_search(uid).is_err());
    }

    /// Names of keywords that this session added itself.
    pub(crate) fn take_keywords(&mut self) -> Result<(), IndexError> {
        let keywords = self.mailbox.keywords()?;
        self.keywords_are_new |= keywords != self.keywords;
        self.keywords = keywords;
        Ok(())
    }

    /// A keyword is named before a message is said to have it.
    pub(crate) fn tell_keywords(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.keywords_are_new) {
            self.say_flags(out);
        }
    }

    /// The next message's UID.
    pub(crate) fn uid_next(&self) -> u32 {
        self.uid_next
    }
}

/// What a row says from now on; `\Recent` stays.
fn put(row: &mut Message, message: &Message) {
    let recent = row.flags & flag::RECENT;
    *row = *message;
    row.flags |= recent;
}

/// A line of ours.
pub(crate) fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

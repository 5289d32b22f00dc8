//! Commands that change messages: STORE, EXPUNGE, COPY, MOVE.

use std::sync::Arc;

use pymta_imap::command::{Flags, SequenceSet, StoreAction};
use pymta_imap::write::{self, Status};
use pymta_index::{CopyMode, IndexError, Rights, StoreMode, Within, flag};
use pymta_types::UnixMs;

use crate::carry::carry;
use crate::ending::Ending;
use crate::numbers::NoSuchNumber;
use crate::picture::{Picture, within};
use crate::rows::RowForm;
use crate::view::{Outcome, View};

/// The one keyword that has a letter in a file's name.
const FORWARDED: &str = "$Forwarded";

/// What STORE is to do.
#[derive(Debug)]
pub(crate) struct FlagChange {
    pub(crate) by_uid: bool,
    pub(crate) unchanged_since: Option<u64>,
    pub(crate) action: StoreAction,
    pub(crate) silent: bool,
    pub(crate) flags: Flags,
}

/// A command that needs a selected mailbox came without one, which the session does not let through.
pub(crate) fn nothing_selected() -> Ending {
    Ending::bad("No mailbox is selected")
}

impl From<NoSuchNumber> for Ending {
    fn from(_: NoSuchNumber) -> Self {
        Self::bad("No message has such a number")
    }
}

/// Flags as the index has them: bits, and the names of the others.
pub(crate) fn bits_of(flags: &Flags) -> (u8, Vec<String>) {
    let system = [
        (flags.answered, flag::ANSWERED),
        (flags.flagged, flag::FLAGGED),
        (flags.deleted, flag::DELETED),
        (flags.seen, flag::SEEN),
        (flags.draft, flag::DRAFT),
    ];
    let mut bits = system
        .iter()
        .filter(|(is_set, _)| *is_set)
        .fold(0, |bits, (_, bit)| bits | bit);
    let (forwarded, others): (Vec<&String>, Vec<&String>) = flags
        .keywords
        .iter()
        .partition(|name| name.eq_ignore_ascii_case(FORWARDED));
    if !forwarded.is_empty() {
        bits |= flag::FORWARDED;
    }
    (bits, others.into_iter().cloned().collect())
}

impl Picture {
    /// UIDs of messages that are marked as deleted, of all or of a set of UIDs.
    pub(crate) fn deleted_uids(&self, set: Option<&SequenceSet>) -> Vec<u32> {
        let rows = self.rows();
        let wanted = |at: usize| rows[at].flags & flag::DELETED != 0;
        let uid = |at: usize| rows[at].uid;
        match set {
            None => (0..rows.len()).filter(|&at| wanted(at)).map(uid).collect(),
            // By UID nothing can be wrong with a set.
            Some(set) => {
                let places = self.resolve(set, true).unwrap_or_default();
                places.into_iter().filter(|&at| wanted(at)).map(uid).collect()
            }
        }
    }

    /// Tells the client nothing that it has not seen: what it wants done to a message that is gone cannot be.
    pub(crate) fn split_gone(&self, places: Vec<usize>) -> (Vec<usize>, bool) {
        let count = places.len();
        let there: Vec<usize> = places
            .into_iter()
            .filter(|&at| !self.is_gone(self.rows()[at].uid))
            .collect();
        let some_are_gone = there.len() < count;
        (there, some_are_gone)
    }
}

impl View {
    /// STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).
    pub(crate) fn store(
        &mut self,
        set: &SequenceSet,
        change: &FlagChange,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Ending> {
        let Some(picture) = self.selected.as_mut() else {
            return Ok(nothing_selected());
        };
        if picture.is_read_only {
            return Ok(Ending::read_only().keeping_numbers(!change.by_uid));
        }
        // What may be changed of it is; only where nothing may, it fails (RFC 4314 §4).
        let within = picture.changeable();
        let (flags, keywords) = bits_of(&change.flags);
        let changes_nothing = flags & within.flags == 0 && (keywords.is_empty() || !within.keywords);
        let asks_nothing = flags == 0 && keywords.is_empty();
        let is_refused = match change.action {
            StoreAction::Replace => within.flags == 0,
            StoreAction::Add | StoreAction::Remove => changes_nothing && !asks_nothing,
        };
        if is_refused {
            return Err(IndexError::NoRight);
        }
        picture.condstore |= change.unchanged_since.is_some();
        let places = match picture.resolve(set, change.by_uid) {
            Ok(places) => places,
            Err(wrong) => return Ok(wrong.into()),
        };
        let (places, some_are_gone) = picture.split_gone(places);
        let uids: Vec<u32> = places.iter().map(|&at| picture.rows()[at].uid).collect();
        let mode = match change.action {
            StoreAction::Add => StoreMode::Add,
            StoreAction::Remove => StoreMode::Remove,
            StoreAction::Replace => StoreMode::Replace,
        };
        let mailbox = &picture.mailbox;
        let keywords: Vec<&str> = keywords.iter().map(String::as_str).collect();
        let since = change.unchanged_since;
        let mut stored = mailbox.store_within(&uids, mode, (flags, &keywords), within, since, now)?;
        stored.modified.sort_unstable();
        picture.take_keywords()?;
        if change.silent {
            picture.set_silently(&stored.changed, mode, (flags, &keywords));
        } else {
            picture.set(&stored.changed);
        }
        picture.tell_keywords(out);
        let form = RowForm {
            with_uid: change.by_uid || self.enabled.qresync || self.enabled.rev2,
            with_flags: !change.silent,
            with_modseq: picture.condstore,
        };
        if form.with_flags || form.with_modseq {
            for at in places {
                let uid = picture.rows()[at].uid;
                let is_changed = stored.changed.binary_search_by_key(&uid, |row| row.uid).is_ok();
                let is_said = if change.silent {
                    is_changed
                } else {
                    stored.modified.binary_search(&uid).is_err()
                };
                if is_said {
                    picture.say_row(out, at, form, self.enabled);
                }
            }
        }
        let ending = if !stored.modified.is_empty() {
            let mut code = b"MODIFIED ".to_vec();
            let number = |uid: u32| {
                let at = picture.position(uid).unwrap_or_default();
                u32::try_from(at + 1).unwrap_or(u32::MAX)
            };
            let modified = stored.modified.iter().copied();
            if change.by_uid {
                write::set(&mut code, modified);
            } else {
                write::set(&mut code, modified.map(number));
            }
            let code = String::from_utf8_lossy(&code).into_owned();
            Ending::ok_with(code, "Some had changed, and were left alone")
        } else if some_are_gone && !change.by_uid {
            Ending::no("EXPUNGEISSUED", "Some of the messages are no more")
        } else {
            Ending::ok("Stored")
        };
        Ok(ending.keeping_numbers(!change.by_uid))
    }

    /// EXPUNGE, and UID EXPUNGE (RFC 4315).
    pub(crate) fn expunge(
        &mut self,
        set: Option<&SequenceSet>,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Ending> {
        let Some(picture) = self.selected.as_mut() else {
            return Ok(nothing_selected());
        };
        if picture.is_read_only {
            return Ok(Ending::read_only());
        }
        if !picture.may(Rights::EXPUNGE) {
            return Err(IndexError::NoRight);
        }
        let uids = picture.deleted_uids(set);
        picture.mailbox.expunge(&uids, now)?;
        picture.owes_gone = true;
        self.refresh(out, now);
        Ok(self.with_modseq("Expunged"))
    }

    /// OK, with the mod-sequence up to which the client knows everything (RFC 7162 §3.2.7).
    fn with_modseq(&self, text: &'static str) -> Ending {
        match self.selected.as_ref() {
            Some(picture) if picture.condstore => {
                Ending::ok_with(format!("HIGHESTMODSEQ {}", picture.modseq), text)
            }
            _ => Ending::ok(text),
        }
    }

    /// COPY and MOVE (RFC 9051 §6.4.7, RFC 6851, RFC 4315 §3).
    pub(crate) fn copy(
        &mut self,
        set: &SequenceSet,
        by_uid: bool,
        name: &str,
        removes: bool,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Ending> {
        let Some(picture) = self.selected.as_ref() else {
            return Ok(nothing_selected());
        };
        if removes && picture.is_read_only {
            return Ok(Ending::read_only());
        }
        // As if COPY, STORE and EXPUNGE (RFC 6851 §4.1).
        let taking = Rights::DELETED | Rights::EXPUNGE;
        if removes && !picture.place.rights.has(taking) {
            return Err(IndexError::NoRight);
        }
        let places = match picture.resolve(set, by_uid) {
            Ok(places) => places,
            Err(wrong) => return Ok(wrong.into()),
        };
        let (places, some_are_gone) = picture.split_gone(places);
        if some_are_gone && !by_uid {
            return Ok(Ending::no("EXPUNGEISSUED", "Some of the messages are no more"));
        }
        let uids: Vec<u32> = places.iter().map(|&at| picture.rows()[at].uid).collect();
        let (goal, place) = match self.mailbox_for(name, Rights::INSERT, now) {
            Ok(goal) => goal,
            Err(error) => return self.try_create(name, error),
        };
        let mode = if removes { CopyMode::Move } else { CopyMode::Copy };
        let within = within(place.rights);
        let copied = if Arc::ptr_eq(&place.account, &picture.place.account) && within == Within::ALL {
            picture.mailbox.copy(&goal, &uids, mode, now)
        } else {
            carry(picture, &goal, &places, within, mode, now)
        };
        let copied = match copied {
            Ok(copied) => copied,
            Err(IndexError::NoMailbox) => return self.try_create(name, IndexError::NoMailbox),
            Err(error) => return Err(error),
        };
        if let Some(picture) = self.selected.as_mut() {
            picture.owes_gone |= removes;
            if goal.id() == picture.mailbox.id() {
                picture.note_own(copied.uids.iter().map(|&(_, to)| to));
            }
        }
        self.refresh(out, now);
        if copied.uids.is_empty() {
            return Ok(Ending::ok("No such messages"));
        }
        let mut code = format!("COPYUID {} ", copied.uid_validity).into_bytes();
        write::set(&mut code, copied.uids.iter().map(|&(from, _)| from));
        code.push(b' ');
        write::set(&mut code, copied.uids.iter().map(|&(_, to)| to));
        let code = String::from_utf8_lossy(&code).into_owned();
        if removes {
            // Before the messages go (RFC 6851 §4.3).
            write::untagged(out, Status::Ok, Some(&code), "Moved");
            Ok(self.with_modseq("Moved"))
        } else {
            Ok(Ending::ok_with(code, "Copied"))
        }
    }
}

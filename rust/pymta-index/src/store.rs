//! Changing flags and removing messages: the files first, one sync, then one transaction.

use std::io;

use pymta_maildir::{Files, MessageName, note_change, with_letters};
use pymta_types::UnixMs;
use rusqlite::{OptionalExtension, Transaction};

use crate::mailbox::{Place, State, message_of, number_of, unsigned};
use crate::scan::{Look, is_missing, milliseconds};
use crate::types::flag;
use crate::vanish::vanish;
use crate::{IndexError, Mailbox, Message, StoreMode, Stored, Within};

/// After changes of our own the folder is not listed, but once when so much time has passed: another program may have
/// changed it in the same moment.
pub(crate) const LIST_AGAIN_MS: i64 = 5_000;

/// Where a file has another name than we know, all are listed anew: so often in one command, for others may go on.
const RESCANS_MAX: u32 = 3;

/// The listings of one command.
#[derive(Debug, Default)]
pub(crate) struct Rescans(u32);

impl Rescans {
    /// Takes in what others did to files that were not found; false where it was done often enough.
    pub(crate) fn once_more(
        &mut self,
        mailbox: &Mailbox,
        transaction: &Transaction<'_>,
        now: UnixMs,
    ) -> Result<bool, IndexError> {
        if self.0 >= RESCANS_MAX {
            return Ok(false);
        }
        self.0 += 1;
        mailbox.scan(transaction, Look::All, now)?;
        Ok(true)
    }
}

/// A change of flags, as bits.
struct Change {
    mode: StoreMode,
    flags: u8,
    keywords: u64,
    within: Within,
}

impl Change {
    fn of(&self, message: Message) -> (u8, u64) {
        let (flags, keywords) = match self.mode {
            StoreMode::Add => (message.flags | self.flags, message.keywords | self.keywords),
            StoreMode::Remove => (message.flags & !self.flags, message.keywords & !self.keywords),
            StoreMode::Replace => (self.flags, self.keywords),
        };
        let may = self.within.flags;
        let keywords = if self.within.keywords {
            keywords
        } else {
            message.keywords
        };
        (message.flags & !may | flags & may, keywords)
    }
}

impl Mailbox {
    /// Changes flags. UIDs that are gone are left out of the answer. `unchanged_since`: messages that changed after it
    /// are not touched (RFC 7162 §3.1.3).
    ///
    /// # Errors
    /// `TooManyKeywords`; as of any change.
    pub fn store(
        &self,
        uids: &[u32],
        mode: StoreMode,
        flags: (u8, &[&str]),
        unchanged_since: Option<u64>,
        now: UnixMs,
    ) -> Result<Stored, IndexError> {
        self.store_within(uids, mode, flags, Within::ALL, unchanged_since, now)
    }

    /// Likewise, but no other flags than those.
    ///
    /// # Errors
    /// As of `store`.
    pub fn store_within(
        &self,
        uids: &[u32],
        mode: StoreMode,
        (flags, keywords): (u8, &[&str]),
        within: Within,
        unchanged_since: Option<u64>,
        now: UnixMs,
    ) -> Result<Stored, IndexError> {
        let mut uids = uids.to_vec();
        uids.sort_unstable();
        uids.dedup();
        self.account.write(|transaction| {
            let state = self.state(transaction)?;
            let keywords: &[&str] = if within.keywords { keywords } else { &[] };
            let keywords = if mode == StoreMode::Remove {
                self.known_bits(transaction, keywords)?
            } else {
                self.bits_of(transaction, keywords, 0)?
            };
            let change = Change {
                mode,
                flags: flags & flag::ALL,
                keywords,
                within,
            };
            let before = self.touched()?;
            let stored = self.store_all(transaction, &uids, &change, unchanged_since, (&state, now))?;
            self.saw_ourselves(transaction, &state, before, now)?;
            Ok(stored)
        })
    }

    fn store_all(
        &self,
        transaction: &Transaction<'_>,
        uids: &[u32],
        change: &Change,
        unchanged_since: Option<u64>,
        (state, now): (&State, UnixMs),
    ) -> Result<Stored, IndexError> {
        let modseq = state.highest_modseq + 1;
        let (mut stored, mut synced) = (Stored::default(), [false; 2]);
        let (mut octets, mut count) = (0i64, 0i64);
        let mut select = transaction.prepare_cached(
            "SELECT uid, modseq, flags, keywords FROM message WHERE mailbox = ?1 AND uid = ?2",
        )?;
        let mut update = transaction.prepare_cached(
            "UPDATE message SET flags = ?3, keywords = ?4, modseq = ?5 WHERE mailbox = ?1 AND uid = ?2",
        )?;
        let mut rescans = Rescans::default();
        let mut at = 0;
        while let Some(&uid) = uids.get(at) {
            at += 1;
            let Some(mut message) = select.query_row((self.key, uid), message_of).optional()? else {
                continue;
            };
            if unchanged_since.is_some_and(|since| message.modseq > since) {
                stored.modified.push(uid);
                continue;
            }
            let (flags, keywords) = change.of(message);
            if (flags, keywords) == (message.flags, message.keywords) {
                stored.unchanged.push(message);
                continue;
            }
            if flags != message.flags {
                let Some(place) = self.place(transaction, uid)? else {
                    continue;
                };
                let renamed = match self.rename(&place, flags, now) {
                    Err(error) if is_missing(&error) => {
                        // Renamed or removed by others: what they did is taken in, and this one tried again.
                        if !rescans.once_more(self, transaction, now)? {
                            return Err(IndexError::Busy);
                        }
                        at -= 1;
                        continue;
                    }
                    renamed => renamed?,
                };
                synced[0] |= place.is_new;
                synced[1] = true;
                // Maildir++: what has the flag T does not count.
                let was = message.flags & flag::DELETED != 0;
                if was != (flags & flag::DELETED != 0) {
                    let sign = if was { 1 } else { -1 };
                    octets += sign * self.file_octets(&renamed);
                    count += sign;
                }
                self.put_place(transaction, uid, &renamed)?;
            }
            message.flags = flags;
            message.keywords = keywords;
            message.modseq = unsigned(modseq);
            update.execute((self.key, uid, flags, number_of(keywords), modseq))?;
            stored.changed.push(message);
        }
        self.sync(synced)?;
        self.note_usage(octets, count);
        if !stored.changed.is_empty() {
            self.advance(transaction, state.uid_next, modseq)?;
        }
        Ok(stored)
    }

    /// Gives a file the letters of these flags, in `cur`.
    pub(crate) fn rename(&self, place: &Place, flags: u8, now: UnixMs) -> Result<Place, IndexError> {
        let from = place.file_name();
        let mut to = with_letters(&from, flag::letters(flags));
        let mut unique_name = place.unique_name.clone();
        let rest = to[unique_name.len()..].to_owned();
        if place.is_new || from != to {
            let rename = |to: &str| {
                self.account.act("rename a message", |disk| {
                    disk.rename_new(self.subfolder(place.is_new), &from, &self.folder.cur, to)
                })
            };
            match rename(&to) {
                Err(IndexError::Io { error, .. }) if error.kind() == io::ErrorKind::AlreadyExists => {
                    // Another file is called so, put there by others; neither must take the other's place.
                    unique_name = self.account.unique(now);
                    to = format!("{unique_name}{rest}");
                    rename(&to)?;
                }
                renamed => renamed?,
            }
        }
        Ok(Place {
            unique_name,
            rest,
            is_new: false,
        })
    }

    /// Removes those messages for ever that have `\Deleted` now: what was marked when the caller looked may not be any
    /// more. Which were removed, ascending.
    ///
    /// # Errors
    /// As of any change.
    pub fn expunge(&self, uids: &[u32], now: UnixMs) -> Result<Vec<u32>, IndexError> {
        self.remove_those(uids, flag::DELETED, now)
    }

    /// Removes messages for ever, whatever their flags; those that are gone already are fine. Which were removed,
    /// ascending.
    ///
    /// # Errors
    /// As of any change.
    pub fn remove(&self, uids: &[u32], now: UnixMs) -> Result<Vec<u32>, IndexError> {
        self.remove_those(uids, 0, now)
    }

    fn remove_those(&self, uids: &[u32], needed: u8, now: UnixMs) -> Result<Vec<u32>, IndexError> {
        let mut uids = uids.to_vec();
        uids.sort_unstable();
        uids.dedup();
        self.account.write(|transaction| {
            let state = self.state(transaction)?;
            let before = self.touched()?;
            let gone = self.remove_files(transaction, &uids, needed, now)?;
            // A listing in between may have used the next one.
            let modseq = self.state(transaction)?.highest_modseq + 1;
            vanish(transaction, self.key, &gone, modseq)?;
            if !gone.is_empty() {
                self.advance(transaction, state.uid_next, modseq)?;
            }
            self.saw_ourselves(transaction, &state, before, now)?;
            Ok(gone)
        })
    }

    fn remove_files(
        &self,
        transaction: &Transaction<'_>,
        uids: &[u32],
        needed: u8,
        now: UnixMs,
    ) -> Result<Vec<u32>, IndexError> {
        let (mut gone, mut synced) = (Vec::new(), [false; 2]);
        let (mut octets, mut count) = (0i64, 0i64);
        let mut rescans = Rescans::default();
        for &uid in uids {
            while let Some(place) = self.place(transaction, uid)? {
                // The letters are a part of the name: a file that lost its T meanwhile is not found by this one.
                let flags = flag::of_name(&place.rest);
                if flags & needed != needed {
                    break;
                }
                let file_octets = self.file_octets(&place);
                let removed = self.account.act("remove a message", |disk| {
                    disk.remove(self.subfolder(place.is_new), &place.file_name())
                });
                match removed {
                    Err(error) if is_missing(&error) => {
                        if rescans.once_more(self, transaction, now)? {
                            continue;
                        }
                        break; // somebody renames it again and again: it is there, and stays
                    }
                    removed => removed?,
                }
                synced[usize::from(!place.is_new)] = true;
                if flags & flag::DELETED == 0 {
                    octets -= file_octets;
                    count -= 1;
                }
                gone.push(uid);
                break;
            }
        }
        self.sync(synced)?;
        self.note_usage(octets, count);
        Ok(gone)
    }

    // ---- what changes of files share

    /// Makes the names in `new` and `cur` durable, those that are asked for.
    pub(crate) fn sync(&self, [new, cur]: [bool; 2]) -> Result<(), IndexError> {
        for (asked, folder) in [(cur, &self.folder.cur), (new, &self.folder.new)] {
            if asked {
                self.account
                    .act("make the names durable", |disk| disk.sync_folder(folder))?;
            }
        }
        Ok(())
    }

    /// Tells the quota what came and went; Trash does not count.
    pub(crate) fn note_usage(&self, octets: i64, count: i64) {
        if !self.is_trash() {
            let disk = &self.account.disk;
            note_change(disk, disk.root(), octets, count);
        }
    }

    /// Whether its messages count for no quota (Maildir++).
    pub(crate) fn is_trash(&self) -> bool {
        self.name.eq_ignore_ascii_case("Trash")
    }

    /// The size of a file, as its name says or the disk; 0 where it is gone.
    pub(crate) fn file_octets(&self, place: &Place) -> i64 {
        let octets = MessageName::parse(&place.rest).file_octets.unwrap_or_else(|| {
            let stat = self
                .account
                .disk
                .stat(self.subfolder(place.is_new), &place.file_name());
            stat.map_or(0, |stat| stat.octets)
        });
        i64::try_from(octets).unwrap_or(0)
    }

    /// After a change of our own the folders have other times, which are not news: where they were as seen before, they
    /// are now. What another program did in the same moment is found some seconds later.
    pub(crate) fn saw_ourselves(
        &self,
        transaction: &Transaction<'_>,
        state: &State,
        before: (i64, i64),
        now: UnixMs,
    ) -> Result<(), IndexError> {
        let after = self.touched()?;
        let is_ours = |before: i64, seen: i64, after: i64| before == seen && after != before;
        let cur = is_ours(before.1, state.cur_seen_ns, after.1);
        let new = is_ours(before.0, state.new_seen_ns, after.0);
        if !cur && !new {
            return Ok(());
        }
        let list_again_ms = if state.list_again_ms > 0 {
            state.list_again_ms
        } else {
            milliseconds(now) + LIST_AGAIN_MS
        };
        // `new` is where mail comes: its time is never believed after a change of ours, only listed again.
        transaction
            .prepare_cached(
                "UPDATE mailbox SET cur_seen_ns = iif(?2, ?3, cur_seen_ns), new_seen_ns = iif(?4, 0, new_seen_ns),
                list_again_ms = ?5 WHERE key = ?1",
            )?
            .execute((self.key, cur, after.1, new, list_again_ms))?;
        Ok(())
    }
}

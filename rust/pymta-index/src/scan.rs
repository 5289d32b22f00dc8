//! Bringing the index to what the folders say: the Maildir is the truth for what there is and for flags with letters.
//!
//! - Nothing is read where `new` and `cur` were changed last when they were seen last, and that was not so recent then
//!   that the same time may stand for a later change as well.
//! - Where only `new` changed (a delivery), only `new` is listed, unless something that was there is gone from it.
//! - A folder that is renamed in while it is listed may not show a file at all. What is missed is looked for a second
//!   time before it counts as gone; our own processes do not rename while another lists (`Account::write`).
//! - New messages get UIDs in order of their names' times, a batch a transaction: who is killed goes on where it was.

use std::io;
use std::os::fd::OwnedFd;

use pymta_maildir::Files;
use pymta_types::UnixMs;
use rusqlite::{Connection, Transaction};
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use crate::list_again::is_due;
use crate::listing::{Found, Listing};
use crate::mailbox::{Place, State};
use crate::types::flag;
use crate::vanish::vanish;
use crate::{IndexError, Mailbox, email_id};

/// New messages of one transaction.
const BATCH: usize = 5_000;
/// A folder's time stands for later changes too, for so long: file systems take it from a clock that ticks slowly.
const TICK_MS: i64 = 100;
/// Likewise on file systems that know no parts of a second.
const WHOLE_SECOND_TICK_MS: i64 = 2_000;
/// UIDs end here (RFC 9051: nz-number).
const UID_MAX: u32 = u32::MAX - 1;

/// Those in `new`. By itself SQLite would walk through the whole mailbox.
pub(crate) const KNOWN_NEW: &str =
    "SELECT uid, unique_name, rest, is_new FROM file INDEXED BY file_new WHERE mailbox = ?1 AND is_new = 1";

/// A message of the index.
struct Known {
    uid: u32,
    place: Place,
}

/// How much is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Nothing,
    New,
    All,
}

/// Why something is listed. What that comes to is decided under the lock: another may have been quicker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The folders changed, or a second listing is due.
    Due,
    /// The folders changed.
    Changed,
    /// Whatever the folders' times say.
    All,
}

impl Mailbox {
    /// Takes in what others did to the folder: new messages, renamed ones, those that are gone. Cheap where they did
    /// nothing.
    ///
    /// # Errors
    /// As of any change; `Io`.
    pub fn reconcile(&self, now: UnixMs) -> Result<(), IndexError> {
        let state = self.account.read(|index| self.state(index))?;
        if !is_due(&state, now) && scope(&state, self.touched()?) == Scope::Nothing {
            return Ok(());
        }
        self.take_in(Look::Due, now)
    }

    /// Lists all, whatever the folders' times say.
    pub(crate) fn rescan(&self, now: UnixMs) -> Result<(), IndexError> {
        self.take_in(Look::All, now)
    }

    pub(crate) fn take_in(&self, look: Look, now: UnixMs) -> Result<(), IndexError> {
        #[cfg(test)]
        self.account.meanwhile.happens("take in");
        // Each round takes in one batch; others of us get their turn between them.
        let mut rest = self
            .account
            .write(|transaction| self.scan(transaction, look, now))?;
        while !rest.is_empty() {
            rest = self
                .account
                .write(|transaction| self.take_batch(transaction, rest, now))?;
        }
        Ok(())
    }

    /// When `new` and `cur` were changed last, in ns.
    pub(crate) fn touched(&self) -> Result<(i64, i64), IndexError> {
        let at = |folder: &OwnedFd| -> Result<i64, IndexError> {
            let stat = rustix::fs::fstat(folder)
                .map_err(|error| IndexError::io("look at the mailbox")(error.into()))?;
            Ok(changed_ns(&stat))
        };
        Ok((at(&self.folder.new)?, at(&self.folder.cur)?))
    }

    /// One listing, and all that it says but new messages, which are returned in order; the first batch of them is
    /// taken in already.
    pub(crate) fn scan(
        &self,
        transaction: &Transaction<'_>,
        look: Look,
        now: UnixMs,
    ) -> Result<Vec<Place>, IndexError> {
        let state = self.state(transaction)?;
        let touched = self.touched()?;
        let mut scope = match look {
            Look::All => Scope::All,
            Look::Due if is_due(&state, now) => Scope::All,
            Look::Due | Look::Changed => scope(&state, touched),
        };
        if scope == Scope::Nothing {
            return Ok(Vec::new()); // another was quicker
        }
        let mut listing = self.list(scope)?;
        let mut known = self.known(transaction, scope)?;
        if scope == Scope::New && known.iter().any(|one| !listing.has(&one.place)) {
            scope = Scope::All;
            listing = self.list(scope)?;
            known = self.known(transaction, scope)?;
        }
        if known.iter().any(|one| !listing.has(&one.place)) {
            listing.add(self.list(scope)?);
        }
        let modseq = state.highest_modseq + 1;
        let mut is_changed = false;
        let mut gone = Vec::new();
        for one in &known {
            match listing.take(&one.place) {
                Some(place) => {
                    if place.rest != one.place.rest || place.is_new != one.place.is_new {
                        is_changed |= self.renamed(transaction, one.uid, &place, modseq)?;
                    }
                }
                None => gone.push(one.uid),
            }
        }
        vanish(transaction, self.key, &gone, modseq)?;
        let mut fresh = listing.rest();
        if scope == Scope::New {
            // A file that went back into `new` is not in what was looked up.
            fresh.retain(|place| !self.knows(transaction, &place.unique_name).unwrap_or(true));
        }
        // What does not fit into this batch must be found again, should we be killed before the next one.
        let is_whole = fresh.len() <= BATCH;
        let as_seen = |touched| if is_whole { seen(touched, now) } else { 0 };
        let (new_ns, cur_ns) = (as_seen(touched.0), as_seen(touched.1));
        transaction
            .prepare_cached(
                "UPDATE mailbox SET new_seen_ns = ?2, cur_seen_ns = iif(?4, ?3, cur_seen_ns),
                list_again_ms = iif(?4, 0, list_again_ms), highest_modseq = max(highest_modseq, ?5) WHERE key = ?1",
            )?
            .execute((
                self.key,
                new_ns,
                cur_ns,
                scope == Scope::All,
                if is_changed || !gone.is_empty() { modseq } else { 0 },
            ))?;
        self.take_batch(transaction, fresh, now)
    }

    pub(crate) fn list(&self, scope: Scope) -> Result<Listing, IndexError> {
        let list = |is_new| -> Result<Vec<Found>, IndexError> {
            let names = self.account.disk.list(self.subfolder(is_new));
            let names = names.map_err(IndexError::io("list the mailbox"))?.into_iter();
            let names = names.filter(|name| !name.starts_with('.'));
            Ok(names.map(|file_name| Found { file_name, is_new }).collect())
        };
        // `new` first: what goes from there to `cur` meanwhile is seen once or twice, and not never. Seen twice, it is
        // where it was going.
        let new = list(true)?;
        let mut found = if scope == Scope::All {
            list(false)?
        } else {
            Vec::new()
        };
        found.extend(new);
        Ok(Listing::new(found))
    }

    fn known(&self, transaction: &Transaction<'_>, scope: Scope) -> Result<Vec<Known>, IndexError> {
        let text = if scope == Scope::All {
            "SELECT uid, unique_name, rest, is_new FROM file WHERE mailbox = ?1 ORDER BY uid"
        } else {
            KNOWN_NEW
        };
        let mut query = transaction.prepare_cached(text)?;
        let rows = query.query_map([self.key], |row| {
            Ok(Known {
                uid: row.get(0)?,
                place: Place {
                    unique_name: row.get(1)?,
                    rest: row.get(2)?,
                    is_new: row.get(3)?,
                },
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn knows(&self, index: &Connection, unique_name: &str) -> Result<bool, IndexError> {
        let mut query = index.prepare_cached("SELECT 1 FROM file WHERE mailbox = ?1 AND unique_name = ?2")?;
        Ok(query.exists((self.key, unique_name))?)
    }

    /// Notes a file's new name; true where its flags are others.
    fn renamed(
        &self,
        transaction: &Transaction<'_>,
        uid: u32,
        place: &Place,
        modseq: i64,
    ) -> Result<bool, IndexError> {
        self.put_place(transaction, uid, place)?;
        let flags = flag::of_name(&place.rest);
        let mut update = transaction.prepare_cached(
            "UPDATE message SET flags = ?3, modseq = ?4 WHERE mailbox = ?1 AND uid = ?2 AND flags != ?3",
        )?;
        Ok(update.execute((self.key, uid, flags, modseq))? > 0)
    }

    /// Notes where a message's file is.
    pub(crate) fn put_place(
        &self,
        transaction: &Transaction<'_>,
        uid: u32,
        place: &Place,
    ) -> Result<(), IndexError> {
        transaction
            .prepare_cached(
                "UPDATE file SET unique_name = ?3, rest = ?4, is_new = ?5 WHERE mailbox = ?1 AND uid = ?2",
            )?
            .execute((self.key, uid, &place.unique_name, &place.rest, place.is_new))?;
        Ok(())
    }

    /// Gives the first of new messages UIDs; returns the others.
    fn take_batch(
        &self,
        transaction: &Transaction<'_>,
        mut fresh: Vec<Place>,
        now: UnixMs,
    ) -> Result<Vec<Place>, IndexError> {
        if fresh.is_empty() {
            return Ok(fresh);
        }
        let rest = fresh.split_off(fresh.len().min(BATCH));
        let state = self.state(transaction)?;
        let (mut uid, modseq) = (state.uid_next, state.highest_modseq + 1);
        for place in fresh {
            let Some(arrival) = self.arrival(&place, now)? else {
                continue; // gone again, or renamed: next time
            };
            if uid > UID_MAX {
                return Err(IndexError::TooMany("messages"));
            }
            if self.insert(transaction, uid, modseq, &place, &arrival)? {
                uid += 1;
            }
        }
        if uid > state.uid_next {
            self.advance(transaction, uid, modseq)?;
        }
        Ok(rest)
    }

    /// What a file says of its message; None where it is gone, or no regular file.
    pub(crate) fn arrival(&self, place: &Place, now: UnixMs) -> Result<Option<Arrival>, IndexError> {
        let at = self.subfolder(place.is_new);
        let stat = match rustix::fs::statat(at, place.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => stat,
            Ok(_) | Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(IndexError::io("look at a message")(error.into())),
        };
        Ok(Some(Arrival {
            internal_date_s: stat.st_mtime,
            saved_date_s: stat.st_ctime.min(milliseconds(now) / 1000),
            octets: wire_octets(&place.rest),
            email_id: email_id::of(&place.unique_name).0.to_be_bytes(),
            thread_id: None,
            flags: flag::of_name(&place.rest),
            keywords: 0,
        }))
    }

    /// A row for a new message; false where its file is known.
    pub(crate) fn insert(
        &self,
        transaction: &Transaction<'_>,
        uid: u32,
        modseq: i64,
        place: &Place,
        arrival: &Arrival,
    ) -> Result<bool, IndexError> {
        let mut file = transaction.prepare_cached(
            "INSERT INTO file (mailbox, uid, unique_name, rest, is_new, internal_date_s, saved_date_s, octets, email_id,
            thread_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (mailbox, unique_name) DO NOTHING",
        )?;
        let octets = arrival.octets.and_then(|octets| i64::try_from(octets).ok());
        let count = file.execute((
            self.key,
            uid,
            &place.unique_name,
            &place.rest,
            place.is_new,
            arrival.internal_date_s,
            arrival.saved_date_s,
            octets,
            arrival.email_id,
            arrival.thread_id,
        ))?;
        if count == 0 {
            return Ok(false);
        }
        transaction
            .prepare_cached("INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((self.key, uid, modseq, arrival.flags, arrival.keywords))?;
        Ok(true)
    }

    /// What the next message gets, and the mod-sequence of this change.
    pub(crate) fn advance(
        &self,
        transaction: &Transaction<'_>,
        uid_next: u32,
        modseq: i64,
    ) -> Result<(), IndexError> {
        transaction
            .prepare_cached(
                "UPDATE mailbox SET uid_next = max(uid_next, ?2), highest_modseq = max(highest_modseq, ?3)
                WHERE key = ?1",
            )?
            .execute((self.key, uid_next, modseq))?;
        Ok(())
    }
}

/// What has to be listed, by when the folders were changed. A second listing may be due beside that.
pub(crate) fn scope(state: &State, (new_ns, cur_ns): (i64, i64)) -> Scope {
    if cur_ns != state.cur_seen_ns {
        Scope::All
    } else if new_ns != state.new_seen_ns {
        Scope::New
    } else {
        Scope::Nothing
    }
}

/// When a folder was changed last.
pub(crate) fn changed_ns(stat: &Stat) -> i64 {
    let ns = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
    stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(ns)
}

/// What a new row says of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) internal_date_s: i64,
    pub(crate) saved_date_s: i64,
    pub(crate) octets: Option<u64>,
    pub(crate) email_id: [u8; 16],
    pub(crate) thread_id: Option<[u8; 16]>,
    pub(crate) flags: u8,
    pub(crate) keywords: i64,
}

/// `W=` of what stands behind a name's unique part.
pub(crate) fn wire_octets(rest: &str) -> Option<u64> {
    pymta_maildir::MessageName::parse(rest).wire_octets
}

/// A folder's time as it is remembered: 0 where it may stand for a later change too.
pub(crate) fn seen(touched_ns: i64, now: UnixMs) -> i64 {
    let tick_ms = if touched_ns % 1_000_000_000 == 0 {
        WHOLE_SECOND_TICK_MS
    } else {
        TICK_MS
    };
    if milliseconds(now) - touched_ns / 1_000_000 > tick_ms {
        touched_ns
    } else {
        0
    }
}

pub(crate) fn milliseconds(now: UnixMs) -> i64 {
    i64::try_from(now.0).unwrap_or(i64::MAX)
}

/// Whether the system says that a file is not there.
pub(crate) fn is_missing(error: &IndexError) -> bool {
    matches!(error, IndexError::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
}

//! One mailbox: what the index says of it.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pymta_maildir::{Disk, Files, OpenFolder};
use pymta_types::UnixMs;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::folders::object_id;
use crate::types::flag;
use crate::{Account, Changes, Details, IndexError, Message, ObjectId, Status};

/// Keywords are the bits of a number of 64.
pub(crate) const KEYWORDS_MAX: usize = 64;

/// A mailbox that is open. It stays the same one when it is renamed; once deleted, everything answers `NoMailbox`.
#[derive(Debug)]
pub struct Mailbox {
    pub(crate) account: Arc<Account>,
    pub(crate) name: String,
    pub(crate) key: i64,
    pub(crate) id: ObjectId,
    /// With another one it is another mailbox to all who hold this one.
    pub(crate) uid_validity: AtomicU32,
    pub(crate) folder: OpenFolder<Disk>,
    pub(crate) status: Mutex<Option<Status>>,
}

/// The row of a mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    pub(crate) highest_modseq: i64,
    pub(crate) vanished_from: i64,
    pub(crate) new_seen_ns: i64,
    pub(crate) cur_seen_ns: i64,
    pub(crate) list_again_ms: i64,
}

impl State {
    /// Of the columns from that one on.
    pub(crate) fn of(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            uid_validity: row.get(first)?,
            uid_next: row.get(first + 1)?,
            highest_modseq: row.get(first + 2)?,
            vanished_from: row.get(first + 3)?,
            new_seen_ns: row.get(first + 4)?,
            cur_seen_ns: row.get(first + 5)?,
            list_again_ms: row.get(first + 6)?,
        })
    }
}

/// Where the index has a message's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) unique_name: String,
    pub(crate) rest: String,
    pub(crate) is_new: bool,
}

impl Place {
    pub(crate) fn file_name(&self) -> String {
        format!("{}{}", self.unique_name, self.rest)
    }
}

impl Mailbox {
    /// As it was named when it was opened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// MAILBOXID.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// Its account.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The numbers of the mailbox. Counted anew only where something changed since the last time.
    ///
    /// # Errors
    /// As of any look.
    pub fn status(&self) -> Result<Status, IndexError> {
        self.account.read(|index| {
            let index = index.unchecked_transaction()?;
            let state = self.state(&index)?;
            let highest_modseq = unsigned(state.highest_modseq);
            let mut kept = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(status) = kept.filter(|status| {
                status.highest_modseq == highest_modseq && status.uid_validity == state.uid_validity
            }) {
                return Ok(status);
            }
            let mut query = index.prepare_cached(
                "SELECT count(*), total(flags & ?2 = 0), total(flags & ?3 != 0) FROM message WHERE mailbox = ?1",
            )?;
            let status = query.query_row((self.key, flag::SEEN, flag::DELETED), |row| {
                Ok(Status {
                    uid_validity: state.uid_validity,
                    uid_next: state.uid_next,
                    highest_modseq,
                    messages: row.get(0)?,
                    unseen: count(row.get(1)?),
                    deleted: count(row.get(2)?),
                })
            })?;
            *kept = Some(status);
            Ok(status)
        })
    }

    /// All messages, in ascending order of UIDs.
    ///
    /// # Errors
    /// As of any look.
    pub fn messages(&self) -> Result<Vec<Message>, IndexError> {
        self.look(|index| {
            let mut query = index.prepare_cached(
                "SELECT uid, modseq, flags, keywords FROM message WHERE mailbox = ?1 ORDER BY uid",
            )?;
            let rows = query.query_map([self.key], message_of)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The names of the keywords' bits; an empty one is free.
    ///
    /// # Errors
    /// As of any look.
    pub fn keywords(&self) -> Result<Vec<String>, IndexError> {
        self.look(|index| keywords(index, self.key))
    }

    /// What changed after a mod-sequence.
    ///
    /// # Errors
    /// As of any look.
    pub fn changes(&self, since: u64) -> Result<Changes, IndexError> {
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        self.account.read(|index| {
            // One look: a commit of another process must not come between its parts.
            let index = index.unchecked_transaction()?;
            let state = self.state(&index)?;
            let mut changes = Changes {
                highest_modseq: unsigned(state.highest_modseq),
                ..Changes::default()
            };
            if state.highest_modseq <= since {
                return Ok(changes);
            }
            let mut query = index.prepare_cached(
                "SELECT uid, modseq, flags, keywords FROM message WHERE mailbox = ?1 AND modseq > ?2",
            )?;
            let rows = query.query_map((self.key, since), message_of)?;
            changes.changed = rows.collect::<Result<_, _>>()?;
            changes.changed.sort_unstable_by_key(|message| message.uid);
            let ranges: Vec<(u32, u32)> = if since < state.vanished_from {
                let mut query =
                    index.prepare_cached("SELECT uid FROM message WHERE mailbox = ?1 ORDER BY uid")?;
                let mut rows = query.query([self.key])?;
                let (mut gaps, mut next) = (Vec::new(), 1u32);
                while let Some(row) = rows.next()? {
                    let uid: u32 = row.get(0)?;
                    if uid > next {
                        gaps.push((next, uid - 1));
                    }
                    next = uid.saturating_add(1);
                }
                if state.uid_next > next {
                    gaps.push((next, state.uid_next - 1));
                }
                gaps
            } else {
                let mut query = index.prepare_cached(
                    "SELECT first_uid, last_uid FROM vanished WHERE mailbox = ?1 AND modseq > ?2",
                )?;
                let rows = query.query_map((self.key, since), |row| Ok((row.get(0)?, row.get(1)?)))?;
                let mut ranges: Vec<(u32, u32)> = rows.collect::<Result<_, _>>()?;
                ranges.sort_unstable();
                ranges
            };
            for (first, last) in ranges {
                match changes.vanished.last_mut() {
                    Some(before) if u64::from(*before.end()) + 1 >= u64::from(first) => {
                        *before = *before.start()..=last.max(*before.end());
                    }
                    _ => changes.vanished.push(first..=last),
                }
            }
            Ok(changes)
        })
    }

    /// What is known of messages without opening them, in the order asked for; those that are gone are left out. Where
    /// a message's size is not known its file is read, once for ever.
    ///
    /// # Errors
    /// As of any look; `Io`.
    pub fn details(&self, uids: &[u32], now: UnixMs) -> Result<Vec<Details>, IndexError> {
        let mut unsized_uids = Vec::new();
        let mut found = self.look(|index| {
            let mut query = index.prepare_cached(
                "SELECT internal_date_s, saved_date_s, octets, email_id, thread_id FROM file
                WHERE mailbox = ?1 AND uid = ?2",
            )?;
            let mut found = Vec::with_capacity(uids.len());
            for &uid in uids {
                let details = query.query_row((self.key, uid), |row| {
                    let octets: Option<i64> = row.get(2)?;
                    if octets.is_none() {
                        unsized_uids.push((found.len(), uid));
                    }
                    Ok(Details {
                        uid,
                        internal_date_s: row.get(0)?,
                        saved_date_s: row.get(1)?,
                        octets: octets.map_or(0, unsigned),
                        email_id: object_id(row.get(3)?),
                        thread_id: row.get::<_, Option<[u8; 16]>>(4)?.map(object_id),
                    })
                });
                found.extend(details.optional()?);
            }
            Ok(found)
        })?;
        for (at, octets) in self.count_octets(&unsized_uids, now)? {
            found[at].octets = octets;
        }
        Ok(found)
    }

    /// The size of all messages together (STATUS=SIZE, RFC 8438).
    ///
    /// # Errors
    /// As of any look; `Io`.
    pub fn octets(&self, now: UnixMs) -> Result<u64, IndexError> {
        let missing: Vec<(usize, u32)> = self.look(|index| {
            let mut query =
                index.prepare_cached("SELECT uid FROM file WHERE mailbox = ?1 AND octets IS NULL")?;
            let rows = query.query_map([self.key], |row| Ok((0, row.get(0)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })?;
        self.count_octets(&missing, now)?;
        self.look(|index| {
            let mut query = index.prepare_cached("SELECT sum(octets) FROM file WHERE mailbox = ?1")?;
            let sum: Option<i64> = query.query_row([self.key], |row| row.get(0))?;
            Ok(sum.map_or(0, unsigned))
        })
    }

    /// The files and folders whose changes mean that something may be new: `new`, `cur`, and the index's log.
    pub fn watch_paths(&self) -> Vec<std::path::PathBuf> {
        let mut paths = self.account.watch_paths_of(&self.name);
        paths.push(
            self.account
                .path()
                .join(format!("{}-wal", crate::account::INDEX_NAME)),
        );
        paths
    }

    // ---- rows

    /// Looks something up in one picture of the index, where this is still the mailbox that was opened: UIDs of another
    /// UIDVALIDITY are those of other messages.
    pub(crate) fn look<T>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        self.account.read(|index| {
            let index = index.unchecked_transaction()?;
            self.state(&index)?;
            look(&index)
        })
    }

    pub(crate) fn state(&self, index: &Connection) -> Result<State, IndexError> {
        let mut query = index.prepare_cached(
            "SELECT uid_validity, uid_next, highest_modseq, vanished_from, new_seen_ns, cur_seen_ns, list_again_ms
            FROM mailbox WHERE key = ?1",
        )?;
        let found = query.query_row([self.key], |row| State::of(row, 0));
        let is_same = |state: &State| state.uid_validity == self.uid_validity.load(Ordering::Relaxed);
        found.optional()?.filter(is_same).ok_or(IndexError::NoMailbox)
    }

    pub(crate) fn place(&self, index: &Connection, uid: u32) -> Result<Option<Place>, IndexError> {
        let mut query = index
            .prepare_cached("SELECT unique_name, rest, is_new FROM file WHERE mailbox = ?1 AND uid = ?2")?;
        let found = query.query_row((self.key, uid), |row| {
            Ok(Place {
                unique_name: row.get(0)?,
                rest: row.get(1)?,
                is_new: row.get(2)?,
            })
        });
        Ok(found.optional()?)
    }

    /// The subfolder that a message's file is in.
    pub(crate) fn subfolder(&self, is_new: bool) -> &OwnedFd {
        if is_new {
            &self.folder.new
        } else {
            &self.folder.cur
        }
    }

    /// Opens a message's file. One that was renamed is looked for once.
    ///
    /// # Errors
    /// `Io`; also where its name stands for something that is no regular file.
    pub fn open_file(&self, uid: u32, now: UnixMs) -> Result<Option<std::fs::File>, IndexError> {
        let mut missed = None;
        for is_last in [false, false, true] {
            let mut place = self.look(|index| self.place(index, uid))?;
            // Another session may have renamed it since, and then the index knows; else another program did.
            if missed.is_some() && (is_last || place == missed) {
                self.rescan(now)?;
                place = self.look(|index| self.place(index, uid))?;
            }
            let Some(place) = place else {
                return Ok(None);
            };
            let at = self.subfolder(place.is_new);
            match self.account.disk.open_file(at, &place.file_name()) {
                Ok(file) => return Ok(Some(file.into())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => missed = Some(place),
                Err(error) => return Err(IndexError::io("open a message")(error)),
            }
        }
        Ok(None)
    }
}

/// A row's message.
pub(crate) fn message_of(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        uid: row.get(0)?,
        modseq: unsigned(row.get(1)?),
        flags: row.get(2)?,
        keywords: bits(row.get(3)?),
    })
}

/// The names of a mailbox's keywords, by bit.
pub(crate) fn keywords(index: &Connection, key: i64) -> Result<Vec<String>, IndexError> {
    let mut query = index.prepare_cached("SELECT bit, name FROM keyword WHERE mailbox = ?1 ORDER BY bit")?;
    let mut rows = query.query([key])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        let bit = usize::from(row.get::<_, u8>(0)?).min(KEYWORDS_MAX - 1);
        names.resize(bit, String::new());
        names.push(row.get(1)?);
    }
    Ok(names)
}

/// SQLite's numbers have a sign; ours that are counted have none.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The 64 bits behind SQLite's number.
pub(crate) fn bits(number: i64) -> u64 {
    u64::from_ne_bytes(number.to_ne_bytes())
}

/// And back.
pub(crate) fn number_of(bits: u64) -> i64 {
    i64::from_ne_bytes(bits.to_ne_bytes())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // SQLite's total of at most 2^32 ones
fn count(total: f64) -> u32 {
    total as u32
}

//! The texts of messages, as a filter for searches: `pymta.search`, a SQLite file beside the index.
//!
//! Rules:
//! - It says which messages cannot hold a text, and nothing else. A message that it does not know may hold any.
//! - It is made from messages alone. Where anything is wrong with it, it is removed and made again; in doubt it is not used.
//! - A row is one message's for ever, since UIDs do not come again. Whether they are those of the mailbox that is looked at
//!   is asked every time ([`Row::is_of`]): the index may have been made anew, or taken UIDs over from another server.

use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::mailbox::State;
use crate::text_file::change;
use crate::{Account, IndexError, Mailbox};

/// What an account's texts may take of the disk; beyond it nothing is added.
const FILE_OCTETS_MAX: i64 = 1 << 30;
/// Of messages that are gone, so many are removed at a time.
const REMOVED_MAX: usize = 200;
/// Of one text, so many pieces of three characters are looked up; more of them hardly exclude more messages.
const PIECES_MAX: usize = 24;
/// Of one search, so many texts are looked up.
const TEXTS_MAX: usize = 8;

/// Which messages need not be read, since they cannot hold a text.
#[derive(Debug, Default)]
pub struct TextFilter {
    /// UIDs of the messages that are known, ascending.
    known: Vec<u32>,
    /// Texts, and UIDs of known messages that may hold them, ascending.
    holders: Vec<(String, Vec<u32>)>,
}

impl TextFilter {
    /// Whether the message cannot hold the text.
    pub fn excludes(&self, uid: u32, text: &[u8]) -> bool {
        let holders = self.holders.iter().find(|(known, _)| known.as_bytes() == text);
        holders.is_some_and(|(_, holders)| {
            holders.binary_search(&uid).is_err() && self.known.binary_search(&uid).is_ok()
        })
    }
}

/// What is to be done for a mailbox next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextStep {
    /// Something was removed; ask again.
    Again,
    /// Read these messages, then `put_texts` with both.
    Read {
        /// UIDs up to this one were read before.
        after: u32,
        /// Ascending.
        uids: Vec<u32>,
    },
    /// Nothing.
    Done,
}

/// What the file says of a mailbox as a whole.
struct Row {
    object_id: [u8; 16],
    uid_validity: u32,
    /// Messages up to this UID were read; those that are not in it were too large, or could not be.
    read_to: u32,
    /// Messages that were gone at this mod-sequence are removed.
    removed_to: i64,
}

impl Row {
    fn of(file: &Connection, key: i64) -> rusqlite::Result<Option<Self>> {
        let mut query = file.prepare_cached(
            "SELECT object_id, uid_validity, read_to, removed_to FROM mailbox WHERE key = ?1",
        )?;
        let row = query.query_row([key], |row| {
            Ok(Self {
                object_id: row.get(0)?,
                uid_validity: row.get(1)?,
                read_to: row.get(2)?,
                removed_to: row.get(3)?,
            })
        });
        row.optional()
    }

    /// Whether UIDs stand for the same messages as in the index. `vanished_from` is raised where they were all given anew.
    fn is_of(&self, mailbox: &Mailbox, state: &State) -> bool {
        self.object_id == mailbox.id.0.to_be_bytes()
            && self.uid_validity == state.uid_validity
            && self.read_to < state.uid_next
            && (state.vanished_from..=state.highest_modseq).contains(&self.removed_to)
    }
}

impl Account {
    /// A mailbox that the file knows and the index does not.
    fn deleted_mailbox(&self, known: &[i64]) -> Result<Option<i64>, IndexError> {
        self.read(|index| {
            let mut query = index.prepare_cached("SELECT 1 FROM mailbox WHERE key = ?1")?;
            for &key in known {
                if !query.exists([key])? {
                    return Ok(Some(key));
                }
            }
            Ok(None)
        })
    }
}

impl Mailbox {
    /// What is known of texts, in the form in which they are compared. None where that excludes nothing.
    ///
    /// # Errors
    /// As of any look; `Io`.
    pub fn text_filter(&self, texts: &[&str]) -> Result<Option<TextFilter>, IndexError> {
        let mut queries: Vec<(&str, String)> = Vec::new();
        for text in texts {
            if queries.len() < TEXTS_MAX
                && let Some(query) = query_of(text)
            {
                queries.push((text, query));
            }
        }
        if queries.is_empty() || !self.account.options.full_text {
            return Ok(None);
        }
        let state = self.look(|index| self.state(index))?;
        let filter = self.account.in_texts(false, |file| {
            // One look: what another process adds meanwhile must not be known without its text.
            let file = file.transaction()?;
            if !Row::of(&file, self.key)?.is_some_and(|row| row.is_of(self, &state)) {
                return Ok(None);
            }
            let places = places(self.key, 1..=u32::MAX);
            let mut known = file.prepare_cached(
                "SELECT id & 0xffffffff FROM message_docsize WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
            )?;
            let mut holding = file.prepare_cached(
                "SELECT rowid & 0xffffffff FROM message WHERE message MATCH ?3 AND rowid BETWEEN ?1 AND ?2
                ORDER BY rowid",
            )?;
            let mut filter = TextFilter {
                known: known
                    .query_map(places, |row| row.get(0))?
                    .collect::<Result<_, _>>()?,
                holders: Vec::new(),
            };
            for (text, query) in &queries {
                let holders = holding.query_map((places.0, places.1, query), |row| row.get(0))?;
                filter
                    .holders
                    .push(((*text).to_owned(), holders.collect::<Result<_, _>>()?));
            }
            Ok(Some(filter))
        })?;
        Ok(filter.flatten())
    }

    /// What is to be done so that the file knows the texts of this mailbox; removes some of what is gone on the way.
    ///
    /// # Errors
    /// As of any change.
    pub fn text_step(&self, messages_max: usize) -> Result<TextStep, IndexError> {
        let state = self.look(|index| self.state(index))?;
        let row = self.account.in_texts(true, |file| Row::of(file, self.key))?;
        let Some(row) = row else {
            return Ok(TextStep::Done);
        };
        let Some(row) = row.filter(|row| row.is_of(self, &state)) else {
            return self.begin_texts(&state);
        };
        if row.removed_to < state.highest_modseq {
            let changes = self.changes(u64::try_from(row.removed_to).unwrap_or(0))?;
            let to = i64::try_from(changes.highest_modseq).unwrap_or(i64::MAX);
            if !self.remove_gone(&changes.vanished, row.removed_to, to)? {
                return Ok(TextStep::Again);
            }
        }
        let uids: Vec<u32> = self.look(|index| {
            let mut query = index.prepare_cached(
                "SELECT uid FROM message WHERE mailbox = ?1 AND uid > ?2 ORDER BY uid LIMIT ?3",
            )?;
            let count_max = i64::try_from(messages_max).unwrap_or(i64::MAX);
            let rows = query.query_map((self.key, row.read_to, count_max), |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })?;
        if !uids.is_empty() && !self.is_full()? {
            let after = row.read_to;
            return Ok(TextStep::Read { after, uids });
        }
        self.forget_deleted()
    }

    /// Adds texts of messages; None for one that is to be read by every search. They are all that there are from `after`
    /// on; false where somebody else was quicker, or they cannot be added now.
    ///
    /// # Errors
    /// `Sqlite`, `Io`.
    pub fn put_texts(&self, after: u32, texts: &[(u32, Option<String>)]) -> Result<bool, IndexError> {
        let Some(&(last, _)) = texts.last() else {
            return Ok(false);
        };
        let state = self.look(|index| self.state(index))?;
        let is_done = self.account.in_texts(true, |file| {
            let transaction = change(file)?;
            let row = Row::of(&transaction, self.key)?;
            if !row.is_some_and(|row| row.read_to == after && row.is_of(self, &state)) {
                return Ok(false);
            }
            let mut insert =
                transaction.prepare_cached("INSERT INTO message (rowid, text) VALUES (?1 << 32 | ?2, ?3)")?;
            for (uid, text) in texts {
                if let Some(text) = text {
                    insert.execute((self.key, uid, text.replace('\0', "\u{fffd}")))?;
                }
            }
            drop(insert);
            transaction.execute("UPDATE mailbox SET read_to = ?2 WHERE key = ?1", (self.key, last))?;
            transaction.commit()?;
            Ok(true)
        })?;
        Ok(is_done.unwrap_or(false))
    }

    /// Texts of other messages than these, where there are any, go first.
    fn begin_texts(&self, state: &State) -> Result<TextStep, IndexError> {
        let is_done = self.account.in_texts(true, |file| {
            let transaction = change(file)?;
            let is_done = remove(&transaction, self.key, &(1..=u32::MAX), REMOVED_MAX)? < REMOVED_MAX;
            if is_done {
                transaction.execute(
                    "INSERT OR REPLACE INTO mailbox VALUES (?1, ?2, ?3, 0, ?4)",
                    (
                        self.key,
                        self.id.0.to_be_bytes(),
                        state.uid_validity,
                        state.highest_modseq,
                    ),
                )?;
            }
            transaction.commit()
        })?;
        Ok(is_done.map_or(TextStep::Done, |()| TextStep::Again))
    }

    /// True when all are removed.
    fn remove_gone(
        &self,
        gone: &[RangeInclusive<u32>],
        since: i64,
        highest_modseq: i64,
    ) -> Result<bool, IndexError> {
        let is_done = self.account.in_texts(true, |file| {
            let transaction = change(file)?;
            let mut left = REMOVED_MAX;
            for range in gone {
                left -= remove(&transaction, self.key, range, left)?;
                if left == 0 {
                    break;
                }
            }
            if left > 0 {
                transaction.execute(
                    "UPDATE mailbox SET removed_to = ?3 WHERE key = ?1 AND removed_to = ?2",
                    (self.key, since, highest_modseq),
                )?;
            }
            transaction.commit()?;
            Ok(left > 0)
        })?;
        Ok(is_done.unwrap_or(true))
    }

    fn is_full(&self) -> Result<bool, IndexError> {
        let octets = self.account.in_texts(true, |file| {
            let pages: i64 = file.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let page_octets: i64 = file.pragma_query_value(None, "page_size", |row| row.get(0))?;
            Ok(pages * page_octets)
        })?;
        Ok(octets.is_none_or(|octets| octets >= FILE_OCTETS_MAX))
    }

    /// Of mailboxes that are no more.
    fn forget_deleted(&self) -> Result<TextStep, IndexError> {
        let known = self.account.in_texts(true, |file| {
            let mut query = file.prepare_cached("SELECT key FROM mailbox")?;
            let rows = query.query_map([], |row| row.get(0))?;
            rows.collect::<Result<Vec<i64>, _>>()
        })?;
        let Some(deleted) = self.account.deleted_mailbox(&known.unwrap_or_default())? else {
            return Ok(TextStep::Done);
        };
        let done = self.account.in_texts(true, |file| {
            let transaction = change(file)?;
            if remove(&transaction, deleted, &(1..=u32::MAX), REMOVED_MAX)? < REMOVED_MAX {
                transaction.execute("DELETE FROM mailbox WHERE key = ?1", [deleted])?;
            }
            transaction.commit()
        })?;
        Ok(done.map_or(TextStep::Done, |()| TextStep::Again))
    }
}

/// Rows of a mailbox's messages.
fn places(key: i64, uids: RangeInclusive<u32>) -> (i64, i64) {
    let place = |uid: u32| key << 32 | i64::from(uid);
    (place(*uids.start()), place(*uids.end()))
}

/// Removes at most so many; how many.
fn remove(
    file: &Transaction<'_>,
    key: i64,
    uids: &RangeInclusive<u32>,
    count_max: usize,
) -> rusqlite::Result<usize> {
    let (first, last) = places(key, uids.clone());
    let mut query = file
        .prepare_cached("SELECT id FROM message_docsize WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3")?;
    let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
    let found = query.query_map((first, last, count_max), |row| row.get(0))?;
    let found: Vec<i64> = found.collect::<Result<_, _>>()?;
    let mut delete = file.prepare_cached("DELETE FROM message WHERE rowid = ?1")?;
    for place in &found {
        delete.execute([place])?;
    }
    Ok(found.len())
}

/// FTS5's question for messages that have all pieces of a text; None for one that has no piece of three characters. A NUL
/// ends no text, but would end the question.
fn query_of(text: &str) -> Option<String> {
    let mut pieces: Vec<&str> = Vec::new();
    let starts: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    for ends in starts.windows(4) {
        let piece = &text[ends[0]..ends[3]];
        if !piece.contains('\0') && !pieces.contains(&piece) && pieces.len() < PIECES_MAX {
            pieces.push(piece);
        }
    }
    let quoted: Vec<String> = pieces
        .iter()
        .map(|piece| format!("\"{}\"", piece.replace('"', "\"\"")))
        .collect();
    (!quoted.is_empty()).then(|| quoted.join(" AND "))
}

#[cfg(test)]
#[path = "full_text_tests.rs"]
mod tests;

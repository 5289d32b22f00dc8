//! Annotations of mailboxes and of the account (METADATA, RFC 5464), as they were given.

use rusqlite::{OptionalExtension, Transaction};

use crate::folders::canonical;
use crate::{Account, IndexError};

/// In place of a mailbox's key: the account itself.
const OF_ACCOUNT: i64 = 0;
/// Annotations of an account, on all its mailboxes.
const ENTRIES_MAX: i64 = 10_000;
/// What all of them have together, names and values.
const OCTETS_MAX: i64 = 1 << 20;

impl Account {
    /// The annotations of a mailbox, or of the account, that are wanted by their name; in order of their names.
    ///
    /// # Errors
    /// `NoMailbox`.
    pub fn metadata(
        &self,
        mailbox: Option<&str>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, Vec<u8>)>, IndexError> {
        self.read(|index| {
            let key = key(index, mailbox)?;
            let mut query = index
                .prepare_cached("SELECT entry, value FROM metadata WHERE mailbox = ?1 ORDER BY entry")?;
            let mut rows = query.query([key])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let entry: String = row.get(0)?;
                if wanted(&entry) {
                    found.push((entry, row.get(1)?));
                }
            }
            Ok(found)
        })
    }

    /// Sets annotations, or takes away those whose value is None: all or none of them.
    ///
    /// # Errors
    /// `NoMailbox`, `TooMany`.
    pub fn set_metadata(
        &self,
        mailbox: Option<&str>,
        entries: &[(&str, Option<&[u8]>)],
    ) -> Result<(), IndexError> {
        self.write(|transaction| {
            let key = key(transaction, mailbox)?;
            for (entry, value) in entries {
                set(transaction, key, entry, *value)?;
            }
            let (count, octets): (i64, i64) = transaction.query_row(
                "SELECT count(*), ifnull(sum(length(CAST(entry AS BLOB)) + length(value)), 0) FROM metadata",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            // Who is over it from before may take away all the same.
            let adds = entries.iter().any(|(_, value)| value.is_some());
            if adds && (count > ENTRIES_MAX || octets > OCTETS_MAX) {
                return Err(IndexError::TooMany("annotations"));
            }
            Ok(())
        })
    }
}

fn set(transaction: &Transaction<'_>, key: i64, entry: &str, value: Option<&[u8]>) -> Result<(), IndexError> {
    match value {
        Some(value) => transaction
            .prepare_cached("INSERT OR REPLACE INTO metadata VALUES (?1, ?2, ?3)")?
            .execute((key, entry, value))?,
        None => transaction
            .prepare_cached("DELETE FROM metadata WHERE mailbox = ?1 AND entry = ?2")?
            .execute((key, entry))?,
    };
    Ok(())
}

fn key(index: &rusqlite::Connection, mailbox: Option<&str>) -> Result<i64, IndexError> {
    let Some(name) = mailbox else {
        return Ok(OF_ACCOUNT);
    };
    let mut query = index.prepare_cached("SELECT key FROM mailbox WHERE name = ?1")?;
    let found = query.query_row([canonical(name)], |row| row.get(0));
    found.optional()?.ok_or(IndexError::NoMailbox)
}

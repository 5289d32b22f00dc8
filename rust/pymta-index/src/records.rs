//! What the message's owner keeps of a parsed message; opaque here.

use rusqlite::OptionalExtension;

use crate::{IndexError, Mailbox};

impl Mailbox {
    /// What was put for messages with `put_records`, in the order asked for.
    ///
    /// # Errors
    /// As of any look.
    pub fn records(&self, uids: &[u32]) -> Result<Vec<Option<Vec<u8>>>, IndexError> {
        self.look(|index| {
            let mut query = index.prepare_cached("SELECT octets FROM record WHERE place = ?1 << 32 | ?2")?;
            let mut found = Vec::with_capacity(uids.len());
            for &uid in uids {
                found.push(query.query_row((self.key, uid), |row| row.get(0)).optional()?);
            }
            Ok(found)
        })
    }

    /// Keeps something for messages; those that are gone are passed by.
    ///
    /// # Errors
    /// As of any change.
    pub fn put_records(&self, records: &[(u32, Vec<u8>)]) -> Result<(), IndexError> {
        if records.is_empty() {
            return Ok(());
        }
        self.account.write(|transaction| {
            self.state(transaction)?;
            let mut record = transaction.prepare_cached(
                "INSERT OR REPLACE INTO record SELECT ?1 << 32 | ?2, ?3
                WHERE EXISTS (SELECT 1 FROM file WHERE mailbox = ?1 AND uid = ?2)",
            )?;
            for (uid, octets) in records {
                record.execute((self.key, uid, octets))?;
            }
            Ok(())
        })
    }

    /// Messages that have no record yet, ascending.
    ///
    /// # Errors
    /// As of any look.
    pub fn without_records(&self) -> Result<Vec<u32>, IndexError> {
        self.look(|index| {
            let mut query = index.prepare_cached(
                "SELECT uid FROM message WHERE mailbox = ?1
                AND NOT EXISTS (SELECT 1 FROM record WHERE place = ?1 << 32 | message.uid) ORDER BY uid",
            )?;
            let rows = query.query_map([self.key], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

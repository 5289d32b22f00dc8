//! `\Recent` (RFC 3501 §2.3.2): which messages no session was told of yet. The first one that is told, and may change the
//! mailbox, takes them.
//!
//! Not worth a sync: a power cut may let a message be recent once more, as RFC 3501 has it for who cannot know.

use rusqlite::{Connection, params};

use crate::{IndexError, Mailbox};

impl Mailbox {
    /// The first UID of which no session has been told; recent is what has it or a later one.
    ///
    /// # Errors
    /// As of any look.
    pub fn recent_from(&self) -> Result<u32, IndexError> {
        self.look(|index| self.first_recent(index))
    }

    /// How many messages no session has been told of.
    ///
    /// # Errors
    /// As of any look.
    pub fn recent_count(&self) -> Result<u32, IndexError> {
        self.look(|index| {
            let from = self.first_recent(index)?;
            let mut query =
                index.prepare_cached("SELECT count(*) FROM message WHERE mailbox = ?1 AND uid >= ?2")?;
            Ok(query.query_row(params![self.key, from], |row| row.get(0))?)
        })
    }

    /// Likewise `recent_from`, for a session that is told of all that is below `end`: nobody else will be.
    ///
    /// # Errors
    /// As of any change.
    pub fn take_recent(&self, end: u32) -> Result<u32, IndexError> {
        let from = self.recent_from()?;
        if from >= end {
            return Ok(from);
        }
        self.account.write_lightly(|transaction| {
            let from = self.first_recent(transaction)?; // another session may have been quicker
            let mut update = transaction
                .prepare_cached("UPDATE mailbox SET recent_from = max(recent_from, ?2) WHERE key = ?1")?;
            update.execute((self.key, end))?;
            Ok(from)
        })
    }

    fn first_recent(&self, index: &Connection) -> Result<u32, IndexError> {
        let mut query = index.prepare_cached("SELECT recent_from FROM mailbox WHERE key = ?1")?;
        Ok(query.query_row([self.key], |row| row.get(0))?)
    }
}

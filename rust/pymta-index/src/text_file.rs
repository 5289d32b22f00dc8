//! The file of texts itself: opened, looked after, removed where it is damaged. What is in it: `full_text.rs`.
//!
//! It is made and removed under the index's lock, with what SQLite has beside it, so that no process makes a new one between.

use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use pymta_maildir::Files;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::account::{BESIDE, inode};
use crate::{Account, IndexError};

/// The file.
const SEARCH_NAME: &str = "pymta.search";
/// Its format; another one is made anew. One more also wherever the same message would give another text.
const FORMAT: i64 = 1;
/// For so long we wait for another process that adds texts.
const BUSY_MS: u64 = 2_000;
const CACHE_KIB_MAX: i64 = 1024;
const LOG_OCTETS_KEPT: i64 = 4 << 20;

// Texts come in the form in which they are compared, so FTS5 is to fold nothing. Pieces without their places (detail=none)
// take a third of the room; what they exclude is excluded, and the rest is read.
const TABLES: &str = "
CREATE TABLE mailbox (
    key INTEGER PRIMARY KEY,
    object_id BLOB NOT NULL,
    uid_validity INTEGER NOT NULL,
    read_to INTEGER NOT NULL,
    removed_to INTEGER NOT NULL
);
CREATE VIRTUAL TABLE message USING fts5 (
    text, content='', contentless_delete=1, detail=none, tokenize='trigram case_sensitive 1'
);
";

/// An open one.
#[derive(Debug)]
pub(crate) struct TextFile {
    connection: Connection,
    inode: u64,
}

impl Account {
    /// Works on the file; None where there is none, or none that is of use.
    pub(crate) fn in_texts<T>(
        &self,
        is_made: bool,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, IndexError> {
        let mut slot = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = self.texts_inode()?;
        if slot.as_ref().is_some_and(|file| is_there != Some(file.inode)) {
            *slot = None;
        }
        if slot.is_none() {
            if is_there.is_none() && !is_made {
                return Ok(None);
            }
            *slot = self.open_texts(is_there)?;
        }
        let Some(file) = slot.as_mut() else {
            return Ok(None);
        };
        match work(&mut file.connection).map_err(IndexError::from) {
            Ok(done) => Ok(Some(done)),
            Err(IndexError::Busy) => Ok(None),
            Err(IndexError::Damaged(_)) => {
                let inode = file.inode;
                *slot = None;
                self.remove_texts(inode)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn texts_inode(&self) -> Result<Option<u64>, IndexError> {
        inode(&self.disk, SEARCH_NAME).map_err(IndexError::io("look at the texts"))
    }

    fn open_texts(&self, is_there: Option<u64>) -> Result<Option<TextFile>, IndexError> {
        if is_there.is_none() {
            self.make_texts()?;
        }
        let opened = connect(&self.path().join(SEARCH_NAME)).map_err(IndexError::from);
        let inode = self.texts_inode()?;
        match (opened, inode) {
            (Ok(Some(connection)), Some(inode)) if is_there.is_none_or(|before| before == inode) => {
                Ok(Some(TextFile { connection, inode }))
            }
            (Err(IndexError::Damaged(_)), Some(inode)) => {
                self.remove_texts(inode)?;
                Ok(None)
            }
            (Ok(_) | Err(IndexError::Busy), _) => Ok(None),
            (Err(error), _) => Err(error),
        }
    }

    /// An empty file. Somebody may have removed the last one alone while another process has it open: SQLite would take what
    /// is left beside it for the new one's.
    fn make_texts(&self) -> Result<(), IndexError> {
        self.write_lightly(|_| {
            if self.texts_inode()?.is_some() {
                return Ok(()); // another was quicker
            }
            self.remove_beside()?;
            let made = self.disk.create(self.disk.root(), SEARCH_NAME);
            made.map(drop).map_err(IndexError::io("make the file of texts"))
        })
    }

    /// Removes the file, where it still is that one.
    fn remove_texts(&self, inode: u64) -> Result<(), IndexError> {
        self.write_lightly(|_| {
            if self.texts_inode()? != Some(inode) {
                return Ok(());
            }
            self.remove_beside()?;
            self.remove_named(SEARCH_NAME)
        })
    }

    fn remove_beside(&self) -> Result<(), IndexError> {
        BESIDE
            .iter()
            .try_for_each(|suffix| self.remove_named(&format!("{SEARCH_NAME}{suffix}")))
    }

    fn remove_named(&self, name: &str) -> Result<(), IndexError> {
        match self.disk.remove(self.disk.root(), name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(IndexError::io("remove the file of texts")(error))
            }
            _ => Ok(()),
        }
    }
}

/// None where a newer version made it, whose affair it is.
fn connect(path: &Path) -> rusqlite::Result<Option<Connection>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut file = Connection::open_with_flags(path, flags)?;
    file.busy_timeout(Duration::from_millis(BUSY_MS))?;
    file.pragma_update(None, "journal_mode", "wal")?;
    // A power cut may take back what was added last, which is then read once more.
    file.pragma_update(None, "synchronous", "normal")?;
    file.pragma_update(None, "journal_size_limit", LOG_OCTETS_KEPT)?;
    file.pragma_update(None, "cache_size", -CACHE_KIB_MAX)?;
    file.pragma_update(None, "temp_store", "memory")?;
    file.pragma_update(None, "cell_size_check", true)?;
    let format =
        |file: &Connection| file.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    if format(&file)? < FORMAT {
        let transaction = change(&mut file)?;
        if format(&transaction)? < FORMAT {
            transaction.execute_batch("DROP TABLE IF EXISTS mailbox; DROP TABLE IF EXISTS message")?;
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", FORMAT)?;
        }
        transaction.commit()?;
    }
    Ok((format(&file)? == FORMAT).then_some(file))
}

pub(crate) fn change(file: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    file.transaction_with_behavior(TransactionBehavior::Immediate)
}

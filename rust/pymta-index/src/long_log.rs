//! An index's write-ahead log goes back into its file when nobody waits for it.
//!
//! SQLite by itself does that in the commit that makes the log long: thousands of pages and two syncs, and whoever waits for
//! that commit waits for them. Here such an index is put in a queue instead, and what it is taken from uses a connection of
//! its own, beside which commits go on. Should nobody come for it, the commit does it after all, at several times the length.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::IndexError;

/// From so many pages of 4 KiB on a log is long; again after as many more, until it begins anew.
const LONG_PAGES: c_int = 1_000;
/// From so many on a commit shortens it.
const TOO_LONG_PAGES: c_int = 4 * LONG_PAGES;
/// Of indexes that wait. One more waits for its next change.
const WAITING_MAX: usize = 1_024;

/// An index: the file that had that name when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Index {
    path: PathBuf,
    inode: u64,
}

/// Those with a long log. One a process; its clones are the same.
#[derive(Clone, Debug, Default)]
pub struct LongLogs(Arc<Mutex<VecDeque<Index>>>);

impl LongLogs {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// Writes the next one's log into its file, as far as nobody reads an older state. One that was replaced or removed
    /// meanwhile, or that another process is at, is passed by.
    ///
    /// # Errors
    /// What SQLite says of the disk.
    pub fn shorten_next(&self) -> Result<(), IndexError> {
        let next = self.waiting().pop_front();
        match next.map_or(Ok(()), |index| shorten(&index)) {
            Err(error) if is_passed_by(&error) => Ok(()),
            shortened => Ok(shortened?),
        }
    }

    /// From now on that connection's commits leave the log alone, but say when it is long.
    pub(crate) fn watch(
        &self,
        connection: &mut Connection,
        path: PathBuf,
        inode: u64,
    ) -> Result<(), rusqlite::Error> {
        let (queue, index) = (self.clone(), Index { path, inode });
        let mut asked_at: c_int = 0;
        connection.wal_hook(Some(move |log: &mut Wal, pages: c_int| {
            if pages < asked_at {
                asked_at = 0; // it began anew
            }
            if pages - asked_at >= LONG_PAGES {
                asked_at = pages;
                queue.add(&index);
            }
            // What cannot be done now can be later: the commit is whole without.
            if pages >= TOO_LONG_PAGES {
                let _ = log.checkpoint();
            }
            Ok(())
        }))
    }

    fn add(&self, index: &Index) {
        let mut waiting = self.waiting();
        if waiting.len() < WAITING_MAX && !waiting.contains(index) {
            waiting.push_back(index.clone());
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Index>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shorten(index: &Index) -> Result<(), rusqlite::Error> {
    // A log goes only into the file that it belongs to.
    let is_same =
        |index: &Index| std::fs::symlink_metadata(&index.path).is_ok_and(|found| found.ino() == index.inode);
    if !is_same(index) {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(&index.path, flags)?;
    // Passive: it waits for nobody and nobody for it.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

fn is_passed_by(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::CannotOpen | ErrorCode::DatabaseBusy))
}

#[cfg(test)]
#[path = "long_log_tests.rs"]
mod tests;

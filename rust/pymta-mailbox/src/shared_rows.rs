//! One copy of a mailbox's rows for all sessions of the process that see the same: of a large mailbox each would hold megabytes,
//! and read them from the index when it is selected.
//!
//! Rule: what is put here is exactly what the index said at that mod-sequence, no older and no newer. A session that has more in
//! its rows (`\Recent`, messages that are gone and not told yet) has a copy of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pymta_index::{Mailbox, Message, ObjectId};

/// Of fewer rows each session has its own.
const ROWS_MIN: usize = if cfg!(test) { 1 } else { 256 };
/// Rows that nobody has any more are forgotten when there are so many places, or twice as many as were left the last time.
const PLACES_MIN: usize = 256;

/// The account that is open, the mailbox, its UIDVALIDITY. Whoever has rows has the account open, so no other one is there.
type Key = (usize, ObjectId, u32);

/// Rows, and the mod-sequence that they are of.
type Held = (u64, Weak<Vec<Message>>);

#[derive(Debug, Default)]
struct Places {
    held: HashMap<Key, Held>,
    sweep_at: usize,
}

/// One a process; its clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedRows(Arc<Mutex<Places>>);

impl SharedRows {
    /// What somebody has of that mod-sequence.
    pub(crate) fn get(&self, mailbox: &Mailbox, uid_validity: u32, modseq: u64) -> Option<Arc<Vec<Message>>> {
        let places = self.places();
        let (of, rows) = places.held.get(&key(mailbox, uid_validity))?;
        rows.upgrade().filter(|_| *of == modseq)
    }

    /// Others may have these, too.
    pub(crate) fn put(&self, mailbox: &Mailbox, uid_validity: u32, modseq: u64, rows: &Arc<Vec<Message>>) {
        if rows.len() < ROWS_MIN {
            return;
        }
        let mut places = self.places();
        if places.held.len() >= places.sweep_at.max(PLACES_MIN) {
            places.held.retain(|_, (_, rows)| rows.strong_count() > 0);
            places.sweep_at = 2 * places.held.len();
        }
        places
            .held
            .insert(key(mailbox, uid_validity), (modseq, Arc::downgrade(rows)));
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(mailbox: &Mailbox, uid_validity: u32) -> Key {
    let account = Arc::as_ptr(mailbox.account()) as usize;
    (account, mailbox.id(), uid_validity)
}

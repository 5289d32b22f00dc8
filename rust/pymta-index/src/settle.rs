//! Mail that readers have been told of goes from `new` to `cur`, which the Maildir leaves to who shows it.
//!
//! What is in `new` is listed at every look after a delivery, so it must not stay there until it has a flag: in an inbox that
//! nobody flags that would be all of it. To move one by one would cost a sync and a listing of `cur` for each, so a few are
//! let be, and many go together. No flag changes: neither the messages' mod-sequences nor `\Recent` know of it.
//!
//! Nobody was promised anything, so nobody waits for the disk: a power cut may leave any of them in either folder, whose times
//! are then not those that the index remembers, and the next look finds them.

use pymta_types::UnixMs;
use rusqlite::Connection;

use crate::mailbox::Place;
use crate::scan::{KNOWN_NEW, is_missing};
use crate::types::flag;
use crate::{IndexError, Mailbox};

/// So many are let be: to list them takes a tenth of a millisecond.
const NEW_MAX: u32 = 256;
/// Of one transaction. Whoever waits for the index waits for so many renames at most, some milliseconds.
const BATCH: u32 = 200;

impl Mailbox {
    /// Whether so much mail is in `new` that it should not stay there.
    ///
    /// # Errors
    /// As of any look.
    pub fn is_unsettled(&self) -> Result<bool, IndexError> {
        self.look(|index| Ok(self.known_new(index, NEW_MAX + 1)?.len() > NEW_MAX as usize))
    }

    /// Moves some of what the index knows in `new` to `cur`. False where nothing is left, or others are at it as well: what
    /// other programs do is taken in by the next look, and while another process changes the account it can wait.
    ///
    /// # Errors
    /// As of any change, but never `Busy`.
    pub fn settle(&self, now: UnixMs) -> Result<bool, IndexError> {
        let settled = self.account.write_if_free(|transaction| {
            let state = self.state(transaction)?;
            let before = self.touched()?;
            let known = self.known_new(transaction, BATCH)?;
            let mut moved = 0;
            for (uid, place) in &known {
                match self.rename(place, flag::of_name(&place.rest), now) {
                    Ok(place) => {
                        self.put_place(transaction, *uid, &place)?;
                        moved += 1;
                    }
                    Err(error) if is_missing(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            if moved > 0 {
                self.saw_ourselves(transaction, &state, before, now)?;
            }
            Ok(moved == BATCH)
        });
        match settled {
            Err(IndexError::Busy) => Ok(false),
            settled => settled,
        }
    }

    /// The first of those that the index has in `new`.
    fn known_new(&self, index: &Connection, count: u32) -> Result<Vec<(u32, Place)>, IndexError> {
        let mut query = index.prepare_cached(&format!("{KNOWN_NEW} LIMIT ?2"))?;
        let rows = query.query_map((self.key, count), |row| {
            let place = Place {
                unique_name: row.get(1)?,
                rest: row.get(2)?,
                is_new: row.get(3)?,
            };
            Ok((row.get(0)?, place))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;

//! The second listing after changes of our own, when nobody waits for it.
//!
//! Another program may have changed `cur` in the moment in which we did, and then its time does not tell. So it is listed once
//! more some seconds later. Of a large mailbox that takes a tenth of a second, in which whoever works on the account would wait
//! for the index's lock; so it is done without, and counts where `cur` did not change meanwhile. `new` is none of this: its time
//! is not believed after a change of ours.

use pymta_maildir::Files;
use pymta_types::UnixMs;

use crate::listing::{Found, Listing};
use crate::mailbox::{Place, State};
use crate::scan::{Look, Scope, milliseconds, scope, seen};
use crate::store::LIST_AGAIN_MS;
use crate::{IndexError, Mailbox};

/// What another kept from being done without the lock for so long is done under it.
const OVERDUE_MS: i64 = 60_000;
/// Rows that are read at once; between them others get the index.
const ROWS: u32 = 2_000;

impl Mailbox {
    /// Takes in what others did to the folder, as `reconcile`, but leaves a second listing that is due to `list_again`: true
    /// where there is one.
    ///
    /// # Errors
    /// As of `reconcile`.
    pub fn reconcile_but_list_again(&self, now: UnixMs) -> Result<bool, IndexError> {
        let state = self.account.read(|index| self.state(index))?;
        if scope(&state, self.touched()?) != Scope::Nothing {
            self.take_in(Look::Changed, now)?;
        }
        Ok(is_due(&state, now))
    }

    /// Lists `cur` once more where that is due, and takes in what others did to it. Where it changes all the time, or another
    /// process changes the account, another time.
    ///
    /// # Errors
    /// As of `reconcile`.
    pub fn list_again(&self, now: UnixMs) -> Result<(), IndexError> {
        let state = self.account.read(|index| self.state(index))?;
        if !is_due(&state, now) {
            return Ok(());
        }
        match self.is_as_known(&state, now)? {
            Some(true) => {
                let done = self.account.write_if_free(|transaction| {
                    let mut update = transaction.prepare_cached(
                        "UPDATE mailbox SET list_again_ms = 0 WHERE key = ?1 AND cur_seen_ns = ?2",
                    )?;
                    Ok(update.execute((self.key, state.cur_seen_ns))?)
                });
                match done {
                    Err(IndexError::Busy) => Ok(()),
                    done => done.map(drop),
                }
            }
            None if milliseconds(now) - state.list_again_ms < OVERDUE_MS => Ok(()),
            Some(false) | None => self.rescan(now),
        }
    }

    /// Whether `cur` has what the index says; None where that cannot be said now.
    fn is_as_known(&self, state: &State, now: UnixMs) -> Result<Option<bool>, IndexError> {
        let cur_ns = self.touched()?.1;
        if cur_ns != state.cur_seen_ns || seen(cur_ns, now) != cur_ns {
            return Ok(None); // the next look lists it, or a later change may have the same time
        }
        let names = self.account.disk.list(self.subfolder(false));
        let names = names.map_err(IndexError::io("list the mailbox"))?.into_iter();
        let names = names.filter(|name| !name.starts_with('.'));
        let mut listing = Listing::new(
            names
                .map(|file_name| Found {
                    file_name,
                    is_new: false,
                })
                .collect(),
        );
        let (mut after, mut is_same) = (0, true);
        while is_same {
            let known = self.known_after(after)?;
            let Some((last, _)) = known.last() else { break };
            after = *last;
            is_same = known
                .iter()
                .all(|(_, place)| listing.take(place).as_ref() == Some(place));
        }
        is_same &= listing.rest().is_empty();
        Ok((self.touched()?.1 == cur_ns).then_some(is_same))
    }

    /// Rows of messages in `cur` with larger UIDs.
    fn known_after(&self, uid: u32) -> Result<Vec<(u32, Place)>, IndexError> {
        self.look(|index| {
            let mut query = index.prepare_cached(
                "SELECT uid, unique_name, rest FROM file WHERE mailbox = ?1 AND uid > ?2 AND is_new = 0
                ORDER BY uid LIMIT ?3",
            )?;
            let rows = query.query_map((self.key, uid, ROWS), |row| {
                let place = Place {
                    unique_name: row.get(1)?,
                    rest: row.get(2)?,
                    is_new: false,
                };
                Ok((row.get(0)?, place))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// Whether a second listing is due.
pub(crate) fn is_due(state: &State, now: UnixMs) -> bool {
    // A clock that was set back must not put it off.
    let left_ms = state.list_again_ms - milliseconds(now);
    state.list_again_ms > 0 && !(1..=LIST_AGAIN_MS).contains(&left_ms)
}

#[cfg(test)]
#[path = "list_again_tests.rs"]
mod tests;

//! What is done for mailboxes when nobody waits for it, a bit at a time: texts are read ahead of searches, mail that was shown
//! goes from `new` to `cur`, mailboxes are listed a second time, and the logs of indexes go into their files. Whatever is left
//! undone costs time later and is never wrong.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pymta_index::{Account, IndexError, LongLogs, Mailbox};
use pymta_types::UnixMs;

use crate::backlog::read_bit;

/// Of mailboxes that wait; one more waits until it is looked at again.
const WAITING_MAX: usize = 1024;

/// Mailboxes for which there may be something to do, by what it is. One a process.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    /// None where texts are not kept.
    texts: Option<Waiting>,
    settling: Waiting,
    listings: Waiting,
    long_logs: LongLogs,
}

impl Chores {
    pub(crate) fn with_texts() -> Self {
        Self {
            texts: Some(Waiting::default()),
            ..Self::default()
        }
    }

    pub(crate) fn keeps_texts(&self) -> bool {
        self.texts.is_some()
    }

    /// Somebody looks at a mailbox, or there is mail in it: its texts may not all be known.
    pub(crate) fn add_texts(&self, mailbox: &Mailbox) {
        if let Some(texts) = &self.texts {
            texts.add(mailbox);
        }
    }

    /// There is much in `new`.
    pub(crate) fn add_settling(&self, mailbox: &Mailbox) {
        self.settling.add(mailbox);
    }

    /// It is to be listed once more.
    pub(crate) fn add_listing(&self, mailbox: &Mailbox) {
        self.listings.add(mailbox);
    }

    /// Indexes put themselves there.
    pub(crate) fn long_logs(&self) -> &LongLogs {
        &self.long_logs
    }

    pub(crate) fn is_empty(&self) -> bool {
        let texts_are_known = self.texts.as_ref().is_none_or(Waiting::is_empty);
        self.long_logs.is_empty() && self.listings.is_empty() && self.settling.is_empty() && texts_are_known
    }

    /// A bit for the next mailbox. What fails waits until somebody looks at that mailbox again.
    pub(crate) fn do_bit(&self, now: UnixMs) -> Result<(), IndexError> {
        if !self.long_logs.is_empty() {
            self.long_logs.shorten_next()?;
        } else if let Some(mailbox) = self.listings.next(now)? {
            unless_deleted(mailbox.list_again(now))?;
        } else if let Some(mailbox) = self.settling.next(now)? {
            if unless_deleted(mailbox.settle(now))?.unwrap_or(false) {
                self.settling.add(&mailbox);
            }
        } else if let Some(texts) = &self.texts
            && let Some(mailbox) = texts.next(now)?
            && read_bit(&mailbox, now)?
        {
            texts.add(&mailbox);
        }
        Ok(())
    }
}

/// None where the mailbox was deleted meanwhile.
fn unless_deleted<T>(done: Result<T, IndexError>) -> Result<Option<T>, IndexError> {
    match done {
        Err(IndexError::NoMailbox) => Ok(None),
        done => done.map(Some),
    }
}

/// Mailboxes in their order, each once.
#[derive(Debug, Default)]
struct Waiting(Mutex<VecDeque<(Weak<Account>, String)>>);

impl Waiting {
    fn locked(&self) -> MutexGuard<'_, VecDeque<(Weak<Account>, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, mailbox: &Mailbox) {
        let account = mailbox.account();
        let mut waiting = self.locked();
        let is_there = waiting
            .iter()
            .any(|(other, name)| name == mailbox.name() && other.as_ptr() == Arc::as_ptr(account));
        if !is_there && waiting.len() < WAITING_MAX {
            waiting.push_back((Arc::downgrade(account), mailbox.name().to_owned()));
        }
    }

    fn is_empty(&self) -> bool {
        self.locked().is_empty()
    }

    /// An account that nobody has open any more is passed by.
    fn next(&self, now: UnixMs) -> Result<Option<Arc<Mailbox>>, IndexError> {
        loop {
            let Some((account, name)) = self.locked().pop_front() else {
                return Ok(None);
            };
            if let Some(account) = account.upgrade()
                && let Some(mailbox) = account.mailbox(&name, now)?
            {
                return Ok(Some(mailbox));
            }
        }
    }
}

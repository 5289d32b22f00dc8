//! What is done for mailboxes when nobody waits for it, a bit at a time: texts are read ahead of searches, mail that was shown
//! goes from `new` to `cur`, and the logs of indexes into their files. Whatever is left undone costs time later and is never wrong.

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

    /// Indexes put themselves there.
    pub(crate) fn long_logs(&self) -> &LongLogs {
        &self.long_logs
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.long_logs.is_empty()
            && self.settling.is_empty()
            && self.texts.as_ref().is_none_or(Waiting::is_empty)
    }

    /// A bit for the next mailbox. What fails waits until somebody looks at that mailbox again.
    pub(crate) fn do_bit(&self, now: UnixMs) -> Result<(), IndexError> {
        if !self.long_logs.is_empty() {
            self.long_logs.shorten_next()?;
        } else if let Some(mailbox) = self.settling.next(now)? {
            match mailbox.settle(now) {
                Ok(true) => self.settling.add(&mailbox),
                Ok(false) | Err(IndexError::NoMailbox) => {}
                Err(error) => return Err(error),
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

//! Files of rights that are not understood: nobody but the owner is let in, of which he may not know. So an operator is told,
//! once a mailbox and not with each command that meets it, until the file is mended.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use pymta_index::Acl;

/// Mailboxes of a process; of more nothing is said.
const TOLD_MAX: usize = 1_000;

/// One a process.
#[derive(Debug, Default)]
pub(crate) struct UnreadRights(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// (owner, mailbox)
    told: HashSet<(String, String)>,
    to_tell: Vec<String>,
}

impl UnreadRights {
    /// The rights of a mailbox were read.
    pub(crate) fn heed(&self, acl: &Acl, owner: &str, mailbox: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(why) = acl.damage() else {
            if !inner.told.is_empty() {
                inner.told.remove(&(owner.to_owned(), mailbox.to_owned()));
            }
            return;
        };
        if inner.told.len() < TOLD_MAX && inner.told.insert((owner.to_owned(), mailbox.to_owned())) {
            inner.to_tell.push(format!(
                "the file dovecot-acl of the mailbox {mailbox} of {owner}: {why}; nobody but the owner is let in"
            ));
        }
    }

    /// What is to be told and was not yet.
    pub(crate) fn take(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .to_tell
            .pop()
    }
}

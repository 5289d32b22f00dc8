//! Why a message is not in its Maildir.

use std::io;

use thiserror::Error;

/// What a delivery or a look into a Maildir can end with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MaildirError {
    /// The message does not fit into what the account may keep. Nothing was written.
    #[error("over quota: {used_octets} octets in {used_messages} messages")]
    OverQuota {
        /// What is there already.
        used_octets: u64,
        /// Likewise.
        used_messages: u64,
    },
    /// A name that must not become one of a file: it is empty, too long, or could lead somewhere else.
    #[error("not a name for a {what}: {name:?}")]
    BadName {
        /// What it was to name.
        what: &'static str,
        /// As it was given.
        name: String,
    },
    /// The disk said no. Nothing of the message is visible, but for one case: where the sync after the rename failed
    /// and taking the name back failed too.
    #[error("{doing}: {error}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// Somebody else has the maildrop open.
    #[error("the maildrop is in use")]
    InUse,
    /// The last time that it was opened is too short ago.
    #[error("the maildrop was opened too short ago")]
    TooSoon,
    /// The store is closed; the message was not looked at.
    #[error("the store is closed")]
    Closed,
}

impl MaildirError {
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { doing, error }
    }
}

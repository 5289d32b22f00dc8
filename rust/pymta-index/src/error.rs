//! Why something could not be done with an account's mailboxes.

use std::io;

use thiserror::Error;

/// What an operation can end with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IndexError {
    /// There is no mailbox of that name, or it was deleted meanwhile.
    #[error("no such mailbox")]
    NoMailbox,
    /// There is one already.
    #[error("the mailbox exists")]
    Exists,
    /// No folder can have that name.
    #[error("not a name for a mailbox")]
    BadName,
    /// It has to stay: INBOX.
    #[error("this mailbox has to stay")]
    HasToStay,
    /// No special use that is known.
    #[error("not a special use")]
    BadUse,
    /// Another mailbox has that special use.
    #[error("another mailbox has that special use")]
    UseTaken,
    /// A mailbox has at most 64 keywords.
    #[error("too many keywords in this mailbox")]
    TooManyKeywords,
    /// Something of which an account has a bounded number: mailboxes, annotations.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// Who asks has no right to it (RFC 4314), but may know that it is there.
    #[error("no right to do that")]
    NoRight,
    /// Whoever knows where an account's mailboxes are does not answer now.
    #[error("the directory does not answer")]
    NoAnswer,
    /// The file that says who has which rights is not understood.
    #[error("the file of rights is not understood")]
    BadAcl,
    /// It does not fit into what the account may keep. Nothing was done.
    #[error("over quota: {used_octets} octets in {used_messages} messages")]
    OverQuota {
        /// What is there already.
        used_octets: u64,
        /// Likewise.
        used_messages: u64,
    },
    /// Another process works on this account for longer than we wait.
    #[error("the index is busy")]
    Busy,
    /// The index was damaged. It was set aside; who opens the account anew gets a new one.
    #[error("the index is damaged: {0}")]
    Damaged(String),
    /// The index is no longer the file that was opened. Open the account anew.
    #[error("the index was replaced")]
    Replaced,
    /// A newer version made the index.
    #[error("the index has format {found}; this version knows those up to {known}")]
    TooNew {
        /// Its format.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Whoever began it wanted it to end early.
    #[error("stopped: what was done stays, and the same again goes on from there")]
    Stopped,
    /// The disk said no.
    #[error("{doing}: {error}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// SQLite said no, for another reason.
    #[error("index: {0}")]
    Sqlite(rusqlite::Error),
}

impl IndexError {
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { doing, error }
    }
}

impl From<rusqlite::Error> for IndexError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseCorrupt, DatabaseLocked, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseBusy | DatabaseLocked) => Self::Busy,
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Sqlite(error),
        }
    }
}

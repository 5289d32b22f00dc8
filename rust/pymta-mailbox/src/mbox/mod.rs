//! Mailboxes as mbox files (RFC 4155), read and written in one pass: no message and no line of one is ever held as a
//! whole, so that neither the file's size nor a message's matters.
//!
//! - Read: every line that begins a message, whoever wrote the file ([`from_line`]); `Content-Length` is not believed, since
//!   it is wrong in every file that somebody once edited.
//! - Written: mboxrd, the one form from which every message comes back as it was.

#[cfg(test)]
mod edge_tests;
mod export;
mod fields;
mod from_line;
mod import;
mod read;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use pymta_index::IndexError;

pub use export::export;
pub use import::import;

/// How lines that begin like a message's first are told from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escaping {
    /// Any number of `>` before `From ` had one fewer.
    #[default]
    Mboxrd,
    /// Only `>From ` had none; what has more is as it was.
    Mboxo,
}

/// Why an import or export ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MboxError {
    /// The mailboxes' trouble.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The file's.
    #[error("{path}: {error}")]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file begins with something else.
    #[error("{0}: not an mbox: its first line is no \"From \" line")]
    NotMbox(PathBuf),
    /// What is to be written is to be in one that is there: a slip would make folders that nobody looks for.
    #[error("{0}: no such folder")]
    NoFolder(PathBuf),
    /// Nothing is ever written over.
    #[error("{0}: is there already")]
    IsThere(PathBuf),
    /// Nothing was taken in, rather than a part that nobody chose.
    #[error("{0}: has more than {1} files and folders; take them in a part at a time")]
    TooManyFiles(PathBuf, usize),
    /// The account has no such mailbox.
    #[error("no mailbox {0}")]
    NoMailbox(String),
}

impl MboxError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::File {
            path: path.to_owned(),
            error,
        }
    }
}

//! What can go wrong in the spool, a sentence a variant. What the peer is told is decided elsewhere.

use std::io;
use std::sync::Arc;

/// The spool's own trouble.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// Another process (or another `Spool` of this one) holds the lock of the folder.
    #[error("the spool folder is in use by another process")]
    InUse,
    /// A segment was written by a later version of pymta, which may mean things that we do not know.
    #[error("segment {slot:08} is of format version {version}, this program reads up to {known}")]
    LaterFormat {
        /// Number in the file's name.
        slot: u32,
        /// What its header says.
        version: u16,
        /// What we know.
        known: u16,
    },
    /// The disk has no room for another segment.
    #[error("no space left for the spool")]
    Full,
    /// More waits to be written than is allowed; content was thrown away.
    #[error("the disk is too slow: too much waits to be written")]
    Slow,
    /// Writing or syncing failed, also in a new segment.
    #[error("cannot {what}: {cause}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        cause: Arc<io::Error>,
    },
    /// The message is larger than a segment can hold beside its body (envelope and header section).
    #[error("envelope and header section do not fit into a segment")]
    TooLarge,
    /// The header section broke a limit; its content was thrown away, so there is nothing to commit.
    #[error("{0}")]
    Violation(&'static str),
    /// No message of that id is in hand.
    #[error("message is not active")]
    NotActive,
    /// An outcome names a recipient that the message does not have.
    #[error("recipient index {0} is out of range")]
    NoSuchRecipient(u32),
    /// What was read back is not what was written.
    #[error("stored message is damaged: {0}")]
    Damaged(&'static str),
    /// `give_up` was called: it became durable too late, and was taken out again.
    #[error("given up: the disk took too long")]
    GivenUp,
    /// `close` was called.
    #[error("the spool is closed")]
    Closed,
}

impl SpoolError {
    /// Wraps what the system said about `what`.
    pub(crate) fn io(what: &'static str, cause: io::Error) -> Self {
        if is_out_of_space(&cause) {
            Self::Full
        } else {
            Self::Io {
                what,
                cause: Arc::new(cause),
            }
        }
    }

    /// Whether there is no room, and nothing else is wrong.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }

    /// Whether the same call may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Full | Self::Slow | Self::Io { .. } | Self::GivenUp | Self::Closed
        )
    }
}

/// ENOSPC and EDQUOT.
pub(crate) fn is_out_of_space(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

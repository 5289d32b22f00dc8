//! How a command ends: the tagged line, and what a failure below is called in it.

use std::borrow::Cow;

use pymta_imap::write::{self, Status};
use pymta_index::IndexError;

/// What may be told before the tagged line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    /// All news.
    All,
    /// No message's number may change (RFC 9051 §7.5.1: FETCH, STORE, SEARCH by numbers).
    KeepsNumbers,
}

/// A tagged line, but for its tag.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) status: Status,
    pub(crate) code: Option<Cow<'static, str>>,
    pub(crate) text: &'static str,
    pub(crate) tells: Tells,
}

impl Ending {
    pub(crate) fn ok(text: &'static str) -> Self {
        Self::new(Status::Ok, None, text)
    }

    pub(crate) fn ok_with(code: String, text: &'static str) -> Self {
        Self::new(Status::Ok, Some(Cow::Owned(code)), text)
    }

    pub(crate) fn no(code: &'static str, text: &'static str) -> Self {
        Self::new(Status::No, Some(Cow::Borrowed(code)), text)
    }

    pub(crate) fn bad(text: &'static str) -> Self {
        Self::new(Status::Bad, None, text)
    }

    pub(crate) fn cannot() -> Self {
        Self::no("CANNOT", "Not supported here")
    }

    pub(crate) fn nonexistent() -> Self {
        Self::no("NONEXISTENT", "No such mailbox")
    }

    pub(crate) fn read_only() -> Self {
        Self::no("READ-ONLY", "The mailbox is open for reading only")
    }

    fn new(status: Status, code: Option<Cow<'static, str>>, text: &'static str) -> Self {
        Self {
            status,
            code,
            text,
            tells: Tells::All,
        }
    }

    pub(crate) fn keeping_numbers(mut self, keeps: bool) -> Self {
        if keeps {
            self.tells = Tells::KeepsNumbers;
        }
        self
    }

    pub(crate) fn say(&self, out: &mut Vec<u8>, tag: &str) {
        write::tagged(out, tag, self.status, self.code.as_deref(), self.text);
    }
}

/// The client is told what he can do about it; the cause is for the log.
impl From<&IndexError> for Ending {
    fn from(error: &IndexError) -> Self {
        match error {
            IndexError::NoMailbox => Self::nonexistent(),
            IndexError::NoRight => Self::no("NOPERM", "You have no right to do that"),
            IndexError::NoAnswer => Self::no("UNAVAILABLE", "The directory does not answer, try again later"),
            IndexError::BadAcl => Self::no(
                "UNAVAILABLE",
                "The rights are not understood; the operator can mend them",
            ),
            IndexError::Exists => Self::no("ALREADYEXISTS", "The mailbox exists"),
            IndexError::BadName => Self::no("CANNOT", "Not a name for a mailbox"),
            IndexError::HasToStay => Self::no("CANNOT", "INBOX has to stay"),
            IndexError::BadUse => Self::no("USEATTR", "No use that is known here"),
            IndexError::UseTaken => Self::no("USEATTR", "Another mailbox has that use"),
            IndexError::TooManyKeywords => Self::no("LIMIT", "Too many keywords in this mailbox"),
            IndexError::TooMany(_) => Self::no("LIMIT", "Too many of these"),
            IndexError::OverQuota { .. } => Self::no("OVERQUOTA", "No room: over quota"),
            IndexError::Busy => Self::no("INUSE", "Another session works on it, try again later"),
            IndexError::Damaged(_) | IndexError::Replaced | IndexError::TooNew { .. } => {
                Self::no("UNAVAILABLE", "The mailbox cannot be used now; log in anew")
            }
            _ => Self::no("UNAVAILABLE", "The disk says no, try again later"),
        }
    }
}

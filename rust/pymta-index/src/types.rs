//! What the index says of mailboxes and messages, as values.

use std::fmt;
use std::ops::RangeInclusive;

/// Flags that have a letter in a file's name, as bits of [`Message::flags`].
pub mod flag {
    use pymta_maildir::Flags;

    /// `\Seen`.
    pub const SEEN: u8 = 1;
    /// `\Answered`.
    pub const ANSWERED: u8 = 2;
    /// `\Flagged`.
    pub const FLAGGED: u8 = 4;
    /// `\Deleted`.
    pub const DELETED: u8 = 8;
    /// `\Draft`.
    pub const DRAFT: u8 = 16;
    /// `$Forwarded` (RFC 5788), the one keyword that has a letter: P. It takes none of the 64 bits.
    pub const FORWARDED: u8 = 32;
    /// `\Recent`: what a session is told; neither the index nor a file has it.
    pub const RECENT: u8 = 128;
    /// All that last.
    pub const ALL: u8 = 63;

    /// As letters.
    pub(crate) fn letters(flags: u8) -> Flags {
        Flags {
            seen: flags & SEEN != 0,
            replied: flags & ANSWERED != 0,
            flagged: flags & FLAGGED != 0,
            trashed: flags & DELETED != 0,
            draft: flags & DRAFT != 0,
            passed: flags & FORWARDED != 0,
        }
    }

    /// From a file's name.
    pub(crate) fn of_name(file_name: &str) -> u8 {
        let letters = file_name
            .split_once(':')
            .and_then(|(_, info)| info.strip_prefix("2,"))
            .unwrap_or_default();
        letters.bytes().fold(0, |flags, letter| {
            flags
                | match letter {
                    b'S' => SEEN,
                    b'R' => ANSWERED,
                    b'F' => FLAGGED,
                    b'T' => DELETED,
                    b'D' => DRAFT,
                    b'P' => FORWARDED,
                    _ => 0,
                }
        })
    }
}

/// A number that stands for a mailbox, a message's content or a thread for ever (RFC 8474).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub u128);

impl fmt::Display for ObjectId {
    /// 32 digits. RFC 8474 §7 wants a letter in front: the caller's, one for each kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One line of a list of mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxInfo {
    /// UTF-8, levels parted by `/`; the inbox is `INBOX`.
    pub name: String,
    /// None where it does not exist.
    pub id: Option<ObjectId>,
    /// `\Sent` and so on, with the backslash.
    pub special_use: Option<String>,
    /// On the list of those that the user wants to see.
    pub subscribed: bool,
    /// False where there is no folder: it is only subscribed, or only has children.
    pub exists: bool,
}

/// The numbers of a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Another one means: forget all UIDs.
    pub uid_validity: u32,
    /// The next message's.
    pub uid_next: u32,
    /// At least 1 (RFC 7162 §3.1.2.1: a mod-sequence is not 0).
    pub highest_modseq: u64,
    /// How many there are.
    pub messages: u32,
    /// Without `\Seen`.
    pub unseen: u32,
    /// With `\Deleted`.
    pub deleted: u32,
}

/// What is kept in memory of each message while a mailbox is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Bit n is the nth of `Mailbox::keywords`.
    pub keywords: u64,
    /// Of its last change.
    pub modseq: u64,
    /// Its name for ever, in its mailbox.
    pub uid: u32,
    /// See [`flag`].
    pub flags: u8,
}

/// What became different since a mod-sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Up to where this tells.
    pub highest_modseq: u64,
    /// New or with other flags, in ascending order of UIDs.
    pub changed: Vec<Message>,
    /// UIDs that are gone, ascending. Where so old changes are no longer known, all that are not there.
    pub vanished: Vec<RangeInclusive<u32>>,
}

/// What a message's file need not be opened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// Of the message.
    pub uid: u32,
    /// INTERNALDATE: the time of its file.
    pub internal_date_s: i64,
    /// SAVEDATE (RFC 8514): when it came into this mailbox.
    pub saved_date_s: i64,
    /// RFC822.SIZE: with CRLF line endings.
    pub octets: u64,
    /// EMAILID: the same for copies.
    pub email_id: ObjectId,
    /// THREADID, where somebody said one.
    pub thread_id: Option<ObjectId>,
}

/// How a change of flags is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// These as well.
    Add,
    /// Without these.
    Remove,
    /// These and no others.
    Replace,
}

/// Flags that a change may touch (RFC 4314 §4: each has its right).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// See [`flag`].
    pub flags: u8,
    /// Keywords with a name of their own; all or none.
    pub keywords: bool,
}

impl Within {
    /// Any.
    pub const ALL: Self = Self {
        flags: flag::ALL,
        keywords: true,
    };
}

/// What a STORE did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Those that have other flags now, ascending.
    pub changed: Vec<Message>,
    /// Those that had these flags already; nothing was written, and their mod-sequence is what it was.
    pub unchanged: Vec<Message>,
    /// Not touched, since they changed after `unchanged_since` (RFC 7162 §3.1.3).
    pub modified: Vec<u32>,
}

/// What a message is added with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// See [`flag`].
    pub flags: u8,
    /// By name.
    pub keywords: Vec<String>,
    /// None: now.
    pub internal_date_s: Option<i64>,
}

/// What a copy ended with (COPYUID, RFC 4315).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Of the mailbox that the messages are in now.
    pub uid_validity: u32,
    /// Old and new, both ascending.
    pub uids: Vec<(u32, u32)>,
}

/// What an append ended with (APPENDUID, RFC 4315).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Of the mailbox.
    pub uid_validity: u32,
    /// One a message, in their order, ascending.
    pub uids: Vec<u32>,
}

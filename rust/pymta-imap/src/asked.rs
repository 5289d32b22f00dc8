//! What a session hands on: a command with what the client has enabled, and the messages of an APPEND.

use crate::command::{Flags, Tagged};

/// What a client has enabled (RFC 5161), or, for `uid_only`, cannot take back (RFC 9586).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // independent facts, each with a name on the wire
pub struct Enabled {
    /// UTF8=ACCEPT (RFC 6855), or IMAP4rev2: quoted strings may be UTF-8, mailbox names are.
    pub utf8: bool,
    /// CONDSTORE (RFC 7162), with ENABLE; a command may imply it too, which the view notes.
    pub condstore: bool,
    /// QRESYNC: VANISHED instead of EXPUNGE. Implies CONDSTORE.
    pub qresync: bool,
    /// IMAP4rev2 (RFC 9051): ESEARCH instead of SEARCH, no RECENT.
    pub rev2: bool,
    /// UIDONLY (RFC 9586): message numbers are neither taken nor said.
    pub uid_only: bool,
}

/// A command for the mailboxes, with what is enabled.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Tag and command.
    pub tagged: Tagged,
    /// At the time of the command.
    pub enabled: Enabled,
}

/// APPEND or REPLACE: its messages come one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedAppend {
    /// As the client wrote it.
    pub tag: String,
    /// Where to.
    pub mailbox: String,
    /// REPLACE (RFC 8508): what the new message takes the place of.
    pub replaces: Option<Replaces>,
    /// At the time of the command.
    pub enabled: Enabled,
}

/// What REPLACE replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// Number or UID of the message; `u32::MAX` stands for `*`.
    pub number: u32,
    /// UID REPLACE.
    pub by_uid: bool,
}

/// The next message of an APPEND or REPLACE: its content follows in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedMessage {
    /// Flags that it shall have.
    pub flags: Flags,
    /// INTERNALDATE, in seconds since 1970; None for now.
    pub internal_date_s: Option<i64>,
    /// How large it will be; None where that is not said (CATENATE).
    pub octets: Option<u64>,
}

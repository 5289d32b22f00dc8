//! What a session has to tell. Events are values; those that ask are answered by methods of the session.

use std::fmt;

use crate::asked::{Asked, AskedAppend, AskedMessage};
use crate::violation::ViolationKind;

/// A password as it came. It refuses to be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Password {
    pub(crate) fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// For whoever checks it.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// TLS is wanted. After `accept` the caller shakes hands and calls `tls_started`; or `refuse`.
    StartTls,
    /// LOGIN: answered by `open` or `refuse`.
    Login {
        /// As it was given.
        account: String,
        /// Likewise.
        password: Password,
    },
    /// AUTHENTICATE: answered by `challenge`, `open` or `refuse`.
    Auth {
        /// In upper case; one that is offered.
        mechanism: String,
        /// Decoded; None where there was none, which differs from an empty one.
        initial_response: Option<Vec<u8>>,
    },
    /// The decoded answer to a challenge; None where the exchange is over (cancelled or malformed, answered already).
    AuthResponse(Option<Vec<u8>>),
    /// A command about mailboxes: everything that is said to it is the caller's; then `done`.
    Command {
        /// As `UID FETCH`: for logs and metrics, a closed list.
        name: &'static str,
        /// What is asked.
        asked: Asked,
    },
    /// IDLE: changes are to be said as they happen, until `IdleDone`. Not answered.
    Idle,
    /// IDLE is over: the command is a NOOP with the tag of IDLE, to be answered as any other, then `done`.
    IdleDone(Asked),
    /// APPEND or REPLACE: answered by `accept_append` or `refuse`. Comes once its first message is announced.
    Append {
        /// Where to, and what it replaces.
        asked: AskedAppend,
        /// Size of the first message, or of the first part of it (CATENATE); None where a URL comes first.
        octets: Option<u64>,
    },
    /// A message begins. Not answered.
    Message(AskedMessage),
    /// Content of the message: answered by `took` or `refuse`.
    Content {
        /// At most [`crate::CONTENT_OCTETS_MAX`].
        octets: Vec<u8>,
        /// It is the end of the message (CATENATE: of a part; the message ends with what comes next).
        is_last: bool,
    },
    /// CATENATE: the content goes on with what this URL names. Answered by `took` or `refuse`.
    Url(String),
    /// All messages are there: the caller stores them all or none and says the tagged line; then `done`.
    AppendEnd,
    /// The command is given up and answered already: what was uploaded is dropped. Not answered.
    AppendAbort,
    /// LOGOUT; answered already.
    Logout,
    /// The peer broke grammar, order or a limit, and was told so.
    Violation {
        /// For logs and metrics.
        kind: ViolationKind,
        /// What was said.
        text: &'static str,
    },
}

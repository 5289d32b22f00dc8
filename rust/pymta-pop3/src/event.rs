//! What a session has to tell. Events are values; those that ask are answered by methods of the session.

use std::fmt;

use crate::violation::ViolationKind;

/// A password as it came. It refuses to be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Password {
    pub(crate) fn new(octets: &[u8]) -> Self {
        Self(octets.to_vec())
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

/// One thing that happened. All ask, but Violation, QuitUnread and AuthResponse with None.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// TLS is wanted. After `accept` the caller shakes hands and calls `tls_started`.
    StartTls,
    /// USER and PASS: answered by `open` or `refuse`.
    Login {
        /// As it was given.
        account: String,
        /// Likewise.
        password: Password,
    },
    /// AUTH: answered by `challenge`, `open` or `refuse`.
    Auth {
        /// In upper case; one that is offered.
        mechanism: String,
        /// Decoded; None where there was none, which differs from an empty one.
        initial_response: Option<Vec<u8>>,
    },
    /// The decoded answer to a challenge; None where the exchange is over (cancelled or malformed, answered already).
    AuthResponse(Option<Vec<u8>>),
    /// RETR or TOP: answered by `begin_content` or `refuse`.
    Retrieve {
        /// Place in the maildrop, from 0.
        index: usize,
        /// How many lines of the body; None for the whole message.
        lines: Option<u64>,
    },
    /// QUIT with an open maildrop: what was deleted is to be removed, the maildrop to be given back. Answered by
    /// `updated` or `refuse`.
    Update {
        /// Places in the maildrop, in order.
        deleted: Vec<usize>,
    },
    /// QUIT before a login; answered already.
    QuitUnread,
    /// The peer broke grammar, order or a limit, and was told so.
    Violation {
        /// For logs and metrics.
        kind: ViolationKind,
        /// What was said; for `StartTlsInjection`, where nothing is, what would have been.
        text: &'static str,
    },
}

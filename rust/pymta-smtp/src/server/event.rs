//! What a session has to tell. Events are values; those that ask are answered by methods of the session.

use std::sync::Arc;

use pymta_types::{Address, BodyType, Envelope, Recipient, Reply};

use super::violation::ViolationKind;

/// How the client named itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloVerb {
    /// Without extensions.
    Helo,
    /// With extensions.
    Ehlo,
    /// The same in LMTP.
    Lhlo,
}

impl HelloVerb {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Helo => "HELO",
            Self::Ehlo => "EHLO",
            Self::Lhlo => "LHLO",
        }
    }
}

/// One thing that happened. All ask, but Violation, Quit and AuthResponse with None.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<W> {
    /// The client named itself.
    Hello {
        /// How.
        verb: HelloVerb,
        /// Domain or literal, as claimed.
        name: String,
    },
    /// TLS is wanted. After `accept` the caller shakes hands and calls `tls_started`.
    StartTls,
    /// AUTH: answered by `challenge`, `accept` or `refuse`.
    Auth {
        /// In upper case; one that is offered.
        mechanism: String,
        /// Decoded; None where there was none, which differs from an empty one.
        initial_response: Option<Vec<u8>>,
    },
    /// The decoded answer to a challenge; None where the exchange is over (cancelled or malformed, answered already).
    AuthResponse(Option<Vec<u8>>),
    /// XCLIENT: the client speaks for another.
    Xclient(Vec<(&'static str, String)>),
    /// MAIL.
    Mail {
        /// None is the null reverse-path.
        reverse_path: Option<Address>,
        /// SIZE=, where it was given.
        size_octets: Option<u64>,
        /// BODY=
        body: BodyType,
        /// SMTPUTF8
        smtputf8: bool,
    },
    /// RCPT.
    Rcpt {
        /// With its DSN parameters.
        recipient: Recipient,
        /// How many the transaction has already.
        accepted_count: usize,
    },
    /// DATA or the first BDAT: where shall the content go? Answered by `accept_content` or `refuse`.
    Data,
    /// All content is in the sink. Answered by `accept_message` or `refuse`.
    Message {
        /// What `accept_content` was given.
        writer: W,
        /// Whose content it is.
        envelope: Arc<Envelope>,
    },
    /// The peer broke grammar, order or a limit, and was told so.
    Violation {
        /// For logs and metrics.
        kind: ViolationKind,
        /// What was said; for `StarttlsInjection`, where nothing is, what would have been.
        reply: Reply,
    },
    /// QUIT; answered already.
    Quit,
}

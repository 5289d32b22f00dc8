//! What a client session tells its driver.

use pymta_types::Reply;

use super::order::WaitingFor;

/// Something happened that the driver or the queue must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// Greeting, EHLO, and STARTTLS and AUTH where they apply, are done.
    Ready,
    /// The server said 220 to STARTTLS: shake hands, then call `tls_started`.
    Tls,
    /// One message is over.
    Outcome(Outcome),
    /// The session is over.
    Closed(Closed),
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What `deliver` returned for it.
    pub ticket: u64,
    /// A reply for each recipient, by its index in the envelope; in no particular order.
    pub outcomes: Vec<(u32, Reply)>,
    /// Whether the next hop offered DSN, so that it takes over what RFC 3461 asks for. Where it is false, a
    /// recipient that wants success and got 2yz is owed a `relayed` DSN by us (§5.2.2).
    pub dsn_passed: bool,
    /// Whether the end of the content went out. Where it is false, another try cannot make a duplicate; where it is
    /// true and the reply is a 4.4.2 of ours, it may.
    pub content_sent: bool,
}

/// Why the session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The server's last word or our diagnosis; None after an orderly QUIT.
    pub reply: Option<Reply>,
    /// Whether the session never became ready, so that the host and not a message is the matter.
    pub before_ready: bool,
    /// What was waited for when it ended.
    pub stage: WaitingFor,
}

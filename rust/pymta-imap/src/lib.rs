//! The server's side of IMAP as values (RFC 9051, RFC 3501 and their extensions): octets in, events out; decisions in,
//! octets out.
//!
//! No socket, no clock, no file: a session is told what arrived and what was decided, and says what was asked and what
//! is to be sent. What a mailbox holds it does not know; commands about mailboxes are values ([`command::Command`])
//! that `pymta-mailbox` carries out.

mod asked;
pub mod command;
mod event;
pub mod mailbox_name;
mod violation;
pub mod write;

pub use asked::{Asked, AskedAppend, AskedMessage, Enabled, Replaces};
pub use event::{Event, Password};
pub use violation::ViolationKind;

/// Content of a message comes in pieces of at most so many octets.
pub const CONTENT_OCTETS_MAX: usize = 64 * 1024;

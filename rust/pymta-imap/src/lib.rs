//! The server's side of IMAP as values (RFC 9051, RFC 3501 and their extensions): octets in, events out; decisions in,
//! octets out.
//!
//! No socket, no clock, no file: a session is told what arrived and what was decided, and says what was asked and what
//! is to be sent. What a mailbox holds it does not know; commands about mailboxes are values ([`command::Command`])
//! that `pymta-mailbox` carries out.
//!
//! `framing` and `reading` find whole commands and the pieces of messages, `parse` is the grammar, `order` says which
//! command may follow which, `limits`, `violation` and `capability` are the tables of what is too much, what is wrong
//! and what is offered, `obey` and `upload` turn commands into events, `answer` decisions into replies, `write` is how
//! responses are written.

mod answer;
mod asked;
pub mod capability;
pub mod command;
mod compress;
mod event;
mod framing;
pub mod limits;
pub mod mailbox_name;
mod obey;
mod order;
mod parse;
mod reading;
mod session;
mod settings;
mod upload;
mod violation;
pub mod write;

pub use asked::{Asked, AskedAppend, AskedMessage, Enabled, Replaces};
pub use event::{Event, Password};
pub use session::{OUTPUT_OCTETS_MAX, Session};
pub use settings::{Offer, Settings, SettingsError};
pub use violation::ViolationKind;

/// Content of a message comes in pieces of at most so many octets.
pub const CONTENT_OCTETS_MAX: usize = 64 * 1024;

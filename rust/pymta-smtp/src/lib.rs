//! SMTP and LMTP as values, both sides: octets in, events out; decisions in, octets out (RFC 5321, RFC 2033).
//!
//! No socket, no clock, no thread, no policy: a session is told what arrived and what was decided, and says what it
//! learned and what is to be sent. Time limits and the choice of what to accept are the caller's.
//!
//! `line` alone knows what ends a line; `command`, `path`, `param` and `xtext` are the grammar; `data` and `content`
//! are what happens to a message's octets; `server` and `client` are the two sides. Framing, base64 and dot-stuffing are
//! those of POP3 as well (`pymta-pop3`).

pub mod base64;
pub mod client;
pub mod convert;
pub mod input;
pub mod line;
pub mod proxy;
pub mod server;
pub mod stuff;
pub mod xtext;

mod command;
mod content;
mod data;
mod misuse;
mod param;
mod path;
mod reply_parser;

pub use content::{ContentSink, LineEndings};
pub use misuse::Misuse;

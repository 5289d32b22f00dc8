//! The server's side of IMAP as values (RFC 9051, RFC 3501 and their extensions): octets in, events out; decisions in,
//! octets out.
//!
//! No socket, no clock, no file: a session is told what arrived and what was decided, and says what was asked and what
//! is to be sent. What a mailbox holds it does not know; commands about mailboxes are values ([`command::Command`])
//! that `pymta-mailbox` carries out.

pub mod command;

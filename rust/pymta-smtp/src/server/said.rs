//! The positive replies, composed as they go over the wire. What is said to a fault is in `violation`.
//!
//! Enhanced status codes are given from the first reply after the greeting but that to HELO, EHLO and LHLO, after
//! HELO too: RFC 2034 §3 excludes only the greeting, those replies and 3yz, and who did not ask reads them as text.

pub(super) const OK: &[u8] = b"250 2.0.0 OK\r\n";
pub(super) const MAIL_OK: &[u8] = b"250 2.1.0 OK\r\n";
pub(super) const RCPT_OK: &[u8] = b"250 2.1.5 OK\r\n";
pub(super) const DATA_GO: &[u8] = b"354 End data with <CR><LF>.<CR><LF>\r\n";
pub(super) const BYE: &[u8] = b"221 2.0.0 Bye\r\n";
pub(super) const TLS_GO: &[u8] = b"220 2.0.0 Ready to start TLS\r\n";
pub(super) const AUTHENTICATED: &[u8] = b"235 2.7.0 Authentication succeeded\r\n";
/// RFC 5321 §3.5.3: the answer of a server that does not say who exists.
pub(super) const VRFY: &[u8] = b"252 2.1.5 Send some mail and see\r\n";
pub(super) const HELP: &[u8] = b"214 2.0.0 RFC 5321, EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT\r\n";

/// The code of a message that was taken; its text follows.
pub(super) const TAKEN: &str = "250 2.0.0 ";
/// A SASL challenge; base64 follows.
pub(super) const CHALLENGE: &[u8] = b"334 ";

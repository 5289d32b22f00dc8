//! Where things are in a message: header fields, trace, encoded words, MIME parts, all as offsets.
//!
//! Rules of this crate:
//! - The body is never copied. Only a header section, which has a limit, is owned, because policy may edit it.
//! - Everything that a message says about itself is a claim of a stranger: every loop and buffer has a limit, nothing
//!   recurses, nothing panics.
//! - Only CRLF ends a line here. What to do with a bare CR or LF was decided where it came in (`pymta-smtp`).
//! - No I/O, no clock, no locale.

mod date;
pub mod encoded_word;
mod field;
mod fold;
mod header;
mod parameter;
mod parts;
mod scan;
mod trace;
mod transfer;

pub use date::date;
pub use field::Field;
pub use fold::{EditError, LINE_OCTETS_MAX, VALUE_OCTETS_MAX};
pub use header::{ADDED_OCTETS_MAX, HeaderSection, Prepended};
pub use parts::{Part, PartLimits, PartsViolation, Structure};
pub use scan::{HeaderLimits, HeaderViolation};
pub use trace::{Peer, Protocol, Received, delivered_to, message_id, reverse_path_field};
pub use transfer::{Decoded, TransferEncoding};

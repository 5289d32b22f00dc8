//! Where things are in a message: header fields, trace, encoded words, MIME parts, all as offsets.
//!
//! Rules of this crate:
//! - The body is never copied. Only a header section, which has a limit, is owned, because policy may edit it.
//! - Everything that a message says about itself is a claim of a stranger: every loop and buffer has a limit, nothing
//!   recurses, nothing panics.
//! - Only CRLF ends a line here. What to do with a bare CR or LF was decided where it came in (`pymta-smtp`).
//! - No I/O, no clock, no locale.

mod address_list;
mod base_subject;
mod date;
pub mod encoded_word;
mod facts;
mod field;
mod fields;
mod fold;
mod header;
mod message_ids;
mod parameter;
mod parts;
mod scan;
mod sent_date;
mod trace;
mod transfer;
mod wire;

pub use address_list::{ADDRESSES_MAX, Listed, ListedMailbox, address_list};
pub use base_subject::{BaseSubject, SUBJECT_OCTETS_MAX, base_subject};
pub use date::date;
pub use facts::{Disposition, Parameters, PartFacts};
pub use field::Field;
pub use fields::Fields;
pub use fold::{EditError, LINE_OCTETS_MAX, VALUE_OCTETS_MAX};
pub use header::{ADDED_OCTETS_MAX, HeaderSection, Prepended};
pub use message_ids::message_ids;
pub use parts::{Part, PartLimits, PartsViolation, Structure};
pub use scan::{HeaderLimits, HeaderViolation};
pub use sent_date::{SentDate, sent_date};
pub use trace::{Peer, Protocol, Received, delivered_to, message_id, reverse_path_field};
pub use transfer::{Decoded, Decoder, TransferEncoding};
pub use wire::{ToWire, to_wire};

//! The nouns of mail: address, envelope, reply, id, instant. What they are and what they may hold; no I/O, no clock,
//! and no wire or disk format but the one that the field already has (an address is text, a reply is lines, a mailbox's
//! name has a form in ASCII).
//!
//! A value of these types is valid by construction: whoever holds an [`Address`] need not check it again.

mod address;
mod envelope;
mod id;
mod reply;
mod time;
mod utf7;

pub use address::{
    ADDRESS_OCTETS_MAX, Address, AddressError, DOMAIN_OCTETS_MAX, LOCAL_PART_OCTETS_MAX, is_domain,
};
pub use envelope::{BodyType, Envelope, Notify, OriginalRecipient, Recipient, Ret};
pub use id::{SpoolId, SpoolIdError};
pub use reply::{Enhanced, REPLY_TEXT_OCTETS_MAX, Reply, ReplyError};
pub use time::UnixMs;
pub use utf7::{from_utf7, to_utf7};

//! Commands about mailboxes, carried out: one reader's view of an account, and what is said to him.
//!
//! `pymta-imap` says what was asked (values), `pymta-index` what there is; this crate puts them together and composes the
//! responses, in pieces, so that neither a large mailbox nor a large message is ever held as a whole.

mod accounts;
mod content;
mod envelope;
mod preview;
pub mod record;
mod section;
mod structure;
mod upload;
mod view;

pub use accounts::{Accounts, Reader};
pub use pymta_maildir::{Host, Quota};
pub use upload::{Refusal, Upload};
pub use view::View;

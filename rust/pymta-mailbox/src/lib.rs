//! Commands about mailboxes, carried out: one reader's view of an account, and what is said to him.
//!
//! `pymta-imap` says what was asked (values), `pymta-index` what there is; this crate puts them together and composes the
//! responses, in pieces, so that neither a large mailbox nor a large message is ever held as a whole.

mod accounts;
mod backlog;
mod carry;
mod casemap;
mod chores;
#[cfg(test)]
mod chores_tests;
#[cfg(test)]
mod condstore_tests;
mod content;
mod ending;
mod envelope;
pub mod fetch;
mod fetching;
mod letters;
mod list;
#[cfg(test)]
mod mailbox_tests;
mod mailboxes;
pub mod mbox;
mod messages;
mod metadata;
#[cfg(test)]
mod model_tests;
mod notices;
mod notify;
#[cfg(test)]
mod notify_tests;
mod numbers;
mod others;
#[cfg(test)]
mod others_tests;
mod picture;
mod places;
mod preview;
mod quota;
#[cfg(test)]
mod race_tests;
#[cfg(test)]
mod recent_tests;
pub mod record;
mod record_codec;
mod rights;
#[cfg(test)]
mod rights_change_tests;
#[cfg(test)]
mod rights_tests;
mod rows;
mod said;
#[cfg(test)]
mod sandbox;
pub mod search;
#[cfg(test)]
mod search_tests;
mod searching;
mod section;
mod shared_rows;
#[cfg(test)]
mod shared_rows_tests;
pub mod sort;
mod source;
#[cfg(test)]
mod speed_tests;
mod structure;
pub mod thread;
mod turns;
mod unread_rights;
mod updates;
mod upkeep;
mod upload;
mod url;
mod vanished;
mod view;
#[cfg(test)]
mod view_tests;

pub use accounts::{Accounts, Reader};
pub use content::Octets;
pub use others::{Owner, is_about_others, is_anothers, is_url_anothers};
pub use pymta_index::{IndexError, MailboxReport, Progress, Report};
pub use pymta_maildir::{Host, MailboxPath, Quota};
pub use source::{SearchError, Source};
pub use upkeep::Upkeep;
pub use upload::{Refusal, Upload};
pub use view::View;

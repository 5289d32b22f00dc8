//! The index beside an account's Maildir++: what IMAP needs to know of each message without opening it.
//!
//! The Maildir is the truth for what messages there are and for their flags; the index, one SQLite file an account, is the
//! truth for UIDs, mod-sequences, keywords and object ids. Deleting it loses those and costs a rescan.
//!
//! What changes a message changes its file first, durably, then the index; who finds them different believes the file.
//! No clock, no socket, no Python: every instant is an argument, every answer is a value.

mod account;
mod acl;
mod acl_file;
#[cfg(test)]
mod acl_tests;
mod append;
#[cfg(test)]
mod append_tests;
mod arrange;
#[cfg(test)]
mod arrange_tests;
mod check;
mod copy;
#[cfg(test)]
mod copy_tests;
mod email_id;
mod error;
mod folders;
mod full_text;
mod import;
#[cfg(test)]
mod import_tests;
mod keywords;
mod list_again;
mod listing;
mod long_log;
mod mailbox;
mod metadata;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod race_tests;
mod recent;
mod records;
mod rights;
#[cfg(test)]
mod sandbox;
mod scan;
mod schema;
mod settle;
mod shares;
mod size;
#[cfg(test)]
mod speed_tests;
mod store;
#[cfg(test)]
mod store_tests;
mod survey;
mod text_file;
mod types;
mod uidlist;
mod vanish;

pub use account::{Account, Options};
pub use acl::{Acl, AclChange, AclEntry, Identifier};
pub use acl_file::acl_below;
pub use append::Upload;
pub use check::{MailboxReport, Report};
pub use copy::CopyMode;
pub use error::IndexError;
pub use folders::INBOX;
pub use full_text::{TextFilter, TextStep};
pub use import::{MakeRecords, Progress};
pub use long_log::LongLogs;
pub use mailbox::Mailbox;
pub use rights::Rights;
pub use shares::{Share, Shares};
pub use survey::{Annotation, Numbers};
pub use types::{
    Added, Appended, Changes, Copied, Details, MailboxInfo, Message, ObjectId, Status, StoreMode, Stored,
    Within, flag,
};

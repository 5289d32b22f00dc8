//! Delivery into Maildirs: one file a message, written in `tmp`, durable, then renamed to where readers look.
//!
//! Rules of this crate:
//! - Deliveries that wait at the same time are one batch and share their syncs (`batch`); an answer is given only when
//!   message and name are durable.
//! - Everything is opened below the root's handle, one component after the other, and never through a symbolic link
//!   (`files`). A name that could leave its folder does not exist as a value (`path`).
//! - No clock, no socket, no Python: every instant is an argument, every answer is a value.
//!
//! The format is Maildir (maildir(5)) with Maildir++ for folders and quota, as Courier and Dovecot have it.

mod batch;
#[cfg(test)]
mod batch_tests;
mod error;
mod files;
mod folder_name;
mod lines;
mod lock;
mod mailbox;
mod maildrop;
#[cfg(test)]
mod maildrop_tests;
mod name;
mod path;
mod quota;
#[cfg(test)]
mod sim;
mod sizes;
mod store;
#[cfg(test)]
mod store_tests;
mod uid;

pub use batch::{Content, Delivered, Delivery, LineEndings};
pub use error::MaildirError;
pub use files::{Disk, Files, Stat};
pub use folder_name::{FolderNameError, from_disk, to_disk};
pub use lines::ToLf;
pub use mailbox::{Entry, OpenFolder, folders_of, open_for_delivery, open_mailbox, open_subfolders};
pub use maildrop::{Held, Maildrop, OpenMessage};
pub use name::{Flags, Host, MessageName, unique_part, with_letters};
pub use path::{FolderName, MailboxPath};
pub use quota::{Quota, Usage, admits, note_change, used};
pub use store::{Completion, Store, Waker};

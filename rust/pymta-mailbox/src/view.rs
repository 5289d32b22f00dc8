//! What one session sees of an account: commands in, responses out.

use std::path::PathBuf;

use pymta_imap::{Asked, AskedAppend};
use pymta_types::UnixMs;

use crate::upload::Upload;

/// See the module.
#[derive(Debug)]
pub struct View;

impl View {
    pub(crate) fn new() -> Self {
        Self
    }

    /// Begins a command: its first piece.
    pub fn run(&mut self, asked: Asked, _now: UnixMs) -> Vec<u8> {
        format!("{} NO [CANNOT] Not possible yet\r\n", asked.tagged.tag).into_bytes()
    }

    /// The next piece of the command that runs.
    pub fn go_on(&mut self, _now: UnixMs) -> Vec<u8> {
        Vec::new()
    }

    /// Whether there is a next piece.
    pub fn is_running(&self) -> bool {
        false
    }

    /// What changed since something was said last.
    pub fn poll(&mut self, _now: UnixMs) -> Vec<u8> {
        Vec::new()
    }

    /// Whether a mailbox is selected.
    pub fn is_selected(&self) -> bool {
        false
    }

    /// What changes where `poll` may have news.
    pub fn watched(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// APPEND or REPLACE.
    pub fn begin_append(&mut self, _asked: AskedAppend, _octets: Option<u64>, _now: UnixMs) -> Upload {
        Upload
    }

    /// The end of it: what is said.
    pub fn end_append(&mut self, _upload: Upload, _now: UnixMs) -> Vec<u8> {
        Vec::new()
    }
}

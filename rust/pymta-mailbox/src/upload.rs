//! The messages of an APPEND or REPLACE on their way to the disk: all of them become messages, or none.

use pymta_imap::{AskedAppend, AskedMessage};
use pymta_types::UnixMs;

use crate::ending::Ending;
use crate::view::{Outcome, View};

/// Why an upload is not taken (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For a reader.
    pub text: &'static str,
    /// The response code.
    pub code: Option<&'static str>,
}

/// See the module.
#[derive(Debug)]
pub struct Upload {
    asked: AskedAppend,
    refusal: Option<Refusal>,
}

impl Upload {
    pub(crate) fn begin(_view: &View, asked: AskedAppend, _octets: Option<u64>, _now: UnixMs) -> Self {
        let refusal = Some(Refusal {
            text: "Not possible yet",
            code: Some("CANNOT"),
        });
        Self { asked, refusal }
    }

    /// Why it is not taken.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// The next message begins.
    pub fn message(&mut self, _asked: AskedMessage) {}

    /// It goes on.
    pub fn write(&mut self, _octets: &[u8]) {}

    /// It goes on with what is there already (RFC 4469).
    pub fn url(&mut self, _view: &mut View, _url: &str) {}

    pub(crate) fn end(self, _view: &mut View, _out: &mut Vec<u8>, _now: UnixMs) -> (String, Outcome<Ending>) {
        (self.asked.tag, Ok(Ending::cannot()))
    }
}

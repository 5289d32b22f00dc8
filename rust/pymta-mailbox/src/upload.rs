//! The messages of an APPEND or REPLACE on their way to the disk: all of them become messages, or none.

use pymta_imap::AskedMessage;

use crate::view::View;

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
pub struct Upload;

impl Upload {
    /// Why it is not taken.
    pub fn refusal(&self) -> Option<Refusal> {
        Some(Refusal {
            text: "Not possible yet",
            code: Some("CANNOT"),
        })
    }

    /// The next message begins.
    pub fn message(&mut self, _asked: AskedMessage) {}

    /// It goes on.
    pub fn write(&mut self, _octets: &[u8]) {}

    /// It goes on with what is there already (RFC 4469).
    pub fn url(&mut self, _view: &mut View, _url: &str) {}
}

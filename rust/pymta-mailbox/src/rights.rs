//! Rights (RFC 4314): who opened an account may do everything with its mailboxes, and nobody else anything.

use pymta_imap::write;
use pymta_types::UnixMs;

use crate::ending::Ending;
use crate::view::{Outcome, View};

/// All of RFC 4314 §2.1.
const ALL: &str = "lrswipkxtea";
/// Those of INBOX, which stays where it is.
const OF_INBOX: &str = "lrswipktea";

fn rights_of(name: &str) -> &'static str {
    if name == "INBOX" { OF_INBOX } else { ALL }
}

impl View {
    /// MYRIGHTS.
    pub(crate) fn my_rights(&mut self, name: &str, out: &mut Vec<u8>, now: UnixMs) -> Outcome<Ending> {
        self.mailbox(name, now)?;
        self.say_my_rights(out, name);
        Ok(Ending::ok("Rights said"))
    }

    pub(crate) fn say_my_rights(&self, out: &mut Vec<u8>, name: &str) {
        out.extend_from_slice(b"* MYRIGHTS ");
        write::mailbox(out, name, self.enabled.utf8);
        out.push(b' ');
        out.extend_from_slice(rights_of(name).as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// GETACL.
    pub(crate) fn get_acl(&mut self, name: &str, out: &mut Vec<u8>, now: UnixMs) -> Outcome<Ending> {
        self.mailbox(name, now)?;
        out.extend_from_slice(b"* ACL ");
        write::mailbox(out, name, self.enabled.utf8);
        out.push(b' ');
        write::astring(out, self.reader.account.as_bytes(), self.enabled.utf8);
        out.push(b' ');
        out.extend_from_slice(rights_of(name).as_bytes());
        out.extend_from_slice(b"\r\n");
        Ok(Ending::ok("Rights said"))
    }
}

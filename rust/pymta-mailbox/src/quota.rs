//! GETQUOTA and GETQUOTAROOT (RFC 9208): one root an account, the empty name, with what Maildir++ bounds.

use pymta_imap::write;
use pymta_index::Rights;
use pymta_types::UnixMs;

use crate::ending::Ending;
use crate::picture::line;
use crate::view::{Outcome, View};

/// RFC 9208 §5.1: STORAGE counts units of 1024 octets.
const STORAGE_OCTETS: u64 = 1024;

impl View {
    /// GETQUOTA.
    pub(crate) fn get_quota(&mut self, root: &str, out: &mut Vec<u8>, now: UnixMs) -> Outcome<Ending> {
        if !root.is_empty() {
            return Ok(Ending::no("NONEXISTENT", "No such quota root"));
        }
        self.say_quota(out, now)?;
        Ok(Ending::ok("Quota said"))
    }

    /// GETQUOTAROOT.
    pub(crate) fn get_quota_root(&mut self, name: &str, out: &mut Vec<u8>, now: UnixMs) -> Outcome<Ending> {
        let (_, place) = self.mailbox_for(name, Rights::READ, now)?;
        out.extend_from_slice(b"* QUOTAROOT ");
        write::mailbox(out, name, self.enabled.utf8);
        // How much another keeps is his affair.
        if self.reader.quota.is_unbounded() || place.owner.is_some() {
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(b" \"\"\r\n");
            self.say_quota(out, now)?;
        }
        Ok(Ending::ok("Quota said"))
    }

    fn say_quota(&self, out: &mut Vec<u8>, now: UnixMs) -> Outcome<()> {
        let used = self.account.used(now)?;
        let mut resources = Vec::new();
        if let Some(octets) = self.reader.quota.octets {
            let (used, bound) = (used.octets.div_ceil(STORAGE_OCTETS), octets / STORAGE_OCTETS);
            resources.push(format!("STORAGE {used} {bound}"));
        }
        if let Some(messages) = self.reader.quota.messages {
            resources.push(format!("MESSAGE {} {messages}", used.messages));
        }
        line(out, &format!("* QUOTA \"\" ({})", resources.join(" ")));
        Ok(())
    }
}

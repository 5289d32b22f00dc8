//! METADATA (RFC 5464): annotations of mailboxes and of the account, and LIST-METADATA (RFC 9590).

use std::sync::Arc;

use pymta_imap::command::MetadataDepth;
use pymta_imap::write;
use pymta_index::{IndexError, Rights};
use pymta_types::UnixMs;

use crate::ending::Ending;
use crate::places::Place;
use crate::view::{Outcome, View};

/// The longest value.
const VALUE_OCTETS_MAX: usize = 64 * 1024;
/// The longest name of an entry.
const ENTRY_OCTETS_MAX: usize = 200;
/// What a mailbox is for, as RFC 6154 §4 has it.
const SPECIAL_USE: &str = "/private/specialuse";

/// What who may read a mailbox may read, too.
const SHARED: &str = "/shared/";

/// An entry and its value; None where there is none.
type Entry = (String, Option<Vec<u8>>);

impl View {
    /// GETMETADATA.
    pub(crate) fn get_metadata(
        &mut self,
        name: &str,
        entries: &[String],
        octets_max: Option<u64>,
        depth: MetadataDepth,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Ending> {
        let mut found = self.annotations(name, entries, depth, now)?;
        let octets = |entry: &Entry| entry.1.as_ref().map_or(0, |value| value.len() as u64);
        let longest = found.iter().map(octets).max().unwrap_or(0);
        if let Some(octets_max) = octets_max {
            found.retain(|entry| octets(entry) <= octets_max);
        }
        self.say_annotations(out, name, &found);
        Ok(if octets_max.is_some_and(|octets_max| longest > octets_max) {
            Ending::ok_with(format!("METADATA LONGENTRIES {longest}"), "Some are longer")
        } else {
            Ending::ok("Annotations said")
        })
    }

    /// For LIST: what is there of these.
    pub(crate) fn say_metadata(
        &self,
        out: &mut Vec<u8>,
        name: &str,
        entries: &[String],
        now: UnixMs,
    ) -> Outcome<()> {
        let found = self.annotations(name, entries, MetadataDepth::Zero, now)?;
        self.say_annotations(out, name, &found);
        Ok(())
    }

    fn annotations(
        &self,
        name: &str,
        entries: &[String],
        depth: MetadataDepth,
        now: UnixMs,
    ) -> Outcome<Vec<Entry>> {
        let place = self.annotated(name, Rights::READ, now)?;
        let mailbox = (!name.is_empty()).then_some(place.name.as_str());
        // What is private is the owner's alone (RFC 5464 §3.3).
        let is_shown = |entry: &str| place.owner.is_none() || entry.starts_with(SHARED);
        let mut known = place.account.metadata(mailbox, |entry| {
            is_shown(entry) && entries.iter().any(|wanted| is_at(entry, wanted, depth))
        })?;
        if let Some(name) = mailbox.filter(|_| place.owner.is_none()) {
            let infos = self.account.mailboxes(now)?;
            let info = infos.into_iter().find(|info| info.name == name);
            if let Some(special_use) = info.and_then(|info| info.special_use) {
                known.push((SPECIAL_USE.to_owned(), special_use.into_bytes()));
            }
        }
        let mut found: Vec<Entry> = Vec::new();
        for wanted in entries {
            let before = found.len();
            for (entry, value) in &known {
                if is_at(entry, wanted, depth) && !found.iter().any(|(said, _)| said == entry) {
                    found.push((entry.clone(), Some(value.clone())));
                }
            }
            if found.len() == before && depth == MetadataDepth::Zero {
                found.push((wanted.clone(), None));
            }
        }
        Ok(found)
    }

    /// Where annotations of that name are: of a mailbox, or, without a name, of the account.
    fn annotated(&self, name: &str, needed: Rights, now: UnixMs) -> Outcome<Place> {
        if !name.is_empty() {
            return self.place(name, needed, now);
        }
        Ok(Place {
            account: Arc::clone(&self.account),
            name: String::new(),
            rights: Rights::ALL,
            owner: None,
        })
    }

    fn say_annotations(&self, out: &mut Vec<u8>, name: &str, found: &[Entry]) {
        if found.is_empty() {
            return;
        }
        out.extend_from_slice(b"* METADATA ");
        if name.is_empty() {
            out.extend_from_slice(b"\"\"");
        } else {
            write::mailbox(out, name, self.enabled.utf8);
        }
        for (index, (entry, value)) in found.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b" (" } else { b" " });
            write::astring(out, entry.as_bytes(), self.enabled.utf8);
            out.push(b' ');
            match value {
                Some(value) if value.contains(&0) => {
                    write::literal8_head(out, value.len() as u64);
                    out.extend_from_slice(value);
                }
                value => write::nstring(out, value.as_deref(), self.enabled.utf8),
            }
        }
        out.extend_from_slice(b")\r\n");
    }

    /// SETMETADATA.
    pub(crate) fn set_metadata(&mut self, name: &str, entries: &[Entry], now: UnixMs) -> Outcome<Ending> {
        let place = self.annotated(name, Rights::WRITE, now)?;
        if place.owner.is_some() && entries.iter().any(|(entry, _)| !entry.starts_with(SHARED)) {
            return Ok(Ending::no(
                "METADATA NOPRIVATE",
                "Of another's mailbox only shared entries are set",
            ));
        }
        for (entry, value) in entries {
            let is_named = entry.starts_with("/private/") || entry.starts_with("/shared/");
            if !is_named || entry.len() > ENTRY_OCTETS_MAX || entry.ends_with('/') {
                return Ok(Ending::no("CANNOT", "Entries are below /private/ and /shared/"));
            }
            if value.as_ref().is_some_and(|value| value.len() > VALUE_OCTETS_MAX) {
                return Ok(Ending::no("METADATA MAXSIZE 65536", "The value is too long"));
            }
        }
        let mailbox = (!name.is_empty()).then_some(place.name.as_str());
        let (uses, others): (Vec<&Entry>, Vec<&Entry>) = entries
            .iter()
            .partition(|(entry, _)| mailbox.is_some() && entry.eq_ignore_ascii_case(SPECIAL_USE));
        for (_, value) in uses {
            let special_use = value.as_deref().map(String::from_utf8_lossy);
            self.account.set_special_use(name, special_use.as_deref())?;
        }
        let others: Vec<(&str, Option<&[u8]>)> = others
            .into_iter()
            .map(|(entry, value)| (entry.as_str(), value.as_deref()))
            .collect();
        match place.account.set_metadata(mailbox, &others) {
            Err(IndexError::TooMany(_)) => Ok(Ending::no("METADATA TOOMANY", "Too many annotations")),
            Err(error) => Err(error),
            Ok(()) => Ok(Ending::ok("Annotated")),
        }
    }
}

/// Whether an entry is the one that is wanted, or so far below it.
fn is_at(entry: &str, wanted: &str, depth: MetadataDepth) -> bool {
    if entry.eq_ignore_ascii_case(wanted) {
        return true;
    }
    let Some((head, rest)) = entry.split_at_checked(wanted.len()) else {
        return false;
    };
    let Some(below) = rest
        .strip_prefix('/')
        .filter(|_| head.eq_ignore_ascii_case(wanted))
    else {
        return false;
    };
    match depth {
        MetadataDepth::Zero => false,
        MetadataDepth::One => !below.contains('/'),
        MetadataDepth::Infinity => true,
    }
}

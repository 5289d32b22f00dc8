//! FETCH: which messages, in pieces. What is said of each is partly in the picture, partly in the index, and partly in
//! the message itself.

use std::fs::File;
use std::io::{self, Read};

use pymta_imap::command::{FetchItem, Partial, Section, SectionForm, SectionText, SequenceSet};
use pymta_imap::write;
use pymta_index::{Details, IndexError, StoreMode, flag};
use pymta_mime::ToWire;
use pymta_types::UnixMs;

use crate::ending::Ending;
use crate::messages::nothing_selected;
use crate::picture::{Picture, fetch_head};
use crate::view::{Outcome, PIECE_OCTETS, Step, View, Work};

/// Details are looked up for so many messages at a time.
const BATCH: usize = 512;
/// A file is read in pieces of so many octets.
const READ_OCTETS: usize = 32 * 1024;

/// A FETCH, and how far it is.
#[derive(Debug)]
pub(crate) struct Fetching {
    items: Vec<FetchItem>,
    by_uid: bool,
    changed_since: Option<u64>,
    partial: Option<Partial>,
    /// Places in the picture, ascending.
    places: Vec<usize>,
    next: usize,
    /// Those that were not \Seen before, ascending: their flags are said too.
    seen_uids: Vec<u32>,
    /// Details of the next messages, the next one last.
    details: Vec<Details>,
    current: Option<Current>,
    /// A message was no more.
    some_are_gone: bool,
    some_are_said: bool,
}

/// The message that is being said.
#[derive(Debug)]
struct Current {
    at: usize,
    details: Option<Details>,
    file: Option<File>,
    item: usize,
    is_first: bool,
    stream: Option<Stream>,
}

/// Content on its way out.
#[derive(Debug)]
struct Stream {
    wire: ToWire,
    skip: u64,
    left: u64,
}

impl Fetching {
    pub(crate) fn new(
        items: Vec<FetchItem>,
        by_uid: bool,
        changed_since: Option<u64>,
        partial: Option<Partial>,
    ) -> Box<Self> {
        Box::new(Self {
            items,
            by_uid,
            changed_since,
            partial,
            places: Vec::new(),
            next: 0,
            seen_uids: Vec::new(),
            details: Vec::new(),
            current: None,
            some_are_gone: false,
            some_are_said: false,
        })
    }

    fn complete_items(&mut self, uid_only: bool) {
        let implied = [
            (FetchItem::Uid, self.by_uid && !uid_only),
            (FetchItem::ModSeq, self.changed_since.is_some()),
        ];
        for (item, is_implied) in implied {
            if is_implied && !self.items.contains(&item) {
                self.items.insert(0, item);
            }
        }
        if uid_only {
            self.items.retain(|item| *item != FetchItem::Uid);
        }
    }

    fn sets_seen(&self) -> bool {
        self.items
            .iter()
            .any(|item| matches!(item, FetchItem::Section(section) if !section.peek))
    }

    fn needs_details(&self) -> bool {
        let in_row = |item: &FetchItem| matches!(item, FetchItem::Uid | FetchItem::Flags | FetchItem::ModSeq);
        !self.items.iter().all(in_row)
    }

    fn needs_file(&self) -> bool {
        self.items
            .iter()
            .any(|item| matches!(item, FetchItem::Section(_)))
    }
}

/// Those of the places that PARTIAL wants (RFC 9394 §3.1).
pub(crate) fn part_of<T>(found: &mut Vec<T>, partial: Option<Partial>) {
    let Some(partial) = partial else {
        return;
    };
    let count = found.len();
    let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX).min(count);
    let (first, last) = (number(partial.first.saturating_sub(1)), number(partial.last));
    let (start, end) = if partial.from_end {
        (count - last, count - first)
    } else {
        (first, last)
    };
    found.truncate(end);
    found.drain(..start.min(end));
}

fn is_supported(item: &FetchItem) -> bool {
    match item {
        FetchItem::Section(section) => {
            section.part.is_empty()
                && section.text == SectionText::All
                && matches!(section.form, SectionForm::Body | SectionForm::Rfc822)
        }
        FetchItem::Envelope
        | FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::Preview { .. }
        | FetchItem::BinarySize(_) => false,
        _ => true,
    }
}

impl View {
    /// Begins a FETCH.
    pub(crate) fn fetch(
        &mut self,
        mut asked: Box<Fetching>,
        set: &SequenceSet,
        says_vanished: bool,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Step> {
        let Some(picture) = self.selected.as_mut() else {
            return Ok(nothing_selected().into());
        };
        if !asked.items.iter().all(is_supported) {
            return Ok(Ending::cannot().keeping_numbers(!asked.by_uid).into());
        }
        asked.complete_items(self.enabled.uid_only);
        picture.condstore |= asked.items.contains(&FetchItem::ModSeq);
        let mut places = match picture.resolve(set, asked.by_uid) {
            Ok(places) => places,
            Err(wrong) => return Ok(Ending::from(wrong).into()),
        };
        if let Some(since) = asked.changed_since {
            if says_vanished {
                let changes = picture.mailbox.changes(since)?;
                crate::vanished::say(out, &changes.vanished, Some(set), picture);
            }
            places.retain(|&at| picture.rows()[at].modseq > since);
        }
        part_of(&mut places, asked.partial);
        if asked.sets_seen() && !picture.is_read_only {
            let unseen = places.iter().map(|&at| picture.rows()[at]);
            let unseen = unseen.filter(|row| row.flags & flag::SEEN == 0 && !picture.is_gone(row.uid));
            let uids: Vec<u32> = unseen.map(|row| row.uid).collect();
            if !uids.is_empty() {
                let mode = StoreMode::Add;
                let stored = picture.mailbox.store(&uids, mode, (flag::SEEN, &[]), None, now)?;
                picture.set(&stored.changed);
                asked.seen_uids = stored.changed.iter().map(|row| row.uid).collect();
            }
        }
        asked.places = places;
        self.fetch_on(asked, out, now)
    }

    /// Goes on until a piece is full.
    pub(crate) fn fetch_on(
        &mut self,
        mut asked: Box<Fetching>,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Step> {
        let Some(picture) = self.selected.as_ref() else {
            return Ok(nothing_selected().into());
        };
        while out.len() < PIECE_OCTETS {
            if asked.current.is_none() && !asked.begin_next(picture, self.enabled, out, now)? {
                return Ok(asked.ending().into());
            }
            asked.say_on(picture, out)?;
        }
        Ok(Step::Runs(Work::Fetch(asked)))
    }
}

impl Fetching {
    fn ending(&self) -> Ending {
        let ending = match (self.some_are_gone && !self.by_uid, self.some_are_said) {
            (true, true) => Ending::ok_with("EXPUNGEISSUED".to_owned(), "Some of the messages are no more"),
            (true, false) => Ending::no("EXPUNGEISSUED", "The messages are no more"),
            (false, _) => Ending::ok("Fetched"),
        };
        ending.keeping_numbers(!self.by_uid)
    }

    /// Says the head of the next message; false where there is none.
    fn begin_next(
        &mut self,
        picture: &Picture,
        enabled: pymta_imap::Enabled,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<bool> {
        while let Some(&at) = self.places.get(self.next) {
            self.next += 1;
            let uid = picture.rows()[at].uid;
            let details = if self.needs_details() {
                self.details_of(uid, picture, now)?
            } else {
                None
            };
            let file = match (self.needs_file(), details.is_some()) {
                (true, true) => picture.mailbox.open_file(uid, now)?,
                _ => None,
            };
            // What the picture has can be said of a message that is no more, the rest cannot.
            if self.needs_details() && details.is_none() || self.needs_file() && file.is_none() {
                self.some_are_gone = true;
                continue;
            }
            self.some_are_said = true;
            fetch_head(out, at, uid, enabled);
            self.current = Some(Current {
                at,
                details,
                file,
                item: 0,
                is_first: true,
                stream: None,
            });
            return Ok(true);
        }
        Ok(false)
    }

    fn details_of(&mut self, uid: u32, picture: &Picture, now: UnixMs) -> Outcome<Option<Details>> {
        if self.details.is_empty() {
            let end = (self.next - 1 + BATCH).min(self.places.len());
            let uids: Vec<u32> = self.places[self.next - 1..end]
                .iter()
                .map(|&at| picture.rows()[at].uid)
                .collect();
            self.details = picture.mailbox.details(&uids, now)?;
            self.details.reverse();
        }
        Ok(self.details.pop_if(|details| details.uid == uid))
    }

    /// Says the next item, or more of it.
    fn say_on(&mut self, picture: &Picture, out: &mut Vec<u8>) -> Outcome<()> {
        let Some(current) = self.current.as_mut() else {
            return Ok(());
        };
        if let (Some(stream), Some(file)) = (current.stream.as_mut(), current.file.as_mut()) {
            if stream.say(file, out).map_err(trouble)? {
                current.stream = None;
            }
            return Ok(());
        }
        let row = picture.rows()[current.at];
        if !std::mem::take(&mut current.is_first) && current.item < self.items.len() {
            out.push(b' ');
        }
        let Some(item) = self.items.get(current.item) else {
            let says_flags = self.seen_uids.binary_search(&row.uid).is_ok();
            if says_flags && !self.items.contains(&FetchItem::Flags) {
                out.extend_from_slice(b" FLAGS ");
                picture.say_flags_of(out, &row);
            }
            if says_flags && picture.condstore && !self.items.contains(&FetchItem::ModSeq) {
                out.extend_from_slice(format!(" MODSEQ ({})", row.modseq).as_bytes());
            }
            out.extend_from_slice(b")\r\n");
            self.current = None;
            return Ok(());
        };
        current.item += 1;
        match item {
            FetchItem::Uid => out.extend_from_slice(format!("UID {}", row.uid).as_bytes()),
            FetchItem::ModSeq => out.extend_from_slice(format!("MODSEQ ({})", row.modseq).as_bytes()),
            FetchItem::Flags => {
                out.extend_from_slice(b"FLAGS ");
                picture.say_flags_of(out, &row);
            }
            item => {
                if let Some(details) = &current.details {
                    current.stream = say_details(item, details, out);
                }
            }
        }
        Ok(())
    }
}

fn say_details(item: &FetchItem, details: &Details, out: &mut Vec<u8>) -> Option<Stream> {
    match item {
        FetchItem::InternalDate => {
            out.extend_from_slice(b"INTERNALDATE ");
            write::date_time(out, details.internal_date_s);
        }
        FetchItem::SaveDate => {
            out.extend_from_slice(b"SAVEDATE ");
            write::date_time(out, details.saved_date_s);
        }
        FetchItem::Size => out.extend_from_slice(format!("RFC822.SIZE {}", details.octets).as_bytes()),
        FetchItem::EmailId => out.extend_from_slice(format!("EMAILID (M{})", details.email_id).as_bytes()),
        FetchItem::ThreadId => match details.thread_id {
            Some(id) => out.extend_from_slice(format!("THREADID (T{id})").as_bytes()),
            None => out.extend_from_slice(b"THREADID NIL"),
        },
        FetchItem::Section(section) => return Some(say_section(section, details.octets, out)),
        _ => {}
    }
    None
}

fn say_section(section: &Section, octets: u64, out: &mut Vec<u8>) -> Stream {
    let name = if section.form == SectionForm::Rfc822 {
        "RFC822"
    } else {
        "BODY[]"
    };
    out.extend_from_slice(name.as_bytes());
    let (skip, left) = match section.partial {
        None => (0, octets),
        Some((offset, wanted)) => {
            out.extend_from_slice(format!("<{offset}>").as_bytes());
            let skip = offset.min(octets);
            (skip, wanted.min(octets - skip))
        }
    };
    out.push(b' ');
    write::literal_head(out, left);
    Stream {
        wire: ToWire::default(),
        skip,
        left,
    }
}

impl Stream {
    /// More of it; true where that was all.
    fn say(&mut self, file: &mut File, out: &mut Vec<u8>) -> io::Result<bool> {
        let (mut piece, mut wire) = (vec![0; READ_OCTETS], Vec::new());
        let read = file.read(&mut piece)?;
        self.wire.push(&piece[..read], &mut wire);
        if read == 0 && self.left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(wire.len());
        self.skip -= skipped as u64;
        let said = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(wire.len() - skipped);
        self.left -= said as u64;
        out.extend_from_slice(&wire[skipped..skipped + said]);
        Ok(self.left == 0)
    }
}

fn trouble(error: io::Error) -> IndexError {
    IndexError::Io {
        doing: "read a message",
        error,
    }
}

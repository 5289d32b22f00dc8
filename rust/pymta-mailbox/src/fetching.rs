//! FETCH: of which messages, and in pieces. What is said of each is `fetch`'s; what it needs of the index is looked up for
//! many messages at a time.

use std::io;

use pymta_imap::Enabled;
use pymta_imap::command::{FetchItem, Partial, SequenceSet};
use pymta_index::{Details, Message, Rights, StoreMode, flag};
use pymta_types::UnixMs;

use crate::accounts::Reader;
use crate::content::Octets;
use crate::ending::Ending;
use crate::fetch::{FetchError, Given, Need, Responder, need};
use crate::messages::nothing_selected;
use crate::picture::Picture;
use crate::unread_rights::UnreadRights;
use crate::vanished::Known;
use crate::view::{Outcome, PIECE_OCTETS, Step, View, Work};

/// The index is asked about so many messages at a time; what was found out about so many is kept at a time.
const BATCH: usize = 256;

/// A FETCH, and how far it is.
pub(crate) struct Fetching {
    items: Vec<FetchItem>,
    /// Of messages that become \Seen by it.
    items_with_flags: Vec<FetchItem>,
    need: Need,
    by_uid: bool,
    changed_since: Option<u64>,
    partial: Option<Partial>,
    /// Places in the picture, ascending.
    places: Vec<usize>,
    next: usize,
    /// Those of the prepared that were not \Seen before, ascending.
    seen_uids: Vec<u32>,
    /// What the index knows of the next messages, the next one last.
    prepared: Vec<Prepared>,
    current: Option<(Prepared, Responder)>,
    /// Records that had to be made.
    made: Vec<(u32, Vec<u8>)>,
    some_are_gone: bool,
    some_are_said: bool,
    /// The first one that could not be said otherwise.
    failure: Option<Failure>,
    /// Why a message could not be read.
    cause: Option<String>,
}

/// A message, with what is needed of the index.
struct Prepared {
    at: usize,
    details: Option<Details>,
    record: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
enum Failure {
    UnknownEncoding,
    Unreadable,
}

impl std::fmt::Debug for Fetching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fetching({} of {})", self.next, self.places.len())
    }
}

/// What the FETCH command asks.
#[derive(Debug)]
pub(crate) struct AskedFetch {
    pub(crate) set: SequenceSet,
    pub(crate) items: Vec<FetchItem>,
    pub(crate) by_uid: bool,
    pub(crate) changed_since: Option<u64>,
    pub(crate) vanished: bool,
    pub(crate) partial: Option<Partial>,
}

impl Fetching {
    pub(crate) fn new(asked: &mut AskedFetch, uid_only: bool) -> Box<Self> {
        let mut items = std::mem::take(&mut asked.items);
        let implied = [
            (FetchItem::Uid, asked.by_uid),
            (FetchItem::ModSeq, asked.changed_since.is_some()),
        ];
        for (item, is_implied) in implied.into_iter().rev() {
            if is_implied && !items.contains(&item) {
                items.insert(0, item);
            }
        }
        if uid_only {
            // It is the head of the response (RFC 9586 §3.3), unless nothing else was asked for.
            items.retain(|item| *item != FetchItem::Uid);
            if items.is_empty() {
                items.push(FetchItem::Uid);
            }
        }
        Box::new(Self {
            need: need(&items),
            items_with_flags: Vec::new(),
            items,
            by_uid: asked.by_uid,
            changed_since: asked.changed_since,
            partial: asked.partial,
            places: Vec::new(),
            next: 0,
            seen_uids: Vec::new(),
            prepared: Vec::new(),
            current: None,
            made: Vec::new(),
            some_are_gone: false,
            some_are_said: false,
            failure: None,
            cause: None,
        })
    }

    /// What NOTIFY says of new messages; it marks none of them as \Seen.
    pub(crate) fn of_arrivals(
        asked: &mut AskedFetch,
        picture: &Picture,
        enabled: Enabled,
    ) -> Option<Box<Self>> {
        let mut fetching = Self::new(asked, enabled.uid_only);
        fetching.need.sets_seen = false;
        fetching.complete_items(picture.condstore);
        let (places, _) = picture.split_gone(picture.resolve(&asked.set, true).ok()?);
        fetching.places = places;
        (!fetching.places.is_empty()).then_some(fetching)
    }

    fn complete_items(&mut self, condstore: bool) {
        self.items_with_flags = self.items.clone();
        let more = [(FetchItem::Flags, true), (FetchItem::ModSeq, condstore)];
        for (item, is_wanted) in more {
            if is_wanted && !self.items.contains(&item) {
                self.items_with_flags.push(item);
            }
        }
    }
}

/// Those that PARTIAL wants (RFC 9394 §3.1).
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

impl View {
    /// Begins a FETCH.
    pub(crate) fn fetch(&mut self, mut asked: AskedFetch, out: &mut Vec<u8>, now: UnixMs) -> Outcome<Step> {
        let Some(picture) = self.selected.as_mut() else {
            return Ok(nothing_selected().into());
        };
        let mut fetching = Fetching::new(&mut asked, self.enabled.uid_only);
        picture.condstore |= fetching.items.contains(&FetchItem::ModSeq);
        fetching.complete_items(picture.condstore);
        let mut places = match picture.resolve(&asked.set, asked.by_uid) {
            Ok(places) => places,
            Err(wrong) => return Ok(Ending::from(wrong).into()),
        };
        if let Some(since) = fetching.changed_since {
            if asked.vanished {
                let changes = picture.mailbox.changes(since)?;
                let known = Known::of(Some(&asked.set));
                crate::vanished::say(out, &changes.vanished, &known, picture);
            }
            places.retain(|&at| picture.rows()[at].modseq > since);
        }
        part_of(&mut places, fetching.partial);
        fetching.places = places;
        self.fetch_on(fetching, out, now)
    }

    /// Goes on until a piece is full.
    pub(crate) fn fetch_on(
        &mut self,
        mut fetching: Box<Fetching>,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Step> {
        let Some(picture) = self.selected.as_mut() else {
            return Ok(nothing_selected().into());
        };
        let rights = (&self.reader, self.others.accounts.unread_rights());
        while out.len() < PIECE_OCTETS {
            let current = match fetching.current.take() {
                Some(current) => current,
                None => match fetching.next_prepared(picture, rights, now)? {
                    Some(prepared) => (prepared, Responder::default()),
                    None => {
                        fetching.keep_made(picture)?;
                        self.trouble = fetching.cause.take().or(self.trouble.take());
                        return Ok(fetching.ending().into());
                    }
                },
            };
            if let Err(error) = fetching.say(current, picture, self.enabled, out, now) {
                self.cut_off = Some(error);
                return Ok(Ending::no("UNAVAILABLE", "A message cannot be read").into());
            }
        }
        Ok(Step::Runs(Work::Fetch(fetching)))
    }
}

impl Fetching {
    fn ending(&self) -> Ending {
        let ending = match (self.failure, self.some_are_gone && !self.by_uid) {
            (Some(Failure::UnknownEncoding), _) => {
                Ending::no("UNKNOWN-CTE", "A part has an encoding that nobody knows")
            }
            (Some(Failure::Unreadable), _) => {
                Ending::no("UNAVAILABLE", "A message could not be read, try again later")
            }
            (None, true) if self.some_are_said => {
                Ending::ok_with("EXPUNGEISSUED".to_owned(), "Some of the messages are no more")
            }
            (None, true) => Ending::no("EXPUNGEISSUED", "The messages are no more"),
            (None, false) => Ending::ok("Fetched"),
        };
        ending.keeping_numbers(!self.by_uid)
    }

    /// The next message that is there, as far as the index knows.
    fn next_prepared(
        &mut self,
        picture: &mut Picture,
        (reader, unread): (&Reader, &UnreadRights),
        now: UnixMs,
    ) -> Outcome<Option<Prepared>> {
        loop {
            if let Some(prepared) = self.prepared.pop() {
                if self.need.details && prepared.details.is_none() {
                    self.some_are_gone = true;
                    continue;
                }
                return Ok(Some(prepared));
            }
            if self.next == self.places.len() {
                return Ok(None);
            }
            self.keep_made(picture)?;
            // Who reads slowly may have lost his rights since the last ones.
            picture.look_at_rights(reader, unread)?;
            self.prepare(picture, now)?;
        }
    }

    /// Marks messages as \Seen that are about to be said, and no others: the client may go before the next ones.
    fn set_seen(&mut self, end: usize, picture: &mut Picture, now: UnixMs) -> Outcome<()> {
        let rows = self.places[self.next..end].iter().map(|&at| picture.rows()[at]);
        let unseen = rows.filter(|row| row.flags & flag::SEEN == 0 && !picture.is_gone(row.uid));
        let uids: Vec<u32> = unseen.map(|row| row.uid).collect();
        self.seen_uids.clear();
        if !uids.is_empty() {
            let mode = StoreMode::Add;
            let stored = picture.mailbox.store(&uids, mode, (flag::SEEN, &[]), None, now)?;
            picture.set(&stored.changed);
            self.seen_uids.extend(stored.changed.iter().map(|row| row.uid));
        }
        Ok(())
    }

    /// Looks up what is needed of the next messages.
    fn prepare(&mut self, picture: &mut Picture, now: UnixMs) -> Outcome<()> {
        let end = (self.next + BATCH).min(self.places.len());
        if self.need.sets_seen && picture.may(Rights::SEEN) {
            self.set_seen(end, picture, now)?;
        }
        let places = &self.places[self.next..end];
        let uids: Vec<u32> = places.iter().map(|&at| picture.rows()[at].uid).collect();
        let mut details = Vec::new();
        if self.need.details {
            details = picture.mailbox.details(&uids, now)?;
        }
        let mut records = Vec::new();
        if self.need.record {
            records = picture.mailbox.records(&uids)?;
        }
        let mut details = details.into_iter().peekable();
        let mut records = records.into_iter();
        for (&at, uid) in places.iter().zip(uids) {
            self.prepared.push(Prepared {
                at,
                details: details.next_if(|details| details.uid == uid),
                record: records.next().flatten(),
            });
        }
        self.prepared.reverse();
        self.next = end;
        Ok(())
    }

    fn keep_made(&mut self, picture: &Picture) -> Outcome<()> {
        let made = std::mem::take(&mut self.made);
        picture.mailbox.put_records(&made)
    }

    /// Says the message, or a piece of it.
    fn say(
        &mut self,
        (prepared, mut responder): (Prepared, Responder),
        picture: &Picture,
        enabled: Enabled,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> io::Result<()> {
        let message: &Message = &picture.rows()[prepared.at];
        let becomes_seen = self.seen_uids.binary_search(&message.uid).is_ok();
        let items = if becomes_seen {
            &self.items_with_flags
        } else {
            &self.items
        };
        let given = Given {
            number: u32::try_from(prepared.at + 1).unwrap_or(u32::MAX),
            message,
            keywords: &picture.keywords,
            details: prepared.details.as_ref(),
            record: prepared.record.as_deref(),
        };
        let mut open = || -> io::Result<Option<Box<dyn Octets>>> {
            let opened = picture.mailbox.open_file(message.uid, now);
            let file = opened.map_err(io::Error::other)?;
            Ok(file.map(|file| Box::new(file) as Box<dyn Octets>))
        };
        let room = PIECE_OCTETS.saturating_sub(out.len());
        let said = responder.go_on(items, &given, enabled, &mut open, out, room);
        if let Some(record) = responder.take_made() {
            self.made.push((message.uid, record));
        }
        match said {
            Ok(true) => self.some_are_said = true,
            Ok(false) => self.current = Some((prepared, responder)),
            Err(FetchError::Gone) => self.some_are_gone = true,
            Err(FetchError::UnknownEncoding) => self.failure = Some(Failure::UnknownEncoding),
            Err(FetchError::CutOff(error)) => return Err(error),
            Err(error) => {
                self.failure = Some(Failure::Unreadable);
                self.cause = Some(format!("message {}: {error}", message.uid));
            }
        }
        Ok(())
    }
}

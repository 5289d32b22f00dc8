//! Adding messages: written in `tmp` in pieces, durable, then all named and noted together.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use pymta_maildir::{Files, ToLf, Usage};
use pymta_types::UnixMs;
use rusqlite::Transaction;

use crate::mailbox::{Place, number_of};
use crate::scan::{Arrival, milliseconds};
use crate::types::flag;
use crate::{Added, Appended, IndexError, Mailbox, Within, email_id};

/// From so many files on, one sync of the file system is quicker than one for each (measured for deliveries).
const SHARED_SYNC_FROM: usize = 3;
/// Messages of one APPEND.
const MESSAGES_MAX: usize = 1_000;
/// Messages of one COPY from another account.
const CARRIED_MAX: usize = 100_000;

/// Messages on their way into a mailbox: of one APPEND, which adds all of them or none. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Upload {
    mailbox: Arc<Mailbox>,
    messages: Vec<Pending>,
    messages_max: usize,
}

/// A message in `tmp`.
#[derive(Debug)]
struct Pending {
    tmp_name: String,
    unique_name: String,
    /// Open until it is known that all are synced together.
    file: Option<OwnedFd>,
    added: Added,
    lines: ToLf,
    last_octet: u8,
    file_octets: u64,
    wire_octets: u64,
    is_whole: bool,
}

impl Mailbox {
    /// Begins to add messages.
    pub fn begin_append(self: &Arc<Self>) -> Upload {
        self.begin_with(MESSAGES_MAX)
    }

    /// Likewise, for messages that come from another account.
    pub fn begin_carry(self: &Arc<Self>) -> Upload {
        self.begin_with(CARRIED_MAX)
    }

    fn begin_with(self: &Arc<Self>, messages_max: usize) -> Upload {
        Upload {
            mailbox: Arc::clone(self),
            messages: Vec::new(),
            messages_max,
        }
    }
}

impl Upload {
    /// Begins the next message.
    ///
    /// # Errors
    /// `TooMany`; `Io`.
    pub fn begin(&mut self, added: Added, now: UnixMs) -> Result<(), IndexError> {
        self.finish()?;
        if self.messages.len() >= self.messages_max {
            return Err(IndexError::TooMany("messages at a time"));
        }
        let account = &self.mailbox.account;
        let unique_name = account.unique(now);
        let file = account.act("create a file", |disk| {
            disk.create(&self.mailbox.folder.tmp, &unique_name)
        })?;
        self.messages.push(Pending {
            tmp_name: unique_name.clone(),
            unique_name,
            file: Some(file),
            added,
            lines: ToLf::default(),
            last_octet: 0,
            file_octets: 0,
            wire_octets: 0,
            is_whole: false,
        });
        Ok(())
    }

    /// Adds to the message that was begun last.
    ///
    /// # Errors
    /// `Io`.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), IndexError> {
        let disk = &self.mailbox.account.disk;
        let Some(message) = self.messages.last_mut() else {
            return Ok(()); // `begin` comes first
        };
        message.wire_octets += octets.len() as u64;
        for at in memchr::memchr_iter(b'\n', octets) {
            let before = if at == 0 {
                message.last_octet
            } else {
                octets[at - 1]
            };
            message.wire_octets += u64::from(before != b'\r');
        }
        message.last_octet = octets.last().copied().unwrap_or(message.last_octet);
        let mut out = Vec::with_capacity(octets.len() + 1);
        message.lines.push(octets, &mut out);
        message.file_octets += out.len() as u64;
        match &message.file {
            Some(file) => disk.write(file, &out).map_err(IndexError::io("write a message")),
            None => Ok(()), // only a whole one is closed
        }
    }

    /// Names the message that was begun last, which is whole now, so that who adds it again finds it. Where the mailbox has
    /// one of that name already, it is dropped: false.
    ///
    /// # Errors
    /// As of any look; `Io`.
    pub fn name_last(&mut self, unique_name: &str) -> Result<bool, IndexError> {
        let mailbox = &self.mailbox;
        let is_known = mailbox.look(|index| mailbox.knows(index, unique_name))?;
        if !is_known {
            if let Some(message) = self.messages.last_mut() {
                unique_name.clone_into(&mut message.unique_name);
            }
        } else if let Some(message) = self.messages.pop() {
            mailbox.account.act("remove a file", |disk| {
                disk.remove(&mailbox.folder.tmp, &message.tmp_name)
            })?;
        }
        Ok(!is_known)
    }

    /// Leaves the messages so far no other flags than those.
    pub fn keep_flags(&mut self, within: Within) {
        for added in self.messages.iter_mut().map(|message| &mut message.added) {
            added.flags &= within.flags;
            added.keywords.retain(|_| within.keywords);
        }
    }

    /// How many messages there are so far.
    pub fn count(&self) -> usize {
        self.messages.len()
    }

    /// The octets of all messages so far, as their files have them.
    pub fn octets(&self) -> u64 {
        self.messages.iter().map(|message| message.file_octets).sum()
    }

    /// Ends the message that was begun last.
    fn finish(&mut self) -> Result<(), IndexError> {
        let shared = self.messages.len() >= SHARED_SYNC_FROM;
        let disk = &self.mailbox.account.disk;
        let Some(message) = self.messages.last_mut().filter(|message| !message.is_whole) else {
            return Ok(());
        };
        let mut out = Vec::new();
        message.lines.finish(&mut out);
        message.file_octets += out.len() as u64;
        message.is_whole = true;
        if let Some(file) = &message.file {
            disk.write(file, &out)
                .map_err(IndexError::io("write a message"))?;
            if let Some(date_s) = message.added.internal_date_s {
                let date_s = u64::try_from(date_s).unwrap_or(0);
                disk.touch(file, date_s)
                    .map_err(IndexError::io("write a message"))?;
            }
        }
        if shared {
            message.file = None;
        }
        Ok(())
    }

    /// Makes all messages durable and adds them; where the mailbox has 64 other keywords, without these.
    ///
    /// # Errors
    /// `OverQuota`, `NoMailbox`; `Io`. Nothing was added.
    pub fn commit(mut self, now: UnixMs) -> Result<Appended, IndexError> {
        self.finish()?;
        let mailbox = Arc::clone(&self.mailbox);
        let account = &mailbox.account;
        let all = self.messages.len() >= SHARED_SYNC_FROM;
        account.act("make the messages durable", |disk| {
            if all {
                return disk.sync_all();
            }
            let files = self.messages.iter().filter_map(|message| message.file.as_ref());
            files.into_iter().try_for_each(|file| disk.sync_file(file))
        })?;
        let places: Vec<Place> = self.messages.iter().map(Pending::place).collect();
        let add = |transaction: &Transaction<'_>, named: &mut usize| {
            let before = mailbox.touched()?;
            let state = mailbox.state(transaction)?;
            mailbox.admits(self.usage(), now)?;
            let (mut keyword_bits, mut held) = (Vec::new(), 0);
            for message in &self.messages {
                let names: Vec<&str> = message.added.keywords.iter().map(String::as_str).collect();
                let bits = mailbox.bits_that_fit(transaction, &names, held)?;
                held |= bits;
                keyword_bits.push(bits);
            }
            self.name(&places, named)?;
            let (mut uid, modseq) = (state.uid_next, state.highest_modseq + 1);
            let mut appended = Appended {
                uid_validity: state.uid_validity,
                uids: Vec::new(),
            };
            for ((message, place), keywords) in self.messages.iter().zip(&places).zip(keyword_bits) {
                let now_s = milliseconds(now) / 1000;
                let arrival = Arrival {
                    internal_date_s: message
                        .added
                        .internal_date_s
                        .map_or(now_s, |date_s| date_s.max(0)),
                    saved_date_s: now_s,
                    octets: Some(message.wire_octets),
                    email_id: email_id::of(&place.unique_name).0.to_be_bytes(),
                    thread_id: None,
                    flags: message.added.flags & flag::ALL,
                    keywords: number_of(keywords),
                };
                mailbox.insert(transaction, uid, modseq, place, &arrival)?;
                appended.uids.push(uid);
                uid += 1;
            }
            mailbox.advance(transaction, uid, modseq)?;
            mailbox.saw_ourselves(transaction, &state, before, now)?;
            Ok(appended)
        };
        let appended = account.write_or_undo(&mut 0, add, |&named| self.take_back(&places[..named]))?;
        let usage = self.usage();
        let signed = |number| i64::try_from(number).unwrap_or(i64::MAX);
        mailbox.note_usage(signed(usage.octets), signed(usage.messages));
        self.messages.clear(); // nothing of them is in `tmp` any more
        Ok(appended)
    }

    /// What counts for the quota.
    fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        let counts = |message: &&Pending| message.added.flags & flag::DELETED == 0;
        for message in self.messages.iter().filter(counts) {
            usage.octets += message.file_octets;
            usage.messages += 1;
        }
        usage
    }

    /// From `tmp` to where readers look, durably; how many are there already is counted.
    fn name(&self, places: &[Place], named: &mut usize) -> Result<(), IndexError> {
        let (mailbox, account) = (&self.mailbox, &self.mailbox.account);
        let tmp = &mailbox.folder.tmp;
        for (message, place) in self.messages.iter().zip(places) {
            account.act("name a message", |disk| {
                let into = mailbox.subfolder(place.is_new);
                disk.rename_new(tmp, &message.tmp_name, into, &place.file_name())
            })?;
            *named += 1;
        }
        let has = |is_new| places.iter().any(|place| place.is_new == is_new);
        mailbox.sync([has(true), has(false)])
    }

    /// Back to `tmp`: nothing was added.
    fn take_back(&self, named: &[Place]) {
        let (mailbox, account) = (&self.mailbox, &self.mailbox.account);
        for (message, place) in self.messages.iter().zip(named) {
            let _ = account.act("take a message back", |disk| {
                let from = mailbox.subfolder(place.is_new);
                disk.rename_new(from, &place.file_name(), &mailbox.folder.tmp, &message.tmp_name)
            });
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        for message in &self.messages {
            // What stays in `tmp` is swept after a while.
            let _ = self.mailbox.account.act("remove a file", |disk| {
                disk.remove(&self.mailbox.folder.tmp, &message.tmp_name)
            });
        }
    }
}

impl Pending {
    /// Without flags a message is for `new`, as deliveries are.
    fn place(&self) -> Place {
        let flags = self.added.flags & flag::ALL;
        let mut rest = format!(",S={},W={}", self.file_octets, self.wire_octets);
        if flags != 0 {
            rest = pymta_maildir::with_letters(&rest, flag::letters(flags));
        }
        Place {
            unique_name: self.unique_name.clone(),
            rest,
            is_new: flags == 0,
        }
    }
}

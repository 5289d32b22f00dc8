//! Copying and moving messages between mailboxes of an account: a further name for the same file, or another one.

use std::io;
use std::os::fd::OwnedFd;

use pymta_maildir::{Files, Usage, admits};
use pymta_types::UnixMs;
use rusqlite::{OptionalExtension, Transaction};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::mailbox::{Place, bits, keywords, number_of};
use crate::scan::{Arrival, is_missing, milliseconds};
use crate::store::Rescans;
use crate::types::flag;
use crate::vanish::vanish;
use crate::{Account, Copied, IndexError, Mailbox};

/// What is copied at a time where a file system has no second name for a file.
const PIECE_OCTETS: usize = 256 << 10;

/// Whether the messages stay where they are as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyMode {
    /// They do.
    Copy,
    /// They do not.
    Move,
}

/// A message of the source, and where its file is now as well or instead.
struct Taken {
    uid: u32,
    from: Place,
    to: Place,
    arrival: Arrival,
}

impl Mailbox {
    /// Copies or moves messages into a mailbox of the same account, with their flags, keywords, dates and records. Those
    /// that are gone are left out. All or none; only a kill in between can leave some.
    ///
    /// # Errors
    /// `OverQuota`; as of any change.
    pub fn copy(
        &self,
        to: &Mailbox,
        uids: &[u32],
        mode: CopyMode,
        now: UnixMs,
    ) -> Result<Copied, IndexError> {
        let mut uids = uids.to_vec();
        uids.sort_unstable();
        uids.dedup();
        let mut taken = Vec::with_capacity(uids.len());
        let take = |transaction: &Transaction<'_>, taken: &mut Vec<Taken>| {
            let states = (self.state(transaction)?, to.state(transaction)?);
            let before = (self.touched()?, to.touched()?);
            if mode == CopyMode::Copy {
                self.has_room_for(transaction, to, &uids, now)?;
            }
            self.take_all(transaction, to, &uids, mode, now, taken)?;
            self.sync_copies(to, taken, mode)?;
            let copied = self.note_copies(transaction, to, taken, mode)?;
            self.saw_ourselves(transaction, &states.0, before.0, now)?;
            if self.key != to.key {
                to.saw_ourselves(transaction, &states.1, before.1, now)?;
            }
            Ok(copied)
        };
        let undo = |taken: &Vec<Taken>| self.undo(to, taken, mode);
        let copied = self.account.write_or_undo(&mut taken, take, undo)?;
        self.note_moved_usage(to, &taken, mode);
        Ok(copied)
    }

    /// Tells the quota, after the commit.
    fn note_moved_usage(&self, to: &Mailbox, taken: &[Taken], mode: CopyMode) {
        let (mut octets, mut count) = (0i64, 0i64);
        for one in taken.iter().filter(|one| one.arrival.flags & flag::DELETED == 0) {
            octets += to.file_octets(&one.to);
            count += 1;
        }
        if count == 0 {
            return;
        }
        to.note_usage(octets, count);
        if mode == CopyMode::Move {
            self.note_usage(-octets, -count);
        }
    }

    fn has_room_for(
        &self,
        transaction: &Transaction<'_>,
        to: &Mailbox,
        uids: &[u32],
        now: UnixMs,
    ) -> Result<(), IndexError> {
        if self.account.options.quota.is_unbounded() {
            return Ok(());
        }
        let mut more = Usage::default();
        for &uid in uids {
            if let Some(place) = self.place(transaction, uid)? {
                more.octets = more
                    .octets
                    .saturating_add(self.file_octets(&place).unsigned_abs());
                more.messages += 1;
            }
        }
        to.admits(more, now)
    }

    /// Whether so much more fits into the account; Trash takes everything.
    ///
    /// # Errors
    /// `OverQuota`; `Io`.
    pub fn admits(&self, more: Usage, now: UnixMs) -> Result<(), IndexError> {
        if self.is_trash() {
            return Ok(());
        }
        let disk = &self.account.disk;
        let fits = admits(disk, disk.root(), self.account.options.quota, more, now);
        fits.map_err(IndexError::io("count what the account keeps"))?
            .map_err(|used| IndexError::OverQuota {
                used_octets: used.octets,
                used_messages: used.messages,
            })
    }

    /// Gives every file its name in the target.
    fn take_all(
        &self,
        transaction: &Transaction<'_>,
        to: &Mailbox,
        uids: &[u32],
        mode: CopyMode,
        now: UnixMs,
        taken: &mut Vec<Taken>,
    ) -> Result<(), IndexError> {
        let names = keywords(transaction, self.key)?;
        let mut bit_in_target: Vec<Option<u64>> = vec![None; names.len()];
        let mut rescans = Rescans::default();
        for &uid in uids {
            while let Some((from, mut arrival)) = self.leaving(transaction, uid, now)? {
                let target = to.name_for(transaction, self, &from, mode, now)?;
                let named = match mode {
                    CopyMode::Copy => self
                        .account
                        .act("copy a message", |_| self.link(&from, to, &target)),
                    CopyMode::Move => self.account.act("move a message", |disk| {
                        let into = to.subfolder(target.is_new);
                        disk.rename_new(
                            self.subfolder(from.is_new),
                            &from.file_name(),
                            into,
                            &target.file_name(),
                        )
                    }),
                };
                match named {
                    Err(error) if is_missing(&error) => {
                        if rescans.once_more(self, transaction, now)? {
                            continue;
                        }
                        return Err(IndexError::Busy);
                    }
                    named => named?,
                }
                if self.key != to.key {
                    let source_bits = bits(arrival.keywords);
                    let mut target_bits = 0;
                    for (at, name) in names
                        .iter()
                        .enumerate()
                        .filter(|(at, _)| source_bits >> at & 1 == 1)
                    {
                        target_bits |= match bit_in_target[at] {
                            Some(bit) => bit,
                            None => {
                                // A target that has 64 of its own takes the message without these.
                                let held = bit_in_target.iter().flatten().fold(0, |held, bit| held | bit);
                                let bit = to.bits_that_fit(transaction, &[name], held)?;
                                *bit_in_target[at].insert(bit)
                            }
                        };
                    }
                    arrival.keywords = number_of(target_bits);
                }
                taken.push(Taken {
                    uid,
                    from,
                    to: target,
                    arrival,
                });
                break;
            }
        }
        Ok(())
    }

    /// What a message takes with it; None where it is gone.
    fn leaving(
        &self,
        transaction: &Transaction<'_>,
        uid: u32,
        now: UnixMs,
    ) -> Result<Option<(Place, Arrival)>, IndexError> {
        let mut query = transaction.prepare_cached(
            "SELECT unique_name, rest, is_new, internal_date_s, octets, email_id, thread_id, flags, keywords
            FROM file JOIN message USING (mailbox, uid) WHERE mailbox = ?1 AND uid = ?2",
        )?;
        let found = query.query_row((self.key, uid), |row| {
            let place = Place {
                unique_name: row.get(0)?,
                rest: row.get(1)?,
                is_new: row.get(2)?,
            };
            let octets: Option<i64> = row.get(4)?;
            let arrival = Arrival {
                internal_date_s: row.get(3)?,
                saved_date_s: milliseconds(now) / 1000,
                octets: octets.and_then(|octets| u64::try_from(octets).ok()),
                email_id: row.get(5)?,
                thread_id: row.get(6)?,
                flags: row.get(7)?,
                keywords: row.get(8)?,
            };
            Ok((place, arrival))
        });
        Ok(found.optional()?)
    }

    /// The name of a file in this mailbox: what is moved keeps its own where it is free.
    fn name_for(
        &self,
        transaction: &Transaction<'_>,
        source: &Mailbox,
        from: &Place,
        mode: CopyMode,
        now: UnixMs,
    ) -> Result<Place, IndexError> {
        let keeps = mode == CopyMode::Move
            && source.key != self.key
            && !self.knows(transaction, &from.unique_name)?;
        let mut to = from.clone();
        if !keeps
            || self
                .account
                .disk
                .stat(self.subfolder(to.is_new), &to.file_name())
                .is_ok()
        {
            to.unique_name = self.account.unique(now);
        }
        Ok(to)
    }

    /// A further name for a file, or a copy of it where there can be none.
    fn link(&self, from: &Place, to: &Mailbox, target: &Place) -> io::Result<()> {
        let (at, into) = (self.subfolder(from.is_new), to.subfolder(target.is_new));
        let (from, target) = (from.file_name(), target.file_name());
        match rustix::fs::linkat(at, from.as_str(), into, target.as_str(), AtFlags::empty()) {
            Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::NOSYS | Errno::OPNOTSUPP) => {
                copy_content(&self.account, (at, &from), (&to.folder.tmp, into), &target)
            }
            linked => Ok(linked?),
        }
    }

    /// New names first: a message that has two for a moment is better than one that has none.
    fn sync_copies(&self, to: &Mailbox, taken: &[Taken], mode: CopyMode) -> Result<(), IndexError> {
        let touched = |place: fn(&Taken) -> &Place| {
            let has = |is_new| taken.iter().any(|one| place(one).is_new == is_new);
            [has(true), has(false)]
        };
        to.sync(touched(|one| &one.to))?;
        match mode {
            CopyMode::Copy => Ok(()),
            CopyMode::Move => self.sync(touched(|one| &one.from)),
        }
    }

    fn undo(&self, to: &Mailbox, taken: &[Taken], mode: CopyMode) {
        for one in taken.iter().rev() {
            let (at, name) = (to.subfolder(one.to.is_new), one.to.file_name());
            let _ = self.account.act("take a copy back", |disk| match mode {
                CopyMode::Copy => disk.remove(at, &name),
                CopyMode::Move => {
                    disk.rename_new(at, &name, self.subfolder(one.from.is_new), &one.from.file_name())
                }
            });
        }
    }

    fn note_copies(
        &self,
        transaction: &Transaction<'_>,
        to: &Mailbox,
        taken: &[Taken],
        mode: CopyMode,
    ) -> Result<Copied, IndexError> {
        let mut copied = Copied {
            uid_validity: to.state(transaction)?.uid_validity,
            uids: Vec::with_capacity(taken.len()),
        };
        if taken.is_empty() {
            return Ok(copied);
        }
        let mut record = transaction.prepare_cached(
            "INSERT INTO record SELECT ?3 << 32 | ?4, octets FROM record WHERE place = ?1 << 32 | ?2",
        )?;
        let state = to.state(transaction)?;
        let (mut uid, modseq) = (state.uid_next, state.highest_modseq + 1);
        for one in taken {
            if !to.insert(transaction, uid, modseq, &one.to, &one.arrival)? {
                continue; // its name is new or was free, under the lock
            }
            record.execute((self.key, one.uid, to.key, uid))?;
            copied.uids.push((one.uid, uid));
            uid += 1;
        }
        to.advance(transaction, uid, modseq)?;
        if mode == CopyMode::Move {
            let state = self.state(transaction)?;
            let gone: Vec<u32> = taken.iter().map(|one| one.uid).collect();
            vanish(transaction, self.key, &gone, state.highest_modseq + 1)?;
            self.advance(transaction, state.uid_next, state.highest_modseq + 1)?;
        }
        Ok(copied)
    }
}

/// Copies a file through `tmp`, with its time.
fn copy_content(
    account: &Account,
    (at, name): (&OwnedFd, &str),
    (tmp, into): (&OwnedFd, &OwnedFd),
    target: &str,
) -> io::Result<()> {
    let disk = &account.disk;
    let source = disk.open_file(at, name)?;
    let copy = disk.create(tmp, target)?;
    let mut offset = 0;
    let mut write = || -> io::Result<()> {
        let mut piece = Vec::new();
        while disk.read_at(&source, offset, &mut piece, PIECE_OCTETS)? > 0 {
            disk.write(&copy, &piece)?;
            offset += piece.len() as u64;
            piece.clear();
        }
        disk.touch(&copy, disk.touched_s(&source)?)?;
        disk.sync_file(&copy)?;
        disk.rename_new(tmp, target, into, target)
    };
    let written = write();
    if written.is_err() {
        let _ = disk.remove(tmp, target);
    }
    written
}

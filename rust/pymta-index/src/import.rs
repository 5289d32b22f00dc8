//! Moving in from Dovecot or Courier, and out to them, with the UIDs that clients know.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pymta_maildir::{Disk, Files, from_disk};
use pymta_types::UnixMs;
use rusqlite::Transaction;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::mailbox::{Place, bits, keywords, message_of, number_of};
use crate::scan::Scope;
use crate::schema::FORGET_RECORDS;
use crate::types::flag;
use crate::uidlist::{self, LETTERS, Line, UidList};
use crate::{Account, IndexError, Mailbox};

/// Where others keep UIDs, the newest first.
const LISTS: [&str; 2] = ["dovecot-uidlist", "courierimapuiddb"];
const KEYWORDS: &str = "dovecot-keywords";
/// Beside a list that was taken in: one that is not newer is old news, also where the index was lost since.
const TAKEN_IN: &str = "pymta-imported";
const SUBSCRIPTIONS: &str = "subscriptions";
/// A list of some million messages.
const LIST_OCTETS_MAX: usize = 512 << 20;
/// Of `dovecot-keywords` and `subscriptions`.
const SMALL_OCTETS_MAX: usize = 4 << 20;
/// Messages whose records are made at a time.
const RECORDS_BATCH: usize = 500;

/// How far something long has come; may be looked at meanwhile.
#[derive(Debug, Default)]
pub struct Progress {
    /// Mailboxes that are done.
    pub mailboxes: AtomicU64,
    /// Messages that are in the index.
    pub messages: AtomicU64,
    /// Messages whose records were made.
    pub records: AtomicU64,
    /// Messages that kept the UID that another program had given.
    pub uids_kept: AtomicU64,
    /// Messages of an mbox that were there already.
    pub known: AtomicU64,
    /// Octets of mbox files that were read.
    pub octets: AtomicU64,
    /// Of those that there are; 0 where nobody knows.
    pub octets_total: AtomicU64,
    /// Somebody wants it to end early.
    pub is_to_stop: AtomicBool,
}

impl Progress {
    /// Asked between batches, where all is whole.
    ///
    /// # Errors
    /// `Stopped`.
    pub fn goes_on(&self) -> Result<(), IndexError> {
        match self.is_to_stop.load(Ordering::Relaxed) {
            true => Err(IndexError::Stopped),
            false => Ok(()),
        }
    }
}

/// Makes and keeps the records of these messages.
pub type MakeRecords<'a> = dyn FnMut(&Arc<Mailbox>, &[u32]) -> Result<(), IndexError> + 'a;

impl Account {
    /// Takes a whole Maildir in: UIDs, UIDVALIDITYs and keywords where Dovecot or Courier left them, subscriptions, all
    /// messages, and their records. May be repeated; what is known is not touched.
    ///
    /// # Errors
    /// As of any change. What was taken in stays.
    pub fn import(
        self: &Arc<Self>,
        progress: &Progress,
        make_records: &mut MakeRecords<'_>,
        now: UnixMs,
    ) -> Result<(), IndexError> {
        self.import_subscriptions()?;
        for info in self.mailboxes(now)?.into_iter().filter(|info| info.exists) {
            let Some(mailbox) = self.mailbox(&info.name, now)? else {
                continue;
            };
            let kept = mailbox.import_uids(now)?;
            progress.uids_kept.fetch_add(kept, Ordering::Relaxed);
            mailbox.reconcile(now)?;
            let count = u64::from(mailbox.status()?.messages);
            progress.messages.fetch_add(count, Ordering::Relaxed);
            for uids in mailbox.without_records()?.chunks(RECORDS_BATCH) {
                progress.goes_on()?;
                make_records(&mailbox, uids)?;
                progress.records.fetch_add(uids.len() as u64, Ordering::Relaxed);
            }
            progress.mailboxes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Puts UIDs and keywords where Dovecot finds them; for while no other program works on the Maildir.
    ///
    /// # Errors
    /// As of any change; `Io`.
    pub fn export(self: &Arc<Self>, progress: &Progress, now: UnixMs) -> Result<(), IndexError> {
        for info in self.mailboxes(now)?.into_iter().filter(|info| info.exists) {
            let Some(mailbox) = self.mailbox(&info.name, now)? else {
                continue;
            };
            mailbox.reconcile(now)?;
            let count = mailbox.export_uids(now)?;
            progress.messages.fetch_add(count, Ordering::Relaxed);
            progress.mailboxes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Dovecot's file of this: levels parted by dots, or, from version 2 on, by tabs.
    fn import_subscriptions(&self) -> Result<(), IndexError> {
        let file = read_small(&self.disk, self.disk.root(), SUBSCRIPTIONS, SMALL_OCTETS_MAX);
        let Some(octets) = file? else {
            return Ok(());
        };
        for line in String::from_utf8_lossy(&octets).lines() {
            let is_head = line.is_empty() || line.starts_with("V\t");
            if let Some(name) = from_disk(&format!(".{}", line.replace('\t', "."))).filter(|_| !is_head) {
                self.subscribe(&name)?;
            }
        }
        Ok(())
    }
}

impl Mailbox {
    /// Takes over UIDs and UIDVALIDITY of another program; how many. A list that was taken in before is old by now, since
    /// we gave UIDs behind its own: it is passed by, unless the other program wrote it anew and gave more than we did.
    fn import_uids(&self, now: UnixMs) -> Result<u64, IndexError> {
        let at = self.folder_itself()?;
        let read = |name, octets_max| read_small(&self.account.disk, &at, name, octets_max);
        let mut list = None;
        for name in LISTS {
            list = match read(name, LIST_OCTETS_MAX)? {
                Some(octets) => list.or(UidList::parse(&octets).map(|found| (found, name))),
                None => list,
            };
        }
        let Some((list, name)) = list else { return Ok(0) };
        let is_old = match (modified_ns(&at, TAKEN_IN)?, modified_ns(&at, name)?) {
            (Some(taken_in), Some(written)) => taken_in >= written,
            _ => false,
        };
        let names = read(KEYWORDS, SMALL_OCTETS_MAX)?;
        let names = names
            .map(|octets| uidlist::parse_keywords(&octets))
            .unwrap_or_default();
        self.account.write(|transaction| {
            let state = self.state(transaction)?;
            let is_ours = state.uid_validity == list.uid_validity && state.uid_next >= list.uid_next;
            if is_old || is_ours {
                return Ok(0);
            }
            transaction.execute(FORGET_RECORDS, [self.key])?;
            for table in ["message", "file", "vanished"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE mailbox = ?1"), [self.key])?;
            }
            let modseq = state.highest_modseq + 1;
            transaction.execute(
                "UPDATE mailbox SET uid_validity = ?2, uid_next = ?3, highest_modseq = ?4, vanished_from = ?4,
                new_seen_ns = 0, cur_seen_ns = 0 WHERE key = ?1",
                (self.key, list.uid_validity, list.uid_next, modseq),
            )?;
            transaction.execute(
                "UPDATE account SET uid_validity = max(uid_validity, ?1)",
                [list.uid_validity],
            )?;
            self.uid_validity.store(list.uid_validity, Ordering::Relaxed);
            let kept = self.take_listed(transaction, &list, now)?;
            self.take_keywords(transaction, &names)?;
            self.put_file(TAKEN_IN, b"", now)?;
            Ok(kept)
        })
    }

    /// Rows for the files that the list has; the others get theirs from the next look.
    fn take_listed(
        &self,
        transaction: &Transaction<'_>,
        list: &UidList,
        now: UnixMs,
    ) -> Result<u64, IndexError> {
        let modseq = self.state(transaction)?.highest_modseq;
        let mut kept = 0;
        let mut listed: Vec<(u32, Option<u64>, Place)> = Vec::new();
        for place in self.list(Scope::All)?.rest() {
            if let Some(&(uid, wire_octets)) = list.uids.get(&place.unique_name) {
                listed.push((uid, wire_octets, place));
            }
        }
        listed.sort_unstable_by_key(|one| one.0);
        for (uid, wire_octets, place) in listed {
            let Some(mut arrival) = self.arrival(&place, now)? else {
                continue;
            };
            arrival.octets = arrival.octets.or(wire_octets);
            kept += u64::from(self.insert(transaction, uid, modseq, &place, &arrival)?);
        }
        Ok(kept)
    }

    /// Gives messages the keywords whose letters their files have.
    fn take_keywords(&self, transaction: &Transaction<'_>, names: &[String]) -> Result<(), IndexError> {
        let (mut of_letter, mut held) = ([0u64; LETTERS], 0);
        for (bit, name) in of_letter.iter_mut().zip(names) {
            if !name.is_empty() {
                *bit = self.bits_of(transaction, &[name], held)?;
                held |= *bit;
            }
        }
        let mut query = transaction.prepare("SELECT uid, rest FROM file WHERE mailbox = ?1")?;
        let mut update = transaction
            .prepare("UPDATE message SET keywords = keywords | ?3 WHERE mailbox = ?1 AND uid = ?2")?;
        let mut rows = query.query([self.key])?;
        while let Some(row) = rows.next()? {
            let letters = uidlist::letters_of(&row.get::<_, String>(1)?);
            let has = |at: &usize| letters >> at & 1 == 1;
            let keywords = (0..LETTERS).filter(has).fold(0, |sum, at| sum | of_letter[at]);
            if keywords != 0 {
                update.execute((self.key, row.get::<_, u32>(0)?, number_of(keywords)))?;
            }
        }
        Ok(())
    }

    /// Writes `dovecot-uidlist` and `dovecot-keywords`, and keywords' letters into file names; for how many messages.
    fn export_uids(&self, now: UnixMs) -> Result<u64, IndexError> {
        self.account.write(|transaction| {
            let names = keywords(transaction, self.key)?;
            let mut query = transaction.prepare(
                "SELECT uid, modseq, flags, keywords, octets FROM message JOIN file USING (mailbox, uid)
                WHERE mailbox = ?1 ORDER BY uid",
            )?;
            let rows = query.query_map([self.key], |row| Ok((message_of(row)?, row.get(4)?)))?;
            let messages: Vec<(_, Option<i64>)> = rows.collect::<Result<_, _>>()?;
            let (mut lines, mut synced) = (Vec::new(), [false; 2]);
            for (message, octets) in messages {
                let Some(mut place) = self.place(transaction, message.uid)? else {
                    continue;
                };
                let letters = u32::try_from(message.keywords & ((1 << LETTERS) - 1)).unwrap_or(0);
                if letters != uidlist::letters_of(&place.rest) {
                    let from = place.file_name();
                    let to = uidlist::with_keywords(&from, letters);
                    self.account.act("rename a message", |disk| {
                        disk.rename_new(self.subfolder(place.is_new), &from, &self.folder.cur, &to)
                    })?;
                    synced[usize::from(!place.is_new)] = true;
                    synced[1] = true;
                    place.rest = to[place.unique_name.len()..].to_owned();
                    place.is_new = false;
                    self.put_place(transaction, message.uid, &place)?;
                }
                lines.push(Line {
                    uid: message.uid,
                    wire_octets: octets.map(bits),
                    file_name: place.file_name(),
                });
            }
            self.sync([synced[0], synced[1]])?;
            let state = self.state(transaction)?;
            let list = uidlist::format(state.uid_validity, state.uid_next, self.id, &lines);
            self.put_file(LISTS[0], &list, now)?;
            self.put_file(KEYWORDS, &uidlist::format_keywords(&names), now)?;
            Ok(lines.len() as u64)
        })
    }

    /// The Maildir that `new` and `cur` are in.
    fn folder_itself(&self) -> Result<OwnedFd, IndexError> {
        let root = self.account.disk.root();
        let opened = match crate::folders::on_disk(&self.name)? {
            None => root.try_clone(),
            Some(name) => self.account.disk.open_folder(root, name.on_disk()),
        };
        opened.map_err(IndexError::io("open the mailbox"))
    }

    /// Writes a file of the Maildir, whole or not at all.
    fn put_file(&self, name: &str, octets: &[u8], now: UnixMs) -> Result<(), IndexError> {
        let at = self.folder_itself()?;
        let tmp_name = self.account.unique(now);
        let tmp = &self.folder.tmp;
        self.account.act("write a list", |disk| {
            let file = disk.create(tmp, &tmp_name)?;
            disk.write(&file, octets)?;
            disk.sync_file(&file)?;
            disk.replace(tmp, &tmp_name, &at, name)?;
            disk.sync_folder(&at)
        })
    }

    /// The files that are there, by the unique part of their names: the flags that they have.
    pub(crate) fn flags_on_disk(&self) -> Result<HashMap<String, u8>, IndexError> {
        let files = self.list(Scope::All)?.rest().into_iter();
        Ok(files
            .map(|place| (place.unique_name, flag::of_name(&place.rest)))
            .collect())
    }
}

/// When a file was written; None where it is missing.
fn modified_ns(at: &OwnedFd, name: &str) -> Result<Option<i128>, IndexError> {
    match rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(
            i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec),
        )),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(IndexError::io("look at a list of another program")(error.into())),
    }
}

/// A file that fits into memory; None where it is missing.
fn read_small(
    disk: &Disk,
    at: &OwnedFd,
    name: &str,
    octets_max: usize,
) -> Result<Option<Vec<u8>>, IndexError> {
    let read = || -> io::Result<Vec<u8>> {
        let octets = usize::try_from(disk.stat(at, name)?.octets).unwrap_or(usize::MAX);
        if octets > octets_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        disk.read(at, name, octets)
    };
    match read() {
        Ok(octets) => Ok(Some(octets)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(IndexError::io("read a list of another program")(error)),
    }
}

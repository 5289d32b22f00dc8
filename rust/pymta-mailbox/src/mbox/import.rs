//! An mbox, or a folder of them, into mailboxes.
//!
//! A message becomes a file whose name is made of its content and date: whoever adds it a second time to the same mailbox,
//! because the first time was cut short or because two backups hold it, finds it there. Two that are the same within one
//! mbox are two.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pymta_index::{Account, Added, INBOX, IndexError, Mailbox, Progress, Upload};
use pymta_types::UnixMs;

use super::read::Reader;
use super::{Escaping, MboxError, fields, tree};
use crate::searching::{Shelf, trouble};
use crate::source::records;

/// Messages that become durable together.
const BATCH_MESSAGES: usize = 500;
/// Or so many octets.
const BATCH_OCTETS: u64 = 64 << 20;
/// In a header section that is longer, no flags are looked for.
const HEADER_OCTETS_MAX: usize = 256 << 10;

/// Takes in a file, into `mailbox` or the inbox, or all of a folder, below `mailbox` or at the top. Returned are files of the
/// folder that are no mboxes.
///
/// # Errors
/// `Stopped` and others; what was taken in stays.
pub fn import(
    account: &Arc<Account>,
    (path, mailbox): (&Path, Option<&str>),
    escaping: Escaping,
    progress: &Progress,
    now: UnixMs,
) -> Result<Vec<PathBuf>, MboxError> {
    let (found, others) = if path.is_dir() {
        let (mut found, others) = tree::find(path, tree::FILES_MAX)?;
        if let Some(above) = mailbox {
            for (_, name) in &mut found {
                *name = format!("{above}/{name}");
            }
        }
        (found, others)
    } else {
        let name = mailbox.unwrap_or(INBOX).to_owned();
        (vec![(path.to_owned(), name)], Vec::new())
    };
    let octets = found.iter().filter_map(|(path, _)| path.metadata().ok());
    progress
        .octets_total
        .store(octets.map(|file| file.len()).sum(), Ordering::Relaxed);
    for (path, name) in found {
        let file = File::open(&path).map_err(MboxError::file(&path))?;
        let mut reader = Reader::new(file, escaping);
        if !reader.begins_well().map_err(MboxError::file(&path))? {
            return Err(MboxError::NotMbox(path));
        }
        let mailbox = made(account, &name, now)?;
        mailbox.reconcile(now)?; // who was killed left files that the index has not
        let mut work = Work::new(mailbox, progress, now);
        work.take(&mut reader, &path)?;
        progress.mailboxes.fetch_add(1, Ordering::Relaxed);
    }
    Ok(others)
}

/// The mailbox of that name, which is made where it is missing.
fn made(account: &Arc<Account>, name: &str, now: UnixMs) -> Result<Arc<Mailbox>, IndexError> {
    if let Some(mailbox) = account.mailbox(name, now)? {
        return Ok(mailbox);
    }
    account.create(name, None, now)?;
    account.subscribe(name)?;
    account.mailbox(name, now)?.ok_or(IndexError::NoMailbox)
}

/// One mbox on its way into one mailbox.
struct Work<'a> {
    mailbox: Arc<Mailbox>,
    progress: &'a Progress,
    now: UnixMs,
    upload: Upload,
    /// How often a message occurred: some 32 octets for each.
    occurred: HashMap<u128, u32>,
}

impl<'a> Work<'a> {
    fn new(mailbox: Arc<Mailbox>, progress: &'a Progress, now: UnixMs) -> Self {
        Self {
            upload: mailbox.begin_append(),
            mailbox,
            progress,
            now,
            occurred: HashMap::new(),
        }
    }

    fn take<R: Read>(&mut self, reader: &mut Reader<R>, path: &Path) -> Result<(), MboxError> {
        let mut told = 0;
        let mut piece = Vec::new();
        while let Some(line) = reader.message().map_err(MboxError::file(path))? {
            piece.clear();
            let mut goes_on = true;
            let mut header_octets = None;
            while goes_on && header_octets.is_none() && piece.len() < HEADER_OCTETS_MAX {
                goes_on = reader.read(&mut piece).map_err(MboxError::file(path))?;
                header_octets = header_end(&piece);
            }
            let (mut content, marks) = match header_octets.or((!goes_on).then_some(piece.len())) {
                Some(octets) => {
                    let (mut content, marks) = fields::split(&piece[..octets]);
                    content.extend_from_slice(&piece[octets..]);
                    (content, marks)
                }
                None => (std::mem::take(&mut piece), fields::Marks::default()),
            };
            let is_message = !marks.is_internal;
            let date_s = line.date_s.or(marks.date_s);
            let mut hash = Hash::new(date_s);
            if is_message {
                let added = Added {
                    flags: marks.flags,
                    keywords: marks.keywords,
                    internal_date_s: date_s,
                };
                self.upload.begin(added, self.now)?;
            }
            loop {
                if is_message {
                    hash.add(&content);
                    self.upload.write(&content)?;
                }
                if !goes_on {
                    break;
                }
                content.clear();
                goes_on = reader.read(&mut content).map_err(MboxError::file(path))?;
            }
            if is_message {
                self.name(hash, date_s)?;
            }
            self.progress
                .octets
                .fetch_add(reader.octets() - told, Ordering::Relaxed);
            told = reader.octets();
        }
        self.commit()
    }

    /// Gives the message its name, and commits a batch that is full.
    fn name(&mut self, hash: Hash, date_s: Option<i64>) -> Result<(), MboxError> {
        let before = self.occurred.entry(hash.0).or_default();
        let nth = *before;
        *before += 1;
        let nth = if nth == 0 {
            String::new()
        } else {
            format!("_{nth}")
        };
        let name = format!("{}.X{:032x}{nth}.mbox", date_s.unwrap_or(0).max(0), hash.0);
        if !self.upload.name_last(&name)? {
            count(&self.progress.known, 1);
        }
        if self.upload.count() >= BATCH_MESSAGES || self.upload.octets() >= BATCH_OCTETS {
            self.commit()?;
        }
        Ok(self.progress.goes_on()?)
    }

    /// All so far are durable and known, with their records.
    fn commit(&mut self) -> Result<(), MboxError> {
        let upload = std::mem::replace(&mut self.upload, self.mailbox.begin_append());
        if upload.count() == 0 {
            return Ok(());
        }
        let uids = upload.commit(self.now)?.uids;
        count(&self.progress.messages, uids.len());
        let mut shelf = Shelf {
            mailbox: Arc::clone(&self.mailbox),
            now: self.now,
        };
        records(&mut shelf, &uids).map_err(trouble)?;
        count(&self.progress.records, uids.len());
        Ok(())
    }
}

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

/// Where the header section ends, before its empty line.
fn header_end(piece: &[u8]) -> Option<usize> {
    if piece.starts_with(b"\n") || piece.starts_with(b"\r\n") {
        return Some(0);
    }
    let mut ends = memchr::memchr_iter(b'\n', piece).map(|at| at + 1);
    ends.find(|&end| piece[end..].starts_with(b"\n") || piece[end..].starts_with(b"\r\n"))
}

/// FNV-1a with 128 bits: the same in every version. Somebody who makes two messages with one hash and gets them into two
/// files that go into one mailbox has sent one fewer.
struct Hash(u128);

impl Hash {
    fn new(date_s: Option<i64>) -> Self {
        let mut hash = Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        hash.add(&date_s.unwrap_or(0).to_be_bytes());
        hash
    }

    fn add(&mut self, octets: &[u8]) {
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        let step = |hash: u128, &octet: &u8| (hash ^ u128::from(octet)).wrapping_mul(PRIME);
        self.0 = octets.iter().fold(self.0, step);
    }
}

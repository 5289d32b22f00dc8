//! An inbox as POP3 wants it (RFC 1939 §8): one reader at a time, a list that does not change while it is open, and
//! messages that go only at the end.
//!
//! - The lock is a file of its own in the mailbox, held by its open handle, so that it ends with its process. Deliveries
//!   and other programs do not look at it and are not held up.
//! - Others may rename a file while it is open here (flags change, `new` → `cur`): what stays is the unique part of its
//!   name, by which it is found again. One that is gone is gone.
//! - Removing is one `unlink` a message and one sync a folder: a crash removes some or all of them, none in part.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use pymta_types::UnixMs;

use crate::MaildirError;
use crate::files::{Disk, Files};
use crate::mailbox::{OpenFolder, open_mailbox, open_subfolders};
use crate::name::MessageName;
use crate::path::MailboxPath;
use crate::quota;
use crate::sizes::{self, Sizes};
use crate::uid;

/// Who has it locked has the maildrop.
const LOCK_NAME: &str = "pymta-pop3.lock";
/// How often a listing is repeated that others changed while it was made; then it is taken as it is.
const LISTINGS_MAX: usize = 4;
/// What is read at a time to count lines.
const PIECE_OCTETS: usize = 64 * 1024;

/// One message of an open maildrop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its unique-id: 1 to 70 octets from `!` to `~`, the same in every session.
    pub uid: String,
    /// Size with CRLF line endings.
    pub wire_octets: u64,
}

/// Where a message was seen last.
#[derive(Clone, Debug)]
struct Seen {
    file_name: String,
    is_new: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Maildrop<F: Files = Disk> {
    files: Arc<F>,
    mailbox: F::Folder,
    folder: OpenFolder<F>,
    /// Kept for as long as this is.
    _lock: F::File,
    messages: Vec<Held>,
    seen: Vec<Seen>,
}

/// A message that is being read. It can be read to its end, whoever removes its name meanwhile.
#[derive(Debug)]
pub struct OpenMessage<F: Files = Disk> {
    files: Arc<F>,
    file: F::File,
    offset: u64,
}

impl<F: Files> OpenMessage<F> {
    /// Appends the next octets, at most so many; 0 at the end.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(&mut self, out: &mut Vec<u8>, octets_max: usize) -> io::Result<usize> {
        let count = self.files.read_at(&self.file, self.offset, out, octets_max)?;
        self.offset += count as u64;
        Ok(count)
    }
}

impl<F: Files> Maildrop<F> {
    pub(crate) fn open(
        files: Arc<F>,
        path: &MailboxPath,
        now: UnixMs,
        delay_s: u64,
    ) -> Result<Self, MaildirError> {
        let doing = MaildirError::io;
        let mailbox = open_mailbox(&*files, path).map_err(doing("open the mailbox"))?;
        let folder = open_subfolders(&*files, &mailbox).map_err(doing("open the folder"))?;
        let lock = files
            .lock(&mailbox, LOCK_NAME)
            .map_err(doing("lock the maildrop"))?;
        let lock = lock.ok_or(MaildirError::InUse)?;
        let now_s = now.0 / 1000;
        if delay_s > 0 {
            // A file that was just made was touched by that, so 0 stands for "not yet"; one from the future is wrong.
            let touched_s = files.touched_s(&lock).map_err(doing("look at the lock"))?;
            let is_first = files.stat(&mailbox, LOCK_NAME).is_ok_and(|stat| stat.octets == 0);
            if !is_first && touched_s <= now_s && now_s - touched_s < delay_s {
                return Err(MaildirError::TooSoon);
            }
            if is_first {
                files.write(&lock, b"\n").map_err(doing("mark the lock"))?;
            }
            files.touch(&lock, now_s).map_err(doing("mark the lock"))?;
        }
        let mut maildrop = Self {
            files,
            mailbox,
            folder,
            _lock: lock,
            messages: Vec::new(),
            seen: Vec::new(),
        };
        maildrop.fill().map_err(doing("read the mailbox"))?;
        Ok(maildrop)
    }

    /// The messages, the oldest first.
    pub fn messages(&self) -> &[Held] {
        &self.messages
    }

    /// Opens a message; None where it is gone.
    ///
    /// # Errors
    /// `Io`; also where its name stands for something that is no regular file.
    pub fn open_message(&mut self, index: usize) -> Result<Option<OpenMessage<F>>, MaildirError> {
        let opened = self.at_its_place(index, |files, folder, name| files.open_file(folder, name));
        let file = opened.map_err(MaildirError::io("open the message"))?;
        Ok(file.map(|file| OpenMessage {
            files: Arc::clone(&self.files),
            file,
            offset: 0,
        }))
    }

    /// Removes messages, durably; those that are gone already are fine.
    ///
    /// # Errors
    /// `Io` for the first that could not be removed, or where it is not known whether they are durably so. All others
    /// are removed.
    pub fn remove(&mut self, indexes: &[usize]) -> Result<(), MaildirError> {
        let mut trouble = None;
        let (mut octets, mut count) = (0u64, 0u64);
        for &index in indexes {
            let Some(name) = self
                .seen
                .get(index)
                .map(|seen| MessageName::parse(&seen.file_name))
            else {
                continue;
            };
            let file_octets = name.file_octets.or_else(|| self.octets_of(index)).unwrap_or(0);
            match self.at_its_place(index, |files, folder, name| files.remove(folder, name)) {
                // What has the flag T did not count (Maildir++).
                Ok(Some(())) if !name.flags.trashed => {
                    octets += file_octets;
                    count += 1;
                }
                Ok(_) => {}
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        let synced = self
            .files
            .sync_folder(&self.folder.new)
            .and_then(|()| self.files.sync_folder(&self.folder.cur));
        if count > 0 {
            // An estimate that mends itself: without the line it is counted anew some day.
            let line = format!("-{octets} -{count}\n");
            let _ = self
                .files
                .append(&self.mailbox, quota::FILE_NAME, line.as_bytes());
        }
        match trouble.map_or(synced, Err) {
            Ok(()) => Ok(()),
            Err(error) => Err(MaildirError::io("remove messages")(error)),
        }
    }

    // ---- listing

    fn fill(&mut self) -> io::Result<()> {
        let mut found = self.look()?;
        for _ in 1..LISTINGS_MAX {
            // A name that is changed while a folder is read may be missed. Who is found in either look is there.
            let again = self.look()?;
            let is_same = again.len() == found.len() && again.keys().all(|base| found.contains_key(base));
            found = again;
            if is_same {
                break;
            }
        }
        let mut listed: Vec<(String, Seen)> = found.into_iter().collect();
        listed.sort_unstable_by(|(a, _), (b, _)| natural(a, b));
        let says_size = |seen: &Seen| MessageName::parse(&seen.file_name).wire_octets.is_some();
        let known = if listed.iter().all(|(_, seen)| says_size(seen)) {
            Sizes::new()
        } else {
            sizes::read(&*self.files, &self.mailbox)
        };
        let (mut counted, mut is_news) = (Sizes::new(), false);
        let mut uids = HashSet::new();
        for (base, seen) in listed {
            let name = MessageName::parse(&seen.file_name);
            let wire_octets = match name.wire_octets {
                Some(octets) => octets,
                None => {
                    let octets = match known.get(&base) {
                        Some(&octets) => octets,
                        None => match self.count(&seen)? {
                            Some(octets) => octets,
                            None => continue,
                        },
                    };
                    is_news |= !known.contains_key(&base);
                    counted.insert(base.clone(), octets);
                    octets
                }
            };
            // Two names that differ behind the unique part only are two messages, and told apart by all of them.
            let mut uid = uid::of(&name.unique);
            if !uids.insert(uid.clone()) {
                uid = uid::hashed(&base);
            }
            self.messages.push(Held { uid, wire_octets });
            self.seen.push(seen);
        }
        if is_news || counted.len() < known.len() / 2 {
            // Without the note they are counted again, which is only slow.
            let _ = sizes::write(&*self.files, &self.mailbox, &self.folder, &counted);
        }
        Ok(())
    }

    /// The files there are, by what stays of their names. `new` comes first: who moves into `cur` meanwhile is seen
    /// twice and not never.
    fn look(&self) -> io::Result<HashMap<String, Seen>> {
        let mut found = HashMap::new();
        for (folder, is_new) in [(&self.folder.new, true), (&self.folder.cur, false)] {
            for file_name in self.files.list(folder)? {
                if !file_name.starts_with('.') {
                    found.insert(base_of(&file_name).to_owned(), Seen { file_name, is_new });
                }
            }
        }
        Ok(found)
    }

    fn at(&self, seen: &Seen) -> &F::Folder {
        if seen.is_new {
            &self.folder.new
        } else {
            &self.folder.cur
        }
    }

    /// Size on the wire of a file whose name does not say it; None where it is gone or no message.
    fn count(&self, seen: &Seen) -> io::Result<Option<u64>> {
        let file = match self.files.open_file(self.at(seen), &seen.file_name) {
            Ok(file) => file,
            Err(error) if is_no_message(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (mut octets, mut offset, mut before) = (0u64, 0u64, b'\n');
        let mut piece = Vec::with_capacity(PIECE_OCTETS);
        loop {
            piece.clear();
            let count = self.files.read_at(&file, offset, &mut piece, PIECE_OCTETS)?;
            if count == 0 {
                // A last line without its end gets one.
                return Ok(Some(octets + if before == b'\n' { 0 } else { 2 }));
            }
            offset += count as u64;
            octets += count as u64;
            for at in memchr::memchr_iter(b'\n', &piece) {
                let previous = at.checked_sub(1).map_or(before, |at| piece[at]);
                octets += u64::from(previous != b'\r');
            }
            before = piece[count - 1];
        }
    }

    // ---- finding again

    /// Does something with the file of a message; where it is not any more where it was, looks for it once.
    fn at_its_place<T>(
        &mut self,
        index: usize,
        run: impl Fn(&F, &F::Folder, &str) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        let Some(seen) = self.seen.get(index) else {
            return Ok(None);
        };
        match run(&self.files, self.at(seen), &seen.file_name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => return outcome.map(Some),
        }
        let mut found = self.look()?;
        for seen in &mut self.seen {
            if let Some(now) = found.remove(base_of(&seen.file_name)) {
                *seen = now;
            }
        }
        let seen = &self.seen[index];
        match run(&self.files, self.at(seen), &seen.file_name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    fn octets_of(&self, index: usize) -> Option<u64> {
        let seen = &self.seen[index];
        let stat = self.files.stat(self.at(seen), &seen.file_name);
        stat.ok().map(|stat| stat.octets)
    }
}

/// Gone, or a link, a folder or a device that somebody put there.
fn is_no_message(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
    ) || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// What of a name no change of flags touches.
fn base_of(file_name: &str) -> &str {
    file_name.split_once(':').map_or(file_name, |(base, _)| base)
}

/// By time: numbers in a name are compared as numbers, as `M9` came before `M10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a.as_bytes(), b.as_bytes());
    loop {
        let (a_digits, b_digits) = (digits(a_rest), digits(b_rest));
        let ordering = if a_digits > 0 && b_digits > 0 {
            let (a_number, a_after) = a_rest.split_at(a_digits);
            let (b_number, b_after) = b_rest.split_at(b_digits);
            (a_rest, b_rest) = (a_after, b_after);
            let (a_number, b_number) = (without_zeros(a_number), without_zeros(b_number));
            a_number
                .len()
                .cmp(&b_number.len())
                .then_with(|| a_number.cmp(b_number))
        } else {
            match (a_rest.split_first(), b_rest.split_first()) {
                (Some((a_octet, a_after)), Some((b_octet, b_after))) => {
                    (a_rest, b_rest) = (a_after, b_after);
                    a_octet.cmp(b_octet)
                }
                (a_end, b_end) => return a_end.is_some().cmp(&b_end.is_some()).then_with(|| a.cmp(b)),
            }
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|octet| octet.is_ascii_digit()).count()
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&octet| octet == b'0').count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_in_order_of_time() {
        let names = ["9.M1.h", "10.M5.h", "10.M10.h", "10.M10.h2", "10.M10.h10"];
        for pair in names.windows(2) {
            assert_eq!(Ordering::Less, natural(pair[0], pair[1]), "{pair:?}");
            assert_eq!(Ordering::Greater, natural(pair[1], pair[0]), "{pair:?}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_one(mut names in prop::collection::vec("[0-2a.]{0,5}", 0..12)) {
            names.sort_unstable_by(|a, b| natural(a, b));
            prop_assert!(names.windows(2).all(|w| natural(&w[0], &w[1]) != Ordering::Greater));
            prop_assert!(names.iter().all(|a| names.iter().all(|b| (natural(a, b) == Ordering::Equal) == (a == b))));
        }
    }
}

//! A batch of deliveries: what waits at the same time is written, synced, named and synced again together.
//!
//! ```text
//! open   every mailbox once; who is over quota ends here
//! write  each message into its `tmp`
//! sync   the files                      one by one, or all at once where they are several
//! name   each from `tmp` into `new`     (`cur` where it has flags)
//! sync   the folders                    likewise
//! answer
//! ```
//! A crash before the first sync leaves files in `tmp`, which no reader looks at; after it, every name that is found in
//! `new` names a whole message. Nothing is answered before the second.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::io;
use std::sync::Arc;

use pymta_types::UnixMs;

use crate::MaildirError;
use crate::files::Files;
use crate::lines::ToLf;
use crate::mailbox::{OpenFolder, open_for_delivery, open_mailbox};
use crate::name::{Flags, Host, MessageName};
use crate::path::{FolderName, MailboxPath};
use crate::quota::{FILE_NAME, Known, Quota, Usage, count, ledger, usage_for};

/// From so many files on, one sync of the whole file system is quicker than one for each. Measured with 4 KiB messages
/// on ext4: for 8, 60 µs of processor time a message against 300, and a journal commit for all instead of one for each.
/// It also waits for what others wrote, so a single message does not ask for it.
const SHARED_SYNC_FROM: usize = 3;
/// Content goes to the disk in pieces of this size.
const PIECE_OCTETS: usize = 256 << 10;
/// Names are unique; what is in the way was put there by somebody else, and is passed by.
const NAME_TRIES_MAX: u64 = 8;

/// The content of a message, read in place.
pub trait Content: Send + Sync {
    /// Appends up to `octets_max` octets from `offset` on; 0 means the end.
    ///
    /// # Errors
    /// What the disk says that it is on.
    fn read_at(&self, offset: u64, out: &mut Vec<u8>, octets_max: usize) -> io::Result<usize>;
}

/// What is done to line endings on the way to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEndings {
    /// CRLF becomes LF, as readers of a Maildir expect.
    #[default]
    Lf,
    /// Not one octet is changed: for content that is no lines (BINARYMIME).
    AsTheyAre,
}

/// One message for one mailbox.
pub struct Delivery {
    /// Whose.
    pub mailbox: MailboxPath,
    /// Into which folder; None is the inbox.
    pub folder: Option<FolderName>,
    /// What is done where that folder is missing: make it, or deliver into the inbox.
    pub makes_folder: bool,
    /// Whole header fields with CRLF, which go on top: Return-Path, Delivered-To.
    pub fields: Vec<u8>,
    /// The message.
    pub content: Arc<dyn Content>,
    /// What the account may keep.
    pub quota: Quota,
    /// With which flags it appears.
    pub flags: Flags,
    /// What is done to its line endings.
    pub line_endings: LineEndings,
}

/// A message that is durable in its mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// The name of its file.
    pub file_name: String,
    /// Its size.
    pub file_octets: u64,
}

/// A delivery that waits.
pub(crate) struct Order {
    pub(crate) token: u64,
    pub(crate) delivery: Delivery,
    pub(crate) now: UnixMs,
    /// Unique in this process: part of the file's name.
    pub(crate) number: u64,
}

/// A mailbox and a folder of it; None is the inbox.
pub(crate) type Place = (MailboxPath, Option<FolderName>);
type Outcome = Result<Delivered, MaildirError>;
/// Told of each folder that a batch opens.
pub(crate) type Opened<'a, F> = dyn Fn(&F, &Place, &OpenFolder<F>, UnixMs) + 'a;

/// An opened mailbox of this batch, and what the batch adds to it.
struct Account<F: Files> {
    mailbox: F::Folder,
    quota: Quota,
    /// What was used before this batch; None where nobody asks.
    before: Option<Known>,
    /// By this batch. Until it names its messages, a count does not see them.
    added: Usage,
}

/// A message in `tmp`.
struct Written<F: Files> {
    at: usize,
    place: Place,
    file: F::File,
    tmp_name: String,
    name: MessageName,
}

/// The work of one batch.
pub(crate) struct Batch<'a, F: Files> {
    files: &'a F,
    host: &'a Host,
    accounts: HashMap<MailboxPath, Account<F>>,
    folders: HashMap<Place, OpenFolder<F>>,
    opened: &'a Opened<'a, F>,
}

impl<'a, F: Files> Batch<'a, F> {
    pub(crate) fn new(files: &'a F, host: &'a Host, opened: &'a Opened<'a, F>) -> Self {
        Self {
            files,
            host,
            accounts: HashMap::new(),
            folders: HashMap::new(),
            opened,
        }
    }

    /// Delivers all; an answer for each, in their order.
    pub(crate) fn run(mut self, orders: &[Order]) -> Vec<(u64, Outcome)> {
        let mut outcomes: Vec<Option<Outcome>> = orders.iter().map(|_| None).collect();
        let mut written = Vec::new();
        for (at, order) in orders.iter().enumerate() {
            match self.write(at, order) {
                Ok(one) => written.push(one),
                Err(error) => outcomes[at] = Some(Err(error)),
            }
        }
        let written = self.sync_files(written, &mut outcomes);
        let named = self.name(written, orders, &mut outcomes);
        let named = self.sync_folders(named, &mut outcomes);
        for one in named {
            outcomes[one.at] = Some(Ok(Delivered {
                file_octets: one.name.file_octets.unwrap_or(0),
                file_name: one.name.compose(),
            }));
        }
        self.note_usage();
        orders
            .iter()
            .zip(outcomes)
            .map(|(order, outcome)| (order.token, outcome.unwrap_or(Err(MaildirError::Closed))))
            .collect()
    }

    // ---- open, write

    fn write(&mut self, at: usize, order: &Order) -> Result<Written<F>, MaildirError> {
        let delivery = &order.delivery;
        let mut place = (delivery.mailbox.clone(), delivery.folder.clone());
        if !self.open(&place, order)? {
            place.1 = None;
            self.open(&place, order)?;
        }
        let folder = &self.folders[&place];
        let mut unique = self.host.unique(order.now, order.number);
        let mut tries = 0;
        let file = loop {
            match self.files.create(&folder.tmp, &unique) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < NAME_TRIES_MAX => {
                    tries += 1;
                    unique = self.host.unique(UnixMs(order.now.0 + tries), order.number);
                }
                outcome => break outcome.map_err(MaildirError::io("create a file"))?,
            }
        };
        let mut one = Written {
            at,
            place,
            file,
            tmp_name: unique.clone(),
            name: MessageName {
                unique,
                flags: delivery.flags,
                ..MessageName::default()
            },
        };
        let fits = self
            .fill(&mut one, delivery)
            .and_then(|()| self.charge(&one, order));
        if let Err(error) = fits {
            self.discard(&one);
            return Err(error);
        }
        Ok(one)
    }

    /// Opens a place; false where it is a folder that is missing and shall not be made.
    fn open(&mut self, place: &Place, order: &Order) -> Result<bool, MaildirError> {
        if self.folders.contains_key(place) {
            return Ok(true);
        }
        let opening = MaildirError::io("open the mailbox");
        let account = match self.accounts.entry(place.0.clone()) {
            MapEntry::Occupied(known) => known.into_mut(),
            MapEntry::Vacant(free) => free.insert(Account {
                mailbox: match open_mailbox(self.files, &place.0) {
                    Ok(mailbox) => mailbox,
                    Err(error) => return Err(opening(error)),
                },
                quota: order.delivery.quota,
                before: None,
                added: Usage::default(),
            }),
        };
        if let Some(name) = place.1.as_ref().filter(|_| !order.delivery.makes_folder) {
            match self.files.open_folder(&account.mailbox, name.on_disk()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                _ => {}
            }
        }
        let folder = open_for_delivery(self.files, &account.mailbox, place.1.as_ref())
            .map_err(MaildirError::io("open the folder"))?;
        (self.opened)(self.files, place, &folder, order.now);
        self.folders.insert(place.clone(), folder);
        Ok(true)
    }

    /// Writes the message, and notes its sizes.
    fn fill(&self, one: &mut Written<F>, delivery: &Delivery) -> Result<(), MaildirError> {
        let (mut wire_octets, mut file_octets) = (0u64, 0u64);
        let (mut lines, mut out) = (ToLf::default(), Vec::new());
        let mut piece = delivery.fields.clone();
        let (mut offset, mut is_over) = (0u64, false);
        while !is_over {
            while piece.len() < PIECE_OCTETS && !is_over {
                let room = PIECE_OCTETS - piece.len();
                let reading = delivery.content.read_at(offset, &mut piece, room);
                let count = reading.map_err(MaildirError::io("read the message"))?;
                offset += count as u64;
                is_over = count == 0;
            }
            wire_octets += piece.len() as u64;
            out.clear();
            match delivery.line_endings {
                LineEndings::Lf => lines.push(&piece, &mut out),
                LineEndings::AsTheyAre => out.append(&mut piece),
            }
            piece.clear();
            if is_over {
                lines.finish(&mut out);
            }
            file_octets += out.len() as u64;
            let writing = self.files.write(&one.file, &out);
            writing.map_err(MaildirError::io("write the message"))?;
        }
        one.name.file_octets = Some(file_octets);
        one.name.wire_octets = Some(wire_octets);
        Ok(())
    }

    // ---- quota

    /// Counts a message against its account's quota, or says that it does not fit.
    fn charge(&mut self, one: &Written<F>, order: &Order) -> Result<(), MaildirError> {
        let file_octets = one.name.file_octets.unwrap_or(0);
        let quota = order.delivery.quota;
        let Some(account) = self.accounts.get_mut(&one.place.0) else {
            return Err(MaildirError::Closed); // `open` came first
        };
        let counts = one
            .place
            .1
            .as_ref()
            .is_none_or(|f| !FolderName::is_trash(f.on_disk()));
        if !quota.is_unbounded() && counts {
            const COUNTING: &str = "count what the mailbox holds";
            let mut known = match account.before {
                Some(known) => known,
                None => usage_for(self.files, &account.mailbox, quota, file_octets, order.now)
                    .map_err(MaildirError::io(COUNTING))?,
            };
            // What the ledger said was enough for the messages before this one; it need not be right. With their lines
            // it is one that is not believed when it says "over".
            let is_believed = known.is_counted || account.added.messages == 0;
            if !is_believed && !quota.admits(known.usage.and(account.added), file_octets) {
                known = Known {
                    usage: count(self.files, &account.mailbox).map_err(MaildirError::io(COUNTING))?,
                    is_counted: true,
                };
            }
            account.quota = quota;
            account.before = Some(known);
            let used = known.usage.and(account.added);
            if !quota.admits(used, file_octets) {
                return Err(MaildirError::OverQuota {
                    used_octets: used.octets,
                    used_messages: used.messages,
                });
            }
        }
        if counts {
            account.added = account.added.plus(file_octets);
        }
        Ok(())
    }

    /// A counted message that is not delivered after all.
    fn credit(&mut self, one: &Written<F>) {
        let counts = one
            .place
            .1
            .as_ref()
            .is_none_or(|f| !FolderName::is_trash(f.on_disk()));
        if let Some(account) = self.accounts.get_mut(&one.place.0).filter(|_| counts) {
            let file_octets = one.name.file_octets.unwrap_or(0);
            account.added.octets = account.added.octets.saturating_sub(file_octets);
            account.added.messages = account.added.messages.saturating_sub(1);
        }
    }

    /// Writes down what the batch added. A ledger that cannot be written is missing or wrong until the next count.
    fn note_usage(&mut self) {
        for account in self.accounts.values() {
            if let Some(known) = account.before.filter(|known| known.is_counted) {
                let _ = self.write_ledger(account, known.usage.and(account.added));
            } else if account.added.messages > 0 {
                // Also without a quota: a ledger that exists stays right, and where there is none, none is made.
                let line = format!("{} {}\n", account.added.octets, account.added.messages);
                let _ = self.files.append(&account.mailbox, FILE_NAME, line.as_bytes());
            }
        }
    }

    fn write_ledger(&self, account: &Account<F>, usage: Usage) -> io::Result<()> {
        let tmp = open_for_delivery(self.files, &account.mailbox, None)?.tmp;
        let name = format!(
            "{FILE_NAME}.{}",
            self.host.unique(UnixMs(usage.octets), usage.messages)
        );
        let file = self.files.create(&tmp, &name)?;
        let moved = self
            .files
            .write(&file, &ledger(account.quota, usage))
            .and_then(|()| self.files.replace(&tmp, &name, &account.mailbox, FILE_NAME));
        if moved.is_err() {
            let _ = self.files.remove(&tmp, &name);
        }
        moved
    }

    // ---- sync, name, sync

    fn sync_files(&mut self, written: Vec<Written<F>>, outcomes: &mut [Option<Outcome>]) -> Vec<Written<F>> {
        const DOING: &str = "make the message durable";
        let shared = (written.len() >= SHARED_SYNC_FROM).then(|| self.files.sync_all());
        let mut durable = Vec::new();
        for one in written {
            let synced = match &shared {
                Some(all) => again(all),
                None => self.files.sync_file(&one.file),
            };
            match synced {
                Ok(()) => durable.push(one),
                Err(error) => {
                    self.discard(&one);
                    self.credit(&one);
                    outcomes[one.at] = Some(Err(MaildirError::Io { doing: DOING, error }));
                }
            }
        }
        durable
    }

    fn name(
        &mut self,
        written: Vec<Written<F>>,
        orders: &[Order],
        outcomes: &mut [Option<Outcome>],
    ) -> Vec<Written<F>> {
        let mut named = Vec::new();
        for mut one in written {
            let order = &orders[one.at];
            match self.name_one(&mut one, order) {
                Ok(()) => named.push(one),
                Err(error) => {
                    self.discard(&one);
                    self.credit(&one);
                    outcomes[one.at] = Some(Err(MaildirError::Io {
                        doing: "name the message",
                        error,
                    }));
                }
            }
        }
        named
    }

    fn name_one(&self, one: &mut Written<F>, order: &Order) -> io::Result<()> {
        let folder = &self.folders[&one.place];
        let mut tries = 0;
        loop {
            let renamed =
                self.files
                    .rename_new(&folder.tmp, &one.tmp_name, into(folder, one), &one.name.compose());
            match renamed {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < NAME_TRIES_MAX => {
                    tries += 1;
                    one.name.unique = self.host.unique(UnixMs(order.now.0 + tries), order.number);
                }
                outcome => return outcome,
            }
        }
    }

    fn sync_folders(&mut self, named: Vec<Written<F>>, outcomes: &mut [Option<Outcome>]) -> Vec<Written<F>> {
        let mut synced: HashMap<(Place, bool), io::Result<()>> = HashMap::new();
        for one in &named {
            synced.insert((one.place.clone(), one.name.flags.is_empty()), Ok(()));
        }
        if synced.len() >= SHARED_SYNC_FROM {
            let all = self.files.sync_all();
            synced.values_mut().for_each(|outcome| *outcome = again(&all));
        } else {
            for ((place, is_new), outcome) in &mut synced {
                let folder = &self.folders[place];
                *outcome = self
                    .files
                    .sync_folder(if *is_new { &folder.new } else { &folder.cur });
            }
        }
        let mut durable = Vec::new();
        for one in named {
            match again(&synced[&(one.place.clone(), one.name.flags.is_empty())]) {
                Ok(()) => durable.push(one),
                Err(error) => {
                    // It will be delivered again, so it must not stay; that this works now is likely, but not certain.
                    let folder = &self.folders[&one.place];
                    let _ = self.files.remove(into(folder, &one), &one.name.compose());
                    self.credit(&one);
                    outcomes[one.at] = Some(Err(MaildirError::Io {
                        doing: "make the name durable",
                        error,
                    }));
                }
            }
        }
        durable
    }

    /// What stays in `tmp` is swept after a while, so a failure here is none.
    fn discard(&self, one: &Written<F>) {
        let _ = self.files.remove(&self.folders[&one.place].tmp, &one.tmp_name);
    }
}

fn into<'f, F: Files>(folder: &'f OpenFolder<F>, one: &Written<F>) -> &'f F::Folder {
    if one.name.flags.is_empty() {
        &folder.new
    } else {
        &folder.cur
    }
}

/// The same outcome for another that shares it.
fn again(outcome: &io::Result<()>) -> io::Result<()> {
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}

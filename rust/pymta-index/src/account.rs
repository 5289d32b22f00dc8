//! An account's folder and its index: opening both, and the two ways to work on the index.
//!
//! Rules:
//! - What changes the index holds SQLite's write lock from its first look to its commit, also while it changes files: our
//!   own processes never see each other's halves.
//! - A damaged index is moved out of the way at once, and every handle of it is dead from then on: who opens the account
//!   anew gets a new one, and the trouble as a value.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pymta_maildir::{Disk, Files, Host, MailboxPath, Quota, open_mailbox, open_subfolders};
use pymta_types::UnixMs;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::long_log::LongLogs;
use crate::text_file::TextFile;
use crate::{IndexError, schema};

/// The index.
pub(crate) const INDEX_NAME: &str = "pymta.index";
/// Where a damaged one is found.
const DAMAGED_NAME: &str = "pymta.index.damaged";
/// What SQLite has beside it. They go first: a log beside another database than its own would be replayed into it.
pub(crate) const BESIDE: [&str; 2] = ["-wal", "-shm"];
/// For so long we wait for other processes. A first look at a large mailbox gives way between its batches.
pub(crate) const BUSY_MS: u64 = 20_000;
/// Of the index in memory, for each account that is open; the system keeps its own.
const CACHE_KIB_MAX: i64 = 1024;
/// Prepared statements that are kept.
const STATEMENTS_MAX: usize = 64;
/// What the log may keep of the disk after something large.
const LOG_OCTETS_KEPT: i64 = 8 << 20;
/// Of a new name; deliveries of this process count from 1.
const FIRST_NUMBER: u64 = 1 << 32;

static NUMBER: AtomicU64 = AtomicU64::new(FIRST_NUMBER);

/// What an account is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// In the names of new files.
    pub host: Host,
    /// What the account may keep.
    pub quota: Quota,
    /// Whether texts are kept for searches, and used.
    pub full_text: bool,
    /// Who is told that the index's log is long, and shortens it; None: its commits do.
    pub long_logs: Option<LongLogs>,
}

impl Options {
    /// Those of who does one thing with the account and ends. What an operator moves in is not held against a quota, but
    /// counts from then on.
    pub fn for_once(host: Host) -> Self {
        Self {
            host,
            quota: Quota::default(),
            full_text: true,
            long_logs: None,
        }
    }
}

/// See the module. One a process and account is enough; all methods may be called at the same time.
#[derive(Debug)]
pub struct Account {
    pub(crate) disk: Disk,
    pub(crate) options: Options,
    path: PathBuf,
    index: Mutex<Connection>,
    inode: u64,
    /// None until it is needed.
    pub(crate) texts: Mutex<Option<TextFile>>,
    is_damaged: AtomicBool,
    keeps_damaged: bool,
    trouble: Option<String>,
    #[cfg(test)]
    pub(crate) steps: std::sync::atomic::AtomicI64,
    #[cfg(test)]
    pub(crate) meanwhile: crate::sandbox::Meanwhile,
}

impl Account {
    /// Opens an account below the folder of all mailboxes; folder, inbox and index are made where they are missing.
    ///
    /// # Errors
    /// `Io`, `Busy`, `TooNew`. A damaged index is replaced by a new one, see `trouble`.
    pub fn open_below(
        root: &Path,
        path: &MailboxPath,
        options: Options,
        now: UnixMs,
    ) -> Result<Arc<Self>, IndexError> {
        let (folder, whole) = below(root, path)?;
        Self::open_at(folder, whole, options, false, now)
    }

    /// Likewise, but for a look only: a damaged index stays where it is.
    ///
    /// # Errors
    /// As `open_below`; `Damaged`.
    pub fn open_below_to_check(
        root: &Path,
        path: &MailboxPath,
        options: Options,
        now: UnixMs,
    ) -> Result<Arc<Self>, IndexError> {
        let (folder, whole) = below(root, path)?;
        Self::open_at(folder, whole, options, true, now)
    }

    /// Opens the account in a folder whose parents are the operator's.
    ///
    /// # Errors
    /// As `open_below`.
    pub fn open(folder: &Path, options: Options, now: UnixMs) -> Result<Arc<Self>, IndexError> {
        let doing = IndexError::io;
        drop(Disk::open(folder).map_err(doing("open the mailbox"))?);
        let whole = folder.canonicalize().map_err(doing("open the mailbox"))?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&whole, flags, Mode::empty());
        let opened = opened.map_err(|error| doing("open the mailbox")(error.into()))?;
        Self::open_at(opened, whole, options, false, now)
    }

    fn open_at(
        folder: OwnedFd,
        path: PathBuf,
        options: Options,
        keeps_damaged: bool,
        now: UnixMs,
    ) -> Result<Arc<Self>, IndexError> {
        let disk = Disk::below(folder);
        open_subfolders(&disk, disk.root()).map_err(IndexError::io("open the inbox"))?;
        let mut trouble = None;
        let (mut index, inode) = match connect(&disk, &path) {
            Err(IndexError::Damaged(why)) if !keeps_damaged => {
                set_aside(&disk).map_err(IndexError::io("set the damaged index aside"))?;
                trouble = Some(why);
                connect(&disk, &path)?
            }
            connected => connected?,
        };
        if let Some(long_logs) = &options.long_logs {
            long_logs.watch(&mut index, path.join(INDEX_NAME), inode)?;
        }
        let account = Arc::new(Self {
            disk,
            options,
            path,
            index: Mutex::new(index),
            inode,
            texts: Mutex::default(),
            is_damaged: AtomicBool::new(false),
            keeps_damaged,
            trouble,
            #[cfg(test)]
            steps: std::sync::atomic::AtomicI64::new(i64::MAX),
            #[cfg(test)]
            meanwhile: crate::sandbox::Meanwhile::default(),
        });
        account.sweep();
        account.find_folders(now)?;
        Ok(account)
    }

    /// Why the index was made anew when the account was opened: the old one was damaged, and is beside it.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Where the account is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the account may keep.
    pub fn quota(&self) -> Quota {
        self.options.quota
    }

    /// What it keeps.
    ///
    /// # Errors
    /// `Io`.
    pub fn used(&self, now: UnixMs) -> Result<pymta_maildir::Usage, IndexError> {
        pymta_maildir::used(&self.disk, self.disk.root(), self.options.quota, now)
            .map_err(IndexError::io("count what the account keeps"))
    }

    // ---- the index

    /// Looks something up.
    pub(crate) fn read<T>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let index = self.lock()?;
        let found = look(&index);
        self.watched(found)
    }

    /// Changes something, all or nothing. `change` may also change files: nobody else of us does at that time.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        self.write_or_undo(&mut (), |transaction, ()| change(transaction), |()| {})
    }

    /// Likewise, of something that a power cut may undo: nobody waits for the disk. What is committed later is no less
    /// durable for it.
    pub(crate) fn write_lightly<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        self.write_within(BUSY_MS, change)
    }

    /// Likewise, of what can wait: `Busy` at once where another process changes something, for whom readers here would wait too.
    pub(crate) fn write_if_free<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        self.write_within(0, change)
    }

    fn write_within<T>(
        &self,
        busy_ms: u64,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let index = self.lock()?;
        let changed = || -> Result<T, IndexError> {
            index.pragma_update(None, "synchronous", "normal")?;
            index.busy_timeout(Duration::from_millis(busy_ms))?;
            let transaction = Transaction::new_unchecked(&index, TransactionBehavior::Immediate);
            index.busy_timeout(Duration::from_millis(BUSY_MS))?;
            let transaction = transaction?;
            let changed = change(&transaction)?;
            self.step().map_err(IndexError::io("commit"))?;
            transaction.commit()?;
            Ok(changed)
        };
        let changed = changed();
        index.pragma_update(None, "synchronous", "full")?;
        self.watched(changed)
    }

    /// Likewise; `change` keeps in `done` what it did to files, and `undo` takes it back where anything fails, also the
    /// commit. Still under the lock where SQLite has it.
    pub(crate) fn write_or_undo<T, D>(
        &self,
        done: &mut D,
        change: impl FnOnce(&Transaction<'_>, &mut D) -> Result<T, IndexError>,
        undo: impl FnOnce(&D),
    ) -> Result<T, IndexError> {
        let mut index = self.lock()?;
        let changed = || -> Result<T, IndexError> {
            let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let changed = change(&transaction, done).and_then(|changed| {
                self.step().map_err(IndexError::io("commit"))?;
                transaction.execute_batch("COMMIT")?;
                Ok(changed)
            });
            if changed.is_err() {
                undo(done);
            }
            changed // a transaction that did not end is rolled back
        };
        let changed = changed();
        self.watched(changed)
    }

    fn lock(&self) -> Result<MutexGuard<'_, Connection>, IndexError> {
        let is_same = !self.is_damaged.load(Ordering::Acquire)
            && inode(&self.disk, INDEX_NAME).is_ok_and(|found| found == Some(self.inode));
        if !is_same {
            return Err(IndexError::Replaced);
        }
        // A panic rolled its transaction back.
        Ok(self.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn watched<T>(&self, outcome: Result<T, IndexError>) -> Result<T, IndexError> {
        if matches!(outcome, Err(IndexError::Damaged(_))) {
            self.is_damaged.store(true, Ordering::Release);
            if !self.keeps_damaged
                && inode(&self.disk, INDEX_NAME).is_ok_and(|found| found == Some(self.inode))
            {
                set_aside(&self.disk).map_err(IndexError::io("set the damaged index aside"))?;
            }
        }
        outcome
    }

    // ---- files

    /// Does something to files; in tests, the place where a process may end.
    pub(crate) fn act<T>(
        &self,
        doing: &'static str,
        act: impl FnOnce(&Disk) -> io::Result<T>,
    ) -> Result<T, IndexError> {
        #[cfg(test)]
        self.meanwhile.happens(doing);
        self.step()
            .and_then(|()| act(&self.disk))
            .map_err(IndexError::io(doing))
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // in tests it needs both
    fn step(&self) -> io::Result<()> {
        Ok(())
    }

    /// From some step on, nothing works any more: the process was killed there.
    #[cfg(test)]
    pub(crate) fn step(&self) -> io::Result<()> {
        if self.steps.fetch_sub(1, Ordering::Relaxed) > 0 {
            Ok(())
        } else {
            self.steps.store(0, Ordering::Relaxed);
            Err(io::Error::other("killed"))
        }
    }

    /// The unique part of a new file's name.
    pub(crate) fn unique(&self, now: UnixMs) -> String {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.options.host.unique(now, number)
    }
}

/// The folder of an account below that of all mailboxes, and where it is.
fn below(root: &Path, path: &MailboxPath) -> Result<(OwnedFd, PathBuf), IndexError> {
    let doing = IndexError::io;
    let disk = Disk::open(root).map_err(doing("open the folder of mailboxes"))?;
    let folder = open_mailbox(&disk, path).map_err(doing("open the mailbox"))?;
    let mut whole = root
        .canonicalize()
        .map_err(doing("open the folder of mailboxes"))?;
    whole.extend(path.components());
    Ok((folder, whole))
}

/// Opens the index, and makes it where it is missing: for nobody else to read, as SQLite makes the files beside it.
fn connect(disk: &Disk, path: &Path) -> Result<(Connection, u64), IndexError> {
    let doing = IndexError::io("make the index");
    match disk.create(disk.root(), INDEX_NAME) {
        Ok(_) => {}
        // Not opened: closing it again would give up the locks of who has it open in this process.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(doing(error)),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = Connection::open_with_flags(path.join(INDEX_NAME), flags)?;
    connection.busy_timeout(Duration::from_millis(BUSY_MS))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "journal_size_limit", LOG_OCTETS_KEPT)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB_MAX)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    schema::migrate(&mut connection)?;
    connection.query_row("SELECT count(*) FROM mailbox", [], |_| Ok(()))?;
    let found = inode(disk, INDEX_NAME).map_err(IndexError::io("look at the index"))?;
    found.map(|inode| (connection, inode)).ok_or(IndexError::Replaced)
}

/// Which file has that name in the account's folder; None where it is missing.
pub(crate) fn inode(disk: &Disk, name: &str) -> io::Result<Option<u64>> {
    match rustix::fs::statat(disk.root(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat.st_ino)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Moves a damaged index out of the way; one that was there from before is replaced.
fn set_aside(disk: &Disk) -> io::Result<()> {
    let root = disk.root();
    for suffix in BESIDE.into_iter().chain([""]) {
        let (from, to) = (format!("{INDEX_NAME}{suffix}"), format!("{DAMAGED_NAME}{suffix}"));
        match disk.replace(root, &from, root, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    disk.sync_folder(root)
}

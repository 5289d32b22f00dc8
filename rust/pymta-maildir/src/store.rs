//! The store: deliveries are put in, threads take all that waits as one batch, answers are taken out.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{Builder, JoinHandle};

use pymta_types::UnixMs;

use crate::MaildirError;
use crate::batch::{Batch, Delivered, Delivery, Order, Place};
use crate::files::{Disk, Files};
use crate::lock::lock;
use crate::mailbox::{Entry, OpenFolder, entries, find_mailbox, sweep_tmp};
use crate::maildrop::Maildrop;
use crate::name::Host;
use crate::path::{FolderName, MailboxPath};
use crate::quota::{Usage, count};

/// Deliveries of one batch. A batch holds a few open files for each.
const BATCH_MAX: usize = 64;
/// While one batch waits for the disk, another is written.
const THREADS: usize = 2;
/// Folders that are remembered as swept. Forgetting some costs a look into each.
const SWEPT_MAX: usize = 65_536;

/// Called, from one of the store's threads, when `completions` has something.
pub type Waker = Box<dyn Fn() + Send + Sync>;

/// The end of a delivery: its token, and what became of it.
pub type Completion = (u64, Result<Delivered, MaildirError>);

#[derive(Default)]
struct Waiting {
    orders: VecDeque<Order>,
    is_closing: bool,
    next_token: u64,
}

struct Shared<F> {
    files: Arc<F>,
    host: Host,
    waiting: Mutex<Waiting>,
    filled: Condvar,
    ended: Mutex<Vec<Completion>>,
    waker: Waker,
    /// Hashes of the folders whose `tmp` was looked into.
    swept: Mutex<HashSet<u64>>,
}

/// The Maildirs below one root.
pub struct Store {
    shared: Arc<Shared<Disk>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the root, makes it where it is missing, and starts the threads.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(root: &Path, host: Host, waker: Waker) -> Result<Self, MaildirError> {
        let files = Disk::open(root).map_err(MaildirError::io("open the folder of mailboxes"))?;
        let shared = Arc::new(Shared {
            files: Arc::new(files),
            host,
            waiting: Mutex::default(),
            filled: Condvar::new(),
            ended: Mutex::default(),
            waker,
            swept: Mutex::default(),
        });
        let store = Self {
            shared,
            threads: Mutex::default(),
        };
        for number in 0..THREADS {
            let shared = Arc::clone(&store.shared);
            let thread = Builder::new()
                .name(format!("maildir-{number}"))
                .spawn(move || work(&shared))
                .map_err(MaildirError::io("start a thread"))?;
            lock(&store.threads).push(thread);
        }
        Ok(store)
    }

    /// Puts a delivery in; its answer comes by `completions` with the token that this returns.
    pub fn deliver(&self, delivery: Delivery, now: UnixMs) -> u64 {
        let mut waiting = lock(&self.shared.waiting);
        waiting.next_token += 1;
        let token = waiting.next_token;
        if waiting.is_closing {
            drop(waiting);
            lock(&self.shared.ended).push((token, Err(MaildirError::Closed)));
            (self.shared.waker)();
            return token;
        }
        waiting.orders.push_back(Order {
            token,
            delivery,
            now,
            number: token,
        });
        drop(waiting);
        self.shared.filled.notify_one();
        token
    }

    /// The deliveries that ended since the last call.
    pub fn completions(&self) -> Vec<Completion> {
        std::mem::take(&mut lock(&self.shared.ended))
    }

    /// The messages of a mailbox or of one of its folders, in order of their names.
    ///
    /// # Errors
    /// `Io`. A mailbox that does not exist has no messages.
    pub fn entries(
        &self,
        mailbox: &MailboxPath,
        folder: Option<&FolderName>,
    ) -> Result<Vec<Entry>, MaildirError> {
        entries(&*self.shared.files, mailbox, folder)
    }

    /// What a mailbox uses, counted.
    ///
    /// # Errors
    /// `Io`.
    pub fn usage(&self, mailbox: &MailboxPath) -> Result<Usage, MaildirError> {
        let files = &*self.shared.files;
        let counted = || -> io::Result<Usage> {
            match find_mailbox(files, mailbox)? {
                Some(found) => count(files, &found),
                None => Ok(Usage::default()),
            }
        };
        counted().map_err(MaildirError::io("count what the mailbox holds"))
    }

    /// Opens a mailbox's inbox as a maildrop, for this caller alone. The mailbox is made where it is missing.
    ///
    /// # Errors
    /// `InUse`; `TooSoon` where less than `delay_s` has passed since it was opened last; `Io`.
    pub fn open_maildrop(
        &self,
        mailbox: &MailboxPath,
        now: UnixMs,
        delay_s: u64,
    ) -> Result<Maildrop, MaildirError> {
        Maildrop::open(Arc::clone(&self.shared.files), mailbox, now, delay_s)
    }

    /// Delivers what waits and stops the threads. May be called again.
    pub fn close(&self) {
        lock(&self.shared.waiting).is_closing = true;
        self.shared.filled.notify_all();
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            // A panic of its own was answered by `work` for the batch that it happened in.
            let _ = thread.join();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

fn work<F: Files>(shared: &Shared<F>) {
    while let Some(orders) = take(shared) {
        let tokens: Vec<u64> = orders.iter().map(|order| order.token).collect();
        let run = std::panic::AssertUnwindSafe(|| run_batch(shared, &orders));
        let ended = std::panic::catch_unwind(run).unwrap_or_else(|_| {
            // A bug of ours: what was in the batch is tried again, and the thread goes on.
            let failed = |token| {
                let error = io::Error::other("the delivery thread panicked");
                (
                    token,
                    Err(MaildirError::Io {
                        doing: "deliver",
                        error,
                    }),
                )
            };
            tokens.into_iter().map(failed).collect()
        });
        lock(&shared.ended).extend(ended);
        (shared.waker)();
    }
}

/// All that waits, up to a batch; None when it is closed and nothing waits.
fn take<F>(shared: &Shared<F>) -> Option<Vec<Order>> {
    let mut waiting = lock(&shared.waiting);
    loop {
        if !waiting.orders.is_empty() {
            let count = waiting.orders.len().min(BATCH_MAX);
            return Some(waiting.orders.drain(..count).collect());
        }
        if waiting.is_closing {
            return None;
        }
        waiting = shared
            .filled
            .wait(waiting)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
    }
}

fn run_batch<F: Files>(shared: &Shared<F>, orders: &[Order]) -> Vec<Completion> {
    let sweep = |files: &F, place: &Place, folder: &OpenFolder<F>, now| {
        let mut hasher = DefaultHasher::new();
        place.hash(&mut hasher);
        let mut swept = lock(&shared.swept);
        if swept.len() >= SWEPT_MAX {
            swept.clear();
        }
        if swept.insert(hasher.finish()) {
            drop(swept);
            sweep_tmp(files, &folder.tmp, now);
        }
    };
    Batch::new(&*shared.files, &shared.host, &sweep).run(orders)
}

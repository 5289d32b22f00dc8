//! The two threads of a spool: the writer, which runs the log's steps, and the reader, which gets messages back and
//! makes segments ready ahead of their need. What they do is elsewhere; here is only when.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::lock::lock;
use crate::log::{Log, Progress};
use crate::reader::fetch;
use crate::settings::{RETRY_PAUSE_MS, STATUS_GATHER_MS};
use crate::shared::{Health, Shared, Waiting};

#[derive(Debug)]
pub(crate) struct Threads {
    writer: JoinHandle<()>,
    reader: JoinHandle<()>,
}

impl Threads {
    pub(crate) fn start(shared: &Arc<Shared>, log: &Arc<Mutex<Log>>) -> io::Result<Self> {
        let (for_writer, for_reader, log) = (shared.clone(), shared.clone(), log.clone());
        Ok(Self {
            writer: Builder::new()
                .name("spool-writer".into())
                .spawn(move || run_writer(&for_writer, &log))?,
            reader: Builder::new()
                .name("spool-reader".into())
                .spawn(move || run_reader(&for_reader))?,
        })
    }

    /// Returns when everything is written and both threads have ended.
    pub(crate) fn stop(self, shared: &Shared) {
        lock(&shared.inbox).is_closing = true;
        shared.inbox_filled.notify_all();
        lock(&shared.errands).is_closing = true;
        shared.errands_filled.notify_all();
        for thread in [self.writer, self.reader] {
            if thread.join().is_err() {
                shared.trouble("a thread of the spool has panicked".into());
            }
        }
    }
}

fn run_writer(shared: &Shared, log: &Mutex<Log>) {
    let mut progress = Progress::Idle;
    let mut had_commits = false;
    loop {
        if progress == Progress::Failed {
            pause(shared);
        } else {
            let is_busy = progress == Progress::Worked && lock(log).is_sweeping();
            wait_for_work(shared, is_busy, had_commits);
        }
        let (is_closing, is_empty) = {
            let inbox = lock(&shared.inbox);
            had_commits = inbox.commit_count > 0;
            (inbox.is_closing, inbox.items.is_empty())
        };
        if is_closing && (is_empty || progress == Progress::Failed) {
            lock(log).finish(shared);
            return;
        }
        progress = lock(log).step(shared);
    }
}

/// Sleeps until there is something to write.
fn wait_for_work(shared: &Shared, is_busy: bool, had_commits: bool) {
    let mut inbox = lock(&shared.inbox);
    if inbox.is_quiet() && !is_busy {
        inbox.waiting = Waiting::Anything;
        // A log that could not be written is tried again also if nobody asks.
        let timeout = Duration::from_millis(match shared.health() {
            Health::Good => 3_600_000,
            Health::Full | Health::Broken => RETRY_PAUSE_MS,
        });
        let waited = shared
            .inbox_filled
            .wait_timeout_while(inbox, timeout, |inbox| inbox.is_quiet());
        inbox = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
    }
    // While mail flows the next commit is never far: records that nobody waits for share its sync.
    if had_commits && inbox.commit_count == 0 && !inbox.is_closing {
        inbox.waiting = Waiting::Commit;
        let timeout = Duration::from_millis(STATUS_GATHER_MS);
        let waited = shared.inbox_filled.wait_timeout_while(inbox, timeout, |inbox| {
            inbox.commit_count == 0 && !inbox.is_closing
        });
        inbox = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
    }
    inbox.waiting = Waiting::Nothing;
}

/// Lets a moment pass after a failure, unless the spool closes.
fn pause(shared: &Shared) {
    let timeout = Duration::from_millis(RETRY_PAUSE_MS);
    let inbox = lock(&shared.inbox);
    let waited = shared
        .inbox_filled
        .wait_timeout_while(inbox, timeout, |inbox| !inbox.is_closing);
    drop(waited);
}

fn run_reader(shared: &Shared) {
    loop {
        {
            let errands = lock(&shared.errands);
            let waited = shared.errands_filled.wait_while(errands, |errands| {
                errands.loads.is_empty() && !errands.wants_spare && !errands.is_closing
            });
            if waited
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .is_closing
            {
                return;
            }
        }
        read_step(shared);
    }
}

/// Reads a message, or makes a segment ready; false where nothing was asked for.
pub(crate) fn read_step(shared: &Shared) -> bool {
    let (id, wants_spare) = {
        let mut errands = lock(&shared.errands);
        let id = errands.loads.pop_front();
        let wants_spare = id.is_none() && std::mem::take(&mut errands.wants_spare);
        (id, wants_spare)
    };
    if let Some(id) = id {
        fetch(shared, id);
    }
    if wants_spare {
        make_spare(shared);
    }
    id.is_some() || wants_spare
}

/// Makes a segment ready, if the disk has room for more than it.
fn make_spare(shared: &Shared) {
    if !shared.has_room() {
        return;
    }
    match shared.make_spare() {
        Ok(spare) => _ = shared.add_spare(spare),
        // It is tried again, and refused to those who wait for it, when it is needed.
        Err(error) => shared.trouble(format!("a segment cannot be made ready: {error}")),
    }
}

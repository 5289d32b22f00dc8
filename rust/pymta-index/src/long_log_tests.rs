//! Whose log is long, who shortens it, and what becomes of one for which nobody comes.

use std::fs;

use super::*;
use crate::sandbox::{Sandbox, now};
use crate::{Account, Mailbox, Options, StoreMode, flag};

const COMMITS_MAX: usize = 10_000;

struct World {
    sandbox: Sandbox,
    logs: LongLogs,
    inbox: Arc<Mailbox>,
}

impl World {
    fn new() -> Self {
        let (sandbox, logs) = (Sandbox::new(), LongLogs::default());
        sandbox.deliver("a\n");
        let options = Options {
            long_logs: Some(logs.clone()),
            ..Options::for_once(pymta_maildir::Host::new("mail.example.test", 7))
        };
        let account = Account::open(&sandbox.folder, options, now()).unwrap();
        // It is about lengths, and not about what a power cut leaves.
        let quick = account.read(|index| Ok(index.pragma_update(None, "synchronous", "off")?));
        quick.unwrap();
        let inbox = account.mailbox("INBOX", now()).unwrap().unwrap();
        inbox.reconcile(now()).unwrap();
        Self { sandbox, logs, inbox }
    }

    fn octets_of(&self, name: &str) -> u64 {
        fs::metadata(self.sandbox.folder.join(name)).unwrap().len()
    }

    /// Commits until that is so.
    fn commit_until(&self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..COMMITS_MAX {
            if is_so(self) {
                return;
            }
            let is_seen = self.inbox.messages().unwrap()[0].flags & flag::SEEN != 0;
            let mode = if is_seen {
                StoreMode::Remove
            } else {
                StoreMode::Add
            };
            let stored = self
                .inbox
                .store(&[1], mode, (flag::SEEN, &[]), None, now())
                .unwrap();
            assert_eq!(1, stored.changed.len());
        }
        panic!("there is no end");
    }
}

#[test]
fn a_long_log_waits_for_somebody_and_no_commit_shortens_it() {
    let world = World::new();
    let before = world.octets_of("pymta.index");
    world.commit_until(|world| !world.logs.is_empty());
    assert_eq!(before, world.octets_of("pymta.index"));
    world.logs.shorten_next().unwrap();
    assert!(world.logs.is_empty());
    assert!(before < world.octets_of("pymta.index"));
    // Its next commit begins the log anew.
    let log = world.octets_of("pymta.index-wal");
    world.commit_until(|world| !world.logs.is_empty());
    assert_eq!(log / 4096, world.octets_of("pymta.index-wal") / 4096);
    let flags = world.inbox.messages().unwrap()[0].flags;
    let inbox = world.sandbox.inbox();
    assert_eq!(flags, inbox.messages().unwrap()[0].flags);
}

#[test]
fn a_log_for_which_nobody_comes_does_not_grow_for_ever() {
    let world = World::new();
    let before = world.octets_of("pymta.index");
    world.commit_until(|world| world.octets_of("pymta.index") > before);
    let most = u64::try_from(TOO_LONG_PAGES + LONG_PAGES).unwrap() * 4120;
    assert!(world.octets_of("pymta.index-wal") < most);
}

#[test]
fn a_log_does_not_go_into_another_index() {
    let world = World::new();
    world.commit_until(|world| !world.logs.is_empty());
    let path = world.sandbox.folder.join("pymta.index");
    fs::rename(&path, world.sandbox.folder.join("elsewhere")).unwrap();
    fs::write(&path, "another").unwrap();
    world.logs.shorten_next().unwrap();
    assert_eq!("another", fs::read_to_string(&path).unwrap());
    fs::remove_file(&path).unwrap();
    world.logs.add(&Index {
        path: path.clone(),
        inode: 1,
    });
    world.logs.shorten_next().unwrap();
    assert!(world.logs.is_empty() && !path.exists());
}

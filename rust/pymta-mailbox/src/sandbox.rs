//! What the tests of this crate work on: an account in a temporary folder, sessions on it, and a clock that they own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use pymta_imap::command::{Command, FetchItem, Flags, SequenceSet, StoreAction, Tagged};
use pymta_imap::{Asked, Enabled};
use pymta_types::UnixMs;

use crate::{Accounts, Host, MailboxPath, Quota, Reader, View};

/// A folder of its own, removed at the end.
pub(crate) struct Sandbox {
    pub(crate) root: PathBuf,
    pub(crate) accounts: Accounts,
    number: AtomicU64,
    /// What comes into the inbox is `\Recent`: one more thing that is said, of which few tests want to know.
    pub(crate) has_recent: bool,
}

pub(crate) fn now() -> UnixMs {
    UnixMs(1_764_061_234_000)
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self::with(Accounts::new)
    }

    /// One whose texts are kept.
    pub(crate) fn with_full_text() -> Self {
        Self::with(Accounts::with_full_text)
    }

    fn with(accounts: fn(&Path, Host) -> Accounts) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("pymta-mailbox-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).unwrap();
        Self {
            accounts: accounts(&root, Host::new("mail.example.test", 7)),
            has_recent: false,
            root,
            number: AtomicU64::new(1),
        }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.root.join("user")
    }

    /// A session, with nothing selected.
    pub(crate) fn session(&self) -> Session {
        self.session_with(Enabled::default(), Quota::default())
    }

    pub(crate) fn session_with(&self, enabled: Enabled, quota: Quota) -> Session {
        let reader = Reader {
            account: "user@example.test".to_owned(),
            quota,
            append_octets_max: Some(1 << 26),
            shares: true,
            shares_with_anyone: true,
        };
        let path = MailboxPath::new(["user"]).unwrap();
        let view = self.accounts.open(&path, reader, now()).unwrap();
        if !self.has_recent {
            let inbox = view.account.mailbox("INBOX", now()).unwrap().unwrap();
            inbox.take_recent(u32::MAX).unwrap();
        }
        Session {
            view,
            enabled,
            now: now(),
            largest: 0,
        }
    }

    /// A session that has INBOX selected.
    pub(crate) fn in_inbox(&self) -> Session {
        let mut session = self.session();
        session.say(select("INBOX"));
        session
    }

    pub(crate) fn in_inbox_with(&self, enabled: Enabled) -> Session {
        let mut session = self.session_with(enabled, Quota::default());
        session.say(select("INBOX"));
        session
    }

    /// What a delivery does; the name of the file.
    pub(crate) fn deliver(&self, content: &str) -> String {
        for name in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(self.folder().join(name)).unwrap();
        }
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let name = format!("1700000000.M{number:06}P1Q{number}.mail.example.test");
        std::fs::write(self.folder().join("new").join(&name), content).unwrap();
        name
    }

    pub(crate) fn deliver_many(&self, count: usize) {
        for number in 1..=count {
            self.deliver(&format!("Subject: {number}\n\nbody {number}\n"));
        }
    }

    pub(crate) fn files(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

pub(crate) struct Session {
    pub(crate) view: View,
    pub(crate) enabled: Enabled,
    pub(crate) now: UnixMs,
    /// The longest piece that was said.
    pub(crate) largest: usize,
}

impl Session {
    /// A command by numbers, with the tag `a`: everything that is said.
    pub(crate) fn say(&mut self, command: Command) -> String {
        self.ask(command, false)
    }

    pub(crate) fn say_uid(&mut self, command: Command) -> String {
        self.ask(command, true)
    }

    fn ask(&mut self, command: Command, by_uid: bool) -> String {
        String::from_utf8(self.ask_octets(command, by_uid)).unwrap()
    }

    pub(crate) fn ask_octets(&mut self, command: Command, by_uid: bool) -> Vec<u8> {
        let asked = Asked {
            tagged: Tagged {
                tag: "a".to_owned(),
                by_uid,
                command,
            },
            enabled: self.enabled,
        };
        let mut said = self.view.run(asked, self.now);
        self.largest = self.largest.max(said.len());
        while self.view.is_running() {
            let piece = self.view.go_on(self.now);
            self.largest = self.largest.max(piece.len());
            said.extend(piece);
        }
        said
    }

    pub(crate) fn poll(&mut self) -> String {
        self.poll_as(true)
    }

    /// While no command runs, IDLE neither.
    pub(crate) fn poll_between(&mut self) -> String {
        self.poll_as(false)
    }

    fn poll_as(&mut self, is_idling: bool) -> String {
        let mut said = self.view.poll(is_idling, self.now);
        while self.view.is_running() {
            said.extend(self.view.go_on(self.now));
        }
        String::from_utf8(said).unwrap()
    }

    /// FETCH 1:* (UID FLAGS).
    pub(crate) fn flags(&mut self) -> String {
        self.say(fetch(all(), vec![FetchItem::Uid, FetchItem::Flags]))
    }
}

pub(crate) fn select(mailbox: &str) -> Command {
    Command::Select {
        mailbox: mailbox.to_owned(),
        read_only: false,
        condstore: false,
        qresync: None,
    }
}

/// `1:*`
pub(crate) fn all() -> SequenceSet {
    SequenceSet::Ranges(vec![(1, u32::MAX)])
}

pub(crate) fn numbers(ranges: &[(u32, u32)]) -> SequenceSet {
    SequenceSet::Ranges(ranges.to_vec())
}

pub(crate) fn fetch(set: SequenceSet, items: Vec<FetchItem>) -> Command {
    Command::Fetch {
        set,
        items,
        changed_since: None,
        vanished: false,
        partial: None,
    }
}

pub(crate) fn add_flags(set: SequenceSet, flags: Flags) -> Command {
    Command::Store {
        set,
        unchanged_since: None,
        action: StoreAction::Add,
        silent: false,
        flags,
    }
}

pub(crate) fn deleted() -> Flags {
    Flags {
        deleted: true,
        ..Flags::default()
    }
}

pub(crate) fn seen() -> Flags {
    Flags {
        seen: true,
        ..Flags::default()
    }
}

pub(crate) fn copy(set: SequenceSet, mailbox: &str, removes: bool) -> Command {
    Command::Copy {
        set,
        mailbox: mailbox.to_owned(),
        removes,
    }
}

/// Lines as an RFC's example has them.
pub(crate) fn lines(text: &str) -> String {
    text.trim()
        .lines()
        .map(|line| format!("{}\r\n", line.trim()))
        .collect()
}

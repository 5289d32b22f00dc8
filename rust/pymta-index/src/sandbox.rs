//! What the tests of this crate work on: an account in a temporary folder, and a clock that they own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use pymta_maildir::{Host, Quota};
use pymta_types::UnixMs;

use crate::{Account, IndexError, Mailbox, Options};

/// A folder of its own, removed at the end.
pub(crate) struct Sandbox {
    pub(crate) folder: PathBuf,
    number: AtomicU64,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pymta-index-{}-{number}", std::process::id());
        let sandbox = Self {
            folder: std::env::temp_dir().join(name),
            number: AtomicU64::new(1),
        };
        let _ = std::fs::remove_dir_all(&sandbox.folder);
        for name in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(sandbox.folder.join(name)).unwrap();
        }
        sandbox
    }

    pub(crate) fn open(&self) -> Arc<Account> {
        self.open_with(Quota::default()).unwrap()
    }

    pub(crate) fn open_with(&self, quota: Quota) -> Result<Arc<Account>, IndexError> {
        let host = Host::new("mail.example.test", 7);
        Account::open(
            &self.folder,
            Options {
                quota,
                ..Options::for_once(host)
            },
            now(),
        )
    }

    pub(crate) fn inbox(&self) -> Arc<Mailbox> {
        let inbox = self.open().mailbox("INBOX", now()).unwrap().unwrap();
        inbox.reconcile(now()).unwrap();
        inbox
    }

    /// What a delivery does; the file's unique name.
    pub(crate) fn deliver(&self, content: &str) -> String {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let unique = format!("1700000000.M{number:06}P1Q{number}.mail.example.test");
        let wire_octets = content.len() + content.matches('\n').count();
        let name = format!("{unique},S={},W={wire_octets}", content.len());
        std::fs::write(self.folder.join("new").join(name), content).unwrap();
        unique
    }

    /// Names in a subfolder, in order.
    pub(crate) fn list(&self, subfolder: &str) -> Vec<String> {
        list(&self.folder.join(subfolder))
    }
}

type Doings = Box<dyn FnMut(&str) + Send>;

/// What another program does just before we do something to a file.
#[derive(Default)]
pub(crate) struct Meanwhile(Mutex<Option<Doings>>);

impl Meanwhile {
    pub(crate) fn set(&self, doings: impl FnMut(&str) + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(doings));
    }

    pub(crate) fn happens(&self, doing: &str) {
        if let Some(doings) = self.0.lock().unwrap().as_mut() {
            doings(doing);
        }
    }
}

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn list(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// From now on a commit that adds messages fails, as one does that finds the disk full; or the row already does.
pub(crate) fn refuse_rows(account: &Account, at_commit: bool) {
    let text = if at_commit {
        "PRAGMA foreign_keys = on; CREATE TABLE parent (key INTEGER PRIMARY KEY);
        CREATE TABLE child (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER refuse AFTER INSERT ON message BEGIN INSERT INTO child VALUES (1); END"
    } else {
        "CREATE TRIGGER refuse BEFORE INSERT ON message BEGIN SELECT raise(ABORT, 'full'); END"
    };
    account.read(|index| Ok(index.execute_batch(text)?)).unwrap();
}

/// And works again.
pub(crate) fn admit_rows(account: &Account) {
    account
        .read(|index| Ok(index.execute_batch("DROP TRIGGER refuse")?))
        .unwrap();
}

/// The instant at which a file that is made now is made.
pub(crate) fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMs(u64::try_from(since.as_millis()).unwrap())
}

/// So much later.
pub(crate) fn later(seconds: u64) -> UnixMs {
    UnixMs(now().0 + seconds * 1000)
}

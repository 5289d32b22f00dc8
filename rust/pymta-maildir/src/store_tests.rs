//! The store on a real disk: threads, links that are in the way, leftovers, what others wrote.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use pymta_types::UnixMs;

use crate::batch_tests::delivery;
use crate::name::Host;
use crate::path::{FolderName, MailboxPath};
use crate::quota::{Quota, Usage};
use crate::store::{Completion, Store};
use crate::{MaildirError, MessageName};

const NOW: UnixMs = UnixMs(1_764_061_234_000);

struct Fixture {
    folder: PathBuf,
    store: Store,
    woken: Receiver<()>,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("pymta-maildir-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let (ring, woken) = channel();
        let waker = Box::new(move || {
            let _ = ring.send(());
        });
        let store = Store::open(&folder, Host::new("mail.example.test", 1), waker).unwrap();
        Self { folder, store, woken }
    }

    fn deliver(&self, account: &str, content: &str) -> Completion {
        self.store.deliver(delivery(account, content), NOW);
        self.wait(1).remove(0)
    }

    fn wait(&self, count: usize) -> Vec<Completion> {
        let mut ended = Vec::new();
        while ended.len() < count {
            self.woken.recv_timeout(Duration::from_secs(20)).unwrap();
            ended.extend(self.store.completions());
        }
        ended
    }

    fn at(&self, account: &str, rest: &str) -> PathBuf {
        self.folder.join("example.test").join(account).join(rest)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.store.close();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn deliveries_from_all_sides_are_each_there_once_and_nobody_else_may_read_them() {
    let fixture = Fixture::new("many");
    for number in 0..200 {
        let account = format!("user{}", number % 7);
        fixture
            .store
            .deliver(delivery(&account, &format!("{number}\r\n")), NOW);
    }
    let ended = fixture.wait(200);

    let mut tokens: Vec<u64> = ended.iter().map(|(token, _)| *token).collect();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 200);
    assert!(ended.iter().all(|(_, outcome)| outcome.is_ok()));
    let mut found = 0;
    for account in 0..7 {
        let account = format!("user{account}");
        found += names(&fixture.at(&account, "new")).len();
        assert!(names(&fixture.at(&account, "tmp")).is_empty());
    }
    assert_eq!(found, 200);
    let file = fixture
        .at("user0", "new")
        .join(&names(&fixture.at("user0", "new"))[0]);
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::metadata(fixture.at("user0", "new"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );
}

#[test]
fn a_link_in_the_way_is_never_followed() {
    let elsewhere = Fixture::new("elsewhere");
    fs::create_dir_all(elsewhere.at("trap", "tmp")).unwrap();
    fs::create_dir_all(elsewhere.at("trap", "new")).unwrap();
    for (number, link) in ["tmp", "new", ""].into_iter().enumerate() {
        let fixture = Fixture::new(&format!("links{number}"));
        assert!(fixture.deliver("ann", "x\r\n").1.is_ok());
        let (path, aim) = if link.is_empty() {
            (fixture.folder.join("example.test/ann"), elsewhere.at("trap", ""))
        } else {
            (fixture.at("ann", link), elsewhere.at("trap", link))
        };
        fs::rename(&path, fixture.folder.join("moved")).unwrap();
        symlink(&aim, &path).unwrap();

        let outcome = fixture.deliver("ann", "secret\r\n").1;

        assert!(
            matches!(outcome, Err(MaildirError::Io { .. })),
            "{link}: {outcome:?}"
        );
        assert!(names(&elsewhere.at("trap", "tmp")).is_empty());
        assert!(names(&elsewhere.at("trap", "new")).is_empty());
    }
}

#[test]
fn a_ledger_that_is_no_file_of_ours_is_neither_read_nor_written() {
    let fixture = Fixture::new("ledger");
    assert!(fixture.deliver("ann", "x\r\n").1.is_ok());
    let precious = fixture.folder.join("precious");
    fs::write(&precious, "keep\n").unwrap();
    symlink(&precious, fixture.at("ann", "maildirsize")).unwrap();
    assert!(fixture.deliver("ann", "y\r\n").1.is_ok());
    assert_eq!(fs::read_to_string(&precious).unwrap(), "keep\n");
    fs::remove_file(fixture.at("ann", "maildirsize")).unwrap();
    fs::hard_link(&precious, fixture.at("ann", "maildirsize")).unwrap();
    assert!(fixture.deliver("ann", "z\r\n").1.is_ok());
    assert_eq!(fs::read_to_string(&precious).unwrap(), "keep\n");
}

#[test]
fn what_lies_in_tmp_for_days_is_removed_and_what_is_fresh_is_not() {
    let fixture = Fixture::new("leftovers");
    fs::create_dir_all(fixture.at("ann", "tmp")).unwrap();
    fs::write(fixture.at("ann", "tmp/old"), "half").unwrap();
    let written_s = fs::metadata(fixture.at("ann", "tmp/old"))
        .unwrap()
        .modified()
        .unwrap()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    fixture
        .store
        .deliver(delivery("ann", "x\r\n"), UnixMs((written_s + 3600) * 1000));
    fixture.wait(1);
    assert_eq!(names(&fixture.at("ann", "tmp")), ["old"]);

    let later = Fixture::new("leftovers-later");
    fs::create_dir_all(later.at("ann", "tmp")).unwrap();
    fs::write(later.at("ann", "tmp/old"), "half").unwrap();
    later
        .store
        .deliver(delivery("ann", "x\r\n"), UnixMs((written_s + 3 * 86_400) * 1000));
    later.wait(1);
    assert!(names(&later.at("ann", "tmp")).is_empty());
}

#[test]
fn what_others_wrote_is_read_and_counted() {
    let fixture = Fixture::new("others");
    assert!(fixture.deliver("ann", "x\r\n").1.is_ok());
    fs::write(fixture.at("ann", "cur/1204680122.27c448fa_0:2,FS"), "mutt").unwrap();
    fs::write(fixture.at("ann", "new/1700000000.M1P2.host,S=5,W=6"), "hello").unwrap();
    fs::write(fixture.at("ann", "cur/1700000001.M1P2.host,S=7:2,T"), "deleted").unwrap();
    fs::create_dir_all(fixture.at("ann", ".Lists.pymta/cur")).unwrap();
    fs::create_dir_all(fixture.at("ann", ".Lists.pymta/new")).unwrap();
    fs::write(fixture.at("ann", ".Lists.pymta/cur/1.2.3:2,S"), "list").unwrap();
    let mailbox = MailboxPath::new(["example.test", "ann"]).unwrap();

    let entries = fixture.store.entries(&mailbox, None).unwrap();
    let flags: Vec<String> = entries.iter().map(|e| e.name.flags.to_string()).collect();
    assert_eq!(flags, ["FS", "", "T", ""]);
    assert_eq!(entries[0].file_octets, 4);
    let folder = FolderName::new("Lists.pymta").unwrap();
    assert_eq!(fixture.store.entries(&mailbox, Some(&folder)).unwrap().len(), 1);

    // Ours is 33 octets; what is marked as deleted does not count.
    let usage = fixture.store.usage(&mailbox).unwrap();
    assert_eq!(
        usage,
        Usage {
            octets: 33 + 4 + 5 + 4,
            messages: 4
        }
    );
    let mut one = delivery("ann", "y\r\n");
    one.quota = Quota {
        octets: Some(60),
        messages: None,
    };
    fixture.store.deliver(one, NOW);
    assert!(matches!(
        fixture.wait(1)[0].1,
        Err(MaildirError::OverQuota { used_messages: 4, .. })
    ));
    let nobody = MailboxPath::new(["example.test", "nobody"]).unwrap();
    assert!(fixture.store.entries(&nobody, None).unwrap().is_empty());
    assert_eq!(fixture.store.usage(&nobody).unwrap(), Usage::default());
}

#[test]
fn a_name_that_is_taken_is_passed_by() {
    let fixture = Fixture::new("taken");
    let first = fixture.deliver("ann", "x\r\n").1.unwrap();
    let taken = MessageName::parse(&first.file_name);
    // Another process with our number, started anew within the millisecond: the names it would give are there.
    let second = Host::new("mail.example.test", 1).unique(NOW, 2);
    fs::write(fixture.at("ann", "tmp").join(&second), "somebody's").unwrap();
    let delivered = fixture.deliver("ann", "x\r\n").1.unwrap();
    assert_ne!(MessageName::parse(&delivered.file_name).unique, second);
    assert_ne!(MessageName::parse(&delivered.file_name).unique, taken.unique);
    assert_eq!(names(&fixture.at("ann", "tmp")), [second]);
}

#[test]
fn a_closed_store_delivers_what_it_had_and_takes_no_more() {
    let fixture = Fixture::new("closed");
    for _ in 0..20 {
        fixture.store.deliver(delivery("ann", "x\r\n"), NOW);
    }
    fixture.store.close();
    assert_eq!(fixture.store.completions().len(), 20);
    assert_eq!(names(&fixture.at("ann", "new")).len(), 20);
    fixture.store.deliver(delivery("ann", "x\r\n"), NOW);
    assert!(matches!(
        fixture.store.completions()[0].1,
        Err(MaildirError::Closed)
    ));
}

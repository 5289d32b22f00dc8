//! Moving in and out, and what a check says.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::sandbox::{Sandbox, later, now};
use crate::{Account, IndexError, Mailbox, Progress, StoreMode, flag};

/// A Maildir as Dovecot leaves one: two mailboxes, keywords, a subscription, and a message that it has not seen.
fn of_dovecot() -> Sandbox {
    let sandbox = Sandbox::new();
    let root = &sandbox.folder;
    fs::write(root.join("cur/1700000001.M1P1.h,S=2,W=3:2,FSac"), "a\n").unwrap();
    fs::write(root.join("cur/1700000002.M1P1.h:2,"), "b\n").unwrap();
    fs::write(root.join("new/1700000003.M1P1.h"), "c\n").unwrap();
    let list = "3 V1234567890 N101 G0123456789abcdef0123456789abcdef\n\
        7 :1700000001.M1P1.h,S=2,W=3:2,S\n50 :1600000000.gone\n99 W3 :1700000002.M1P1.h:2,\n";
    fs::write(root.join("dovecot-uidlist"), list).unwrap();
    fs::write(root.join("dovecot-keywords"), "0 $Label1\n2 work\n").unwrap();
    for name in ["cur", "new", "tmp"] {
        fs::create_dir_all(root.join(".Sent").join(name)).unwrap();
    }
    fs::write(
        root.join(".Sent/courierimapuiddb"),
        "1 1234567890 12\n11 1700000009.x\n",
    )
    .unwrap();
    fs::write(root.join(".Sent/cur/1700000009.x:2,S"), "d\n").unwrap();
    fs::write(root.join("subscriptions"), "V\t2\n\nSent\nLists\tpymta\n").unwrap();
    sandbox
}

fn import(account: &Arc<Account>) -> Progress {
    let progress = Progress::default();
    let mut make = |mailbox: &Arc<Mailbox>, uids: &[u32]| -> Result<(), IndexError> {
        let records: Vec<_> = uids.iter().map(|&uid| (uid, vec![1])).collect();
        mailbox.put_records(&records)
    };
    account.import(&progress, &mut make, now()).unwrap();
    progress
}

fn uids(mailbox: &Mailbox) -> Vec<u32> {
    mailbox
        .messages()
        .unwrap()
        .iter()
        .map(|message| message.uid)
        .collect()
}

#[test]
fn who_comes_from_dovecot_keeps_uids_flags_and_keywords() {
    let sandbox = of_dovecot();
    let account = sandbox.open();
    let inbox = account.mailbox("INBOX", now()).unwrap().unwrap();
    inbox.reconcile(now()).unwrap();
    let progress = import(&account);
    // Who has it selected must not take the new UIDs for the old ones.
    assert!(matches!(inbox.messages(), Err(IndexError::NoMailbox)));
    assert!(matches!(inbox.keywords(), Err(IndexError::NoMailbox)));
    assert!(matches!(inbox.details(&[7], now()), Err(IndexError::NoMailbox)));
    assert!(matches!(inbox.octets(now()), Err(IndexError::NoMailbox)));
    assert!(matches!(inbox.open_file(7, now()), Err(IndexError::NoMailbox)));
    assert!(matches!(inbox.records(&[7]), Err(IndexError::NoMailbox)));
    assert!(matches!(inbox.without_records(), Err(IndexError::NoMailbox)));
    let record = [(7, b"of another".to_vec())];
    assert!(matches!(inbox.put_records(&record), Err(IndexError::NoMailbox)));
    let inbox = account.mailbox("INBOX", now()).unwrap().unwrap();
    let counts = [
        &progress.mailboxes,
        &progress.messages,
        &progress.records,
        &progress.uids_kept,
    ];
    assert_eq!([2, 4, 4, 3], counts.map(|count| count.load(Ordering::Relaxed)));
    let status = inbox.status().unwrap();
    assert_eq!((1_234_567_890, 102), (status.uid_validity, status.uid_next));
    assert_eq!(vec![7, 99, 101], uids(&inbox));
    let first = inbox.messages().unwrap()[0];
    let names = inbox.keywords().unwrap();
    assert_eq!((flag::SEEN | flag::FLAGGED, 0b11), (first.flags, first.keywords));
    assert_eq!(vec!["$Label1", "work"], names);
    let sent = account.mailbox("Sent", now()).unwrap().unwrap();
    assert_eq!(vec![11], uids(&sent));
    let found = account.mailboxes(now()).unwrap();
    let subscribed = found
        .iter()
        .filter(|info| info.subscribed)
        .map(|info| info.name.as_str());
    assert_eq!(vec!["Lists/pymta", "Sent"], subscribed.collect::<Vec<_>>());
    // A second time it is old news, whatever happened since.
    inbox.remove(&[99], now()).unwrap();
    inbox
        .store(&[7], StoreMode::Remove, (0, &["work"]), None, now())
        .unwrap();
    assert_eq!(0, import(&account).uids_kept.load(Ordering::Relaxed));
    assert_eq!(
        (vec![7, 101], 1),
        (uids(&inbox), inbox.messages().unwrap()[0].keywords)
    );
    // A mailbox made later has another UIDVALIDITY than all.
    account.create("x", None, now()).unwrap();
    assert!(
        account
            .mailbox("x", now())
            .unwrap()
            .unwrap()
            .status()
            .unwrap()
            .uid_validity
            > 1_234_567_890
    );
}

#[test]
fn an_old_list_is_not_taken_in_again_and_a_newer_one_is() {
    let sandbox = of_dovecot();
    import(&sandbox.open());
    sandbox.deliver("new\n"); // gets a UID that the list does not know
    fs::remove_file(sandbox.folder.join("pymta.index")).unwrap();
    let account = sandbox.open();
    assert_eq!(0, import(&account).uids_kept.load(Ordering::Relaxed));
    let inbox = account.mailbox("INBOX", now()).unwrap().unwrap();
    assert_ne!(1_234_567_890, inbox.status().unwrap().uid_validity);
    drop(inbox);
    // Back at Dovecot for a while, which gave more UIDs.
    let lists = |next: u32| {
        format!(
            "3 V1234567890 N{next} G0\n7 :1700000001.M1P1.h\n{} :1700000003.M1P1.h\n",
            next - 1
        )
    };
    for (next, kept) in [(300, 2), (400, 2), (350, 0)] {
        fs::remove_file(sandbox.folder.join("pymta-imported")).unwrap();
        fs::write(sandbox.folder.join("dovecot-uidlist"), lists(next)).unwrap();
        assert_eq!(kept, import(&account).uids_kept.load(Ordering::Relaxed), "{next}");
        fs::write(sandbox.folder.join("pymta-imported"), "").unwrap();
    }
    let inbox = account.mailbox("INBOX", now()).unwrap().unwrap();
    assert_eq!(vec![7, 399, 400, 401], uids(&inbox));
}

#[test]
fn who_leaves_takes_everything_along() {
    let sandbox = Sandbox::new();
    for _ in 0..3 {
        sandbox.deliver("a\n");
    }
    let inbox = sandbox.inbox();
    inbox
        .store(
            &[2],
            StoreMode::Add,
            (flag::SEEN, &["$Junk", "work"]),
            None,
            now(),
        )
        .unwrap();
    inbox
        .store(&[3], StoreMode::Add, (0, &["work"]), None, now())
        .unwrap();
    inbox.remove(&[1], now()).unwrap();
    let before = inbox.status().unwrap();
    let messages = inbox.messages().unwrap();
    let progress = Progress::default();
    inbox.account().export(&progress, now()).unwrap();
    assert_eq!(2, progress.messages.load(Ordering::Relaxed));
    let list = fs::read_to_string(sandbox.folder.join("dovecot-uidlist")).unwrap();
    assert!(
        list.starts_with(&format!(
            "3 V{} N4 G{}\n2 W3 :17",
            before.uid_validity,
            inbox.id()
        )),
        "{list}"
    );
    assert_eq!(
        "0 $Junk\n1 work\n",
        fs::read_to_string(sandbox.folder.join("dovecot-keywords")).unwrap()
    );
    let cur = sandbox.list("cur");
    assert!(cur[0].ends_with(":2,Sab") && cur[1].ends_with(":2,b"), "{cur:?}");
    inbox.reconcile(later(10)).unwrap();
    assert_eq!(messages, inbox.messages().unwrap());
    // And in again, where nobody knows anything.
    drop(inbox);
    fs::remove_file(sandbox.folder.join("pymta.index")).unwrap();
    // As if all that had been some time ago: the inbox's new UIDVALIDITY is the clock's.
    let uid_validity = before.uid_validity - 1000;
    let older = list.replace(&format!("V{}", before.uid_validity), &format!("V{uid_validity}"));
    fs::write(sandbox.folder.join("dovecot-uidlist"), older).unwrap();
    let account = sandbox.open();
    import(&account);
    let inbox = account.mailbox("INBOX", now()).unwrap().unwrap();
    let again = inbox.status().unwrap();
    assert_eq!(
        (uid_validity, before.uid_next),
        (again.uid_validity, again.uid_next)
    );
    let shape = |all: &[crate::Message]| {
        all.iter()
            .map(|m| (m.uid, m.flags, m.keywords))
            .collect::<Vec<_>>()
    };
    assert_eq!(shape(&messages), shape(&inbox.messages().unwrap()));
}

#[test]
fn a_check_tells_what_a_repair_takes_in() {
    let sandbox = Sandbox::new();
    let name = sandbox.deliver("a\n");
    sandbox.deliver("b\n");
    let inbox = sandbox.inbox();
    assert!(inbox.account().check(now()).unwrap().is_clean());
    let root = &sandbox.folder;
    fs::rename(
        root.join(format!("new/{name},S=2,W=3")),
        root.join(format!("cur/{name}:2,S")),
    )
    .unwrap();
    fs::remove_file(root.join("new").join(&sandbox.list("new")[0])).unwrap();
    sandbox.deliver("c\n");
    fs::create_dir(root.join(".a..b")).unwrap();
    let report = inbox.account().check(now()).unwrap();
    assert_eq!(
        (Vec::<String>::new(), vec![".a..b".to_owned()]),
        (report.damage.clone(), report.foreign_folders.clone())
    );
    let found = &report.mailboxes[0];
    assert_eq!(
        (2, 1, 1, 1, 2),
        (
            found.messages,
            found.missing_files,
            found.unknown_files,
            found.other_flags,
            found.without_records
        )
    );
    fs::remove_dir(root.join(".a..b")).unwrap();
    inbox.account().repair(now()).unwrap();
    assert!(inbox.account().check(now()).unwrap().is_clean());
    assert_eq!(vec![1, 3], uids(&inbox));
}

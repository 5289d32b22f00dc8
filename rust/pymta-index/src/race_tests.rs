//! Two that have the same account open, as two processes have, and a third that knows nothing of the index.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::sandbox::{Sandbox, later, list, now};
use crate::{Account, Added, CopyMode, IndexError, Mailbox, StoreMode, flag};

/// Of each of the two.
const ROUNDS: u32 = 60;

fn opened(account: &Arc<Account>, name: &str) -> Arc<Mailbox> {
    account.mailbox(name, now()).unwrap().unwrap()
}

fn append(mailbox: &Arc<Mailbox>, content: &str) -> u32 {
    let mut upload = mailbox.begin_append();
    upload.begin(Added::default(), now()).unwrap();
    upload.write(content.as_bytes()).unwrap();
    upload.commit(now()).unwrap().uids[0]
}

/// Adds, changes, moves and removes; which UIDs the inbox gave.
fn work(account: &Arc<Account>, odd: u32) -> Vec<u32> {
    let (inbox, other) = (opened(account, "INBOX"), opened(account, "Other"));
    let mut given = Vec::new();
    for round in 0..ROUNDS {
        let uid = append(&inbox, &format!("{odd} {round}\r\n"));
        given.push(uid);
        let all: Vec<u32> = inbox.messages().unwrap().iter().map(|m| m.uid).collect();
        let mode = if round % 2 == 0 {
            StoreMode::Add
        } else {
            StoreMode::Remove
        };
        inbox.store(&all, mode, (flag::SEEN, &[]), None, now()).unwrap();
        if round % 5 == odd {
            inbox.copy(&other, &[uid], CopyMode::Move, now()).unwrap();
        } else if round % 5 == odd + 2 {
            assert_eq!(vec![uid], inbox.remove(&[uid], now()).unwrap());
        }
        inbox.reconcile(later(u64::from(round))).unwrap();
    }
    given
}

#[test]
fn two_at_once_lose_nothing_and_give_no_uid_twice() {
    let sandbox = Sandbox::new();
    let (one, two) = (sandbox.open(), sandbox.open());
    one.create("Other", None, now()).unwrap();
    let given = std::thread::scope(|scope| {
        let first = scope.spawn(|| work(&one, 0));
        let second = scope.spawn(|| work(&two, 1));
        // Deliveries, and a program that looks at mail.
        for _ in 0..ROUNDS {
            sandbox.deliver("delivered\n");
        }
        [first.join().unwrap(), second.join().unwrap()]
    });
    for each in &given {
        assert!(each.windows(2).all(|pair| pair[0] < pair[1]), "{each:?}");
    }
    let all: BTreeSet<u32> = given.iter().flatten().copied().collect();
    assert_eq!(2 * ROUNDS as usize, all.len());
    let inbox = opened(&one, "INBOX");
    inbox.reconcile(later(1000)).unwrap();
    let removed = ROUNDS / 5;
    let delivered_and_kept = 3 * ROUNDS - 4 * removed;
    assert_eq!(delivered_and_kept, inbox.status().unwrap().messages);
    assert_eq!(2 * removed, opened(&two, "Other").status().unwrap().messages);
    let files = sandbox.list("new").len() + sandbox.list("cur").len();
    assert_eq!(delivered_and_kept as usize, files);
    assert_eq!(
        inbox.messages().unwrap(),
        opened(&two, "INBOX").messages().unwrap()
    );
}

#[test]
fn what_one_changes_the_other_learns() {
    let sandbox = Sandbox::new();
    sandbox.deliver("a\n");
    let (mine, theirs) = (sandbox.inbox(), sandbox.inbox());
    let since = theirs.status().unwrap().highest_modseq;
    mine.store(&[1], StoreMode::Add, (0, &["work"]), None, now())
        .unwrap();
    let uid = append(&mine, "b\r\n");
    mine.remove(&[uid], now()).unwrap();
    let changes = theirs.changes(since).unwrap();
    assert_eq!((1, 1), (changes.changed[0].uid, changes.changed[0].keywords));
    assert_eq!(vec![uid..=uid], changes.vanished);
    assert_eq!(vec!["work"], theirs.keywords().unwrap());
    mine.account().delete("INBOX", now()).unwrap_err();
    mine.account().create("x", None, now()).unwrap();
    let x = opened(theirs.account(), "x");
    mine.account().delete("x", now()).unwrap();
    assert!(matches!(x.messages(), Err(IndexError::NoMailbox)));
}

#[test]
fn old_changes_are_told_by_what_is_there() {
    let sandbox = Sandbox::new();
    for _ in 0..4 {
        sandbox.deliver("a\n");
    }
    let inbox = sandbox.inbox();
    let since = inbox.status().unwrap().highest_modseq;
    inbox.remove(&[2, 4], now()).unwrap();
    let key = inbox.key;
    inbox
        .account()
        .write(|transaction| {
            transaction.execute("DELETE FROM vanished", [])?;
            transaction.execute(
                "UPDATE mailbox SET vanished_from = ?2 WHERE key = ?1",
                (key, i64::try_from(since + 1).unwrap()),
            )?;
            Ok(())
        })
        .unwrap();
    assert_eq!(vec![2..=2, 4..=4], inbox.changes(since).unwrap().vanished);
}

/// An inbox whose one message another program renames before each of the first so many things that we do to it.
fn restless(times: usize) -> (Sandbox, Arc<Mailbox>) {
    let sandbox = Sandbox::new();
    sandbox.deliver("a\n");
    let inbox = sandbox.inbox();
    inbox.account().create("Other", None, now()).unwrap();
    let marked = (flag::DELETED, [].as_slice());
    inbox.store(&[1], StoreMode::Add, marked, None, now()).unwrap();
    let (cur, mut left) = (sandbox.folder.join("cur"), times);
    inbox.account().meanwhile.set(move |doing| {
        if doing.ends_with(" a message") && left > 0 {
            left -= 1;
            let name = list(&cur).remove(0);
            std::fs::rename(cur.join(&name), cur.join(format!("{name}a"))).unwrap();
        }
    });
    (sandbox, inbox)
}

#[test]
fn what_others_rename_again_and_again_is_no_silent_success() {
    let flagged = (flag::FLAGGED, [].as_slice());
    for times in [1, 3] {
        let (_sandbox, inbox) = restless(times);
        let stored = inbox.store(&[1], StoreMode::Add, flagged, None, now()).unwrap();
        assert_eq!(1, stored.changed.len());
        for mode in [CopyMode::Copy, CopyMode::Move] {
            let (_sandbox, inbox) = restless(times);
            let other = opened(inbox.account(), "Other");
            assert_eq!(vec![(1, 1)], inbox.copy(&other, &[1], mode, now()).unwrap().uids);
        }
        let (_sandbox, inbox) = restless(times);
        assert_eq!(vec![1], inbox.expunge(&[1], now()).unwrap());
    }
    let (sandbox, inbox) = restless(4);
    let stored = inbox.store(&[1], StoreMode::Add, flagged, None, now());
    assert!(matches!(stored, Err(IndexError::Busy)), "{stored:?}");
    drop(sandbox);
    for mode in [CopyMode::Copy, CopyMode::Move] {
        let (_sandbox, inbox) = restless(4);
        let copied = inbox.copy(&opened(inbox.account(), "Other"), &[1], mode, now());
        assert!(matches!(copied, Err(IndexError::Busy)), "{copied:?}");
    }
    let (sandbox, inbox) = restless(4);
    assert!(inbox.expunge(&[1], now()).unwrap().is_empty());
    assert_eq!(1, sandbox.list("cur").len());
    inbox.reconcile(later(10)).unwrap();
    assert_eq!(1, inbox.messages().unwrap().len());
}

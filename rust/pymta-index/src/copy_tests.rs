//! COPY and MOVE, seen from both mailboxes.

use std::fs;
use std::sync::Arc;

use pymta_maildir::Quota;

use crate::sandbox::{Sandbox, admit_rows, list, now, refuse_rows};
use crate::{CopyMode, IndexError, Mailbox, StoreMode, flag};

fn two() -> (Sandbox, Arc<Mailbox>, Arc<Mailbox>) {
    let sandbox = Sandbox::new();
    for _ in 0..3 {
        sandbox.deliver("a\n");
    }
    let inbox = sandbox.inbox();
    inbox.account().create("b", None, now()).unwrap();
    let other = inbox.account().mailbox("b", now()).unwrap().unwrap();
    (sandbox, inbox, other)
}

#[test]
fn a_copy_keeps_all_but_its_uid() {
    let (sandbox, inbox, other) = two();
    other
        .account()
        .write(|t| other.bits_of(t, &["first"], 0))
        .unwrap();
    inbox
        .store(&[2], StoreMode::Add, (flag::FLAGGED, &["work"]), None, now())
        .unwrap();
    inbox.put_records(&[(2, b"record".to_vec())]).unwrap();
    let copied = inbox.copy(&other, &[3, 2, 9], CopyMode::Copy, now()).unwrap();
    assert_eq!(vec![(2, 1), (3, 2)], copied.uids);
    assert_eq!(other.status().unwrap().uid_validity, copied.uid_validity);
    assert_eq!(3, inbox.messages().unwrap().len());
    let message = other.messages().unwrap()[0];
    assert_eq!((flag::FLAGGED, 0b10), (message.flags, message.keywords));
    assert_eq!(vec!["first", "work"], other.keywords().unwrap());
    let (from, to) = (
        inbox.details(&[2], now()).unwrap(),
        other.details(&[1], now()).unwrap(),
    );
    assert_eq!(
        (from[0].email_id, from[0].octets, from[0].internal_date_s),
        (to[0].email_id, to[0].octets, to[0].internal_date_s)
    );
    assert_eq!(vec![Some(b"record".to_vec())], other.records(&[1]).unwrap());
    other.reconcile(now()).unwrap();
    assert_eq!(2, other.messages().unwrap().len());
    inbox.remove(&[2], now()).unwrap();
    assert!(other.open_file(1, now()).unwrap().is_some());
    assert_eq!(1, list(&sandbox.folder.join(".b/new")).len());
}

#[test]
fn what_is_moved_is_gone_from_where_it_was() {
    let (sandbox, inbox, other) = two();
    let since = inbox.status().unwrap().highest_modseq;
    let moved = inbox.copy(&other, &[1, 3], CopyMode::Move, now()).unwrap();
    assert_eq!(vec![(1, 1), (3, 2)], moved.uids);
    assert_eq!(vec![1..=1, 3..=3], inbox.changes(since).unwrap().vanished);
    assert_eq!(1, sandbox.list("new").len());
    inbox.reconcile(now()).unwrap();
    other.reconcile(now()).unwrap();
    assert_eq!(
        (1, 2),
        (inbox.messages().unwrap().len(), other.messages().unwrap().len())
    );
    // And back again, where its name was before.
    assert_eq!(
        vec![(1, 4)],
        other.copy(&inbox, &[1], CopyMode::Move, now()).unwrap().uids
    );
}

#[test]
fn a_mailbox_is_copied_and_moved_into_itself() {
    let (sandbox, inbox, _) = two();
    assert_eq!(
        vec![(1, 4)],
        inbox.copy(&inbox, &[1], CopyMode::Copy, now()).unwrap().uids
    );
    assert_eq!(
        vec![(2, 5)],
        inbox.copy(&inbox, &[2], CopyMode::Move, now()).unwrap().uids
    );
    inbox.reconcile(now()).unwrap();
    let uids: Vec<u32> = inbox.messages().unwrap().iter().map(|m| m.uid).collect();
    assert_eq!(vec![1, 3, 4, 5], uids);
    assert_eq!(4, sandbox.list("new").len());
}

#[test]
fn a_file_that_others_renamed_is_still_moved() {
    let (sandbox, inbox, other) = two();
    for name in sandbox.list("new") {
        let to = sandbox.folder.join("cur").join(format!("{name}:2,S"));
        fs::rename(sandbox.folder.join("new").join(name), to).unwrap();
    }
    let moved = inbox.copy(&other, &[1, 2], CopyMode::Move, now()).unwrap();
    assert_eq!(2, moved.uids.len());
    assert_eq!(flag::SEEN, other.messages().unwrap()[0].flags);
}

#[test]
fn what_does_not_fit_is_not_copied_but_moved() {
    let sandbox = Sandbox::new();
    sandbox.deliver("a\n");
    sandbox.deliver("b\n");
    let quota = Quota {
        octets: Some(5),
        messages: None,
    };
    let account = sandbox.open_with(quota).unwrap();
    account.create("b", None, now()).unwrap();
    let (inbox, other) = (
        account.mailbox("INBOX", now()).unwrap().unwrap(),
        account.mailbox("b", now()).unwrap().unwrap(),
    );
    inbox.reconcile(now()).unwrap();
    let copied = inbox.copy(&other, &[1], CopyMode::Copy, now());
    assert!(matches!(
        copied,
        Err(IndexError::OverQuota {
            used_octets: 4,
            used_messages: 2
        })
    ));
    assert_eq!(
        1,
        inbox
            .copy(&other, &[1], CopyMode::Move, now())
            .unwrap()
            .uids
            .len()
    );
    assert_eq!(4, account.used(now()).unwrap().octets);
}

#[test]
fn what_the_index_does_not_take_is_neither_copied_nor_moved() {
    for at_commit in [false, true] {
        for mode in [CopyMode::Copy, CopyMode::Move] {
            let (sandbox, inbox, other) = two();
            let before = sandbox.list("new");
            let used = inbox.account().used(now()).unwrap();
            refuse_rows(inbox.account(), at_commit);
            let refused = inbox.copy(&other, &[1, 2], mode, now());
            assert!(matches!(refused, Err(IndexError::Sqlite(_))), "{refused:?}");
            assert_eq!(before, sandbox.list("new"));
            assert!(list(&sandbox.folder.join(".b/new")).is_empty());
            assert_eq!(used, inbox.account().used(now()).unwrap());
            admit_rows(inbox.account());
            inbox.reconcile(now()).unwrap();
            assert_eq!(3, inbox.messages().unwrap().len());
            assert_eq!(2, inbox.copy(&other, &[1, 2], mode, now()).unwrap().uids.len());
        }
    }
}

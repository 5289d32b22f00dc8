//! Mailboxes that are made, removed and renamed, by us and by others.

use std::fs;

use crate::sandbox::{Sandbox, now};
use crate::{Account, IndexError, StoreMode, flag};

fn names(account: &Account) -> Vec<String> {
    let found = account.mailboxes(now()).unwrap();
    found
        .into_iter()
        .filter(|info| info.exists)
        .map(|info| info.name)
        .collect()
}

#[test]
fn a_mailbox_is_a_folder_that_other_programs_know() {
    let sandbox = Sandbox::new();
    let account = sandbox.open();
    let id = account.create("Entwürfe/v1.0", Some("\\Drafts"), now()).unwrap();
    let folder = sandbox.folder.join(".Entw&APw-rfe.v1&AC4-0");
    for name in ["cur", "new", "tmp", "maildirfolder"] {
        assert!(folder.join(name).exists(), "{name}");
    }
    let found = account.mailboxes(now()).unwrap();
    assert_eq!(
        vec!["Entwürfe", "Entwürfe/v1.0", "INBOX"],
        found.iter().map(|i| &i.name).collect::<Vec<_>>()
    );
    assert_eq!((false, None), (found[0].exists, found[0].id));
    assert_eq!(
        (Some(id), Some("\\Drafts")),
        (found[1].id, found[1].special_use.as_deref())
    );
    assert!(matches!(
        account.create("Entwürfe/v1.0", None, now()),
        Err(IndexError::Exists)
    ));
    assert!(matches!(
        account.create("inbox", None, now()),
        Err(IndexError::Exists)
    ));
    assert!(matches!(
        account.create("other", Some("\\drafts"), now()),
        Err(IndexError::UseTaken)
    ));
    for name in ["", "a//b", "../x/", "a\nb", "inbox/x"] {
        assert!(
            matches!(account.create(name, None, now()), Err(IndexError::BadName)),
            "{name:?}"
        );
    }
    fs::create_dir_all(sandbox.folder.join(".Foreign/cur")).unwrap();
    assert!(names(&account).contains(&"Foreign".to_owned()));
    let foreign = account.mailbox("Foreign", now()).unwrap().unwrap();
    assert_eq!(0, foreign.status().unwrap().messages);
    fs::remove_dir_all(sandbox.folder.join(".Foreign")).unwrap();
    assert!(!names(&account).contains(&"Foreign".to_owned()));
    assert!(matches!(foreign.status(), Err(IndexError::NoMailbox)));
}

#[test]
fn a_name_that_is_used_again_has_another_uid_validity() {
    let sandbox = Sandbox::new();
    let account = sandbox.open();
    let mut seen = Vec::new();
    for _ in 0..4 {
        account.create("x", None, now()).unwrap();
        let mailbox = account.mailbox("x", now()).unwrap().unwrap();
        seen.push(mailbox.status().unwrap().uid_validity);
        account.delete("x", now()).unwrap();
        assert!(matches!(mailbox.reconcile(now()), Err(IndexError::NoMailbox)));
        assert!(account.mailbox("x", now()).unwrap().is_none());
    }
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
    assert!(sandbox.list("tmp").is_empty());
    assert!(matches!(account.delete("x", now()), Err(IndexError::NoMailbox)));
    assert!(matches!(
        account.delete("Inbox", now()),
        Err(IndexError::HasToStay)
    ));
}

#[test]
fn a_rename_keeps_what_clients_know_and_takes_children_along() {
    let sandbox = Sandbox::new();
    let account = sandbox.open();
    for name in ["a", "a/b", "ab", "z"] {
        account.create(name, None, now()).unwrap();
    }
    let child = account.mailbox("a/b", now()).unwrap().unwrap();
    let (id, validity) = (child.id(), child.status().unwrap().uid_validity);
    assert!(matches!(account.rename("a", "z", now()), Err(IndexError::Exists)));
    assert!(matches!(
        account.rename("a", "a/c", now()),
        Err(IndexError::BadName)
    ));
    assert!(matches!(
        account.rename("nothing", "c", now()),
        Err(IndexError::NoMailbox)
    ));
    account.rename("a", "ü/c", now()).unwrap();
    assert_eq!(vec!["INBOX", "ab", "z", "ü/c", "ü/c/b"], names(&account));
    let renamed = account.mailbox("ü/c/b", now()).unwrap().unwrap();
    assert_eq!(
        (id, validity),
        (renamed.id(), renamed.status().unwrap().uid_validity)
    );
    assert_eq!(validity, child.status().unwrap().uid_validity); // who has it selected goes on
    account.rename("ü", "v", now()).unwrap(); // it has no folder, its children have
    assert_eq!(vec!["INBOX", "ab", "v/c", "v/c/b", "z"], names(&account));
}

#[test]
fn renaming_the_inbox_moves_what_is_in_it() {
    let sandbox = Sandbox::new();
    sandbox.deliver("a\n");
    let inbox = sandbox.inbox();
    inbox
        .store(&[1], StoreMode::Add, (flag::SEEN, &["work"]), None, now())
        .unwrap();
    inbox.account().rename("INBOX", "old", now()).unwrap();
    assert_eq!(0, inbox.status().unwrap().messages);
    let old = inbox.account().mailbox("old", now()).unwrap().unwrap();
    assert_eq!((flag::SEEN, 1), {
        let message = old.messages().unwrap()[0];
        (message.flags, message.keywords)
    });
    assert_eq!(vec!["work"], old.keywords().unwrap());
}

#[test]
fn subscriptions_and_annotations_are_kept() {
    let sandbox = Sandbox::new();
    let account = sandbox.open();
    account.create("a", None, now()).unwrap();
    account.subscribe("a").unwrap();
    account.subscribe("gone/b").unwrap();
    account.subscribe("inbox").unwrap();
    let found = account.mailboxes(now()).unwrap();
    let shown: Vec<_> = found
        .iter()
        .map(|i| (i.name.as_str(), i.exists, i.subscribed))
        .collect();
    let expected = [
        ("INBOX", true, true),
        ("a", true, true),
        ("gone", false, false),
        ("gone/b", false, true),
    ];
    assert_eq!(expected.as_slice(), shown);
    account.unsubscribe("a").unwrap();
    account
        .set_metadata(
            Some("a"),
            &[("/private/comment", Some(b"x")), ("/shared/x", Some(b"\0"))],
        )
        .unwrap();
    account
        .set_metadata(
            Some("a"),
            &[("/PRIVATE/comment", Some(b"y")), ("/shared/x", None)],
        )
        .unwrap();
    account
        .set_metadata(None, &[("/shared/admin", Some(b"z"))])
        .unwrap();
    let values: Vec<Vec<u8>> = account
        .metadata(Some("a"), |_| true)
        .unwrap()
        .into_iter()
        .map(|e| e.1)
        .collect();
    assert_eq!(vec![b"y".to_vec()], values);
    account.delete("a", now()).unwrap();
    assert!(matches!(
        account.metadata(Some("a"), |_| true),
        Err(IndexError::NoMailbox)
    ));
    assert_eq!(1, account.metadata(None, |_| true).unwrap().len());
}

#[test]
fn a_deletion_that_was_cut_short_is_ended_when_the_account_is_opened() {
    let sandbox = Sandbox::new();
    let account = sandbox.open();
    account.create("x", None, now()).unwrap();
    fs::write(sandbox.folder.join(".x/cur/1.a:2,S"), "a\n").unwrap();
    fs::rename(sandbox.folder.join(".x"), sandbox.folder.join("tmp/.removed.1.x")).unwrap();
    drop(account);
    let account = sandbox.open();
    assert_eq!(vec!["INBOX"], names(&account));
    assert!(sandbox.list("tmp").is_empty());
}

#[test]
fn records_are_those_of_their_mailbox_and_end_with_it() {
    let sandbox = Sandbox::new();
    sandbox.deliver("a\n");
    sandbox.deliver("b\n");
    let inbox = sandbox.inbox();
    let account = inbox.account();
    account.create("b", None, now()).unwrap();
    let other = account.mailbox("b", now()).unwrap().unwrap();
    inbox
        .put_records(&[(1, b"one".to_vec()), (2, b"two".to_vec())])
        .unwrap();
    inbox.copy(&other, &[1, 2], crate::CopyMode::Copy, now()).unwrap();
    other.remove(&[1], now()).unwrap();
    let count = || -> i64 {
        let count = "SELECT count(*) FROM record";
        account
            .read(|index| Ok(index.query_row(count, [], |row| row.get(0))?))
            .unwrap()
    };
    assert_eq!(
        (3, vec![Some(b"two".to_vec())]),
        (count(), other.records(&[2]).unwrap())
    );
    account.delete("b", now()).unwrap();
    assert_eq!(2, count());
    assert_eq!(vec![Some(b"one".to_vec()), None], inbox.records(&[1, 3]).unwrap());
    assert!(inbox.without_records().unwrap().is_empty());
}

#[test]
fn a_mailbox_is_for_what_is_known_and_may_be_told_so_again() {
    let sandbox = Sandbox::new();
    let account = sandbox.open();
    for bad in [
        "",
        "Sent",
        "\\",
        "\\Marked",
        "\\Sent \\Noselect",
        "\\Sent)\r\n* BYE",
        "\\Se\u{fffd}",
    ] {
        let made = account.create("a", Some(bad), now());
        assert!(matches!(made, Err(IndexError::BadUse)), "{bad:?}");
        let set = account.set_special_use("INBOX", Some(bad));
        assert!(matches!(set, Err(IndexError::BadUse)), "{bad:?}");
    }
    account.create("a", Some("\\sent"), now()).unwrap();
    account.create("b", Some("\\Important"), now()).unwrap();
    account.set_special_use("a", Some("\\SENT")).unwrap();
    let taken = account.set_special_use("b", Some("\\Sent"));
    assert!(matches!(taken, Err(IndexError::UseTaken)));
    let found = account.mailboxes(now()).unwrap();
    let uses: Vec<_> = found
        .iter()
        .filter_map(|one| one.special_use.as_deref())
        .collect();
    assert_eq!(vec!["\\Sent", "\\Important"], uses);
}

#[test]
fn annotations_of_an_account_are_bounded_together() {
    let sandbox = Sandbox::new();
    let account = sandbox.open();
    account.create("a", None, now()).unwrap();
    let value = vec![b'x'; 64 << 10];
    for number in 0..15 {
        let mailbox = (number % 2 == 0).then_some("a");
        let entry = format!("/private/{number:02}");
        account.set_metadata(mailbox, &[(&entry, Some(&value))]).unwrap();
    }
    let more = account.set_metadata(None, &[("/private/15", Some(&value))]);
    assert!(matches!(more, Err(IndexError::TooMany(_))));
    // As much as there was in its place, or less, is no more than before.
    account
        .set_metadata(None, &[("/private/01", Some(&value)), ("/private/15", None)])
        .unwrap();
    account.set_metadata(None, &[("/private/01", None)]).unwrap();
    account
        .set_metadata(None, &[("/private/15", Some(&value))])
        .unwrap();
    let found = account.metadata(None, |entry| entry.ends_with('5')).unwrap();
    let names: Vec<&str> = found.iter().map(|(entry, _)| entry.as_str()).collect();
    assert_eq!(vec!["/private/05", "/private/15"], names);
}

//! What STORE, EXPUNGE and other programs do to an inbox, seen from both sides.

use std::fs;

use crate::sandbox::{Sandbox, later, now};
use crate::{IndexError, Mailbox, StoreMode, flag};

fn uids(mailbox: &Mailbox) -> Vec<u32> {
    let messages = mailbox.messages().unwrap();
    messages.iter().map(|message| message.uid).collect()
}

fn flags(mailbox: &Mailbox) -> Vec<u8> {
    let messages = mailbox.messages().unwrap();
    messages.iter().map(|message| message.flags).collect()
}

#[test]
fn deliveries_get_uids_in_their_order() {
    let sandbox = Sandbox::new();
    let inbox = sandbox.inbox();
    let empty = inbox.status().unwrap();
    assert_eq!((1, 1, 0), (empty.uid_next, empty.highest_modseq, empty.messages));
    for content in ["a: 1\n\nx\n", "a: 2\n\ny\n", "a: 3\n\nz\n"] {
        sandbox.deliver(content);
    }
    inbox.reconcile(now()).unwrap();
    assert_eq!(vec![1, 2, 3], uids(&inbox));
    let status = inbox.status().unwrap();
    assert_eq!(
        (4, 3, 3, 0),
        (status.uid_next, status.messages, status.unseen, status.deleted)
    );
    let details = inbox.details(&[3, 1, 9], now()).unwrap();
    assert_eq!(
        vec![(3, 11), (1, 11)],
        details.iter().map(|d| (d.uid, d.octets)).collect::<Vec<_>>()
    );
    assert_ne!(details[0].email_id, details[1].email_id);
    assert_eq!(33, inbox.octets(now()).unwrap());
}

#[test]
fn a_flag_is_a_letter_of_the_file_and_a_keyword_is_not() {
    let sandbox = Sandbox::new();
    let unique = sandbox.deliver("a\n");
    let inbox = sandbox.inbox();
    let before = inbox.status().unwrap().highest_modseq;
    let stored = inbox
        .store(
            &[1, 7],
            StoreMode::Add,
            (flag::SEEN | flag::FORWARDED, &["$Junk", "work"]),
            None,
            now(),
        )
        .unwrap();
    assert_eq!(1, stored.changed.len());
    assert_eq!(before + 1, stored.changed[0].modseq);
    assert_eq!(0b11, stored.changed[0].keywords);
    assert_eq!(vec![format!("{unique},S=2,W=3:2,PS")], sandbox.list("cur"));
    assert!(sandbox.list("new").is_empty());
    let again = inbox
        .store(&[1], StoreMode::Add, (flag::SEEN, &["WORK"]), None, now())
        .unwrap();
    assert_eq!((0, 1), (again.changed.len(), again.unchanged.len()));
    let removed = inbox
        .store(
            &[1],
            StoreMode::Remove,
            (flag::SEEN, &["$junk", "other"]),
            None,
            now(),
        )
        .unwrap();
    assert_eq!(
        (flag::FORWARDED, 0b10),
        (removed.changed[0].flags, removed.changed[0].keywords)
    );
    assert_eq!(vec!["$Junk", "work"], inbox.keywords().unwrap());
    inbox
        .store(&[1], StoreMode::Replace, (0, &[]), None, now())
        .unwrap();
    assert_eq!(vec![format!("{unique},S=2,W=3:2,")], sandbox.list("cur"));
}

#[test]
fn a_mailbox_has_64_keywords() {
    let sandbox = Sandbox::new();
    sandbox.deliver("a\n");
    let inbox = sandbox.inbox();
    let names: Vec<String> = (0..64).map(|number| format!("k{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let stored = inbox
        .store(&[1], StoreMode::Add, (0, &names), None, now())
        .unwrap();
    assert_eq!(u64::MAX, stored.changed[0].keywords);
    assert_eq!(u64::MAX, inbox.messages().unwrap()[0].keywords);
    let more = inbox.store(&[1], StoreMode::Add, (0, &["k64"]), None, now());
    assert!(matches!(more, Err(IndexError::TooManyKeywords)));
    // What no message has any more makes room; a message that is added goes without what finds none.
    let append = |keywords: [&str; 2]| {
        let mut upload = inbox.begin_append();
        for keyword in keywords {
            let added = crate::Added {
                keywords: vec![keyword.to_owned(), "k2".to_owned()],
                ..crate::Added::default()
            };
            upload.begin(added, now()).unwrap();
        }
        upload.commit(now()).unwrap();
        let messages = inbox.messages().unwrap();
        messages
            .iter()
            .rev()
            .map(|message| message.keywords)
            .take(2)
            .collect::<Vec<_>>()
    };
    assert_eq!(vec![0b100, 0b100], append(["k64", "k65"]));
    inbox
        .store(&[1], StoreMode::Remove, (0, &["k1", "k63"]), None, now())
        .unwrap();
    assert_eq!(vec![1 << 63 | 0b100, 0b110], append(["k64", "k65"]));
    let names = inbox.keywords().unwrap();
    assert_eq!(("k64", "k65"), (names[1].as_str(), names[63].as_str()));
    let both = inbox.store(&[1], StoreMode::Add, (0, &["k0", "k66"]), None, now());
    assert!(matches!(both, Err(IndexError::TooManyKeywords)));
}

#[test]
fn what_changed_since_is_not_stored() {
    let sandbox = Sandbox::new();
    sandbox.deliver("a\n");
    sandbox.deliver("b\n");
    let inbox = sandbox.inbox();
    let since = inbox.status().unwrap().highest_modseq;
    inbox
        .store(&[2], StoreMode::Add, (flag::FLAGGED, &[]), None, now())
        .unwrap();
    let stored = inbox
        .store(&[1, 2], StoreMode::Add, (flag::SEEN, &[]), Some(since), now())
        .unwrap();
    assert_eq!(vec![2], stored.modified);
    assert_eq!(vec![flag::SEEN, flag::FLAGGED], flags(&inbox));
    let changes = inbox.changes(since).unwrap();
    assert_eq!(2, changes.changed.len());
    assert_eq!(changes.highest_modseq, changes.changed[0].modseq);
    assert!(inbox.changes(changes.highest_modseq).unwrap().changed.is_empty());
}

#[test]
fn others_rename_and_remove_and_are_believed() {
    let sandbox = Sandbox::new();
    let names: Vec<String> = (0..4).map(|_| sandbox.deliver("a\n")).collect();
    let inbox = sandbox.inbox();
    let since = inbox.status().unwrap().highest_modseq;
    let (new, cur) = (sandbox.folder.join("new"), sandbox.folder.join("cur"));
    let file = |at: usize| format!("{},S=2,W=3", names[at]);
    fs::rename(new.join(file(0)), cur.join(format!("{}:2,FSab", file(0)))).unwrap();
    fs::rename(new.join(file(1)), cur.join(format!("{}:2,", file(1)))).unwrap();
    fs::remove_file(new.join(file(3))).unwrap();
    inbox.reconcile(now()).unwrap();
    assert_eq!(vec![flag::FLAGGED | flag::SEEN, 0, 0], flags(&inbox));
    let changes = inbox.changes(since).unwrap();
    assert_eq!(vec![1], changes.changed.iter().map(|m| m.uid).collect::<Vec<_>>());
    assert_eq!(vec![4..=4], changes.vanished);
    // What is no flag of ours stays in the name.
    inbox
        .store(&[1], StoreMode::Remove, (flag::SEEN, &[]), None, now())
        .unwrap();
    assert!(sandbox.list("cur").contains(&format!("{}:2,Fab", file(0))));
}

#[test]
fn a_file_that_was_renamed_meanwhile_is_still_opened_stored_and_removed() {
    let sandbox = Sandbox::new();
    let names: Vec<String> = (0..3).map(|_| sandbox.deliver("a\n")).collect();
    let inbox = sandbox.inbox();
    for name in &names {
        let from = sandbox.folder.join("new").join(format!("{name},S=2,W=3"));
        fs::rename(from, sandbox.folder.join("cur").join(format!("{name}:2,R"))).unwrap();
    }
    assert!(inbox.open_file(1, now()).unwrap().is_some());
    let stored = inbox
        .store(&[2], StoreMode::Add, (flag::SEEN, &[]), None, now())
        .unwrap();
    assert_eq!(flag::SEEN | flag::ANSWERED, stored.changed[0].flags);
    assert_eq!(vec![3], inbox.remove(&[3], now()).unwrap());
    assert_eq!(2, sandbox.list("cur").len());
    fs::remove_file(sandbox.folder.join("cur").join(format!("{}:2,R", names[0]))).unwrap();
    assert!(inbox.open_file(1, now()).unwrap().is_none());
    assert_eq!(vec![2], uids(&inbox));
}

#[test]
fn two_files_of_one_name_never_replace_each_other() {
    let sandbox = Sandbox::new();
    let name = sandbox.deliver("first\n");
    let inbox = sandbox.inbox();
    fs::write(
        sandbox.folder.join("cur").join(format!("{name},S=6,W=7:2,S")),
        "second\n",
    )
    .unwrap();
    inbox
        .store(&[1], StoreMode::Add, (flag::SEEN, &[]), None, now())
        .unwrap();
    assert_eq!(2, sandbox.list("cur").len());
    inbox.reconcile(later(1)).unwrap();
    inbox.reconcile(later(10)).unwrap();
    assert_eq!(vec![1, 2], uids(&inbox));
}

#[test]
fn expunged_uids_are_told_and_never_come_again() {
    let sandbox = Sandbox::new();
    for _ in 0..5 {
        sandbox.deliver("a\n");
    }
    let inbox = sandbox.inbox();
    let since = inbox.status().unwrap().highest_modseq;
    assert_eq!(vec![2, 3, 5], inbox.remove(&[5, 2, 3, 99], now()).unwrap());
    sandbox.deliver("b\n");
    inbox.reconcile(now()).unwrap();
    assert_eq!(vec![1, 4, 6], uids(&inbox));
    let changes = inbox.changes(since).unwrap();
    assert_eq!(vec![2..=3, 5..=5], changes.vanished);
    assert_eq!(3, sandbox.list("new").len());
}

#[test]
fn what_lost_its_mark_since_is_not_expunged() {
    let sandbox = Sandbox::new();
    for _ in 0..4 {
        sandbox.deliver("a\n");
    }
    let inbox = sandbox.inbox();
    inbox
        .store(&[1, 2, 3], StoreMode::Add, (flag::DELETED, &[]), None, now())
        .unwrap();
    // One by another session, one by another program.
    inbox
        .store(&[1], StoreMode::Remove, (flag::DELETED, &[]), None, now())
        .unwrap();
    let cur = sandbox.folder.join("cur");
    let name = &sandbox.list("cur")[1];
    fs::rename(cur.join(name), cur.join(name.replace(":2,T", ":2,S"))).unwrap();
    assert_eq!(vec![3], inbox.expunge(&[1, 2, 3, 4], now()).unwrap());
    assert_eq!(vec![0, flag::SEEN, 0], flags(&inbox));
    assert_eq!(2, sandbox.list("cur").len());
    assert_eq!(vec![1, 2], inbox.remove(&[1, 2], now()).unwrap());
}

#[test]
fn nothing_is_listed_where_nothing_changed() {
    let sandbox = Sandbox::new();
    sandbox.deliver("a\n");
    let inbox = sandbox.inbox();
    inbox.reconcile(later(10)).unwrap();
    let before = inbox.account.read(|index| inbox.state(index)).unwrap();
    assert_eq!((before.new_seen_ns, before.cur_seen_ns), inbox.touched().unwrap());
    inbox
        .store(&[1], StoreMode::Add, (flag::SEEN, &[]), None, later(11))
        .unwrap();
    let after = inbox.account.read(|index| inbox.state(index)).unwrap();
    assert_eq!(inbox.touched().unwrap().1, after.cur_seen_ns);
    assert!(after.list_again_ms > 0);
    inbox.reconcile(later(60)).unwrap();
    let settled = inbox.account.read(|index| inbox.state(index)).unwrap();
    assert_eq!(0, settled.list_again_ms);
    assert_eq!(
        (settled.new_seen_ns, settled.cur_seen_ns),
        inbox.touched().unwrap()
    );
}

#[test]
fn without_the_index_messages_and_flags_are_still_there() {
    let sandbox = Sandbox::new();
    sandbox.deliver("a\n");
    sandbox.deliver("b\n");
    let inbox = sandbox.inbox();
    inbox
        .store(&[2], StoreMode::Add, (flag::FLAGGED, &[]), None, now())
        .unwrap();
    let old = inbox.details(&[1, 2], now()).unwrap();
    fs::remove_file(sandbox.folder.join("pymta.index")).unwrap();
    assert!(matches!(inbox.status(), Err(IndexError::Replaced)));
    drop(inbox);
    let inbox = sandbox.inbox();
    assert_eq!(vec![0, flag::FLAGGED], flags(&inbox));
    let new = inbox.details(&[1, 2], now()).unwrap();
    assert_eq!(old[1].email_id, new[1].email_id);
    assert_eq!(old[1].internal_date_s, new[1].internal_date_s);
}

#[test]
fn a_damaged_index_is_set_aside_and_made_anew() {
    let sandbox = Sandbox::new();
    sandbox.deliver("a\n");
    drop(sandbox.inbox());
    let path = sandbox.folder.join("pymta.index");
    fs::write(&path, "this is no index at all\n".repeat(500)).unwrap();
    let account = sandbox.open();
    assert!(account.trouble().is_some());
    let inbox = account.mailbox("inbox", now()).unwrap().unwrap();
    inbox.reconcile(now()).unwrap();
    assert_eq!(vec![1], uids(&inbox));
    assert!(sandbox.folder.join("pymta.index.damaged").exists());
    assert!(sandbox.open().trouble().is_none());
}

#[test]
fn damage_that_is_met_later_is_set_aside_as_well() {
    use std::os::unix::fs::FileExt;
    let sandbox = Sandbox::new();
    for _ in 0..300 {
        sandbox.deliver("a\n");
    }
    drop(sandbox.inbox());
    let path = sandbox.folder.join("pymta.index");
    let octets = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for at in (20 * 4096..octets).step_by(4096) {
        file.write_all_at(&[0xff; 64], at).unwrap();
    }
    let inbox = sandbox.open().mailbox("INBOX", now()).unwrap().unwrap();
    let met = inbox.rescan(now()).and_then(|()| inbox.account.repair(now()));
    assert!(matches!(met, Err(IndexError::Damaged(_))), "{met:?}");
    assert!(matches!(inbox.messages(), Err(IndexError::Replaced)));
    assert_eq!(300, sandbox.inbox().messages().unwrap().len());
}

#[test]
fn who_only_checks_leaves_a_damaged_index_where_it_is() {
    use crate::{Account, Options};
    let sandbox = Sandbox::new();
    drop(sandbox.inbox());
    let index = sandbox.folder.join("pymta.index");
    let junk = "this is no index at all\n".repeat(500);
    fs::write(&index, &junk).unwrap();
    let options = Options::for_once(pymta_maildir::Host::new("h", 1));
    let root = sandbox.folder.parent().unwrap();
    let name = sandbox.folder.file_name().unwrap().to_str().unwrap();
    let path = pymta_maildir::MailboxPath::new([name]).unwrap();
    let opened = Account::open_below_to_check(root, &path, options, now());
    assert!(matches!(opened, Err(IndexError::Damaged(_))), "{opened:?}");
    assert_eq!(junk.as_bytes(), fs::read(&index).unwrap());
    assert!(!sandbox.folder.join("pymta.index.damaged").exists());
}

#[test]
fn nobody_else_may_read_the_index() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let _inbox = sandbox.inbox();
    for name in ["pymta.index", "pymta.index-wal", "pymta.index-shm"] {
        let mode = fs::metadata(sandbox.folder.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(0o600, mode & 0o777, "{name}");
    }
}

#[test]
fn what_others_put_in_the_place_of_ours_is_not_followed() {
    use std::os::unix::fs::symlink;
    let sandbox = Sandbox::new();
    let outside = Sandbox::new();
    fs::write(outside.folder.join("cur/1.a:2,"), "secret\n").unwrap();
    symlink(&outside.folder, sandbox.folder.join(".Outside")).unwrap();
    symlink(
        outside.folder.join("cur/1.a:2,"),
        sandbox.folder.join("cur/2.b:2,S"),
    )
    .unwrap();
    fs::create_dir(sandbox.folder.join("cur/3.c:2,")).unwrap();
    let name = sandbox.deliver("a\n");
    let inbox = sandbox.inbox();
    assert_eq!(vec![1], uids(&inbox));
    assert_eq!(1, inbox.account.mailboxes(now()).unwrap().len());
    assert!(inbox.account.mailbox("Outside", now()).is_err());
    // A message whose file became a link is no message any more.
    let path = sandbox.folder.join("new").join(format!("{name},S=2,W=3"));
    fs::remove_file(&path).unwrap();
    symlink(outside.folder.join("cur/1.a:2,"), path).unwrap();
    assert!(inbox.open_file(1, now()).is_err());
    drop(inbox);
    let index = sandbox.folder.join("pymta.index");
    fs::rename(&index, outside.folder.join("elsewhere")).unwrap();
    symlink(outside.folder.join("elsewhere"), &index).unwrap();
    assert!(sandbox.open_with(pymta_maildir::Quota::default()).is_err());
}

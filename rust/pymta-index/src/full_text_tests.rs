//! That the filter never excludes what holds a text, whatever happens to the file.

use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::sandbox::{Sandbox, later, now};
use crate::types::flag;
use crate::{StoreMode, types::ObjectId};

/// What is in a message's file, and what it is looked for by.
fn text_of(mailbox: &Mailbox, uid: u32) -> Option<String> {
    let file = mailbox.open_file(uid, later(9)).unwrap()?;
    Some(std::io::read_to_string(file).unwrap().to_uppercase())
}

/// Goes on until all is known.
fn read_all(mailbox: &Mailbox, messages_max: usize) -> usize {
    let mut steps = 0;
    loop {
        steps += 1;
        assert!(steps < 1000);
        match mailbox.text_step(messages_max).unwrap() {
            TextStep::Done => return steps,
            TextStep::Again => {}
            TextStep::Read { after, uids } => {
                let texts: Vec<_> = uids.iter().map(|&uid| (uid, text_of(mailbox, uid))).collect();
                mailbox.put_texts(after, &texts).unwrap();
            }
        }
    }
}

/// UIDs that are left to be read for a text.
fn left(mailbox: &Mailbox, text: &str) -> Vec<u32> {
    let filter = mailbox.text_filter(&[text]).unwrap().unwrap_or_default();
    let messages = mailbox.messages().unwrap().into_iter().map(|message| message.uid);
    messages
        .filter(|&uid| !filter.excludes(uid, text.as_bytes()))
        .collect()
}

fn file(sandbox: &Sandbox) -> PathBuf {
    sandbox.folder.join("pymta.search")
}

fn fruit(sandbox: &Sandbox) -> Arc<Mailbox> {
    for name in ["apple", "banana", "cherry"] {
        sandbox.deliver(&format!("Subject: {name}\n\n{name} pie\n"));
    }
    sandbox.inbox()
}

#[test]
fn what_cannot_hold_a_text_need_not_be_read() {
    let sandbox = Sandbox::new();
    let inbox = fruit(&sandbox);
    assert_eq!(vec![1, 2, 3], left(&inbox, "BANANA"));
    assert!(!file(&sandbox).exists());
    read_all(&inbox, 2);
    assert_eq!(vec![2], left(&inbox, "BANANA"));
    assert_eq!(vec![1, 2, 3], left(&inbox, "PIE"));
    assert_eq!(vec![1, 2, 3], left(&inbox, "NA"));
    assert!(left(&inbox, "DATE").is_empty());
    for text in [
        "\"",
        "\"\"\"",
        "A\"B",
        "NEAR(A B)",
        "text : x",
        "x* OR y",
        "-x",
        "'); --",
        "^X",
        "AB\0CD",
        "\0\0\0",
    ] {
        left(&inbox, text);
    }
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file(&sandbox)).unwrap().permissions());
    assert_eq!(0o600, mode & 0o777);
}

#[test]
fn a_new_message_is_read_by_searches_until_its_text_is_known() {
    let sandbox = Sandbox::new();
    let inbox = fruit(&sandbox);
    read_all(&inbox, 8);
    sandbox.deliver("Subject: d\n\nbanana bread\n");
    inbox.reconcile(later(5)).unwrap();
    assert_eq!(vec![2, 4], left(&inbox, "BANANA"));
    assert_eq!(vec![4], left(&inbox, "CURRANT"));
    read_all(&inbox, 8);
    assert!(left(&inbox, "CURRANT").is_empty());
}

#[test]
fn one_whose_text_is_not_kept_is_always_read() {
    let sandbox = Sandbox::new();
    let inbox = fruit(&sandbox);
    inbox.text_step(8).unwrap();
    let texts = [(1, None), (2, Some("BANANA".to_owned())), (3, None)];
    inbox.put_texts(0, &texts).unwrap();
    assert_eq!(TextStep::Done, inbox.text_step(8).unwrap());
    assert_eq!(vec![1, 3], left(&inbox, "APPLE"));
}

#[test]
fn of_two_who_read_the_same_one_is_heard() {
    let sandbox = Sandbox::new();
    let inbox = fruit(&sandbox);
    inbox.text_step(8).unwrap();
    inbox.put_texts(0, &[(1, Some("APPLE".to_owned()))]).unwrap();
    inbox.put_texts(0, &[(1, Some("WRONG".to_owned()))]).unwrap();
    assert_eq!(vec![1, 2, 3], left(&inbox, "APPLE"));
    assert_eq!(vec![2, 3], left(&inbox, "WRONG"));
}

#[test]
fn what_is_gone_is_removed_bit_by_bit() {
    let sandbox = Sandbox::new();
    for _ in 0..450 {
        sandbox.deliver("Subject: x\n\nbanana\n");
    }
    let inbox = sandbox.inbox();
    read_all(&inbox, 100);
    let uids: Vec<u32> = (1..=430).collect();
    inbox
        .store(&uids, StoreMode::Add, (flag::DELETED, &[]), None, later(5))
        .unwrap();
    inbox.expunge(&uids, later(5)).unwrap();
    assert_eq!(3, read_all(&inbox, 100));
    let rows = inbox.account.in_texts(false, |file| {
        file.query_row("SELECT count(*) FROM message_docsize", [], |row| {
            row.get::<_, u32>(0)
        })
    });
    assert_eq!(Some(20), rows.unwrap());
    assert_eq!((431..=450).collect::<Vec<u32>>(), left(&inbox, "BANANA"));
}

#[test]
fn an_index_that_was_made_anew_gives_uids_to_other_messages() {
    let sandbox = Sandbox::new();
    let inbox = fruit(&sandbox);
    read_all(&inbox, 8);
    drop(inbox);
    for name in ["pymta.index", "pymta.index-wal", "pymta.index-shm"] {
        let _ = std::fs::remove_file(sandbox.folder.join(name));
    }
    for name in crate::sandbox::list(&sandbox.folder.join("cur")) {
        std::fs::remove_file(sandbox.folder.join("cur").join(name)).unwrap();
    }
    for name in crate::sandbox::list(&sandbox.folder.join("new")) {
        std::fs::remove_file(sandbox.folder.join("new").join(name)).unwrap();
    }
    sandbox.deliver("Subject: x\n\ncurrants\n");
    let inbox = sandbox.inbox();
    assert_eq!(vec![1], left(&inbox, "CURRANT"));
    assert_eq!(vec![1], left(&inbox, "BANANA"));
    read_all(&inbox, 8);
    assert_eq!(vec![1], left(&inbox, "CURRANT"));
    assert!(left(&inbox, "BANANA").is_empty());
}

#[test]
fn uids_that_were_taken_over_are_those_of_other_messages() {
    let sandbox = Sandbox::new();
    let inbox = fruit(&sandbox);
    read_all(&inbox, 8);
    let validity = inbox.status().unwrap().uid_validity;
    let mut names: Vec<String> = [sandbox.list("new"), sandbox.list("cur")].concat();
    names.sort();
    // The same UIDVALIDITY, and other UIDs for the same messages.
    let lines: Vec<String> = (11..)
        .zip(&names)
        .map(|(uid, name)| format!("{uid} :{name}\n"))
        .collect();
    let lines = lines
        .concat()
        .replace("11 ", "2 ")
        .replace("12 ", "3 ")
        .replace("13 ", "4 ");
    let list = format!("3 V{validity} N20 G{}\n{lines}", ObjectId(7));
    std::fs::write(sandbox.folder.join("dovecot-uidlist"), list).unwrap();
    inbox
        .account
        .import(&crate::Progress::default(), &mut |_, _| Ok(()), later(5))
        .unwrap();
    let inbox = inbox.account.mailbox("INBOX", later(6)).unwrap().unwrap();
    assert_eq!(3, inbox.messages().unwrap().len());
    assert!(left(&inbox, "APPLE").contains(&2));
    read_all(&inbox, 8);
    assert_eq!(vec![2], left(&inbox, "APPLE"));
}

#[test]
fn a_damaged_or_missing_file_is_made_again() {
    let sandbox = Sandbox::new();
    let inbox = fruit(&sandbox);
    read_all(&inbox, 8);
    let octets = std::fs::read(file(&sandbox)).unwrap();
    drop(inbox);
    for garbage in [
        b"no database at all, by no means".repeat(200),
        vec![],
        octets[..octets.len() / 2].to_vec(),
    ] {
        std::fs::write(file(&sandbox), garbage).unwrap();
        for name in ["pymta.search-wal", "pymta.search-shm"] {
            let _ = std::fs::remove_file(sandbox.folder.join(name));
        }
        let inbox = sandbox.inbox();
        assert!(left(&inbox, "BANANA").contains(&2));
        for _ in 0..3 {
            read_all(&inbox, 8);
        }
        assert_eq!(vec![2], left(&inbox, "BANANA"));
    }
    let inbox = sandbox.inbox();
    std::fs::remove_file(file(&sandbox)).unwrap();
    assert_eq!(vec![1, 2, 3], left(&inbox, "BANANA"));
    read_all(&inbox, 8);
    assert_eq!(vec![2], left(&inbox, "BANANA"));
}

#[test]
fn what_another_process_has_beside_a_removed_file_is_not_the_next_ones() {
    let sandbox = Sandbox::new();
    let inbox = fruit(&sandbox);
    read_all(&inbox, 8);
    let other = sandbox.inbox();
    assert_eq!(vec![2], left(&other, "BANANA"));
    // A second name, lest the inode come again.
    let (beside, kept) = (
        sandbox.folder.join("pymta.search-shm"),
        sandbox.folder.join("kept"),
    );
    std::fs::hard_link(&beside, &kept).unwrap();
    std::fs::remove_file(file(&sandbox)).unwrap();
    read_all(&inbox, 8);
    let inode = |path: &PathBuf| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
    assert_ne!(inode(&kept), inode(&beside));
    assert_eq!(vec![2], left(&other, "BANANA"));
    assert_eq!(vec![2], left(&inbox, "BANANA"));
}

#[test]
fn a_newer_format_is_neither_used_nor_touched() {
    let sandbox = Sandbox::new();
    let inbox = fruit(&sandbox);
    read_all(&inbox, 8);
    let format = |number: i64| {
        let set = |file: &mut Connection| file.pragma_update(None, "user_version", number);
        inbox.account.in_texts(true, set).unwrap();
        *inbox.account.texts.lock().unwrap() = None;
    };
    format(99);
    assert_eq!(vec![1, 2, 3], left(&inbox, "BANANA"));
    assert_eq!(TextStep::Done, inbox.text_step(8).unwrap());
    assert!(file(&sandbox).exists());
    Connection::open(file(&sandbox))
        .unwrap()
        .pragma_update(None, "user_version", 0)
        .unwrap();
    assert_eq!(vec![1, 2, 3], left(&inbox, "BANANA"));
    read_all(&inbox, 8);
    assert_eq!(vec![2], left(&inbox, "BANANA"));
}

#[test]
fn texts_of_a_mailbox_that_was_deleted_go_too() {
    let sandbox = Sandbox::new();
    let inbox = fruit(&sandbox);
    inbox.account.create("Old", None, now()).unwrap();
    let old = inbox.account.mailbox("Old", now()).unwrap().unwrap();
    inbox
        .copy(&old, &[1, 2], crate::CopyMode::Copy, later(3))
        .unwrap();
    read_all(&old, 8);
    drop(old);
    inbox.account.delete("Old", later(9)).unwrap();
    read_all(&inbox, 8);
    let count = |table: &str| {
        let query = format!("SELECT count(*) FROM {table}");
        let count = |file: &mut Connection| file.query_row(&query, [], |row| row.get::<_, u32>(0));
        inbox.account.in_texts(false, count).unwrap()
    };
    assert_eq!((Some(1), Some(3)), (count("mailbox"), count("message_docsize")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Pieces of what a message holds, and anything else.
    #[test]
    fn nothing_is_excluded_that_holds_a_text(
        texts in prop::collection::vec("[aBé\u{301}ß\"'*^():\\-\\s\u{0}\u{1f600}\u{d7ff}\u{e000}\u{ffff}OR]{0,60}", 1..6),
        others in prop::collection::vec(any::<String>(), 0..3),
        at in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        octets in 1usize..12,
    ) {
        let sandbox = Sandbox::new();
        let texts: Vec<String> = texts.into_iter().chain(others).collect();
        for _ in &texts {
            sandbox.deliver("x\n");
        }
        let inbox = sandbox.inbox();
        inbox.text_step(100).unwrap();
        let rows: Vec<_> = (1..).zip(texts.iter().cloned().map(Some)).collect();
        inbox.put_texts(0, &rows).unwrap();
        let text = at.get(&texts);
        let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        if !starts.is_empty() {
            let from = from.index(starts.len());
            let end = starts.get(from + octets).copied().unwrap_or(text.len());
            let needle = &text[starts[from]..end];
            let left = left(&inbox, needle);
            for (uid, text) in (1u32..).zip(&texts) {
                prop_assert!(!text.contains(needle) || left.contains(&uid), "{needle:?} in {text:?}");
            }
        }
    }
}

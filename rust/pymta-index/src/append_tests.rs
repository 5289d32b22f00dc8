//! APPEND: what is added, and what is left of what is not.

use std::io::Read;

use pymta_maildir::Quota;

use crate::sandbox::{Sandbox, admit_rows, now, refuse_rows};
use crate::{Added, IndexError, flag};

#[test]
fn what_is_added_in_pieces_is_one_message_with_lf() {
    let sandbox = Sandbox::new();
    let inbox = sandbox.inbox();
    let mut upload = inbox.begin_append();
    let added = Added {
        flags: flag::SEEN,
        keywords: vec!["work".to_owned()],
        internal_date_s: Some(1_000_000_000),
    };
    upload.begin(added, now()).unwrap();
    for piece in ["a: b\r", "\n\r\nx\n", "y"] {
        upload.write(piece.as_bytes()).unwrap();
    }
    upload.begin(Added::default(), now()).unwrap();
    upload.write(b"c: d\r\n\r\n").unwrap();
    assert!(sandbox.list("cur").is_empty());
    let appended = upload.commit(now()).unwrap();
    assert_eq!(vec![1, 2], appended.uids);
    assert_eq!(inbox.status().unwrap().uid_validity, appended.uid_validity);
    let mut content = String::new();
    inbox
        .open_file(1, now())
        .unwrap()
        .unwrap()
        .read_to_string(&mut content)
        .unwrap();
    assert_eq!("a: b\n\nx\ny", content);
    let details = inbox.details(&[1, 2], now()).unwrap();
    assert_eq!(
        (12, 1_000_000_000),
        (details[0].octets, details[0].internal_date_s)
    );
    assert_eq!(8, details[1].octets);
    let messages = inbox.messages().unwrap();
    assert_eq!((flag::SEEN, 1), (messages[0].flags, messages[0].keywords));
    assert!(sandbox.list("cur")[0].ends_with(",S=9,W=12:2,S"));
    assert!(sandbox.list("new")[0].ends_with(",S=6,W=8"));
    assert!(sandbox.list("tmp").is_empty());
    inbox.reconcile(now()).unwrap();
    assert_eq!(2, inbox.messages().unwrap().len());
}

#[test]
fn many_messages_are_added_at_once() {
    let sandbox = Sandbox::new();
    let inbox = sandbox.inbox();
    let mut upload = inbox.begin_append();
    for number in 0..9 {
        upload.begin(Added::default(), now()).unwrap();
        upload.write(format!("{number}\r\n").as_bytes()).unwrap();
    }
    assert_eq!(18, upload.octets());
    assert_eq!((1..=9).collect::<Vec<u32>>(), upload.commit(now()).unwrap().uids);
}

#[test]
fn an_upload_that_is_dropped_or_does_not_fit_leaves_nothing() {
    let sandbox = Sandbox::new();
    let quota = Quota {
        octets: Some(10),
        messages: Some(2),
    };
    let account = sandbox.open_with(quota).unwrap();
    let inbox = account.mailbox("INBOX", now()).unwrap().unwrap();
    let upload = |contents: &[&str]| {
        let mut upload = inbox.begin_append();
        for content in contents {
            upload.begin(Added::default(), now()).unwrap();
            upload.write(content.as_bytes()).unwrap();
        }
        upload
    };
    drop(upload(&["dropped"]));
    for contents in [["12345", "123456"].as_slice(), &["1", "2", "3"]] {
        let refused = upload(contents).commit(now());
        assert!(
            matches!(refused, Err(IndexError::OverQuota { .. })),
            "{contents:?}"
        );
    }
    assert!(sandbox.list("tmp").is_empty() && sandbox.list("new").is_empty());
    assert_eq!(2, upload(&["12345", "12345"]).commit(now()).unwrap().uids.len());
    assert_eq!(10, account.used(now()).unwrap().octets);
    inbox.remove(&[1], now()).unwrap();
    assert_eq!(5, account.used(now()).unwrap().octets);
}

#[test]
fn what_the_index_does_not_take_is_not_there() {
    for at_commit in [false, true] {
        let sandbox = Sandbox::new();
        let inbox = sandbox.inbox();
        refuse_rows(inbox.account(), at_commit);
        let mut upload = inbox.begin_append();
        for flags in [0, flag::SEEN] {
            let added = Added {
                flags,
                ..Added::default()
            };
            upload.begin(added, now()).unwrap();
            upload.write(b"a\r\n").unwrap();
        }
        let refused = upload.commit(now());
        assert!(matches!(refused, Err(IndexError::Sqlite(_))), "{refused:?}");
        for subfolder in ["new", "cur", "tmp"] {
            assert!(sandbox.list(subfolder).is_empty(), "{subfolder} {at_commit}");
        }
        admit_rows(inbox.account());
        inbox.reconcile(now()).unwrap();
        assert!(inbox.messages().unwrap().is_empty());
    }
}

/// It was a walk through the whole mailbox: 15 ms in one of 100,000 messages, for each delivery.
#[test]
fn what_is_in_new_is_found_without_a_walk_through_the_mailbox() {
    let sandbox = Sandbox::new();
    let plan: String = sandbox
        .open()
        .read(|index| {
            let text = format!("EXPLAIN QUERY PLAN {}", crate::scan::KNOWN_NEW);
            Ok(index.query_row(&text, [1], |row| row.get(3))?)
        })
        .unwrap();
    assert_eq!("SEARCH file USING INDEX file_new (mailbox=?)", plan);
}

//! What is at the edges: long runs of `>`, messages of nothing, more files than are taken in.

use super::tests::{FIRST, NOW, Sandbox, import, messages_as, written};
use super::{Escaping, MboxError, fields, tree};

#[test]
fn however_many_quotes_a_line_begins_with_it_comes_back() {
    for count in [
        0, 1, 2, 2047, 2048, 2049, 4091, 4096, 65_531, 65_532, 65_535, 65_536, 65_537, 262_143, 262_144,
        300_000,
    ] {
        let quotes = ">".repeat(count);
        let message =
            format!("A: 1\n\n{quotes}From x\n{quotes}x\n{quotes}Fro\n\n{quotes}From {quotes}\n{quotes}\nz\n");
        let mut text = written(message.as_bytes());
        text.extend(written(b"B: 2\n\nother\n"));
        for step in [usize::MAX, 4097] {
            let found = messages_as(&text, Escaping::Mboxrd, step);
            assert_eq!(2, found.len(), "{count}");
            let content = fields::split(&found[0].1).0;
            assert!(content == message.as_bytes(), "{count} {step}");
        }
    }
}

#[test]
fn quotes_at_the_end_of_a_file_are_the_messages() {
    for (text, escaping, content) in [
        ("A: 1\n\n>", Escaping::Mboxrd, "A: 1\n\n>"),
        ("A: 1\n\n>>", Escaping::Mboxo, "A: 1\n\n>>"),
        ("A: 1\n\n>>From ", Escaping::Mboxo, "A: 1\n\n>>From "),
        ("A: 1\n\n>>From ", Escaping::Mboxrd, "A: 1\n\n>From "),
        (">\n\n>From x\n", Escaping::Mboxo, ">\n\nFrom x\n"),
    ] {
        let found = messages_as(format!("{FIRST}{text}").as_bytes(), escaping, 3);
        assert_eq!(content.as_bytes(), found[0].1, "{text:?}");
    }
}

#[test]
fn messages_of_nothing_come_back_as_well() {
    let sandbox = Sandbox::new();
    let cur = sandbox.0.join("mail/example.org/alice/cur");
    std::fs::create_dir_all(&cur).unwrap();
    let messages = ["", "\n", "\n\n\n", "A: 1\n", "A: 1\n\n", "A: 1\n\n\n\n", "\nx\n"];
    for (number, message) in messages.iter().enumerate() {
        std::fs::write(cur.join(format!("170000000{number}.x:2,S")), message).unwrap();
    }
    let there = sandbox.0.join("INBOX.mbox");
    sandbox.upkeep().export_mbox(&there, Some("INBOX"), NOW).unwrap();
    let back = Sandbox::new();
    assert_eq!((7, 0), import(&back.upkeep(), &there));
    assert_eq!((0, 7), import(&back.upkeep(), &there));
    let mut found: Vec<String> = std::fs::read_dir(back.0.join("mail/example.org/alice/cur"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    found.sort();
    let mut messages = messages.to_vec();
    messages.sort_unstable();
    assert_eq!(messages, found);
}

#[test]
fn what_is_written_goes_into_a_folder_that_is_there() {
    let sandbox = Sandbox::new();
    let upkeep = sandbox.upkeep();
    sandbox.put("file", "x");
    for folder in ["none", "none/deep", "file"] {
        for mailbox in [None, Some("INBOX")] {
            let path = sandbox.0.join(folder).join("out");
            let refused = upkeep.export_mbox(&path, mailbox, NOW).unwrap_err();
            let expected = format!("{}: no such folder", sandbox.0.join(folder).display());
            assert_eq!(expected, refused.to_string());
            assert!(!sandbox.0.join("none").exists());
        }
    }
}

#[test]
fn of_more_files_than_are_taken_in_none_is() {
    let sandbox = Sandbox::new();
    for number in 0..4 {
        sandbox.put(&format!("tree/{number}"), &format!("{FIRST}A: 1\n\nx\n"));
    }
    let tree = sandbox.0.join("tree");
    let refused = tree::find(&tree, 3);
    assert!(matches!(refused, Err(MboxError::TooManyFiles(_, 3))));
    assert_eq!(4, tree::find(&tree, 4).unwrap().0.len());
}

#[test]
fn what_is_too_deep_is_told_to_be_passed_over() {
    let sandbox = Sandbox::new();
    let deep = "d/".repeat(33);
    sandbox.put(&format!("tree/{deep}box"), &format!("{FIRST}A: 1\n\nx\n"));
    let (found, others) = tree::find(&sandbox.0.join("tree"), 100).unwrap();
    assert!(found.is_empty());
    assert_eq!(1, others.len());
}

#[test]
fn mailboxes_whose_names_look_like_files_come_back_with_them() {
    let (sandbox, back) = (Sandbox::new(), Sandbox::new());
    sandbox.put("one", &format!("{FIRST}A: 1\n\nx\n"));
    let (one, there) = (sandbox.0.join("one"), sandbox.0.join("all"));
    let mut names = [
        "..b",
        ".b",
        ".sbd/b",
        "A",
        "A.mbox",
        "A.mbox.sbd/b",
        "A.mbox/b",
        "A.sbd/b",
        "A/b",
        "B.mbox/mbox",
    ];
    let upkeep = sandbox.upkeep();
    for name in names {
        let escaping = Escaping::default();
        upkeep.import_mbox(&one, Some(name), escaping, NOW).unwrap();
    }
    upkeep.export_mbox(&there, None, NOW).unwrap();
    assert_eq!((names.len() as u64, 0), import(&back.upkeep(), &there));
    let found = back.upkeep().check(NOW).unwrap().mailboxes.into_iter();
    let mut found: Vec<String> = found.filter(|one| one.messages > 0).map(|one| one.name).collect();
    found.sort();
    names.sort_unstable();
    assert_eq!(names.to_vec(), found);
}

//! What is at the edges: long runs of `>`, messages of nothing.

use super::tests::{FIRST, NOW, Sandbox, import, messages_as, written};
use super::{Escaping, fields};

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

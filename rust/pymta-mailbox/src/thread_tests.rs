//! Threads as RFC 5256 has them.

use super::*;
use crate::search::tests::Mail;

/// `(id, references, subject)`; each is a minute younger than the one before.
fn threads(algorithm: ThreadAlgorithm, messages: &[(&str, &str, &str)]) -> String {
    let contents: Vec<String> = messages
        .iter()
        .enumerate()
        .map(|(at, (id, references, subject))| {
            let bracketed = |ids: &str| ids.split_whitespace().map(|id| format!("<{id}@x> ")).collect::<String>();
            format!(
                "Message-ID: {}\nReferences: {}\nSubject: {subject}\nDate: 1 Jan 2000 00:{at:02}:00 +0000\n\n",
                bracketed(id),
                bracketed(references)
            )
        })
        .collect();
    let rows: Vec<(u8, i64, &str)> = contents.iter().map(|content| (0, 0, content.as_str())).collect();
    let mut mail = Mail::of(&rows);
    let mut threading = Threading::new(algorithm, (0..messages.len()).collect());
    let rows = mail.messages.clone();
    while !threading.go_on(&rows, &mut mail, 1).unwrap() {}
    let mut out = Vec::new();
    threading.write(&|place| u32::try_from(place).unwrap() + 1, &mut out);
    String::from_utf8(out).unwrap()
}

fn references(messages: &[(&str, &str, &str)]) -> String {
    threads(ThreadAlgorithm::References, messages)
}

#[test]
fn ordered_subject() {
    let messages = [
        ("", "", "b"),
        ("", "", "a"),
        ("", "", "Re: b"),
        ("", "", "B (fwd)"),
        ("", "", "Re: a"),
        ("", "", "c"),
    ];
    assert_eq!(
        " (1 (3)(4))(2 5)(6)",
        threads(ThreadAlgorithm::OrderedSubject, &messages)
    );
    assert_eq!("", threads(ThreadAlgorithm::OrderedSubject, &[]));
}

#[test]
fn answers_stand_below_what_they_answer() {
    assert_eq!(
        " (1 2 3)(4)",
        references(&[
            ("a", "", "s"),
            ("b", "a", "Re: s"),
            ("c", "a b", "Re: s"),
            ("d", "", "t")
        ])
    );
    assert_eq!(
        " (1 (2)(3 4))",
        references(&[("a", "", "s"), ("b", "a", ""), ("c", "a", ""), ("d", "a c", "")])
    );
}

#[test]
fn what_is_missing_is_a_dummy_only_at_the_root() {
    // Two answers to a message that is not there; one answer to another.
    assert_eq!(
        " ((1)(2))(3)",
        references(&[("b", "a", "s"), ("c", "a", "s"), ("e", "d", "t")])
    );
    // A gap in the middle vanishes.
    assert_eq!(" (1 2)", references(&[("a", "", "s"), ("c", "a b", "u")]));
    assert_eq!(
        " (1 (2)(3))",
        references(&[("a", "", "s"), ("c", "a b", "u"), ("d", "a b", "v")])
    );
}

#[test]
fn rings_and_doubles_do_no_harm() {
    assert_eq!(" (2 1)", references(&[("a", "b", "s"), ("b", "a", "t")]));
    assert_eq!(" (1)", references(&[("a", "a a", "s")]));
    assert_eq!(
        " (1 2)(3)",
        references(&[("a", "", "s"), ("b", "a", "t"), ("a", "", "u")])
    );
    assert_eq!(" (1)(2)", references(&[("", "", ""), ("", "", "")]));
}

#[test]
fn threads_of_one_subject_are_gathered() {
    // A reply without references goes below the original.
    assert_eq!(" (1 2)", references(&[("a", "", "s"), ("b", "", "Re: s")]));
    // Also where the reply is the older one.
    assert_eq!(" (2 1)", references(&[("a", "", "Re: s"), ("b", "", "s")]));
    // Two originals, and two replies, are siblings.
    assert_eq!(" ((1)(2))", references(&[("a", "", "s"), ("b", "", "s")]));
    assert_eq!(
        " ((1)(2)(3))",
        references(&[("a", "", "s"), ("b", "", "s"), ("c", "", "s")])
    );
    assert_eq!(" ((1)(2))", references(&[("a", "", "Re: s"), ("b", "", "Re: s")]));
    // A dummy takes in what has its subject, and another dummy's children.
    assert_eq!(
        " ((1)(2)(3))",
        references(&[("b", "a", "s"), ("c", "a", "t"), ("d", "", "s")])
    );
    assert_eq!(
        " ((1)(2)(3)(4))",
        references(&[("b", "a", "s"), ("c", "a", "s"), ("e", "d", "s"), ("f", "d", "s")])
    );
    assert_eq!(" (1)(2)", references(&[("a", "", ""), ("b", "", "")]));
}

#[test]
fn siblings_stand_by_date() {
    let mut mail = Mail::of(&[
        (
            0,
            0,
            "Message-ID: <c@x>\nReferences: <a@x>\nDate: 3 Jan 2000 00:00 +0000\n\n",
        ),
        (
            0,
            0,
            "Message-ID: <b@x>\nReferences: <a@x>\nDate: 2 Jan 2000 00:00 +0000\n\n",
        ),
        (0, 0, "Message-ID: <a@x>\nDate: 4 Jan 2000 00:00 +0000\n\n"),
        (0, 0, "Message-ID: <z@x>\nDate: 1 Jan 2000 00:00 +0000\n\n"),
    ]);
    let mut threading = Threading::new(ThreadAlgorithm::References, vec![0, 1, 2, 3]);
    let rows = mail.messages.clone();
    assert!(threading.go_on(&rows, &mut mail, 100).unwrap());
    let mut out = Vec::new();
    threading.write(&|place| rows[place].uid, &mut out);
    assert_eq!(" (40)(30 (20)(10))", String::from_utf8(out).unwrap());
}

#[test]
fn a_conversation_of_twenty_thousand_is_no_matter() {
    let id = |at: usize| format!("{at}@x").into_bytes();
    let keys: Vec<Key> = (0..20_000)
        .map(|at| Key {
            sent_s: 0,
            id: id(at),
            references: if at == 0 { vec![] } else { vec![id(0), id(at - 1)] },
            ..Key::default()
        })
        .collect();
    let threading = Threading {
        algorithm: ThreadAlgorithm::References,
        places: (0..keys.len()).collect(),
        keys,
    };
    let mut out = Vec::new();
    threading.write(&|_| 1, &mut out);
    assert_eq!(2 * 20_000 + 2, out.len());
}

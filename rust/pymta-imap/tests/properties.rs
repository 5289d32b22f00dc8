//! What holds for any input: the same octets give the same session however they are split, nothing panics, nothing is
//! asked of a mailbox without a login, and what is kept is bounded.

#![allow(clippy::unwrap_used)] // what fails shall stop the test

mod common;

use common::{Behind, offer};
use proptest::prelude::*;

/// Everything that is seen from outside.
type Told = (Vec<String>, String, Vec<String>, bool);

fn told<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Told {
    let mut offer = offer();
    offer.auth_without_tls = true;
    offer.append_octets_max = Some(500_000);
    for (name, value) in [
        ("auth_line_octets_max", 300),
        ("line_before_login_octets_max", 300),
        ("line_octets_max", 600),
        ("literal_octets_max", 300),
        ("literal_before_login_octets_max", 255),
        ("command_octets_max", 1000),
    ] {
        offer.limits.set(name, value).unwrap();
    }
    let mut behind = Behind::new(offer, false);
    for piece in pieces {
        behind.send(piece);
        assert!(behind.session.held_octets() <= 1000 + 600 + pymta_imap::CONTENT_OCTETS_MAX + piece.len());
    }
    let is_closing = behind.session.is_closing();
    let out = String::from_utf8_lossy(&behind.out).into_owned();
    (behind.events, out, behind.stored, is_closing)
}

fn command() -> impl Strategy<Value = Vec<u8>> {
    let text = |text: &str| Just(text.as_bytes().to_vec());
    prop_oneof![
        text("a LOGIN a b\r\n"),
        text("a LOGIN {1+}\r\na {1}\r\nb\r\n"),
        text("b AUTHENTICATE PLAIN AGEAYg==\r\n"),
        text("c SELECT INBOX\r\nd UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (A {1+}\r\nB)])\r\n"),
        text("e IDLE\r\nDONE\r\nf NOOP\r\n"),
        text("g SEARCH OR (SEEN FROM {3}\r\nabc) NOT UID 1\r\n"),
        text("h ENABLE QRESYNC UTF8=ACCEPT\r\ni LIST \"\" * RETURN (STATUS (MESSAGES))\r\n"),
        text("j APPEND INBOX (\\Seen) {5+}\r\nhello UTF8 (~{1+}\r\nx)\r\n"),
        text("k APPEND a CATENATE (URL b TEXT {2}\r\nxy URL {1+}\r\nc)\r\n"),
        text("l UID REPLACE 1 a {3}\r\nabc\r\n"),
        text("m CAPABILITY\r\nn ID NIL\r\no CHECK\r\n"),
        (0usize..800, any::<bool>()).prop_map(|(octets, waits)| {
            let plus = if waits { "" } else { "+" };
            let head = format!("p SEARCH TEXT {{{octets}{plus}}}\r\n");
            [head.into_bytes(), vec![b'x'; octets], b"\r\n".to_vec()].concat()
        }),
        (60_000usize..140_000).prop_map(|octets| {
            let head = format!("q APPEND INBOX {{{octets}+}}\r\n");
            [head.into_bytes(), vec![b'x'; octets], b"\r\n".to_vec()].concat()
        }),
        prop::collection::vec(prop::sample::select(b"\r\n\0 a({1+})\"*".to_vec()), 0..30),
        (250usize..700).prop_map(|octets| [b"r ".to_vec(), vec![b'x'; octets], b"\r\n".to_vec()].concat()),
        text("s LOGOUT\r\n"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_session(commands in prop::collection::vec(command(), 0..10), cut in 0usize..2000) {
        let octets = commands.concat();
        let (head, tail) = octets.split_at(cut.min(octets.len()));
        let whole = told(std::iter::once(&octets[..]));
        prop_assert_eq!(&whole, &told([head, tail].into_iter()));
        prop_assert_eq!(&whole, &told(octets.chunks(if octets.len() > 20_000 { 977 } else { 1 })));
    }

    #[test]
    fn without_a_login_nothing_is_asked_of_mailboxes(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut behind = Behind::new(offer(), false);
        behind.send(&octets);
        prop_assert!(!behind.session.is_open() && behind.stored.is_empty());
        prop_assert!(!behind.events.iter().any(|event| event.starts_with("Command") || event.starts_with("Append")));
    }
}

/// A client that asks for much and reads nothing gets no more than a buffer full.
#[test]
fn what_is_not_taken_is_not_made() {
    let mut behind = Behind::new(offer(), true);
    behind.send(b"a LOGIN a b\r\n");
    behind.session.receive(&b"a CAPABILITY\r\n".repeat(10_000));
    while behind.session.next_event().is_some() {}
    assert!(behind.session.is_output_full());
    assert!(behind.session.take_output().len() < 2 * pymta_imap::OUTPUT_OCTETS_MAX);
}

/// Attacks 14 and 15: a response of any length and any padding is an answer or a refusal, and the session goes on.
#[test]
fn a_response_of_any_length_is_answered() {
    for octets in 0..4096 {
        let mut offer = offer();
        offer.limits.set("commands_before_login_max", 100).unwrap();
        let mut behind = Behind::new(offer, true);
        let text = "A".repeat(octets);
        behind.send(format!("a AUTHENTICATE PLAIN {text}\r\n").as_bytes());
        assert_eq!(
            octets > 0 && octets % 4 == 0,
            behind.session.is_open(),
            "{octets}"
        );
        assert!(!behind.session.is_closing());
    }
    let mut behind = Behind::new(offer(), true);
    for text in ["A=AA", "=AAA", "====", "AA==AAAA", "A A=", "\u{0}AAA", "*"] {
        behind.send(format!("a AUTHENTICATE PLAIN {text}\r\n").as_bytes());
        assert!(!behind.session.is_open(), "{text:?}");
    }
    assert_eq!(vec!["auth-malformed"; 7], behind.violations);
}

/// Attacks 20 and 24: a line or a literal without end costs nothing.
#[test]
fn what_has_no_end_is_not_kept() {
    let mut behind = Behind::new(offer(), true);
    for _ in 0..1000 {
        behind.send(&[b'('; 1024]);
        assert!(behind.session.held_octets() <= 16 * 1024);
    }
    behind.send(b"\r\na LOGIN {1000000000+}\r\n");
    for _ in 0..1000 {
        behind.send(&[b'x'; 1024]);
        assert!(behind.session.held_octets() <= 1024);
    }
    assert!(!behind.session.is_closing());
}

//! What holds for any input: the same octets give the same session however they are split, nothing panics, nothing is
//! read without a login, and what is kept is bounded.

#![allow(clippy::unwrap_used)] // what fails shall stop the test

mod common;

use common::{Behind, offer};
use proptest::prelude::*;

fn told<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Vec<u8>, Option<Vec<usize>>, bool) {
    let mut offer = offer();
    offer.auth_without_tls = true;
    offer.limits.set("auth_line_octets_max", 300).unwrap();
    let mut behind = Behind::new(offer, false);
    for piece in pieces {
        behind.send(piece);
        assert!(behind.session.buffered_octets() <= 300 + piece.len());
    }
    let is_closing = behind.session.is_closing();
    (behind.events, behind.out, behind.deleted, is_closing)
}

fn command() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"USER a\r\n".to_vec()),
        Just(b"PASS b\r\n".to_vec()),
        Just(b"AUTH PLAIN AGEAYg==\r\n".to_vec()),
        Just(b"AUTH\r\nCAPA\r\nUTF8\r\n".to_vec()),
        Just(b"STAT\r\nLIST\r\nUIDL\r\nNOOP\r\n".to_vec()),
        (0u64..5, 0u64..3).prop_map(|(n, lines)| format!("TOP {n} {lines}\r\n").into_bytes()),
        (0u64..5).prop_map(|n| format!("RETR {n}\r\nDELE {n}\r\nLIST {n}\r\n").into_bytes()),
        Just(b"RSET\r\n".to_vec()),
        Just(b"QUIT\r\n".to_vec()),
        prop::collection::vec(prop::sample::select(b"\r\n\0 aAUTH=*".to_vec()), 0..30),
        (250usize..400).prop_map(|octets| [vec![b'x'; octets], b"\r\n".to_vec()].concat()),
    ]
}

proptest! {
    #[test]
    fn any_split_gives_the_same_session(commands in prop::collection::vec(command(), 0..14), cut in 0usize..2000) {
        let octets = commands.concat();
        let (head, tail) = octets.split_at(cut.min(octets.len()));
        let whole = told(std::iter::once(&octets[..]));
        prop_assert_eq!(&whole, &told([head, tail].into_iter()));
        prop_assert_eq!(&whole, &told(octets.chunks(1)));
    }

    #[test]
    fn without_a_login_there_is_no_mail(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut behind = Behind::new(offer(), false);
        behind.send(&octets);
        prop_assert!(!behind.session.is_open() && behind.deleted.is_none());
        prop_assert!(!behind.events.iter().any(|event| event.starts_with("Retrieve")));
    }
}

/// A client that asks for much and reads nothing gets no more than a buffer full.
#[test]
fn what_is_not_taken_is_not_made() {
    let mut offer = offer();
    offer.auth_without_tls = true;
    let mut behind = Behind::new(offer, false);
    behind.send(b"USER a\r\nPASS b\r\n");
    behind
        .session
        .receive(&b"LIST\r\nUIDL\r\nCAPA\r\n".repeat(10_000));
    while behind.session.next_event().is_some() {}
    assert!(behind.session.is_output_full());
    assert!(behind.session.output().len() < 2 * pymta_pop3::OUTPUT_OCTETS_MAX);
}

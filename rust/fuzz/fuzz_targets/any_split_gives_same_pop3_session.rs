//! The same octets give the same POP3 session whether they come at once, in two pieces or one by one.
#![no_main]

#[path = "../../pymta-pop3/tests/common/mod.rs"]
mod common;

use common::{Behind, offer};
use libfuzzer_sys::fuzz_target;

fn told<'a>(
    flags: u8,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<String>, Vec<u8>, Option<Vec<usize>>, bool) {
    let mut offer = offer();
    offer.auth_without_tls = flags & 1 == 0;
    offer.stls = flags & 2 != 0;
    for (name, value) in [("auth_line_octets_max", 300), ("commands_before_login_max", 9)] {
        offer.limits.set(name, value).unwrap();
    }
    let mut behind = Behind::new(offer, false);
    for piece in pieces {
        behind.send(piece);
        assert!(behind.session.buffered_octets() <= 300 + piece.len());
    }
    let is_closing = behind.session.is_closing();
    (behind.events, behind.out, behind.deleted, is_closing)
}

fuzz_target!(|input: &[u8]| {
    let [flags, cut, octets @ ..] = input else {
        return;
    };
    let (head, tail) = octets.split_at(usize::from(*cut).min(octets.len()));
    let whole = told(*flags, std::iter::once(octets));
    let halves = told(*flags, [head, tail].into_iter());
    let singly = told(*flags, octets.chunks(1));
    // What came behind STLS before its answer is about time, not about splits.
    let about_time = |(events, ..): &(Vec<String>, Vec<u8>, Option<Vec<usize>>, bool)| {
        events.iter().any(|event| event.contains("StartTlsInjection"))
    };
    if ![&whole, &halves].into_iter().any(about_time) {
        assert_eq!(whole, singly);
        assert_eq!(halves, singly);
    }
});

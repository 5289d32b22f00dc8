//! The same octets give the same IMAP session whether they come at once, in two pieces or one by one.
#![no_main]

#[path = "../../pymta-imap/tests/common/mod.rs"]
mod common;

use common::{Behind, offer};
use libfuzzer_sys::fuzz_target;

type Told = (Vec<String>, Vec<u8>, Vec<String>, bool);

fn told<'a>(flags: u8, pieces: impl Iterator<Item = &'a [u8]>) -> Told {
    let mut offer = offer();
    offer.auth_without_tls = flags & 1 == 0;
    offer.starttls = flags & 2 != 0;
    for (name, value) in [
        ("auth_line_octets_max", 300),
        ("line_octets_max", 400),
        ("literal_octets_max", 300),
        ("command_octets_max", 600),
        ("commands_before_login_max", 9),
    ] {
        offer.limits.set(name, value).unwrap();
    }
    let mut behind = Behind::new(offer, false);
    if flags & 4 != 0 {
        behind.send(b"a LOGIN a b\r\na SELECT INBOX\r\n");
    }
    for piece in pieces {
        behind.send(piece);
    }
    let is_closing = behind.session.is_closing();
    (behind.events, behind.out, behind.stored, is_closing)
}

fuzz_target!(|input: &[u8]| {
    let [flags, cut, octets @ ..] = input else {
        return;
    };
    let (head, tail) = octets.split_at(usize::from(*cut).min(octets.len()));
    let whole = told(*flags, std::iter::once(octets));
    let halves = told(*flags, [head, tail].into_iter());
    let singly = told(*flags, octets.chunks(1));
    // What came behind STARTTLS before its answer is about time, not about splits.
    let about_time = |(events, ..): &Told| events.iter().any(|event| event.contains("StartTlsInjection"));
    if ![&whole, &halves].into_iter().any(about_time) {
        assert_eq!(whole, singly);
        assert_eq!(halves, singly);
    }
});

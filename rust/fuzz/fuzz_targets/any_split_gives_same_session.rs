//! The same octets give the same events and replies whether they come at once, in two pieces or one by one.
#![no_main]

#[path = "../../pymta-smtp/tests/common/mod.rs"]
mod common;

use common::{Behind, offer};
use libfuzzer_sys::fuzz_target;
use pymta_smtp::LineEndings;

fn told<'a>(flags: u8, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Vec<u8>, bool) {
    let mut offer = offer();
    offer.auth_mechanisms = vec!["PLAIN".to_owned()];
    offer.auth_without_tls = true;
    offer.xclient = flags & 1 != 0;
    offer.lmtp = flags & 2 != 0;
    if flags & 4 != 0 {
        offer.line_endings = LineEndings::Normalise;
    }
    for (name, value) in [
        ("command_line_octets_max", 512),
        ("auth_line_octets_max", 600),
        ("text_line_octets_max", 1000),
        ("message_octets_max", 1500),
        ("recipients_max", 3),
    ] {
        offer.limits.set(name, value).unwrap();
    }
    let mut behind = Behind::ready(offer);
    for piece in pieces {
        behind.send(piece);
        assert!(behind.session.buffered_octets() <= 600 + piece.len());
    }
    (behind.events, behind.out, behind.session.is_closing())
}

fuzz_target!(|input: &[u8]| {
    let [flags, cut, octets @ ..] = input else {
        return;
    };
    let (head, tail) = octets.split_at(usize::from(*cut).min(octets.len()));
    let whole = told(*flags, std::iter::once(octets));
    let halves = told(*flags, [head, tail].into_iter());
    let singly = told(*flags, octets.chunks(1));
    // Two violations are about time, not about splits: what came before a reply that it had to wait for.
    let about_time = |(events, ..): &(Vec<String>, Vec<u8>, bool)| {
        events
            .iter()
            .any(|event| event.starts_with("PipelinedContent") || event.starts_with("StarttlsInjection"))
    };
    if ![&whole, &halves].into_iter().any(about_time) {
        assert_eq!(whole, singly);
        assert_eq!(halves, singly);
    }
});

//! Whatever MAIL and RCPT are given, what the envelope keeps can stand in a header field or a log line.
#![no_main]

#[path = "../../pymta-smtp/tests/common/mod.rs"]
mod common;

use common::{Behind, offer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let cut = input
        .iter()
        .position(|&octet| octet == b'\n')
        .unwrap_or(input.len());
    let (mail, rcpt) = input.split_at(cut);
    let mut behind = Behind::ready(offer());
    behind.send(&[b"MAIL FROM:<a@example.test> ", mail, b"\r\n"].concat());
    behind.send(
        &[
            b"RCPT TO:<b@example.test> ",
            rcpt.get(1..).unwrap_or(b""),
            b"\r\n",
        ]
        .concat(),
    );
    let envelope = behind.session.envelope();
    let mut texts: Vec<&str> = envelope.envid.as_deref().into_iter().collect();
    for original in envelope.recipients.iter().filter_map(|r| r.original.as_ref()) {
        texts.extend([&original.address_type[..], &original.address]);
    }
    for text in texts {
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert_eq!(
            Some(text.to_owned()),
            pymta_smtp::xtext::decode(pymta_smtp::xtext::encode(text).as_bytes())
        );
    }
    let replies = behind.take_out();
    assert!(
        replies
            .split_terminator("\r\n")
            .all(|line| !line.chars().any(char::is_control))
    );
});

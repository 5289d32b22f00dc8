//! Whatever arrives behind a login, the IMAP session neither panics nor keeps more than its limits, and each line that it
//! says is one.
#![no_main]

#[path = "../../pymta-imap/tests/common/mod.rs"]
mod common;

use common::{Behind, offer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut offer = offer();
    offer.compress = true;
    offer.limits.set("violations_max", 1000).unwrap();
    let mut behind = Behind::new(offer, true);
    behind.send(b"a LOGIN a b\r\na ENABLE QRESYNC UTF8=ACCEPT\r\na SELECT INBOX\r\n");
    for line in input.split_inclusive(|&octet| octet == b'\n') {
        behind.send(line);
        assert!(behind.session.held_octets() <= 262_144 + 65_536 + line.len());
    }
    if !behind.session.is_compressing() {
        let out = behind.out;
        assert!(out.is_empty() || out.ends_with(b"\r\n"));
    }
});

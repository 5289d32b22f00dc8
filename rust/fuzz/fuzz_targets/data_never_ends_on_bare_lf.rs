//! Content ends at the first CR LF dot CR LF and nowhere else, and what is taken holds nothing but pairs.
#![no_main]

#[path = "../../pymta-smtp/tests/common/mod.rs"]
mod common;

use common::{Behind, offer};
use libfuzzer_sys::fuzz_target;
use pymta_smtp::LineEndings;

fuzz_target!(|input: &[u8]| {
    let Some((&flags, octets)) = input.split_first() else {
        return;
    };
    let mut offer = offer();
    if flags & 1 != 0 {
        offer.line_endings = LineEndings::Normalise;
    }
    let mut behind = Behind::ready(offer);
    behind.send(b"MAIL FROM:<>\r\nRCPT TO:<a@example.test>\r\nDATA\r\n");
    let end = [b"\r\n", octets]
        .concat()
        .windows(5)
        .position(|five| five == b"\r\n.\r\n");
    let content = &octets[..end.map_or(octets.len(), |at| at + 3)];
    let piece = usize::from(flags >> 1).max(1);
    content.chunks(piece).for_each(|piece| behind.send(piece));
    assert_eq!(end.is_none(), behind.session.is_receiving_content());
    if let Some(message) = behind.messages.first() {
        let mut before = b'\n';
        for &octet in &message.content {
            assert_eq!(before == b'\r', octet == b'\n');
            assert_ne!(0, octet);
            before = octet;
        }
        assert_ne!(b'\r', before);
    }
});

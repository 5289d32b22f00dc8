//! Content that was made fit for a next hop fits, and each of its parts decodes to what it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pymta_mime::{PartLimits, Structure};
use pymta_smtp::convert::{Target, convert};

const OCTETS_MAX: usize = 1 << 20;

fn decoded(content: &[u8]) -> Vec<(String, usize, Vec<u8>)> {
    let structure = Structure::scan(content, PartLimits::default());
    let leaves = structure.parts.iter().filter(|part| !part.is_multipart());
    leaves
        .map(|part| {
            let octets = part.decode(content, OCTETS_MAX).octets.to_vec();
            (part.content_type.clone(), part.depth, octets)
        })
        .collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((&flags, content)) = input.split_first() else {
        return;
    };
    let target = if flags & 1 == 0 {
        Target::SevenBit
    } else {
        Target::EightBit
    };
    let Ok(converted) = convert(content, target) else {
        return;
    };
    assert!(target == Target::EightBit || converted.is_ascii());
    assert!(!converted.contains(&0));
    let text = [&b"\n"[..], &converted].concat();
    for pair in text.windows(2) {
        assert_eq!(pair[0] == b'\r', pair[1] == b'\n');
    }
    let message = |(content_type, ..): &(String, usize, Vec<u8>)| content_type == "message/rfc822";
    let (before, after) = (decoded(content), decoded(&converted));
    // Of an enclosed message the parts are converted, and so its own octets change.
    if !before.iter().any(message) {
        assert_eq!(before, after);
    }
    assert_eq!(Ok(&converted), convert(&converted, target).as_ref());
});

//! A PROXY header is found wherever the input is cut, asks for at most 536 octets, and once told stays told.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pymta_smtp::proxy::parse;

fuzz_target!(|octets: &[u8]| {
    let whole = parse(octets);
    assert!(octets.len() < 536 || whole != Ok(None));
    if let Ok(Some(header)) = whole {
        assert!(header.octets <= octets.len() && header.octets <= 536);
        assert_eq!(whole, parse(&octets[..header.octets]));
        for end in 0..header.octets {
            assert_eq!(Ok(None), parse(&octets[..end]));
        }
    }
});

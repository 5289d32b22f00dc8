//! What is an address stays that address when it is written and read again, and is made of its two parts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pymta_types::Address;

fuzz_target!(|octets: &[u8]| {
    let Ok(address) = Address::parse(octets) else {
        return;
    };
    assert_eq!(octets, address.as_str().as_bytes());
    assert_eq!(Ok(&address), Address::parse(address.as_str().as_bytes()).as_ref());
    assert!(!address.as_str().chars().any(char::is_control));
    if !address.domain().is_empty() {
        assert_eq!(
            address.as_str(),
            format!("{}@{}", address.local_part(), address.domain())
        );
        assert!(!address.domain().contains('@'));
    }
    if let Ok(again) = Address::parse(address.canonical().as_bytes()) {
        assert_eq!(address.canonical(), again.canonical());
    }
});

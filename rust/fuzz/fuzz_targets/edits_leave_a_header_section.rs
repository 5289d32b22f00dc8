//! However a header section is edited, what a reader finds in it then is what was there and what was added.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pymta_mime::{HeaderLimits, HeaderSection};

fn values(section: &HeaderSection) -> Vec<Vec<u8>> {
    section.iter().map(|field| field.whole().to_vec()).collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, octets)) = input.split_first() else {
        return;
    };
    let (value, content) = octets.split_at(usize::from(cut).min(octets.len()));
    let value = String::from_utf8_lossy(value);
    let mut section = HeaderSection::scan(content, HeaderLimits::default());
    if section.violation().is_some() {
        return;
    }
    let before = values(&section);
    let rescanned = |section: &HeaderSection| {
        let again = HeaderSection::scan(section.octets(), HeaderLimits::default());
        assert_eq!(values(section), values(&again));
        assert_eq!(section.count(), again.count());
    };

    if section.append("X-Last", &value).is_ok() {
        assert_eq!(before.len() + 1, section.count());
        rescanned(&section);
    }
    if section.prepend("X-First", &value).is_ok() {
        assert!(section.iter().next().unwrap().is(b"x-first"));
        rescanned(&section);
    }
    if section.replace("Subject", &value).is_ok() {
        assert!(section.fields("subject").count() <= 1);
        rescanned(&section);
    }
    for name in ["x-first", "x-last", "subject"] {
        section.remove(name);
        assert_eq!(0, section.fields(name).count());
    }
    rescanned(&section);
    let kept = |field: &&Vec<u8>| {
        let scanned = HeaderSection::scan(field, HeaderLimits::default());
        !["x-first", "x-last", "subject"]
            .into_iter()
            .any(|name| scanned.field(name).is_some())
    };
    let trimmed = |fields: &[Vec<u8>]| -> Vec<Vec<u8>> {
        fields
            .iter()
            .filter(kept)
            .map(|field| field.trim_ascii_end().to_vec())
            .collect()
    };
    assert_eq!(trimmed(&before), trimmed(&values(&section)));
});

//! Addresses, dates, identifiers and subjects of a stranger: whatever they are, what is read of them is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pymta_mime::{ADDRESSES_MAX, Listed, SUBJECT_OCTETS_MAX, address_list, base_subject, message_ids, sent_date};

fuzz_target!(|value: &[u8]| {
    let listed = address_list(value);
    assert!(listed.len() <= ADDRESSES_MAX + 2);
    let groups = |wanted: &dyn Fn(&Listed) -> bool| listed.iter().filter(|member| wanted(member)).count();
    assert_eq!(groups(&|m| matches!(m, Listed::Group(_))), groups(&|m| *m == Listed::GroupEnd));
    if let Some(date) = sent_date(value) {
        assert!(date.offset_min.abs() < 24 * 60);
        assert!(date.local_day().abs() < 4_000_000);
    }
    for id in message_ids(value, 10) {
        assert!(id.len() <= 1000);
    }
    let base = base_subject(value);
    assert!(base.text.len() <= SUBJECT_OCTETS_MAX);
});

//! Whatever a message claims of its parts, they lie in it and in each other, and what they decode to is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pymta_mime::{PartLimits, Structure, encoded_word};

const OCTETS_MAX: usize = 1000;

fuzz_target!(|content: &[u8]| {
    let limits = PartLimits {
        depth_max: 5,
        parts_max: 50,
        ..PartLimits::default()
    };
    let structure = Structure::scan(content, limits);
    assert!((1..=limits.parts_max).contains(&structure.parts.len()));
    assert_eq!(0, structure.parts[0].depth);
    let mut around = Vec::new();
    for part in &structure.parts {
        assert!(part.header.start <= part.header.end && part.header.end <= part.body.start);
        assert!(part.body.start <= part.body.end && part.body.end <= content.len());
        assert!(part.depth <= limits.depth_max && part.depth <= around.len());
        around.truncate(part.depth);
        if let Some(outer) = around.last() {
            let outer: &std::ops::Range<usize> = outer;
            assert!(outer.start <= part.header.start && part.body.end <= outer.end);
        }
        around.push(part.body.clone());
        assert!(part.decode(content, OCTETS_MAX).octets.len() <= OCTETS_MAX);
        part.text(content, OCTETS_MAX);
    }
    encoded_word::decode(content, OCTETS_MAX);
});

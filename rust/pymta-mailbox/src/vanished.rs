//! VANISHED (EARLIER): which of the UIDs that a client knows are no more (RFC 7162 §3.2.10).

use std::ops::RangeInclusive;

use pymta_imap::command::SequenceSet;

use crate::picture::Picture;

/// Says those of the ranges that the client may know; nothing where there are none.
pub(crate) fn say(
    out: &mut Vec<u8>,
    vanished: &[RangeInclusive<u32>],
    known: Option<&SequenceSet>,
    picture: &Picture,
) {
    let mut ranges = match known {
        None => vanished.to_vec(),
        Some(SequenceSet::Ranges(known)) => {
            let mut common = Vec::new();
            for &(first, last) in known {
                for range in vanished {
                    let (start, end) = (first.max(*range.start()), last.min(*range.end()));
                    if start <= end {
                        common.push(start..=end);
                    }
                }
            }
            common
        }
        Some(SequenceSet::Saved) => Vec::new(),
    };
    // A message that this client still has a number for is told with VANISHED, without (EARLIER), when that is allowed.
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| *range.start());
    let mut said: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let (start, end) = (*range.start(), *range.end());
        match said.last_mut() {
            Some((_, last)) if u64::from(*last) + 1 >= u64::from(start) => *last = end.max(*last),
            _ => said.push((start, end)),
        }
    }
    let said = said
        .into_iter()
        .flat_map(|(start, end)| without_rows(start, end, picture));
    let words: Vec<String> = said
        .map(|(start, end)| {
            if start == end {
                start.to_string()
            } else {
                format!("{start}:{end}")
            }
        })
        .collect();
    if !words.is_empty() {
        out.extend_from_slice(b"* VANISHED (EARLIER) ");
        out.extend_from_slice(words.join(",").as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// The range without the UIDs of messages that are in the picture.
fn without_rows(start: u32, end: u32, picture: &Picture) -> Vec<(u32, u32)> {
    let rows = picture.rows();
    let first = rows.partition_point(|row| row.uid < start);
    let (mut parts, mut next) = (Vec::new(), start);
    for row in rows[first..].iter().take_while(|row| row.uid <= end) {
        if row.uid > next {
            parts.push((next, row.uid - 1));
        }
        next = row.uid.saturating_add(1);
    }
    if next <= end {
        parts.push((next, end));
    }
    parts
}

/// Whether a set of UIDs holds one; `*` is everything above.
pub(crate) fn holds(set: &SequenceSet, uid: u32) -> bool {
    match set {
        SequenceSet::Ranges(ranges) => ranges.iter().any(|&(first, last)| (first..=last).contains(&uid)),
        SequenceSet::Saved => false,
    }
}

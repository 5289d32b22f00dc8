//! VANISHED (EARLIER): which of the UIDs that a client knows are no more (RFC 7162 §3.2.10).

use std::ops::RangeInclusive;

use pymta_imap::command::SequenceSet;

use crate::picture::Picture;
use crate::search::joined;

/// The UIDs that a client says it knows.
pub(crate) struct Known(
    /// Ascending and apart, however often a set names the same ones; None: all.
    Option<Vec<(u32, u32)>>,
);

impl Known {
    pub(crate) fn of(set: Option<&SequenceSet>) -> Self {
        Self(set.map(|set| match set {
            SequenceSet::Ranges(ranges) => joined(ranges.clone()),
            SequenceSet::Saved => Vec::new(),
        }))
    }

    /// Whether one is among them; `*` is everything above.
    pub(crate) fn holds(&self, uid: u32) -> bool {
        self.0.as_ref().is_none_or(|ranges| {
            let after = ranges.partition_point(|&(first, _)| first <= uid);
            after.checked_sub(1).is_some_and(|at| uid <= ranges[at].1)
        })
    }

    /// Those of the ranges, ascending and apart, that are among them.
    fn among(&self, ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
        let Some(known) = &self.0 else {
            return ranges;
        };
        let (mut common, mut next) = (Vec::new(), 0);
        for (first, last) in ranges {
            while known.get(next).is_some_and(|&(_, end)| end < first) {
                next += 1;
            }
            let touching = known[next..].iter().take_while(|&&(start, _)| start <= last);
            common.extend(touching.map(|&(start, end)| (start.max(first), end.min(last))));
            // The last one that touched this range may touch the next one too.
            while known.get(next).is_some_and(|&(_, end)| end <= last) {
                next += 1;
            }
        }
        common
    }
}

/// Says those of the ranges that the client may know; nothing where there are none.
pub(crate) fn say(out: &mut Vec<u8>, vanished: &[RangeInclusive<u32>], known: &Known, picture: &Picture) {
    let ranges = vanished.iter().filter(|range| !range.is_empty());
    let said = known.among(joined(
        ranges.map(|range| (*range.start(), *range.end())).collect(),
    ));
    // A message that this client still has a number for is told with VANISHED, without (EARLIER), when that is allowed.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(ranges: &[(u32, u32)]) -> Known {
        Known::of(Some(&SequenceSet::Ranges(ranges.to_vec())))
    }

    /// Ten thousand times everything, crossed with all that is gone, was gigabytes.
    #[test]
    fn a_set_that_repeats_itself_costs_no_more_than_once() {
        let all = known(&[(1, u32::MAX); 10_000]);
        assert_eq!(Some(vec![(1, u32::MAX)]), all.0);
        let gone: Vec<(u32, u32)> = (1..100_000).map(|n| (2 * n, 2 * n)).collect();
        assert_eq!(gone, all.among(gone.clone()));
    }

    proptest! {
        #[test]
        fn what_is_known_of_ranges_is_as_looked_up_one_by_one(
            ranges in prop::collection::vec((1..40u32, 0..6u32), 0..8),
            gone in prop::collection::vec((1..40u32, 0..6u32), 0..8),
        ) {
            let ends = |ranges: Vec<(u32, u32)>| -> Vec<_> {
                ranges.into_iter().map(|(first, more)| (first, first + more)).collect()
            };
            let within = |ranges: &[(u32, u32)], uid| ranges.iter().any(|&(first, last)| (first..=last).contains(&uid));
            let (ranges, gone) = (ends(ranges), ends(gone));
            let known = known(&ranges);
            let among = known.among(joined(gone.clone()));
            prop_assert!(among.is_sorted() && among.windows(2).all(|pair| pair[0].1 < pair[1].0));
            for uid in 1..60 {
                prop_assert_eq!(within(&ranges, uid), known.holds(uid));
                prop_assert_eq!(within(&ranges, uid) && within(&gone, uid), within(&among, uid));
            }
        }
    }
}

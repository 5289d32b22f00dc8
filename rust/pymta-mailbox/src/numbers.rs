//! Which messages of the selected mailbox a set of numbers or UIDs names.

use pymta_imap::command::SequenceSet;

use crate::picture::Picture;

/// A set named a number that no message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoSuchNumber;

impl Picture {
    /// Places of the rows that a set names, ascending, each once. UIDs that no message has are nobody's trouble.
    pub(crate) fn resolve(&self, set: &SequenceSet, by_uid: bool) -> Result<Vec<usize>, NoSuchNumber> {
        let rows = self.rows();
        let ranges = match set {
            SequenceSet::Saved => {
                return Ok(self.saved.iter().filter_map(|&uid| self.position(uid)).collect());
            }
            SequenceSet::Ranges(ranges) => ranges,
        };
        let mut spans = Vec::with_capacity(ranges.len());
        for &(first, last) in ranges {
            let span = if by_uid {
                self.span_of_uids(first, last)
            } else {
                self.span_of_numbers(first, last)?
            };
            spans.push(span);
        }
        spans.sort_unstable();
        let (mut found, mut next) = (Vec::new(), 0);
        for (start, end) in spans {
            found.extend(start.max(next)..end.min(rows.len()));
            next = next.max(end);
        }
        Ok(found)
    }

    fn span_of_uids(&self, first: u32, last: u32) -> (usize, usize) {
        let rows = self.rows();
        let largest = rows.last().map_or(0, |row| row.uid);
        // `*` is the largest there is, also where the other end is above it (RFC 9051 §9, seq-range).
        let (first, last) = match (first, last) {
            (u32::MAX, u32::MAX) => (largest, largest),
            (first, u32::MAX) => (first.min(largest), first.max(largest)),
            both => both,
        };
        let start = rows.partition_point(|row| row.uid < first);
        let end = rows.partition_point(|row| row.uid <= last);
        (start, end)
    }

    fn span_of_numbers(&self, first: u32, last: u32) -> Result<(usize, usize), NoSuchNumber> {
        let largest = self.rows().len();
        if largest == 0 && (first, last) == (1, u32::MAX) {
            // `1:*` is how clients say "all", also before they looked; by the letter it is as wrong here as `*` is (RFC 9051
            // §9, seq-number).
            return Ok((0, 0));
        }
        let place = |number: u32| match usize::try_from(number) {
            _ if number == u32::MAX && largest > 0 => Ok(largest),
            Ok(number) if (1..=largest).contains(&number) => Ok(number),
            _ => Err(NoSuchNumber),
        };
        let (one, other) = (place(first)?, place(last)?);
        Ok((one.min(other) - 1, one.max(other)))
    }
}

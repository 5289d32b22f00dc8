//! A header section as it stands in a content, borrowed: looked at, never edited (for that, [`crate::HeaderSection`]).

use std::borrow::Cow;

use crate::scan::{HeaderLimits, HeaderViolation, Scan, scan};
use crate::{Field, PartLimits};

/// The fields at the begin of a content, and where they end.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    octets: &'a [u8],
    found: Scan,
}

impl<'a> Fields<'a> {
    /// Looks at the begin of `content`; see `scan` for what a field is and where a section ends.
    pub fn scan(content: &'a [u8], limits: HeaderLimits) -> Self {
        Self {
            octets: content,
            found: scan(content, limits),
        }
    }

    /// As [`Self::scan`], with the limits that a part has by default.
    pub fn of_part(content: &'a [u8]) -> Self {
        let limits = PartLimits::default();
        Self::scan(
            content,
            HeaderLimits {
                section_octets_max: limits.header_octets_max,
                fields_max: limits.header_fields_max,
            },
        )
    }

    /// The section through its empty line, where it has one.
    pub fn octets(&self) -> &'a [u8] {
        &self.octets[..self.found.end]
    }

    /// Whether an empty line closes it.
    pub fn is_closed(&self) -> bool {
        self.found.closed
    }

    /// What a limit cut off, or None.
    pub fn violation(&self) -> Option<HeaderViolation> {
        self.found.violation
    }

    /// The fields from top to bottom.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Field<'a>> + ExactSizeIterator + '_ {
        let octets = self.octets;
        self.found.spans.iter().map(move |&span| Field::new(octets, span))
    }

    /// The first value of that name, unfolded.
    pub fn first(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        self.iter()
            .find(|field| field.is(name.as_bytes()))
            .map(|field| field.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_seen_where_they_stand() {
        let fields = Fields::of_part(b"A: 1\r\nb: 2\r\n x\r\nB: 3\r\n\r\nbody");
        assert_eq!(3, fields.iter().len());
        assert_eq!(Some(&b"2 x"[..]), fields.first("B").as_deref());
        assert_eq!(
            (24, true, None),
            (fields.octets().len(), fields.is_closed(), fields.violation())
        );
    }
}

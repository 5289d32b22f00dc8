//! One header field, as a view into its section.

use std::borrow::Cow;

use crate::scan::Span;

/// A header field: three slices of the section that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    whole: &'a [u8],
    name_octets: usize,
    value_at: usize,
}

impl<'a> Field<'a> {
    pub(crate) fn new(section: &'a [u8], span: Span) -> Self {
        let start = span.start as usize;
        Self {
            whole: &section[start..span.end as usize],
            name_octets: span.name_end as usize - start,
            value_at: span.value_start as usize - start,
        }
    }

    /// The name as written.
    pub fn name(&self) -> &'a [u8] {
        &self.whole[..self.name_octets]
    }

    /// What follows the colon, as written, with its line endings.
    pub fn raw_value(&self) -> &'a [u8] {
        &self.whole[self.value_at..]
    }

    /// All of the field, as written.
    pub fn whole(&self) -> &'a [u8] {
        self.whole
    }

    /// The value unfolded (RFC 5322 §2.2.3), without white space around it. Copies only where there is a fold.
    pub fn value(&self) -> Cow<'a, [u8]> {
        let value = trim(self.raw_value());
        let Some(mut fold) = memchr::memmem::find(value, b"\r\n") else {
            return Cow::Borrowed(value);
        };
        let mut unfolded = Vec::with_capacity(value.len());
        let mut rest = value;
        loop {
            unfolded.extend_from_slice(&rest[..fold]);
            rest = &rest[fold + 2..];
            match memchr::memmem::find(rest, b"\r\n") {
                Some(next) => fold = next,
                None => break,
            }
        }
        unfolded.extend_from_slice(rest);
        Cow::Owned(unfolded)
    }

    /// Whether this is the field of that name, in any case.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name().eq_ignore_ascii_case(name)
    }
}

/// Without white space and line endings at both ends.
fn trim(octets: &[u8]) -> &[u8] {
    let blank = |octet: &u8| matches!(octet, b' ' | b'\t' | b'\r' | b'\n');
    let start = octets.iter().position(|o| !blank(o)).unwrap_or(octets.len());
    let end = octets.iter().rposition(|o| !blank(o)).map_or(start, |at| at + 1);
    &octets[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{HeaderLimits, scan};

    fn value(section: &[u8]) -> Vec<u8> {
        let span = scan(section, HeaderLimits::default()).spans[0];
        Field::new(section, span).value().into_owned()
    }

    #[test]
    fn a_value_is_unfolded_and_trimmed() {
        assert_eq!(b"hello".to_vec(), value(b"A: hello \r\n"));
        assert_eq!(b"a b\tc".to_vec(), value(b"A: a\r\n b\r\n\tc\r\n\r\n"));
        assert_eq!(b"".to_vec(), value(b"A:\r\n"));
        assert_eq!(b"x".to_vec(), value(b"A:\r\n \r\n x\r\n"));
        assert_eq!(b"x".to_vec(), value(b"A:x"));
    }
}

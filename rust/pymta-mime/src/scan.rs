//! Finds the fields of a header section, in one pass over borrowed octets.
//!
//! What a field is (RFC 5322 §2.2, §4.5): a line of a name, optional white space, a colon and a value, with the lines
//! after it that begin with white space. What else stands in a header section is *opaque*: kept, never shown.
//!
//! Where the section ends is a security decision, because a reader that sees more fields than we do can be told
//! things that we did not check. So we take the widest view:
//! - Only an empty line or the end of the content ends it. Some readers stop at the first line that is no field
//!   (Postfix, Python's `email`), others go on; a forged field after such a line is one that we must see, be able to
//!   remove, and count.
//! - A content that begins with white space, or that has no field before its first empty line, has no header section:
//!   it is all body. [`crate::HeaderSection`] then puts an empty line below whatever is prepended, so that no reader
//!   can take the first line of the body for a continuation of our trace field.

use memchr::memchr_iter;

/// How much header section is read, before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderLimits {
    /// Longest header section, with its empty line. At most [`SECTION_OCTETS_CAP`] counts.
    pub section_octets_max: usize,
    /// Most fields.
    pub fields_max: usize,
}

/// What fits the offsets of [`Span`] with room for edits.
pub(crate) const SECTION_OCTETS_CAP: usize = 64 << 20;

impl Default for HeaderLimits {
    /// 256 KiB and 1000 fields: ten times what long mailing-list threads and ARC chains reach.
    fn default() -> Self {
        Self {
            section_octets_max: 256 << 10,
            fields_max: 1000,
        }
    }
}

/// Why a header section is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderViolation {
    /// No empty line within `section_octets_max`.
    #[error("header section too large")]
    SectionTooLarge,
    /// More than `fields_max`.
    #[error("too many header fields")]
    TooManyFields,
}

/// Where a field is, relative to the begin of its section. 16 octets, of which a message has some dozens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// First octet of the name.
    pub(crate) start: u32,
    /// After the last octet of the name.
    pub(crate) name_end: u32,
    /// After the colon.
    pub(crate) value_start: u32,
    /// After the CRLF of the last line (or the end of the content).
    pub(crate) end: u32,
}

/// What one pass found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) spans: Vec<Span>,
    /// Where the section ends: after the empty line, at the end of the content, or where a limit stopped us.
    pub(crate) end: usize,
    /// Whether an empty line closes it.
    pub(crate) closed: bool,
    /// The first line that is no field: appended fields stand before it, where every reader sees them.
    pub(crate) first_opaque: Option<usize>,
    pub(crate) received_hops: usize,
    pub(crate) violation: Option<HeaderViolation>,
}

impl Scan {
    fn headless() -> Self {
        Self {
            spans: Vec::new(),
            end: 0,
            closed: false,
            first_opaque: None,
            received_hops: 0,
            violation: None,
        }
    }
}

/// What the last line was, which decides what a line of white space and text continues.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Field,
    Opaque,
}

/// Scans the header section at the begin of `content`, which may be cut off anywhere after
/// `limits.section_octets_max` octets.
pub(crate) fn scan(content: &[u8], limits: HeaderLimits) -> Scan {
    if matches!(content.first(), Some(b' ' | b'\t')) {
        return Scan::headless();
    }
    let octets_max = limits.section_octets_max.min(SECTION_OCTETS_CAP);
    let window = &content[..content.len().min(octets_max)];
    let mut found = Scan {
        spans: Vec::with_capacity(limits.fields_max.min(32)),
        ..Scan::headless()
    };
    let mut last = Last::Opaque;
    let mut start = 0;
    for newline in memchr_iter(b'\n', window) {
        if newline == 0 || window[newline - 1] != b'\r' {
            continue; // a bare LF is an octet like any other
        }
        let end = newline + 1;
        if end - start == 2 {
            found.end = end;
            found.closed = true;
            break;
        }
        if !take_line(&mut found, window, start, end, &mut last, limits.fields_max) {
            found.end = start;
            found.violation = Some(HeaderViolation::TooManyFields);
            return found;
        }
        start = end;
    }
    if !found.closed {
        found.end = window.len();
        let fits = start == window.len()
            || take_line(
                &mut found,
                window,
                start,
                window.len(),
                &mut last,
                limits.fields_max,
            );
        if !fits || window.len() < content.len() {
            found.end = start;
            found.violation = Some(if fits {
                HeaderViolation::SectionTooLarge
            } else {
                HeaderViolation::TooManyFields
            });
        }
    }
    let only_empty_line = found.closed && found.end == 2;
    if found.spans.is_empty() && found.violation != Some(HeaderViolation::TooManyFields) && !only_empty_line {
        return Scan::headless();
    }
    drop_after(&mut found);
    found
}

/// Takes back the field of which a limit cut off the end.
fn drop_after(found: &mut Scan) {
    let end = offset(found.end);
    match found.spans.last_mut() {
        Some(last) if last.start >= end => drop(found.spans.pop()),
        Some(last) => last.end = last.end.min(end),
        None => {}
    }
}

/// Takes one line that is not empty; false where it is a field too many.
fn take_line(
    found: &mut Scan,
    window: &[u8],
    start: usize,
    end: usize,
    last: &mut Last,
    fields_max: usize,
) -> bool {
    let line = &window[start..end];
    if matches!(line[0], b' ' | b'\t') {
        if *last == Last::Field
            && let Some(span) = found.spans.last_mut()
        {
            span.end = offset(end);
        }
        return true;
    }
    let Some((name_octets, colon)) = name_of(line) else {
        *last = Last::Opaque;
        found.first_opaque.get_or_insert(start);
        return true;
    };
    if found.spans.len() >= fields_max {
        return false;
    }
    *last = Last::Field;
    found.received_hops += usize::from(line[..name_octets].eq_ignore_ascii_case(b"received"));
    found.spans.push(Span {
        start: offset(start),
        name_end: offset(start + name_octets),
        value_start: offset(start + colon + 1),
        end: offset(end),
    });
    true
}

/// The length of the field name and where the colon is; white space may stand between them (RFC 5322 §4.5.3 ff).
fn name_of(line: &[u8]) -> Option<(usize, usize)> {
    let name_octets = line.iter().position(|&octet| !is_ftext(octet))?;
    let blank = line[name_octets..]
        .iter()
        .position(|&octet| octet != b' ' && octet != b'\t')?;
    let colon = name_octets + blank;
    (name_octets > 0 && line[colon] == b':').then_some((name_octets, colon))
}

/// `ftext = %d33-57 / %d59-126` (RFC 5322 §3.6.8).
pub(crate) fn is_ftext(octet: u8) -> bool {
    (33..=126).contains(&octet) && octet != b':'
}

/// An offset within a section: [`SECTION_OCTETS_CAP`] and the limit on edits keep it far below 4 GiB.
pub(crate) fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("sections and edits are limited to some MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(content: &[u8]) -> Vec<String> {
        scan(content, HeaderLimits::default())
            .spans
            .iter()
            .map(|s| String::from_utf8_lossy(&content[s.start as usize..s.name_end as usize]).into_owned())
            .collect()
    }

    #[test]
    fn fields_end_at_the_empty_line_and_own_their_continuations() {
        let content = b"A: 1\r\n\tmore\r\nB : 2\r\n\r\nC: body\r\n";
        let found = scan(content, HeaderLimits::default());
        assert_eq!(vec!["A", "B"], names(content));
        assert_eq!(13, found.spans[0].end);
        assert_eq!((22, true), (found.end, found.closed));
    }

    #[test]
    fn a_line_that_is_no_field_is_kept_and_hides_nothing_after_it() {
        let content = b"From alice Mon Nov 23\r\nA: 1\r\njunk\r\n more junk\r\nReceived: x\r\n\r\nbody";
        let found = scan(content, HeaderLimits::default());
        assert_eq!(vec!["A", "Received"], names(content));
        assert_eq!(1, found.received_hops);
        assert_eq!(Some(0), found.first_opaque);
        assert_eq!(
            29, found.spans[0].end,
            "junk and its continuation belong to no field"
        );
    }

    #[test]
    fn content_without_any_field_or_that_begins_with_white_space_is_all_body() {
        for content in [
            &b"hello\r\nworld\r\n"[..],
            b" x\r\nA: 1\r\n\r\n",
            b"hello\r\n\r\nA: 1\r\n",
            b"",
        ] {
            let found = scan(content, HeaderLimits::default());
            assert_eq!((0, 0, None), (found.end, found.spans.len(), found.violation));
        }
        assert_eq!(2, scan(b"\r\nbody", HeaderLimits::default()).end);
    }

    #[test]
    fn a_bare_lf_or_cr_ends_no_line() {
        assert_eq!(vec!["A"], names(b"A: 1\nB: 2\rC: 3\r\n\n\r\r\n\r\nbody"));
        assert_eq!(
            vec!["A", "B"],
            names(b"A: 1\r\n\n\r\nB: 2"),
            "LF CR LF is no empty line"
        );
    }

    #[test]
    fn the_last_field_may_lack_its_ending() {
        let found = scan(b"A: 1\r\nB: 2", HeaderLimits::default());
        assert_eq!((2, 10, false), (found.spans.len(), found.end, found.closed));
    }

    #[test]
    fn limits_stop_the_scan() {
        let limits = HeaderLimits {
            section_octets_max: 64,
            fields_max: 3,
        };
        let many = scan(&b"A: 1\r\n".repeat(5), limits);
        assert_eq!(
            (Some(HeaderViolation::TooManyFields), 3, 18),
            (many.violation, many.spans.len(), many.end)
        );
        let long = scan(format!("A: {}\r\n\r\n", "x".repeat(100)).as_bytes(), limits);
        assert_eq!(Some(HeaderViolation::SectionTooLarge), long.violation);
        let no_header = scan(&b"no field here\r\n".repeat(100), limits);
        assert_eq!((None, 0), (no_header.violation, no_header.end));
        let exact = format!("A: {}\r\n\r\n", "x".repeat(57));
        assert_eq!(None, scan(exact.as_bytes(), limits).violation);
    }
}

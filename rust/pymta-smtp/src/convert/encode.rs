//! Quoted-printable and base64 as bodies of MIME parts (RFC 2045 §6.7, §6.8).
//!
//! Not a choice of encoding (mod.rs makes it) and not base64 as AUTH has it (`crate::base64`). Rule: what decodes the
//! output gets the input back, octet for octet, and no line of the output can be a MIME delimiter or end a message.

use crate::base64;

/// Longest line of encoded text, without its CRLF (RFC 2045 §6.7 (5), §6.8).
const LINE_OCTETS_MAX: usize = 76;

/// Octets of content on one line of base64.
const BASE64_GROUP_OCTETS: usize = LINE_OCTETS_MAX / 4 * 3;

/// Appends `octets` in lines of base64, with CRLF between them and, where `ended`, behind the last one.
pub(super) fn push_base64(octets: &[u8], out: &mut Vec<u8>, ended: bool) {
    out.reserve(octets.len() / 3 * 4 + octets.len() / 28 + 8);
    for (number, group) in octets.chunks(BASE64_GROUP_OCTETS).enumerate() {
        if number > 0 {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(base64::encode(group).as_bytes());
    }
    if ended {
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends `octets` in quoted-printable. CRLF is a line break, everything else is content; where `ended` and the
/// content does not end with a line break, a soft one ends the last line.
pub(super) fn push_quoted_printable(octets: &[u8], out: &mut Vec<u8>, ended: bool) {
    out.reserve(octets.len() + octets.len() / 4);
    let mut rest = octets;
    let mut line = Line { out, octets: 0 };
    while let Some((&octet, after)) = rest.split_first() {
        if rest.starts_with(b"\r\n") {
            line.end(b"\r\n");
            rest = &rest[2..];
            continue;
        }
        // Behind the last octet comes a soft break, or nothing.
        let ends_line = after.starts_with(b"\r\n") || (after.is_empty() && !ended);
        line.push(octet, ends_line);
        rest = after;
    }
    if ended && line.octets > 0 {
        line.end(b"=\r\n");
    }
}

/// The line that is being written.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    octets: usize,
}

impl Line<'_> {
    fn push(&mut self, octet: u8, ends_line: bool) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let width = if self.is_plain(octet, ends_line) { 1 } else { 3 };
        // The last octet of a line is the soft break's `=`, which a line that ends here does not need.
        let room = LINE_OCTETS_MAX - usize::from(!ends_line);
        if self.octets + width > room {
            self.end(b"=\r\n");
        }
        if self.is_plain(octet, ends_line) {
            self.out.push(octet);
            self.octets += 1;
        } else {
            let digits = [b'=', HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]];
            self.out.extend_from_slice(&digits);
            self.octets += 3;
        }
    }

    /// RFC 2045 §6.7 (2), (3). A hyphen that begins a line is encoded, because a soft break could otherwise make a
    /// delimiter of a part's content, and so is a dot, which some transports mishandle.
    fn is_plain(&self, octet: u8, ends_line: bool) -> bool {
        match octet {
            b'=' => false,
            b' ' | b'\t' => !ends_line,
            b'-' | b'.' => self.octets > 0,
            octet => octet.is_ascii_graphic(),
        }
    }

    fn end(&mut self, ending: &[u8]) {
        self.out.extend_from_slice(ending);
        self.octets = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(octets: &[u8], ended: bool) -> Vec<u8> {
        let mut out = Vec::new();
        push_quoted_printable(octets, &mut out, ended);
        out
    }

    /// RFC 2045 §6.7, read strictly: None for anything that the grammar does not have.
    fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
        let mut octets = Vec::new();
        let mut rest = text;
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            match first {
                b'=' if rest.starts_with(b"\r\n") => rest = &rest[2..],
                b'=' => {
                    octets.push(u8::from_str_radix(std::str::from_utf8(rest.get(..2)?).ok()?, 16).ok()?);
                    rest = &rest[2..];
                }
                b'\r' if rest.starts_with(b"\n") => {
                    octets.extend_from_slice(b"\r\n");
                    rest = &rest[1..];
                }
                b' ' | b'\t' if rest.is_empty() || rest.starts_with(b"\r\n") => return None,
                b' ' | b'\t' => octets.push(first),
                octet if octet.is_ascii_graphic() => octets.push(octet),
                _ => return None,
            }
        }
        Some(octets)
    }

    #[test]
    fn known_answers() {
        for (octets, text) in [
            (&b""[..], &b""[..]),
            (b"a=b", b"a=3Db"),
            ("grå\r\n".as_bytes(), b"gr=C3=A5\r\n"),
            (b"a \r\nb\t", b"a=20\r\nb=09"),
            (b"a\rb\nc\0", b"a=0Db=0Ac=00"),
            (b"--x\r\n.\r\n", b"=2D-x\r\n=2E\r\n"),
        ] {
            assert_eq!(text, &quoted(octets, false)[..], "{octets:?}");
        }
        assert_eq!(b"a=\r\n".to_vec(), quoted(b"a", true));
        assert_eq!(b"a\r\n".to_vec(), quoted(b"a\r\n", true));
    }

    #[test]
    fn a_line_has_room_for_the_soft_break_that_ends_it() {
        let full = "a".repeat(LINE_OCTETS_MAX);
        assert_eq!(full.as_bytes(), &quoted(full.as_bytes(), false)[..]);
        let (most, last) = full.split_at(LINE_OCTETS_MAX - 1);
        assert_eq!(
            format!("{most}=\r\n{last}=\r\n").as_bytes(),
            &quoted(full.as_bytes(), true)[..]
        );
    }

    proptest! {
        #[test]
        fn quoted_printable_gives_the_octets_back(
            octets in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b'-'), any::<u8>()], 0..400),
            ended: bool,
        ) {
            let text = quoted(&octets, ended);
            prop_assert_eq!(Some(octets), unquoted(&text));
            prop_assert!(!ended || text.is_empty() || text.ends_with(b"\r\n"));
            for line in text.split(|&octet| octet == b'\n') {
                prop_assert!(line.len() <= LINE_OCTETS_MAX + 1, "with its CR");
                prop_assert!(!line.starts_with(b"-") && !line.starts_with(b"."));
            }
        }

        #[test]
        fn base64_gives_the_octets_back(octets in prop::collection::vec(any::<u8>(), 0..400), ended: bool) {
            let mut text = Vec::new();
            push_base64(&octets, &mut text, ended);
            for line in text.split(|&octet| octet == b'\n') {
                prop_assert!(line.len() <= LINE_OCTETS_MAX + 1, "with its CR");
            }
            text.retain(|octet| *octet != b'\r' && *octet != b'\n');
            prop_assert_eq!(Some(octets), crate::base64::decode(&text));
        }
    }
}

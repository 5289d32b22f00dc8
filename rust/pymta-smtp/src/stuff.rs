//! What goes out by DATA: lines that end in CRLF, dots doubled, a final CRLF, the end mark (RFC 5321 §4.5.2, §2.3.8).
//!
//! Not the way in (`data.rs` takes dots away and refuses stray line endings), and not used for BDAT, whose octets are
//! counted and pass as they are. Rule: whatever octets go in, the output holds CR and LF only as CRLF pairs, and
//! CRLF `.` CRLF only once, at the end. That closes outbound SMTP smuggling at this one place, whichever way stray
//! octets got into a message (BDAT, an injection, another server's spool).
//!
//! A bare LF becomes CRLF: it is how Unix writes a line ending, and what nearly every reader takes it for. A bare CR
//! becomes a space: no line ending may be made of it, or a header field could be made to hold another one. Both are
//! what Postfix does (`cleanup_replace_stray_cr_lf`).

use memchr::memchr2;

/// Room for a few dots and the end mark.
const SPARE_OCTETS: usize = 64;

/// Where the octet that comes next stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// First of a line: a dot must be doubled here.
    LineStart,
    /// Inside a line.
    Line,
    /// After a CR that was held back until it is known whether an LF follows.
    AfterCr,
}

/// Turns content, in pieces cut anywhere, into the octets of DATA.
#[derive(Clone, Copy, Debug)]
pub struct Stuffer {
    at: At,
}

impl Default for Stuffer {
    fn default() -> Self {
        Self { at: At::LineStart }
    }
}

impl Stuffer {
    /// Appends the wire form of the next piece of content to `out`.
    ///
    /// Grows `out` by at most twice the piece plus two octets (`\n.` repeated becomes `\r\n..`).
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        // Nearly always it is what it was and a final mark: growing in steps would copy all of it once more.
        out.reserve(piece.len() + SPARE_OCTETS);
        let mut rest = piece;
        while let Some(&first) = rest.first() {
            match self.at {
                At::AfterCr if first == b'\n' => {
                    out.extend_from_slice(b"\r\n");
                    self.at = At::LineStart;
                    rest = &rest[1..];
                }
                At::AfterCr => {
                    out.push(b' ');
                    self.at = At::Line;
                }
                At::LineStart | At::Line => rest = self.push_lines(rest, out),
            }
        }
    }

    /// The final CRLF where it is missing, and the end mark.
    pub fn finish(self, out: &mut Vec<u8>) {
        match self.at {
            At::LineStart => {}
            At::Line => out.extend_from_slice(b"\r\n"),
            At::AfterCr => out.extend_from_slice(b" \r\n"),
        }
        out.extend_from_slice(b".\r\n");
    }

    /// Takes all of `rest`, or up to a place that needs [`Stuffer::push`] to look again. Runs of good lines without
    /// a leading dot are copied in one slice.
    fn push_lines<'a>(&mut self, rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let mut copied = 0; // what lies before is in `out`
        let mut seen = 0; // what lies before has been looked at
        if self.at == At::LineStart && rest[0] == b'.' {
            out.push(b'.');
        }
        while let Some(found) = memchr2(b'\r', b'\n', &rest[seen..]) {
            let ending = seen + found;
            if rest[ending] == b'\n' {
                out.extend_from_slice(&rest[copied..ending]);
                out.extend_from_slice(b"\r\n");
                seen = ending + 1;
                copied = seen;
            } else if rest.get(ending + 1) == Some(&b'\n') {
                seen = ending + 2;
            } else {
                // A bare CR, or one whose LF may be in the next piece.
                out.extend_from_slice(&rest[copied..ending]);
                self.at = At::AfterCr;
                return &rest[ending + 1..];
            }
            match rest.get(seen) {
                Some(b'.') => {
                    out.extend_from_slice(&rest[copied..seen]);
                    out.push(b'.');
                    copied = seen;
                }
                Some(_) => {}
                None => {
                    out.extend_from_slice(&rest[copied..]);
                    self.at = At::LineStart;
                    return &[];
                }
            }
        }
        out.extend_from_slice(&rest[copied..]);
        self.at = At::Line;
        &[]
    }
}

/// Whether `content` holds CR and LF as pairs only and ends with one (or is empty): then it needs no change but dots.
pub fn has_clean_lines(content: &[u8]) -> bool {
    let mut rest = content;
    while let Some(ending) = memchr2(b'\r', b'\n', rest) {
        if rest[ending] != b'\r' || rest.get(ending + 1) != Some(&b'\n') {
            return false;
        }
        rest = &rest[ending + 2..];
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stuffed(pieces: &[&[u8]]) -> Vec<u8> {
        let mut stuffer = Stuffer::default();
        let mut out = Vec::new();
        for piece in pieces {
            stuffer.push(piece, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    /// What a server makes of it: the content without the added dots, up to the end mark, and what follows that.
    fn received(wire: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut content = Vec::new();
        let mut rest = wire;
        loop {
            let end = memchr::memmem::find(rest, b"\r\n").expect("a line has an ending") + 2;
            let (line, after) = rest.split_at(end);
            rest = after;
            match line {
                b".\r\n" => return (content, rest.to_vec()),
                [b'.', stuffed @ ..] => content.extend_from_slice(stuffed),
                line => content.extend_from_slice(line),
            }
        }
    }

    #[test]
    fn known_contents_have_known_wire_forms() {
        for (content, wire) in [
            (&b""[..], &b".\r\n"[..]),
            (b".", b"..\r\n.\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"..a\r\n.b\r\n", b"...a\r\n..b\r\n.\r\n"),
            (b"a\n.\nb\n", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r.\rb\r", b"a . b \r\n.\r\n"),
            (b"a\r\n.\r\r\nb", b"a\r\n.. \r\nb\r\n.\r\n"),
            (b"a\r\n\r\n", b"a\r\n\r\n.\r\n"),
            (b"\r", b" \r\n.\r\n"),
            (b"\n", b"\r\n.\r\n"),
        ] {
            assert_eq!(wire, &stuffed(&[content])[..], "{content:?}");
        }
    }

    #[test]
    fn each_ending_that_smuggles_stays_inside_the_content() {
        for ending in [
            "\n.\n",
            "\n.\r\n",
            "\r\n.\n",
            "\r.\r",
            "\r.\r\n",
            "\r.\n",
            "\n.\r",
            "\r\n.\r",
            "\r\n.\r\r\n",
            "\r\n\0.\r\n",
            "\r\n.\0\r\n",
            "\r\n.\r\n",
        ] {
            let content = format!("a{ending}MAIL FROM:<evil@example.org>\r\n");
            let (inside, after) = received(&stuffed(&[content.as_bytes()]));
            assert!(
                inside.ends_with(b"MAIL FROM:<evil@example.org>\r\n"),
                "{ending:?}"
            );
            assert_eq!(Vec::<u8>::new(), after, "{ending:?}");
        }
    }

    fn nasty() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(
            prop::sample::select(vec![b'\r', b'\n', b'.', b'a', 0, 0xff]),
            0..60,
        )
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_octets(content in nasty(), cuts in prop::collection::vec(0usize..60, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(content.len())).collect();
            cuts.extend([0, content.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &content[w[0]..w[1]]).collect();
            prop_assert_eq!(stuffed(&[&content]), stuffed(&pieces));
        }

        #[test]
        fn only_pairs_go_out_and_one_end_mark(content in nasty()) {
            let wire = stuffed(&[&content]);
            prop_assert!(has_clean_lines(&wire));
            let (inside, after) = received(&wire);
            prop_assert!(after.is_empty());
            if has_clean_lines(&content) {
                prop_assert_eq!(content, inside);
            }
        }

        #[test]
        fn growth_is_bounded(content in nasty()) {
            let mut out = Vec::new();
            Stuffer::default().push(&content, &mut out);
            prop_assert!(out.len() <= 2 * content.len() + 2);
        }
    }
}

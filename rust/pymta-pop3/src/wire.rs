//! The content of a reply to RETR and TOP: CRLF, dots doubled, the end mark; for TOP only as many lines of the body as
//! were asked for (RFC 1939 §3, §7). The file's pieces may be cut anywhere.

use memchr::memchr_iter;
use pymta_smtp::stuff::Stuffer;

/// How much of the line that is being read was seen: all that decides whether it is the empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Nothing,
    Cr,
    Something,
}

/// What TOP still wants.
#[derive(Debug)]
struct Top {
    line: Line,
    in_header: bool,
    lines_left: u64,
}

impl Top {
    /// How much of the piece is still wanted, and whether that was the end.
    fn take(&mut self, piece: &[u8]) -> (usize, bool) {
        let mut begin = 0;
        if !self.in_header && self.lines_left == 0 {
            return (0, true);
        }
        for at in memchr_iter(b'\n', piece) {
            let line = seen(self.line, &piece[begin..at]);
            self.line = Line::Nothing;
            begin = at + 1;
            if !self.in_header {
                self.lines_left -= 1;
            } else if line != Line::Something {
                self.in_header = false;
            }
            if !self.in_header && self.lines_left == 0 {
                return (begin, true);
            }
        }
        self.line = seen(self.line, &piece[begin..]);
        (piece.len(), false)
    }
}

fn seen(before: Line, octets: &[u8]) -> Line {
    match (before, octets) {
        (_, []) => before,
        (Line::Nothing, b"\r") => Line::Cr,
        _ => Line::Something,
    }
}

/// Turns a message, piece by piece, into the lines of a reply.
#[derive(Debug)]
pub struct Wire {
    stuffer: Stuffer,
    top: Option<Top>,
}

impl Wire {
    /// Of the whole message, or of its header section and that many lines of its body.
    pub fn new(lines: Option<u64>) -> Self {
        let top = lines.map(|lines_left| Top {
            line: Line::Nothing,
            in_header: true,
            lines_left,
        });
        Self {
            stuffer: Stuffer::default(),
            top,
        }
    }

    /// Appends the next piece; false where nothing more is wanted. Grows `out` by at most twice the piece and two
    /// octets.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> bool {
        let (wanted, is_over) = match &mut self.top {
            None => (piece.len(), false),
            Some(top) => top.take(piece),
        };
        self.stuffer.push(&piece[..wanted], out);
        !is_over
    }

    /// The end mark.
    pub fn finish(self, out: &mut Vec<u8>) {
        self.stuffer.finish(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wired(lines: Option<u64>, pieces: &[&[u8]]) -> Vec<u8> {
        let (mut wire, mut out) = (Wire::new(lines), Vec::new());
        for piece in pieces {
            if !wire.push(piece, &mut out) {
                break;
            }
        }
        wire.finish(&mut out);
        out
    }

    #[test]
    fn top_is_the_header_section_and_some_lines() {
        let message = b"a: b\n.c: d\n\n.1\n2\n3";
        for (lines, wire) in [
            (Some(0), &b"a: b\r\n..c: d\r\n\r\n.\r\n"[..]),
            (Some(1), b"a: b\r\n..c: d\r\n\r\n..1\r\n.\r\n"),
            (Some(3), b"a: b\r\n..c: d\r\n\r\n..1\r\n2\r\n3\r\n.\r\n"),
            (Some(u64::MAX), b"a: b\r\n..c: d\r\n\r\n..1\r\n2\r\n3\r\n.\r\n"),
            (None, b"a: b\r\n..c: d\r\n\r\n..1\r\n2\r\n3\r\n.\r\n"),
        ] {
            assert_eq!(
                String::from_utf8_lossy(wire),
                String::from_utf8_lossy(&wired(lines, &[message])),
                "{lines:?}"
            );
        }
        assert_eq!(b"a: b\r\n\r\n.\r\n", &wired(Some(0), &[b"a: b\r\n\r\n1\r\n"])[..]);
        assert_eq!(b"a: b\r\n.\r\n", &wired(Some(0), &[b"a: b"])[..]);
        assert_eq!(b"\r\n.\r\n", &wired(Some(0), &[b"\nbody"])[..]);
        assert_eq!(b".\r\n", &wired(Some(0), &[b""])[..]);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_octets(
            message in "[\r\n.ab]{0,40}", lines in prop::option::of(0u64..6), cuts in prop::collection::vec(0usize..40, 0..5)
        ) {
            let message = message.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(message.len())).collect();
            cuts.extend([0, message.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &message[w[0]..w[1]]).collect();
            let whole = wired(lines, &[message]);
            prop_assert_eq!(&whole, &wired(lines, &pieces));
            prop_assert!(whole.ends_with(b".\r\n"));
            prop_assert_eq!(0, memchr::memmem::find_iter(&whole[..whole.len() - 3], b"\r\n.\r\n").count());
        }
    }
}

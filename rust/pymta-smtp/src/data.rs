//! Where the content of DATA ends, and the dots that were added to it taken out again (RFC 5321 §4.5.2).
//!
//! - The end is CR LF `.` CR LF and nothing else; at the very start `.` CR LF is an empty message.
//! - A dot at the start of a line is taken out; a line starts only after CR LF, or at the start.
//! - The state survives any split of the input; no octet is looked at alone but where a split or a dot forces it.
//!
//! Not here: whether the content is acceptable (`content`).

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::line::{CR, CRLF, LF};

/// A dot at the start of a line, which is the only place where DATA has anything to decide.
static LINE_WITH_DOT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n."));

/// What the decoder has seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// CR LF, or nothing yet.
    LineStart,
    /// A dot at the start of a line: kept back, because it is either stuffing or the end.
    Dot,
    /// That and a CR, kept back too.
    DotCr,
    /// A CR inside a line, handed on.
    Cr,
    /// Anything else.
    Text,
}

/// The decoder of one message.
#[derive(Debug)]
pub(crate) struct DotDecoder(Seen);

/// How far a call came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Octets that belong to this message, its end included.
    pub(crate) consumed: usize,
    /// Whether the end was among them.
    pub(crate) ended: bool,
}

impl DotDecoder {
    pub(crate) fn new() -> Self {
        Self(Seen::LineStart)
    }

    /// Hands the content in `octets` to `emit` without stuffing and without the end.
    pub(crate) fn decode(&mut self, octets: &[u8], mut emit: impl FnMut(&[u8])) -> Progress {
        let mut rest = octets;
        while let Some(&octet) = rest.first() {
            match (self.0, octet) {
                (Seen::LineStart, b'.') => {
                    self.0 = Seen::Dot;
                    rest = &rest[1..];
                }
                (Seen::Dot, CR) => {
                    self.0 = Seen::DotCr;
                    rest = &rest[1..];
                }
                (Seen::DotCr, LF) => {
                    return Progress {
                        consumed: octets.len() - rest.len() + 1,
                        ended: true,
                    };
                }
                (Seen::DotCr, _) => {
                    // ". CR" and something else: the CR was content after all, a stray one.
                    emit(&[CR]);
                    self.0 = Seen::Cr;
                }
                (Seen::Cr, LF) => {
                    emit(&rest[..1]);
                    self.0 = Seen::LineStart;
                    rest = &rest[1..];
                }
                (Seen::LineStart | Seen::Dot | Seen::Cr | Seen::Text, _) => rest = self.text(rest, &mut emit),
            }
        }
        Progress {
            consumed: octets.len(),
            ended: false,
        }
    }

    /// Emits up to the next line that begins with a dot, or all; returns what follows that dot.
    fn text<'a>(&mut self, octets: &'a [u8], emit: &mut impl FnMut(&[u8])) -> &'a [u8] {
        if let Some(at) = LINE_WITH_DOT.find(octets) {
            emit(&octets[..at + CRLF.len()]);
            self.0 = Seen::Dot;
            return &octets[at + CRLF.len() + 1..];
        }
        emit(octets);
        self.0 = match octets {
            [.., CR, LF] => Seen::LineStart,
            [.., CR] => Seen::Cr,
            _ => Seen::Text,
        };
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Content, octets left over, and whether it ended.
    fn run(pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>, bool) {
        let (mut decoder, mut content, mut over, mut ended) =
            (DotDecoder::new(), Vec::new(), Vec::new(), false);
        for piece in pieces {
            if ended {
                over.extend_from_slice(piece);
                continue;
            }
            let progress = decoder.decode(piece, |octets| content.extend_from_slice(octets));
            ended = progress.ended;
            over.extend_from_slice(&piece[progress.consumed..]);
        }
        (content, over, ended)
    }

    /// The same, an octet at a time and straight from the RFC: the oracle.
    fn slow(octets: &[u8]) -> (Vec<u8>, Vec<u8>, bool) {
        let framed = [CRLF, octets].concat();
        let end = framed.windows(5).position(|w| w == b"\r\n.\r\n");
        let mut content = Vec::new();
        let stop = end.map_or(framed.len(), |at| at + 2);
        let mut at = 2;
        while at < stop {
            if !(framed[at] == b'.' && framed[at - 2..at] == *CRLF) {
                content.push(framed[at]);
            }
            at += 1;
        }
        if end.is_none() && content.last() == Some(&CR) && framed.ends_with(b"\r\n.\r") {
            content.pop(); // kept back
        }
        (
            content,
            end.map_or(Vec::new(), |at| framed[at + 5..].to_vec()),
            end.is_some(),
        )
    }

    #[test]
    fn known_answers() {
        for (octets, content, ended) in [
            (&b".\r\n"[..], &b""[..], true),
            (b"\r\n.\r\n", b"\r\n", true),
            (b"hi\r\n.\r\n", b"hi\r\n", true),
            (b"..a\r\n.\r\n", b".a\r\n", true),
            (b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n", true),
            (b"a\r\n.b\r\n.\r\n", b"a\r\nb\r\n", true),
            (b"a\r\n...\r\n.\r\n", b"a\r\n..\r\n", true),
            (b"a\n.\nb", b"a\n.\nb", false),
            (b"a\r\n.\r\r\nb", b"a\r\n\r\r\nb", false),
            (b"a\r\n.\nb", b"a\r\n\nb", false),
            (b"a\n.\r\nb", b"a\n.\r\nb", false),
            (b"a\r.\rb", b"a\r.\rb", false),
            (b"a\r\n\0.\r\nb", b"a\r\n\0.\r\nb", false),
            (b"a\r\n.\0\r\nb", b"a\r\n\0\r\nb", false),
        ] {
            let (got, _, end) = run(&[octets]);
            assert_eq!((content, ended), (&got[..], end), "{octets:?}");
        }
    }

    #[test]
    fn what_follows_the_end_is_left_over() {
        assert_eq!(
            (b"a\r\n".to_vec(), b"MAIL".to_vec(), true),
            run(&[b"a\r\n.\r\nMAIL"])
        );
    }

    proptest! {
        #[test]
        fn any_split_gives_what_the_oracle_gives(
            octets in proptest::collection::vec(prop_oneof![Just(CR), Just(LF), Just(b'.'), Just(b'a')], 0..40),
            cut in 0usize..40,
        ) {
            let expected = slow(&octets);
            prop_assert_eq!(&expected, &run(&[&octets]));
            let cut = cut.min(octets.len());
            prop_assert_eq!(&expected, &run(&[&octets[..cut], &octets[cut..]]));
            let bytes: Vec<&[u8]> = octets.chunks(1).collect();
            prop_assert_eq!(&expected, &run(&bytes));
        }
    }
}

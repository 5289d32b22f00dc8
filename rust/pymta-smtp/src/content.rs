//! The octets of a message on their way to the spool: counted, checked, and normalised where that is allowed.
//!
//! Not here: where the content ends (`data` for DATA, the session for BDAT). Rule: what reaches the sink holds only
//! CRLF pairs and no NUL, unless the client declared BINARYMIME. A fault never ends the content early: it is noted,
//! the sink is dropped, and the rest is read to its real end, because what follows would otherwise be obeyed as
//! commands (SMTP smuggling).
//!
//! A bare CR or LF is refused with `550 5.6.0` at the end and not with `521` and a closed connection: the client
//! learns that this message is at fault and returns it to its author, instead of trying it again for days; and a
//! connection that carries mail of many authors is not lost for one of them.

use memchr::{memchr2, memrchr};

use crate::line::{CR, CRLF, LF, strays};

/// Takes the content of one message, un-stuffed, in slices as large as they came.
pub trait ContentSink {
    /// More content. It cannot fail: trouble is told when the message is committed.
    fn write(&mut self, octets: &[u8]);

    /// What was written and waits for a slower place than memory. Who feeds the session reads no more while it is
    /// large.
    fn pending_octets(&self) -> usize {
        0
    }
}

impl ContentSink for Vec<u8> {
    fn write(&mut self, octets: &[u8]) {
        self.extend_from_slice(octets);
    }
}

/// What becomes of a bare CR or LF in content that is made of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEndings {
    /// The message is refused at its end.
    #[default]
    Refuse,
    /// It becomes CRLF; it still never ends a message. For networks whose clients are known.
    Normalise,
}

/// What the content must obey.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// None where any octet is allowed (BINARYMIME).
    pub(crate) lines: Option<LineEndings>,
    pub(crate) octets_max: u64,
    pub(crate) line_octets_max: usize,
}

/// Why content is refused. Several may be true; which is told must not depend on how the input was split, so the
/// order of this list decides and not the order of discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ContentFault {
    TooLarge,
    Nul,
    BareEnding,
    LineTooLong,
}

/// One message's content while it arrives.
#[derive(Debug)]
pub(crate) struct Content<W> {
    rules: Rules,
    /// None once there is a fault: nobody will want these octets.
    sink: Option<W>,
    fault: Option<ContentFault>,
    octets: u64,
    /// The last octet that was written, and how many of its line are open.
    last: u8,
    line_octets: usize,
    /// A CR whose successor is not here yet (only where endings are normalised).
    held_cr: bool,
}

impl<W: ContentSink> Content<W> {
    pub(crate) fn new(rules: Rules, sink: W) -> Self {
        Self {
            rules,
            sink: Some(sink),
            fault: None,
            octets: 0,
            last: LF,
            line_octets: 0,
            held_cr: false,
        }
    }

    /// How many octets there are so far.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// What waits in the sink.
    pub(crate) fn pending_octets(&self) -> usize {
        self.sink.as_ref().map_or(0, ContentSink::pending_octets)
    }

    pub(crate) fn fault(&self) -> Option<ContentFault> {
        self.fault
    }

    /// More of it.
    pub(crate) fn write(&mut self, octets: &[u8]) {
        if octets.is_empty() {
            return;
        }
        match self.rules.lines {
            None => self.pass(octets),
            Some(LineEndings::Refuse) => {
                let strays = strays(self.last, octets);
                self.note(strays.nul, ContentFault::Nul);
                self.note(strays.bare, ContentFault::BareEnding);
                self.measure_lines(octets);
                self.pass(octets);
            }
            Some(LineEndings::Normalise) => self.normalise(octets),
        }
    }

    /// The end of it: the sink, or why the content is refused.
    pub(crate) fn finish(mut self) -> Result<W, ContentFault> {
        if self.held_cr {
            self.pass_lines(CRLF);
        }
        let open_cr = self.rules.lines.is_some() && self.last == CR;
        self.note(open_cr, ContentFault::BareEnding);
        match (self.fault, self.sink) {
            (None, Some(sink)) => Ok(sink),
            (fault, _) => Err(fault.expect("the sink is dropped only for a fault")),
        }
    }

    /// Counts and hands on.
    fn pass(&mut self, octets: &[u8]) {
        let Some(&last) = octets.last() else { return };
        self.last = last;
        self.octets = self.octets.saturating_add(octets.len() as u64);
        // Decided here, told only at the real end: stopping early would leave the rest to be read as commands
        // (RFC 5321 §4.5.3.1.7).
        self.note(self.octets > self.rules.octets_max, ContentFault::TooLarge);
        if let Some(sink) = &mut self.sink {
            sink.write(octets);
        }
    }

    fn pass_lines(&mut self, octets: &[u8]) {
        self.measure_lines(octets);
        self.pass(octets);
    }

    fn note(&mut self, present: bool, fault: ContentFault) {
        if present {
            self.fault = Some(self.fault.map_or(fault, |known| known.min(fault)));
            self.sink = None;
        }
    }

    /// Makes every CR and LF that stands alone a CRLF.
    fn normalise(&mut self, octets: &[u8]) {
        self.note(strays(self.last, octets).nul, ContentFault::Nul);
        let mut rest = octets;
        if std::mem::take(&mut self.held_cr) {
            self.pass_lines(CRLF);
            rest = rest.strip_prefix(&[LF]).unwrap_or(rest);
        }
        // Whole CRLF lines are handed on together: `from` is where what is not yet handed on begins.
        let (mut from, mut at) = (0, 0);
        while let Some(found) = memchr2(CR, LF, &rest[at..]) {
            let stray = at + found;
            match (rest[stray], rest.get(stray + 1)) {
                (CR, Some(&LF)) => {
                    at = stray + 2;
                    continue;
                }
                (CR, None) => {
                    self.held_cr = true;
                    self.pass_lines(&rest[from..stray]);
                    return;
                }
                _ => {
                    self.pass_lines(&rest[from..stray]);
                    self.pass_lines(CRLF);
                    at = stray + 1;
                    from = at;
                }
            }
        }
        self.pass_lines(&rest[from..]);
    }

    /// Notes a line longer than allowed. It looks only as often as a line of that length would fit in, so that
    /// ordinary content costs one look a slice and not one a line.
    fn measure_lines(&mut self, octets: &[u8]) {
        if self.line_octets > self.rules.line_octets_max {
            return; // already noted
        }
        let mut rest = octets;
        loop {
            let room = self.rules.line_octets_max - self.line_octets;
            if rest.len() <= room {
                match memrchr(LF, rest) {
                    Some(end) => self.line_octets = rest.len() - end - 1,
                    None => self.line_octets += rest.len(),
                }
                return;
            }
            let Some(end) = memrchr(LF, &rest[..room]) else {
                self.line_octets = self.rules.line_octets_max + 1;
                return self.note(true, ContentFault::LineTooLong);
            };
            rest = &rest[end + 1..];
            self.line_octets = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(lines: Option<LineEndings>, pieces: &[&[u8]]) -> Result<Vec<u8>, ContentFault> {
        let rules = Rules {
            lines,
            octets_max: 60,
            line_octets_max: 20,
        };
        let mut content = Content::new(rules, Vec::new());
        for piece in pieces {
            content.write(piece);
        }
        content.finish()
    }

    #[test]
    fn strays_are_refused_or_normalised_or_binary() {
        let bad: &[u8] = b"a\nb\rc\r\n";
        assert_eq!(
            Err(ContentFault::BareEnding),
            run(Some(LineEndings::Refuse), &[bad])
        );
        assert_eq!(
            Ok(b"a\r\nb\r\nc\r\n".to_vec()),
            run(Some(LineEndings::Normalise), &[bad])
        );
        assert_eq!(Ok(bad.to_vec()), run(None, &[bad]));
    }

    #[test]
    fn nul_is_refused_even_where_endings_are_normalised() {
        assert_eq!(
            Err(ContentFault::Nul),
            run(Some(LineEndings::Normalise), &[b"\0\r\n"])
        );
        assert_eq!(
            Err(ContentFault::Nul),
            run(Some(LineEndings::Refuse), &[b"\0\r\n"])
        );
    }

    #[test]
    fn a_line_may_have_exactly_the_limit() {
        let line = [&[b'x'; 18][..], CRLF].concat();
        assert!(run(Some(LineEndings::Refuse), &[&line, &line]).is_ok());
        let line = [&[b'x'; 19][..], CRLF].concat();
        assert_eq!(
            Err(ContentFault::LineTooLong),
            run(Some(LineEndings::Refuse), &[&line])
        );
    }

    #[test]
    fn content_may_have_exactly_the_limit() {
        let line: &[u8] = b"12345678\r\n";
        assert!(run(Some(LineEndings::Refuse), &[line; 6]).is_ok());
        assert_eq!(
            Err(ContentFault::TooLarge),
            run(Some(LineEndings::Refuse), &[line; 7])
        );
    }

    #[test]
    fn a_cr_at_the_end_is_bare() {
        assert_eq!(
            Err(ContentFault::BareEnding),
            run(Some(LineEndings::Refuse), &[b"a\r"])
        );
        assert_eq!(
            Ok(b"a\r\n".to_vec()),
            run(Some(LineEndings::Normalise), &[b"a\r"])
        );
    }

    /// The memory that the content has taken is free before the message ends, however long that takes.
    #[test]
    fn a_fault_drops_the_sink_at_once() {
        let rules = Rules {
            lines: Some(LineEndings::Refuse),
            octets_max: 60,
            line_octets_max: 20,
        };
        let mut content = Content::new(rules, Vec::new());
        content.write(b"a\r\n");
        assert!(content.sink.is_some());
        content.write(b"a\n");
        assert!(content.sink.is_none());
    }

    proptest! {
        #[test]
        fn the_result_is_the_same_however_it_is_split(
            octets in proptest::collection::vec(prop_oneof![Just(CR), Just(LF), Just(0u8), Just(b'a'), Just(b'.')], 0..90),
            cut in 0usize..90,
            which in 0usize..3,
        ) {
            let lines = [None, Some(LineEndings::Refuse), Some(LineEndings::Normalise)][which];
            let whole = run(lines, &[&octets]);
            let cut = cut.min(octets.len());
            prop_assert_eq!(&whole, &run(lines, &[&octets[..cut], &octets[cut..]]));
            let bytes: Vec<&[u8]> = octets.chunks(1).collect();
            prop_assert_eq!(&whole, &run(lines, &bytes));
        }

        #[test]
        fn what_reaches_the_sink_holds_only_pairs(
            octets in proptest::collection::vec(prop_oneof![Just(CR), Just(LF), Just(b'a')], 0..40),
            which in 0usize..2,
        ) {
            let lines = [LineEndings::Refuse, LineEndings::Normalise][which];
            if let Ok(content) = run(Some(lines), &[&octets]) {
                prop_assert!(!strays(LF, &content).bare && content.last() != Some(&CR));
            }
        }
    }
}

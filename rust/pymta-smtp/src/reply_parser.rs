//! Replies of a server, taken out of the octets that arrive (RFC 5321 §4.2, §4.2.1; RFC 2034).
//!
//! Framing and grammar only: what a reply means is the client's affair. Bounded: a reply has at most
//! [`REPLY_LINES_MAX`] lines of [`REPLY_LINE_OCTETS_MAX`] and [`REPLY_OCTETS_MAX`] octets in all; more is garbage.
//!
//! Leniency, and why it is safe:
//! - A bare LF ends a line too (a stray CR elsewhere is text and is shown as `?`). Servers that do so exist; and
//!   since no command of ours can hold a bare LF, a server cannot be made to echo one.
//! - A code with nothing after it is a last line (RFC 5321 §4.2 asks for that).
//! - Text that is not UTF-8 is kept with replacement characters.
//! - Lines of one reply may differ in the code as long as its first digit agrees; the last line counts. Where the
//!   first digits differ, nobody can know what was meant: garbage.
//! - The enhanced status is that of the first line that has one: Cyrus' lmtpd says it in the last line only.

use pymta_types::{Enhanced, REPLY_TEXT_OCTETS_MAX, Reply};

/// Longest line of a reply; RFC 5321 §4.5.3.1.5 allows 512.
pub(crate) const REPLY_LINE_OCTETS_MAX: usize = 2048;
/// Most lines of one reply. EHLO replies have a dozen or two.
pub(crate) const REPLY_LINES_MAX: usize = 100;
/// Most octets of one reply, so of what a session keeps of unfinished input.
pub(crate) const REPLY_OCTETS_MAX: usize = 32 * 1024;

/// Why the octets are not a reply; the sentence is for the diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplyFault {
    #[error("a line that is no reply line")]
    Line,
    #[error("a reply code outside 200 to 599")]
    Code,
    #[error("a reply whose lines contradict each other")]
    Contradiction,
    #[error("a reply line that is too long")]
    LineTooLong,
    #[error("a reply that is too long")]
    TooLong,
}

/// A whole reply: its code, and where its lines are until the next [`ReplyParser::receive`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parsed {
    pub(crate) code: u16,
    start: usize,
    end: usize,
}

/// Input that is not yet used up.
#[derive(Debug, Default)]
pub(crate) struct ReplyParser {
    buffer: Vec<u8>,
    /// Where the reply in progress begins.
    start: usize,
    /// Where its first unfinished line begins.
    line: usize,
    /// Before here there is no ending of that line.
    scanned: usize,
    line_count: usize,
    /// The code of its last line.
    code: u16,
}

impl ReplyParser {
    /// Takes what arrived. Forgets the replies that [`ReplyParser::next_reply`] gave out.
    pub(crate) fn receive(&mut self, chunk: &[u8]) {
        if self.start == self.buffer.len() {
            self.clear();
        } else if self.start > 0 {
            self.buffer.drain(..self.start);
            self.line -= self.start;
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(chunk);
    }

    /// Whether there is input that is no whole reply, or a reply not yet taken.
    pub(crate) fn has_rest(&self) -> bool {
        self.start < self.buffer.len()
    }

    /// Forgets all input, and gives back what a large reply took.
    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(REPLY_LINE_OCTETS_MAX);
        (self.start, self.line, self.scanned, self.line_count) = (0, 0, 0, 0);
    }

    /// The next whole reply; None where more input is needed.
    ///
    /// # Errors
    /// [`ReplyFault`]: there is no way to go on with this server.
    pub(crate) fn next_reply(&mut self) -> Result<Option<Parsed>, ReplyFault> {
        loop {
            let Some(found) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                return if self.scanned - self.line > REPLY_LINE_OCTETS_MAX {
                    Err(ReplyFault::LineTooLong)
                } else {
                    Ok(None)
                };
            };
            let next = self.scanned + found + 1;
            let is_last = self.take_line(next)?;
            (self.line, self.scanned) = (next, next);
            if is_last {
                let parsed = Parsed {
                    code: self.code,
                    start: self.start,
                    end: next,
                };
                (self.start, self.line_count) = (next, 0);
                return Ok(Some(parsed));
            }
        }
    }

    /// Checks the line that ends at `next`; whether it is the reply's last.
    fn take_line(&mut self, next: usize) -> Result<bool, ReplyFault> {
        let line = without_ending(&self.buffer[self.line..next]);
        if next - self.line > REPLY_LINE_OCTETS_MAX {
            return Err(ReplyFault::LineTooLong);
        }
        self.line_count += 1;
        if self.line_count > REPLY_LINES_MAX || next - self.start > REPLY_OCTETS_MAX {
            return Err(ReplyFault::TooLong);
        }
        let (code, is_last) = match line {
            [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
                let code = [a, b, c]
                    .iter()
                    .fold(0u16, |code, digit| code * 10 + u16::from(**digit - b'0'));
                match rest.first() {
                    None | Some(b' ') => (code, true),
                    Some(b'-') => (code, false),
                    Some(_) => return Err(ReplyFault::Line),
                }
            }
            _ => return Err(ReplyFault::Line),
        };
        if !(200..600).contains(&code) {
            return Err(ReplyFault::Code);
        }
        if self.line_count > 1 && self.code / 100 != code / 100 {
            return Err(ReplyFault::Contradiction);
        }
        self.code = code;
        Ok(is_last)
    }

    /// The texts of a reply's lines, without code and separator.
    pub(crate) fn lines(&self, parsed: Parsed) -> impl Iterator<Item = &[u8]> {
        self.buffer[parsed.start..parsed.end]
            .split_inclusive(|&octet| octet == b'\n')
            .map(|line| without_ending(line).get(4..).unwrap_or(b""))
    }

    /// The reply as a value, its enhanced status split off. One that contradicts the code stays in the text.
    pub(crate) fn reply(&self, parsed: Parsed) -> Reply {
        let enhanced = self
            .lines(parsed)
            .find_map(|line| split_enhanced(line, parsed.code))
            .map(|(enhanced, _)| enhanced);
        let mut text = String::new();
        for (number, line) in self.lines(parsed).enumerate() {
            // What is over is cut by Reply; here it is only not collected.
            if text.len() > REPLY_TEXT_OCTETS_MAX {
                break;
            }
            let line = match (enhanced, split_enhanced(line, parsed.code)) {
                (Some(first), Some((this, rest))) if first == this => rest,
                _ => line,
            };
            if number > 0 {
                text.push('\n');
            }
            text.push_str(&String::from_utf8_lossy(line));
        }
        Reply::new(parsed.code, enhanced, &text).expect("code and status were checked above")
    }
}

/// The line without CRLF or LF.
fn without_ending(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// `status SP text` where the status agrees with the code (RFC 2034 §4).
fn split_enhanced(line: &[u8], code: u16) -> Option<(Enhanced, &[u8])> {
    let end = line.iter().position(|&octet| octet == b' ').unwrap_or(line.len());
    let enhanced: Enhanced = std::str::from_utf8(&line[..end]).ok()?.parse().ok()?;
    (u16::from(enhanced.0) == code / 100).then(|| (enhanced, line.get(end + 1..).unwrap_or(b"")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All replies of the input given in chunks, and the fault that ended it.
    fn replies(chunks: &[&[u8]]) -> (Vec<Reply>, Option<ReplyFault>) {
        let mut parser = ReplyParser::default();
        let mut found = Vec::new();
        for chunk in chunks {
            parser.receive(chunk);
            loop {
                match parser.next_reply() {
                    Ok(Some(parsed)) => found.push(parser.reply(parsed)),
                    Ok(None) => break,
                    Err(fault) => return (found, Some(fault)),
                }
            }
        }
        (found, None)
    }

    fn one(text: &str) -> Reply {
        let (mut found, fault) = replies(&[text.as_bytes()]);
        assert_eq!(None, fault, "{text:?}");
        assert_eq!(1, found.len(), "{text:?}");
        found.remove(0)
    }

    #[test]
    fn replies_of_the_grammar_and_near_it_are_read() {
        for (wire, code, enhanced, text) in [
            ("250 2.1.0 ok\r\n", 250, Some(Enhanced(2, 1, 0)), "ok"),
            ("250 ok\r\n", 250, None, "ok"),
            ("250\r\n", 250, None, ""),
            ("250 \r\n", 250, None, ""),
            ("250 2.0.0\r\n", 250, Some(Enhanced(2, 0, 0)), ""),
            ("250 ok\n", 250, None, "ok"),
            (
                "550-5.7.1 no\r\n550 5.7.1 really\r\n",
                550,
                Some(Enhanced(5, 7, 1)),
                "no\nreally",
            ),
            (
                "550-5.7.1 no\r\n550 really\r\n",
                550,
                Some(Enhanced(5, 7, 1)),
                "no\nreally",
            ),
            (
                "550-Mailbox unknown.\r\n550 5.1.1 User unknown\r\n",
                550,
                Some(Enhanced(5, 1, 1)),
                "Mailbox unknown.\nUser unknown",
            ),
            ("550 4.7.1 contradicts\r\n", 550, None, "4.7.1 contradicts"),
            ("550-no\r\n554 really\r\n", 554, None, "no\nreally"),
            ("354 go ahead\r\n", 354, None, "go ahead"),
            ("250 a\rb\x1b\r\n", 250, None, "a?b?"),
        ] {
            let reply = one(wire);
            assert_eq!(
                (code, enhanced, text),
                (reply.code(), reply.enhanced(), reply.text()),
                "{wire:?}"
            );
        }
    }

    #[test]
    fn what_is_no_reply_says_why() {
        for (wire, fault) in [
            ("hello\r\n", ReplyFault::Line),
            ("\r\n", ReplyFault::Line),
            ("25 ok\r\n", ReplyFault::Line),
            ("2500 ok\r\n", ReplyFault::Line),
            ("250ok\r\n", ReplyFault::Line),
            ("199 ok\r\n", ReplyFault::Code),
            ("600 ok\r\n", ReplyFault::Code),
            ("250-ok\r\n550 no\r\n", ReplyFault::Contradiction),
        ] {
            assert_eq!(Some(fault), replies(&[wire.as_bytes()]).1, "{wire:?}");
        }
    }

    #[test]
    fn a_reply_has_limits() {
        let line = |octets: usize| format!("250 {}\r\n", "a".repeat(octets - 6));
        assert_eq!(None, replies(&[line(REPLY_LINE_OCTETS_MAX).as_bytes()]).1);
        assert_eq!(
            Some(ReplyFault::LineTooLong),
            replies(&[line(REPLY_LINE_OCTETS_MAX + 1).as_bytes()]).1
        );
        let endless = [b'2'; REPLY_LINE_OCTETS_MAX + 1];
        assert_eq!(Some(ReplyFault::LineTooLong), replies(&[&endless]).1);
        let many = "250-a\r\n".repeat(REPLY_LINES_MAX + 1);
        assert_eq!(Some(ReplyFault::TooLong), replies(&[many.as_bytes()]).1);
        let much = format!("250-{}\r\n", "a".repeat(2000)).repeat(REPLY_OCTETS_MAX / 2000 + 1);
        assert_eq!(Some(ReplyFault::TooLong), replies(&[much.as_bytes()]).1);
    }

    #[test]
    fn the_text_kept_of_a_reply_is_limited() {
        let wire = format!("550-{}\r\n", "a".repeat(2000)).repeat(4) + "550 end\r\n";
        assert_eq!(REPLY_TEXT_OCTETS_MAX, one(&wire).text().len());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_replies(
            lines in prop::collection::vec("(250|550|354|25)[- ](2\\.1\\.0 |5\\.7\\.1 )?[a-z]{0,5}(\r\n|\n)", 0..8),
            size in 1usize..9,
        ) {
            let wire = lines.concat().into_bytes();
            let chunks: Vec<&[u8]> = wire.chunks(size).collect();
            prop_assert_eq!(replies(&[&wire]), replies(&chunks));
        }

        #[test]
        fn any_octets_are_read_without_a_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| &chunk[..]).collect();
            replies(&chunks);
        }
    }
}

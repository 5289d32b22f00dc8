//! What SMTP says: a code, an enhanced status code and text (RFC 5321 §4.2, RFC 3463 §2).
//!
//! A reply is what the peer is told. The cause that the operator is told is a log line and never built from it.

use std::fmt;
use std::str::FromStr;

/// Longest text of a reply that is kept, over all of its lines. RFC 5321 §4.5.3.1.5 allows 512 octets a line; the
/// longest replies seen from large receivers have a dozen lines.
pub const REPLY_TEXT_OCTETS_MAX: usize = 4096;

/// Longest text put on one reply line, so that the line with code, status and CRLF stays within 512 octets.
const LINE_TEXT_OCTETS_MAX: usize = 480;

/// An enhanced status code: class, subject, detail (RFC 3463 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Enhanced(pub u8, pub u16, pub u16);

/// The octets or numbers are not a reply.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReplyError {
    /// The code is not of the form 2yz to 5yz.
    #[error("a reply code is a number from 200 to 599")]
    Code,
    /// The enhanced status code is malformed or its class contradicts the code.
    #[error("an enhanced status code looks like 5.7.1 and begins with the reply code's first digit")]
    Enhanced,
}

/// One reply. Whether it is temporary or permanent is its first digit and never a second flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<Enhanced>,
    text: String,
}

impl Reply {
    /// A reply of `code`, `enhanced` and `text`.
    ///
    /// - `text` may hold several lines, separated by `\n`; other control characters become `?`, so that nothing that
    ///   came from a peer can end a line or colour a terminal.
    /// - Text over [`REPLY_TEXT_OCTETS_MAX`] is cut at a character boundary.
    ///
    /// # Errors
    /// [`ReplyError::Code`] for a code outside 200 to 599; [`ReplyError::Enhanced`] for a class that is not the
    /// code's first digit (3yz replies have none).
    pub fn new(code: u16, enhanced: Option<Enhanced>, text: &str) -> Result<Self, ReplyError> {
        if !(200..600).contains(&code) {
            return Err(ReplyError::Code);
        }
        if let Some(Enhanced(class, subject, detail)) = enhanced
            && (u16::from(class) != code / 100 || class == 3 || subject > 999 || detail > 999)
        {
            return Err(ReplyError::Enhanced);
        }
        Ok(Self {
            code,
            enhanced,
            text: clean(text),
        })
    }

    /// A reply from constants of ours, which are right or a bug.
    ///
    /// # Panics
    /// Where [`Reply::new`] fails: every call has literal arguments and is run by a test.
    pub fn fixed(code: u16, enhanced: Enhanced, text: &str) -> Self {
        Self::new(code, Some(enhanced), text).expect("literal arguments, run by a test")
    }

    /// The three-digit code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, where there is one.
    pub fn enhanced(&self) -> Option<Enhanced> {
        self.enhanced
    }

    /// The text, lines separated by `\n`, without codes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// 2yz.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4yz: the same action may succeed later.
    pub fn is_temporary(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz: the same action will not succeed later.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// Appends the reply as it goes over the wire, each line ended by CRLF (RFC 5321 §4.2.1).
    ///
    /// `with_enhanced` is false where ENHANCEDSTATUSCODES does not apply: the greeting, HELO and EHLO, 3yz
    /// (RFC 2034 §3).
    pub fn write_to(&self, out: &mut Vec<u8>, with_enhanced: bool) {
        let status = match self.enhanced {
            Some(e) if with_enhanced => format!("{e} "),
            _ => String::new(),
        };
        let mut lines = wire_lines(&self.text).peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            out.extend_from_slice(format!("{}{separator}{status}{line}\r\n", self.code).as_bytes());
        }
    }
}

impl fmt::Display for Reply {
    /// Code, enhanced status and text on one line, for logs and DSNs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for line in self.text.split('\n') {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl FromStr for Enhanced {
    type Err = ReplyError;

    /// `class "." subject "." detail`, each at most three digits, class 2, 4 or 5 (RFC 3463 §2).
    fn from_str(text: &str) -> Result<Self, ReplyError> {
        let mut numbers = text.split('.').map(|part| {
            let digits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            if digits {
                part.parse::<u16>().map_err(|_| ReplyError::Enhanced)
            } else {
                Err(ReplyError::Enhanced)
            }
        });
        let mut next = || numbers.next().unwrap_or(Err(ReplyError::Enhanced));
        let (class, subject, detail) = (next()?, next()?, next()?);
        if numbers.next().is_some() || ![2, 4, 5].contains(&class) {
            return Err(ReplyError::Enhanced);
        }
        Ok(Self(
            u8::try_from(class).map_err(|_| ReplyError::Enhanced)?,
            subject,
            detail,
        ))
    }
}

/// Replaces what could end a line or drive a terminal, and cuts to the limit.
fn clean(text: &str) -> String {
    let mut kept = String::with_capacity(text.len().min(REPLY_TEXT_OCTETS_MAX));
    for character in text.chars() {
        if kept.len() + character.len_utf8() > REPLY_TEXT_OCTETS_MAX {
            break;
        }
        kept.push(if character.is_control() && character != '\n' {
            '?'
        } else {
            character
        });
    }
    kept
}

/// The text in pieces that fit a reply line each; at least one piece.
fn wire_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| {
        let mut rest = Some(line);
        std::iter::from_fn(move || {
            let line = rest.take()?;
            if line.len() <= LINE_TEXT_OCTETS_MAX {
                return Some(line);
            }
            let mut cut = LINE_TEXT_OCTETS_MAX;
            while !line.is_char_boundary(cut) {
                cut -= 1;
            }
            let (piece, tail) = line.split_at(cut);
            rest = Some(tail);
            Some(piece)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out, true);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_line_has_code_status_and_text() {
        assert_eq!(
            "250 2.1.0 ok\r\n",
            wire(&Reply::fixed(250, Enhanced(2, 1, 0), "ok"))
        );
    }

    #[test]
    fn several_lines_each_carry_code_and_status() {
        let reply = Reply::fixed(550, Enhanced(5, 7, 1), "no\nreally");
        assert_eq!("550-5.7.1 no\r\n550 5.7.1 really\r\n", wire(&reply));
        assert_eq!("550 5.7.1 no really", reply.to_string());
    }

    #[test]
    fn text_cannot_end_a_line_or_drive_a_terminal() {
        let reply = Reply::fixed(550, Enhanced(5, 7, 1), "a\r\x1b[31mb\0");
        assert_eq!("550 5.7.1 a??[31mb?\r\n", wire(&reply));
    }

    #[test]
    fn a_long_line_is_split_and_long_text_is_cut() {
        let reply = Reply::fixed(550, Enhanced(5, 7, 1), &"é".repeat(5000));
        assert!(reply.text().len() <= REPLY_TEXT_OCTETS_MAX);
        assert!(wire(&reply).lines().all(|line| line.len() <= 512));
    }

    #[test]
    fn a_class_that_contradicts_the_code_is_refused() {
        assert_eq!(
            Err(ReplyError::Enhanced),
            Reply::new(250, Some(Enhanced(5, 0, 0)), "x")
        );
        assert_eq!(Err(ReplyError::Code), Reply::new(199, None, "x"));
        assert_eq!(Err(ReplyError::Code), Reply::new(600, None, "x"));
    }

    #[test]
    fn enhanced_codes_parse_strictly() {
        assert_eq!(Ok(Enhanced(5, 1, 10)), "5.1.10".parse());
        for text in [
            "", "5", "5.1", "5.1.1.1", "3.0.0", "5.a.1", "5.1.1000", "+5.1.1", " 5.1.1",
        ] {
            assert_eq!(Err(ReplyError::Enhanced), text.parse::<Enhanced>(), "{text}");
        }
    }
}

//! Encoded words (RFC 2047) and charsets: header text as a person reads it.
//!
//! For looking, not for passing on: what goes out is always what came in. Decoded text holds no control character but
//! tab, so it can stand in a log, a reply or another field without ending it.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use memchr::memmem;

use crate::transfer::{base64, hex_pair};

/// Longest charset name with its language tag.
const CHARSET_OCTETS_MAX: usize = 64;

/// Longest encoded text of one word. RFC 2047 §2 allows 75 octets for all of it; some writers do not fold.
const WORD_OCTETS_MAX: usize = 4096;

/// An encoded word and how many octets it takes.
struct Word<'a> {
    charset: &'a [u8],
    octets: Vec<u8>,
    taken: usize,
}

/// Decodes an unfolded header value, to at most `octets_max` octets of UTF-8.
///
/// - White space between two encoded words vanishes (RFC 2047 §6.2).
/// - Neighbours of one charset are joined before they are decoded, because writers split characters over them.
/// - What is no well-formed encoded word stays as it is; octets beyond ASCII outside of them are UTF-8, or else
///   windows-1252.
/// - Control characters but tab become U+FFFD.
pub fn decode(value: &[u8], octets_max: usize) -> Cow<'_, str> {
    if value.len() <= octets_max
        && memmem::find(value, b"=?").is_none()
        && let Ok(text) = std::str::from_utf8(value)
        && !text.contains(is_harmful)
    {
        return Cow::Borrowed(text);
    }
    let mut text = Text {
        decoded: String::new(),
        octets_max,
        pending: None,
    };
    let mut rest = value;
    while text.decoded.len() < octets_max {
        let Some(start) = memmem::find(rest, b"=?") else {
            break;
        };
        match word(&rest[start..]) {
            Some(word) => {
                if text.pending.is_none() || !is_blank(&rest[..start]) {
                    text.plain(&rest[..start]);
                }
                rest = &rest[start + word.taken..];
                text.word(word);
            }
            None => {
                text.plain(&rest[..start + 2]);
                rest = &rest[start + 2..];
            }
        }
    }
    text.plain(rest);
    text.decoded.into()
}

/// Octets of a charset as text. Unknown charsets are read as UTF-8, or else windows-1252. Never fails: what is not in
/// the charset becomes U+FFFD.
pub fn decode_charset(charset: &[u8], octets: &[u8]) -> String {
    let encoding = Encoding::for_label(charset).unwrap_or(match std::str::from_utf8(octets) {
        Ok(_) => UTF_8,
        Err(_) => WINDOWS_1252,
    });
    encoding.decode_without_bom_handling(octets).0.into_owned()
}

/// Octets of which nothing says the charset: UTF-8, or else windows-1252, without control characters.
pub(crate) fn decode_raw(octets: &[u8]) -> String {
    decode_charset(b"", octets).replace(is_harmful, "\u{fffd}")
}

/// Text being put together.
struct Text<'a> {
    decoded: String,
    octets_max: usize,
    /// The words since the last plain text, if they are of one charset.
    pending: Option<(&'a [u8], Vec<u8>)>,
}

impl<'a> Text<'a> {
    fn word(&mut self, word: Word<'a>) {
        match &mut self.pending {
            Some((charset, octets)) if charset.eq_ignore_ascii_case(word.charset) => {
                octets.extend_from_slice(&word.octets);
            }
            _ => {
                self.flush();
                self.pending = Some((word.charset, word.octets));
            }
        }
    }

    fn plain(&mut self, octets: &[u8]) {
        self.flush();
        // Decoding grows an octet to at most three, so more than the limit need not be looked at.
        let octets = &octets[..octets.len().min(self.octets_max)];
        self.push(&decode_charset(b"", octets));
    }

    fn flush(&mut self) {
        if let Some((charset, octets)) = self.pending.take() {
            self.push(&decode_charset(charset, &octets));
        }
    }

    fn push(&mut self, text: &str) {
        for character in text.chars() {
            let character = if is_harmful(character) {
                '\u{fffd}'
            } else {
                character
            };
            if self.decoded.len() + character.len_utf8() > self.octets_max {
                return;
            }
            self.decoded.push(character);
        }
    }
}

/// `encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?="` at the begin of `octets`
/// (RFC 2047 §2, RFC 2231 §5). Spaces in the encoded text are tolerated.
fn word(octets: &[u8]) -> Option<Word<'_>> {
    let after = octets.strip_prefix(b"=?")?;
    let charset_end = memchr::memchr(b'?', &after[..after.len().min(CHARSET_OCTETS_MAX)])?;
    let charset = after[..charset_end].split(|&o| o == b'*').next()?;
    if charset.is_empty() || !charset.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let [encoding, b'?', text @ ..] = &after[charset_end + 1..] else {
        return None;
    };
    let text = &text[..memmem::find(&text[..text.len().min(WORD_OCTETS_MAX)], b"?=")?];
    let decoded = match encoding {
        b'B' | b'b' => base64(text, WORD_OCTETS_MAX).octets,
        b'Q' | b'q' => q_decode(text),
        _ => return None,
    };
    Some(Word {
        charset,
        octets: decoded,
        taken: 2 + charset_end + 1 + 2 + text.len() + 2,
    })
}

/// The Q encoding (RFC 2047 §4.2): `_` is a space.
fn q_decode(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [octet, tail @ ..] = rest {
        let (meant, taken) = match (octet, hex_pair(tail)) {
            (b'=', Some(value)) => (value, 3),
            (b'_', _) => (b' ', 1),
            (other, _) => (*other, 1),
        };
        octets.push(meant);
        rest = &rest[taken..];
    }
    octets
}

fn is_blank(octets: &[u8]) -> bool {
    octets.iter().all(|o| matches!(o, b' ' | b'\t' | b'\r' | b'\n'))
}

fn is_harmful(character: char) -> bool {
    character.is_control() && character != '\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> String {
        decode(value.as_bytes(), 10_000).into_owned()
    }

    #[test]
    fn examples_of_rfc_2047() {
        for (encoded, plain) in [
            (
                "=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <k@d>",
                "Keld Jørn Simonsen <k@d>",
            ),
            (
                "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\t=?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
                "If you can read this you understand the example.",
            ),
            ("(=?ISO-8859-1?Q?a?=)", "(a)"),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=\r\n  =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
            ("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
        ] {
            assert_eq!(plain, text(encoded));
        }
    }

    #[test]
    fn a_character_may_be_split_over_two_words() {
        assert_eq!("ü!", text("=?utf-8?B?ww==?= =?UTF-8?Q?=BC!?="));
    }

    #[test]
    fn what_is_no_encoded_word_stays() {
        for plain in [
            "",
            "a",
            "=?",
            "=?utf-8?X?a?=",
            "=?utf-8?Q?a",
            "=? ?Q?a?=",
            "a =?= b",
            "=??Q?a?=",
            "1 =?2",
        ] {
            assert_eq!(plain, text(plain));
        }
        assert_eq!("a é", decode(b"a \xe9", 100));
        assert_eq!("xy", text("=?no-such-charset?Q?xy?="));
        assert_eq!("日本", text("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?="));
    }

    /// What docs/rfc.md says of charsets.
    #[test]
    fn what_a_charset_is_read_as() {
        for (charset, octets, plain) in [
            ("US-ASCII", &b"\xe9\x80"[..], "é€"),
            ("ISO-8859-1", b"\xe9\x80", "é€"),
            ("KOI8-R", b"\xc1", "а"),
            ("CP866", b"\xa0", "а"),
            ("CP437", b"\x82", "‚"),
            ("UTF-7", b"+AOk-", "+AOk-"),
            ("no-such", b"\xc3\xa9", "é"),
            ("no-such", b"\xe9", "é"),
            ("ISO-2022-KR", b"abc", "\u{fffd}"),
            ("ISO-2022-CN", b"abc", "\u{fffd}"),
            ("HZ-GB-2312", b"abc", "\u{fffd}"),
            ("utf-8", b"a\xe9", "a\u{fffd}"),
        ] {
            assert_eq!(plain, decode_charset(charset.as_bytes(), octets), "{charset}");
        }
    }

    #[test]
    fn decoded_text_cannot_end_a_line() {
        assert_eq!("a\u{fffd}\u{fffd}Bcc: x", text("=?utf-8?Q?a=0D=0ABcc:_x?="));
        assert_eq!("a\u{fffd}b", text("a\0b"));
    }

    #[test]
    fn limits_hold() {
        assert_eq!("äb", decode("=?utf-8?Q?=C3=A4b=C3=A4?=".as_bytes(), 4));
        assert_eq!(16, decode(&b"x".repeat(1000), 16).len());
        let many = "=?utf-8?q?abc".repeat(10_000);
        assert!(decode(many.as_bytes(), 1 << 20).len() <= many.len());
        let words = "=?utf-8?q?abc?= ".repeat(10_000);
        assert_eq!(30_001, decode(words.as_bytes(), 1 << 20).len());
    }
}

//! xtext (RFC 3461 §4) and utf-8-addr-xtext (RFC 6533 §3): how text travels as the value of a parameter.
//!
//! ```abnf
//! xtext    = *( xchar / hexchar )
//! xchar    = any ASCII CHAR between "!" (33) and "~" (126) inclusive, except for "+" and "="
//! hexchar  = ASCII "+" immediately followed by two upper case hexadecimal digits
//! utf-8-addr-xtext    = 1*(QCHAR / EmbeddedUnicodeChar)
//! EmbeddedUnicodeChar = "\x" "{" HEXPOINT "}"
//! ```
//!
//! Rule: what comes out holds no control character, because it ends up in header fields of DSNs and in logs.
//! Deviations: lower-case digits are taken (Exim's do no harm), and a raw `=` is taken in what we read, because
//! clients put VERP addresses with one into ORCPT.

/// The longest a HEXPOINT may be: U+10FFFF has six digits.
const HEXPOINT_DIGITS_MAX: usize = 6;

/// The text that `xtext` stands for; None where it is malformed, not UTF-8, or holds a control character.
pub fn decode(xtext: &[u8]) -> Option<String> {
    let mut octets = Vec::with_capacity(xtext.len());
    let mut rest = xtext;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        octets.push(match octet {
            b'+' => {
                let digits = rest.get(..2)?;
                rest = &rest[2..];
                hex(digits[0])? << 4 | hex(digits[1])?
            }
            b'!'..=b'~' => octet,
            _ => return None,
        });
    }
    printable(String::from_utf8(octets).ok()?)
}

/// The address that a value of addr-type `utf-8` stands for: UTF-8 as it is, `\x{…}` for a character, and xtext's
/// `+XX` too (RFC 6533 §3 lets all three occur).
pub fn decode_utf8(value: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(value.len());
    let mut rest = std::str::from_utf8(value).ok()?;
    while let Some(character) = rest.chars().next() {
        if let Some(point) = rest.strip_prefix("\\x{") {
            let (digits, after) = point.split_once('}')?;
            let plain =
                (1..=HEXPOINT_DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|d| hex(d).is_some());
            if !plain {
                return None;
            }
            text.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
            rest = after;
        } else if character == '+' {
            let digits = rest.as_bytes().get(1..3)?;
            text.push(char::from(hex(digits[0])? << 4 | hex(digits[1])?));
            rest = rest.get(3..)?;
        } else {
            text.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    printable(text)
}

/// The text as xtext. Octets beyond ASCII are encoded too, as RFC 3461 has no other place for them.
pub fn encode(text: &str) -> String {
    let mut xtext = String::with_capacity(text.len());
    for octet in text.bytes() {
        if (b'!'..=b'~').contains(&octet) && octet != b'+' && octet != b'=' {
            xtext.push(char::from(octet));
        } else {
            xtext.push_str(&format!("+{octet:02X}"));
        }
    }
    xtext
}

fn printable(text: String) -> Option<String> {
    (!text.chars().any(char::is_control)).then_some(text)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_answers() {
        for (xtext, text) in [
            ("Bob@example.com", Some("Bob@example.com")),
            ("a+2Bb+3Dc", Some("a+b=c")),
            ("a+20b", Some("a b")),
            ("+C3+A9", Some("é")),
            ("", Some("")),
            ("a+2", None),
            ("a+zz", None),
            ("a b", None),
            ("a+0D+0A", None),
            ("a+00", None),
            ("+FF", None),
            ("é", None),
        ] {
            assert_eq!(text.map(str::to_owned), decode(xtext.as_bytes()), "{xtext}");
        }
    }

    #[test]
    fn known_answers_of_utf_8_addresses() {
        for (value, text) in [
            ("gr\\x{E5}@example.org", Some("grå@example.org")),
            ("grå@example.org", Some("grå@example.org")),
            ("a+2Bb@c", Some("a+b@c")),
            ("\\x{D800}", None),
            ("\\x{}", None),
            ("\\x{0000041}", None),
            ("\\x{A}", None),
            ("\\x{85", None),
            ("+0A", None),
            ("+é", None),
        ] {
            assert_eq!(text.map(str::to_owned), decode_utf8(value.as_bytes()), "{value}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(text in "\\PC{0,30}") {
            prop_assert_eq!(Some(text.clone()), decode(encode(&text).as_bytes()));
        }

        #[test]
        fn never_panics(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (decode(&value), decode_utf8(&value));
        }
    }
}

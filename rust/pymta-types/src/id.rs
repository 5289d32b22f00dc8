//! The name of a spooled message: one id through every log line, metric, file and reply.

use std::fmt;
use std::str::FromStr;

/// Crockford's alphabet, lower case: no i, l, o, u, so an id read aloud or retyped is not mistaken.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 64 bits in groups of five.
const TEXT_OCTETS: usize = 13;

/// A spooled message's name, unique within a spool and never used twice.
///
/// Its text form is 13 letters and digits and sorts like the number, so like the time of spooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpoolId(pub u64);

/// The text is not a spool id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a spool id is 13 characters of 0-9 and a-z without i, l, o and u")]
pub struct SpoolIdError;

impl fmt::Display for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; TEXT_OCTETS];
        let mut rest = self.0;
        for slot in text.iter_mut().rev() {
            *slot = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        // The alphabet is ASCII, so this cannot fail; `f.write_str` wants a str.
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for SpoolId {
    type Err = SpoolIdError;

    fn from_str(text: &str) -> Result<Self, SpoolIdError> {
        if text.len() != TEXT_OCTETS {
            return Err(SpoolIdError);
        }
        let mut value: u128 = 0;
        for octet in text.bytes() {
            let digit = ALPHABET.iter().position(|&a| a == octet).ok_or(SpoolIdError)?;
            value = (value << 5) | digit as u128;
        }
        u64::try_from(value).map(SpoolId).map_err(|_| SpoolIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_sorts_like_the_number() {
        let numbers = [0, 1, 31, 32, 1 << 40, u64::MAX - 1, u64::MAX];
        let texts: Vec<String> = numbers.iter().map(|&n| SpoolId(n).to_string()).collect();
        let mut sorted = texts.clone();
        sorted.sort();
        assert_eq!(sorted, texts);
        for (number, text) in numbers.iter().zip(&texts) {
            assert_eq!(Ok(SpoolId(*number)), text.parse());
        }
    }

    #[test]
    fn text_that_is_no_id_is_refused() {
        for text in [
            "",
            "0",
            "00000000000000",
            "000000000000i",
            "zzzzzzzzzzzzz",
            "../../../etc/",
        ] {
            assert_eq!(Err(SpoolIdError), text.parse::<SpoolId>());
        }
    }
}

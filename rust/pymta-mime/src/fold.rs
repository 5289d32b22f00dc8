//! What we write into a header section ourselves: names and values are checked, long lines folded (RFC 5322 §2.2.3).
//!
//! This is where header injection ends (attacks row 8 and 9): a value reaches a message only through here, and no
//! value that comes out holds a line that is not a continuation.

use crate::scan::{is_ftext, scan};
use crate::{HeaderLimits, HeaderViolation};

/// Longest line that may be sent, without its CRLF (RFC 5322 §2.1.1).
pub const LINE_OCTETS_MAX: usize = 998;

/// Where a line is folded if it has white space (RFC 5322 §2.1.1).
pub(crate) const LINE_OCTETS_WANTED: usize = 78;

/// Longest value of one edit.
pub const VALUE_OCTETS_MAX: usize = 64 << 10;

/// Longest name: leaves room for a value on the line.
const NAME_OCTETS_MAX: usize = 256;

/// Why an edit of the header section is refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The name is not `1*ftext` (RFC 5322 §3.6.8) or absurdly long.
    #[error("a header field name is one to 256 printable ASCII characters without colon and space")]
    Name,
    /// The value holds a control character or a line break that is no folding.
    #[error("a header field value must not hold control characters or line breaks other than folding")]
    Value,
    /// A line of the value would be longer than [`LINE_OCTETS_MAX`] and has no white space to fold at.
    #[error("a header field line is longer than 998 octets and cannot be folded")]
    LineTooLong,
    /// The value is longer than [`VALUE_OCTETS_MAX`], or edits grow the section by more than
    /// [`crate::ADDED_OCTETS_MAX`].
    #[error("the header field is too large")]
    TooLarge,
    /// Raw octets that are not whole fields, each line ended by CRLF.
    #[error("not a whole header field with its line ending")]
    NotAField,
}

/// Writes `name: value CRLF`, folded.
///
/// - A value that is folded already keeps its folds; lines too long are folded further.
/// - A fold is put before existing white space, so that unfolding gives the value back; a line is never made of white
///   space alone (RFC 5322 §3.2.2 forbids to generate it).
///
/// # Errors
/// [`EditError`], whatever is wrong first.
pub(crate) fn compose(name: &str, value: &str) -> Result<Vec<u8>, EditError> {
    check_name(name)?;
    let value = value.trim_matches([' ', '\t']);
    if value.len() > VALUE_OCTETS_MAX {
        return Err(EditError::TooLarge);
    }
    let mut out = Vec::with_capacity(name.len() + value.len() + 8);
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut column = out.len();
    for (index, line) in value.split("\r\n").enumerate() {
        check_line(line, index)?;
        if index > 0 {
            out.extend_from_slice(b"\r\n");
            column = 0;
            column = fold_line(&mut out, line, column)?;
        } else if !line.is_empty() {
            let spaced = format!(" {line}");
            column = fold_line(&mut out, &spaced, column)?;
        }
    }
    debug_assert!(column <= LINE_OCTETS_MAX);
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

/// Whether `field` is one or more whole fields that may be put into a section as they are.
///
/// # Errors
/// [`EditError::NotAField`], [`EditError::Value`], [`EditError::LineTooLong`], [`EditError::TooLarge`].
pub(crate) fn check_raw(field: &[u8]) -> Result<crate::scan::Scan, EditError> {
    if field.len() > VALUE_OCTETS_MAX {
        return Err(EditError::TooLarge);
    }
    let found = scan(field, HeaderLimits::default());
    match found.violation {
        Some(HeaderViolation::TooManyFields | HeaderViolation::SectionTooLarge) => {
            return Err(EditError::TooLarge);
        }
        None => {}
    }
    let whole = !found.spans.is_empty() && found.first_opaque.is_none() && !found.closed;
    if !whole || !field.ends_with(b"\r\n") {
        return Err(EditError::NotAField);
    }
    let mut rest = field;
    while let Some(end) = memchr::memchr3(b'\r', b'\n', 0, rest) {
        if !rest[end..].starts_with(b"\r\n") {
            return Err(EditError::Value);
        }
        if end > LINE_OCTETS_MAX {
            return Err(EditError::LineTooLong);
        }
        rest = &rest[end + 2..];
    }
    Ok(found)
}

fn check_name(name: &str) -> Result<(), EditError> {
    let fits = (1..=NAME_OCTETS_MAX).contains(&name.len());
    if fits && name.bytes().all(is_ftext) {
        Ok(())
    } else {
        Err(EditError::Name)
    }
}

/// A line of a value: no control characters but tab; after the first, white space and then something else.
fn check_line(line: &str, index: usize) -> Result<(), EditError> {
    let control = line.chars().any(|c| c.is_control() && c != '\t');
    let blank = line.trim_matches([' ', '\t']).is_empty();
    if control || (index > 0 && (blank || !line.starts_with([' ', '\t']))) {
        return Err(EditError::Value);
    }
    Ok(())
}

/// Appends `line` (which begins with white space), folded before white space where it would pass
/// [`LINE_OCTETS_WANTED`]; returns the column.
///
/// The first word stays behind the name, where some readers expect it, unless it would pass [`LINE_OCTETS_MAX`].
fn fold_line(out: &mut Vec<u8>, line: &str, mut column: usize) -> Result<usize, EditError> {
    for (index, word) in words(line).enumerate() {
        let line_octets_max = if index == 0 {
            LINE_OCTETS_MAX
        } else {
            LINE_OCTETS_WANTED
        };
        if column > 0 && column + word.len() > line_octets_max {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        out.extend_from_slice(word.as_bytes());
        column += word.len();
        if column > LINE_OCTETS_MAX {
            return Err(EditError::LineTooLong);
        }
    }
    Ok(column)
}

/// The line in pieces of white space and the word after it.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let word_start = rest.find(|c| c != ' ' && c != '\t').unwrap_or(rest.len());
        let end = rest[word_start..]
            .find([' ', '\t'])
            .map_or(rest.len(), |at| word_start + at);
        let (word, tail) = rest.split_at(end);
        rest = tail;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, value: &str) -> String {
        String::from_utf8(compose(name, value).unwrap()).unwrap()
    }

    #[test]
    fn short_values_stay_on_one_line() {
        assert_eq!("Subject: hello\r\n", text("Subject", "hello"));
        assert_eq!("Subject:\r\n", text("Subject", " "));
        assert_eq!("To: a,\r\n b\r\n", text("To", "a,\r\n b"));
    }

    #[test]
    fn long_values_are_folded_at_white_space() {
        let value = "word ".repeat(40);
        let folded = text("Subject", &value);
        assert!(
            folded
                .lines()
                .all(|line| line.len() <= 78 && !line.trim().is_empty()),
            "{folded}"
        );
        assert_eq!(
            format!("Subject: {}\r\n", value.trim()),
            folded.replace("\r\n ", " ")
        );
    }

    #[test]
    fn a_long_word_stays_behind_its_name() {
        assert_eq!(
            format!("X: {}\r\n\tb\r\n", "a".repeat(900)),
            text("X", &format!("{}\tb", "a".repeat(900)))
        );
        assert_eq!(998 + 2, compose("X", &"a".repeat(995)).unwrap().len());
        assert_eq!(
            format!("X:\r\n {}\r\n", "a".repeat(997)),
            text("X", &"a".repeat(997))
        );
        assert_eq!(Err(EditError::LineTooLong), compose("X", &"a".repeat(998)));
    }

    #[test]
    fn nothing_can_end_the_field() {
        for value in [
            "a\r\nBcc: x",
            "a\nb",
            "a\rb",
            "a\0b",
            "a\r\n",
            "a\r\n \r\n b",
            "a\r\n\r\nb",
            "a\x1bb",
            "a\u{85}b",
        ] {
            assert_eq!(Err(EditError::Value), compose("X", value), "{value:?}");
        }
        for name in ["", "a b", "a:", "a\r\n", "ü", "a\0"] {
            assert_eq!(Err(EditError::Name), compose(name, "x"), "{name:?}");
        }
        assert_eq!(
            Err(EditError::TooLarge),
            compose("X", &"a ".repeat(VALUE_OCTETS_MAX))
        );
    }

    #[test]
    fn raw_fields_are_whole_or_refused() {
        assert!(check_raw(b"A: 1\r\n\tx\r\nB: 2\r\n").is_ok());
        for raw in [
            &b""[..],
            b"A: 1",
            b"junk\r\n",
            b"A: 1\r\n\r\n",
            b"\r\n",
            b" A: 1\r\n",
            b"A: 1\r\njunk\r\n",
            b"A: 1\r\n\r\nB: 2\r\n",
        ] {
            assert_eq!(Some(EditError::NotAField), check_raw(raw).err(), "{raw:?}");
        }
        assert_eq!(Some(EditError::Value), check_raw(b"A: 1\nB: 2\r\n").err());
        let long = format!("A: {}\r\n", "x".repeat(996));
        assert_eq!(Some(EditError::LineTooLong), check_raw(long.as_bytes()).err());
    }
}

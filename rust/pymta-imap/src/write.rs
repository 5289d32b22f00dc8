//! How a response is written: strings, names, flags, dates, sets, and the lines with a status (RFC 9051 §7 and §9).
//!
//! Everything appends to a buffer. `utf8` is [`crate::Enabled::utf8`]: without it no octet above 127 stands outside a
//! literal.

use crate::command::Flags;
use crate::mailbox_name;

/// What a status line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is done.
    Ok,
    /// It could not be done.
    No,
    /// It was not understood.
    Bad,
    /// The session ends.
    Bye,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::Bye => "BYE",
        }
    }
}

/// The longest text of a status line.
const TEXT_OCTETS_MAX: usize = 400;
/// A string above this goes as a literal, which costs no looking through at the other end.
const QUOTED_OCTETS_MAX: usize = 1000;

/// `tag OK [code] text`. A text is always said: a code alone breaks clients, whatever the examples of RFC 7162 have.
pub fn tagged(out: &mut Vec<u8>, tag: &str, status: Status, code: Option<&str>, text: &str) {
    out.extend_from_slice(tag.as_bytes());
    rest_of_line(out, status, code, text);
}

/// `* OK [code] text`.
pub fn untagged(out: &mut Vec<u8>, status: Status, code: Option<&str>, text: &str) {
    out.push(b'*');
    rest_of_line(out, status, code, text);
}

/// `+ text`: go on. A text is always said, as for a status line.
pub fn continuation(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"+ ");
    safe(out, if text.is_empty() { "go on" } else { text });
    out.extend_from_slice(b"\r\n");
}

fn rest_of_line(out: &mut Vec<u8>, status: Status, code: Option<&str>, text: &str) {
    out.push(b' ');
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    if let Some(code) = code {
        out.push(b'[');
        out.extend_from_slice(code.as_bytes());
        out.extend_from_slice(b"] ");
    }
    safe(out, if text.is_empty() { "done" } else { text });
    out.extend_from_slice(b"\r\n");
}

/// Whether this can stand between the brackets of a status line.
pub fn is_code(code: &str) -> bool {
    !code.is_empty()
        && code
            .bytes()
            .all(|octet| matches!(octet, b' '..=b'~') && !matches!(octet, b'[' | b']'))
}

/// Only what may stand in a line gets into it, whoever gave the text.
fn safe(out: &mut Vec<u8>, text: &str) {
    let octets = text.bytes().take(TEXT_OCTETS_MAX);
    out.extend(octets.map(|octet| if matches!(octet, b' '..=b'~') { octet } else { b'?' }));
}

/// A string: quoted where it can be, a literal elsewhere. A NUL, which neither may hold, becomes `?`.
pub fn string(out: &mut Vec<u8>, octets: &[u8], utf8: bool) {
    let is_quotable = octets.len() <= QUOTED_OCTETS_MAX
        && octets
            .iter()
            .all(|&octet| !matches!(octet, b'\r' | b'\n' | 0) && (utf8 || octet < 128))
        && (octets.is_ascii() || str::from_utf8(octets).is_ok());
    if is_quotable {
        quoted(out, octets);
    } else {
        literal_head(out, octets.len() as u64);
        out.extend(octets.iter().map(|&octet| if octet == 0 { b'?' } else { octet }));
    }
}

fn quoted(out: &mut Vec<u8>, octets: &[u8]) {
    out.push(b'"');
    for &octet in octets {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
    out.push(b'"');
}

/// A string, or NIL.
pub fn nstring(out: &mut Vec<u8>, octets: Option<&[u8]>, utf8: bool) {
    match octets {
        None => out.extend_from_slice(b"NIL"),
        Some(octets) => string(out, octets, utf8),
    }
}

/// An atom where it can be one (and does not look like NIL), else a string.
pub fn astring(out: &mut Vec<u8>, octets: &[u8], utf8: bool) {
    let is_atom = !octets.is_empty() && octets.iter().all(|&octet| is_astring_octet(octet));
    if is_atom && !octets.eq_ignore_ascii_case(b"NIL") {
        out.extend_from_slice(octets);
    } else {
        string(out, octets, utf8);
    }
}

/// ASTRING-CHAR of RFC 9051 §9.
pub(crate) fn is_astring_octet(octet: u8) -> bool {
    is_atom_octet(octet) || octet == b']'
}

/// Whether a keyword may be called so (RFC 9051 §9: `atom`).
pub fn is_atom(octets: &[u8]) -> bool {
    !octets.is_empty() && octets.iter().all(|&octet| is_atom_octet(octet))
}

/// ATOM-CHAR of RFC 9051 §9.
pub(crate) fn is_atom_octet(octet: u8) -> bool {
    matches!(octet, b'!'..=b'~') && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// `{n}` and the end of its line: so many octets are to follow.
pub fn literal_head(out: &mut Vec<u8>, octets: u64) {
    out.extend_from_slice(format!("{{{octets}}}\r\n").as_bytes());
}

/// `~{n}` likewise: they may hold NULs (RFC 3516 §4.2).
pub fn literal8_head(out: &mut Vec<u8>, octets: u64) {
    out.extend_from_slice(format!("~{{{octets}}}\r\n").as_bytes());
}

/// A mailbox's name, always quoted where it is not INBOX.
pub fn mailbox(out: &mut Vec<u8>, name: &str, utf8: bool) {
    if name == "INBOX" {
        out.extend_from_slice(b"INBOX");
    } else if utf8 {
        string(out, name.as_bytes(), true);
    } else {
        string(out, mailbox_name::encode(name).as_bytes(), false);
    }
}

/// `(\Answered $Forwarded)`.
pub fn flags(out: &mut Vec<u8>, flags: &Flags) {
    let system = [
        (flags.answered, "\\Answered"),
        (flags.flagged, "\\Flagged"),
        (flags.deleted, "\\Deleted"),
        (flags.seen, "\\Seen"),
        (flags.draft, "\\Draft"),
    ];
    let system = system.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name);
    words(out, system.chain(flags.keywords.iter().map(String::as_str)));
}

/// Words in parentheses.
pub fn words<'a>(out: &mut Vec<u8>, words: impl Iterator<Item = &'a str>) {
    out.push(b'(');
    for (index, word) in words.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    }
    out.push(b')');
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `"17-Jul-1996 02:44:25 +0000"`, of seconds since 1970. Years below 0 or above 9999 are those.
pub fn date_time(out: &mut Vec<u8>, seconds: i64) {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let text = format!(
        "\"{day:>2}-{}-{:04} {hour:02}:{minute:02}:{second:02} +0000\"",
        MONTHS[month],
        year.clamp(0, 9999)
    );
    out.extend_from_slice(text.as_bytes());
}

/// (year, month from 0, day) of days since 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, usize, i64) {
    let days = days.clamp(-1_000_000, 10_000_000) + 719_468; // since 0000-03-01
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12;
    let year = era * 400 + year_of_era + i64::from(month < 2);
    (year, usize::try_from(month).unwrap_or(0), day)
}

/// Days since 1970-01-01 of a date in the Gregorian calendar (month from 0); None where there is no such day.
pub fn days(year: i64, month: usize, day: i64) -> Option<i64> {
    let shifted = year - i64::from(month < 2);
    let from_march = (i64::try_from(month).ok()? + 10) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    let of_era =
        shifted.rem_euclid(400) * 365 + shifted.rem_euclid(400) / 4 - shifted.rem_euclid(400) / 100 + of_year;
    let days = shifted.div_euclid(400) * 146_097 + of_era - 719_468;
    (civil(days) == (year, month, day)).then_some(days)
}

/// The month of that name, from 0.
pub(crate) fn month(name: &[u8]) -> Option<usize> {
    MONTHS
        .iter()
        .position(|month| month.as_bytes().eq_ignore_ascii_case(name))
}

/// Numbers in their order, as `1:3,7`. What does not ascend by one begins anew, so two sets that belong together
/// (COPYUID) keep their order. Writes nothing where there are none: a set of none cannot be said.
pub fn set(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    let mut range: Option<(u32, u32)> = None;
    let mut is_first = true;
    let mut say = |(first, last): (u32, u32)| {
        let comma = if std::mem::take(&mut is_first) { "" } else { "," };
        let text = if first == last {
            format!("{comma}{first}")
        } else {
            format!("{comma}{first}:{last}")
        };
        out.extend_from_slice(text.as_bytes());
    };
    for number in numbers {
        range = match range {
            Some((first, last)) if last.checked_add(1) == Some(number) => Some((first, number)),
            Some(done) => {
                say(done);
                Some((number, number))
            }
            None => Some((number, number)),
        };
    }
    range.into_iter().for_each(say);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn a_string_is_quoted_where_it_can_be() {
        for (octets, utf8, wire) in [
            (&b"a b"[..], false, "\"a b\""),
            (b"a\"\\", false, "\"a\\\"\\\\\""),
            (b"", false, "\"\""),
            (b"a\r\nb", true, "{4}\r\na\r\nb"),
            (b"a\0", true, "{2}\r\na?"),
            ("\u{fc}".as_bytes(), true, "\"\u{fc}\""),
            ("\u{fc}".as_bytes(), false, "{2}\r\n\u{fc}"),
        ] {
            assert_eq!(wire, written(|out| string(out, octets, utf8)));
        }
        assert_eq!("{1}\r\n\u{fffd}", written(|out| string(out, b"\xff", true)));
        assert_eq!("NIL", written(|out| nstring(out, None, true)));
        assert_eq!("\"NIL\"", written(|out| astring(out, b"NIL", true)));
        assert_eq!("a.b", written(|out| astring(out, b"a.b", true)));
        assert_eq!("\"\"", written(|out| astring(out, b"", true)));
    }

    #[test]
    fn a_name_is_in_the_form_of_the_session() {
        assert_eq!("INBOX", written(|out| mailbox(out, "INBOX", false)));
        assert_eq!(
            "\"Entw&APw-rfe\"",
            written(|out| mailbox(out, "Entw\u{fc}rfe", false))
        );
        assert_eq!(
            "\"Entw\u{fc}rfe\"",
            written(|out| mailbox(out, "Entw\u{fc}rfe", true))
        );
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "\" 1-Jan-1970 00:00:00 +0000\""),
            (837_571_465, "\"17-Jul-1996 02:44:25 +0000\""),
            (951_782_400, "\"29-Feb-2000 00:00:00 +0000\""),
            (-1, "\"31-Dec-1969 23:59:59 +0000\""),
        ] {
            assert_eq!(text, written(|out| date_time(out, seconds)));
        }
        assert_eq!(Some(11_016), days(2000, 1, 29));
        assert_eq!(None, days(1999, 1, 29));
        assert_eq!(None, days(1999, 3, 31));
        assert_eq!(None, days(1999, 3, 0));
    }

    #[test]
    fn a_set_is_written_in_ranges_and_keeps_its_order() {
        for (numbers, text) in [
            (&[1, 2, 3, 7][..], "1:3,7"),
            (&[5], "5"),
            (&[3, 2, 1, 2], "3,2,1:2"),
            (&[], ""),
            (&[u32::MAX - 1, u32::MAX], "4294967294:4294967295"),
        ] {
            assert_eq!(text, written(|out| set(out, numbers.iter().copied())));
        }
    }

    /// Regression A6b 5: a code is followed by a text.
    #[test]
    fn a_line_always_has_a_text_and_is_one_line() {
        assert_eq!(
            "a OK [HIGHESTMODSEQ 7] done\r\n",
            written(|out| tagged(out, "a", Status::Ok, Some("HIGHESTMODSEQ 7"), ""))
        );
        assert_eq!(
            "* BYE a??b\r\n",
            written(|out| untagged(out, Status::Bye, None, "a\r\nb"))
        );
        assert_eq!("+ go on\r\n", written(|out| continuation(out, "")));
    }

    #[test]
    fn flags_are_words_in_parentheses() {
        let some = Flags {
            seen: true,
            keywords: vec!["$Junk".to_owned()],
            ..Flags::default()
        };
        assert_eq!("(\\Seen $Junk)", written(|out| flags(out, &some)));
        assert_eq!("()", written(|out| flags(out, &Flags::default())));
    }

    proptest! {
        #[test]
        fn every_day_comes_back(day in -700_000i64..2_900_000) {
            let (year, month, of_month) = civil(day);
            prop_assert_eq!(Some(day), days(year, month, of_month));
        }
    }
}

//! The line that begins a message: `From`, an envelope's address, a date as asctime(3) writes it.
//!
//! ```text
//! From alice@example.org Thu Nov 14 22:13:20 2023
//! ```
//! Writers put a zone before or behind the year (mutt, old Unixes), leave the seconds out, or say nothing at all behind
//! `From ` (newer Thunderbirds). RFC 4155: the date is UTC where no zone is said.

use pymta_mime::{date, sent_date};
use pymta_types::UnixMs;

/// A longer line is no beginning of a message.
const LINE_OCTETS_MAX: usize = 1024;
/// So much must be seen of what is left to decide: the line, and the name of the field behind it.
pub(super) const LOOK_AHEAD_OCTETS: usize = 4096;

pub(super) const FROM: &[u8] = b"From ";
/// Where nobody is named: the writers' custom.
const NOBODY: &[u8] = b"MAILER-DAEMON";
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// What such a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FromLine {
    /// None where there is no date that can be read.
    pub(super) date_s: Option<i64>,
    /// With its ending.
    pub(super) octets: usize,
}

/// Whether a message begins where the window does. A line with a date begins one anywhere; one without, only behind an empty
/// line and before a header field. So a line that a careless writer did not escape rather makes two messages of one
/// than the other way round, where the second would be lost to its reader.
pub(super) fn from_line(window: &[u8], is_after_empty: bool) -> Option<FromLine> {
    if !window.starts_with(FROM) {
        return None;
    }
    let end = memchr::memchr(b'\n', window).filter(|&end| end < LINE_OCTETS_MAX)?;
    let date_s = date_of(&window[FROM.len()..end]);
    let is_one = date_s.is_some() || is_after_empty && is_field(&window[end + 1..]);
    is_one.then_some(FromLine {
        date_s,
        octets: end + 1,
    })
}

/// A name of printable octets and a colon (RFC 5322 §2.2).
fn is_field(window: &[u8]) -> bool {
    let name = window
        .iter()
        .take_while(|&&octet| matches!(octet, b'!'..=b'9' | b';'..=b'~'));
    let octets = name.count();
    octets > 0 && window.get(octets) == Some(&b':')
}

fn date_of(line: &[u8]) -> Option<i64> {
    let text = str::from_utf8(line)
        .ok()
        .map_or_else(|| String::from_utf8_lossy(line), Into::into);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    // An address may hold blanks, so it is looked for from the end.
    let at = words
        .iter()
        .rposition(|word| DAYS.iter().any(|day| day.eq_ignore_ascii_case(word)))?;
    let [_, month, day, time, rest @ ..] = &words[at..] else {
        return None;
    };
    let is_year = |word: &&&str| word.len() == 4 && word.bytes().all(|octet| octet.is_ascii_digit());
    let year = rest.iter().take(3).find(is_year)?;
    let zone = rest
        .iter()
        .take(3)
        .find(|word| !is_year(word))
        .unwrap_or(&"+0000");
    sent_date(format!("{day} {month} {year} {time} {zone}").as_bytes()).map(|date| date.seconds)
}

/// The line for a message of ours.
pub(super) fn write(out: &mut Vec<u8>, reverse_path: Option<&[u8]>, date_s: i64) {
    out.extend_from_slice(FROM);
    out.extend_from_slice(reverse_path.unwrap_or(NOBODY));
    let text = date(UnixMs(u64::try_from(date_s).unwrap_or(0).saturating_mul(1000)));
    // "Tue, 14 Nov 2023 22:13:20 +0000" in asctime's order, which pads a day with a blank.
    let words: Vec<&str> = text.split([',', ' ']).filter(|word| !word.is_empty()).collect();
    if let [weekday, day, month, year, time, _] = words[..] {
        let day = day.strip_prefix('0').unwrap_or(day);
        out.extend_from_slice(format!(" {weekday} {month} {day:>2} {time} {year}\n").as_bytes());
    }
}

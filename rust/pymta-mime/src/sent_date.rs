//! The Date field read (RFC 5322 §3.3, obsolete forms of §4.3): when a message says that it was sent.

/// An instant with the offset that it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentDate {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Minutes east of UTC, within a day.
    pub offset_min: i16,
}

impl SentDate {
    /// The day that the sender's calendar showed, counted from 1970-01-01: what SENTON compares.
    pub fn local_day(self) -> i64 {
        (self.seconds + i64::from(self.offset_min) * 60).div_euclid(86_400)
    }
}

/// Fields longer than this hold no date.
const VALUE_OCTETS_MAX: usize = 512;

const MONTHS: [&[u8]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// `[day-name ","] day month year hour ":" minute [":" second] zone`, with comments and white space anywhere.
///
/// - Two digits of a year are 1950 to 2049, three are from 1900 on (RFC 5322 §4.3).
/// - A zone that is unknown or missing is UTC (§4.3: `-0000`).
/// - A day that its month does not have is no date.
pub fn sent_date(value: &[u8]) -> Option<SentDate> {
    let text = without_comments(value.get(..value.len().min(VALUE_OCTETS_MAX))?);
    let mut rest = Cursor(&text);
    rest.blank();
    if rest.word().is_some() {
        rest.blank();
        rest.mark(b',');
        rest.blank();
    }
    let (day, _) = rest.number(2)?;
    rest.separator();
    let month = rest.word()?;
    let month = MONTHS
        .iter()
        .position(|name| month.len() >= 3 && month[..3].eq_ignore_ascii_case(name))?;
    rest.separator();
    let (year, digits) = rest.number(4)?;
    let year = match (digits, year) {
        (4, _) => year,
        (2, 0..50) => year + 2000,
        (2 | 3, _) => year + 1900,
        _ => return None,
    };
    rest.blank();
    let (hour, _) = rest.number(2)?;
    let (minute, second) = time_of_hour(&mut rest)?;
    rest.blank();
    let offset_min = rest.zone();
    let month = i64::try_from(month).ok()? + 1;
    // 60 is a leap second.
    if year < 1 || !(1..=month_days(year, month)).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(SentDate {
        seconds: local - i64::from(offset_min) * 60,
        offset_min,
    })
}

fn time_of_hour(rest: &mut Cursor<'_>) -> Option<(i64, i64)> {
    rest.blank();
    if !rest.mark(b':') && !rest.mark(b'.') {
        return None;
    }
    rest.blank();
    let (minute, _) = rest.number(2)?;
    rest.blank();
    if !rest.mark(b':') && !rest.mark(b'.') {
        return Some((minute, 0));
    }
    rest.blank();
    Some((minute, rest.number(2)?.0))
}

/// Days since 1970-01-01 of a day in the Gregorian calendar; months from 1.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Counted from 0000-03-01, so that the leap day is a year's last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Each comment as a space (RFC 5322 §3.2.2); they may hold each other.
fn without_comments(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len());
    let mut depth = 0usize;
    let mut escaped = false;
    for &octet in value {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if depth > 0 => escaped = true,
            b'(' => {
                depth += 1;
                text.push(b' ');
            }
            b')' if depth > 0 => depth -= 1,
            _ if depth == 0 => text.push(octet),
            _ => {}
        }
    }
    text
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take_while(&mut self, wanted: impl Fn(&u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|o| !wanted(o)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn blank(&mut self) {
        self.take_while(u8::is_ascii_whitespace);
    }

    /// Between day, month and year; some write `23-Nov-2026`.
    fn separator(&mut self) {
        self.take_while(|o| o.is_ascii_whitespace() || matches!(o, b'-' | b',' | b'.'));
    }

    fn mark(&mut self, mark: u8) -> bool {
        let found = self.0.first() == Some(&mark);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    fn word(&mut self) -> Option<&'a [u8]> {
        Some(self.take_while(u8::is_ascii_alphabetic)).filter(|word| !word.is_empty())
    }

    /// A number and how many digits it has.
    fn number(&mut self, digits_max: usize) -> Option<(i64, usize)> {
        let digits = self.take_while(u8::is_ascii_digit);
        if !(1..=digits_max).contains(&digits.len()) {
            return None;
        }
        let value = digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        Some((value, digits.len()))
    }

    fn zone(&mut self) -> i16 {
        let sign = match self.0.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return named_zone(self.take_while(u8::is_ascii_alphabetic)),
        };
        self.0 = &self.0[1..];
        let digits = self.take_while(u8::is_ascii_digit);
        let [a, b, c, d] = digits else { return 0 };
        let digit = |octet: &u8| i16::from(octet - b'0');
        let minutes = (digit(a) * 10 + digit(b)) * 60 + digit(c) * 10 + digit(d);
        if minutes < 24 * 60 { sign * minutes } else { 0 }
    }
}

/// RFC 5322 §4.3. The single letters of RFC 822 were defined the wrong way round, so they say nothing.
fn named_zone(name: &[u8]) -> i16 {
    let name = name.to_ascii_uppercase();
    60 * match name.as_slice() {
        b"EDT" => -4,
        b"EST" | b"CDT" => -5,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" => -8,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<(i64, i16)> {
        sent_date(value.as_bytes()).map(|date| (date.seconds, date.offset_min))
    }

    #[test]
    fn examples_of_rfc_5322() {
        for (value, expected) in [
            ("Fri, 21 Nov 1997 09:55:06 -0600", Some((880_127_706, -360))),
            ("Tue, 1 Jul 2003 10:52:37 +0200", Some((1_057_049_557, 120))),
            ("Thu, 13 Feb 1969 23:32:54 -0330", Some((-27_723_426, -210))),
            (
                "Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n               -0330 (Newfoundland Time)",
                Some((-27_723_480, -210)),
            ),
            ("21 Nov 97 09:55:06 GMT", Some((880_106_106, 0))),
            (
                "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600",
                Some((880_127_706, -360)),
            ),
            ("21 Nov 97 09:55:06 EST", Some((880_124_106, -300))),
            ("Mon, 23-Nov-126 08:21:00 Z", Some((1_795_422_060, 0))),
            ("29 Feb 2000 00:00:00 +0000", Some((951_782_400, 0))),
        ] {
            assert_eq!(expected, read(value), "{value}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for value in [
            "",
            "now",
            "(",
            "29 Feb 2001 00:00",
            "0 Jan 2000 00:00",
            "1 Foo 2000 00:00",
            "1 Jan 2000",
            "1 Jan 2000 24:00",
            "1 Jan 2000 10:60",
            "1 Jan 0000 10:00",
            "1 Jan 99999 10:00",
            "1 Jan 2000 1",
            "2000-01-01T00:00:00Z",
        ] {
            assert_eq!(None, read(value), "{value}");
        }
    }

    #[test]
    fn the_senders_day_is_of_its_own_zone() {
        let date = sent_date(b"Mon, 23 Nov 2026 23:30:00 -0500").unwrap();
        assert_eq!(days(2026, 11, 23), date.local_day());
        assert_eq!(days(2026, 11, 24), date.seconds.div_euclid(86_400));
        assert_eq!(
            (0, -1, 19_782),
            (days(1970, 1, 1), days(1969, 12, 31), days(2024, 2, 29))
        );
    }
}

//! An instant as an RFC 5322 date. Always UTC, always English: no clock, no locale, no time zone data.

use pymta_types::UnixMs;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Every date has so many.
const DATE_OCTETS: usize = 31;

/// 9999-12-31T23:59:59Z: what four digits of a year can say.
const SECONDS_MAX: u64 = 253_402_300_799;

/// `date-time` of RFC 5322 §3.3, such as `Mon, 23 Nov 2026 08:21:00 +0000`. Instants after the year 9999 become its end.
pub fn date(instant: UnixMs) -> String {
    let seconds = (instant.0 / 1000).min(SECONDS_MAX);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let name = DAYS[usize::try_from(days % 7).expect("below 7")];
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let (century, year) = (year / 100, year % 100);
    // Written digit by digit: a date stands in every message, and `format!` takes five times as long.
    let mut text = String::with_capacity(DATE_OCTETS);
    text.push_str(name);
    text.push_str(", ");
    push_two(&mut text, day);
    text.push(' ');
    text.push_str(MONTHS[month]);
    text.push(' ');
    push_two(&mut text, century);
    push_two(&mut text, year);
    for (mark, number) in [(' ', hour), (':', minute), (':', second)] {
        text.push(mark);
        push_two(&mut text, number);
    }
    text.push_str(" +0000");
    text
}

/// Two digits of a number below 100.
fn push_two(text: &mut String, number: u64) {
    for digit in [number / 10, number % 10] {
        text.push(char::from(b'0' + u8::try_from(digit % 10).unwrap_or(0)));
    }
}

/// Year, month (0 to 11) and day of a day since 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from 0000-03-01, so that the leap day is a year's last; 400 of them are always 146,097 days.
fn civil(days_since_1970: u64) -> (u64, usize, u64) {
    let days = days_since_1970 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = usize::try_from((march_month + 2) % 12).expect("below 12");
    let year = era * 400 + year_of_era + u64::from(month < 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 +0000"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 +0000"),
            (1_078_012_800, "Sun, 29 Feb 2004 00:00:00 +0000"),
            (1_795_422_060, "Mon, 23 Nov 2026 08:21:00 +0000"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 +0000"),
            (4_294_967_295, "Sun, 07 Feb 2106 06:28:15 +0000"),
            (SECONDS_MAX, "Fri, 31 Dec 9999 23:59:59 +0000"),
        ] {
            assert_eq!(text, date(UnixMs(seconds * 1000 + 999)));
        }
        assert_eq!("Fri, 31 Dec 9999 23:59:59 +0000", date(UnixMs(u64::MAX)));
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 0, 1);
        for days in 0..146_097 {
            assert_eq!((year, month, day), civil(days));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [
                31,
                if leap { 29 } else { 28 },
                31,
                30,
                31,
                30,
                31,
                31,
                30,
                31,
                30,
                31,
            ][month];
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 11 {
                (month, year) = (0, year + 1);
            }
        }
    }
}

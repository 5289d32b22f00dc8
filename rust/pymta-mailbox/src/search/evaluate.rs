//! What is known of a message answers a question, or leaves it open.

use std::cmp::Ordering;

use pymta_imap::command::DateTest;
use pymta_index::{Details, Message, TextFilter};
use pymta_mime::Fields;

use super::program::{Program, Test};
use super::text::{self, Texts};
use crate::record::{Record, is_left_out};

/// What is known of a message so far.
pub(crate) struct Known<'a> {
    number: u32,
    message: &'a Message,
    /// None: not looked up; Some(None): gone.
    pub(crate) details: Option<Option<&'a Details>>,
    pub(crate) record: Option<&'a Record<'a>>,
    /// Header fields, and whether they are all.
    pub(crate) header: Option<(&'a [u8], bool)>,
    pub(crate) texts: Option<&'a Texts>,
    /// Says of some contents what they cannot hold.
    filter: Option<&'a TextFilter>,
}

impl<'a> Known<'a> {
    /// What the picture of the mailbox has of the message at a place.
    pub(crate) fn new(at: usize, message: &'a Message, filter: Option<&'a TextFilter>) -> Self {
        Self {
            number: u32::try_from(at + 1).unwrap_or(u32::MAX),
            message,
            details: None,
            record: None,
            header: None,
            texts: None,
            filter,
        }
    }

    fn content_lacks(&self, text: &[u8]) -> bool {
        self.filter
            .is_some_and(|filter| filter.excludes(self.message.uid, text))
    }
}

impl Program {
    /// Whether the message is found; None where more must be known.
    pub(crate) fn evaluate(&self, known: &Known<'_>) -> Option<bool> {
        evaluate(&self.test, known)
    }
}

/// As deep as the program, which is bounded.
fn evaluate(test: &Test, known: &Known<'_>) -> Option<bool> {
    let message = known.message;
    let details = |asked: &dyn Fn(&Details) -> bool| known.details.map(|details| details.is_some_and(asked));
    Some(match test {
        Test::Const(found) => *found,
        Test::And(tests) => return several(tests, known, false),
        Test::Or(tests) => return several(tests, known, true),
        Test::Not(test) => !evaluate(test, known)?,
        Test::Numbers(ranges) => holds(ranges, known.number),
        Test::Uids(ranges) => holds(ranges, message.uid),
        Test::SavedUids(uids) => uids.binary_search(&message.uid).is_ok(),
        Test::Flag(bit) => message.flags & bit != 0,
        Test::Keyword(bit) => message.keywords & bit != 0,
        Test::ModSeq(modseq) => message.modseq >= *modseq,
        Test::Internal(test, day) => return details(&|d| on_day(d.internal_date_s, *test, *day)),
        Test::Saved(test, day) => return details(&|d| on_day(d.saved_date_s, *test, *day)),
        Test::Larger(octets) => return details(&|d| d.octets > *octets),
        Test::Smaller(octets) => return details(&|d| d.octets < *octets),
        Test::Before(seconds) => return details(&|d| d.internal_date_s <= *seconds),
        Test::After(seconds) => return details(&|d| d.internal_date_s >= *seconds),
        Test::EmailId(id) => return details(&|d| format!("M{}", d.email_id) == *id),
        Test::ThreadId(id) => {
            return details(&|d| d.thread_id.is_some_and(|known| format!("T{known}") == *id));
        }
        Test::Sent(test, day) => {
            let sent = known.record?.sent;
            sent.is_some_and(|sent| compares(sent.local_day(), *test, *day))
        }
        Test::Header(name, needle) => {
            let (header, is_whole) = known.header?;
            if !is_whole && is_left_out(name) {
                return None;
            }
            let fields = Fields::of_part(header);
            let has_addresses = text::has_addresses(name);
            fields.iter().any(|field| {
                let holds = |field| {
                    text::value_holds(field, needle) || has_addresses && text::addresses_hold(field, needle)
                };
                field.is(name) && holds(&field)
            })
        }
        Test::Body(needle) => match known.texts {
            Some(texts) => texts.body_holds(needle),
            None if known.content_lacks(needle) => false,
            None => return None,
        },
        Test::Text(needle) => match (known.texts, known.header) {
            (Some(texts), _) => texts.header_holds(needle) || texts.body_holds(needle),
            (None, Some((header, _))) if text::header_holds(header, needle) => true,
            (None, Some((_, true))) if known.content_lacks(needle) => false,
            _ => return None,
        },
    })
}

/// `or` of the answers, or `and`; what is open matters only where the others leave it open.
fn several(tests: &[Test], known: &Known<'_>, or: bool) -> Option<bool> {
    let mut is_open = false;
    for test in tests {
        match evaluate(test, known) {
            Some(found) if found == or => return Some(or),
            Some(_) => {}
            None => is_open = true,
        }
    }
    (!is_open).then_some(!or)
}

fn holds(ranges: &[(u32, u32)], number: u32) -> bool {
    let place = |&(from, to): &(u32, u32)| match (number < from, number > to) {
        (true, _) => Ordering::Greater,
        (_, true) => Ordering::Less,
        _ => Ordering::Equal,
    };
    ranges.binary_search_by(place).is_ok()
}

/// Days of INTERNALDATE and SAVEDATE are those of the zone in which they are said: UTC.
fn on_day(seconds: i64, test: DateTest, day: i64) -> bool {
    compares(seconds.div_euclid(86_400), test, day)
}

fn compares(found: i64, test: DateTest, day: i64) -> bool {
    match test {
        DateTest::Before => found < day,
        DateTest::On => found == day,
        DateTest::Since => found >= day,
    }
}

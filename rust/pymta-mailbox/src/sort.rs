//! SORT (RFC 5256, RFC 5957): messages in another order.

use std::cmp::Ordering;

use pymta_imap::command::{SortBy, SortCriterion};
use pymta_index::{Details, Message};

use crate::casemap::folded;
use crate::record::Record;
use crate::source::{self, BATCH_MESSAGES, SearchError, Source};

/// By what one criterion compares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Text(Box<[u8]>),
}

/// Messages that are being put in order: first their keys are looked up, in slices.
#[derive(Debug)]
pub struct Sorting {
    criteria: Vec<SortCriterion>,
    places: Vec<usize>,
    keys: Vec<Vec<Key>>,
}

impl Sorting {
    /// Of messages at these places (message numbers less one).
    pub fn new(criteria: Vec<SortCriterion>, places: Vec<usize>) -> Self {
        Self {
            criteria,
            keys: Vec::with_capacity(places.len()),
            places,
        }
    }

    /// Looks up the keys of about so many messages; true when all are there.
    ///
    /// # Errors
    /// [`SearchError`]
    pub fn go_on(
        &mut self,
        messages: &[Message],
        source: &mut dyn Source,
        messages_max: usize,
    ) -> Result<bool, SearchError> {
        let until = self
            .keys
            .len()
            .saturating_add(messages_max.max(1))
            .min(self.places.len());
        while self.keys.len() < until {
            let end = (self.keys.len() + BATCH_MESSAGES).min(self.places.len());
            let places = &self.places[self.keys.len()..end];
            let uids: Vec<u32> = places
                .iter()
                .map(|&place| messages.get(place).map_or(0, |m| m.uid))
                .collect();
            let looked_up = Looked::up(&uids, source, self.needs_record())?;
            for at in 0..uids.len() {
                let (details, record) = looked_up.of(at);
                let keys = self
                    .criteria
                    .iter()
                    .map(|criterion| key(criterion.by, details, record.as_ref()));
                self.keys.push(keys.collect());
            }
        }
        Ok(self.keys.len() == self.places.len())
    }

    /// The places in their order.
    pub fn into_sorted(self) -> Vec<usize> {
        let mut order: Vec<(Vec<Key>, usize)> = self.keys.into_iter().zip(self.places).collect();
        let criteria = self.criteria;
        order.sort_by(|(left, left_place), (right, right_place)| {
            let mut compared =
                criteria
                    .iter()
                    .zip(left.iter().zip(right))
                    .map(|(criterion, (left, right))| {
                        let order = left.cmp(right);
                        if criterion.reverse { order.reverse() } else { order }
                    });
            let first = compared.find(|order| *order != Ordering::Equal);
            first.unwrap_or_else(|| left_place.cmp(right_place))
        });
        order.into_iter().map(|(_, place)| place).collect()
    }

    fn needs_record(&self) -> bool {
        let is_detail = |criterion: &SortCriterion| matches!(criterion.by, SortBy::Arrival | SortBy::Size);
        !self.criteria.iter().all(is_detail)
    }
}

/// What was looked up of some messages.
pub(crate) struct Looked {
    details: Vec<Option<Details>>,
    records: Vec<Option<Vec<u8>>>,
}

impl Looked {
    pub(crate) fn up(uids: &[u32], source: &mut dyn Source, with_records: bool) -> Result<Self, SearchError> {
        let mut details = source::details(source, uids)?;
        let records = if with_records {
            source::records(source, uids)?
        } else {
            vec![None; uids.len()]
        };
        Ok(Self {
            details: uids.iter().map(|uid| details.remove(uid)).collect(),
            records,
        })
    }

    pub(crate) fn of(&self, at: usize) -> (Option<&Details>, Option<Record<'_>>) {
        let record = self.records[at].as_deref().and_then(Record::decode);
        (self.details[at].as_ref(), record)
    }
}

/// RFC 5256 §2.2: where the Date field cannot be read, INTERNALDATE takes its place.
pub(crate) fn sent_s(details: Option<&Details>, record: Option<&Record<'_>>) -> i64 {
    let sent = record.and_then(|record| record.sent).map(|sent| sent.seconds);
    sent.or(details.map(|details| details.internal_date_s))
        .unwrap_or(0)
}

fn key(by: SortBy, details: Option<&Details>, record: Option<&Record<'_>>) -> Key {
    let text =
        |of: fn(&Record<'_>) -> Vec<u8>| Key::Text(record.map(of).unwrap_or_default().into_boxed_slice());
    match by {
        SortBy::Arrival => Key::Number(details.map_or(0, |details| details.internal_date_s)),
        SortBy::Size => {
            Key::Number(details.map_or(0, |details| i64::try_from(details.octets).unwrap_or(i64::MAX)))
        }
        SortBy::Date => Key::Number(sent_s(details, record)),
        SortBy::Subject => text(|record| fold(&record.base_subject)),
        SortBy::From => text(|record| fold(&record.sort_from)),
        SortBy::To => text(|record| fold(&record.sort_to)),
        SortBy::Cc => text(|record| fold(&record.sort_cc)),
        SortBy::DisplayFrom => text(|record| fold(&record.display_from)),
        SortBy::DisplayTo => text(|record| fold(&record.display_to)),
    }
}

pub(crate) fn fold(octets: &[u8]) -> Vec<u8> {
    folded(&String::from_utf8_lossy(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::tests::Mail;

    fn sorted(messages: &[(u8, i64, &str)], criteria: &[(SortBy, bool)]) -> Vec<usize> {
        let mut mail = Mail::of(messages);
        let criteria = criteria
            .iter()
            .map(|&(by, reverse)| SortCriterion { reverse, by });
        let mut sorting = Sorting::new(criteria.collect(), (0..messages.len()).collect());
        let rows = mail.messages.clone();
        while !sorting.go_on(&rows, &mut mail, 1).unwrap() {}
        sorting.into_sorted().into_iter().map(|place| place + 1).collect()
    }

    const MAIL: [(u8, i64, &str); 4] = [
        (
            0,
            300,
            "From: bob@x\nSubject: Re: Zebra\nDate: 1 Jan 1970 00:01:00 +0000\n\n",
        ),
        (
            0,
            100,
            "From: \"Anna Z\" <zed@x>\nTo: b@y\nSubject: apple\nDate: 1 Jan 1970 01:00:00 +0100\n\nlonger body\n",
        ),
        (
            0,
            200,
            "From: Carl <Bob@z>\nTo: a@y\nCc: c\nSubject: [x] zebra\n\n",
        ),
        (0, 100, "Subject: Zebra (fwd)\nDate: never\n\n"),
    ];

    #[test]
    fn criteria_of_rfc_5256() {
        use SortBy::*;
        for (criteria, expected) in [
            (&[][..], [1, 2, 3, 4]),
            (&[(Arrival, false)], [2, 4, 3, 1]),
            (&[(Arrival, true)], [1, 3, 2, 4]),
            (&[(Date, false)], [2, 1, 4, 3]),
            (&[(Subject, false)], [2, 1, 3, 4]),
            (&[(Subject, true), (Date, false)], [1, 4, 3, 2]),
            (&[(From, false)], [4, 1, 3, 2]),
            (&[(To, false)], [1, 4, 3, 2]),
            (&[(Cc, true)], [3, 1, 2, 4]),
            (&[(Size, false)], [4, 3, 1, 2]),
            (&[(DisplayFrom, false)], [4, 2, 1, 3]),
        ] {
            assert_eq!(expected.to_vec(), sorted(&MAIL, criteria), "{criteria:?}");
        }
    }
}

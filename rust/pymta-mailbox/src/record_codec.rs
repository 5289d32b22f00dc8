//! A record as the index keeps it.
//!
//! Encoded as a version, then these in turn; `n` is a number in base 128 (low 7 bits first, high bit: more follows),
//! `s` octets with their length before them:
//!
//! | field | form |
//! |---|---|
//! | version | one octet |
//! | file octets, wire octets | n n |
//! | CR put in before each MiB of the file | n (how many), n… (each less the one before) |
//! | Date: there is one, seconds + 2⁴⁰, minutes + 1440 | n n n |
//! | base subject, is a reply | s n |
//! | From, To, Cc as SORT compares them | s s s |
//! | From, To as they are displayed | s s |
//! | Message-ID, references | s, n (how many), s… |
//! | ENVELOPE, BODY, BODYSTRUCTURE, preview | s s s s |
//! | parts | n (how many), per part: depth, kind, encoding, header begin less that of the part before, header octets, body octets, lines |
//! | which header fields are kept, and they | n s |
//!
//! A record of another version, or one that is damaged, is as none: the file is looked into again.

use std::borrow::Cow;

use pymta_mime::{SentDate, TransferEncoding};

use crate::content::Places;
use crate::record::{Kept, Record};
use crate::section::{Kind, Place};

/// Records of another version are made anew.
pub(crate) const VERSION: u8 = 2;

const SECONDS_BIAS: i64 = 1 << 40;
const MINUTES_BIAS: i16 = 1440;

impl<'a> Record<'a> {
    /// For the index.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        number(&mut out, self.places.file_octets);
        number(&mut out, self.places.wire_octets);
        number(&mut out, self.places.added.len() as u64);
        let mut before = 0;
        for added in &self.places.added {
            number(&mut out, added - before);
            before = *added;
        }
        number(&mut out, u64::from(self.sent.is_some()));
        if let Some(sent) = self.sent {
            number(&mut out, sent.seconds.saturating_add(SECONDS_BIAS).unsigned_abs());
            number(
                &mut out,
                u64::from((sent.offset_min + MINUTES_BIAS).unsigned_abs()),
            );
        }
        octets(&mut out, &self.base_subject);
        number(&mut out, u64::from(self.is_reply));
        for key in [
            &self.sort_from,
            &self.sort_to,
            &self.sort_cc,
            &self.display_from,
            &self.display_to,
            &self.message_id,
        ] {
            octets(&mut out, key);
        }
        number(&mut out, self.references.len() as u64);
        for reference in &self.references {
            octets(&mut out, reference);
        }
        for ready in [&self.envelope, &self.body, &self.body_structure, &self.preview] {
            octets(&mut out, ready);
        }
        number(&mut out, self.parts.len() as u64);
        let mut before = 0;
        for part in &self.parts {
            out.extend([part.depth, part.kind as u8, encoding_code(part.encoding)]);
            number(&mut out, part.header_at - before);
            before = part.header_at;
            number(&mut out, part.header_octets);
            number(&mut out, part.body_octets);
            number(&mut out, part.lines);
        }
        number(&mut out, self.kept as u64);
        octets(&mut out, &self.header);
        out
    }

    /// What [`Self::encode`] gave; None for what another version gave, and for what is damaged.
    pub fn decode(encoded: &'a [u8]) -> Option<Self> {
        let mut rest = Reader(encoded.strip_prefix(&[VERSION])?);
        let places = Places {
            file_octets: rest.number()?,
            wire_octets: rest.number()?,
            added: rest.running()?,
        };
        let sent = match rest.number()? {
            0 => None,
            _ => Some(SentDate {
                seconds: i64::try_from(rest.number()?).ok()? - SECONDS_BIAS,
                offset_min: i16::try_from(rest.number()?).ok()?.checked_sub(MINUTES_BIAS)?,
            }),
        };
        Some(Self {
            places,
            sent,
            base_subject: rest.octets()?,
            is_reply: rest.number()? != 0,
            sort_from: rest.octets()?,
            sort_to: rest.octets()?,
            sort_cc: rest.octets()?,
            display_from: rest.octets()?,
            display_to: rest.octets()?,
            message_id: rest.octets()?,
            references: (0..rest.count()?).map(|_| rest.octets()).collect::<Option<_>>()?,
            envelope: rest.octets()?,
            body: rest.octets()?,
            body_structure: rest.octets()?,
            preview: rest.octets()?,
            parts: rest.parts()?,
            kept: match rest.number()? {
                0 => Kept::Whole,
                1 => Kept::Asked,
                2 => Kept::Nothing,
                _ => return None,
            },
            header: rest.octets()?,
        })
        .filter(|_| rest.0.is_empty())
    }
}

fn encoding_code(encoding: TransferEncoding) -> u8 {
    match encoding {
        TransferEncoding::Identity => 0,
        TransferEncoding::QuotedPrintable => 1,
        TransferEncoding::Base64 => 2,
        TransferEncoding::Other => 3,
    }
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        out.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.push((value & 127) as u8);
}

fn octets(out: &mut Vec<u8>, value: &[u8]) {
    number(out, value.len() as u64);
    out.extend_from_slice(value);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let octet = self.octet()?;
            value |= u64::from(octet & 127) << shift;
            if octet < 128 {
                return Some(value);
            }
        }
        None
    }

    /// How many follow, each of at least one octet.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?)
            .ok()
            .filter(|count| *count <= self.0.len())
    }

    fn octets(&mut self) -> Option<Cow<'a, [u8]>> {
        let length = self.count()?;
        let (octets, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(Cow::Borrowed(octets))
    }

    fn running(&mut self) -> Option<Vec<u64>> {
        let mut sum = 0u64;
        (0..self.count()?)
            .map(|_| {
                sum = sum.checked_add(self.number()?)?;
                Some(sum)
            })
            .collect()
    }

    fn parts(&mut self) -> Option<Vec<Place>> {
        let mut at = 0u64;
        (0..self.count()?)
            .map(|_| {
                let depth = self.octet()?;
                let kind = match self.octet()? {
                    0 => Kind::Leaf,
                    1 => Kind::Multipart,
                    2 => Kind::Message,
                    _ => return None,
                };
                let encoding = match self.octet()? {
                    0 => TransferEncoding::Identity,
                    1 => TransferEncoding::QuotedPrintable,
                    2 => TransferEncoding::Base64,
                    3 => TransferEncoding::Other,
                    _ => return None,
                };
                at = at.checked_add(self.number()?)?;
                Some(Place {
                    depth,
                    kind,
                    encoding,
                    header_at: at,
                    header_octets: self.number()?,
                    body_octets: self.number()?,
                    lines: self.number()?,
                })
            })
            .collect()
    }
}

//! Payloads of message, chunk and done records. Octets in and out; nothing about files.
//!
//! Rule: a decoder never trusts a length and never panics, whatever it is given.

use pymta_types::{Address, BodyType, Envelope, Notify, OriginalRecipient, Recipient, Ret};

use crate::format::{Location, octets_u32};

/// The octets are not what they should be.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("malformed payload")]
pub(crate) struct DecodeError;

/// Takes fields off the front of a payload.
pub(crate) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(crate) fn take(&mut self, octets: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(octets).ok_or(DecodeError)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.take(N)?.try_into().map_err(|_| DecodeError)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn text(&mut self, octets: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.take(octets)?).map_err(|_| DecodeError)
    }

    /// Text with its length (2 octets) before it.
    fn short_text(&mut self) -> Result<&'a str, DecodeError> {
        let octets = self.u16()?;
        self.text(usize::from(octets))
    }

    fn address(&mut self) -> Result<Address, DecodeError> {
        Address::parse(self.short_text()?.as_bytes()).map_err(|_| DecodeError)
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Text with its length before it. Paths, types and ids are bounded by a command line; what is longer is cut rather
/// than refused, because by now the message was accepted.
fn put_short_text(out: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let octets = u16::try_from(end).expect("cut above");
    out.extend_from_slice(&octets.to_le_bytes());
    out.extend_from_slice(&text.as_bytes()[..end]);
}

/// | octets | field |
/// | --- | --- |
/// | 1 | BODY: 0 7BIT, 1 8BITMIME, 2 BINARYMIME |
/// | 1 | flags: 1 SMTPUTF8, 2 reverse-path present, 4 RET=FULL, 8 RET=HDRS, 16 ENVID present |
/// | 2 + n | reverse-path, if present |
/// | 2 + n | ENVID, if present |
/// | 4 | count of recipients |
/// | each | forward-path (2 + n); flags (1): 1 NOTIFY given, 2 SUCCESS, 4 FAILURE, 8 DELAY, 16 ORCPT given; if given, ORCPT's address type (2 + n) and address (2 + n). NOTIFY given without the other three is NEVER |
pub(crate) fn encode_envelope(envelope: &Envelope, out: &mut Vec<u8>) {
    out.push(match envelope.body {
        BodyType::SevenBit => 0,
        BodyType::EightBitMime => 1,
        BodyType::BinaryMime => 2,
    });
    let flag = |bit: u8, set: bool| if set { bit } else { 0 };
    out.push(
        flag(1, envelope.smtputf8)
            | flag(2, envelope.reverse_path.is_some())
            | flag(4, envelope.ret == Some(Ret::Full))
            | flag(8, envelope.ret == Some(Ret::Headers))
            | flag(16, envelope.envid.is_some()),
    );
    if let Some(path) = &envelope.reverse_path {
        put_short_text(out, path.as_str());
    }
    if let Some(envid) = &envelope.envid {
        put_short_text(out, envid);
    }
    out.extend_from_slice(&octets_u32(envelope.recipients.len()).to_le_bytes());
    for recipient in &envelope.recipients {
        put_short_text(out, recipient.forward_path.as_str());
        let notify = match recipient.notify {
            None => 0,
            Some(Notify::Never) => 1,
            Some(Notify::On {
                success,
                failure,
                delay,
            }) => 1 | flag(2, success) | flag(4, failure) | flag(8, delay),
        };
        out.push(notify | flag(16, recipient.original.is_some()));
        if let Some(original) = &recipient.original {
            put_short_text(out, &original.address_type);
            put_short_text(out, &original.address);
        }
    }
}

pub(crate) fn decode_envelope(octets: &[u8]) -> Result<Envelope, DecodeError> {
    let mut from = Decoder::new(octets);
    let body = match from.u8()? {
        0 => BodyType::SevenBit,
        1 => BodyType::EightBitMime,
        2 => BodyType::BinaryMime,
        _ => return Err(DecodeError),
    };
    let flags = from.u8()?;
    let reverse_path = if flags & 2 == 0 {
        None
    } else {
        Some(from.address()?)
    };
    let envid = if flags & 16 == 0 {
        None
    } else {
        Some(from.short_text()?.to_owned())
    };
    let count = from.u32()?;
    let mut recipients = Vec::new();
    for _ in 0..count {
        recipients.push(decode_recipient(&mut from)?);
    }
    Ok(Envelope {
        reverse_path,
        recipients,
        body,
        smtputf8: flags & 1 != 0,
        ret: match flags & 12 {
            4 => Some(Ret::Full),
            8 => Some(Ret::Headers),
            _ => None,
        },
        envid,
    })
}

fn decode_recipient(from: &mut Decoder<'_>) -> Result<Recipient, DecodeError> {
    let forward_path = from.address()?;
    let flags = from.u8()?;
    let notify = match flags & 15 {
        0 => None,
        1 => Some(Notify::Never),
        bits => Some(Notify::On {
            success: bits & 2 != 0,
            failure: bits & 4 != 0,
            delay: bits & 8 != 0,
        }),
    };
    let original = if flags & 16 == 0 {
        None
    } else {
        Some(OriginalRecipient {
            address_type: from.short_text()?.to_owned(),
            address: from.short_text()?.to_owned(),
        })
    };
    Ok(Recipient {
        forward_path,
        notify,
        original,
    })
}

/// A chunk record that holds a piece of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExtentRef {
    pub(crate) at: Location,
    /// Octets of the body in it.
    pub(crate) octets: u32,
}

/// What a message record says beside its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageHead<'a> {
    pub(crate) id: u64,
    /// u64::MAX means held.
    pub(crate) due_ms: u64,
    pub(crate) spooled_at_ms: u64,
    pub(crate) body_octets: u64,
    pub(crate) recipient_count: u32,
    pub(crate) group: &'a str,
    pub(crate) envelope: &'a [u8],
    pub(crate) annotations: &'a [u8],
    pub(crate) header_section: &'a [u8],
    /// Empty where the body is inline, which is then the record's tail.
    pub(crate) extents: Vec<ExtentRef>,
}

/// `due_ms` of a message that is held.
pub(crate) const HELD_DUE_MS: u64 = u64::MAX;

impl<'a> MessageHead<'a> {
    /// Head of a message record's payload; the tail is the inline body.
    ///
    /// | offset | octets | field |
    /// | --- | --- | --- |
    /// | 0 | 8 | id |
    /// | 8 | 8 | due, Unix ms; all ones: held |
    /// | 16 | 8 | spooled at, Unix ms |
    /// | 24 | 8 | octets of the body |
    /// | 32 | 4 | octets of the envelope |
    /// | 36 | 4 | octets of the annotations |
    /// | 40 | 4 | octets of the header section |
    /// | 44 | 4 | count of extents; 0: the body is inline |
    /// | 48 | 4 | count of recipients |
    /// | 52 | 2 | octets of the group |
    /// | 54 | 2 | zero |
    /// | 56 | | group, envelope, annotations, header section |
    /// | | 12 × count | extents: segment, offset of the chunk record, octets of the body in it |
    pub(crate) fn encode(&self) -> Vec<u8> {
        let texts =
            self.group.len() + self.envelope.len() + self.annotations.len() + self.header_section.len();
        let mut out = Vec::with_capacity(56 + texts + 12 * self.extents.len());
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.due_ms.to_le_bytes());
        out.extend_from_slice(&self.spooled_at_ms.to_le_bytes());
        out.extend_from_slice(&self.body_octets.to_le_bytes());
        for octets in [
            self.envelope.len(),
            self.annotations.len(),
            self.header_section.len(),
        ] {
            out.extend_from_slice(&octets_u32(octets).to_le_bytes());
        }
        out.extend_from_slice(&octets_u32(self.extents.len()).to_le_bytes());
        out.extend_from_slice(&self.recipient_count.to_le_bytes());
        let group_octets = u16::try_from(self.group.len()).expect("a domain is short");
        out.extend_from_slice(&group_octets.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(self.group.as_bytes());
        out.extend_from_slice(self.envelope);
        out.extend_from_slice(self.annotations);
        out.extend_from_slice(self.header_section);
        for extent in &self.extents {
            out.extend_from_slice(&extent.at.segment.to_le_bytes());
            out.extend_from_slice(&extent.at.offset.to_le_bytes());
            out.extend_from_slice(&extent.octets.to_le_bytes());
        }
        out
    }

    pub(crate) fn decode(head: &'a [u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(head);
        let id = from.u64()?;
        let due_ms = from.u64()?;
        let spooled_at_ms = from.u64()?;
        let body_octets = from.u64()?;
        let envelope_octets = from.u32()? as usize;
        let annotations_octets = from.u32()? as usize;
        let header_octets = from.u32()? as usize;
        let extent_count = from.u32()?;
        let recipient_count = from.u32()?;
        let group_octets = usize::from(from.u16()?);
        from.u16()?;
        let group = from.text(group_octets)?;
        let envelope = from.take(envelope_octets)?;
        let annotations = from.take(annotations_octets)?;
        let header_section = from.take(header_octets)?;
        let mut extents = Vec::new();
        for _ in 0..extent_count {
            extents.push(ExtentRef {
                at: Location {
                    segment: from.u32()?,
                    offset: from.u32()?,
                },
                octets: from.u32()?,
            });
        }
        let extent_octets: u64 = extents.iter().map(|e| u64::from(e.octets)).sum();
        if !from.rest().is_empty() || (extent_count > 0 && extent_octets != body_octets) {
            return Err(DecodeError);
        }
        Ok(Self {
            id,
            due_ms,
            spooled_at_ms,
            body_octets,
            recipient_count,
            group,
            envelope,
            annotations,
            header_section,
            extents,
        })
    }
}

/// Head of a chunk record's payload: which stream (8 octets; streams are counted from 1 at every start) and where in
/// its body (8). The tail is the piece of the body.
pub(crate) fn encode_chunk_head(stream: u64, at: u64) -> Vec<u8> {
    [stream.to_le_bytes(), at.to_le_bytes()].concat()
}

/// Octets of [`encode_chunk_head`].
pub(crate) const CHUNK_HEAD_OCTETS: usize = 16;

pub(crate) fn decode_chunk_head(head: &[u8]) -> Result<(u64, u64), DecodeError> {
    let mut from = Decoder::new(head);
    Ok((from.u64()?, from.u64()?))
}

/// A message that left the spool, and a segment that may still hold a record of it: as long as that segment exists,
/// somebody must remember that the message is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) id: u64,
    pub(crate) segment: u32,
}

/// Payload of a done record: tombstones of 12 octets (id 8, segment 4), as many as fit its length.
pub(crate) fn encode_done(tombstones: &[Tombstone]) -> Vec<u8> {
    let mut out = Vec::with_capacity(12 * tombstones.len());
    for tombstone in tombstones {
        out.extend_from_slice(&tombstone.id.to_le_bytes());
        out.extend_from_slice(&tombstone.segment.to_le_bytes());
    }
    out
}

pub(crate) fn decode_done(payload: &[u8]) -> Result<Vec<Tombstone>, DecodeError> {
    if !payload.len().is_multiple_of(12) {
        return Err(DecodeError);
    }
    payload
        .chunks_exact(12)
        .map(|octets| {
            let mut from = Decoder::new(octets);
            Ok(Tombstone {
                id: from.u64()?,
                segment: from.u32()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> Address {
        Address::parse(text.as_bytes()).unwrap()
    }

    fn full_envelope() -> Envelope {
        Envelope {
            reverse_path: Some(address("\"a b\"@bücher.example")),
            recipients: vec![
                Recipient::new(address("x@example.test")),
                Recipient {
                    forward_path: address("postmaster"),
                    notify: Some(Notify::Never),
                    original: Some(OriginalRecipient {
                        address_type: "rfc822".into(),
                        address: "old@example.org".into(),
                    }),
                },
                Recipient {
                    forward_path: address("y@[192.0.2.1]"),
                    notify: Some(Notify::On {
                        success: true,
                        failure: false,
                        delay: true,
                    }),
                    original: None,
                },
            ],
            body: BodyType::BinaryMime,
            smtputf8: true,
            ret: Some(Ret::Headers),
            envid: Some("q+1".into()),
        }
    }

    #[test]
    fn envelopes_round_trip() {
        for envelope in [full_envelope(), Envelope::default()] {
            let mut out = Vec::new();
            encode_envelope(&envelope, &mut out);
            assert_eq!(Ok(envelope), decode_envelope(&out));
        }
    }

    #[test]
    fn a_message_head_round_trips() {
        let head = MessageHead {
            id: 1,
            due_ms: 2,
            spooled_at_ms: 3,
            body_octets: 300,
            recipient_count: 9,
            group: "example.test",
            envelope: b"envelope",
            annotations: b"notes",
            header_section: b"A: b\r\n\r\n",
            extents: vec![ExtentRef {
                at: Location {
                    segment: 4,
                    offset: 4096,
                },
                octets: 300,
            }],
        };
        assert_eq!(Ok(head.clone()), MessageHead::decode(&head.encode()));
        assert_eq!(
            Err(DecodeError),
            MessageHead::decode(&head.encode()[..head.encode().len() - 1])
        );
    }

    #[test]
    fn tombstones_round_trip() {
        let tombstones = [Tombstone { id: 9, segment: 1 }, Tombstone { id: 10, segment: 2 }];
        assert_eq!(Ok(tombstones.to_vec()), decode_done(&encode_done(&tombstones)));
        assert_eq!(Err(DecodeError), decode_done(&[0; 13]));
    }

    proptest! {
        #[test]
        fn no_octets_make_a_decoder_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_envelope(&octets);
            let _ = MessageHead::decode(&octets);
            let _ = decode_done(&octets);
            let _ = decode_chunk_head(&octets);
            if let Ok(record) = crate::status::StatusRecord::decode(&octets) {
                let _ = crate::status::Statuses::new(3).apply(&record);
            }
        }
    }
}

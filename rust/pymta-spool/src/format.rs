//! The segment format: headers, records, checksums. What the octets mean, not when they are written or by whom.
//!
//! Rule: all numbers are little endian; every structure has its offset table above it; a change of meaning is a new
//! [`VERSION`]. `docs/spool-format.md` says the same with the reasons.

use crc32c::{crc32c, crc32c_append};

/// The version that this program writes, and the highest that it reads.
pub(crate) const VERSION: u16 = 1;
/// Where records begin: after two header slots.
pub(crate) const DATA_OFFSET: u32 = 4096;
/// Size of a header slot. A header of generation `g` lies in slot `g & 1`, so that a torn write of a new header
/// leaves the one before it whole.
pub(crate) const SLOT_OCTETS: usize = 2048;
/// Records begin at multiples of this.
pub(crate) const ALIGN: u32 = 8;

const SEGMENT_MAGIC: &[u8; 8] = b"PYMTASEG";
/// Most segments that may be cut at once (each stands for a failed sync).
pub(crate) const CUTS_MAX: usize = 128;

/// Where a record begins. Segment 0 does not exist, so it stands for "nowhere".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Location {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

impl Location {
    pub(crate) const NOWHERE: Self = Self {
        segment: 0,
        offset: 0,
    };

    pub(crate) fn is_nowhere(self) -> bool {
        self.segment == 0
    }
}

/// What a segment file is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentState {
    /// Its records count.
    Active,
    /// Its records are of the past, whatever they look like.
    Free,
}

/// Header of a segment, one of two slots.
///
/// | offset | octets | field |
/// | --- | --- | --- |
/// | 0 | 8 | magic `PYMTASEG` |
/// | 8 | 2 | version |
/// | 10 | 1 | state: 1 active, 2 free |
/// | 11 | 1 | zero |
/// | 12 | 4 | number: place in the log, never used twice, also the epoch of its records |
/// | 16 | 8 | generation: counts the headers of this file |
/// | 24 | 8 | id floor: every id given out later is greater |
/// | 32 | 4 | octets of the file |
/// | 36 | 4 | salt: where the checksums of records begin. The same in all segments of a spool and secret, so that content which looks like a record cannot become one |
/// | 40 | 4 | number of the segment before this one, 0 for none |
/// | 44 | 4 | where that one's records end |
/// | 48 | 4 | count of cuts, up to 128 |
/// | 52 | 8 × count | cuts: segment number, offset from which on its records do not count (after a failed sync) |
/// | 2044 | 4 | CRC-32C of octets 0 to 2043 |
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) state: SegmentState,
    pub(crate) number: u32,
    pub(crate) generation: u64,
    pub(crate) id_floor: u64,
    pub(crate) segment_octets: u32,
    pub(crate) salt: u32,
    /// The segment before: number and end.
    pub(crate) before: (u32, u32),
    pub(crate) cuts: Vec<(u32, u32)>,
}

/// What a header slot holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Valid(SegmentHeader),
    /// Whole, but of this later version.
    Later(u16),
    /// Never written, torn or damaged.
    Invalid,
}

impl SegmentHeader {
    /// Where in the file a header of this generation lies.
    pub(crate) fn offset(&self) -> u64 {
        (self.generation & 1) * SLOT_OCTETS as u64
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        assert!(self.cuts.len() <= CUTS_MAX, "the writer gives up before");
        let mut out = Vec::with_capacity(SLOT_OCTETS);
        out.extend_from_slice(SEGMENT_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.push(match self.state {
            SegmentState::Active => 1,
            SegmentState::Free => 2,
        });
        out.push(0);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.id_floor.to_le_bytes());
        out.extend_from_slice(&self.segment_octets.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.before.0.to_le_bytes());
        out.extend_from_slice(&self.before.1.to_le_bytes());
        out.extend_from_slice(&octets_u32(self.cuts.len()).to_le_bytes());
        for (number, end) in &self.cuts {
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&end.to_le_bytes());
        }
        out.resize(SLOT_OCTETS - 4, 0);
        let crc = crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(slot: &[u8]) -> Slot {
        if slot.len() < SLOT_OCTETS || slot[..8] != *SEGMENT_MAGIC {
            return Slot::Invalid;
        }
        if crc32c(&slot[..SLOT_OCTETS - 4]) != u32_at(slot, SLOT_OCTETS - 4) {
            return Slot::Invalid;
        }
        let version = u16_at(slot, 8);
        if version > VERSION {
            return Slot::Later(version);
        }
        let state = match slot[10] {
            1 => SegmentState::Active,
            2 => SegmentState::Free,
            _ => return Slot::Invalid,
        };
        let cut_count = (u32_at(slot, 48) as usize).min(CUTS_MAX);
        Slot::Valid(Self {
            state,
            number: u32_at(slot, 12),
            generation: u64_at(slot, 16),
            id_floor: u64_at(slot, 24),
            segment_octets: u32_at(slot, 32),
            salt: u32_at(slot, 36),
            before: (u32_at(slot, 40), u32_at(slot, 44)),
            cuts: (0..cut_count)
                .map(|i| (u32_at(slot, 52 + 8 * i), u32_at(slot, 56 + 8 * i)))
                .collect(),
        })
    }
}

/// What a record is. The numbers are the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole message, its body inline or as a list of chunks.
    Message = 1,
    /// A piece of a body that was streamed while it arrived.
    Chunk = 2,
    /// The status of a message's recipients.
    Status = 3,
    /// Messages that left the spool.
    Done = 4,
}

pub(crate) const RECORD_MAGIC: &[u8; 4] = b"\xa7pmR";
pub(crate) const RECORD_HEADER_OCTETS: usize = 32;

/// Header of a record. Its payload has a head, which start-up reads, and a tail (body octets), which it may skip.
///
/// | offset | octets | field |
/// | --- | --- | --- |
/// | 0 | 4 | magic `A7 70 6D 52` |
/// | 4 | 4 | octets of the payload |
/// | 8 | 4 | octets of the payload's head |
/// | 12 | 4 | epoch: the segment's number; a record of another epoch is a remnant |
/// | 16 | 4 | batch: offset of the first record that was synced together with this one |
/// | 20 | 1 | kind |
/// | 21 | 3 | zero |
/// | 24 | 4 | CRC-32C, begun with the salt, of the payload's tail |
/// | 28 | 4 | CRC-32C, begun with the salt, of octets 0 to 27 and the payload's head |
/// | 32 | | payload, then zeros up to a multiple of 8 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: Kind,
    pub(crate) payload_octets: u32,
    pub(crate) head_octets: u32,
    pub(crate) epoch: u32,
    pub(crate) batch: u32,
    pub(crate) tail_crc: u32,
    head_crc: u32,
}

impl RecordHeader {
    /// The header of a record of these parts.
    pub(crate) fn of(salt: u32, kind: Kind, epoch: u32, batch: u32, head: &[u8], tail: &[u8]) -> Self {
        let mut header = Self {
            kind,
            payload_octets: octets_u32(head.len() + tail.len()),
            head_octets: octets_u32(head.len()),
            epoch,
            batch,
            tail_crc: crc32c_append(salt, tail),
            head_crc: 0,
        };
        header.head_crc = header.expected_head_crc(salt, head);
        header
    }

    fn expected_head_crc(&self, salt: u32, head: &[u8]) -> u32 {
        crc32c_append(crc32c_append(salt, &self.encode()[..28]), head)
    }

    pub(crate) fn encode(&self) -> [u8; RECORD_HEADER_OCTETS] {
        let mut out = [0; RECORD_HEADER_OCTETS];
        out[..4].copy_from_slice(RECORD_MAGIC);
        out[4..8].copy_from_slice(&self.payload_octets.to_le_bytes());
        out[8..12].copy_from_slice(&self.head_octets.to_le_bytes());
        out[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        out[16..20].copy_from_slice(&self.batch.to_le_bytes());
        out[20] = self.kind as u8;
        out[24..28].copy_from_slice(&self.tail_crc.to_le_bytes());
        out[28..].copy_from_slice(&self.head_crc.to_le_bytes());
        out
    }

    /// Reads a header that looks like one; whether it is one, the checksum says.
    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        if octets.len() < RECORD_HEADER_OCTETS || octets[..4] != *RECORD_MAGIC {
            return None;
        }
        let header = Self {
            kind: match octets[20] {
                1 => Kind::Message,
                2 => Kind::Chunk,
                3 => Kind::Status,
                4 => Kind::Done,
                _ => return None,
            },
            payload_octets: u32_at(octets, 4),
            head_octets: u32_at(octets, 8),
            epoch: u32_at(octets, 12),
            batch: u32_at(octets, 16),
            tail_crc: u32_at(octets, 24),
            head_crc: u32_at(octets, 28),
        };
        let plausible = octets[21..24] == [0; 3]
            && header.head_octets <= header.payload_octets
            && header.payload_octets <= u32::MAX / 2;
        plausible.then_some(header)
    }

    pub(crate) fn head_is_whole(&self, salt: u32, head: &[u8]) -> bool {
        head.len() == self.head_octets as usize && self.expected_head_crc(salt, head) == self.head_crc
    }

    pub(crate) fn tail_is_whole(&self, salt: u32, tail: &[u8]) -> bool {
        tail.len() == self.tail_octets() as usize && crc32c_append(salt, tail) == self.tail_crc
    }

    pub(crate) fn tail_octets(&self) -> u32 {
        self.payload_octets - self.head_octets
    }

    /// Octets from this record to the next.
    pub(crate) fn span(&self) -> u32 {
        record_span(self.payload_octets as usize)
    }
}

/// Octets that a record with a payload of this size takes in the log.
pub(crate) fn record_span(payload_octets: usize) -> u32 {
    octets_u32(RECORD_HEADER_OCTETS + payload_octets).next_multiple_of(ALIGN)
}

/// A length as the format holds it. Everything we lay out is bounded by a segment, which is at most 1 GiB.
pub(crate) fn octets_u32(octets: usize) -> u32 {
    u32::try_from(octets).expect("bounded by the size of a segment")
}

pub(crate) fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(octets[at..at + 2].try_into().expect("two octets"))
}

pub(crate) fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(octets[at..at + 4].try_into().expect("four octets"))
}

pub(crate) fn u64_at(octets: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(octets[at..at + 8].try_into().expect("eight octets"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            state: SegmentState::Active,
            number: 7,
            generation: 3,
            id_floor: 99,
            segment_octets: 1 << 20,
            salt: 0x5a17,
            before: (6, 5000),
            cuts: vec![(3, 8192), (5, 4096)],
        }
    }

    #[test]
    fn a_segment_header_round_trips() {
        assert_eq!(Slot::Valid(header()), SegmentHeader::decode(&header().encode()));
        assert_eq!(2048, header().offset());
    }

    #[test]
    fn a_segment_header_with_any_octet_changed_is_invalid() {
        let whole = header().encode();
        for at in 0..whole.len() {
            let mut torn = whole.clone();
            torn[at] ^= 0x40;
            assert_eq!(Slot::Invalid, SegmentHeader::decode(&torn), "octet {at}");
        }
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let mut later = header().encode();
        later[8] = 2;
        let crc = crc32c(&later[..2044]);
        later[2044..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Slot::Later(2), SegmentHeader::decode(&later));
    }

    #[test]
    fn a_record_header_vouches_for_every_octet() {
        let (head, tail) = (b"head".to_vec(), b"and tail".to_vec());
        let header = RecordHeader::of(7, Kind::Message, 9, 4096, &head, &tail);
        let encoded = header.encode();
        assert_eq!(Some(header), RecordHeader::decode(&encoded));
        assert!(header.head_is_whole(7, &head) && header.tail_is_whole(7, &tail));
        for at in 0..encoded.len() {
            let mut changed = encoded;
            changed[at] ^= 1;
            let whole = RecordHeader::decode(&changed)
                .is_some_and(|h| h.head_is_whole(7, &head) && h.tail_is_whole(7, &tail));
            assert!(!whole, "octet {at}");
        }
        assert!(!header.head_is_whole(7, b"heaD") && !header.tail_is_whole(7, b"and Tail"));
        assert!(
            !header.head_is_whole(8, &head) && !header.tail_is_whole(8, &tail),
            "another spool's salt"
        );
        assert_eq!(48, header.span());
    }
}

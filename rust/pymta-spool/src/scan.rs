//! Reads a segment from the front and finds its records, what lies damaged between them, and where it ends.
//!
//! What a gap before a valid record means:
//! - in a segment whose end is known (a later segment says so), all of it had been synced: the gap is damage;
//! - in the last one, the batch that the record names decides: if it began behind the gap, the gap had been synced
//!   before, so it is damage; if not, both are of the same unfinished batch, torn by a crash, and nobody was ever told
//!   that they were safe: the log ends before the gap.

use std::io;

use memchr::memmem;

use crate::format::{ALIGN, DATA_OFFSET, Location, RECORD_HEADER_OCTETS, RECORD_MAGIC, RecordHeader};
use crate::storage::SegmentFile;

/// Octets read at once.
const WINDOW_OCTETS: usize = 1 << 20;
/// In a segment that was synced as a whole, tails longer than this are not read at start-up; they are checked when
/// the message is.
const SKIPPED_TAIL_OCTETS: usize = 64 << 10;

/// What to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) number: u32,
    pub(crate) salt: u32,
    /// Records that begin here or later do not count.
    pub(crate) end_max: u32,
    /// Where the records are known to end; None for the last segment.
    pub(crate) known_end: Option<u32>,
}

/// A valid record.
pub(crate) struct Found<'a> {
    pub(crate) header: RecordHeader,
    pub(crate) at: Location,
    pub(crate) head: &'a [u8],
}

/// What was found beside the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Behind the last valid record.
    pub(crate) end: u32,
    pub(crate) records: u64,
    /// Where the last batch begins: what lies before was synced.
    pub(crate) last_batch: u32,
    /// Parts that had been synced and are not what they were.
    pub(crate) damaged: Vec<(u32, u32)>,
    /// Octets of an unfinished batch, as far as they can be told from what was there before.
    pub(crate) torn_octets: u64,
}

/// Part of a file in memory.
struct Window<'a> {
    file: &'a dyn SegmentFile,
    octets: Vec<u8>,
    begin: u64,
    file_octets: u64,
}

impl Window<'_> {
    /// The octets from `offset` on, `len` of them or as many as there are.
    fn get(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let end = (offset + len as u64).min(self.file_octets);
        let have_end = self.begin + self.octets.len() as u64;
        if offset < self.begin || end > have_end {
            let want = usize::try_from(self.file_octets.saturating_sub(offset)).unwrap_or(usize::MAX);
            self.octets.resize(want.min(len.max(WINDOW_OCTETS)), 0);
            self.begin = offset;
            let read = self.file.read_at(offset, &mut self.octets)?;
            self.octets.truncate(read);
        }
        let from = usize::try_from(offset - self.begin)
            .unwrap_or(usize::MAX)
            .min(self.octets.len());
        Ok(&self.octets[from..self.octets.len().min(from + len)])
    }

    /// The record at `offset`, if there is a valid one: its header.
    fn record(&mut self, range: &Range, offset: u32) -> io::Result<Option<RecordHeader>> {
        let Some(header) = RecordHeader::decode(self.get(u64::from(offset), RECORD_HEADER_OCTETS)?) else {
            return Ok(None);
        };
        let end = u64::from(offset) + u64::from(header.span());
        if header.epoch != range.number
            || end > u64::from(range.end_max)
            || end > self.file_octets
            || header.batch > offset
        {
            return Ok(None);
        }
        let head_octets = header.head_octets as usize;
        let tail_octets = header.tail_octets() as usize;
        let skips_tail = range.known_end.is_some() && tail_octets > SKIPPED_TAIL_OCTETS;
        let octets = head_octets + if skips_tail { 0 } else { tail_octets };
        let payload = self.get(u64::from(offset) + RECORD_HEADER_OCTETS as u64, octets)?;
        let (head, tail) = payload.split_at(head_octets.min(payload.len()));
        let is_whole =
            header.head_is_whole(range.salt, head) && (skips_tail || header.tail_is_whole(range.salt, tail));
        Ok(is_whole.then_some(header))
    }

    /// How much a record was to take that was begun at `offset` and is not whole.
    fn torn_octets(&mut self, range: &Range, offset: u32) -> io::Result<u64> {
        let header = RecordHeader::decode(self.get(u64::from(offset), RECORD_HEADER_OCTETS)?);
        Ok(header
            .filter(|h| h.epoch == range.number)
            .map_or(0, |h| u64::from(h.span())))
    }

    /// The first valid record at `from` or later.
    fn next_record(&mut self, range: &Range, from: u32) -> io::Result<Option<(u32, RecordHeader)>> {
        let finder = memmem::Finder::new(RECORD_MAGIC);
        let mut offset = u64::from(from);
        let end_max = u64::from(range.end_max).min(self.file_octets);
        while offset + RECORD_HEADER_OCTETS as u64 <= end_max {
            let window = self.get(offset, WINDOW_OCTETS)?;
            if window.is_empty() {
                break;
            }
            let Some(at) = finder.find(window) else {
                // The magic may lie across the windows.
                let step = window.len().saturating_sub(RECORD_MAGIC.len() - 1).max(1);
                offset += step as u64;
                continue;
            };
            offset += at as u64;
            if offset % u64::from(ALIGN) == 0 {
                let at = u32::try_from(offset).expect("segments are smaller than 4 GiB");
                if let Some(header) = self.record(range, at)? {
                    return Ok(Some((at, header)));
                }
            }
            offset += 1;
        }
        Ok(None)
    }
}

/// Finds the records of a segment and hands each to `visit`.
///
/// # Errors
/// What the disk says; then nothing is known about the rest.
pub(crate) fn scan(
    file: &dyn SegmentFile,
    range: &Range,
    visit: &mut dyn FnMut(Found<'_>),
) -> io::Result<Scanned> {
    let mut window = Window {
        file,
        octets: Vec::new(),
        begin: 0,
        file_octets: file.octets()?,
    };
    let mut scanned = Scanned {
        end: DATA_OFFSET,
        last_batch: DATA_OFFSET,
        ..Scanned::default()
    };
    let mut offset = DATA_OFFSET;
    loop {
        let found = match window.record(range, offset)? {
            Some(header) => Some((offset, header)),
            None => window.next_record(range, offset.saturating_add(ALIGN))?,
        };
        let Some((at, header)) = found else {
            break;
        };
        if at > offset {
            if range.known_end.is_none() && header.batch <= offset {
                scanned.torn_octets = u64::from(at - offset + header.span());
                return Ok(scanned);
            }
            scanned.damaged.push((offset, at));
        }
        scanned.records += 1;
        let head_at = u64::from(at) + RECORD_HEADER_OCTETS as u64;
        visit(Found {
            header,
            at: Location {
                segment: range.number,
                offset: at,
            },
            head: window.get(head_at, header.head_octets as usize)?,
        });
        offset = at + header.span();
        scanned.end = offset;
        scanned.last_batch = header.batch;
    }
    match range.known_end {
        Some(known_end) if known_end > scanned.end => {
            scanned.damaged.push((scanned.end, known_end));
            scanned.end = known_end;
        }
        Some(_) => {}
        None => scanned.torn_octets = window.torn_octets(range, scanned.end)?,
    }
    Ok(scanned)
}

/// The highest epoch, above `above`, of any valid record in a file whose header cannot be read; 0 if there is none.
pub(crate) fn salvage_epoch(file: &dyn SegmentFile, salt: u32, above: u32) -> io::Result<u32> {
    let mut window = Window {
        file,
        octets: Vec::new(),
        begin: 0,
        file_octets: file.octets()?,
    };
    let finder = memmem::Finder::new(RECORD_MAGIC);
    let mut best = 0;
    let mut offset = u64::from(DATA_OFFSET);
    while offset + RECORD_HEADER_OCTETS as u64 <= window.file_octets {
        let octets = window.get(offset, WINDOW_OCTETS)?;
        if octets.is_empty() {
            break;
        }
        let Some(at) = finder.find(octets) else {
            offset += octets.len().saturating_sub(RECORD_MAGIC.len() - 1).max(1) as u64;
            continue;
        };
        offset += at as u64;
        let epoch = RecordHeader::decode(window.get(offset, RECORD_HEADER_OCTETS)?).map_or(0, |h| h.epoch);
        if offset % u64::from(ALIGN) == 0 && epoch > above.max(best) {
            let range = Range {
                number: epoch,
                salt,
                end_max: u32::MAX,
                known_end: None,
            };
            let at = u32::try_from(offset).expect("segments are smaller than 4 GiB");
            if window.record(&range, at)?.is_some() {
                best = epoch;
            }
        }
        offset += 1;
    }
    Ok(best)
}

//! Reading one record back, whole and checked. Used wherever something is read that start-up has already seen.

use std::io;

use crate::error::SpoolError;
use crate::format::{Location, RECORD_HEADER_OCTETS, RecordHeader};
use crate::storage::SegmentFile;

/// A record whose checksums were right.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) header: RecordHeader,
    payload: Vec<u8>,
}

impl Record {
    pub(crate) fn head(&self) -> &[u8] {
        &self.payload[..self.header.head_octets as usize]
    }

    pub(crate) fn tail(&self) -> &[u8] {
        &self.payload[self.header.head_octets as usize..]
    }

    /// The tail without a copy of it.
    pub(crate) fn into_tail(mut self) -> Vec<u8> {
        self.payload.drain(..self.header.head_octets as usize);
        self.payload
    }
}

/// Most octets read before the header told how many there are.
const FIRST_READ_OCTETS: usize = 16 << 10;

/// Reads the record at `at`, whose span is `octets` if the caller knows it (0 if not).
///
/// # Errors
/// `Io` where the disk fails, `Damaged` where what is there is not that record any more.
pub(crate) fn read_record(
    file: &dyn SegmentFile,
    salt: u32,
    at: Location,
    octets: u32,
) -> Result<Record, SpoolError> {
    let damaged = || SpoolError::Damaged("a record does not match its checksum");
    let first = match octets {
        0 => FIRST_READ_OCTETS,
        octets => octets as usize,
    };
    let mut buffer = vec![0; first.max(RECORD_HEADER_OCTETS)];
    let read = read(file, at, 0, &mut buffer)?;
    buffer.truncate(read);
    let header = RecordHeader::decode(&buffer).ok_or_else(damaged)?;
    if header.epoch != at.segment {
        return Err(damaged());
    }
    let end = RECORD_HEADER_OCTETS + header.payload_octets as usize;
    if octets != 0 && end > octets as usize {
        return Err(damaged());
    }
    if end > buffer.len() {
        let have = buffer.len();
        // The size comes from the disk; a file cannot hold more than itself.
        if u64::from(at.offset) + end as u64
            > file.octets().map_err(|e| SpoolError::io("read the spool", e))?
        {
            return Err(damaged());
        }
        buffer.resize(end, 0);
        if self::read(file, at, have, &mut buffer[have..])? < end - have {
            return Err(damaged());
        }
    }
    buffer.truncate(end);
    buffer.drain(..RECORD_HEADER_OCTETS);
    let record = Record {
        header,
        payload: buffer,
    };
    if header.head_is_whole(salt, record.head()) && header.tail_is_whole(salt, record.tail()) {
        Ok(record)
    } else {
        Err(damaged())
    }
}

fn read(file: &dyn SegmentFile, at: Location, skip: usize, into: &mut [u8]) -> Result<usize, SpoolError> {
    file.read_at(u64::from(at.offset) + skip as u64, into)
        .map_err(|e: io::Error| SpoolError::io("read the spool", e))
}

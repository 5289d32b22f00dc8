//! A spooled message in hand: what a delivery reads. It cannot be changed; its statuses are noted through the spool.

use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use pymta_types::{Envelope, SpoolId, UnixMs};

use crate::codec::ExtentRef;
use crate::lock::lock;
use crate::record::read_record;
use crate::status::Statuses;
use crate::storage::SegmentFile;

/// One message: envelope, annotations, content, and the status of each recipient.
#[derive(Debug)]
pub struct StoredMessage {
    /// Its name.
    pub id: SpoolId,
    /// As it was committed; recipients are named by their index in it.
    pub envelope: Arc<Envelope>,
    /// What the committer wanted to be kept with it.
    pub annotations: Vec<u8>,
    /// Through the first empty line.
    pub header_section: Vec<u8>,
    /// When it became durable, as the committer had it.
    pub spooled_at: UnixMs,
    pub(crate) body: Body,
    pub(crate) statuses: Mutex<Statuses>,
    /// Status records of it that wait to be written: until they are, the disk does not know what this value knows.
    pub(crate) unwritten: AtomicU32,
}

/// Where the body is.
#[derive(Debug)]
pub(crate) enum Body {
    Inline(Vec<u8>),
    Extents(ExtentBody),
}

/// A body in chunk records.
#[derive(Debug)]
pub(crate) struct ExtentBody {
    extents: Vec<Extent>,
    octets: u64,
    /// The chunk that was read last: deliveries read forward in pieces smaller than a chunk, and a chunk can only be
    /// checked as a whole.
    last: Mutex<Option<(usize, Arc<Vec<u8>>)>>,
}

/// A chunk record and the file that it is in. Holding the file keeps it from being used for something else.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    pub(crate) file: Arc<dyn SegmentFile>,
    pub(crate) salt: u32,
    pub(crate) reference: ExtentRef,
}

impl Extent {
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let record = read_record(&*self.file, self.salt, self.reference.at, 0).map_err(io::Error::other)?;
        let tail = record.into_tail();
        if tail.len() == self.reference.octets as usize {
            Ok(tail)
        } else {
            Err(io::Error::other(
                "a chunk of the body has another size than noted",
            ))
        }
    }
}

impl ExtentBody {
    pub(crate) fn new(extents: Vec<Extent>) -> Self {
        Self {
            octets: extents.iter().map(|e| u64::from(e.reference.octets)).sum(),
            extents,
            last: Mutex::new(None),
        }
    }

    /// The chunk with the octet at `offset`, and where in the body it begins.
    fn chunk(&self, offset: u64) -> io::Result<Option<(u64, Arc<Vec<u8>>)>> {
        let mut begin = 0;
        for (number, extent) in self.extents.iter().enumerate() {
            let end = begin + u64::from(extent.reference.octets);
            if offset < end {
                let mut last = lock(&self.last);
                if let Some((_, octets)) = last.as_ref().filter(|(n, _)| *n == number) {
                    return Ok(Some((begin, octets.clone())));
                }
                let octets = Arc::new(extent.read()?);
                *last = Some((number, octets.clone()));
                return Ok(Some((begin, octets)));
            }
            begin = end;
        }
        Ok(None)
    }
}

impl StoredMessage {
    /// Octets of header section and body.
    pub fn content_len(&self) -> u64 {
        self.header_section.len() as u64 + self.body_len()
    }

    /// Octets of the body.
    pub fn body_len(&self) -> u64 {
        match &self.body {
            Body::Inline(octets) => octets.len() as u64,
            Body::Extents(body) => body.octets,
        }
    }

    /// Header section and body where both are in memory; None where the body has to be read piece by piece.
    pub fn as_slices(&self) -> Option<[&[u8]; 2]> {
        match &self.body {
            Body::Inline(octets) => Some([&self.header_section, octets]),
            Body::Extents(_) => None,
        }
    }

    /// Appends up to `octets_max` octets of the content from `offset` on to `out`; returns how many. Fewer than asked
    /// does not mean the end; 0 does.
    ///
    /// # Errors
    /// What the disk says, or `Other` where a chunk no longer matches its checksum.
    pub fn read_at(&self, offset: u64, out: &mut Vec<u8>, octets_max: usize) -> io::Result<usize> {
        let header_octets = self.header_section.len() as u64;
        if offset < header_octets {
            return Ok(append(&self.header_section, offset, out, octets_max));
        }
        let offset = offset - header_octets;
        match &self.body {
            Body::Inline(octets) => Ok(append(octets, offset, out, octets_max)),
            Body::Extents(body) => Ok(match body.chunk(offset)? {
                Some((begin, octets)) => append(&octets, offset - begin, out, octets_max),
                None => 0,
            }),
        }
    }

    /// What became of each recipient so far. The guard is short-lived: the spool notes outcomes through it.
    pub fn statuses(&self) -> std::sync::MutexGuard<'_, Statuses> {
        lock(&self.statuses)
    }
}

/// Appends what `octets` has from `offset` on.
fn append(octets: &[u8], offset: u64, out: &mut Vec<u8>, octets_max: usize) -> usize {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(octets.len());
    let rest = &octets[from..];
    let rest = &rest[..rest.len().min(octets_max)];
    out.extend_from_slice(rest);
    rest.len()
}

//! FETCH (RFC 9051 §7.5.2): one message's response, from what the index knows where that is enough, else from its file.
//!
//! A message that is large goes out in pieces: [`Responder::go_on`] appends to a buffer until it holds enough, and goes on
//! there at its next call. The length of a literal is known before its first octet is read, from the record.

use std::io;

use pymta_imap::Enabled;
use pymta_imap::command::{FetchItem, Section, SectionForm, SectionText};
use pymta_imap::write;
use pymta_index::{Details, Message};
use pymta_mime::{Decoder, TransferEncoding};

use crate::content::{CONTENT_OCTETS_MAX, Content, Octets, Places, Stretch};
use crate::record::{Record, structure_without_global};
pub use crate::said::flags;
use crate::said::{begin, chosen, from_record, literal, name, push_numbers, simple, within, without_nul};
use crate::section::{Extent, Kind, Place, extent, numbered};
use crate::structure::may_hold_global;

/// Encoded bodies up to this length are decoded in memory, larger ones read twice: once for their length.
const DECODED_AT_ONCE_OCTETS_MAX: u64 = 256 << 10;

/// What a FETCH needs, to be asked of the index for many messages at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// [`Given::details`].
    pub details: bool,
    /// [`Given::record`].
    pub record: bool,
    /// It sets \Seen (RFC 9051 §6.4.5): a section without PEEK.
    pub sets_seen: bool,
}

/// What these items need.
pub fn need(items: &[FetchItem]) -> Need {
    let mut need = Need::default();
    for item in items {
        match item {
            FetchItem::Uid | FetchItem::Flags | FetchItem::ModSeq => {}
            FetchItem::InternalDate
            | FetchItem::Size
            | FetchItem::SaveDate
            | FetchItem::EmailId
            | FetchItem::ThreadId => need.details = true,
            FetchItem::Section(section) => {
                need.record = true;
                need.sets_seen |= !section.peek;
            }
            _ => need.record = true,
        }
    }
    need
}

/// One message, as far as [`need`] says that it is needed.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Its message number.
    pub number: u32,
    /// UID, flags and mod-sequence, as they are to be said.
    pub message: &'a Message,
    /// Names of the mailbox's keywords, by their bits.
    pub keywords: &'a [String],
    /// Dates, size and identifiers.
    pub details: Option<&'a Details>,
    /// What the index keeps for [`Record::decode`]; None: it is made, and [`Responder::take_made`] has it.
    pub record: Option<&'a [u8]>,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The file is not there any more; nothing was said.
    #[error("the message is gone")]
    Gone,
    /// BINARY of a part in an encoding that nobody knows (RFC 3516 §4.3: NO with UNKNOWN-CTE); nothing was said.
    #[error("unknown content transfer encoding")]
    UnknownEncoding,
    /// Reading failed; nothing was said.
    #[error("a message cannot be read: {0}")]
    Unreadable(io::Error),
    /// Reading failed in the middle of a literal: only the end of the connection tells the client.
    #[error("a message cannot be read further: {0}")]
    CutOff(io::Error),
}

/// Opens the message's file; None where it is gone.
pub type Open<'a> = &'a mut dyn FnMut() -> io::Result<Option<Box<dyn Octets>>>;

/// One message's response on its way.
#[derive(Default)]
pub struct Responder {
    /// Items that are said.
    said: usize,
    begun: bool,
    stream: Option<Stream>,
    file: Option<Box<dyn Octets>>,
    made: Option<Vec<u8>>,
    is_made_taken: bool,
}

/// The rest of a section.
enum Stream {
    Plain(Stretch),
    Decoded {
        stretch: Stretch,
        decoder: Decoder,
        skip: u64,
        left: u64,
    },
}

impl Responder {
    /// Appends what is said of the message, until `out` has grown by about `octets_max`; true when all is said.
    ///
    /// # Errors
    /// [`FetchError`]; `out` is then as it was, but for [`FetchError::CutOff`].
    pub fn go_on(
        &mut self,
        items: &[FetchItem],
        given: &Given<'_>,
        enabled: Enabled,
        open: Open<'_>,
        out: &mut Vec<u8>,
        octets_max: usize,
    ) -> Result<bool, FetchError> {
        let before = out.len();
        let was_begun = self.begun;
        self.say(items, given, enabled, open, out, before + octets_max)
            .map_err(|error| match error {
                FetchError::Unreadable(error) if was_begun => FetchError::CutOff(error),
                FetchError::Gone if was_begun => FetchError::CutOff(io::ErrorKind::NotFound.into()),
                error => {
                    out.truncate(before);
                    error
                }
            })
    }

    /// The record that had to be made, for the index.
    pub fn take_made(&mut self) -> Option<Vec<u8>> {
        // Kept here as well: what is still to be said needs it.
        let is_new = !std::mem::replace(&mut self.is_made_taken, self.made.is_some());
        self.made.clone().filter(|_| is_new)
    }

    fn say(
        &mut self,
        items: &[FetchItem],
        given: &Given<'_>,
        enabled: Enabled,
        open: Open<'_>,
        out: &mut Vec<u8>,
        until: usize,
    ) -> Result<bool, FetchError> {
        let mut record = given.record.and_then(Record::decode);
        let made;
        if record.is_none() && need(items).record {
            if self.made.is_none() {
                let found = Record::of_file(self.file(open)?).map_err(FetchError::Unreadable)?;
                self.made = Some(found.encode());
            }
            made = self.made.clone();
            record = made.as_deref().and_then(Record::decode);
        }
        if !self.begun {
            decodable(items, record.as_ref())?;
            begin(given, enabled, out);
            self.begun = true;
        }
        loop {
            while let Some(stream) = &mut self.stream {
                if out.len() >= until {
                    return Ok(false);
                }
                let file = self.file.as_deref().ok_or(FetchError::Gone)?;
                if stream.push(file, out).map_err(FetchError::Unreadable)? {
                    self.stream = None;
                }
            }
            let Some(item) = items.get(self.said) else { break };
            if self.said > 0 {
                out.push(b' ');
            }
            match item {
                FetchItem::Section(section) => {
                    let record = record.as_ref().ok_or(FetchError::Gone)?;
                    self.section(section, record, open, out)?;
                }
                FetchItem::BinarySize(part) => {
                    let record = record.as_ref().ok_or(FetchError::Gone)?;
                    let octets = self.decoded_octets(part, record, open)?.0;
                    out.extend_from_slice(b"BINARY.SIZE[");
                    push_numbers(part, out);
                    out.extend_from_slice(format!("] {octets}").as_bytes());
                }
                FetchItem::Body | FetchItem::BodyStructure
                    if !enabled.rev2 && record.as_ref().is_some_and(|r| may_hold_global(&r.body)) =>
                {
                    let is_extended = matches!(item, FetchItem::BodyStructure);
                    let content = Content::read(self.file(open)?, CONTENT_OCTETS_MAX);
                    let content = content.map_err(FetchError::Unreadable)?;
                    out.extend_from_slice(if is_extended { b"BODYSTRUCTURE " } else { b"BODY " });
                    out.extend(structure_without_global(&content, is_extended));
                }
                _ => simple(item, given, record.as_ref(), enabled, out),
            }
            self.said += 1;
        }
        out.extend_from_slice(b")\r\n");
        Ok(true)
    }

    fn file(&mut self, open: Open<'_>) -> Result<&dyn Octets, FetchError> {
        if self.file.is_none() {
            self.file = open().map_err(FetchError::Unreadable)?;
        }
        self.file.as_deref().ok_or(FetchError::Gone)
    }

    fn section(
        &mut self,
        section: &Section,
        record: &Record<'_>,
        open: Open<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), FetchError> {
        name(section, out);
        if section.form == SectionForm::Binary {
            return self.binary(section, record, open, out);
        }
        let text = match section.form {
            SectionForm::Rfc822Header => &SectionText::Header,
            SectionForm::Rfc822Text => &SectionText::Text,
            _ => &section.text,
        };
        let Some(extent) = extent(&record.parts, &section.part, text) else {
            out.extend_from_slice(b"NIL");
            return Ok(());
        };
        let kept = section.part.is_empty().then(|| from_record(text, record));
        if let Some(kept) = kept.flatten() {
            literal(&kept, section.partial, out);
            return Ok(());
        }
        match (extent, text) {
            (Extent::Fields(at, octets, has_body), SectionText::HeaderFields { names, not }) => {
                let stretch = Stretch::new(&record.places, at, octets);
                let header = stretch.read(self.file(open)?).map_err(FetchError::Unreadable)?;
                literal(&chosen(&header, names, *not, has_body), section.partial, out);
            }
            (Extent::Octets(at, octets) | Extent::Fields(at, octets, _), _) => {
                let (skip, octets) = within(octets, section.partial);
                write::literal_head(out, octets);
                self.file(open)?;
                self.stream = Some(Stream::Plain(Stretch::new(&record.places, at + skip, octets)));
            }
        }
        Ok(())
    }

    fn binary(
        &mut self,
        section: &Section,
        record: &Record<'_>,
        open: Open<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), FetchError> {
        let Some(body) = Body::of(record, &section.part) else {
            out.extend_from_slice(b"NIL");
            return Ok(());
        };
        if body.octets <= DECODED_AT_ONCE_OCTETS_MAX {
            let decoded = body.decoded(self.file(open)?).map_err(FetchError::Unreadable)?;
            let (skip, octets) = within(decoded.len() as u64, section.partial);
            // Both are within what was decoded into memory.
            let begin = usize::try_from(skip).unwrap_or(decoded.len());
            let end = begin + usize::try_from(octets).unwrap_or(0);
            let wanted = &decoded[begin..end];
            if memchr::memchr(0, wanted).is_some() {
                write::literal8_head(out, octets);
            } else {
                write::literal_head(out, octets);
            }
            out.extend_from_slice(wanted);
            return Ok(());
        }
        let (octets, holds_nul) = self.decoded_octets(&section.part, record, open)?;
        let (skip, octets) = within(octets, section.partial);
        if holds_nul {
            write::literal8_head(out, octets);
        } else {
            write::literal_head(out, octets);
        }
        self.stream = Some(Stream::Decoded {
            stretch: body.stretch(),
            decoder: Decoder::new(body.encoding),
            skip,
            left: octets,
        });
        Ok(())
    }

    /// How long the part is when decoded, and whether there is a NUL in it.
    fn decoded_octets(
        &mut self,
        part: &[u32],
        record: &Record<'_>,
        open: Open<'_>,
    ) -> Result<(u64, bool), FetchError> {
        let Some(body) = Body::of(record, part) else {
            return Ok((0, false));
        };
        let file = self.file(open)?;
        let mut stretch = body.stretch();
        let mut decoder = Decoder::new(body.encoding);
        let (mut octets, mut holds_nul) = (0, false);
        let (mut piece, mut decoded) = (Vec::new(), Vec::new());
        while !stretch.is_over() {
            piece.clear();
            decoded.clear();
            stretch.push(file, &mut piece).map_err(FetchError::Unreadable)?;
            decoder.push(&piece, &mut decoded);
            if stretch.is_over() {
                decoder.finish(&mut decoded);
            }
            octets += decoded.len() as u64;
            holds_nul = holds_nul || memchr::memchr(0, &decoded).is_some();
        }
        Ok((octets, holds_nul))
    }
}

impl Stream {
    /// Appends the next piece; true when that was the last.
    fn push(&mut self, file: &dyn Octets, out: &mut Vec<u8>) -> io::Result<bool> {
        match self {
            Self::Plain(stretch) => {
                let before = out.len();
                if !stretch.is_over() {
                    stretch.push(file, out)?;
                }
                without_nul(&mut out[before..]);
                Ok(stretch.is_over())
            }
            Self::Decoded {
                stretch,
                decoder,
                skip,
                left,
            } => {
                let (mut piece, mut decoded) = (Vec::new(), Vec::new());
                if *left > 0 && !stretch.is_over() {
                    stretch.push(file, &mut piece)?;
                    decoder.push(&piece, &mut decoded);
                    if stretch.is_over() {
                        decoder.finish(&mut decoded);
                    }
                }
                let skipped = usize::try_from(*skip).unwrap_or(usize::MAX).min(decoded.len());
                *skip -= skipped as u64;
                let wanted = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(decoded.len() - skipped);
                *left -= wanted as u64;
                out.extend_from_slice(&decoded[skipped..skipped + wanted]);
                if *left > 0 && stretch.is_over() {
                    return Err(io::ErrorKind::UnexpectedEof.into()); // the file changed below us
                }
                Ok(*left == 0)
            }
        }
    }
}

/// The body of a part, for decoding.
struct Body<'a> {
    places: &'a Places,
    at: u64,
    octets: u64,
    encoding: TransferEncoding,
}

impl<'a> Body<'a> {
    fn of(record: &'a Record<'_>, part: &[u32]) -> Option<Self> {
        let place: &Place = &record.parts[numbered(&record.parts, part)?.index];
        let Some(Extent::Octets(at, octets)) = extent(&record.parts, part, &SectionText::All) else {
            return None;
        };
        // RFC 2045 §6.4: what holds parts is not encoded, nor is a whole message.
        let plain = part.is_empty() || place.kind != Kind::Leaf;
        Some(Self {
            places: &record.places,
            at,
            octets,
            encoding: if plain {
                TransferEncoding::Identity
            } else {
                place.encoding
            },
        })
    }

    fn stretch(&self) -> Stretch {
        Stretch::new(self.places, self.at, self.octets)
    }

    fn decoded(&self, file: &dyn Octets) -> io::Result<Vec<u8>> {
        let encoded = self.stretch().read(file)?;
        let mut decoded = Vec::with_capacity(encoded.len());
        let mut decoder = Decoder::new(self.encoding);
        decoder.push(&encoded, &mut decoded);
        decoder.finish(&mut decoded);
        Ok(decoded)
    }
}

/// Before anything is said: whether all that is to be decoded can be.
fn decodable(items: &[FetchItem], record: Option<&Record<'_>>) -> Result<(), FetchError> {
    let parts = items.iter().filter_map(|item| match item {
        FetchItem::Section(section) if section.form == SectionForm::Binary => Some(&section.part),
        FetchItem::BinarySize(part) => Some(part),
        _ => None,
    });
    for part in parts {
        let body = record.and_then(|record| Body::of(record, part));
        if body.is_some_and(|body| body.encoding == TransferEncoding::Other) {
            return Err(FetchError::UnknownEncoding);
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;

//! Takes the content of one message while it arrives: the header section stays in memory, a small body too, a large
//! one goes to the log in pieces.
//!
//! Rule: memory per message is bounded whatever its size and however slow the disk. Nothing here decides what is said
//! to the peer: a broken limit is noted, the rest is counted and thrown away, and the reply comes at the end of data
//! (stopping early would leave content to be read as commands).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use memchr::{memchr_iter, memmem};
use pymta_types::{Envelope, SpoolId, UnixMs};

use crate::error::SpoolError;
use crate::lock::lock;
use crate::log::{Item, Prepared, PreparedBody};
use crate::message::Extent;
use crate::shared::Shared;

/// A body that goes to the log while it arrives.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) number: u64,
    pieces: Mutex<Vec<Piece>>,
    /// Why a piece was lost: the message cannot be committed.
    failure: OnceLock<SpoolError>,
    /// Octets handed to the log that are not written yet.
    pending: AtomicUsize,
}

#[derive(Debug)]
struct Piece {
    octets: usize,
    /// Until it is written.
    memory: Option<Arc<Vec<u8>>>,
    /// Since it has a place in the log.
    extent: Option<Extent>,
}

impl Stream {
    fn new(number: u64) -> Self {
        Self {
            number,
            pieces: Mutex::default(),
            failure: OnceLock::new(),
            pending: AtomicUsize::new(0),
        }
    }

    fn push(&self, octets: Arc<Vec<u8>>) -> usize {
        self.pending.fetch_add(octets.len(), Ordering::Relaxed);
        let mut pieces = lock(&self.pieces);
        pieces.push(Piece {
            octets: octets.len(),
            memory: Some(octets),
            extent: None,
        });
        pieces.len() - 1
    }

    /// A piece has a place in the log; another one than before if that segment failed.
    pub(crate) fn placed(&self, piece: usize, extent: Extent) {
        lock(&self.pieces)[piece].extent = Some(extent);
    }

    /// The piece was written to its place.
    pub(crate) fn written(&self, piece: usize) {
        let piece = &mut lock(&self.pieces)[piece];
        if piece.memory.take().is_some() {
            self.pending.fetch_sub(piece.octets, Ordering::Relaxed);
        }
    }

    /// The piece will never be written.
    pub(crate) fn lost(&self, piece: usize) {
        self.written(piece);
        lock(&self.pieces)[piece].extent = None;
    }

    /// The first cause is the one that is told.
    pub(crate) fn fail(&self, error: &SpoolError) {
        let _ = self.failure.set(error.clone());
    }

    pub(crate) fn failure(&self) -> Option<&SpoolError> {
        self.failure.get()
    }

    /// The chunk records in order: of the whole body, once all pieces have their places.
    pub(crate) fn extents(&self) -> Vec<Extent> {
        lock(&self.pieces)
            .iter()
            .filter_map(|piece| piece.extent.clone())
            .collect()
    }

    /// The chunk records that were written.
    pub(crate) fn written_extents(&self) -> Vec<Extent> {
        lock(&self.pieces)
            .iter()
            .filter(|piece| piece.memory.is_none())
            .filter_map(|piece| piece.extent.clone())
            .collect()
    }

    fn read(&self, offset: u64, octets_max: usize) -> Result<Vec<u8>, SpoolError> {
        let mut out = Vec::new();
        let mut begin = 0u64;
        for piece in lock(&self.pieces).iter() {
            let end = begin + piece.octets as u64;
            let from = offset + out.len() as u64;
            if from < end && out.len() < octets_max {
                let skip = usize::try_from(from - begin).unwrap_or(usize::MAX);
                let read;
                let octets = match (&piece.memory, &piece.extent) {
                    (Some(octets), _) => &**octets,
                    (None, Some(extent)) => {
                        read = extent.read().map_err(|e| SpoolError::io("read the spool", e))?;
                        &read
                    }
                    (None, None) => return Err(SpoolError::Damaged("a piece of the body is nowhere")),
                };
                let take = (octets.len() - skip).min(octets_max - out.len());
                out.extend_from_slice(&octets[skip..skip + take]);
            }
            begin = end;
        }
        Ok(out)
    }
}

/// What is committed beside the content.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// With at least one recipient.
    pub envelope: Arc<Envelope>,
    /// What replaces the header section that arrived.
    pub header_section: Vec<u8>,
    /// Kept with the message; means nothing to the spool.
    pub annotations: Vec<u8>,
    /// Now.
    pub spooled_at: UnixMs,
    /// When it is first to be tried; None is hold.
    pub due: Option<UnixMs>,
}

/// Takes the content of one message. Dropped without a commit, it leaves nothing that counts.
#[derive(Debug)]
pub struct ContentWriter {
    shared: Arc<Shared>,
    header: Vec<u8>,
    /// False once the empty line was seen.
    in_header: bool,
    body: Vec<u8>,
    /// Octets of the body in the stream.
    streamed_octets: u64,
    stream: Option<Arc<Stream>>,
    content_octets: u64,
    violation: Option<&'static str>,
    /// The content was thrown away because too much waits to be written.
    overrun: bool,
    /// What is counted in the memory of all writers.
    held_octets: usize,
    /// The name of the message, where it was asked for before the commit.
    id: Option<SpoolId>,
}

const HEADER_TOO_LARGE: &str = "header section too large";
const TOO_MANY_FIELDS: &str = "too many header fields";

impl ContentWriter {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            header: Vec::new(),
            in_header: true,
            body: Vec::new(),
            streamed_octets: 0,
            stream: None,
            content_octets: 0,
            violation: None,
            overrun: false,
            held_octets: 0,
            id: None,
        }
    }

    /// Takes more of the content: octets after un-stuffing, CRLF as they arrived.
    pub fn write(&mut self, octets: &[u8]) {
        self.content_octets += octets.len() as u64;
        if self.violation.is_some() || self.overrun {
            return;
        }
        if self.in_header {
            self.write_header(octets);
        } else {
            self.body.extend_from_slice(octets);
        }
        self.spill();
        self.note_held();
    }

    fn write_header(&mut self, octets: &[u8]) {
        let before = self.header.len();
        let end = if before == 0 {
            // Most header sections come in one piece: what is behind is copied once, to where it belongs.
            let end = end_of_header(octets, 0);
            self.header
                .extend_from_slice(&octets[..end.unwrap_or(octets.len())]);
            end
        } else {
            self.header.extend_from_slice(octets);
            // The empty line may begin in what came before.
            end_of_header(&self.header, before.saturating_sub(3))
        };
        let header_octets = end.unwrap_or(self.header.len());
        if header_octets > self.shared.settings.header_octets_max {
            return self.refuse(HEADER_TOO_LARGE);
        }
        if let Some(end) = end {
            self.in_header = false;
            self.body.extend_from_slice(&octets[end - before..]);
            self.header.truncate(end);
            if field_count(&self.header) > self.shared.settings.header_fields_max {
                self.refuse(TOO_MANY_FIELDS);
            }
        }
    }

    fn refuse(&mut self, violation: &'static str) {
        self.violation = Some(violation);
        self.discard_content();
    }

    fn discard_content(&mut self) {
        self.header = Vec::new();
        self.body = Vec::new();
        self.streamed_octets = 0;
        if let Some(stream) = self.stream.take() {
            self.shared.push(Item::Abandon(stream), 0);
        }
        self.note_held();
    }

    /// Sends a body that became too large for memory to the log, piece by piece.
    fn spill(&mut self) {
        let piece_octets = self.shared.piece_octets();
        while self.body.len() >= piece_octets {
            let rest = self.body.split_off(piece_octets);
            let piece = std::mem::replace(&mut self.body, rest);
            self.stream_piece(piece);
        }
    }

    fn stream_piece(&mut self, piece: Vec<u8>) {
        if self.shared.is_overrun() {
            self.overrun = true;
            return self.discard_content();
        }
        let stream = self
            .stream
            .get_or_insert_with(|| Arc::new(Stream::new(self.shared.next_stream())))
            .clone();
        let piece = Arc::new(piece);
        let at = self.streamed_octets;
        self.streamed_octets += piece.len() as u64;
        let number = stream.push(piece.clone());
        let octets = piece.len();
        self.shared.push(
            Item::Chunk {
                stream,
                piece: number,
                octets: piece,
                at,
            },
            octets,
        );
    }

    fn note_held(&mut self) {
        let held = self.header.len() + self.body.len();
        self.shared.note_held(self.held_octets, held);
        self.held_octets = held;
    }

    /// What arrived of the header section: through the first empty line once `header_is_complete`.
    pub fn header_section(&self) -> &[u8] {
        &self.header
    }

    /// Whether the empty line that ends the header section was seen.
    pub fn header_is_complete(&self) -> bool {
        !self.in_header
    }

    /// Why the header section is refused, or None.
    pub fn violation(&self) -> Option<&'static str> {
        // Without an empty line the fields have not been counted yet.
        let too_many = self.in_header && field_count(&self.header) > self.shared.settings.header_fields_max;
        self.violation.or(too_many.then_some(TOO_MANY_FIELDS))
    }

    /// All octets that were written to it, kept or not.
    pub fn content_len(&self) -> u64 {
        self.content_octets
    }

    /// Octets of the body.
    pub fn body_len(&self) -> u64 {
        self.streamed_octets + self.body.len() as u64
    }

    /// Octets of this message that wait to be written: whoever feeds the writer stops reading while it is large.
    pub fn pending_octets(&self) -> usize {
        self.stream
            .as_ref()
            .map_or(0, |s| s.pending.load(Ordering::Relaxed))
    }

    /// Up to `octets_max` octets of the body from `offset` on.
    ///
    /// # Errors
    /// `Io` or `Damaged` where a piece that went to the log cannot be read back.
    pub fn read_body(&self, offset: u64, octets_max: usize) -> Result<Vec<u8>, SpoolError> {
        let mut out = match &self.stream {
            Some(stream) if offset < self.streamed_octets => stream.read(offset, octets_max)?,
            _ => Vec::new(),
        };
        let from = (offset + out.len() as u64).saturating_sub(self.streamed_octets);
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(self.body.len());
        let take = (self.body.len() - from).min(octets_max - out.len());
        out.extend_from_slice(&self.body[from..from + take]);
        Ok(out)
    }

    /// The body where all of it is in memory.
    pub fn body_in_memory(&self) -> Option<&[u8]> {
        self.stream.is_none().then_some(&*self.body)
    }

    /// The name that the message will have, for the trace field; the same however often it is asked for.
    pub fn reserve_id(&mut self, now: UnixMs) -> SpoolId {
        *self.id.get_or_insert_with(|| self.shared.next_id(now))
    }

    /// Hands the message to the log. Returns a token that `Spool::completions` answers: with the id once the message
    /// is durable, with an error where it is not and will not be.
    pub fn commit(mut self, request: Commit) -> u64 {
        let token = self.shared.next_token();
        if let Some(error) = self.refusal(&request) {
            self.shared.complete(vec![(token, Err(error))]);
            return token;
        }
        if self.stream.is_some() && !self.body.is_empty() {
            let rest = std::mem::take(&mut self.body);
            self.stream_piece(rest);
            if self.overrun {
                self.shared.complete(vec![(token, Err(SpoolError::Slow))]);
                return token;
            }
        }
        let body_octets = self.body_len();
        let body = match self.stream.take() {
            Some(stream) => PreparedBody::Stream(stream),
            None => PreparedBody::Inline(std::mem::take(&mut self.body)),
        };
        let inline_octets = self.held_octets + request.header_section.len();
        self.shared.push(
            Item::Commit(Box::new(Prepared {
                token,
                id: self.id.unwrap_or_else(|| self.shared.next_id(request.spooled_at)),
                envelope: request.envelope,
                annotations: request.annotations,
                header_section: request.header_section,
                spooled_at: request.spooled_at,
                due: request.due,
                body,
                body_octets,
            })),
            inline_octets,
        );
        token
    }

    fn refusal(&self, request: &Commit) -> Option<SpoolError> {
        if let Some(violation) = self.violation() {
            return Some(SpoolError::Violation(violation));
        }
        if self.overrun || self.shared.is_overrun() {
            return Some(SpoolError::Slow);
        }
        if request.envelope.recipients.is_empty() {
            return Some(SpoolError::NoSuchRecipient(0));
        }
        self.shared.is_closed().then_some(SpoolError::Closed)
    }
}

impl Drop for ContentWriter {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.shared.push(Item::Abandon(stream), 0);
        }
        self.shared.note_held(self.held_octets, 0);
    }
}

/// Behind the empty line that ends the header section at the start of `octets`; it is not before `from`.
fn end_of_header(octets: &[u8], from: usize) -> Option<usize> {
    if octets.starts_with(b"\r\n") {
        return Some(2);
    }
    memmem::find(&octets[from..], b"\r\n\r\n").map(|at| from + at + 4)
}

/// Fields in a header section: lines that do not continue the one before (RFC 5322 §2.2.3).
fn field_count(header: &[u8]) -> usize {
    let begins_field = |at: usize| !matches!(header.get(at), None | Some(b' ' | b'\t' | b'\r'));
    usize::from(begins_field(0))
        + memchr_iter(b'\n', header)
            .filter(|at| begins_field(at + 1))
            .count()
}

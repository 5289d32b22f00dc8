//! COMPRESS=DEFLATE (RFC 4978): what arrives is inflated as it is read, what is sent is deflated up to its last octet.
//!
//! Rule: nothing is inflated before there is room for it, so no peer makes the session hold more than it would without;
//! and who sends little that becomes very much is not a client ([`RATIO_MAX`]).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use pymta_smtp::input::Input;

/// Octets that are inflated at once.
const PIECE_OCTETS: usize = 16 * 1024;
/// Up to here anything may come of anything: a message of zeros is one.
const FREE_OCTETS_MAX: u64 = 64 * 1024 * 1024;
/// Beyond: octets of commands and messages from one octet that arrived. DEFLATE can do 1,032; mail comes to 10.
const RATIO_MAX: u64 = 100;

/// Both directions.
pub(crate) struct Codec {
    inflate: Decompress,
    deflate: Compress,
    /// Not inflated yet.
    arrived: Input,
    /// The peer's stream is over: nothing may follow.
    has_ended: bool,
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Codec(…)")
    }
}

/// What became of what arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inflated {
    Some,
    Nothing,
    /// It is no DEFLATE, or too much comes of it.
    Bad,
}

impl Codec {
    pub(crate) fn new() -> Self {
        Self {
            inflate: Decompress::new(false),
            deflate: Compress::new(Compression::fast(), false),
            arrived: Input::default(),
            has_ended: false,
        }
    }

    pub(crate) fn receive(&mut self, chunk: &[u8]) {
        self.arrived.push(chunk);
    }

    /// Octets that arrived and are not inflated.
    pub(crate) fn held_octets(&self) -> usize {
        self.arrived.rest().len()
    }

    /// The next piece.
    pub(crate) fn inflate(&mut self, out: &mut Input) -> Inflated {
        if self.has_ended {
            return if self.arrived.is_empty() {
                Inflated::Nothing
            } else {
                Inflated::Bad
            };
        }
        let mut piece = [0; PIECE_OCTETS];
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(self.arrived.rest(), &mut piece, FlushDecompress::Sync);
        let taken = usize::try_from(self.inflate.total_in() - before_in).unwrap_or(usize::MAX);
        let made = usize::try_from(self.inflate.total_out() - before_out).unwrap_or(usize::MAX);
        self.arrived.consume(taken);
        out.push(&piece[..made]);
        let total_out = self.inflate.total_out();
        let is_much = total_out > FREE_OCTETS_MAX && total_out / RATIO_MAX > self.inflate.total_in();
        match status {
            Err(_) => Inflated::Bad,
            Ok(_) if is_much => Inflated::Bad,
            Ok(Status::StreamEnd) => {
                self.has_ended = true;
                Inflated::Some
            }
            // "Unexpected end" is where every packet ends.
            Ok(_) if taken == 0 && made == 0 => Inflated::Nothing,
            Ok(_) => Inflated::Some,
        }
    }

    /// As it goes on the wire, so that the peer can inflate all of it at once.
    pub(crate) fn deflate(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(octets.len() / 2 + 64);
        let mut rest = octets;
        while !octets.is_empty() {
            let before = self.deflate.total_in();
            if self
                .deflate
                .compress_vec(rest, &mut out, FlushCompress::Sync)
                .is_err()
            {
                break; // cannot be: there is input or room for what it flushes
            }
            let taken = usize::try_from(self.deflate.total_in() - before).unwrap_or(usize::MAX);
            rest = &rest[taken..];
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
            out.reserve(octets.len() / 2 + 64);
        }
        out
    }
}

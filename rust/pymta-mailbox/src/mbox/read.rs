//! An mbox file, taken apart in one pass.

use std::io::{self, Read};

use super::Escaping;
use super::from_line::{FROM, FromLine, LOOK_AHEAD_OCTETS, from_line};

/// Octets of the file that are held.
const WINDOW_OCTETS: usize = 256 << 10;
/// Of a message, about as much is given at a time.
const PIECE_OCTETS: usize = 64 << 10;

/// Messages, one after the other, in pieces.
pub(super) struct Reader<R> {
    source: R,
    escaping: Escaping,
    window: Vec<u8>,
    begin: usize,
    end: usize,
    is_source_at_end: bool,
    is_at_line_start: bool,
    /// The `>` that a line began with, of which the first is kept back until it is seen what follows them.
    quotes: Quotes,
    /// An empty line that was read: of the message, unless it is its last one, which parts it from the next.
    held: &'static [u8],
    /// Of the file, that are done with.
    octets: u64,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(source: R, escaping: Escaping) -> Self {
        Self {
            source,
            escaping,
            window: vec![0; WINDOW_OCTETS],
            begin: 0,
            end: 0,
            is_source_at_end: false,
            is_at_line_start: true,
            quotes: Quotes::None,
            held: b"",
            octets: 0,
        }
    }

    /// How much of the file is done with.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// Whether it is an mbox: empty, or begun by a line that begins a message. Empty lines before it are passed over.
    pub(super) fn begins_well(&mut self) -> io::Result<bool> {
        loop {
            self.fill()?;
            let window = self.window();
            match empty_line(window) {
                Some(line) => self.take(line.len()),
                None => return Ok(window.is_empty() || from_line(window, true).is_some()),
            }
        }
    }

    /// The next message begins; None at the end of the file. The one before was read to its end.
    pub(super) fn message(&mut self) -> io::Result<Option<FromLine>> {
        self.fill()?;
        let found = from_line(self.window(), true);
        if let Some(line) = found {
            self.take(line.octets);
            self.is_at_line_start = true;
            self.quotes = Quotes::None;
            self.held = b"";
        }
        Ok(found)
    }

    /// Adds more of the message, unescaped; false where that was its end.
    pub(super) fn read(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let until = out.len() + PIECE_OCTETS;
        while out.len() < until {
            self.fill()?;
            let window = &self.window[self.begin..self.end];
            if self.is_at_line_start && from_line(window, !self.held.is_empty()).is_some() {
                return Ok(false);
            }
            let quotes = window.iter().take_while(|&&octet| octet == b'>').count();
            if quotes > 0 && (self.is_at_line_start || self.quotes != Quotes::None) {
                out.extend_from_slice(std::mem::take(&mut self.held));
                let is_first = self.quotes == Quotes::None;
                out.extend_from_slice(&window[usize::from(is_first)..quotes]);
                self.quotes = if is_first && quotes == 1 {
                    Quotes::One
                } else {
                    Quotes::More
                };
                self.is_at_line_start = false;
                self.take(quotes);
                continue;
            }
            if self.quotes != Quotes::None && !self.quotes.is_escaping(window, self.escaping) {
                out.push(b'>');
            }
            self.quotes = Quotes::None;
            if window.is_empty() {
                return Ok(false); // as is, an empty line at the file's end is no one's
            }
            out.extend_from_slice(std::mem::take(&mut self.held));
            let (octets, is_whole) = match memchr::memchr(b'\n', window) {
                Some(at) => (at + 1, true),
                None => (window.len(), false),
            };
            match empty_line(window).filter(|_| self.is_at_line_start) {
                Some(line) => self.held = line,
                None => out.extend_from_slice(&window[..octets]),
            }
            self.is_at_line_start = is_whole;
            self.take(octets);
        }
        Ok(true)
    }

    fn window(&self) -> &[u8] {
        &self.window[self.begin..self.end]
    }

    fn take(&mut self, octets: usize) {
        self.begin += octets;
        self.octets += octets as u64;
    }

    /// Sees to it that enough is there to decide what a line is.
    fn fill(&mut self) -> io::Result<()> {
        if self.end - self.begin >= LOOK_AHEAD_OCTETS || self.is_source_at_end {
            return Ok(());
        }
        self.window.copy_within(self.begin..self.end, 0);
        self.end -= self.begin;
        self.begin = 0;
        while self.end < self.window.len() {
            match self.source.read(&mut self.window[self.end..]) {
                Ok(0) => {
                    self.is_source_at_end = true;
                    break;
                }
                Ok(octets) => self.end += octets,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn empty_line(window: &[u8]) -> Option<&'static [u8]> {
    [b"\n".as_slice(), b"\r\n"]
        .into_iter()
        .find(|line| window.starts_with(line))
}

/// How many `>` a line began with, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotes {
    None,
    One,
    More,
}

impl Quotes {
    /// Whether the first of them is not the message's, in front of what follows them.
    fn is_escaping(self, window: &[u8], escaping: Escaping) -> bool {
        window.starts_with(FROM)
            && match escaping {
                Escaping::Mboxo => self == Self::One,
                Escaping::Mboxrd => self != Self::None,
            }
    }
}

//! The content of a message: read from its file and turned into the wire's CRLF form on the way, whole or from an offset.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use pymta_mime::ToWire;

use crate::turns::{Turn, Turns};

/// How much of a message is looked into at once: the rest of a larger one is only counted and passed on.
pub(crate) const CONTENT_OCTETS_MAX: usize = 64 << 20;

/// A content of more than this is large, and few of them are in memory at once, whoever asks for them: that is some hundred MiB
/// with what is made of them, however many sessions there are.
const LARGE_OCTETS: usize = 4 << 20;
static LARGE: Turns = Turns::new(2);

/// How many octets of the file are read at a time.
const PIECE_OCTETS: usize = 32 << 10;

/// So often it is noted how many CR the wire form has more than the file.
const MARK_OCTETS: u64 = 1 << 20;

/// What can be read anywhere: a file, or octets in a test.
pub trait Octets: Send {
    /// Reads at `offset`; 0 at the end.
    ///
    /// # Errors
    /// As the file system has them.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Octets for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

impl Octets for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let rest = &self[at..];
        let octets = rest.len().min(buffer.len());
        buffer[..octets].copy_from_slice(&rest[..octets]);
        Ok(octets)
    }
}

/// Fills the buffer, but for the end of the file.
fn read_full(file: &dyn Octets, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(octets) => filled += octets,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Where octets of the wire form are in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Length of the file.
    pub(crate) file_octets: u64,
    /// Length on the wire.
    pub(crate) wire_octets: u64,
    /// How many CR are put in before each whole [`MARK_OCTETS`] of the file, from the first MiB on.
    pub(crate) added: Vec<u64>,
}

impl Places {
    /// A place in the file at or before an octet of the wire form, and which octet of the wire form is there.
    fn before(&self, wire: u64) -> (u64, u64) {
        if self.file_octets == self.wire_octets {
            return (wire, wire);
        }
        let at_mark =
            |(mark, added): (u64, &u64)| ((mark + 1) * MARK_OCTETS, (mark + 1) * MARK_OCTETS + added);
        let marks = (0u64..).zip(&self.added).map(at_mark);
        marks.take_while(|(_, at)| *at <= wire).last().unwrap_or((0, 0))
    }
}

/// A content that was read.
#[derive(Debug)]
pub(crate) struct Content {
    /// The wire form, up to a limit.
    pub(crate) wire: Vec<u8>,
    /// Line ends beyond that limit.
    pub(crate) lines_beyond: u64,
    pub(crate) places: Places,
    /// Of one that is large.
    turn: Option<Turn<'static>>,
}

impl Content {
    /// Reads a whole file, of which at most about `octets_max` are kept. Who has a content reads no other one: with a large one,
    /// it may wait for those that others have.
    pub(crate) fn read(file: &dyn Octets, octets_max: usize) -> io::Result<Self> {
        let mut content = Self {
            wire: Vec::new(),
            lines_beyond: 0,
            places: Places::default(),
            turn: None,
        };
        let mut piece = vec![0; PIECE_OCTETS];
        let mut beyond = Vec::new();
        let mut form = ToWire::default();
        let mut added = 0;
        loop {
            let places = &mut content.places;
            let octets = read_full(file, &mut piece, places.file_octets)?;
            let piece = &piece[..octets];
            if content.wire.len() < octets_max {
                added += form.push(piece, &mut content.wire) as u64;
            } else {
                beyond.clear();
                added += form.push(piece, &mut beyond) as u64;
                content.lines_beyond += memchr::memchr_iter(b'\n', piece).count() as u64;
            }
            places.file_octets += octets as u64;
            if content.wire.len() > LARGE_OCTETS && content.turn.is_none() {
                content.turn = Some(LARGE.take());
            }
            if octets < PIECE_OCTETS {
                break;
            }
            if places.file_octets.is_multiple_of(MARK_OCTETS) {
                places.added.push(added);
            }
        }
        content.places.wire_octets = content.places.file_octets + added;
        Ok(content)
    }
}

/// Reads a stretch of the wire form, piece by piece.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// Next octet of the file.
    file_at: u64,
    /// None until the octet before was looked at.
    form: Option<ToWire>,
    /// Octets of the wire form to be read and dropped first.
    skip: u64,
    /// Octets of the wire form still wanted.
    left: u64,
}

impl Stretch {
    pub(crate) fn new(places: &Places, start: u64, octets: u64) -> Self {
        let (file_at, wire_at) = places.before(start);
        Self {
            file_at,
            form: None,
            skip: start - wire_at,
            left: octets,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Appends the next piece, of at most twice [`PIECE_OCTETS`]; where pieces end depends on the file alone.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the file is shorter than it was.
    pub(crate) fn push(&mut self, file: &dyn Octets, out: &mut Vec<u8>) -> io::Result<()> {
        let mut piece = [0; PIECE_OCTETS];
        let mut wire = Vec::with_capacity(PIECE_OCTETS + PIECE_OCTETS / 16);
        let form = match &mut self.form {
            Some(form) => form,
            None => {
                let mut before = [0];
                let known = self.file_at > 0 && file.read_at(&mut before, self.file_at - 1)? == 1;
                self.form.insert(ToWire::after(known.then_some(before[0])))
            }
        };
        let octets = read_full(file, &mut piece, self.file_at)?;
        if octets == 0 && self.left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file_at += octets as u64;
        form.push(&piece[..octets], &mut wire);
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(wire.len());
        self.skip -= skipped as u64;
        let wanted = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(wire.len() - skipped);
        self.left -= wanted as u64;
        out.extend_from_slice(&wire[skipped..skipped + wanted]);
        Ok(())
    }

    /// All of it, which the caller knows to be short.
    pub(crate) fn read(mut self, file: &dyn Octets) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        while !self.is_over() {
            self.push(file, &mut out)?;
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_stretch_of_a_file_is_that_of_its_wire_form() {
        for line in [
            &b"a line of text\n"[..],
            b"a line of text\r\n",
            b"mixed\r\n\nlines\r\r\n\n",
        ] {
            let file: Vec<u8> = line.repeat(2_500_000 / line.len());
            let content = Content::read(&file, usize::MAX).unwrap();
            let wire = pymta_mime::to_wire(&file);
            assert_eq!(wire, content.wire);
            assert_eq!(wire.len() as u64, content.places.wire_octets);
            assert_eq!(2, content.places.added.len());
            for start in [
                0, 1, 16, 40_000, 1_048_575, 1_048_576, 1_118_481, 1_118_482, 2_300_000,
            ] {
                for octets in [0, 1, 5, 100_000] {
                    let stretch = Stretch::new(&content.places, start as u64, octets as u64);
                    assert_eq!(
                        wire[start..start + octets],
                        stretch.read(&file).unwrap(),
                        "{start} {octets}"
                    );
                }
            }
            let beyond = Stretch::new(&content.places, wire.len() as u64, 1);
            assert_eq!(
                io::ErrorKind::UnexpectedEof,
                beyond.read(&file).unwrap_err().kind()
            );
        }
    }

    #[test]
    fn a_large_content_has_a_turn_and_a_small_one_needs_none() {
        let read = |octets| Content::read(&vec![b'x'; octets], CONTENT_OCTETS_MAX).unwrap();
        assert!(read(LARGE_OCTETS).turn.is_none());
        assert!(read(LARGE_OCTETS + 1).turn.is_some());
    }

    #[test]
    fn of_a_large_file_the_end_is_only_counted() {
        let file = b"12345678\n".repeat(100_000);
        let content = Content::read(&file, 300_000).unwrap();
        assert!(content.wire.len() < 400_000);
        assert_eq!(1_000_000, content.places.wire_octets);
        let lines = memchr::memchr_iter(b'\n', &content.wire).count() as u64;
        assert_eq!(100_000, lines + content.lines_beyond);
    }
}

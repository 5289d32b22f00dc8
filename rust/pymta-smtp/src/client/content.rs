//! Where the content of a message comes from, and how it goes out in pieces.
//!
//! The session sees content through [`Content`] only: the spool's messages, and octets in memory, are behind it.
//! Memory: content that is not held in memory is read in pieces of at most [`READ_OCTETS_MAX`], whatever its size.

use std::io;

use crate::stuff::Stuffer;

/// Most octets read at a time.
const READ_OCTETS_MAX: usize = 128 * 1024;

/// The content of a message: header section and body, from the first field to the last octet.
pub trait Content: Send + Sync {
    /// Octets in all.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Header section and body, where they are in memory; one may hold everything and the other nothing.
    fn slices(&self) -> Option<(&[u8], &[u8])>;

    /// The header section, where it is known and in memory although the body is not.
    fn header_section(&self) -> Option<&[u8]> {
        None
    }

    /// Appends at most `octets_max` octets from `offset` on to `out`; returns how many, 0 only at the end.
    ///
    /// # Errors
    /// The storage's; the message then stays undelivered and the connection is given up.
    fn read_at(&self, offset: u64, out: &mut Vec<u8>, octets_max: usize) -> io::Result<usize>;
}

/// Content that is a piece of memory: what `pymta load` sends, and what a conversion made.
#[derive(Clone, Debug)]
pub struct HeldContent(pub Vec<u8>);

impl Content for HeldContent {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn slices(&self) -> Option<(&[u8], &[u8])> {
        Some((&self.0, &[]))
    }

    fn read_at(&self, offset: u64, out: &mut Vec<u8>, octets_max: usize) -> io::Result<usize> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|start| self.0.get(start..))
            .unwrap_or(b"");
        let taken = &rest[..rest.len().min(octets_max)];
        out.extend_from_slice(taken);
        Ok(taken.len())
    }
}

/// How the content's octets are put on the wire.
enum Form {
    /// After DATA.
    Stuffed(Stuffer),
    /// After `BDAT n LAST`: as they are.
    Counted,
}

/// Content on its way out.
pub(super) struct Outgoing {
    content: Box<dyn Content>,
    offset: u64,
    form: Form,
}

impl Outgoing {
    pub(super) fn new(content: Box<dyn Content>, counted: bool) -> Self {
        let form = if counted {
            Form::Counted
        } else {
            Form::Stuffed(Stuffer::default())
        };
        Self {
            content,
            offset: 0,
            form,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.content.len()
    }

    /// Appends to `out` until it holds about `octets_max` or all is out; whether all is.
    ///
    /// # Errors
    /// The content's, or `UnexpectedEof` where it is shorter than it said.
    pub(super) fn fill(&mut self, out: &mut Vec<u8>, octets_max: usize) -> io::Result<bool> {
        while self.offset < self.content.len() {
            let room = octets_max.saturating_sub(out.len());
            if room == 0 {
                return Ok(false);
            }
            let taken = match self.content.slices() {
                Some((head, body)) => push_held(&mut self.form, self.offset, head, body, room, out),
                None => self.push_read(room.min(READ_OCTETS_MAX), out)?,
            };
            if taken == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.offset += taken as u64;
        }
        if let Form::Stuffed(stuffer) = &self.form {
            stuffer.finish(out);
        }
        Ok(true)
    }

    /// A piece read from where the content is stored.
    fn push_read(&mut self, octets_max: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        match &mut self.form {
            Form::Counted => {
                // Never more than was counted, or the rest would be read as commands.
                let counted = usize::try_from(self.content.len() - self.offset).unwrap_or(usize::MAX);
                self.content.read_at(self.offset, out, octets_max.min(counted))
            }
            Form::Stuffed(stuffer) => {
                let mut piece = Vec::new();
                let taken = self.content.read_at(self.offset, &mut piece, octets_max)?;
                stuffer.push(&piece, out);
                Ok(taken)
            }
        }
    }
}

/// The next piece of what is in memory: from the header section, then from the body.
fn push_held(
    form: &mut Form,
    offset: u64,
    head: &[u8],
    body: &[u8],
    room: usize,
    out: &mut Vec<u8>,
) -> usize {
    // The content is in memory, so its offsets fit a usize.
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let rest = match head.get(offset..) {
        Some(rest) if !rest.is_empty() => rest,
        _ => body.get(offset.saturating_sub(head.len())..).unwrap_or(b""),
    };
    let piece = &rest[..rest.len().min(room)];
    match form {
        Form::Counted => out.extend_from_slice(piece),
        Form::Stuffed(stuffer) => stuffer.push(piece, out),
    }
    piece.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Content that is stored elsewhere and gives at most `step` octets at a time.
    struct Stored {
        octets: Vec<u8>,
        claimed: u64,
        step: usize,
    }

    impl Content for Stored {
        fn len(&self) -> u64 {
            self.claimed
        }
        fn slices(&self) -> Option<(&[u8], &[u8])> {
            None
        }
        fn read_at(&self, offset: u64, out: &mut Vec<u8>, octets_max: usize) -> io::Result<usize> {
            HeldContent(self.octets.clone()).read_at(offset, out, octets_max.min(self.step))
        }
    }

    /// Header section and body apart.
    struct Halves(&'static [u8], &'static [u8]);

    impl Content for Halves {
        fn len(&self) -> u64 {
            (self.0.len() + self.1.len()) as u64
        }
        fn slices(&self) -> Option<(&[u8], &[u8])> {
            Some((self.0, self.1))
        }
        fn read_at(&self, _: u64, _: &mut Vec<u8>, _: usize) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn all(content: impl Content + 'static, counted: bool, octets_max: usize) -> Vec<u8> {
        let mut outgoing = Outgoing::new(Box::new(content), counted);
        let mut wire = Vec::new();
        loop {
            let mut out = Vec::new();
            let done = outgoing.fill(&mut out, octets_max).unwrap();
            wire.extend(out);
            if done {
                return wire;
            }
        }
    }

    #[test]
    fn pieces_and_sources_make_no_difference() {
        const HEAD: &[u8] = b"Subject: x\r\n\r\n";
        const BODY: &[u8] = b".a\r\n..b\nlast";
        let octets = [HEAD, BODY].concat();
        for octets_max in [1, 2, 7, 1000] {
            for counted in [false, true] {
                let whole = all(HeldContent(octets.clone()), counted, 1000);
                assert_eq!(whole, all(Halves(HEAD, BODY), counted, octets_max));
                assert_eq!(whole, all(HeldContent(octets.clone()), counted, octets_max));
                let stored = Stored {
                    octets: octets.clone(),
                    claimed: octets.len() as u64,
                    step: 3,
                };
                assert_eq!(whole, all(stored, counted, octets_max));
            }
        }
        assert_eq!(octets, all(HeldContent(octets.clone()), true, 5));
    }

    #[test]
    fn content_shorter_than_it_said_is_an_error_and_gets_no_end_mark() {
        let stored = Stored {
            octets: b"a\r\n".to_vec(),
            claimed: 10,
            step: 100,
        };
        let mut out = Vec::new();
        let error = Outgoing::new(Box::new(stored), false)
            .fill(&mut out, 1000)
            .unwrap_err();
        assert_eq!(io::ErrorKind::UnexpectedEof, error.kind());
        assert_eq!(b"a\r\n".to_vec(), out);
    }

    #[test]
    fn counted_content_is_never_more_than_was_counted() {
        let stored = Stored {
            octets: b"0123456789".to_vec(),
            claimed: 4,
            step: 100,
        };
        assert_eq!(b"0123".to_vec(), all(stored, true, 1000));
    }

    #[test]
    fn memory_is_bounded_whatever_the_size() {
        let stored = Stored {
            octets: vec![b'a'; 4 << 20],
            claimed: 4 << 20,
            step: usize::MAX,
        };
        let mut outgoing = Outgoing::new(Box::new(stored), false);
        let mut out = Vec::new();
        assert!(!outgoing.fill(&mut out, 100_000).unwrap());
        assert_eq!(100_000, out.len());
    }
}

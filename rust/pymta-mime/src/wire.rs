//! Content with LF line ends, as a Maildir keeps it, in the CRLF form that the wire has. All offsets and sizes that a
//! reader is told are of that form.

use memchr::memchr_iter;

/// Turns content into its wire form piece by piece: an LF without a CR before it becomes CRLF, all else stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToWire {
    after_cr: bool,
}

impl ToWire {
    /// Begins in the middle of a content, behind the octet `before`.
    pub fn after(before: Option<u8>) -> Self {
        Self {
            after_cr: before == Some(b'\r'),
        }
    }

    /// Appends the next piece; grows `out` by at most twice its length. Returns how many CR were put in.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> usize {
        let mut begin = 0;
        let mut added = 0;
        for newline in memchr_iter(b'\n', piece) {
            let after_cr = match newline.checked_sub(1) {
                Some(before) => piece[before] == b'\r',
                None => self.after_cr,
            };
            if !after_cr {
                out.extend_from_slice(&piece[begin..newline]);
                out.push(b'\r');
                begin = newline;
                added += 1;
            }
        }
        out.extend_from_slice(&piece[begin..]);
        if let Some(last) = piece.last() {
            self.after_cr = *last == b'\r';
        }
        added
    }
}

/// The wire form of a whole content.
pub fn to_wire(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + content.len() / 32);
    ToWire::default().push(content, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_lf_gets_a_cr_however_it_is_split() {
        let content = b"a\nb\r\nc\rd\r\r\n\n";
        assert_eq!(b"a\r\nb\r\nc\rd\r\r\n\r\n".to_vec(), to_wire(content));
        for split in 0..=content.len() {
            let (mut wire, mut out) = (ToWire::default(), Vec::new());
            let mut added = wire.push(&content[..split], &mut out);
            added += wire.push(&content[split..], &mut out);
            assert_eq!((to_wire(content), 2), (out, added), "{split}");
        }
        let mut out = Vec::new();
        ToWire::after(Some(b'\r')).push(b"\n", &mut out);
        assert_eq!(b"\n".to_vec(), out);
    }
}

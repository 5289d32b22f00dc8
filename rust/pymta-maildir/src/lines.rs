//! CRLF to LF: a Maildir holds lines as Unix has them, which is what every reader of one expects.

use memchr::memchr_iter;

/// Turns CRLF into LF over chunks that may cut one in two. A CR without an LF behind it stays what it is.
#[derive(Debug, Default)]
pub struct ToLf {
    /// The chunk before ended with a CR, which was not written yet.
    holds_cr: bool,
}

impl ToLf {
    /// Appends what is known of the lines so far.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        if chunk.is_empty() {
            return;
        }
        if std::mem::take(&mut self.holds_cr) && chunk[0] != b'\n' {
            out.push(b'\r');
        }
        let mut begin = 0;
        for at in memchr_iter(b'\r', chunk) {
            match chunk.get(at + 1) {
                Some(b'\n') => {
                    out.extend_from_slice(&chunk[begin..at]);
                    begin = at + 1;
                }
                Some(_) => {}
                None => {
                    out.extend_from_slice(&chunk[begin..at]);
                    begin = at + 1;
                    self.holds_cr = true;
                }
            }
        }
        out.extend_from_slice(&chunk[begin..]);
    }

    /// At the end of the content.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.holds_cr) {
            out.push(b'\r');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut lines = ToLf::default();
        lines.push(content, &mut out);
        lines.finish(&mut out);
        out
    }

    #[test]
    fn only_crlf_becomes_lf() {
        assert_eq!(whole(b"a\r\nb\rc\n\r\n\r\r\n\r"), b"a\nb\rc\n\n\r\n\r");
        assert_eq!(whole(b""), b"");
    }

    proptest! {
        #[test]
        fn where_it_is_cut_does_not_matter(content in "[\r\nab]{0,24}", cut in 0usize..25) {
            let content = content.as_bytes();
            let cut = cut.min(content.len());
            let (mut out, mut lines) = (Vec::new(), ToLf::default());
            lines.push(&content[..cut], &mut out);
            lines.push(&content[cut..], &mut out);
            lines.finish(&mut out);
            prop_assert_eq!(out, whole(content));
        }
    }
}

//! Where a command ends: lines, and the literals that they announce (RFC 9051 §4.3, RFC 7888). This decides before
//! anything is read for its meaning, and by the end of a line alone.

/// A literal that the end of a line announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    /// `u64::MAX` for more than can be counted.
    pub(crate) octets: u64,
    /// The client waits for `+` before it sends them.
    pub(crate) is_synchronizing: bool,
}

/// What `{n}` or `{n+}` at the end of the line (without its CRLF) announces.
pub(crate) fn announced(line: &[u8]) -> Option<Announced> {
    let rest = line.strip_suffix(b"}")?;
    let (rest, is_synchronizing) = match rest.strip_suffix(b"+") {
        Some(rest) => (rest, false),
        None => (rest, true),
    };
    let begin = rest.iter().rposition(|octet| !octet.is_ascii_digit())?;
    let digits = &rest[begin + 1..];
    if rest[begin] != b'{' || digits.is_empty() {
        return None;
    }
    let octets = str::from_utf8(digits).ok()?.parse().unwrap_or(u64::MAX);
    Some(Announced {
        octets,
        is_synchronizing,
    })
}

/// So much of a line's end is kept of a line that is skipped: enough for what [`announced`] looks at, with its CRLF.
const TAIL_OCTETS_MAX: usize = 32;

/// The end of a line that is skipped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    pub(crate) fn push(&mut self, octets: &[u8]) {
        let from = octets.len().saturating_sub(TAIL_OCTETS_MAX);
        self.0.extend_from_slice(&octets[from..]);
        let beyond = self.0.len().saturating_sub(TAIL_OCTETS_MAX);
        self.0.drain(..beyond);
    }

    pub(crate) fn last(&self) -> u8 {
        self.0.last().copied().unwrap_or(b'\n')
    }

    /// What the line announces that ends here.
    pub(crate) fn announced(&self) -> Option<Announced> {
        announced(self.0.strip_suffix(b"\r\n")?)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_line_announces_a_literal() {
        let wanted = |octets, is_synchronizing| {
            Some(Announced {
                octets,
                is_synchronizing,
            })
        };
        for (line, found) in [
            (&b"a LOGIN {11}"[..], wanted(11, true)),
            (b"a LOGIN {11+}", wanted(11, false)),
            (b"a APPEND x ~{0}", wanted(0, true)),
            (b"{99999999999999999999}", wanted(u64::MAX, true)),
            (b"a {}", None),
            (b"a {+}", None),
            (b"a {-1}", None),
            (b"a 11}", None),
            (b"11}", None),
            (b"a {1} ", None),
            (b"", None),
        ] {
            assert_eq!(found, announced(line), "{line:?}");
        }
    }

    #[test]
    fn a_tail_is_the_end_whatever_the_pieces_were() {
        let mut tail = Tail::default();
        tail.push(&[b'x'; 100]);
        tail.push(b"{5");
        tail.push(b"+}\r");
        tail.push(b"\n");
        let announced = tail.announced().unwrap();
        assert_eq!((5, false), (announced.octets, announced.is_synchronizing));
        assert!(tail.0.len() <= TAIL_OCTETS_MAX);
    }
}

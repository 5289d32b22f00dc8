//! Content-Transfer-Encoding (RFC 2045 §6): the octets behind base64 and quoted-printable.
//!
//! Decoding never fails: what cannot be decoded is passed over (base64) or kept as it is (quoted-printable), as
//! RFC 2045 §6.7 and §6.8 advise, because a reader would show it so. It always stops at a limit.

/// What a part says its body is encoded with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransferEncoding {
    /// `7bit`, `8bit`, `binary` or nothing: the octets are the content.
    #[default]
    Identity,
    /// RFC 2045 §6.7.
    QuotedPrintable,
    /// RFC 2045 §6.8.
    Base64,
    /// An unknown one: the octets cannot be interpreted (RFC 2045 §6.4).
    Other,
}

impl TransferEncoding {
    /// From the value of the field, in any case, with white space or a comment behind it.
    pub(crate) fn parse(value: &[u8]) -> Self {
        let end = value.iter().position(|o| matches!(o, b' ' | b'\t' | b'(' | b';'));
        let token = value[..end.unwrap_or(value.len())].to_ascii_lowercase();
        match token.as_slice() {
            b"" | b"7bit" | b"8bit" | b"binary" => Self::Identity,
            b"quoted-printable" => Self::QuotedPrintable,
            b"base64" => Self::Base64,
            _ => Self::Other,
        }
    }

    /// At most `octets_max` octets of the content behind `encoded`. Unknown encodings are left as they are.
    pub(crate) fn decode(self, encoded: &[u8], octets_max: usize) -> Decoded {
        match self {
            Self::Base64 => base64(encoded, octets_max),
            Self::QuotedPrintable => quoted_printable(encoded, octets_max),
            Self::Identity | Self::Other => Decoded {
                octets: encoded[..encoded.len().min(octets_max)].to_vec(),
                complete: encoded.len() <= octets_max,
            },
        }
    }
}

/// Decodes a body that comes in pieces. However it is split, all pieces together decode as the whole does.
#[derive(Clone, Debug)]
pub struct Decoder {
    encoding: TransferEncoding,
    /// What only the next piece decides: the begin of a base64 group, or the end of a quoted-printable piece.
    held: Vec<u8>,
}

/// White space at the end of a quoted-printable piece that is held back; more of it is not trailing but text.
const HELD_OCTETS_MAX: usize = 1024;

impl Decoder {
    /// Of a body with that encoding.
    pub fn new(encoding: TransferEncoding) -> Self {
        Self {
            encoding,
            held: Vec::new(),
        }
    }

    /// Appends what the next piece decodes to.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match self.encoding {
            TransferEncoding::Identity | TransferEncoding::Other => out.extend_from_slice(piece),
            TransferEncoding::Base64 => self.base64(piece, out),
            TransferEncoding::QuotedPrintable => {
                self.held.extend_from_slice(piece);
                let whole = std::mem::take(&mut self.held);
                let undecided = undecided_octets(&whole);
                let (now, later) = whole.split_at(whole.len() - undecided);
                out.extend_from_slice(&quoted_printable(now, usize::MAX).octets);
                self.held.extend_from_slice(later);
            }
        }
    }

    /// Appends what was held back at the end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        out.extend_from_slice(&self.encoding.decode(&held, usize::MAX).octets);
    }

    fn base64(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(piece);
        let whole = std::mem::take(&mut self.held);
        // Groups begin anew behind padding; up to three digits of the last group wait for the rest of it.
        let is_digit = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/');
        let group_begin = memchr::memrchr(b'=', &whole).map_or(0, |at| at + 1);
        let mut spare = whole[group_begin..].iter().filter(|o| is_digit(o)).count() % 4;
        let mut end = whole.len();
        while spare > 0 {
            end -= 1;
            spare -= usize::from(is_digit(&whole[end]));
        }
        out.extend_from_slice(&base64(&whole[..end], usize::MAX).octets);
        self.held.extend(whole[end..].iter().filter(|o| is_digit(o)));
    }
}

/// How much of the end of a quoted-printable piece only what follows can decide: white space, and a `=` whose digits or
/// line ending are not there yet.
fn undecided_octets(piece: &[u8]) -> usize {
    let tail = &piece[piece.len().saturating_sub(HELD_OCTETS_MAX)..];
    let undecided = |octet: &u8| matches!(octet, b' ' | b'\t' | b'=');
    let decided = |octets: &[u8]| octets.iter().rposition(|o| !undecided(o)).map_or(0, |at| at + 1);
    let text = match tail {
        [text @ .., b'=', _] | [text @ .., b'\r'] => text,
        _ => tail,
    };
    tail.len() - decided(text)
}

/// Decoded content, or its begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// At most as many octets as were asked for.
    pub octets: Vec<u8>,
    /// False where the limit cut it off.
    pub complete: bool,
}

/// Base64, with everything outside its alphabet ignored; padding ends a group, and another one may follow.
pub(crate) fn base64(encoded: &[u8], octets_max: usize) -> Decoded {
    let mut octets = Vec::with_capacity((encoded.len() / 4 * 3).min(octets_max));
    let mut bits = 0u32;
    let mut digits = 0;
    for &octet in encoded {
        let digit = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                digits = 0;
                bits = 0;
                continue;
            }
            _ => continue,
        };
        bits = (bits << 6) | u32::from(digit);
        digits += 1;
        if digits == 1 {
            continue; // six bits are no octet yet
        }
        if octets.len() == octets_max {
            return Decoded {
                octets,
                complete: false,
            };
        }
        // The 2nd digit ends the first octet, the 3rd the second, the 4th the third.
        let spare = 8 - 2 * digits;
        octets.push(bits.wrapping_shr(spare).to_le_bytes()[0]);
        if digits == 4 {
            digits = 0;
            bits = 0;
        }
    }
    Decoded {
        octets,
        complete: true,
    }
}

/// Quoted-printable: soft line breaks and white space at the end of lines vanish; a `=` that means nothing stays.
fn quoted_printable(encoded: &[u8], octets_max: usize) -> Decoded {
    let mut octets = Vec::with_capacity(encoded.len().min(octets_max));
    let mut rest = encoded;
    while let Some(&octet) = rest.first() {
        let (taken, meant): (usize, &[u8]) = match octet {
            b'=' => match hex_pair(&rest[1..]) {
                Some(value) => (3, &[value]),
                None => match line_end(&rest[1..]) {
                    Some(blank) => (1 + blank, b""),
                    None => (1, b"="),
                },
            },
            b' ' | b'\t' => {
                let run = blank_octets(rest);
                let trailing = rest.len() == run || rest[run..].starts_with(b"\r\n");
                (run, if trailing { b"" } else { &rest[..run] })
            }
            _ => (1, &rest[..1]),
        };
        let room = octets_max - octets.len();
        octets.extend_from_slice(&meant[..meant.len().min(room)]);
        if meant.len() > room {
            return Decoded {
                octets,
                complete: false,
            };
        }
        rest = &rest[taken..];
    }
    Decoded {
        octets,
        complete: true,
    }
}

/// The octet that two hexadecimal digits mean.
pub(crate) fn hex_pair(digits: &[u8]) -> Option<u8> {
    let value = |octet: u8| char::from(octet).to_digit(16).and_then(|d| u8::try_from(d).ok());
    match digits {
        [high, low, ..] => Some(value(*high)? << 4 | value(*low)?),
        _ => None,
    }
}

/// How much white space and line ending stands here, where nothing else stands on the line.
fn line_end(rest: &[u8]) -> Option<usize> {
    let run = blank_octets(rest);
    if rest.len() == run {
        return Some(run);
    }
    rest[run..].starts_with(b"\r\n").then_some(run + 2)
}

fn blank_octets(rest: &[u8]) -> usize {
    rest.iter()
        .position(|o| *o != b' ' && *o != b'\t')
        .unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc_4648() {
        for (encoded, plain) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9v\r\nYmE=\r\n", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Zg==Zg==", "ff"),
            ("Z", ""),
            ("!Z m\t9*v", "foo"),
        ] {
            assert_eq!(
                plain.as_bytes(),
                base64(encoded.as_bytes(), 100).octets,
                "{encoded}"
            );
        }
        let cut = base64(b"Zm9vYmFy", 4);
        assert_eq!((b"foob".to_vec(), false), (cut.octets, cut.complete));
        assert!(base64(b"Zm9vYmFy", 6).complete);
    }

    #[test]
    fn quoted_printable_of_rfc_2045() {
        for (encoded, plain) in [
            (&b"a=3Db=c3=BC"[..], &b"a=b\xc3\xbc"[..]),
            (b"soft=\r\nbreak=  \r\n!", b"softbreak!"),
            (b"trailing \t\r\nx  ", b"trailing\r\nx"),
            (b"in  side", b"in  side"),
            (b"=zz =", b"=zz "),
            (b"=4", b"=4"),
        ] {
            assert_eq!(plain, quoted_printable(encoded, 100).octets, "{encoded:?}");
        }
        let cut = quoted_printable(b"abc   d", 5);
        assert_eq!((b"abc  ".to_vec(), false), (cut.octets, cut.complete));
    }

    #[test]
    fn the_name_of_the_encoding_is_taken_in_any_case() {
        assert_eq!(TransferEncoding::Base64, TransferEncoding::parse(b"BASE64 (why)"));
        assert_eq!(TransferEncoding::Other, TransferEncoding::parse(b"x-uuencode"));
        assert_eq!(TransferEncoding::Identity, TransferEncoding::parse(b"7Bit"));
    }

    #[test]
    fn pieces_decode_as_the_whole_does() {
        let quoted = b"a=3Db=c3=BC soft=\r\nbreak=  \r\n!\r\ntrail \t\r\nx  y\rz =zz ==41=\r =4 \r\n  =";
        let base = b"Zm9v\r\nYmE=\r\nZg==Z g=\r\n=!Zm8=Zm9vYmFyZ";
        for (encoding, encoded) in [
            (TransferEncoding::QuotedPrintable, &quoted[..]),
            (TransferEncoding::Base64, &base[..]),
            (TransferEncoding::Identity, &base[..]),
        ] {
            let whole = encoding.decode(encoded, usize::MAX / 8).octets;
            for size in 1..=encoded.len() {
                let (mut decoder, mut out) = (Decoder::new(encoding), Vec::new());
                for piece in encoded.chunks(size) {
                    decoder.push(piece, &mut out);
                }
                decoder.finish(&mut out);
                assert_eq!(whole, out, "{encoding:?} in pieces of {size}");
            }
        }
    }
}

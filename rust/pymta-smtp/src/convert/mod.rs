//! Content made fit for a next hop that takes less: BINARYMIME to lines, 8BITMIME to ASCII (RFC 3030 §3, RFC 6152 §3).
//!
//! Each MIME part that does not fit is given another transfer encoding, its fields say so, and all the rest stays as
//! it is, octet for octet; what a reader decodes is the same as before. Not a repair: what cannot be expressed
//! otherwise (octets above 127 in a header section or between parts, a part that is encoded wrongly) is refused, and
//! so is a change inside a `multipart/signed`, which would make the signature invalid. DKIM signatures over the body
//! become invalid; RFC 6376 §5.3 tells signers to convert before they sign.

mod encode;

use memchr::memchr2;
use pymta_mime::{HeaderLimits, HeaderSection, Part, PartLimits, Structure, TransferEncoding};

use encode::{push_base64, push_quoted_printable};

/// Longest line, without its CRLF (RFC 5322 §2.1.1, RFC 2045 §2.7, §2.8).
const LINE_OCTETS_MAX: usize = 998;

/// What the next hop takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Lines of ASCII.
    SevenBit,
    /// Lines that may hold octets above 127.
    EightBit,
}

impl Target {
    /// Its name as a transfer encoding.
    fn word(self) -> &'static str {
        match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
        }
    }

    /// Whether `octets` can go there as they are: CR and LF as pairs only, no NUL, no line longer than
    /// `line_octets_max`.
    fn takes(self, octets: &[u8], line_octets_max: usize) -> bool {
        if octets.contains(&0) || (self == Self::SevenBit && !octets.is_ascii()) {
            return false;
        }
        let mut rest = octets;
        while let Some(ending) = memchr2(b'\r', b'\n', rest) {
            if ending > line_octets_max || !rest[ending..].starts_with(b"\r\n") {
                return false;
            }
            rest = &rest[ending + 2..];
        }
        rest.len() <= line_octets_max
    }
}

/// Why content cannot be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A signature covers what would change (RFC 1847 §2.1).
    #[error("a multipart/signed would be broken")]
    Signed,
    /// The structure is beyond what we follow.
    #[error("the message has too many parts, or a structure that cannot be read")]
    Structure,
    /// A part says that it is encoded, and holds what no such encoding makes; or it must not be encoded.
    #[error("a part cannot be encoded")]
    Part,
    /// Something outside of any part's body does not fit.
    #[error("octets outside of the parts' bodies cannot be encoded")]
    Outside,
}

/// The content as `target` takes it.
///
/// # Errors
/// [`ConvertError`]
pub fn convert(content: &[u8], target: Target) -> Result<Vec<u8>, ConvertError> {
    let structure = Structure::scan(content, PartLimits::default());
    if structure.violation.is_some() {
        return Err(ConvertError::Structure);
    }
    let parts = &structure.parts;
    let changes: Vec<Change> = (0..parts.len())
        .map(|at| change_of(content, parts, at, target))
        .collect::<Result<_, _>>()?;
    refuse_signed(parts, &changes)?;

    let mut out = Vec::with_capacity(content.len() + content.len() / 2);
    let mut copied = 0;
    for (at, part) in parts.iter().enumerate() {
        let relabelled = is_container(parts, at)
            && (at + 1..parts.len())
                .take_while(|&inner| parts[inner].depth > part.depth)
                .any(|inner| changes[inner] != Change::None);
        let encoding = match changes[at] {
            Change::Encode(encoding) => encoding.word(),
            Change::Relabel => target.word(),
            Change::None if relabelled => target.word(),
            Change::None => continue,
        };
        out.extend_from_slice(&content[copied..part.header.start]);
        let body = body_of(content, part);
        push_header(content, part, encoding, !is_container(parts, at), &mut out)?;
        copied = body.start;
        if let Change::Encode(encoding) = changes[at] {
            encoding.push(&content[body.clone()], &mut out, body.end == content.len());
            copied = body.end;
        }
    }
    out.extend_from_slice(&content[copied..]);
    // The one check that counts: whatever was overlooked above does not go out. Long lines outside of the parts' bodies
    // are none of a conversion's business.
    if target.takes(&out, usize::MAX) {
        Ok(out)
    } else {
        Err(ConvertError::Outside)
    }
}

/// What is done to one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    /// Only what it says of its encoding.
    Relabel,
    Encode(Encoding),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    QuotedPrintable,
    Base64,
}

impl Encoding {
    fn word(self) -> &'static str {
        match self {
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
        }
    }

    fn push(self, octets: &[u8], out: &mut Vec<u8>, ended: bool) {
        match self {
            Self::QuotedPrintable => push_quoted_printable(octets, out, ended),
            Self::Base64 => push_base64(octets, out, ended),
        }
    }
}

fn change_of(content: &[u8], parts: &[Part], at: usize, target: Target) -> Result<Change, ConvertError> {
    let part = &parts[at];
    if is_container(parts, at) {
        return Ok(Change::None);
    }
    let body = &content[body_of(content, part)];
    if target.takes(body, LINE_OCTETS_MAX) {
        // A signed part keeps its word: changing it would break the signature, and its content fits anyway.
        let says_binary = header_of(content, part)
            .field(TRANSFER_ENCODING)
            .is_some_and(|value| value.eq_ignore_ascii_case(b"binary"));
        return Ok(if says_binary && !is_signed(parts, at) {
            Change::Relabel
        } else {
            Change::None
        });
    }
    // RFC 2046 §5.2: of message/*, only what RFC 6533 defines may be encoded.
    let may_be_encoded =
        !part.content_type.starts_with("message/") || part.content_type.starts_with("message/global");
    if part.transfer_encoding != TransferEncoding::Identity || part.is_multipart() || !may_be_encoded {
        return Err(ConvertError::Part);
    }
    let is_text = part.content_type.starts_with("text/") && !body.contains(&0);
    Ok(Change::Encode(if is_text {
        Encoding::QuotedPrintable
    } else {
        Encoding::Base64
    }))
}

/// Whether the part has parts of its own, whose bodies are looked at instead of its own.
fn is_container(parts: &[Part], at: usize) -> bool {
    parts.get(at + 1).is_some_and(|next| next.depth > parts[at].depth)
}

/// Whether the part is inside a multipart/signed.
fn is_signed(parts: &[Part], at: usize) -> bool {
    let start = parts[at].header.start;
    let around =
        |outer: &Part| outer.depth < parts[at].depth && (outer.body.start..outer.body.end).contains(&start);
    parts[..at]
        .iter()
        .any(|outer| outer.content_type == "multipart/signed" && around(outer))
}

fn refuse_signed(parts: &[Part], changes: &[Change]) -> Result<(), ConvertError> {
    let broken = |at: usize| changes[at] != Change::None && is_signed(parts, at);
    if (0..parts.len()).any(broken) {
        return Err(ConvertError::Signed);
    }
    Ok(())
}

const TRANSFER_ENCODING: &str = "Content-Transfer-Encoding";

/// Where the part's body is, without the empty line of a part that has no fields.
fn body_of(content: &[u8], part: &Part) -> std::ops::Range<usize> {
    let has_bare_separator = part.header.is_empty() && content[part.body.clone()].starts_with(b"\r\n");
    part.body.start + if has_bare_separator { 2 } else { 0 }..part.body.end
}

fn header_of(content: &[u8], part: &Part) -> HeaderSection {
    HeaderSection::scan(&content[part.header.clone()], HeaderLimits::default())
}

/// Appends the part's header section with the new encoding. A message that is not MIME becomes MIME by it; as its
/// charset is unknown, it says so (RFC 1428 §3).
fn push_header(
    content: &[u8],
    part: &Part,
    encoding: &str,
    is_leaf: bool,
    out: &mut Vec<u8>,
) -> Result<(), ConvertError> {
    let mut header = header_of(content, part);
    let is_message = part.depth == 0 || header.field("MIME-Version").is_none() && is_message_header(&header);
    let mut missing: Vec<(&str, &str)> = Vec::new();
    if is_message && header.field("MIME-Version").is_none() {
        missing.push(("MIME-Version", "1.0"));
        if is_leaf && header.field("Content-Type").is_none() {
            missing.push(("Content-Type", "text/plain; charset=unknown-8bit"));
        }
    }
    header.remove(TRANSFER_ENCODING);
    missing.push((TRANSFER_ENCODING, encoding));
    for (name, value) in missing {
        header.append(name, value).map_err(|_| ConvertError::Structure)?;
    }
    out.extend_from_slice(header.octets());
    if !header.octets().ends_with(b"\r\n\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    Ok(())
}

/// Whether a header section is that of a message and not that of a part: parts have Content- fields only
/// (RFC 2046 §5.1).
fn is_message_header(header: &HeaderSection) -> bool {
    header
        .iter()
        .any(|field| field.is(b"From") || field.is(b"Date") || field.is(b"Received"))
}

#[cfg(test)]
mod tests;

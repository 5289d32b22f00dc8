//! The MIME structure of a message (RFC 2045, RFC 2046) as offsets into its content.
//!
//! One walk from begin to end, with the open multiparts on a stack and no recursion: each line that begins with `--`
//! is compared with the boundaries on the stack, innermost first. So an outer delimiter ends all inner parts
//! (RFC 2046 §5.1.2), and nesting costs nothing but its stack. What a limit leaves unread is said, never dropped in
//! silence: a check that relies on having seen every part must look at [`Structure::violation`].

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use crate::encoded_word;
use crate::parameter::Parameterised;
use crate::scan::{HeaderLimits, Scan, scan};
use crate::transfer::{Decoded, TransferEncoding};
use crate::{Field, HeaderViolation};

/// RFC 2046 §5.1.1 allows 70; some writers pass it.
const BOUNDARY_OCTETS_MAX: usize = 256;

/// White space behind a delimiter that is looked over (RFC 2046 §5.1.1 `transport-padding`).
const PADDING_OCTETS_MAX: usize = 1024;

/// Longest file name that is kept, in octets of UTF-8.
const NAME_OCTETS_MAX: usize = 4096;

/// How far the structure is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLimits {
    /// Deepest part; the message itself is 0. A multipart there is not opened.
    pub depth_max: usize,
    /// Most parts, the message itself and multiparts included.
    pub parts_max: usize,
    /// Longest header section of one part.
    pub header_octets_max: usize,
    /// Most fields of one part.
    pub header_fields_max: usize,
}

impl Default for PartLimits {
    /// Depth 32 and 1000 parts: more than readers show, less than hurts.
    fn default() -> Self {
        let header = HeaderLimits::default();
        Self {
            depth_max: 32,
            parts_max: 1000,
            header_octets_max: header.section_octets_max,
            header_fields_max: header.fields_max,
        }
    }
}

/// What a limit left unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartsViolation {
    /// A multipart or message below `depth_max` was not opened.
    #[error("parts nested too deeply")]
    Depth,
    /// The walk ended at `parts_max`.
    #[error("too many parts")]
    Count,
    /// A part's header section is too long or has too many fields.
    #[error("header section of a part too large")]
    Header,
    /// A field has too many parameters.
    #[error("too many parameters in a header field")]
    Parameters,
    /// A multipart has no boundary, or one that no reader could find, so its parts are unknown.
    #[error("multipart without a usable boundary")]
    Boundary,
}

/// One part: where it is and what it says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// 0 for the message itself.
    pub depth: usize,
    /// Its header section in the content, through the empty line.
    pub header: Range<usize>,
    /// Its body in the content, as transferred; of a multipart, with preamble, parts and epilogue.
    pub body: Range<usize>,
    /// `type/subtype` in lower case; `text/plain` where nothing valid is said (RFC 2045 §5.2).
    pub content_type: String,
    /// The charset parameter, where there is one.
    pub charset: Option<String>,
    /// `inline`, `attachment` and so on, in lower case.
    pub disposition: Option<String>,
    /// Every file name that a reader could show: `filename` of Content-Disposition, then `name` of Content-Type,
    /// decoded. A check for names must look at all of them.
    pub filenames: Vec<String>,
    /// How the body is encoded.
    pub transfer_encoding: TransferEncoding,
}

impl Part {
    /// The name that most readers show.
    pub fn filename(&self) -> Option<&str> {
        self.filenames.first().map(String::as_str)
    }

    /// The length of the body as transferred.
    pub fn size_octets(&self) -> usize {
        self.body.len()
    }

    /// Whether it has parts of its own rather than content.
    pub fn is_multipart(&self) -> bool {
        self.content_type.starts_with("multipart/")
    }

    /// At most `octets_max` octets of the body, decoded from its transfer encoding. `content` is what the structure
    /// was scanned from.
    pub fn decode(&self, content: &[u8], octets_max: usize) -> Decoded {
        let body = content.get(self.body.clone()).unwrap_or_default();
        self.transfer_encoding.decode(body, octets_max)
    }

    /// As [`Self::decode`], as text of the part's charset.
    pub fn text(&self, content: &[u8], octets_max: usize) -> String {
        let charset = self.charset.as_deref().unwrap_or("utf-8");
        encoded_word::decode_charset(charset.as_bytes(), &self.decode(content, octets_max).octets)
    }
}

/// All parts of a message, in the order in which they begin. The first is the message itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// Never empty.
    pub parts: Vec<Part>,
    /// The first limit that was passed, or None: then `parts` is everything.
    pub violation: Option<PartsViolation>,
}

impl Structure {
    /// Walks over the whole content once.
    pub fn scan(content: &[u8], limits: PartLimits) -> Self {
        let mut walk = Walk {
            content,
            limits,
            dashes: memmem::Finder::new(b"\r\n--"),
            parts: Vec::new(),
            open: Vec::new(),
            violation: None,
        };
        walk.run();
        Self {
            parts: walk.parts,
            violation: walk.violation,
        }
    }
}

/// A part that has not ended yet.
struct Open {
    part: usize,
    /// Of a multipart whose closing delimiter has not come.
    boundary: Option<Vec<u8>>,
    /// What a part inside is, if it does not say.
    default_type: &'static str,
}

/// A delimiter line.
struct Delimiter {
    /// Where its line begins.
    line: usize,
    /// Where the next line begins.
    next: usize,
    /// Which of the open parts it belongs to.
    owner: usize,
    /// `--boundary--`
    closing: bool,
}

struct Walk<'a> {
    content: &'a [u8],
    limits: PartLimits,
    dashes: memmem::Finder<'static>,
    parts: Vec<Part>,
    open: Vec<Open>,
    violation: Option<PartsViolation>,
}

impl Walk<'_> {
    fn run(&mut self) {
        let mut entered = self.enter(0, 0, "text/plain");
        while let Some(body) = entered {
            entered = if self.holds_message() {
                self.enter(body, self.open.len(), "text/plain")
            } else {
                self.next_part(body)
            };
        }
        self.close(0, self.content.len());
    }

    /// Goes on from `at` to the next delimiter that begins a part, and into it.
    fn next_part(&mut self, mut at: usize) -> Option<usize> {
        while let Some(found) = self.delimiter(at, self.content.len()) {
            self.close(found.owner + 1, found.line.saturating_sub(2));
            let owner = &mut self.open[found.owner];
            if !found.closing {
                let default_type = owner.default_type;
                return self.enter(found.next, found.owner + 1, default_type);
            }
            owner.boundary = None; // what follows is its epilogue
            at = found.next;
        }
        None
    }

    /// Whether the innermost open part is a message to look into.
    fn holds_message(&mut self) -> bool {
        let Some(part) = self.open.last().map(|open| &self.parts[open.part]) else {
            return false;
        };
        let message = matches!(part.content_type.as_str(), "message/rfc822" | "message/global");
        // RFC 2046 §5.2.1 forbids an encoding here; one that is there hides the message from readers, too.
        message && part.transfer_encoding == TransferEncoding::Identity && self.may_open(part.depth)
    }

    fn may_open(&mut self, depth: usize) -> bool {
        if depth >= self.limits.depth_max {
            self.violation.get_or_insert(PartsViolation::Depth);
        }
        depth < self.limits.depth_max
    }

    /// Begins a part at `start`; returns where its body begins, or None where it is one too many.
    fn enter(&mut self, start: usize, depth: usize, default_type: &'static str) -> Option<usize> {
        if self.parts.len() >= self.limits.parts_max.max(1) {
            self.violation.get_or_insert(PartsViolation::Count);
            return None;
        }
        let found = self.header_section(start);
        let body = start + found.end;
        let header = &self.content[start..body];
        let content_type = self.parameterised(header, &found, b"content-type");
        let disposition = self.parameterised(header, &found, b"content-disposition");
        let encoding = value(header, &found, b"content-transfer-encoding").unwrap_or_default();
        let part = Part {
            depth,
            header: start..body,
            body: body..self.content.len(),
            content_type: match content_type.value.split_once('/') {
                Some((major, minor)) if !major.is_empty() && !minor.is_empty() => content_type.value.clone(),
                _ => default_type.to_owned(),
            },
            charset: content_type.get("charset").map(str::to_owned),
            disposition: Some(&disposition.value).filter(|v| !v.is_empty()).cloned(),
            filenames: filenames(&disposition, &content_type),
            transfer_encoding: TransferEncoding::parse(&encoding),
        };
        let digest = part.content_type == "multipart/digest";
        let boundary = if part.is_multipart() && self.may_open(depth) {
            self.boundary(&content_type)
        } else {
            None
        };
        self.open.push(Open {
            part: self.parts.len(),
            boundary,
            default_type: if digest { "message/rfc822" } else { "text/plain" },
        });
        self.parts.push(part);
        Some(body)
    }

    fn boundary(&mut self, content_type: &Parameterised) -> Option<Vec<u8>> {
        let boundary = content_type
            .get("boundary")
            .unwrap_or_default()
            .trim_end()
            .as_bytes();
        if !(1..=BOUNDARY_OCTETS_MAX).contains(&boundary.len()) {
            self.violation.get_or_insert(PartsViolation::Boundary);
            return None;
        }
        Some(boundary.to_vec())
    }

    /// The header section of the part at `start`, which a delimiter of an open multipart ends, too.
    fn header_section(&mut self, start: usize) -> Scan {
        let limits = HeaderLimits {
            section_octets_max: self.limits.header_octets_max,
            fields_max: self.limits.header_fields_max,
        };
        // The delimiter first: so no octet is looked at for two parts, and the walk stays linear whatever is in it.
        let window_end = start
            .saturating_add(limits.section_octets_max)
            .min(self.content.len());
        let end = match self.delimiter(start, window_end) {
            Some(cut) => cut.line,
            None => self.content.len(),
        };
        let found = scan(&self.content[start..end], limits);
        match found.violation {
            Some(HeaderViolation::SectionTooLarge | HeaderViolation::TooManyFields) => {
                self.violation.get_or_insert(PartsViolation::Header);
            }
            None => {}
        }
        found
    }

    fn parameterised(&mut self, header: &[u8], found: &Scan, name: &[u8]) -> Parameterised {
        let parsed = value(header, found, name).map(|value| Parameterised::parse(&value));
        let parsed = parsed.unwrap_or_default();
        if parsed.exceeded {
            self.violation.get_or_insert(PartsViolation::Parameters);
        }
        parsed
    }

    /// The first delimiter whose line begins at `from` or later, before `until`. `from` is the begin of a line.
    fn delimiter(&self, from: usize, until: usize) -> Option<Delimiter> {
        if self.open.iter().all(|open| open.boundary.is_none()) {
            return None;
        }
        let window = &self.content[..until.saturating_add(2).min(self.content.len())];
        let mut at = from.saturating_sub(2);
        while let Some(found) = self.dashes.find(&window[at..]) {
            let line = at + found + 2;
            if line >= until {
                return None;
            }
            if let Some(delimiter) = self.match_line(line) {
                return Some(delimiter);
            }
            at = line;
        }
        None
    }

    /// Whether the line is a delimiter of an open multipart, all of it: a boundary that is only the begin of the line
    /// is another one (attacks row 21; RFC 2046 §5.1.1 would take it, no reader does).
    fn match_line(&self, line: usize) -> Option<Delimiter> {
        let text = &self.content[line + 2..];
        let first = text.first(); // asked before the whole boundary, or 50 MB of "--" lines would take seconds
        for (owner, open) in self.open.iter().enumerate().rev() {
            let Some(rest) = open
                .boundary
                .as_ref()
                .filter(|b| b.first() == first)
                .and_then(|b| text.strip_prefix(b.as_slice()))
            else {
                continue;
            };
            let closing = rest.starts_with(b"--");
            let rest = if closing { &rest[2..] } else { rest };
            let padding = rest
                .iter()
                .take(PADDING_OCTETS_MAX)
                .take_while(|o| matches!(o, b' ' | b'\t'))
                .count();
            let end = self.content.len() - rest.len() + padding;
            let ended = &rest[padding..];
            if ended.is_empty() || ended.starts_with(b"\r\n") {
                return Some(Delimiter {
                    line,
                    next: end + ended.len().min(2),
                    owner,
                    closing,
                });
            }
        }
        None
    }

    /// Ends the open parts from the `keep`-th on at `end`, or where they begin, if that is later: a delimiter straight
    /// after another one leaves an empty part between them, which its parents reach to, too.
    fn close(&mut self, keep: usize, mut end: usize) {
        for open in self.open.drain(keep..).rev() {
            let body = &mut self.parts[open.part].body;
            end = end.max(body.start);
            body.end = end;
        }
    }
}

fn value<'a>(header: &'a [u8], found: &Scan, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    let mut fields = found.spans.iter().map(|&span| Field::new(header, span));
    fields.find(|field| field.is(name)).map(|field| field.value())
}

/// All names given, decoded (RFC 2231, and RFC 2047 where a writer wrongly put it there), each once.
fn filenames(disposition: &Parameterised, content_type: &Parameterised) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for given in disposition.all("filename").chain(content_type.all("name")) {
        let name = encoded_word::decode(given.as_bytes(), NAME_OCTETS_MAX).into_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(content: &[u8]) -> Vec<(usize, String, &[u8])> {
        let structure = Structure::scan(content, PartLimits::default());
        assert_eq!(None, structure.violation);
        let row = |part: Part| (part.depth, part.content_type, &content[part.body]);
        structure.parts.into_iter().map(row).collect()
    }

    fn text(depth: usize, body: &str) -> (usize, String, &[u8]) {
        (depth, "text/plain".to_owned(), body.as_bytes())
    }

    /// Multiparts inside each other, with `boundary(level)`.
    fn nested(levels: usize, boundary: impl Fn(usize) -> String) -> Vec<u8> {
        let mut content = Vec::new();
        for level in 0..levels {
            let boundary = boundary(level);
            content.extend_from_slice(
                format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n")
                    .as_bytes(),
            );
        }
        content
    }

    #[test]
    fn a_message_without_mime_is_one_text_part() {
        assert_eq!(vec![text(0, "hello\r\n")], shape(b"Subject: x\r\n\r\nhello\r\n"));
        assert_eq!(vec![text(0, "hello\r\n")], shape(b"hello\r\n"));
        assert_eq!(vec![text(0, "")], shape(b""));
    }

    #[test]
    fn the_example_of_rfc_2046() {
        let content = b"Content-type: multipart/mixed; boundary=\"simple boundary\"\r\n\r\n\
            This is the preamble.\r\n\
            --simple boundary\r\n\r\nimplicitly typed\r\n\
            --simple boundary  \r\nContent-type: text/plain; charset=us-ascii\r\n\r\nexplicitly typed\r\n\r\n\
            --simple boundary--\r\n\r\nThis is the epilogue.\r\n--simple boundary\r\n";
        let parts = shape(content);
        assert_eq!(3, parts.len());
        assert_eq!("multipart/mixed", parts[0].1);
        assert_eq!(
            [text(1, "implicitly typed"), text(1, "explicitly typed\r\n")],
            parts[1..]
        );
    }

    #[test]
    fn an_outer_delimiter_ends_inner_parts() {
        let content = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\
            Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\none\r\n--a\r\n\r\ntwo\r\n--b\r\n--a--";
        let parts = shape(content);
        assert_eq!(4, parts.len());
        assert_eq!([text(2, "one"), text(1, "two\r\n--b")], parts[2..]);
    }

    #[test]
    fn a_boundary_that_begins_another_one_is_not_it() {
        let content = b"Content-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\n\
            Content-Type: multipart/mixed; boundary=abc\r\n\r\n--abc\r\n\r\n1\r\n--abcd\r\n--abc--\r\n--ab\r\n\r\n2\r\n--ab--";
        assert_eq!([text(2, "1\r\n--abcd"), text(1, "2")], shape(content)[2..]);
    }

    #[test]
    fn a_delimiter_ends_an_unfinished_header_section() {
        let content = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\
            Content-Type: text/html\r\n--a\r\n--a\r\n\r\nlast\r\n--a--\r\n";
        let parts = shape(content);
        assert_eq!((1, "text/html".to_owned(), &b""[..]), parts[1]);
        assert_eq!([text(1, ""), text(1, "last")], parts[2..]);
    }

    #[test]
    fn an_empty_part_before_an_outer_delimiter_is_inside_its_parents() {
        let content = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\
            Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--a--\r\n";
        let structure = Structure::scan(content, PartLimits::default());
        let [outer, inner, empty] = &structure.parts[..] else {
            panic!("three parts")
        };
        assert!(empty.body.is_empty());
        assert!(empty.body.end <= inner.body.end && inner.body.end <= outer.body.end);
    }

    #[test]
    fn messages_inside_are_opened_and_digests_hold_messages() {
        let content = b"Content-Type: multipart/digest; boundary=a\r\n\r\n--a\r\n\r\n\
            Subject: in\r\nContent-Type: text/html\r\n\r\nhi\r\n--a\r\n\
            Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n--a--";
        let parts = shape(content);
        assert_eq!(4, parts.len());
        assert_eq!((1, "message/rfc822"), (parts[1].0, parts[1].1.as_str()));
        assert_eq!((2, "text/html".to_owned(), &b"hi"[..]), parts[2]);
        assert_eq!((1, b"QUJD".as_slice()), (parts[3].0, parts[3].2));
    }

    #[test]
    fn what_a_part_says_it_is() {
        let content = b"Content-Type: Text/HTML; charset=ISO-8859-1; name=\"=?utf-8?Q?p=C3=BC.exe?=\"\r\n\
            Content-Disposition: ATTACHMENT;\r\n filename*0*=utf-8''ev%69l;\r\n filename*1=.exe\r\n\
            Content-Transfer-Encoding: Quoted-Printable\r\n\r\n=FCber";
        let structure = Structure::scan(content, PartLimits::default());
        let part = &structure.parts[0];
        assert_eq!(Some("evil.exe"), part.filename(), "attacks row 22");
        assert_eq!(vec!["evil.exe", "pü.exe"], part.filenames);
        assert_eq!(
            (Some("attachment"), "text/html"),
            (part.disposition.as_deref(), part.content_type.as_str())
        );
        assert_eq!("über", part.text(content, 100));
        assert_eq!((b"\xfcbe".to_vec(), false), {
            let decoded = part.decode(content, 3);
            (decoded.octets, decoded.complete)
        });
    }

    #[test]
    fn ten_thousand_multiparts_inside_each_other_are_not_followed() {
        for content in [
            nested(10_000, |level| format!("b{level}")),
            nested(10_000, |_| "same".to_owned()),
            b"Content-Type: message/rfc822\r\n\r\n".repeat(10_000),
        ] {
            let structure = Structure::scan(&content, PartLimits::default());
            assert_eq!(Some(PartsViolation::Depth), structure.violation);
            assert!(structure.parts.len() <= 1000 && structure.parts.iter().all(|p| p.depth <= 32));
        }
    }

    #[test]
    fn a_part_too_many_ends_the_walk_and_is_said() {
        let mut content = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n".to_vec();
        content.extend_from_slice(&b"--a\r\n\r\nx\r\n".repeat(100_000));
        let structure = Structure::scan(&content, PartLimits::default());
        assert_eq!(
            (1000, Some(PartsViolation::Count)),
            (structure.parts.len(), structure.violation)
        );
    }

    #[test]
    fn endless_header_sections_and_parameters_are_said() {
        let fields = [
            b"Content-Type: text/html\r\n".to_vec(),
            b"A: 1\r\n".repeat(1_000_000),
        ]
        .concat();
        let structure = Structure::scan(&fields, PartLimits::default());
        assert_eq!(Some(PartsViolation::Header), structure.violation);
        let parameters = [
            b"Content-Type: text/html".to_vec(),
            b";a=b".repeat(1000),
            b"\r\n\r\n".to_vec(),
        ]
        .concat();
        let structure = Structure::scan(&parameters, PartLimits::default());
        assert_eq!(Some(PartsViolation::Parameters), structure.violation);
        assert_eq!("text/html", structure.parts[0].content_type);
    }

    #[test]
    fn a_multipart_that_cannot_be_read_is_said() {
        let long = format!("; boundary={}", "x".repeat(300));
        for boundary in ["", "; boundary=", "; boundary=\"  \"", long.as_str()] {
            let content = format!("Content-Type: multipart/mixed{boundary}\r\n\r\n--\r\n\r\nx\r\n");
            let structure = Structure::scan(content.as_bytes(), PartLimits::default());
            assert_eq!(
                (1, Some(PartsViolation::Boundary)),
                (structure.parts.len(), structure.violation)
            );
        }
    }
}

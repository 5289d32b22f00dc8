//! What the index keeps of a message, so that most of what a client asks needs no opening of its file: ENVELOPE, BODY,
//! BODYSTRUCTURE and PREVIEW ready-made, the header fields that clients ask for, where each part is, and by what SORT and
//! THREAD compare.

use std::borrow::Cow;
use std::io;

use pymta_mime::{
    Fields, Part, PartLimits, SentDate, Structure, address_list, base_subject, encoded_word, message_ids,
    sent_date,
};

use crate::content::{CONTENT_OCTETS_MAX, Content, Octets, Places};
use crate::envelope::envelope;
use crate::preview::preview;
use crate::section::{Kind, Place};
use crate::structure::Composer;

/// A header section up to this length is kept whole.
const HEADER_WHOLE_OCTETS_MAX: usize = 2 << 10;

/// Fields are kept up to this length together.
const HEADER_KEPT_OCTETS_MAX: usize = 16 << 10;

/// Most references that are kept: the first and the last ones, which threading needs most.
const REFERENCES_MAX: usize = 64;

/// Longest sort key, in octets.
const KEY_OCTETS_MAX: usize = 256;

/// Which fields of the header section a record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The whole section.
    Whole,
    /// All but those that [`is_left_out`] names.
    Asked,
    /// None: there were too many.
    Nothing,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub(crate) places: Places,
    /// The Date field, where it can be read.
    pub(crate) sent: Option<SentDate>,
    pub(crate) base_subject: Cow<'a, [u8]>,
    pub(crate) is_reply: bool,
    /// Local parts of the first addresses of From, To and Cc.
    pub(crate) sort_from: Cow<'a, [u8]>,
    pub(crate) sort_to: Cow<'a, [u8]>,
    pub(crate) sort_cc: Cow<'a, [u8]>,
    /// RFC 5957: decoded display names, or else addresses.
    pub(crate) display_from: Cow<'a, [u8]>,
    pub(crate) display_to: Cow<'a, [u8]>,
    pub(crate) message_id: Cow<'a, [u8]>,
    pub(crate) references: Vec<Cow<'a, [u8]>>,
    pub(crate) envelope: Cow<'a, [u8]>,
    pub(crate) body: Cow<'a, [u8]>,
    pub(crate) body_structure: Cow<'a, [u8]>,
    pub(crate) preview: Cow<'a, [u8]>,
    pub(crate) parts: Vec<Place>,
    pub(crate) kept: Kept,
    pub(crate) header: Cow<'a, [u8]>,
}

/// Whether a field is too long and too rarely asked for to be kept of a long header section.
pub(crate) fn is_left_out(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 12] = [
        b"received",
        b"received-spf",
        b"dkim-signature",
        b"domainkey-signature",
        b"authentication-results",
        b"arc-seal",
        b"arc-message-signature",
        b"arc-authentication-results",
        b"face",
        b"openpgp",
        b"autocrypt",
        b"feedback-id",
    ];
    let lower = name.to_ascii_lowercase();
    let is_kept_x = matches!(
        lower.as_slice(),
        b"x-priority" | b"x-mailer" | b"x-spam-flag" | b"x-spam-status"
    );
    NAMES.contains(&lower.as_slice()) || (lower.starts_with(b"x-") && !is_kept_x)
}

impl Record<'static> {
    /// Looks into a message: reads all of its file once.
    ///
    /// # Errors
    /// As reading has them.
    pub fn of_file(file: &dyn Octets) -> io::Result<Self> {
        Ok(Self::of_content(&Content::read(file, CONTENT_OCTETS_MAX)?))
    }

    pub(crate) fn of_content(content: &Content) -> Self {
        let wire = content.wire.as_slice();
        let structure = Structure::scan(wire, PartLimits::default());
        let parts = places(&structure.parts, content);
        let composed = |extended| composed(&structure, &parts, wire, extended, true);
        let fields = Fields::of_part(wire);
        let mut ready = Vec::new();
        envelope(&fields, &mut ready);
        let subject = fields
            .first("Subject")
            .map(|value| base_subject(&value))
            .unwrap_or_default();
        let (sort_from, display_from) = keys(&fields, "From");
        let (sort_to, display_to) = keys(&fields, "To");
        let (kept, header) = kept(&fields);
        let message_id = fields
            .first("Message-ID")
            .and_then(|value| message_ids(&value, 1).pop());
        Self {
            places: content.places.clone(),
            sent: fields.first("Date").and_then(|value| sent_date(&value)),
            base_subject: subject.text.into_bytes().into(),
            is_reply: subject.is_reply,
            sort_from: sort_from.into(),
            sort_to: sort_to.into(),
            sort_cc: keys(&fields, "Cc").0.into(),
            display_from: display_from.into(),
            display_to: display_to.into(),
            message_id: message_id.unwrap_or_default().into(),
            references: references(&fields),
            envelope: ready.into(),
            body: composed(false).into(),
            body_structure: composed(true).into(),
            preview: preview(&structure, wire).into_bytes().into(),
            kept,
            header: header.into(),
            parts,
        }
    }
}

impl<'a> Record<'a> {
    /// Length of the message on the wire.
    pub fn wire_octets(&self) -> u64 {
        self.places.wire_octets
    }
}

/// BODY or BODYSTRUCTURE for IMAP4rev1, of which message/global is no message.
pub(crate) fn structure_without_global(content: &Content, extended: bool) -> Vec<u8> {
    let structure = Structure::scan(&content.wire, PartLimits::default());
    let parts = places(&structure.parts, content);
    composed(&structure, &parts, &content.wire, extended, false)
}

fn composed(
    structure: &Structure,
    places: &[Place],
    content: &[u8],
    extended: bool,
    with_global: bool,
) -> Vec<u8> {
    let composer = Composer {
        content,
        parts: &structure.parts,
        places,
        extended,
        with_global,
    };
    let mut out = Vec::new();
    composer.part(0, &mut out);
    out
}

/// Where the parts are on the wire. What the content's limit cut off belongs to the parts that reach to it.
fn places(parts: &[Part], content: &Content) -> Vec<Place> {
    let beyond = content.places.wire_octets - content.wire.len() as u64;
    let mut newlines = memchr::memchr_iter(b'\n', &content.wire).peekable();
    let mut begins: Vec<(usize, usize, bool)> = Vec::with_capacity(2 * parts.len());
    for (index, part) in parts.iter().enumerate() {
        begins.push((part.body.start, index, false));
        begins.push((part.body.end, index, true));
    }
    begins.sort_unstable();
    // Line ends before each border, all in one pass.
    let mut lines = vec![(0u64, 0u64); parts.len()];
    let mut seen = 0;
    for (at, index, is_end) in begins {
        while newlines.next_if(|newline| *newline < at).is_some() {
            seen += 1;
        }
        if is_end {
            lines[index].1 = seen;
        } else {
            lines[index].0 = seen;
        }
    }
    let place = |(index, part): (usize, &Part)| {
        let inside = parts.get(index + 1).filter(|next| next.depth > part.depth);
        let kind = match inside {
            _ if part.is_multipart() => Kind::Multipart,
            Some(_) => Kind::Message,
            None => Kind::Leaf,
        };
        let reaches = part.body.end == content.wire.len();
        let (more, more_lines) = if reaches {
            (beyond, content.lines_beyond)
        } else {
            (0, 0)
        };
        Place {
            depth: u8::try_from(part.depth).unwrap_or(u8::MAX),
            kind,
            encoding: part.transfer_encoding,
            header_at: part.header.start as u64,
            header_octets: part.header.len() as u64,
            body_octets: part.body.len() as u64 + more,
            lines: lines[index].1 - lines[index].0 + more_lines,
        }
    };
    parts.iter().enumerate().map(place).collect()
}

/// By what SORT compares a field of addresses: the local part of the first, and how the first is displayed.
fn keys(fields: &Fields<'_>, name: &str) -> (Vec<u8>, Vec<u8>) {
    use pymta_mime::Listed;
    let listed = fields
        .first(name)
        .map(|value| address_list(&value))
        .unwrap_or_default();
    let (local, displayed) = match listed.into_iter().next() {
        None | Some(Listed::GroupEnd) => return (Vec::new(), Vec::new()),
        Some(Listed::Group(name)) => (name.clone(), name), // RFC 5256 §2.2: a group's name counts as its mailbox
        Some(Listed::Mailbox(first)) => {
            let address = [first.local.as_slice(), b"@", &first.domain].concat();
            let displayed = first.name.filter(|name| !name.is_empty()).unwrap_or(address);
            (first.local, displayed)
        }
    };
    let local = local[..local.len().min(KEY_OCTETS_MAX)].to_vec();
    (
        local,
        encoded_word::decode(&displayed, KEY_OCTETS_MAX)
            .into_owned()
            .into_bytes(),
    )
}

/// What a message refers to: References, or else the first identifier of In-Reply-To (RFC 5256 §3 REFERENCES, step 1).
fn references(fields: &Fields<'_>) -> Vec<Cow<'static, [u8]>> {
    let references = fields
        .first("References")
        .map(|value| message_ids(&value, usize::MAX));
    let mut ids = references.unwrap_or_default();
    if ids.is_empty() {
        ids = fields
            .first("In-Reply-To")
            .map(|value| message_ids(&value, 1))
            .unwrap_or_default();
    }
    if ids.len() > REFERENCES_MAX {
        let last = ids.split_off(ids.len() - REFERENCES_MAX / 2);
        ids.truncate(REFERENCES_MAX / 2);
        ids.extend(last);
    }
    ids.into_iter().map(Cow::Owned).collect()
}

fn kept(fields: &Fields<'_>) -> (Kept, Vec<u8>) {
    let section = fields.octets();
    if section.len() <= HEADER_WHOLE_OCTETS_MAX && fields.violation().is_none() {
        return (Kept::Whole, section.to_vec());
    }
    let asked = fields.iter().filter(|field| !is_left_out(field.name()));
    let mut octets: Vec<u8> = asked.flat_map(|field| field.whole()).copied().collect();
    if fields.is_closed() {
        octets.extend_from_slice(b"\r\n");
    }
    if octets.len() > HEADER_KEPT_OCTETS_MAX || fields.violation().is_some() {
        return (Kept::Nothing, Vec::new());
    }
    (Kept::Asked, octets)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;

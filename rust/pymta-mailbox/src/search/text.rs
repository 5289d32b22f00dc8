//! Header fields and bodies as text to be searched: decoded (RFC 2047, transfer encodings, charsets), folded.

use memchr::memmem;
use pymta_mime::{Field, Fields, Listed, PartLimits, Structure, address_list, encoded_word};

use crate::casemap::folded;

/// Longest field value that is searched, decoded.
const VALUE_OCTETS_MAX: usize = 64 << 10;

/// How much of each part is searched, decoded.
const PART_OCTETS_MAX: usize = 16 << 20;

/// Whether a field's value holds the folded text.
pub(super) fn value_holds(field: &Field<'_>, needle: &[u8]) -> bool {
    needle.is_empty()
        || memmem::find(
            &folded(&encoded_word::decode(&field.value(), VALUE_OCTETS_MAX)),
            needle,
        )
        .is_some()
}

/// Whether one of its addresses or their names does, as an envelope has them: without quotes, comments and such.
pub(super) fn addresses_hold(field: &Field<'_>, needle: &[u8]) -> bool {
    let value = field.value();
    // Without one of these an address is written as it is read.
    let has_more = |text: &[u8]| memmem::find(&value, text).is_some();
    if memchr::memchr3(b'(', b'"', b'\\', &value).is_none() && !has_more(b" @") && !has_more(b"@ ") {
        return false;
    }
    let finder = memmem::Finder::new(needle);
    address_list(&value).into_iter().any(|listed| {
        let Listed::Mailbox(mailbox) = listed else {
            return false;
        };
        let address = [&mailbox.local[..], b"@", &mailbox.domain].concat();
        let mut texts = mailbox.name.into_iter().chain([address]);
        texts.any(|text| {
            let decoded = folded(&encoded_word::decode(&text, VALUE_OCTETS_MAX));
            finder.find(&decoded).is_some()
        })
    })
}

/// Whether a field has an address list, in an envelope too.
pub(super) fn has_addresses(name: &[u8]) -> bool {
    [&b"from"[..], b"to", b"cc", b"bcc"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether a header section does, names of fields included.
pub(super) fn header_holds(header: &[u8], needle: &[u8]) -> bool {
    memmem::find(&header_text(header), needle).is_some()
}

/// A header section as lines `NAME: VALUE`, decoded, unfolded and folded.
fn header_text(header: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(header.len());
    for field in Fields::of_part(header).iter() {
        out.extend(field.name().to_ascii_uppercase());
        out.extend_from_slice(b": ");
        out.extend(folded(&encoded_word::decode(&field.value(), VALUE_OCTETS_MAX)));
        out.push(b'\n');
    }
    out
}

/// A message's texts.
#[derive(Debug)]
pub(crate) struct Texts {
    header: Vec<u8>,
    /// Of each part that is text, and header sections of parts.
    body: Vec<Vec<u8>>,
}

impl Texts {
    pub(crate) fn of(content: &[u8]) -> Self {
        let structure = Structure::scan(content, PartLimits::default());
        let mut body = Vec::new();
        for (index, part) in structure.parts.iter().enumerate() {
            if index > 0 {
                body.push(header_text(&content[part.header.clone()]));
            }
            let is_leaf = structure
                .parts
                .get(index + 1)
                .is_none_or(|next| next.depth <= part.depth);
            let is_text = part.content_type.starts_with("text/") || part.content_type.starts_with("message/");
            if is_leaf && is_text {
                body.push(folded(&part.text(content, PART_OCTETS_MAX)));
            }
        }
        let header = structure
            .parts
            .first()
            .map(|message| header_text(&content[message.header.clone()]));
        Self {
            header: header.unwrap_or_default(),
            body,
        }
    }

    /// What `body_holds` looks into, as one; None where that is longer than allowed.
    pub(crate) fn into_body(self, octets_max: usize) -> Option<String> {
        let octets: usize = self.body.iter().map(|text| text.len() + 1).sum();
        (octets <= octets_max).then(|| String::from_utf8(self.body.join(&b'\n')).ok())?
    }

    pub(super) fn header_holds(&self, needle: &[u8]) -> bool {
        memmem::find(&self.header, needle).is_some()
    }

    pub(super) fn body_holds(&self, needle: &[u8]) -> bool {
        let finder = memmem::Finder::new(needle);
        self.body.iter().any(|text| finder.find(text).is_some())
    }
}

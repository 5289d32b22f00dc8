//! What the header section of a part says about it, as an IMAP client is told (RFC 9051 §7.5.2): octets as they were
//! written, nothing decoded.

use crate::parameter::joined_parameters;
use crate::{Fields, Part};

/// Most languages of a part that are kept.
const LANGUAGES_MAX: usize = 32;

/// Names and values, in their order.
pub type Parameters = Vec<(Vec<u8>, Vec<u8>)>;

/// Content-Disposition (RFC 2183).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition {
    /// `inline`, `attachment` and so on, as written.
    pub kind: Vec<u8>,
    /// With RFC 2231 continuations joined.
    pub parameters: Parameters,
}

/// What a part says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartFacts {
    /// As `text`, in lower case.
    pub media_type: String,
    /// As `plain`, in lower case.
    pub subtype: String,
    /// Of Content-Type, with RFC 2231 continuations joined.
    pub parameters: Parameters,
    /// Content-ID.
    pub id: Option<Vec<u8>>,
    /// Content-Description.
    pub description: Option<Vec<u8>>,
    /// Content-Transfer-Encoding, as written; `7bit` where nothing is said (RFC 2045 §6.1).
    pub encoding: Vec<u8>,
    /// Content-MD5.
    pub md5: Option<Vec<u8>>,
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
    /// Content-Language.
    pub languages: Vec<Vec<u8>>,
    /// Content-Location.
    pub location: Option<Vec<u8>>,
}

impl PartFacts {
    /// Of a part of `content`, which its structure was scanned from.
    pub fn read(part: &Part, content: &[u8]) -> Self {
        let header = content.get(part.header.clone()).unwrap_or_default();
        let fields = Fields::of_part(header);
        let text = |name: &str| {
            let value = fields.first(name)?.into_owned();
            Some(value).filter(|value| !value.is_empty())
        };
        let (media_type, subtype) = part.content_type.split_once('/').unwrap_or(("text", "plain"));
        let said = text("Content-Type")
            .map(|value| joined_parameters(&value))
            .unwrap_or_default();
        // Parameters of a type that was not taken mean nothing.
        let valid = said.0.eq_ignore_ascii_case(part.content_type.as_bytes());
        let disposition = text("Content-Disposition").map(|value| joined_parameters(&value));
        let encoding = text("Content-Transfer-Encoding").unwrap_or_default();
        let end = encoding
            .iter()
            .position(|o| matches!(o, b' ' | b'\t' | b'(' | b';'));
        let encoding = &encoding[..end.unwrap_or(encoding.len())];
        let languages = text("Content-Language").unwrap_or_default();
        let languages = languages.split(|o| *o == b',').map(<[u8]>::trim_ascii);
        Self {
            media_type: media_type.to_owned(),
            subtype: subtype.to_owned(),
            parameters: if valid { said.1 } else { Vec::new() },
            id: text("Content-ID"),
            description: text("Content-Description"),
            encoding: if encoding.is_empty() {
                b"7bit".to_vec()
            } else {
                encoding.to_vec()
            },
            md5: text("Content-MD5"),
            disposition: disposition
                .filter(|(kind, _)| !kind.is_empty())
                .map(|(kind, parameters)| Disposition { kind, parameters }),
            languages: languages
                .filter(|language| !language.is_empty())
                .take(LANGUAGES_MAX)
                .map(<[u8]>::to_vec)
                .collect(),
            location: text("Content-Location"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PartLimits, Structure};

    #[test]
    fn a_part_is_what_its_fields_say() {
        let content = b"Content-Type: TEXT/Html; Charset=\"utf-8\"\r\nContent-ID: <a@b>\r\nContent-MD5: Q2hlY2s=\r\n\
            Content-Disposition: Inline; filename=x\r\nContent-Language: en, de\r\nContent-Location: http://x/\r\n\
            Content-Description: what\r\n it is\r\nContent-Transfer-Encoding: BASE64 (c)\r\n\r\n";
        let structure = Structure::scan(content, PartLimits::default());
        let facts = PartFacts::read(&structure.parts[0], content);
        let expected = PartFacts {
            media_type: "text".into(),
            subtype: "html".into(),
            parameters: vec![(b"charset".to_vec(), b"utf-8".to_vec())],
            id: Some(b"<a@b>".to_vec()),
            description: Some(b"what it is".to_vec()),
            encoding: b"BASE64".to_vec(),
            md5: Some(b"Q2hlY2s=".to_vec()),
            disposition: Some(Disposition {
                kind: b"Inline".to_vec(),
                parameters: vec![(b"filename".to_vec(), b"x".to_vec())],
            }),
            languages: vec![b"en".to_vec(), b"de".to_vec()],
            location: Some(b"http://x/".to_vec()),
        };
        assert_eq!(expected, facts);
    }

    #[test]
    fn nothing_said_is_plain_text_and_nonsense_has_no_parameters() {
        for content in [&b"\r\nx"[..], b"Content-Type: text; charset=x\r\n\r\nx"] {
            let structure = Structure::scan(content, PartLimits::default());
            let facts = PartFacts::read(&structure.parts[0], content);
            assert_eq!(
                ("text", "plain", 0),
                (
                    facts.media_type.as_str(),
                    facts.subtype.as_str(),
                    facts.parameters.len()
                )
            );
            assert_eq!(
                (b"7bit".to_vec(), None, None),
                (facts.encoding, facts.id, facts.disposition)
            );
        }
    }
}

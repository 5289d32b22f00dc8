//! BODY and BODYSTRUCTURE (RFC 9051 §7.5.2): composed once, when a message is looked into, and kept.

use pymta_imap::write::{nstring, string};
use pymta_mime::{Disposition, Fields, Part, PartFacts};

use crate::envelope::{self, envelope};
use crate::section::{Kind, Place, children};

/// What an empty part is, where the grammar wants one.
const NO_PART: &[u8] = b"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0";

/// A message's parts, and what they were found in.
pub(crate) struct Composer<'a> {
    pub(crate) content: &'a [u8],
    pub(crate) parts: &'a [Part],
    /// Of the same parts.
    pub(crate) places: &'a [Place],
    /// BODYSTRUCTURE rather than BODY.
    pub(crate) extended: bool,
    /// message/global is described as a message (RFC 9051 §9); to IMAP4rev1 it is a file like any other.
    pub(crate) with_global: bool,
}

/// Whether what was composed may be another thing for IMAP4rev1.
pub(crate) fn may_hold_global(composed: &[u8]) -> bool {
    memchr::memmem::find(composed, b"\"message\" \"global\"").is_some()
}

impl Composer<'_> {
    /// Appends the part at `index`. Recurses as deep as parts lie in each other, which scanning has limited.
    pub(crate) fn part(&self, index: usize, out: &mut Vec<u8>) {
        let facts = PartFacts::read(&self.parts[index], self.content);
        if self.places[index].kind == Kind::Multipart {
            self.multipart(index, &facts, out);
        } else {
            self.single(index, &facts, out);
        }
    }

    fn multipart(&self, index: usize, facts: &PartFacts, out: &mut Vec<u8>) {
        out.push(b'(');
        let before = out.len();
        for child in children(self.places, index) {
            self.part(child, out);
        }
        if out.len() == before {
            self.no_part(out); // `1*body`: clients' parsers stumble over none
        }
        out.push(b' ');
        string(out, facts.subtype.as_bytes(), false);
        if self.extended {
            out.push(b' ');
            parameters(&facts.parameters, out);
            after_md5(facts, out);
        }
        out.push(b')');
    }

    fn single(&self, index: usize, facts: &PartFacts, out: &mut Vec<u8>) {
        let place = &self.places[index];
        out.push(b'(');
        string(out, facts.media_type.as_bytes(), false);
        out.push(b' ');
        string(out, facts.subtype.as_bytes(), false);
        out.push(b' ');
        let is_text = facts.media_type == "text";
        let says_charset = |(name, _): &(Vec<u8>, Vec<u8>)| name == b"charset";
        if is_text && !facts.parameters.iter().any(says_charset) {
            // RFC 2046 §4.1.2; Dovecot says so, too.
            let mut with = vec![(b"charset".to_vec(), b"us-ascii".to_vec())];
            with.extend_from_slice(&facts.parameters);
            parameters(&with, out);
        } else {
            parameters(&facts.parameters, out);
        }
        out.push(b' ');
        nstring(out, facts.id.as_deref(), false);
        out.push(b' ');
        nstring(out, facts.description.as_deref(), false);
        out.push(b' ');
        string(out, &facts.encoding, false);
        out.extend_from_slice(format!(" {}", place.body_octets).as_bytes());
        let is_message = facts.subtype == "rfc822" || facts.subtype == "global" && self.with_global;
        if facts.media_type == "message" && is_message {
            self.message(index, out);
            out.extend_from_slice(format!(" {}", place.lines).as_bytes());
        } else if is_text {
            out.extend_from_slice(format!(" {}", place.lines).as_bytes());
        }
        if self.extended {
            out.push(b' ');
            nstring(out, facts.md5.as_deref(), false);
            after_md5(facts, out);
        }
        out.push(b')');
    }

    /// Envelope and structure of the message inside; of one that was not looked into, that there is nothing.
    fn message(&self, index: usize, out: &mut Vec<u8>) {
        out.push(b' ');
        match self.parts.get(index + 1) {
            Some(inside) if self.places[index].kind == Kind::Message => {
                let header = &self.content[inside.header.clone()];
                envelope(&Fields::of_part(header), out);
                out.push(b' ');
                self.part(index + 1, out);
            }
            _ => {
                out.extend_from_slice(envelope::EMPTY);
                out.push(b' ');
                self.no_part(out);
            }
        }
    }

    fn no_part(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(NO_PART);
        out.extend_from_slice(if self.extended { b" NIL NIL NIL NIL)" } else { b")" });
    }
}

/// ` disposition languages location`
fn after_md5(facts: &PartFacts, out: &mut Vec<u8>) {
    out.push(b' ');
    match &facts.disposition {
        None => out.extend_from_slice(b"NIL"),
        Some(Disposition {
            kind,
            parameters: said,
        }) => {
            out.push(b'(');
            string(out, kind, false);
            out.push(b' ');
            parameters(said, out);
            out.push(b')');
        }
    }
    out.push(b' ');
    match facts.languages.as_slice() {
        [] => out.extend_from_slice(b"NIL"),
        languages => {
            for (at, language) in languages.iter().enumerate() {
                out.push(if at == 0 { b'(' } else { b' ' });
                string(out, language, false);
            }
            out.push(b')');
        }
    }
    out.push(b' ');
    nstring(out, facts.location.as_deref(), false);
}

fn parameters(parameters: &[(Vec<u8>, Vec<u8>)], out: &mut Vec<u8>) {
    if parameters.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    for (at, (name, value)) in parameters.iter().enumerate() {
        out.push(if at == 0 { b'(' } else { b' ' });
        string(out, name, false);
        out.push(b' ');
        string(out, value, false);
    }
    out.push(b')');
}

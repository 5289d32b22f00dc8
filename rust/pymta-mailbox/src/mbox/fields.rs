//! The fields by which mbox files keep what IMAP keeps as flags, and which are no part of a message.
//!
//! | field | of | says |
//! | --- | --- | --- |
//! | `Status` | all | R: seen; O: not new |
//! | `X-Status` | all | A, F, D, T: answered, flagged, deleted, draft |
//! | `X-Keywords` | Dovecot, UW | keywords, parted by blanks |
//! | `X-Mozilla-Status` | Thunderbird | a number in base 16, see [`MOZILLA`]; `X-Mozilla-Keys` are keywords |
//! | `X-UID`, `X-IMAP`, `X-IMAPbase`, `Content-Length` | | nothing that we take |
//!
//! A sender may write them too; they are taken out in both directions, as Dovecot does.

use pymta_imap::write::is_atom;
use pymta_index::flag;
use pymta_mime::sent_date;

/// Of a field's name in lower case.
const FIELDS: [&[u8]; 10] = [
    b"status",
    b"x-status",
    b"x-keywords",
    b"x-mozilla-status",
    b"x-mozilla-status2",
    b"x-mozilla-keys",
    b"x-uid",
    b"x-imap",
    b"x-imapbase",
    b"content-length",
];
/// Bits of `X-Mozilla-Status`. What is expunged is in the file until Thunderbird compacts it.
const MOZILLA: [(u32, u8); 5] = [
    (0x1, flag::SEEN),
    (0x2, flag::ANSWERED),
    (0x4, flag::FLAGGED),
    (0x8, flag::DELETED),
    (0x1000, flag::FORWARDED),
];
const LETTERS: [(u8, u8); 4] = [
    (b'A', flag::ANSWERED),
    (b'F', flag::FLAGGED),
    (b'D', flag::DELETED),
    (b'T', flag::DRAFT),
];
/// UW's and Dovecot's first message, which holds numbers and is none.
const INTERNAL_SUBJECT: &[u8] = b"don't delete this message";
/// A mailbox has no more (pymta-index).
const KEYWORDS_MAX: usize = 64;
const KEYWORD_OCTETS_MAX: usize = 255;
const FORWARDED: &str = "$Forwarded";

/// What the fields say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) flags: u8,
    pub(super) keywords: Vec<String>,
    /// Of the Date field.
    pub(super) date_s: Option<i64>,
    /// The message is another program's note to itself.
    pub(super) is_internal: bool,
}

impl Marks {
    fn take(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"status" => self.flags |= if value.contains(&b'R') { flag::SEEN } else { 0 },
            b"x-status" => {
                for (letter, bit) in LETTERS {
                    self.flags |= if value.contains(&letter) { bit } else { 0 };
                }
            }
            b"x-keywords" | b"x-mozilla-keys" => {
                for word in value.split(u8::is_ascii_whitespace) {
                    self.keyword(word);
                }
            }
            b"x-mozilla-status" => {
                let text = str::from_utf8(value).unwrap_or_default().trim();
                let number = u32::from_str_radix(text, 16).unwrap_or(0);
                for (bit, flag) in MOZILLA {
                    self.flags |= if number & bit != 0 { flag } else { 0 };
                }
            }
            _ => {}
        }
    }

    fn keyword(&mut self, word: &[u8]) {
        let Ok(name) = str::from_utf8(word) else { return };
        let is_one = is_atom(word) && word.len() <= KEYWORD_OCTETS_MAX;
        if name.eq_ignore_ascii_case(FORWARDED) {
            self.flags |= flag::FORWARDED;
        } else if is_one && self.keywords.len() < KEYWORDS_MAX && !self.has(name) {
            self.keywords.push(name.to_owned());
        }
    }

    fn has(&self, name: &str) -> bool {
        self.keywords.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// A header section without those fields, and what they said.
pub(super) fn split(header: &[u8]) -> (Vec<u8>, Marks) {
    let (mut kept, mut marks) = (Vec::with_capacity(header.len()), Marks::default());
    let (mut has_imap, mut is_internal) = (false, false);
    let mut rest = header;
    while !rest.is_empty() {
        let (field, after) = rest.split_at(field_octets(rest));
        rest = after;
        let colon = memchr::memchr(b':', field).unwrap_or(0);
        let (name, value) = field.split_at(colon);
        let name = name.trim_ascii_end().to_ascii_lowercase();
        let value = value.get(1..).unwrap_or_default();
        match name.as_slice() {
            b"date" => marks.date_s = marks.date_s.or(sent_date(value).map(|date| date.seconds)),
            b"subject" => {
                let begin = value.trim_ascii().to_ascii_lowercase();
                is_internal |= begin.starts_with(INTERNAL_SUBJECT);
            }
            b"x-imap" => has_imap = true,
            _ => {}
        }
        if FIELDS.contains(&name.as_slice()) {
            marks.take(&name, value);
        } else {
            kept.extend_from_slice(field);
        }
    }
    marks.is_internal = has_imap && is_internal;
    (kept, marks)
}

/// With the lines that continue it.
fn field_octets(rest: &[u8]) -> usize {
    let ends = memchr::memchr_iter(b'\n', rest).map(|at| at + 1);
    let mut ends = ends.filter(|&end| !matches!(rest.get(end), Some(b' ' | b'\t')));
    ends.next().unwrap_or(rest.len())
}

/// The fields for a message of ours.
pub(super) fn write(out: &mut Vec<u8>, flags: u8, keywords: &[&str]) {
    out.extend_from_slice(if flags & flag::SEEN != 0 {
        b"Status: RO\n"
    } else {
        b"Status: O\n"
    });
    let letters = LETTERS.iter().filter(|(_, bit)| flags & bit != 0);
    let letters: Vec<u8> = letters.map(|&(letter, _)| letter).collect();
    if !letters.is_empty() {
        out.extend_from_slice(b"X-Status: ");
        out.extend_from_slice(&letters);
        out.push(b'\n');
    }
    let forwarded = (flags & flag::FORWARDED != 0).then_some(FORWARDED);
    let keywords: Vec<&str> = keywords.iter().copied().chain(forwarded).collect();
    if !keywords.is_empty() {
        out.extend_from_slice(format!("X-Keywords: {}\n", keywords.join("\n ")).as_bytes());
    }
}

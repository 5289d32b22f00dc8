//! What FETCH says of a message without its content, and how a section is named (RFC 9051 §7.5.2).

use pymta_imap::Enabled;
use pymta_imap::command::{FetchItem, Section, SectionForm, SectionText};
use pymta_imap::write;
use pymta_index::{Message, flag};
use pymta_mime::Fields;

use crate::fetch::Given;
use crate::record::{Kept, Record, is_left_out};

pub(crate) fn begin(given: &Given<'_>, enabled: Enabled, out: &mut Vec<u8>) {
    let head = if enabled.uid_only {
        format!("* {} UIDFETCH (", given.message.uid) // RFC 9586 §3.3
    } else {
        format!("* {} FETCH (", given.number)
    };
    out.extend_from_slice(head.as_bytes());
}

pub(crate) fn simple(
    item: &FetchItem,
    given: &Given<'_>,
    record: Option<&Record<'_>>,
    enabled: Enabled,
    out: &mut Vec<u8>,
) {
    let message = given.message;
    let ready = |name: &[u8], out: &mut Vec<u8>, octets: Option<&[u8]>| {
        out.extend_from_slice(name);
        out.extend_from_slice(octets.unwrap_or(b"NIL"));
    };
    let details = given.details;
    match item {
        FetchItem::Uid => out.extend_from_slice(format!("UID {}", message.uid).as_bytes()),
        FetchItem::Flags => flags(message, given.keywords, out),
        FetchItem::ModSeq => out.extend_from_slice(format!("MODSEQ ({})", message.modseq).as_bytes()),
        FetchItem::InternalDate => {
            out.extend_from_slice(b"INTERNALDATE ");
            write::date_time(out, details.map_or(0, |details| details.internal_date_s));
        }
        FetchItem::SaveDate => {
            out.extend_from_slice(b"SAVEDATE ");
            match details {
                Some(details) => write::date_time(out, details.saved_date_s),
                None => out.extend_from_slice(b"NIL"),
            }
        }
        FetchItem::Size => {
            let octets =
                details.map_or_else(|| record.map_or(0, Record::wire_octets), |details| details.octets);
            out.extend_from_slice(format!("RFC822.SIZE {octets}").as_bytes());
        }
        FetchItem::EmailId => {
            let id = details.map(|details| format!("(M{})", details.email_id));
            ready(b"EMAILID ", out, id.as_deref().map(str::as_bytes));
        }
        FetchItem::ThreadId => {
            let id = details.and_then(|details| details.thread_id);
            let id = id.map(|id| format!("(T{id})"));
            ready(b"THREADID ", out, id.as_deref().map(str::as_bytes));
        }
        FetchItem::Envelope => ready(b"ENVELOPE ", out, record.map(|record| &*record.envelope)),
        FetchItem::Body => ready(b"BODY ", out, record.map(|record| &*record.body)),
        FetchItem::BodyStructure => ready(
            b"BODYSTRUCTURE ",
            out,
            record.map(|record| &*record.body_structure),
        ),
        FetchItem::Preview { .. } => {
            out.extend_from_slice(b"PREVIEW ");
            write::nstring(out, record.map(|record| &*record.preview), enabled.utf8);
        }
        // The others are said elsewhere, and the grammar knows no more.
        _ => {}
    }
}

/// Appends `FLAGS (…)`.
pub fn flags(message: &Message, keywords: &[String], out: &mut Vec<u8>) {
    const LETTERS: [(u8, &[u8]); 7] = [
        (flag::ANSWERED, b"\\Answered"),
        (flag::FLAGGED, b"\\Flagged"),
        (flag::DELETED, b"\\Deleted"),
        (flag::SEEN, b"\\Seen"),
        (flag::DRAFT, b"\\Draft"),
        (flag::FORWARDED, b"$Forwarded"),
        (flag::RECENT, b"\\Recent"),
    ];
    out.extend_from_slice(b"FLAGS (");
    let before = out.len();
    let letters = LETTERS
        .iter()
        .filter(|(bit, _)| message.flags & bit != 0)
        .map(|(_, name)| *name);
    let named = keywords.iter().enumerate();
    let named = named.filter(|(bit, _)| {
        message
            .keywords
            .checked_shr(u32::try_from(*bit).unwrap_or(64))
            .unwrap_or(0)
            & 1
            == 1
    });
    for name in letters.chain(named.map(|(_, name)| name.as_bytes())) {
        if out.len() > before {
            out.push(b' ');
        }
        out.extend_from_slice(name);
    }
    out.push(b')');
}

/// What is asked for, as the answer repeats it, and a space.
pub(crate) fn name(section: &Section, out: &mut Vec<u8>) {
    let item: &[u8] = match section.form {
        SectionForm::Body => b"BODY[",
        SectionForm::Binary => b"BINARY[",
        SectionForm::Rfc822 => return out.extend_from_slice(b"RFC822 "),
        SectionForm::Rfc822Header => return out.extend_from_slice(b"RFC822.HEADER "),
        SectionForm::Rfc822Text => return out.extend_from_slice(b"RFC822.TEXT "),
    };
    out.extend_from_slice(item);
    push_numbers(&section.part, out);
    let text: &[u8] = match &section.text {
        SectionText::All => b"",
        SectionText::Header => b"HEADER",
        SectionText::HeaderFields { not: false, .. } => b"HEADER.FIELDS",
        SectionText::HeaderFields { not: true, .. } => b"HEADER.FIELDS.NOT",
        SectionText::Text => b"TEXT",
        SectionText::Mime => b"MIME",
    };
    if !section.part.is_empty() && !text.is_empty() {
        out.push(b'.');
    }
    out.extend_from_slice(text);
    if let SectionText::HeaderFields { names, .. } = &section.text {
        for (at, name) in names.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b" (" } else { b" " });
            write::astring(out, name, false);
        }
        out.push(b')');
    }
    out.push(b']');
    if let Some((origin, _)) = section.partial {
        out.extend_from_slice(format!("<{origin}>").as_bytes());
    }
    out.push(b' ');
}

pub(crate) fn push_numbers(numbers: &[u32], out: &mut Vec<u8>) {
    for (at, number) in numbers.iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        out.extend_from_slice(number.to_string().as_bytes());
    }
}

/// What `<origin.length>` leaves of so many octets: where it begins, and how long it is.
pub(crate) fn within(octets: u64, partial: Option<(u64, u64)>) -> (u64, u64) {
    let (origin, length) = partial.unwrap_or((0, u64::MAX));
    let origin = origin.min(octets);
    (origin, length.min(octets - origin))
}

pub(crate) fn literal(octets: &[u8], partial: Option<(u64, u64)>, out: &mut Vec<u8>) {
    let (begin, length) = within(octets.len() as u64, partial);
    write::literal_head(out, length);
    let before = out.len();
    let rest = octets.iter().skip(usize::try_from(begin).unwrap_or(usize::MAX));
    out.extend(rest.take(usize::try_from(length).unwrap_or(usize::MAX)));
    without_nul(&mut out[before..]);
}

/// A literal holds no NUL (RFC 9051 §9 CHAR8): `?` stands for it, as in all that this server writes.
pub(crate) fn without_nul(octets: &mut [u8]) {
    let mut rest = octets;
    while let Some(at) = memchr::memchr(0, rest) {
        rest[at] = b'?';
        rest = &mut rest[at + 1..];
    }
}

/// The section where the record is enough.
pub(crate) fn from_record(text: &SectionText, record: &Record<'_>) -> Option<Vec<u8>> {
    let has_body = record
        .parts
        .first()
        .is_some_and(|message| message.body_octets > 0);
    match (text, record.kept) {
        (SectionText::Header, Kept::Whole) => Some(record.header.to_vec()),
        (SectionText::HeaderFields { names, not }, Kept::Whole) => {
            Some(chosen(&record.header, names, *not, has_body))
        }
        (SectionText::HeaderFields { names, not: false }, Kept::Asked) => {
            let all = !names.iter().any(|name| is_left_out(name));
            all.then(|| chosen(&record.header, names, false, has_body))
        }
        _ => None,
    }
}

/// The fields with these names, or all others, and the empty line: RFC 9051 §6.4.5.1 includes it always, but where a
/// message has neither it nor a body.
pub(crate) fn chosen(header: &[u8], names: &[Vec<u8>], not: bool, has_body: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let fields = Fields::of_part(header);
    for field in fields.iter() {
        if names.iter().any(|name| field.is(name)) != not {
            out.extend_from_slice(field.whole());
            if !out.ends_with(b"\r\n") {
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    if fields.is_closed() || has_body {
        out.extend_from_slice(b"\r\n");
    }
    out
}

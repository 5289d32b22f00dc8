//! ENVELOPE (RFC 9051 §7.5.2): composed once, when a message is looked into, and kept.
//!
//! Octets beyond ASCII go out as they stand in the header, in literals: those are right in every session, with
//! UTF8=ACCEPT or without.

use pymta_imap::write::{nstring, string};
use pymta_mime::{Fields, Listed, ListedMailbox, address_list};

/// Appends the envelope that a header section says.
pub(crate) fn envelope(fields: &Fields<'_>, out: &mut Vec<u8>) {
    let text = |name: &str, out: &mut Vec<u8>| nstring(out, fields.first(name).as_deref(), false);
    out.push(b'(');
    text("Date", out);
    out.push(b' ');
    text("Subject", out);
    let from = addresses(fields, "From");
    for name in ["From", "Sender", "Reply-To"] {
        // RFC 9051: the server sets an absent Sender or Reply-To to From.
        let own = if name == "From" {
            None
        } else {
            addresses(fields, name)
        };
        out.push(b' ');
        out.extend_from_slice(own.as_ref().or(from.as_ref()).map_or(b"NIL", |list| list));
    }
    for name in ["To", "Cc", "Bcc"] {
        out.push(b' ');
        out.extend_from_slice(addresses(fields, name).as_deref().unwrap_or(b"NIL"));
    }
    out.push(b' ');
    text("In-Reply-To", out);
    out.push(b' ');
    text("Message-ID", out);
    out.push(b')');
}

/// The envelope of a message of which nothing is known.
pub(crate) const EMPTY: &[u8] = b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)";

fn addresses(fields: &Fields<'_>, name: &str) -> Option<Vec<u8>> {
    let listed = address_list(&fields.first(name)?);
    if listed.is_empty() {
        return None;
    }
    let mut out = vec![b'('];
    for member in &listed {
        match member {
            Listed::Group(name) => {
                out.extend_from_slice(b"(NIL NIL ");
                string(&mut out, name, false);
                out.extend_from_slice(b" NIL)");
            }
            Listed::GroupEnd => out.extend_from_slice(b"(NIL NIL NIL NIL)"),
            Listed::Mailbox(mailbox) => address(mailbox, &mut out),
        }
    }
    out.push(b')');
    Some(out)
}

fn address(mailbox: &ListedMailbox, out: &mut Vec<u8>) {
    out.push(b'(');
    nstring(out, mailbox.name.as_deref(), false);
    out.push(b' ');
    nstring(out, mailbox.route.as_deref(), false);
    out.push(b' ');
    string(out, &mailbox.local, false);
    out.push(b' ');
    // NIL would begin a group.
    string(out, &mailbox.domain, false);
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(header: &str) -> String {
        let mut out = Vec::new();
        envelope(&Fields::of_part(header.as_bytes()), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_example_of_rfc_9051() {
        let header = "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n\
            From: Terry Gray <gray@cac.washington.edu>\r\nSubject: IMAP4rev2 WG mtg summary and minutes\r\n\
            To: imap@cac.washington.edu\r\ncc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\
            Message-Id: <B27397-0100000@cac.washington.ed>\r\n\r\n";
        assert_eq!(
            "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev2 WG mtg summary and minutes\" \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((NIL NIL \"imap\" \"cac.washington.edu\")) \
             ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) \
             NIL NIL \"<B27397-0100000@cac.washington.ed>\")",
            composed(header)
        );
    }

    #[test]
    fn groups_quotes_and_octets_beyond_ascii_keep_the_grammar() {
        let header = "To: g: a@b, x;\r\nSubject: \u{fc}\r\nMessage-ID: <\"a\\b\"@c>\r\nSender:\r\n\r\n";
        assert_eq!(
            "(NIL {2}\r\n\u{fc} NIL NIL NIL \
             ((NIL NIL \"g\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL \"x\" \"\")(NIL NIL NIL NIL)) NIL NIL NIL \
             \"<\\\"a\\\\b\\\"@c>\")",
            composed(header)
        );
        assert_eq!(EMPTY, composed("X: y\r\n\r\n").as_bytes());
    }
}

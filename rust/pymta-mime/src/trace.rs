//! Trace fields: Received (RFC 5321 §4.4), Return-Path, Delivered-To, and a Message-ID.
//!
//! The peer chooses its HELO name and its DNS name, so both are reduced to the characters of a domain before they
//! stand in a field: nothing a peer says can end the field, open or close a comment, or look like another clause
//! (attacks row 9).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use pymta_types::{Address, DOMAIN_OCTETS_MAX, UnixMs};

use crate::date;
use crate::fold::LINE_OCTETS_WANTED;

/// Longest comment on TLS that is taken over.
const COMMENT_OCTETS_MAX: usize = 256;

/// Longest id; ours have 13 octets.
const ID_OCTETS_MAX: usize = 128;

/// Who gave us the message.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// What it said in HELO, EHLO or LHLO. Not trusted.
    pub hello_name: &'a str,
    /// Where it connected from. An IPv4-mapped IPv6 address is written as IPv4. None for a Unix socket.
    pub ip: Option<IpAddr>,
    /// Its name in the DNS, where one was looked up and confirmed. Not trusted to be well formed.
    pub name: Option<&'a str>,
}

/// What the `with` clause says: the service types of RFC 3848 and RFC 6531 §4.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    /// EHLO, not HELO. LMTP always is.
    pub extended: bool,
    /// Over TLS.
    pub tls: bool,
    /// After a successful AUTH.
    pub auth: bool,
    /// MAIL had SMTPUTF8.
    pub utf8: bool,
    /// LMTP.
    pub lmtp: bool,
}

impl Protocol {
    /// The registered keyword, such as `ESMTPSA`. There is none for TLS or AUTH without EHLO.
    pub fn keyword(self) -> &'static str {
        const NAMES: [[&str; 4]; 4] = [
            ["ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"],
            ["UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"],
            ["LMTP", "LMTPA", "LMTPS", "LMTPSA"],
            ["UTF8LMTP", "UTF8LMTPA", "UTF8LMTPS", "UTF8LMTPSA"],
        ];
        if !self.extended && !self.lmtp {
            return "SMTP";
        }
        let family = usize::from(self.utf8) + 2 * usize::from(self.lmtp);
        NAMES[family][usize::from(self.auth) + 2 * usize::from(self.tls)]
    }
}

/// All that a Received field says.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// None for a message that this server made itself: then there is no `from` and no `with`.
    pub peer: Option<Peer<'a>>,
    /// Our own name.
    pub by: &'a str,
    /// How it came.
    pub protocol: Protocol,
    /// The spool id, or the session's where there is no spool id yet.
    pub id: &'a str,
    /// The forward-path, only where there is exactly one: naming one of several would disclose a blind copy
    /// (RFC 5321 §7.2). Left out where it is not ASCII and the protocol is not a UTF8 one.
    pub forward_path: Option<&'a Address>,
    /// TLS facts for people, such as `TLSv1.3 with cipher TLS_AES_256_GCM_SHA384`; becomes a comment.
    pub tls: Option<&'a str>,
    /// When.
    pub date: UnixMs,
}

impl Received<'_> {
    /// The field, folded, with its CRLF.
    ///
    /// ```abnf
    /// Time-stamp-line = "Received:" FWS From-domain By-domain Opt-info [CFWS] ";" FWS date-time CRLF
    /// ```
    pub fn compose(&self) -> String {
        let mut line = Folded::new("Received:");
        if let Some(peer) = &self.peer {
            line.clause(&["from ", &domain_text(peer.hello_name)]);
            if let Some(info) = tcp_info(peer) {
                line.clause(&[&info]);
            }
            if let Some(tls) = self.tls {
                line.clause(&["(using ", &comment_text(tls), ")"]);
            }
        }
        line.clause(&["by ", &domain_text(self.by)]);
        if self.peer.is_some() {
            line.clause(&["with ", self.protocol.keyword()]);
        }
        let path = self
            .forward_path
            .filter(|path| self.protocol.utf8 || path.is_ascii());
        let id = id_text(self.id);
        match path {
            Some(path) => {
                line.clause(&["id ", &id]);
                line.clause(&["for <", path.as_str(), ">;"]);
            }
            None => line.clause(&["id ", &id, ";"]),
        }
        line.clause(&[&date(self.date)]);
        line.end()
    }
}

/// `Return-Path: <reverse-path>` (RFC 5321 §4.4); `<>` for the null one. Final delivery puts it on top.
pub fn reverse_path_field(reverse_path: Option<&Address>) -> String {
    format!("Return-Path: <{}>\r\n", reverse_path.map_or("", Address::as_str))
}

/// `Delivered-To: address`, the loop mark of final delivery and forwarding.
pub fn delivered_to(address: &Address) -> String {
    format!("Delivered-To: {address}\r\n")
}

/// The value of a Message-ID field (RFC 5322 §3.6.4) from an id that is unique on this host and our own name.
pub fn message_id(id: &str, hostname: &str) -> String {
    format!("<{}@{}>", id_text(id), domain_text(hostname))
}

/// A field being written: clauses joined by a space, or by CRLF and a tab where the line would get too long.
struct Folded {
    text: String,
    column: usize,
}

impl Folded {
    fn new(name: &str) -> Self {
        let mut text = String::with_capacity(320);
        text.push_str(name);
        Self {
            column: text.len(),
            text,
        }
    }

    /// A clause in parts, which stay on one line.
    fn clause(&mut self, parts: &[&str]) {
        let octets: usize = parts.iter().map(|part| part.len()).sum();
        // Never right behind the name: a first line without anything on it is legal and confuses old readers.
        let is_first = self.text.ends_with(':');
        if !is_first && self.column + 1 + octets > LINE_OCTETS_WANTED {
            self.text.push_str("\r\n\t");
            self.column = 1;
        } else {
            self.text.push(' ');
            self.column += 1;
        }
        for part in parts {
            self.text.push_str(part);
        }
        self.column += octets;
    }

    fn end(mut self) -> String {
        self.text.push_str("\r\n");
        self.text
    }
}

/// `TCP-info`: the DNS name and the address literal, in a comment.
fn tcp_info(peer: &Peer<'_>) -> Option<String> {
    let name = peer.name.map(domain_text);
    let mut info = String::from("(");
    info.push_str(name.as_deref().unwrap_or_default());
    if let Some(ip) = peer.ip {
        let gap = if name.is_some() { " " } else { "" };
        let written = match ip.to_canonical() {
            IpAddr::V4(v4) => write!(info, "{gap}[{v4}]"),
            IpAddr::V6(v6) => write!(info, "{gap}[IPv6:{v6}]"),
        };
        written.expect("writing to a String cannot fail");
    }
    info.push(')');
    (info.len() > 2).then_some(info)
}

/// Only what a domain or an address literal is made of; everything else becomes `?`, which is in neither. A bracket is
/// kept only as half of the pair around it all: one left open would take what we say of the peer into its literal.
fn domain_text(text: &str) -> Cow<'_, str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let clean = neutral(inside.unwrap_or(text), DOMAIN_OCTETS_MAX, allowed);
    match inside {
        _ if clean.is_empty() => Cow::Borrowed("unknown"),
        Some(_) => Cow::Owned(format!("[{clean}]")),
        None => clean,
    }
}

/// `ctext` of RFC 5322 §3.2.2 and spaces.
fn comment_text(text: &str) -> Cow<'_, str> {
    neutral(text, COMMENT_OCTETS_MAX, |c| {
        matches!(c, ' '..='~') && !matches!(c, '(' | ')' | '\\')
    })
}

/// `Atom`, which an id is made of.
fn id_text(text: &str) -> Cow<'_, str> {
    neutral(text, ID_OCTETS_MAX, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '=')
    })
}

fn neutral(text: &str, octets_max: usize, allowed: impl Fn(char) -> bool) -> Cow<'_, str> {
    // Nearly every text is as it should be.
    if text.len() <= octets_max
        && text
            .bytes()
            .all(|octet| octet.is_ascii() && allowed(char::from(octet)))
    {
        return Cow::Borrowed(text);
    }
    text.chars()
        .take(octets_max)
        .map(|c| if allowed(c) { c } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeaderLimits, HeaderSection};

    const DATE: UnixMs = UnixMs(1_795_422_060_000);

    fn peer<'a>(hello_name: &'a str, name: Option<&'a str>) -> Option<Peer<'a>> {
        Some(Peer {
            hello_name,
            ip: Some("192.0.2.1".parse().unwrap()),
            name,
        })
    }

    fn received<'a>(peer: Option<Peer<'a>>) -> Received<'a> {
        Received {
            peer,
            by: "mx.example.test",
            protocol: Protocol {
                extended: true,
                tls: true,
                ..Protocol::default()
            },
            id: "0000000000abc",
            forward_path: None,
            tls: None,
            date: DATE,
        }
    }

    #[test]
    fn a_received_field_of_rfc_5321() {
        let path = Address::parse(b"user@example.test").unwrap();
        let field = Received {
            forward_path: Some(&path),
            tls: Some("TLSv1.3 with cipher TLS_AES_256_GCM_SHA384"),
            ..received(peer("client.example", Some("host.example")))
        };
        assert_eq!(
            "Received: from client.example (host.example [192.0.2.1])\r\n\
             \t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384) by mx.example.test\r\n\
             \twith ESMTPS id 0000000000abc for <user@example.test>;\r\n\
             \tMon, 23 Nov 2026 08:21:00 +0000\r\n",
            field.compose()
        );
        assert_eq!(
            "Received: by mx.example.test id 0000000000abc; Mon, 23 Nov 2026 08:21:00 +0000\r\n",
            received(None).compose().replace("\r\n\t", " ")
        );
    }

    #[test]
    fn nothing_a_peer_says_can_leave_its_place() {
        for evil in [
            "a\r\nBcc: x@y",
            "a) by evil (",
            "a;b <c>",
            "a\0\x1b[31m",
            "ü\u{2028}",
            "",
            &"x".repeat(5000),
            "[IPv6:2001:db8::1]",
            "a\\",
        ] {
            let field = Received {
                tls: Some(evil),
                id: evil,
                by: evil,
                ..received(peer(evil, Some(evil)))
            }
            .compose();
            let mut section = HeaderSection::scan(b"A: 1\r\n\r\n", HeaderLimits::default());
            section.prepend_raw(field.as_bytes()).unwrap();
            assert_eq!(2, section.count(), "{field}");
            let text = field.replace("(using ", "").replace("([192", "");
            assert!(
                text.matches(')').count() <= 2 && text.matches(';').count() <= 2,
                "{text}"
            );
            assert!(field.lines().all(|line| line.len() <= 998));
            assert!(field.is_ascii() && !field.contains(['\0', '\x1b', '\\']));
        }
    }

    #[test]
    fn a_bracket_is_half_of_a_pair_or_none() {
        for (name, expected) in [
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
            ("[192.0.2.1", "?192.0.2.1"),
            ("192.0.2.1]", "192.0.2.1?"),
            ("[a[b]c]", "[a?b?c]"),
            ("[]", "unknown"),
            ("[", "?"),
        ] {
            assert_eq!(expected, domain_text(name));
        }
    }

    #[test]
    fn addresses_are_literals() {
        let ip = |text: &str| {
            tcp_info(&Peer {
                hello_name: "a",
                ip: Some(text.parse().unwrap()),
                name: None,
            })
        };
        assert_eq!(Some("([192.0.2.1])".into()), ip("::ffff:192.0.2.1"));
        assert_eq!(Some("([IPv6:2001:db8::1])".into()), ip("2001:db8::1"));
        let socket = Peer {
            hello_name: "a",
            ip: None,
            name: None,
        };
        assert_eq!(None, tcp_info(&socket));
    }

    #[test]
    fn keywords_are_those_of_rfc_3848_and_6531() {
        let keyword = |letters: &str| {
            Protocol {
                extended: letters.contains('e'),
                tls: letters.contains('s'),
                auth: letters.contains('a'),
                utf8: letters.contains('8'),
                lmtp: letters.contains('l'),
            }
            .keyword()
        };
        for (letters, expected) in [
            ("", "SMTP"),
            ("e", "ESMTP"),
            ("ea", "ESMTPA"),
            ("es", "ESMTPS"),
            ("esa", "ESMTPSA"),
            ("e8", "UTF8SMTP"),
            ("e8sa", "UTF8SMTPSA"),
            ("l", "LMTP"),
            ("lsa", "LMTPSA"),
            ("l8s", "UTF8LMTPS"),
        ] {
            assert_eq!(expected, keyword(letters));
        }
    }

    #[test]
    fn a_forward_path_beyond_ascii_is_named_only_to_those_who_can_read_it() {
        let path = Address::parse("ü@example.test".as_bytes()).unwrap();
        let field = Received {
            forward_path: Some(&path),
            ..received(peer("a", None))
        };
        assert!(!field.compose().contains("for"));
        let utf8 = Protocol {
            utf8: true,
            ..field.protocol
        };
        let composed = Received {
            protocol: utf8,
            ..field
        }
        .compose();
        assert!(
            composed
                .replace("\r\n\t", " ")
                .contains("with UTF8SMTPS id 0000000000abc for <ü@example.test>;"),
            "{composed}"
        );
    }

    #[test]
    fn delivery_fields_and_ids() {
        let path = Address::parse(b"a@b").unwrap();
        assert_eq!("Return-Path: <a@b>\r\n", reverse_path_field(Some(&path)));
        assert_eq!("Return-Path: <>\r\n", reverse_path_field(None));
        assert_eq!("Delivered-To: a@b\r\n", delivered_to(&path));
        assert_eq!("<0abc@mx.example>", message_id("0abc", "mx.example"));
        assert_eq!("<a?b@x?>", message_id("a\nb", "x>"));
    }
}

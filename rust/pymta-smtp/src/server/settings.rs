//! What a listener allows and announces. Built once a listener, shared by its sessions; the greeting and the answers
//! to EHLO are composed here once, so that a keyword is announced exactly where it is honoured.

use std::fmt::Write;

use pymta_types::is_domain;

use super::limits::Limits;
use crate::content::LineEndings;
use crate::param::XCLIENT_ATTRIBUTES;

/// What is offered, as the configuration has it.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// Our name in the greeting: a domain or an address literal.
    pub hostname: String,
    /// LMTP (RFC 2033): LHLO instead of HELO, and a reply for each recipient.
    pub lmtp: bool,
    /// STARTTLS can be done.
    pub starttls: bool,
    /// SASL mechanisms, in the order of preference; empty for no AUTH.
    pub auth_mechanisms: Vec<String>,
    /// AUTH is allowed in the clear too (RFC 4954 §4 wants that only where something else protects the password).
    pub auth_without_tls: bool,
    /// XCLIENT is honoured: only for networks whose word about their clients is taken.
    pub xclient: bool,
    /// What becomes of a bare CR or LF in content.
    pub line_endings: LineEndings,
    /// How much of everything.
    pub limits: Limits,
}

/// Why an offer cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The hostname would not be accepted by a client.
    #[error("hostname is neither a domain nor an address literal")]
    Hostname,
    /// RFC 4422 §3.1: letters, digits, hyphen and underscore, at most 20.
    #[error("an authentication mechanism has a malformed name")]
    Mechanism,
}

/// A valid offer with its composed replies.
#[derive(Debug)]
pub struct Settings {
    pub(super) offer: Offer,
    pub(super) greeting: Vec<u8>,
    pub(super) helo: Vec<u8>,
    ehlo_in_clear: Vec<u8>,
    ehlo_in_tls: Vec<u8>,
}

impl Settings {
    /// Checks and composes.
    ///
    /// # Errors
    /// [`SettingsError`], the first thing that is wrong.
    pub fn new(mut offer: Offer) -> Result<Self, SettingsError> {
        let literal = offer.hostname.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let literal = literal.is_some_and(|inside| {
            inside
                .bytes()
                .all(|o| o.is_ascii_hexdigit() || b".:IPv".contains(&o))
        });
        if !(offer.hostname.is_ascii() && (is_domain(&offer.hostname) || literal)) {
            return Err(SettingsError::Hostname);
        }
        for mechanism in &mut offer.auth_mechanisms {
            mechanism.make_ascii_uppercase();
            let octets_fit = (1..=20).contains(&mechanism.len());
            let is_token = mechanism
                .bytes()
                .all(|o| o.is_ascii_alphanumeric() || b"-_".contains(&o));
            if !(octets_fit && is_token) {
                return Err(SettingsError::Mechanism);
            }
        }
        let name = &offer.hostname;
        let protocol = if offer.lmtp { "LMTP" } else { "ESMTP" };
        Ok(Self {
            greeting: format!("220 {name} {protocol}\r\n").into_bytes(),
            helo: format!("250 {name}\r\n").into_bytes(),
            ehlo_in_clear: ehlo(&offer, false),
            ehlo_in_tls: ehlo(&offer, true),
            offer,
        })
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.offer.limits
    }

    /// The answer to EHLO or LHLO.
    pub(super) fn ehlo(&self, secure: bool) -> &[u8] {
        if secure {
            &self.ehlo_in_tls
        } else {
            &self.ehlo_in_clear
        }
    }

    /// Whether AUTH is honoured now.
    pub(super) fn may_authenticate(&self, secure: bool) -> bool {
        mechanisms(&self.offer, secure).next().is_some()
    }

    /// Whether that mechanism is.
    pub(super) fn has_mechanism(&self, mechanism: &str, secure: bool) -> bool {
        mechanisms(&self.offer, secure).any(|name| name == mechanism)
    }
}

/// The mechanisms that a client may use now, in the order of preference.
///
/// Some make no sense in the clear, wherever passwords are allowed there: what binds to TLS or takes an identity from
/// it, and bearer tokens (RFC 7628 §5).
fn mechanisms(offer: &Offer, secure: bool) -> impl Iterator<Item = &str> {
    let none = !(secure || offer.auth_without_tls);
    let names = if none { &[][..] } else { &offer.auth_mechanisms };
    names
        .iter()
        .map(String::as_str)
        .filter(move |name| secure || !needs_tls(name))
}

fn needs_tls(mechanism: &str) -> bool {
    mechanism.ends_with("-PLUS") || ["EXTERNAL", "OAUTHBEARER", "XOAUTH2"].contains(&mechanism)
}

/// What EHLO is told (RFC 5321 §4.1.1.1): nothing that would then be refused.
fn ehlo(offer: &Offer, secure: bool) -> Vec<u8> {
    let limits = &offer.limits;
    let mut keywords = vec![
        "PIPELINING".to_owned(),
        format!("SIZE {}", limits.message_octets_max),
        "8BITMIME".to_owned(),
        "SMTPUTF8".to_owned(),
        "CHUNKING".to_owned(),
        "BINARYMIME".to_owned(),
        "DSN".to_owned(),
        "ENHANCEDSTATUSCODES".to_owned(),
        format!(
            "LIMITS MAILMAX={} RCPTMAX={}", // RFC 9422 §3: at most six digits
            limits.transactions_max.min(999_999),
            limits.recipients_max.min(999_999)
        ),
    ];
    if offer.starttls && !secure {
        keywords.push("STARTTLS".to_owned());
    }
    let mechanisms: Vec<&str> = mechanisms(offer, secure).collect();
    if !mechanisms.is_empty() {
        keywords.push(format!("AUTH {}", mechanisms.join(" ")));
    }
    if offer.xclient {
        keywords.push(format!("XCLIENT {}", XCLIENT_ATTRIBUTES.join(" ")));
    }
    let mut reply = format!("250-{}\r\n", offer.hostname);
    let last = keywords.len() - 1;
    for (index, keyword) in keywords.iter().enumerate() {
        let separator = if index == last { ' ' } else { '-' };
        // Writing to a String cannot fail.
        let _ = write!(reply, "250{separator}{keyword}\r\n");
    }
    reply.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(hostname: &str) -> Offer {
        Offer {
            hostname: hostname.to_owned(),
            ..Offer::default()
        }
    }

    #[test]
    fn a_hostname_must_be_one() {
        for good in [
            "mx.example.test",
            "localhost",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
        ] {
            assert!(Settings::new(offer(good)).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a\r\nb", "mx.", "bücher.example", "[x y]"] {
            assert_eq!(
                Some(SettingsError::Hostname),
                Settings::new(offer(bad)).err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn keywords_appear_only_where_they_are_honoured() {
        let settings = Settings::new(Offer {
            starttls: true,
            auth_mechanisms: vec!["plain".to_owned()],
            ..offer("mx.example.test")
        })
        .unwrap();
        let text = |secure| String::from_utf8(settings.ehlo(secure).to_vec()).unwrap();
        assert!(text(false).contains("STARTTLS") && !text(false).contains("AUTH"));
        assert!(!text(true).contains("STARTTLS") && text(true).contains("250 AUTH PLAIN\r\n"));
        assert!(!text(true).contains("XCLIENT"));
    }

    #[test]
    fn what_rests_on_tls_is_not_offered_in_the_clear() {
        let all = [
            "SCRAM-SHA-256-PLUS",
            "PLAIN",
            "OAUTHBEARER",
            "XOAUTH2",
            "EXTERNAL",
        ];
        let settings = |names: &[&str]| {
            Settings::new(Offer {
                auth_mechanisms: names.iter().map(|&name| name.to_owned()).collect(),
                auth_without_tls: true,
                ..offer("mx.example.test")
            })
            .unwrap()
        };
        let text = |settings: &Settings, secure| String::from_utf8(settings.ehlo(secure).to_vec()).unwrap();
        let loopback = settings(&all);
        assert!(text(&loopback, false).contains("250 AUTH PLAIN\r\n"));
        assert!(text(&loopback, true).contains(&format!("250 AUTH {}\r\n", all.join(" "))));
        for name in all {
            assert_eq!("PLAIN" == name, loopback.has_mechanism(name, false), "{name}");
            assert!(loopback.has_mechanism(name, true), "{name}");
        }
        let bound = settings(&["SCRAM-SHA-256-PLUS"]);
        assert!(!text(&bound, false).contains("AUTH") && !bound.may_authenticate(false));
    }

    #[test]
    fn a_mechanism_must_be_a_token() {
        let settings = Settings::new(Offer {
            auth_mechanisms: vec!["PLAIN\r\n".to_owned()],
            ..offer("a")
        });
        assert_eq!(Some(SettingsError::Mechanism), settings.err());
    }
}

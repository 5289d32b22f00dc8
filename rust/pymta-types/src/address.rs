//! `local-part@domain` (RFC 5321 §4.1.2, with the UTF-8 of RFC 6531 §3.3).
//!
//! What an address *is*, not what a path on the wire looks like: angle brackets, source routes and parameters belong
//! to `pymta-smtp`. The text is kept as it was written (the quoted form of a local part too), because what we pass
//! on must be what we were given; comparison uses [`Address::canonical`].

use std::fmt;

/// RFC 5321 §4.5.3.1.1.
pub const LOCAL_PART_OCTETS_MAX: usize = 64;
/// RFC 5321 §4.5.3.1.2.
pub const DOMAIN_OCTETS_MAX: usize = 255;
/// RFC 5321 §4.5.3.1.3 gives a path 256 octets with its brackets.
pub const ADDRESS_OCTETS_MAX: usize = 254;
/// RFC 1035 §2.3.4.
const LABEL_OCTETS_MAX: usize = 63;

/// The one local part that is an address without a domain (RFC 5321 §4.1.1.3).
const POSTMASTER: &str = "postmaster";

/// Why text is not an address. The sentence may be said to the peer.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// Not UTF-8 at all (RFC 6531 §3.3 allows nothing else beyond ASCII).
    #[error("address is not valid UTF-8")]
    Encoding,
    /// There is no `@` where one must be.
    #[error("address has no domain")]
    NoDomain,
    /// The local part is neither a dot-string nor a quoted string.
    #[error("malformed local part")]
    LocalPart,
    /// The domain is neither a sequence of labels nor an address literal.
    #[error("malformed domain")]
    Domain,
    /// A part is longer than RFC 5321 §4.5.3.1 allows.
    #[error("address too long")]
    TooLong,
}

/// An address that obeys the grammar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    /// Where the `@` is; the text's length for a bare `postmaster`.
    at: usize,
}

impl Address {
    /// Reads `Mailbox` of RFC 5321 §4.1.2, or a bare `postmaster` in any case.
    ///
    /// ```abnf
    /// Mailbox    = Local-part "@" ( Domain / address-literal )
    /// Local-part = Dot-string / Quoted-string
    /// ```
    ///
    /// Deviation: an underscore is taken for a letter in a domain, because hosts with one exist and can be reached.
    ///
    /// # Errors
    /// [`AddressError`], the first thing that is wrong. A trailing dot in the domain is wrong.
    pub fn parse(octets: &[u8]) -> Result<Self, AddressError> {
        let text = std::str::from_utf8(octets).map_err(|_| AddressError::Encoding)?;
        if text.len() > ADDRESS_OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
        if text.eq_ignore_ascii_case(POSTMASTER) {
            return Ok(Self {
                text: text.to_owned(),
                at: text.len(),
            });
        }
        let at = local_part_end(text)?;
        if at > LOCAL_PART_OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
        let domain = text[at..].strip_prefix('@').ok_or(AddressError::NoDomain)?;
        if domain.len() > DOMAIN_OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
        if !(is_domain(domain) || is_address_literal(domain)) {
            return Err(AddressError::Domain);
        }
        Ok(Self {
            text: text.to_owned(),
            at,
        })
    }

    /// The local part as written, quotes included.
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// The domain as written; empty for a bare `postmaster`.
    pub fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or("")
    }

    /// The whole address as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the domain is an address literal such as `[192.0.2.1]`.
    pub fn is_literal(&self) -> bool {
        self.domain().starts_with('[')
    }

    /// Whether all of it is ASCII; if not, it may go only to a host that offers SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    /// The address with its domain in lower case: the local part's case is its host's affair (RFC 5321 §2.4).
    pub fn canonical(&self) -> String {
        if self.at == self.text.len() {
            return POSTMASTER.to_owned();
        }
        format!("{}@{}", self.local_part(), self.domain().to_lowercase())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether `text` is `Domain`: labels of letters, digits, hyphens and non-ASCII characters, joined by dots, with no
/// dot at the end (RFC 5321 §4.1.2, RFC 6531 §3.3).
pub fn is_domain(text: &str) -> bool {
    fn is_label(label: &str) -> bool {
        (1..=LABEL_OCTETS_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || is_utf8_non_ascii(c))
    }
    text.len() <= DOMAIN_OCTETS_MAX && text.split('.').all(is_label)
}

/// `[` IPv4 or `IPv6:` address `]` (RFC 5321 §4.1.3). General address literals have no use and are refused.
fn is_address_literal(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) else {
        return false;
    };
    match inside.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inside[5..].parse::<std::net::Ipv6Addr>().is_ok(),
        _ => inside.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

/// Where the local part ends, which is where the `@` must be.
fn local_part_end(text: &str) -> Result<usize, AddressError> {
    if text.starts_with('"') {
        quoted_string_end(text)
    } else {
        dot_string_end(text)
    }
}

/// `Dot-string = Atom *("." Atom)`: the end of the longest run of atom characters and dots.
fn dot_string_end(text: &str) -> Result<usize, AddressError> {
    let end = text
        .find(|c: char| !is_atext(c) && c != '.')
        .unwrap_or(text.len());
    let well_formed = text[..end].split('.').all(|atom| !atom.is_empty());
    match text[end..].chars().next() {
        _ if !well_formed => Err(AddressError::LocalPart),
        Some('@') => Ok(end),
        Some(_) => Err(AddressError::LocalPart),
        None => Err(AddressError::NoDomain),
    }
}

/// `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`: the octet after the closing quote.
fn quoted_string_end(text: &str) -> Result<usize, AddressError> {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            c if c.is_control() => return Err(AddressError::LocalPart),
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Ok(index + 1),
            _ => {}
        }
    }
    Err(AddressError::LocalPart)
}

/// `atext` of RFC 5322 §3.2.3, with the non-ASCII characters of RFC 6531.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_non_ascii(c)
}

/// Non-ASCII that is not a control character: U+0080 to U+009F and the line separators end lines in some programs.
fn is_utf8_non_ascii(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && c != '\u{2028}' && c != '\u{2029}'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> Result<(String, String), AddressError> {
        Address::parse(text.as_bytes()).map(|a| (a.local_part().to_owned(), a.domain().to_owned()))
    }

    #[test]
    fn addresses_of_the_grammar_are_split_at_the_right_sign() {
        for (text, local_part, domain) in [
            ("a@b", "a", "b"),
            ("user+tag@example.test", "user+tag", "example.test"),
            ("\"a b\"@c.d", "\"a b\"", "c.d"),
            ("\"a@b\"@c.d", "\"a@b\"", "c.d"),
            ("\"a\\\"b\"@c.d", "\"a\\\"b\"", "c.d"),
            ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
            ("a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]"),
            ("grå@bücher.example", "grå", "bücher.example"),
            ("Postmaster", "Postmaster", ""),
            ("a%ext@us.example", "a%ext", "us.example"),
        ] {
            assert_eq!(
                Ok((local_part.to_owned(), domain.to_owned())),
                parts(text),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_address_says_why() {
        use AddressError::*;
        for (text, error) in [
            ("", LocalPart),
            ("a", NoDomain),
            ("@b", LocalPart),
            (".a@b", LocalPart),
            ("a.@b", LocalPart),
            ("a..b@c", LocalPart),
            ("a b@c", LocalPart),
            ("a@b@c", Domain),
            ("a@", Domain),
            ("a@b.", Domain),
            ("a@.b", Domain),
            ("a@-b", Domain),
            ("a@b c", Domain),
            ("a@[300.0.0.1]", Domain),
            ("a@[IPv6:xyz]", Domain),
            ("\"a@b", LocalPart),
            ("\"a\"b@c", NoDomain),
            ("a\r@b", LocalPart),
            ("\"a\nb\"@c", LocalPart),
            ("a\u{85}b@c", LocalPart),
        ] {
            assert_eq!(Err(error), parts(text), "{text:?}");
        }
        assert_eq!(Err(Encoding), Address::parse(b"\xff@b").map(|a| a.to_string()));
    }

    #[test]
    fn lengths_are_those_of_the_rfc() {
        assert!(parts(&format!("{}@b", "a".repeat(64))).is_ok());
        assert_eq!(
            Err(AddressError::TooLong),
            parts(&format!("{}@b", "a".repeat(65)))
        );
        assert_eq!(Err(AddressError::Domain), parts(&format!("a@{}", "b".repeat(64))));
        assert_eq!(
            Err(AddressError::TooLong),
            parts(&format!("a@{}", "b.".repeat(200)))
        );
    }

    #[test]
    fn canonical_lowers_the_domain_only() {
        assert_eq!(
            "User@example.test",
            Address::parse(b"User@EXAMPLE.test").unwrap().canonical()
        );
        assert_eq!("postmaster", Address::parse(b"POSTMASTER").unwrap().canonical());
    }

    proptest! {
        #[test]
        fn any_octets_parse_or_fail_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(address) = Address::parse(&octets) {
                prop_assert_eq!(address.as_str().as_bytes(), &octets[..]);
                prop_assert!(!address.as_str().contains(['\r', '\n', '\0']));
                prop_assert!(!address.as_str().ends_with('.'));
            }
        }
    }
}

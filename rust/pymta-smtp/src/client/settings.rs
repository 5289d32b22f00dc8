//! What a client session is to do, decided before it begins and the same for every session to a next hop.

use std::fmt;

/// Whether STARTTLS is used (RFC 3207). Whom to trust is the driver's affair, who holds the TLS context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartTls {
    /// Not even where it is offered.
    Never,
    /// Where it is offered; a server that refuses it gets the mail in the clear (RFC 7435).
    #[default]
    Opportunistic,
    /// No mail without it.
    Required,
}

/// A name and a password for AUTH. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(super) account: String,
    pub(super) password: String,
}

impl Credentials {
    /// None where either holds a NUL, which PLAIN uses as a separator (RFC 4616 §2), or the account is empty.
    pub fn new(account: &str, password: &str) -> Option<Self> {
        let fits = !account.is_empty() && !account.contains('\0') && !password.contains('\0');
        fits.then(|| Self {
            account: account.to_owned(),
            password: password.to_owned(),
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Settings of a client session.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    hello_name: String,
    /// LHLO and one final reply for each recipient (RFC 2033).
    pub lmtp: bool,
    /// Whether to begin with EHLO. False for a server that closes the connection on EHLO instead of refusing it.
    pub extended: bool,
    /// Whether STARTTLS is used.
    pub starttls: StartTls,
    /// Whether PIPELINING is used where it is offered (RFC 2920).
    pub pipelining: bool,
    /// Whether BDAT is used where CHUNKING is offered and it helps (RFC 3030).
    pub chunking: bool,
    /// What to log in with; None sends no AUTH.
    pub auth: Option<Credentials>,
    /// Whether the password may go over a connection without TLS.
    pub auth_without_tls: bool,
}

impl ClientSettings {
    /// Settings with the defaults of SMTP; None where `hello_name` is no word that can follow EHLO.
    pub fn new(hello_name: &str) -> Option<Self> {
        let is_word = !hello_name.is_empty()
            && hello_name.len() <= pymta_types::DOMAIN_OCTETS_MAX
            && hello_name.bytes().all(|octet| octet.is_ascii_graphic());
        is_word.then(|| Self {
            hello_name: hello_name.to_owned(),
            lmtp: false,
            extended: true,
            starttls: StartTls::default(),
            pipelining: true,
            chunking: true,
            auth: None,
            auth_without_tls: false,
        })
    }

    /// The name we give ourselves.
    pub fn hello_name(&self) -> &str {
        &self.hello_name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_name_is_one_word_of_ascii() {
        for name in ["", "a b", "a\r\nQUIT", "bücher.example"] {
            assert!(ClientSettings::new(name).is_none(), "{name:?}");
        }
        assert!(ClientSettings::new("[192.0.2.1]").is_some());
        assert!(ClientSettings::new("mx.example.test").is_some());
    }

    #[test]
    fn credentials_are_never_printed_and_hold_no_separator() {
        let credentials = Credentials::new("user", "secret").unwrap();
        assert_eq!("Credentials(..)", format!("{credentials:?}"));
        assert!(Credentials::new("us\0er", "secret").is_none());
        assert!(Credentials::new("user", "sec\0ret").is_none());
        assert!(Credentials::new("", "secret").is_none());
    }
}

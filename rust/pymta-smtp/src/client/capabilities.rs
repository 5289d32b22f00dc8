//! What a server offers in its reply to EHLO or LHLO (RFC 5321 §4.1.1.1).
//!
//! Unknown keywords are kept as text and not acted upon; a known one with a malformed parameter is taken as if it had
//! none, because its presence is what most of them say.

/// LIMITS of RFC 9422; None where the server says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnnouncedLimits {
    /// MAILMAX: transactions on one connection.
    pub mail_max: Option<u32>,
    /// RCPTMAX: recipients in one transaction.
    pub rcpt_max: Option<u32>,
    /// RCPTDOMAINMAX: different domains among the recipients of one transaction.
    pub rcpt_domain_max: Option<u32>,
}

/// The extensions offered, as far as this client can use them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// RFC 2920
    pub pipelining: bool,
    /// Whether the SIZE parameter is understood (RFC 1870).
    pub size: bool,
    /// The largest message taken; None where there is no fixed limit.
    pub size_octets_max: Option<u64>,
    /// RFC 6152
    pub eight_bit_mime: bool,
    /// RFC 6531
    pub smtputf8: bool,
    /// BDAT (RFC 3030)
    pub chunking: bool,
    /// RFC 3030
    pub binary_mime: bool,
    /// RFC 3461
    pub dsn: bool,
    /// RFC 2034
    pub enhanced_status_codes: bool,
    /// RFC 3207
    pub starttls: bool,
    /// AUTH PLAIN (RFC 4954, RFC 4616)
    pub auth_plain: bool,
    /// AUTH LOGIN, documented nowhere binding and spoken everywhere
    pub auth_login: bool,
    /// RFC 9422
    pub limits: AnnouncedLimits,
    /// Every line as it was said, without the first one.
    pub lines: Vec<String>,
}

impl Capabilities {
    /// Reads the lines of a positive reply to EHLO; the first one is the server's name and skipped.
    pub(super) fn parse<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut found = Self::default();
        for line in lines.skip(1) {
            let line = String::from_utf8_lossy(line).trim().to_owned();
            // smtp-sink ends its list with an empty line.
            if !line.is_empty() {
                found.take(&line);
                found.lines.push(line);
            }
        }
        found
    }

    fn take(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else { return };
        match keyword.to_ascii_uppercase().as_str() {
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "CHUNKING" => self.chunking = true,
            "BINARYMIME" => self.binary_mime = true,
            "DSN" => self.dsn = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "STARTTLS" => self.starttls = true,
            "SIZE" => {
                self.size = true;
                // RFC 1870 §4: zero or nothing means no fixed maximum.
                self.size_octets_max = words
                    .next()
                    .and_then(|n| n.parse().ok())
                    .filter(|&octets| octets > 0);
            }
            "AUTH" => words.for_each(|mechanism| self.take_mechanism(mechanism)),
            "LIMITS" => words.for_each(|limit| self.take_limit(limit)),
            // "AUTH=PLAIN LOGIN" of servers older than RFC 2554.
            other => {
                if let Some(first) = other.strip_prefix("AUTH=") {
                    self.take_mechanism(first);
                    words.for_each(|mechanism| self.take_mechanism(mechanism));
                }
            }
        }
    }

    fn take_mechanism(&mut self, mechanism: &str) {
        self.auth_plain |= mechanism.eq_ignore_ascii_case("PLAIN");
        self.auth_login |= mechanism.eq_ignore_ascii_case("LOGIN");
    }

    fn take_limit(&mut self, limit: &str) {
        let Some((name, value)) = limit.split_once('=') else {
            return;
        };
        // A limit of zero would mean that the server takes no mail; it is nonsense and ignored.
        let value = value.parse().ok().filter(|&count: &u32| count > 0);
        match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => self.limits.mail_max = value,
            "RCPTMAX" => self.limits.rcpt_max = value,
            "RCPTDOMAINMAX" => self.limits.rcpt_domain_max = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(lines: &[&str]) -> Capabilities {
        Capabilities::parse(lines.iter().map(|line| line.as_bytes()))
    }

    #[test]
    fn keywords_are_known_in_any_case() {
        let found = parsed(&[
            "mx.example.test",
            "pipelining",
            "SIZE 1000",
            "8BitMime",
            "SMTPUTF8",
            "CHUNKING",
            "BINARYMIME",
            "DSN",
            "ENHANCEDSTATUSCODES",
            "STARTTLS",
            "AUTH CRAM-MD5 plain LOGIN",
            "LIMITS MAILMAX=5 RCPTMAX=100 RCPTDOMAINMAX=2 OTHER=1",
            "X-SOMETHING",
        ]);
        assert!(found.pipelining && found.eight_bit_mime && found.smtputf8 && found.chunking);
        assert!(found.binary_mime && found.dsn && found.enhanced_status_codes && found.starttls);
        assert!(found.auth_plain && found.auth_login);
        assert_eq!((true, Some(1000)), (found.size, found.size_octets_max));
        let limits = AnnouncedLimits {
            mail_max: Some(5),
            rcpt_max: Some(100),
            rcpt_domain_max: Some(2),
        };
        assert_eq!(limits, found.limits);
        assert_eq!(Some("X-SOMETHING"), found.lines.last().map(String::as_str));
    }

    #[test]
    fn the_name_on_the_first_line_is_no_keyword() {
        assert_eq!(Capabilities::default(), parsed(&["STARTTLS"]));
    }

    #[test]
    fn malformed_parameters_are_as_none() {
        let found = parsed(&["x", "SIZE 0", "LIMITS RCPTMAX=0 MAILMAX MAILMAX=x", "", "AUTH"]);
        assert_eq!((true, None), (found.size, found.size_octets_max));
        assert_eq!(AnnouncedLimits::default(), found.limits);
        assert_eq!((true, None), {
            let huge = parsed(&["x", "SIZE 99999999999999999999999"]);
            (huge.size, huge.size_octets_max)
        });
        assert!(parsed(&["x", "AUTH=PLAIN"]).auth_plain);
    }
}

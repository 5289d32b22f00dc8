//! Every limit of a session, in one place: unit in the name, reason.
//!
//! Not here: limits on time and on connections (the door's, it has the clock).

/// Limits of one session. Build it with [`Limits::default`] and [`Limits::set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A line before a login, its CRLF included. Names and passwords are short; RFC 9051 has no number.
    pub line_before_login_octets_max: usize,
    /// A line of AUTHENTICATE, or a response. As for SMTP (RFC 4954 §4).
    pub auth_line_octets_max: usize,
    /// A line after the login: sets of thousands of messages are usual. RFC 7162 §4 asks for 8,192 at least.
    pub line_octets_max: usize,
    /// A literal before a login: a name or a password. Decided before anything is kept.
    pub literal_before_login_octets_max: usize,
    /// A literal that is no message: a text to be looked for, a value of metadata.
    pub literal_octets_max: usize,
    /// A command with all its literals, messages aside.
    pub command_octets_max: usize,
    /// Commands before a login.
    pub commands_before_login_max: u32,
    /// Commands of one session: bounds what one connection may ever cost.
    pub commands_max: u64,
    /// Refused logins in one session: bounds the guessing of passwords by one connection.
    pub auth_failures_max: u32,
    /// Violations after which the session ends: without a command between them that was carried out.
    pub violations_max: u32,
}

/// Parentheses, NOT and OR within each other. The parser and who evaluates go down so deep and no deeper.
pub const NESTING_MAX: usize = 32;
/// Keys of one SEARCH.
pub const SEARCH_KEYS_MAX: usize = 1000;
/// Ranges in the sets of one command.
pub const RANGES_MAX: usize = 10_000;
/// Members of a list: items, flags, fields, patterns, entries.
pub const LIST_MAX: usize = 200;
/// A tag, which is repeated in the answer.
pub const TAG_OCTETS_MAX: usize = 100;
/// A keyword or other name that is kept.
pub const ATOM_OCTETS_MAX: usize = 200;
/// Mailboxes whose messages one session watches (NOTIFY): each costs a few of the system's watches, and a look whenever
/// something of the account changes.
pub const NOTIFY_MAILBOXES_MAX: usize = 500;
/// Searches of one session whose results are kept up to date (RFC 5267 §4.3.1): each keeps four octets a message found, and
/// looks at each message that comes or changes.
pub const SEARCH_UPDATES_MAX: usize = 10;
/// Depth of a part's number, as `1.2.3`.
pub const PART_DEPTH_MAX: usize = 50;

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_before_login_octets_max: 8192,
            auth_line_octets_max: 12_288,
            line_octets_max: 65_536,
            literal_before_login_octets_max: 4096,
            literal_octets_max: 65_536,
            command_octets_max: 262_144,
            commands_before_login_max: 50,
            commands_max: 10_000_000,
            auth_failures_max: 5,
            violations_max: 50,
        }
    }
}

/// What [`Limits::set`] refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// There is no such limit.
    #[error("no such limit")]
    Name,
    /// Below what works, zero, or beyond what the machine can count.
    #[error("out of range")]
    Value,
}

/// With less, no usual command fits.
const OCTETS_LEAST: u64 = 255;

impl Limits {
    /// Sets the limit of that name.
    ///
    /// # Errors
    /// [`LimitError`]; the limit is then as it was.
    pub fn set(&mut self, name: &str, value: u64) -> Result<(), LimitError> {
        let least = if name.contains("octets") { OCTETS_LEAST } else { 1 };
        let count = u32::try_from(value).map_err(|_| LimitError::Value);
        let octets = usize::try_from(value).map_err(|_| LimitError::Value);
        if value < least {
            return Err(LimitError::Value);
        }
        match name {
            "line_before_login_octets_max" => self.line_before_login_octets_max = octets?,
            "auth_line_octets_max" => self.auth_line_octets_max = octets?,
            "line_octets_max" => self.line_octets_max = octets?,
            "literal_before_login_octets_max" => self.literal_before_login_octets_max = octets?,
            "literal_octets_max" => self.literal_octets_max = octets?,
            "command_octets_max" => self.command_octets_max = octets?,
            "commands_before_login_max" => self.commands_before_login_max = count?,
            "commands_max" => self.commands_max = value,
            "auth_failures_max" => self.auth_failures_max = count?,
            "violations_max" => self.violations_max = count?,
            _ => return Err(LimitError::Name),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_can_be_set_by_its_name_and_no_other() {
        for name in [
            "line_before_login_octets_max",
            "auth_line_octets_max",
            "line_octets_max",
            "literal_before_login_octets_max",
            "literal_octets_max",
            "command_octets_max",
            "commands_before_login_max",
            "commands_max",
            "auth_failures_max",
            "violations_max",
        ] {
            let mut limits = Limits::default();
            assert_eq!(Ok(()), limits.set(name, 4321), "{name}");
            assert!(format!("{limits:?}").contains(&format!("{name}: 4321")), "{name}");
            assert_eq!(Err(LimitError::Value), limits.set(name, 0), "{name}");
        }
        let mut limits = Limits::default();
        assert_eq!(Err(LimitError::Name), limits.set("lines_max", 1));
        assert_eq!(Err(LimitError::Value), limits.set("line_octets_max", 254));
        assert_eq!(Limits::default(), limits);
    }
}

//! Every limit of a session, in one place: unit in the name, reason, and the reply that it gives.
//!
//! Not here: limits on time and on connections (the listener's, it has the clock), on the header section and on
//! Received hops (the spool writer's, it has the fields), and those that a grammar fixes (beside that grammar).

/// Limits of one session. Build it with [`Limits::default`] and [`Limits::set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A command line with its CRLF → `500 5.5.2`. RFC 5321 §4.5.3.1.4 asks for 512; SMTPUTF8, DSN and AUTH=
    /// parameters add up to about 1,500 (RFC 3461 §4.2 alone 500); Postfix takes 2,048.
    pub command_line_octets_max: usize,
    /// An AUTH command or response → `500 5.5.2`. RFC 4954 §4.
    pub auth_line_octets_max: usize,
    /// A line of content with its CRLF → `550 5.6.0` at the end. RFC 5321 §4.5.3.1.6 promises only 1,000, but authors
    /// of HTML mail send lines of tens of thousands and nobody is helped by returning them; what a line can do to a
    /// line-based reader behind us ends somewhere, and 64 KiB is where large receivers end it.
    pub text_line_octets_max: usize,
    /// Content without dot-stuffing → `552 5.3.4`, announced as SIZE and told at MAIL where the client said so.
    pub message_octets_max: u64,
    /// Recipients of one message → `452 4.5.3` for each one more (RFC 5321 §4.5.3.1.10), announced as RCPTMAX. The
    /// RFC's minimum of 100 would split lists needlessly; memory is about 150 octets each.
    pub recipients_max: usize,
    /// Messages of one session → `421 4.7.0` to the next MAIL, announced as MAILMAX. High: relays that keep a
    /// connection for an hour are what we want.
    pub transactions_max: u64,
    /// Commands of one session → `421 4.7.0`. It bounds what one connection may ever cost; about ten commands for
    /// each message that is allowed.
    pub commands_max: u64,
    /// Commands that lead nowhere (NOOP, RSET, HELO, VRFY, empty BDAT …) since the last message → `421 4.7.0`.
    /// Postfix's smtpd_junk_command_limit.
    pub idle_commands_max: u32,
    /// MAIL and RCPT refused by policy since the last message → `421 4.7.0`. Bounds the guessing of addresses; above
    /// recipients_max, so that a stale list still gets all its answers.
    pub refusals_max: u32,
    /// Refused AUTH in one session → `421 4.7.0`. Bounds the guessing of passwords by one connection, and is more than
    /// a person's client tries by itself; RFC 4954 §4 leaves the number to us.
    pub auth_failures_max: u32,
    /// Violations that count (see `violation`) in one session → `421 4.7.0`. Postfix's smtpd_hard_error_limit.
    pub violations_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_line_octets_max: 2048,
            auth_line_octets_max: 12_288,
            text_line_octets_max: 65_536,
            message_octets_max: 64 * 1024 * 1024,
            recipients_max: 1000,
            transactions_max: 100_000,
            commands_max: 1_000_000,
            idle_commands_max: 100,
            refusals_max: 2000,
            auth_failures_max: 5,
            violations_max: 20,
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
    /// Below what the RFC asks for, zero, or beyond what the machine can count.
    #[error("out of range")]
    Value,
}

/// RFC 5321 §4.5.3.1.4.
const COMMAND_LINE_OCTETS_LEAST: u64 = 512;
/// RFC 5321 §4.5.3.1.6.
const TEXT_LINE_OCTETS_LEAST: u64 = 1000;

impl Limits {
    /// Sets the limit of that name.
    ///
    /// # Errors
    /// [`LimitError`]; the limit is then as it was.
    pub fn set(&mut self, name: &str, value: u64) -> Result<(), LimitError> {
        let least = match name {
            "command_line_octets_max" | "auth_line_octets_max" => COMMAND_LINE_OCTETS_LEAST,
            "text_line_octets_max" => TEXT_LINE_OCTETS_LEAST,
            _ => 1,
        };
        let count = u32::try_from(value).map_err(|_| LimitError::Value);
        let octets = usize::try_from(value).map_err(|_| LimitError::Value);
        if value < least {
            return Err(LimitError::Value);
        }
        match name {
            "command_line_octets_max" => self.command_line_octets_max = octets?,
            "auth_line_octets_max" => self.auth_line_octets_max = octets?,
            "text_line_octets_max" => self.text_line_octets_max = octets?,
            "message_octets_max" => self.message_octets_max = value,
            "recipients_max" => self.recipients_max = octets?,
            "transactions_max" => self.transactions_max = value,
            "commands_max" => self.commands_max = value,
            "idle_commands_max" => self.idle_commands_max = count?,
            "refusals_max" => self.refusals_max = count?,
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
    fn each_limit_can_be_set_by_its_name() {
        for name in [
            "command_line_octets_max",
            "auth_line_octets_max",
            "text_line_octets_max",
            "message_octets_max",
            "recipients_max",
            "transactions_max",
            "commands_max",
            "idle_commands_max",
            "refusals_max",
            "auth_failures_max",
            "violations_max",
        ] {
            let mut limits = Limits::default();
            assert_eq!(Ok(()), limits.set(name, 4321), "{name}");
            assert!(format!("{limits:?}").contains(&format!("{name}: 4321")), "{name}");
            assert_eq!(Err(LimitError::Value), limits.set(name, 0), "{name}");
        }
    }

    #[test]
    fn other_names_and_values_are_refused() {
        let mut limits = Limits::default();
        assert_eq!(Err(LimitError::Name), limits.set("lines_max", 1));
        assert_eq!(Err(LimitError::Value), limits.set("command_line_octets_max", 511));
        assert_eq!(Err(LimitError::Value), limits.set("violations_max", u64::MAX));
        assert_eq!(Limits::default(), limits);
    }
}

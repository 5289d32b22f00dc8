//! Every limit of a session, in one place: unit in the name, reason.
//!
//! Not here: limits on time and on connections (the door's, it has the clock).

/// Limits of one session. Build it with [`Limits::default`] and [`Limits::set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A command line with its CRLF. RFC 2449 §4 has 255; names and passwords in UTF-8 may need them all.
    pub line_octets_max: usize,
    /// An AUTH command or response. RFC 5034 §4 lets a client split what is longer than 255; RFC 4954 §4 has 12,288 for
    /// the same mechanisms.
    pub auth_line_octets_max: usize,
    /// Commands before a login: CAPA, STLS, CAPA, UTF8, AUTH are five, an attempt that fails is two.
    pub commands_before_login_max: u32,
    /// Commands of one session: bounds what one connection may ever cost.
    pub commands_max: u64,
    /// Refused logins in one session: bounds the guessing of passwords by one connection.
    pub auth_failures_max: u32,
    /// Violations after which the session ends.
    pub violations_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_octets_max: 255,
            auth_line_octets_max: 12_288,
            commands_before_login_max: 50,
            commands_max: 1_000_000,
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

/// RFC 2449 §4.
const LINE_OCTETS_LEAST: u64 = 255;

impl Limits {
    /// Sets the limit of that name.
    ///
    /// # Errors
    /// [`LimitError`]; the limit is then as it was.
    pub fn set(&mut self, name: &str, value: u64) -> Result<(), LimitError> {
        let least = match name {
            "line_octets_max" | "auth_line_octets_max" => LINE_OCTETS_LEAST,
            _ => 1,
        };
        let count = u32::try_from(value).map_err(|_| LimitError::Value);
        let octets = usize::try_from(value).map_err(|_| LimitError::Value);
        if value < least {
            return Err(LimitError::Value);
        }
        match name {
            "line_octets_max" => self.line_octets_max = octets?,
            "auth_line_octets_max" => self.auth_line_octets_max = octets?,
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
            "line_octets_max",
            "auth_line_octets_max",
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
        assert_eq!(Err(LimitError::Value), limits.set("violations_max", u64::MAX));
        assert_eq!(Limits::default(), limits);
    }
}

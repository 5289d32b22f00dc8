//! The grammar: a line without its ending → a command (RFC 1939 §3, RFC 2449 §4, RFC 5034 §4, RFC 6856 §2 and §3).
//!
//! ```text
//! command  = keyword *(SP argument)       keyword without regard to case
//! PASS     = "PASS" SP password           all of the rest, spaces too (RFC 1939 §7: it has one argument)
//! ```
//! Trailing spaces are let pass: clients send them, and they mean nothing. Not here: what has a place when (`order`).

use pymta_smtp::base64;

use crate::event::Password;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Capa,
    Stls,
    Utf8,
    /// A language range, or what there is.
    Lang(Option<String>),
    User(String),
    Pass(Password),
    /// AUTH alone: which mechanisms are there? Older clients ask so.
    AuthList,
    Auth {
        /// In upper case.
        mechanism: String,
        initial: Option<Vec<u8>>,
    },
    Stat,
    List(Option<u64>),
    Uidl(Option<u64>),
    Retr(u64),
    Top {
        number: u64,
        lines: u64,
    },
    Dele(u64),
    Rset,
    Noop,
    Quit,
}

/// Why a line says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandError {
    Unknown,
    Syntax,
    /// A NUL, or a CR that ends no line.
    Stray,
    /// The initial response is no base64.
    NotBase64,
}

/// Whether a line that begins so may be as long as a response: AUTH with an initial response is (RFC 5034 §4).
pub(crate) fn is_auth(octets: &[u8]) -> bool {
    octets
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"AUTH "))
}

/// Takes a line apart.
pub(crate) fn parse(line: &[u8]) -> Result<Command, CommandError> {
    if line.iter().any(|&octet| matches!(octet, 0 | b'\r')) {
        return Err(CommandError::Stray);
    }
    let end = line.iter().position(|&octet| octet == b' ').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.get(1..);
    let keyword = keyword.to_ascii_uppercase();
    if keyword == b"PASS" {
        let password = rest.filter(|rest| !rest.is_empty()).ok_or(CommandError::Syntax)?;
        return Ok(Command::Pass(Password::new(password)));
    }
    let rest = rest.unwrap_or_default().trim_ascii_end();
    let none = |command| match rest {
        b"" => Ok(command),
        _ => Err(CommandError::Syntax),
    };
    match &keyword[..] {
        b"CAPA" => none(Command::Capa),
        b"STLS" => none(Command::Stls),
        b"UTF8" => none(Command::Utf8),
        b"LANG" => language(rest),
        b"USER" => name(rest).map(Command::User),
        b"AUTH" => auth(rest),
        b"STAT" => none(Command::Stat),
        b"LIST" => perhaps_number(rest).map(Command::List),
        b"UIDL" => perhaps_number(rest).map(Command::Uidl),
        b"RETR" => number(rest).map(Command::Retr),
        b"TOP" => top(rest),
        b"DELE" => number(rest).map(Command::Dele),
        b"RSET" => none(Command::Rset),
        b"NOOP" => none(Command::Noop),
        b"QUIT" => none(Command::Quit),
        _ => Err(CommandError::Unknown),
    }
}

/// A name in UTF-8 (RFC 6856 §2.2) without control characters.
fn name(text: &[u8]) -> Result<String, CommandError> {
    let name = std::str::from_utf8(text).map_err(|_| CommandError::Syntax)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(CommandError::Syntax);
    }
    Ok(name.to_owned())
}

/// RFC 4647 §2.1: letters, digits and hyphens; or any language.
fn language(rest: &[u8]) -> Result<Command, CommandError> {
    let is_range = |range: &str| {
        let is_part = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
        range == "*" || range.bytes().all(is_part)
    };
    match rest {
        b"" => Ok(Command::Lang(None)),
        range => name(range)
            .ok()
            .filter(|range| is_range(range))
            .map(|range| Command::Lang(Some(range.to_ascii_lowercase())))
            .ok_or(CommandError::Syntax),
    }
}

fn auth(rest: &[u8]) -> Result<Command, CommandError> {
    let mut parts = rest.split(|&octet| octet == b' ');
    let mechanism = parts.next().unwrap_or_default();
    if mechanism.is_empty() {
        return Ok(Command::AuthList);
    }
    // RFC 4422 §3.1: letters, digits, hyphens and underscores.
    if !mechanism
        .iter()
        .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
    {
        return Err(CommandError::Syntax);
    }
    let initial = match (parts.next(), parts.next()) {
        (None, _) => None,
        (Some(b"="), None) => Some(Vec::new()), // RFC 5034 §4: an empty one
        (Some(text), None) => Some(base64::decode(text).ok_or(CommandError::NotBase64)?),
        (Some(_), Some(_)) => return Err(CommandError::Syntax),
    };
    let mechanism = String::from_utf8_lossy(mechanism).to_ascii_uppercase();
    Ok(Command::Auth { mechanism, initial })
}

fn top(rest: &[u8]) -> Result<Command, CommandError> {
    let at = rest
        .iter()
        .position(|&octet| octet == b' ')
        .ok_or(CommandError::Syntax)?;
    Ok(Command::Top {
        number: number(&rest[..at])?,
        lines: number(&rest[at + 1..])?,
    })
}

fn perhaps_number(text: &[u8]) -> Result<Option<u64>, CommandError> {
    match text {
        b"" => Ok(None),
        digits => number(digits).map(Some),
    }
}

/// Digits only; what is too large for us is larger than any maildrop.
fn number(digits: &[u8]) -> Result<u64, CommandError> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(CommandError::Syntax);
    }
    Ok(digits.iter().fold(0u64, |number, &digit| {
        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_are_understood() {
        for (line, command) in [
            (&b"capa"[..], Command::Capa),
            (b"Stat ", Command::Stat),
            (b"LIST", Command::List(None)),
            (b"LIST 12", Command::List(Some(12))),
            (b"UIDL 1 ", Command::Uidl(Some(1))),
            (b"TOP 1 0", Command::Top { number: 1, lines: 0 }),
            (
                b"USER a b@example.test",
                Command::User("a b@example.test".to_owned()),
            ),
            (
                b"USER \xc3\xbc@example.test",
                Command::User("ü@example.test".to_owned()),
            ),
            (b"PASS  a b ", Command::Pass(Password::new(b" a b "))),
            (b"AUTH", Command::AuthList),
            (b"LANG", Command::Lang(None)),
            (b"LANG *", Command::Lang(Some("*".to_owned()))),
            (b"LANG en-GB", Command::Lang(Some("en-gb".to_owned()))),
            (b"RETR 99999999999999999999999", Command::Retr(u64::MAX)),
        ] {
            assert_eq!(Ok(command), parse(line), "{line:?}");
        }
        let auth = |initial| {
            Ok(Command::Auth {
                mechanism: "PLAIN".to_owned(),
                initial,
            })
        };
        assert_eq!(auth(None), parse(b"auth plain"));
        assert_eq!(auth(Some(Vec::new())), parse(b"AUTH PLAIN ="));
        assert_eq!(auth(Some(b"\0a\0b".to_vec())), parse(b"AUTH PLAIN AGEAYg=="));
    }

    #[test]
    fn what_is_none_is_refused() {
        for (line, error) in [
            (&b""[..], CommandError::Unknown),
            (b"APOP a b", CommandError::Unknown),
            (b" STAT", CommandError::Unknown),
            (b"STAT 1", CommandError::Syntax),
            (b"LIST -1", CommandError::Syntax),
            (b"LIST 1 2", CommandError::Syntax),
            (b"RETR", CommandError::Syntax),
            (b"TOP 1", CommandError::Syntax),
            (b"TOP 1  2", CommandError::Syntax),
            (b"USER", CommandError::Syntax),
            (b"USER \xff", CommandError::Syntax),
            (b"LANG en fr", CommandError::Syntax),
            (b"LANG e*", CommandError::Syntax),
            (b"PASS", CommandError::Syntax),
            (b"PASS ", CommandError::Syntax),
            (b"AUTH PLAIN a b", CommandError::Syntax),
            (b"AUTH P.LAIN", CommandError::Syntax),
            (b"AUTH PLAIN ?", CommandError::NotBase64),
            (b"NO\rOP", CommandError::Stray),
            (b"NOOP\0", CommandError::Stray),
        ] {
            assert_eq!(Err(error), parse(line), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_parsed_without_panic(line in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&line);
        }
    }
}

//! The grammar of commands (RFC 5321 §4.1.1 and the extensions), as a table: verb, then what its argument may be.
//!
//! ```abnf
//! command = verb [SP argument] *WSP CRLF
//! ehlo    = "EHLO" SP ( Domain / address-literal )     ; HELO and LHLO (RFC 2033 §4.1) alike
//! mail    = "MAIL FROM:" Reverse-path [SP Mail-parameters]
//! rcpt    = "RCPT TO:" Forward-path [SP Rcpt-parameters]
//! data    = "DATA"
//! bdat    = "BDAT" SP 1*DIGIT [SP "LAST"]              ; RFC 3030 §2
//! rset    = "RSET"
//! vrfy    = "VRFY" SP String
//! expn    = "EXPN" SP String
//! help    = "HELP" [SP String]
//! noop    = "NOOP" [SP String]
//! quit    = "QUIT"
//! auth    = "AUTH" SP sasl-mech [SP initial-response]  ; RFC 4954 §4
//! initial-response = base64 / "="
//! starttls = "STARTTLS"                                ; RFC 3207
//! xclient = "XCLIENT" 1*( SP attribute "=" xtext )
//! ```
//!
//! Not here: whether a command is allowed now (`server::order`) or at all (`server::session`). Rule: what comes out
//! owns its parts and holds no octet that was not checked.

use pymta_types::{Address, AddressError, BodyType, Recipient};

use crate::base64;
use crate::line::CR;
use crate::param::{self, MailParameters, ParameterError};
use crate::path::{self, PathError};

/// Longest name that HELO, EHLO and LHLO may give (RFC 5321 §4.5.3.1.2).
const HELLO_NAME_OCTETS_MAX: usize = 255;
/// RFC 4422 §3.1.
const MECHANISM_OCTETS_MAX: usize = 20;

/// The verbs that have a meaning to us, be it to say that we do not do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Ehlo,
    Helo,
    Lhlo,
    Quit,
    Noop,
    StartTls,
    Auth,
    Xclient,
    Vrfy,
    Expn,
    Help,
    /// Defined somewhere, and not done here: ETRN, TURN, SEND and the like.
    NotImplemented,
    /// Another protocol's first word: what follows is not SMTP at all.
    Foreign,
}

/// Most frequent first: the table is searched from the top.
const VERBS: &[(&[u8], Verb)] = &[
    (b"MAIL", Verb::Mail),
    (b"RCPT", Verb::Rcpt),
    (b"DATA", Verb::Data),
    (b"RSET", Verb::Rset),
    (b"BDAT", Verb::Bdat),
    (b"EHLO", Verb::Ehlo),
    (b"QUIT", Verb::Quit),
    (b"NOOP", Verb::Noop),
    (b"HELO", Verb::Helo),
    (b"LHLO", Verb::Lhlo),
    (b"STARTTLS", Verb::StartTls),
    (b"AUTH", Verb::Auth),
    (b"XCLIENT", Verb::Xclient),
    (b"VRFY", Verb::Vrfy),
    (b"EXPN", Verb::Expn),
    (b"HELP", Verb::Help),
    (b"ETRN", Verb::NotImplemented),
    (b"ATRN", Verb::NotImplemented),
    (b"TURN", Verb::NotImplemented),
    (b"SEND", Verb::NotImplemented),
    (b"SOML", Verb::NotImplemented),
    (b"SAML", Verb::NotImplemented),
    (b"BURL", Verb::NotImplemented),
    (b"XFORWARD", Verb::NotImplemented),
    (b"GET", Verb::Foreign),
    (b"POST", Verb::Foreign),
    (b"PUT", Verb::Foreign),
    (b"HEAD", Verb::Foreign),
    (b"OPTIONS", Verb::Foreign),
    (b"CONNECT", Verb::Foreign),
];

/// A command whose grammar is right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Hello {
        verb: Verb,
        name: String,
    },
    Mail(Box<MailCommand>),
    Rcpt(Box<Recipient>),
    Data,
    Bdat {
        octets: u64,
        last: bool,
    },
    Rset,
    Noop,
    Vrfy,
    Expn,
    Help,
    Quit,
    StartTls,
    Auth {
        mechanism: String,
        initial: Option<Vec<u8>>,
    },
    Xclient(Vec<(&'static str, String)>),
}

/// MAIL with all it said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MailCommand {
    pub(crate) reverse_path: Option<Address>,
    pub(crate) parameters: MailParameters,
}

/// Why a line is not a command of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandError {
    /// The line holds a CR or a NUL.
    Stray,
    /// No verb that we know.
    Unknown,
    NotImplemented,
    Foreign,
    /// The verb's argument is missing, too much, or malformed; how it should look.
    Syntax(&'static str),
    ReversePath(PathError),
    ForwardPath(PathError),
    Parameter(ParameterError),
    /// The initial response is not base64.
    Base64,
    /// BDAT without a size: nobody knows where the next command begins.
    ChunkSize,
}

/// Reads a command line without its CRLF.
pub(crate) fn parse(line: &[u8]) -> Result<Command, CommandError> {
    if memchr::memchr2(CR, 0, line).is_some() {
        return Err(CommandError::Stray);
    }
    let line = line.trim_ascii_end(); // RFC 5321 §4.1.1 asks to tolerate white space at the end
    let word_end = line.iter().position(|&o| o == b' ').unwrap_or(line.len());
    let (word, argument) = (&line[..word_end], line[word_end..].trim_ascii_start());
    let known = VERBS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    let verb = known.map(|&(_, verb)| verb).ok_or(CommandError::Unknown)?;
    match verb {
        Verb::Mail => mail(argument),
        Verb::Rcpt => rcpt(argument),
        Verb::Data => alone(argument, Command::Data, "DATA"),
        Verb::Bdat => bdat(argument),
        Verb::Rset => alone(argument, Command::Rset, "RSET"),
        Verb::Quit => alone(argument, Command::Quit, "QUIT"),
        Verb::StartTls => alone(argument, Command::StartTls, "STARTTLS"),
        Verb::Ehlo => hello(verb, argument, "EHLO hostname"),
        Verb::Helo => hello(verb, argument, "HELO hostname"),
        Verb::Lhlo => hello(verb, argument, "LHLO hostname"),
        Verb::Noop => Ok(Command::Noop),
        Verb::Help => Ok(Command::Help),
        Verb::Vrfy if argument.is_empty() => Err(CommandError::Syntax("VRFY address")),
        Verb::Vrfy => Ok(Command::Vrfy),
        Verb::Expn => Ok(Command::Expn),
        Verb::Auth => auth(argument),
        Verb::Xclient => param::of_xclient(argument)
            .map(Command::Xclient)
            .map_err(CommandError::Parameter),
        Verb::NotImplemented => Err(CommandError::NotImplemented),
        Verb::Foreign => Err(CommandError::Foreign),
    }
}

/// Whether the line that starts so may be as long as AUTH's (RFC 4954 §4).
pub(crate) fn is_auth(line: &[u8]) -> bool {
    line.get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"AUTH "))
}

fn alone(argument: &[u8], command: Command, form: &'static str) -> Result<Command, CommandError> {
    if argument.is_empty() {
        Ok(command)
    } else {
        Err(CommandError::Syntax(form))
    }
}

/// The name is what ends up in a Received field and in logs, so it must be made of what domains and literals are made
/// of. Whether it is one is not checked: RFC 5321 §4.1.4 has us accept names that prove wrong, and `_` is common.
fn hello(verb: Verb, argument: &[u8], form: &'static str) -> Result<Command, CommandError> {
    let is_named = (1..=HELLO_NAME_OCTETS_MAX).contains(&argument.len())
        && argument
            .iter()
            .all(|o| o.is_ascii_alphanumeric() || b".-_:[]".contains(o));
    let name = std::str::from_utf8(argument).ok().filter(|_| is_named);
    name.map(|name| Command::Hello {
        verb,
        name: name.to_owned(),
    })
    .ok_or(CommandError::Syntax(form))
}

fn mail(argument: &[u8]) -> Result<Command, CommandError> {
    let (reverse_path, rest) = path::parse(argument, b"FROM:").map_err(CommandError::ReversePath)?;
    if reverse_path
        .as_ref()
        .is_some_and(|address| address.domain().is_empty())
    {
        // A bare postmaster is a forward-path only (RFC 5321 §4.1.1.3): mail to it could never come back.
        return Err(CommandError::ReversePath(PathError::Address(
            AddressError::NoDomain,
        )));
    }
    let parameters = param::of_mail(rest).map_err(CommandError::Parameter)?;
    Ok(Command::Mail(Box::new(MailCommand {
        reverse_path,
        parameters,
    })))
}

fn rcpt(argument: &[u8]) -> Result<Command, CommandError> {
    let (forward_path, rest) = path::parse(argument, b"TO:").map_err(CommandError::ForwardPath)?;
    let forward_path = forward_path.ok_or(CommandError::ForwardPath(PathError::Form))?;
    let parameters = param::of_rcpt(rest).map_err(CommandError::Parameter)?;
    Ok(Command::Rcpt(Box::new(Recipient {
        forward_path,
        notify: parameters.notify,
        original: parameters.original,
    })))
}

fn bdat(argument: &[u8]) -> Result<Command, CommandError> {
    let mut words = argument.split(|&octet| octet == b' ').filter(|w| !w.is_empty());
    let octets = words.next().and_then(decimal).ok_or(CommandError::ChunkSize)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"LAST") => true,
        Some(_) => return Err(CommandError::ChunkSize),
    };
    match words.next() {
        None => Ok(Command::Bdat { octets, last }),
        Some(_) => Err(CommandError::ChunkSize),
    }
}

/// Digits only, and no more than fit: no sign, no wrap.
fn decimal(word: &[u8]) -> Option<u64> {
    let digits = word.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(word).ok().filter(|_| digits)?.parse().ok()
}

fn auth(argument: &[u8]) -> Result<Command, CommandError> {
    const FORM: CommandError = CommandError::Syntax("AUTH mechanism [initial-response]");
    let mut words = argument.split(|&octet| octet == b' ').filter(|w| !w.is_empty());
    let mechanism = words.next().ok_or(FORM)?;
    let is_mechanism = mechanism.len() <= MECHANISM_OCTETS_MAX
        && mechanism
            .iter()
            .all(|o| o.is_ascii_alphanumeric() || *o == b'-' || *o == b'_');
    let mechanism = String::from_utf8(mechanism.to_ascii_uppercase())
        .ok()
        .filter(|_| is_mechanism);
    let initial = match words.next() {
        None => None,
        Some(b"=") => Some(Vec::new()), // RFC 4954 §4: a response, and it is empty
        Some(text) => Some(base64::decode(text).ok_or(CommandError::Base64)?),
    };
    match (mechanism, words.next()) {
        (Some(mechanism), None) => Ok(Command::Auth { mechanism, initial }),
        _ => Err(FORM),
    }
}

/// Whether a message whose BODY is `body` may come by DATA (RFC 3030 §3: BINARYMIME may not).
pub(crate) fn may_come_by_data(body: BodyType) -> bool {
    body != BodyType::BinaryMime
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hello_name(line: &str) -> Option<String> {
        match parse(line.as_bytes()) {
            Ok(Command::Hello { name, .. }) => Some(name),
            _ => None,
        }
    }

    #[test]
    fn verbs_are_known_in_any_case_and_with_white_space_behind() {
        assert_eq!(Some("a".to_owned()), hello_name("EHLO  a \t "));
        for line in ["QUIT", "quit", "QuIt  ", "QUIT\t"] {
            assert_eq!(Ok(Command::Quit), parse(line.as_bytes()), "{line}");
        }
        for line in ["", " QUIT", "QUITS", "QUI", "MAILFROM:<a@b>", "\u{441}"] {
            assert_eq!(Err(CommandError::Unknown), parse(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn a_name_can_hold_nothing_that_breaks_a_trace_field() {
        for name in [
            "a",
            "mail.example.test",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
            "my_pc",
        ] {
            assert_eq!(Some(name.to_owned()), hello_name(&format!("EHLO {name}")));
        }
        for name in [
            "",
            "a b",
            "a)",
            "(a",
            "a\\",
            "<a>",
            "a\"",
            "é",
            "a;b",
            "${run{x}}",
        ] {
            assert_eq!(None, hello_name(&format!("EHLO {name}")), "{name}");
        }
        assert_eq!(None, hello_name(&format!("EHLO {}", "x".repeat(256))));
    }

    #[test]
    fn chunk_sizes_do_not_wrap() {
        let size = |line: &str| parse(line.as_bytes());
        assert_eq!(
            Ok(Command::Bdat {
                octets: 0,
                last: true
            }),
            size("BDAT 0 LAST")
        );
        assert_eq!(
            Ok(Command::Bdat {
                octets: u64::MAX,
                last: false
            }),
            size("BDAT 18446744073709551615")
        );
        for line in [
            "BDAT",
            "BDAT x",
            "BDAT -1",
            "BDAT +1",
            "BDAT 18446744073709551616",
            "BDAT 1 LAST LAST",
            "BDAT 1 FIRST",
            "BDAT 0x10",
        ] {
            assert_eq!(Err(CommandError::ChunkSize), size(line), "{line}");
        }
    }

    #[test]
    fn auth_has_a_mechanism_and_perhaps_a_response() {
        let auth = |line: &str| parse(line.as_bytes());
        let made = |initial: Option<&[u8]>| {
            Ok(Command::Auth {
                mechanism: "PLAIN".to_owned(),
                initial: initial.map(<[u8]>::to_vec),
            })
        };
        assert_eq!(made(None), auth("AUTH plain"));
        assert_eq!(made(Some(b"")), auth("AUTH PLAIN ="));
        assert_eq!(made(Some(b"\0a\0b")), auth("AUTH PLAIN AGEAYg=="));
        assert_eq!(Err(CommandError::Base64), auth("AUTH PLAIN AGEAYg="));
        assert_eq!(Err(CommandError::Base64), auth("AUTH PLAIN *"));
        for line in [
            "AUTH",
            "AUTH PLAIN AGEAYg== x",
            "AUTH P/AIN",
            "AUTH AAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(matches!(auth(line), Err(CommandError::Syntax(_))), "{line}");
        }
    }

    #[test]
    fn arguments_where_none_belong_are_refused() {
        for line in ["DATA x", "RSET x", "QUIT x", "STARTTLS x", "VRFY"] {
            assert!(
                matches!(parse(line.as_bytes()), Err(CommandError::Syntax(_))),
                "{line}"
            );
        }
    }

    #[test]
    fn strays_and_foreign_words_are_told_apart() {
        assert_eq!(Err(CommandError::Stray), parse(b"NOOP\rQUIT"));
        assert_eq!(Err(CommandError::Stray), parse(b"NOOP\0"));
        assert_eq!(Err(CommandError::Foreign), parse(b"GET / HTTP/1.1"));
        assert_eq!(Err(CommandError::NotImplemented), parse(b"ETRN #',1);"));
        assert!(matches!(
            parse(b"RCPT TO:<>"),
            Err(CommandError::ForwardPath(PathError::Form))
        ));
        assert!(matches!(
            parse(b"MAIL FROM:<postmaster>"),
            Err(CommandError::ReversePath(_))
        ));
    }

    proptest! {
        #[test]
        fn never_panics(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&line);
        }

        #[test]
        fn never_panics_behind_a_verb(
            verb in prop_oneof!["MAIL FROM:<", "RCPT TO:<", "BDAT ", "AUTH ", "XCLIENT ", "EHLO "],
            tail in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = parse(&[verb.as_bytes(), &tail].concat());
        }
    }
}

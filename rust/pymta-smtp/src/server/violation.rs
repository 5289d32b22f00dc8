//! Everything a peer can do wrong, as one table: the kind for the log, the reply, whether it counts toward
//! `violations_max`, and whether the session ends with it.
//!
//! Not here: refusals by policy. They are no fault of the peer's and have no kind.

use pymta_types::{Enhanced, Reply};

/// The kinds: a closed list, because metrics are labelled with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ViolationKind {
    /// No command of that name, or one that is not offered here.
    UnknownCommand,
    /// A command's argument is malformed, missing or too much.
    Syntax,
    /// A reverse-path or forward-path is malformed.
    Path,
    /// An address beyond ASCII without SMTPUTF8 (RFC 6531 §3.5).
    Smtputf8Missing,
    /// A parameter is unknown or malformed.
    Parameter,
    /// The command has no place now (RFC 5321 §4.1.4).
    Order,
    /// The same, because what came before it was refused: who pipelines has sent it by then (RFC 2920 §3.1).
    AfterRefusal,
    /// A command or AUTH line is longer than allowed.
    CommandLineTooLong,
    /// A command holds a bare CR or a NUL.
    StrayInCommand,
    /// A line feed without carriage return among commands: the peer's lines are not ours.
    BareLfInCommand,
    /// Another protocol's first word.
    ForeignProtocol,
    /// A BDAT from which nobody can tell where the next command begins.
    ChunkSize,
    /// DATA was refused, and the content came all the same.
    PipelinedContent,
    /// Commands in the clear behind STARTTLS (RFC 3207 §6). They are dropped.
    StarttlsInjection,
    /// Not base64, or no response at all.
    AuthMalformed,
    /// AUTH in the clear where that is not allowed, or with a mechanism that is not offered.
    AuthNotAllowed,
    /// The client said SIZE, and it is too much.
    DeclaredTooLarge,
    /// Content over the limit.
    ContentTooLarge,
    /// A NUL in content that is made of lines.
    ContentNul,
    /// A bare CR or LF in content that is made of lines.
    ContentBareEnding,
    /// A line of content over the limit.
    ContentLineTooLong,
    /// More recipients than one message may have.
    TooManyRecipients,
    /// More messages than one session may have.
    TooManyMessages,
    /// More commands than one session may have.
    TooManyCommands,
    /// Too many commands in a row that lead nowhere.
    TooManyIdleCommands,
    /// Too many refused paths in a row.
    TooManyRefusals,
    /// Too many refused logins.
    TooManyAuthFailures,
    /// Too many of the above: always together with the one that was too many.
    TooManyViolations,
}

impl ViolationKind {
    /// The name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownCommand => "unknown-command",
            Self::Syntax => "syntax",
            Self::Path => "path",
            Self::Smtputf8Missing => "smtputf8-missing",
            Self::Parameter => "parameter",
            Self::Order => "order",
            Self::AfterRefusal => "after-refusal",
            Self::CommandLineTooLong => "command-line-too-long",
            Self::StrayInCommand => "stray-in-command",
            Self::BareLfInCommand => "bare-lf-in-command",
            Self::ForeignProtocol => "foreign-protocol",
            Self::ChunkSize => "chunk-size",
            Self::PipelinedContent => "pipelined-content",
            Self::StarttlsInjection => "starttls-injection",
            Self::AuthMalformed => "auth-malformed",
            Self::AuthNotAllowed => "auth-not-allowed",
            Self::DeclaredTooLarge => "declared-too-large",
            Self::ContentTooLarge => "content-too-large",
            Self::ContentNul => "content-nul",
            Self::ContentBareEnding => "content-bare-ending",
            Self::ContentLineTooLong => "content-line-too-long",
            Self::TooManyRecipients => "too-many-recipients",
            Self::TooManyMessages => "too-many-messages",
            Self::TooManyCommands => "too-many-commands",
            Self::TooManyIdleCommands => "too-many-idle-commands",
            Self::TooManyRefusals => "too-many-refusals",
            Self::TooManyAuthFailures => "too-many-auth-failures",
            Self::TooManyViolations => "too-many-violations",
        }
    }

    /// Whether it counts toward `violations_max`. What an honest client meets in the course of its work does not: a
    /// message too large or with too many recipients is not a reason to lose a connection.
    pub(super) fn counts(self) -> bool {
        !matches!(
            self,
            Self::DeclaredTooLarge
                | Self::ContentTooLarge
                | Self::TooManyRecipients
                | Self::Smtputf8Missing
                | Self::AfterRefusal
        )
    }

    /// Whether it counts toward `refusals_max`: it is about addresses, and a bound must be somewhere.
    pub(super) fn is_refusal(self) -> bool {
        matches!(self, Self::TooManyRecipients | Self::AfterRefusal)
    }
}

/// One row: what is said to one fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) kind: ViolationKind,
    code: u16,
    enhanced: Enhanced,
    text: &'static str,
}

impl Fault {
    /// The reply of this row, with more about the case behind a colon where there is more.
    pub(super) fn reply(&self, detail: Option<&str>) -> Reply {
        match detail {
            None => Reply::fixed(self.code, self.enhanced, self.text),
            Some(detail) => Reply::fixed(self.code, self.enhanced, &format!("{}: {detail}", self.text)),
        }
    }
}

macro_rules! faults {
    ($($name:ident = $kind:ident, $code:literal, $class:literal . $subject:literal . $detail:literal, $text:literal;)*) => {
        $(pub(super) const $name: Fault = Fault {
            kind: ViolationKind::$kind,
            code: $code,
            enhanced: Enhanced($class, $subject, $detail),
            text: $text,
        };)*
        #[cfg(test)]
        const ALL: &[Fault] = &[$($name),*];
    };
}

// A 421 or 521 row ends the session (RFC 5321 §3.8, RFC 7504 §3).
faults! {
    UNKNOWN_COMMAND = UnknownCommand, 500, 5 . 5 . 2, "command not recognised";
    NOT_OFFERED = UnknownCommand, 502, 5 . 5 . 1, "command not implemented";
    SYNTAX = Syntax, 501, 5 . 5 . 4, "syntax";
    REVERSE_PATH = Path, 501, 5 . 1 . 7, "bad reverse-path";
    FORWARD_PATH = Path, 501, 5 . 1 . 3, "bad forward-path";
    SMTPUTF8_MISSING = Smtputf8Missing, 553, 5 . 6 . 7, "an address beyond ASCII needs SMTPUTF8";
    PARAMETER_UNKNOWN = Parameter, 555, 5 . 5 . 4, "parameter not recognised";
    PARAMETER_MALFORMED = Parameter, 501, 5 . 5 . 4, "malformed parameter";
    ORDER = Order, 503, 5 . 5 . 1, "bad sequence of commands";
    HELLO_FIRST = Order, 503, 5 . 5 . 1, "name yourself first (EHLO)";
    TRANSACTION_REFUSED = AfterRefusal, 503, 5 . 5 . 1, "this transaction was refused";
    NO_RECIPIENTS = AfterRefusal, 554, 5 . 5 . 1, "no valid recipients";
    BINARY_NEEDS_BDAT = Order, 503, 5 . 5 . 1, "BODY=BINARYMIME needs BDAT";
    TLS_ACTIVE = Order, 503, 5 . 5 . 1, "TLS is active already";
    AUTHENTICATED = Order, 503, 5 . 5 . 1, "already authenticated";
    COMMAND_LINE_TOO_LONG = CommandLineTooLong, 500, 5 . 5 . 2, "line too long";
    STRAY_IN_COMMAND = StrayInCommand, 500, 5 . 5 . 2, "bare CR or NUL in a command";
    BARE_LF_IN_COMMAND = BareLfInCommand, 521, 5 . 5 . 2, "lines end with CR LF; closing";
    FOREIGN_PROTOCOL = ForeignProtocol, 521, 5 . 5 . 1, "this is a mail server; closing";
    CHUNK_SIZE = ChunkSize, 521, 5 . 5 . 4, "syntax: BDAT octets [LAST]; closing";
    PIPELINED_CONTENT = PipelinedContent, 421, 4 . 7 . 0, "content without a 354; closing";
    STARTTLS_INJECTION = StarttlsInjection, 554, 5 . 7 . 0, "commands behind STARTTLS were dropped";
    AUTH_BASE64 = AuthMalformed, 501, 5 . 5 . 2, "response is not base64";
    AUTH_CANCELLED = AuthMalformed, 501, 5 . 7 . 0, "authentication cancelled";
    AUTH_NEEDS_TLS = AuthNotAllowed, 538, 5 . 7 . 11, "authentication needs TLS";
    AUTH_MECHANISM = AuthNotAllowed, 504, 5 . 5 . 4, "mechanism not offered";
    DECLARED_TOO_LARGE = DeclaredTooLarge, 552, 5 . 3 . 4, "message too large";
    CONTENT_TOO_LARGE = ContentTooLarge, 552, 5 . 3 . 4, "message too large";
    CONTENT_NUL = ContentNul, 550, 5 . 6 . 0, "NUL in the message";
    CONTENT_BARE_ENDING = ContentBareEnding, 550, 5 . 6 . 0, "bare CR or LF in the message";
    CONTENT_LINE_TOO_LONG = ContentLineTooLong, 550, 5 . 6 . 0, "line too long in the message";
    TOO_MANY_RECIPIENTS = TooManyRecipients, 452, 4 . 5 . 3, "too many recipients, send the rest in another message";
    TOO_MANY_MESSAGES = TooManyMessages, 421, 4 . 7 . 0, "too many messages in this session; closing";
    TOO_MANY_COMMANDS = TooManyCommands, 421, 4 . 7 . 0, "too many commands in this session; closing";
    TOO_MANY_IDLE_COMMANDS = TooManyIdleCommands, 421, 4 . 7 . 0, "too many commands without a message; closing";
    TOO_MANY_REFUSALS = TooManyRefusals, 421, 4 . 7 . 0, "too many refused addresses; closing";
    TOO_MANY_AUTH_FAILURES = TooManyAuthFailures, 421, 4 . 7 . 0, "too many failed logins; closing";
    TOO_MANY_VIOLATIONS = TooManyViolations, 421, 4 . 7 . 0, "too many errors; closing";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_reply() {
        for fault in ALL {
            assert!(!fault.reply(None).is_positive());
            assert!(fault.reply(Some("more")).text().ends_with(": more"));
        }
    }
}

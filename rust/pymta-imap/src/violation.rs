//! Everything a peer can do wrong, as one table: the kind for the log, the text, whether the session ends with it.
//!
//! Not here: what a mailbox cannot do (no such mailbox, no such message), and refused logins, which are counted apart.

/// The kinds: a closed list, because metrics are labelled with it. The names are those of SMTP where the fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ViolationKind {
    /// No tag, or one that cannot be repeated.
    BadTag,
    /// No command of that name, or one that is not offered here.
    UnknownCommand,
    /// A command's argument is malformed, missing or too much.
    Syntax,
    /// The command has no place now.
    Order,
    /// A line is longer than allowed.
    CommandLineTooLong,
    /// A literal is larger than allowed.
    LiteralTooLarge,
    /// More nesting, arguments or numbers than a command may have.
    TooComplex,
    /// A line feed without carriage return.
    BareLfInCommand,
    /// Commands in the clear behind STARTTLS (RFC 9051 §6.2.1). They are dropped.
    StartTlsInjection,
    /// Not base64, or no response at all.
    AuthMalformed,
    /// A login in the clear where that is not allowed, or with a mechanism that is not offered.
    AuthNotAllowed,
    /// What was to be inflated is no DEFLATE, or grows beyond measure.
    Compression,
    /// More commands than one session may have.
    TooManyCommands,
    /// Too many refused logins.
    TooManyAuthFailures,
    /// Too many of the above: always together with the one that was too many.
    TooManyViolations,
}

impl ViolationKind {
    /// The name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadTag => "bad-tag",
            Self::UnknownCommand => "unknown-command",
            Self::Syntax => "syntax",
            Self::Order => "order",
            Self::CommandLineTooLong => "command-line-too-long",
            Self::LiteralTooLarge => "literal-too-large",
            Self::TooComplex => "too-complex",
            Self::BareLfInCommand => "bare-lf-in-command",
            Self::StartTlsInjection => "starttls-injection",
            Self::AuthMalformed => "auth-malformed",
            Self::AuthNotAllowed => "auth-not-allowed",
            Self::Compression => "compression",
            Self::TooManyCommands => "too-many-commands",
            Self::TooManyAuthFailures => "too-many-auth-failures",
            Self::TooManyViolations => "too-many-violations",
        }
    }

    /// What the peer is told.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::BadTag => "a command begins with a tag",
            Self::UnknownCommand => "unknown command",
            Self::Syntax => "malformed argument",
            Self::Order => "not now",
            Self::CommandLineTooLong => "line too long",
            Self::LiteralTooLarge => "literal too large",
            Self::TooComplex => "too complex",
            Self::BareLfInCommand => "lines end with CR LF",
            Self::StartTlsInjection => "commands behind STARTTLS",
            Self::AuthMalformed => "malformed or cancelled authentication",
            Self::AuthNotAllowed => "not offered here; without TLS, use STARTTLS first",
            Self::Compression => "what arrives cannot be inflated",
            Self::TooManyCommands => "too many commands, closing connection",
            Self::TooManyAuthFailures => "too many failed logins, closing connection",
            Self::TooManyViolations => "too many errors, closing connection",
        }
    }

    pub(crate) fn ends_session(self) -> bool {
        matches!(
            self,
            Self::Compression | Self::TooManyCommands | Self::TooManyAuthFailures | Self::TooManyViolations
        )
    }
}

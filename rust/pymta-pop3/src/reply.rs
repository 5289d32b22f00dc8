//! How a reply is written: `+OK`, or `-ERR` with a code that programs understand (RFC 2449 §8, RFC 3206).

/// Why something failed, for the client's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Somebody else has the maildrop.
    InUse,
    /// A login too soon after the last.
    LoginDelay,
    /// Name or password is wrong: ask the person.
    Auth,
    /// Trouble of ours that may pass.
    SysTemp,
    /// Trouble of ours that will not pass by itself.
    SysPerm,
}

impl Code {
    /// The code of that name; None where there is none.
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::InUse,
            Self::LoginDelay,
            Self::Auth,
            Self::SysTemp,
            Self::SysPerm,
        ]
        .into_iter()
        .find(|code| code.as_str() == name)
    }

    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "IN-USE",
            Self::LoginDelay => "LOGIN-DELAY",
            Self::Auth => "AUTH",
            Self::SysTemp => "SYS/TEMP",
            Self::SysPerm => "SYS/PERM",
        }
    }
}

/// The longest text of a reply: RFC 2449 §4 has 512 octets for the line.
const TEXT_OCTETS_MAX: usize = 400;

/// `+OK text`.
pub(crate) fn ok(out: &mut Vec<u8>, text: &str) {
    line(out, "+OK", text);
}

/// `-ERR [CODE] text`.
pub(crate) fn err(out: &mut Vec<u8>, code: Option<Code>, text: &str) {
    match code {
        None => line(out, "-ERR", text),
        Some(code) => line(out, &format!("-ERR [{}]", code.as_str()), text),
    }
}

/// Only what may stand in a line gets into it, whoever gave the text.
fn line(out: &mut Vec<u8>, status: &str, text: &str) {
    out.extend_from_slice(status.as_bytes());
    if !text.is_empty() {
        out.push(b' ');
        let safe = text.bytes().take(TEXT_OCTETS_MAX);
        out.extend(safe.map(|octet| if matches!(octet, b' '..=b'~') { octet } else { b'?' }));
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_makes_a_line_of_its_own() {
        let mut out = Vec::new();
        err(&mut out, Some(Code::SysTemp), "a\r\n+OK\n\u{fc}");
        assert_eq!(b"-ERR [SYS/TEMP] a??+OK???\r\n", &out[..]);
        assert_eq!(Some(Code::SysTemp), Code::parse("SYS/TEMP"));
        assert_eq!(None, Code::parse("sys"));
    }
}

//! What ends a line: CR LF and nothing else (RFC 5321 §2.3.8). The only file that decides it, in [`unpaired`]: after
//! this there are command lines without endings, or octets of content, never both.
//!
//! Not here: what a command line says (`command`), and what a dot at the start of a line means (`data`).

use memchr::memchr;

/// Carriage return.
pub(crate) const CR: u8 = b'\r';
/// Line feed.
pub const LF: u8 = b'\n';
/// The one ending.
pub const CRLF: &[u8; 2] = b"\r\n";

/// Whether `second`, right after `first`, leaves a CR without its LF or an LF without its CR.
///
/// Every decision about endings is this one. A pair for which it is false and whose second octet is LF is an ending.
#[inline(always)]
fn unpaired(first: u8, second: u8) -> bool {
    (first == CR) != (second == LF)
}

/// What was found at the start of what a peer sent as commands.
#[derive(Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// A line of so many octets, its CRLF included. It may hold a stray CR: `command` refuses that.
    Whole(usize),
    /// A line feed without its carriage return after so many octets. The peer's lines are not ours.
    BareLf(usize),
    /// No ending yet, and no reason not to wait for it.
    Partial,
    /// More than `octets_max` octets without an ending; it must be skipped to its end.
    TooLong,
}

/// Looks for the end of the command line that starts `octets`; it may have `octets_max` octets with its CRLF.
pub fn command_line(octets: &[u8], octets_max: usize) -> CommandLine {
    let window = &octets[..octets.len().min(octets_max)];
    match memchr(LF, window) {
        Some(end) if end > 0 && !unpaired(window[end - 1], LF) => CommandLine::Whole(end + 1),
        Some(end) => CommandLine::BareLf(end + 1),
        None if window.len() == octets_max => CommandLine::TooLong,
        None => CommandLine::Partial,
    }
}

/// Where the line that is being skipped ends: the octet after its CRLF. `before` is the octet before `octets`.
pub fn end_of_skipped(before: u8, octets: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = memchr(LF, &octets[from..]) {
        let at = from + found;
        let previous = if at == 0 { before } else { octets[at - 1] };
        if !unpaired(previous, LF) {
            return Some(at + 1);
        }
        from = at + 1;
    }
    None
}

/// What is wrong with octets that ought to be lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strays {
    /// A CR without LF or an LF without CR.
    pub(crate) bare: bool,
    /// A NUL.
    pub(crate) nul: bool,
}

/// Looks through `octets`, which follow `before`, for strays. A CR at the very end is not one yet: the next call's
/// `before` says so, and who ends the content must look at its last octet.
///
/// One pass without branches, so that it is compiled to vector instructions: no cost per line.
pub(crate) fn strays(before: u8, octets: &[u8]) -> Strays {
    let Some(&first) = octets.first() else {
        return Strays::default();
    };
    let mut bare = unpaired(before, first);
    let mut nul = first == 0;
    for (&a, &b) in octets.iter().zip(&octets[1..]) {
        bare |= unpaired(a, b);
        nul |= b == 0;
    }
    Strays { bare, nul }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crlf_ends_a_command_line() {
        for (octets, found) in [
            (&b"NOOP\r\nQUIT\r\n"[..], CommandLine::Whole(6)),
            (b"NOOP\r", CommandLine::Partial),
            (b"", CommandLine::Partial),
            (b"NOOP\n", CommandLine::BareLf(5)),
            (b"\n", CommandLine::BareLf(1)),
            (b"NO\rOP\r\n", CommandLine::Whole(7)),
            (b"NOOP\r\r\n", CommandLine::Whole(7)),
            (b"0123456789\r\n", CommandLine::TooLong),
            (b"01234567\r\n", CommandLine::Whole(10)),
        ] {
            assert_eq!(found, command_line(octets, 10), "{octets:?}");
        }
    }

    #[test]
    fn a_skipped_line_ends_at_its_crlf_even_over_a_split() {
        assert_eq!(Some(5), end_of_skipped(b'x', b"a\nb\r\nc"));
        assert_eq!(Some(1), end_of_skipped(CR, b"\nc"));
        assert_eq!(None, end_of_skipped(b'x', b"\nc\r"));
    }

    #[test]
    fn strays_are_found_wherever_they_are() {
        for (octets, bare, nul) in [
            (&b"a\r\nb\r\n"[..], false, false),
            (b"a\rb\r\n", true, false),
            (b"a\nb\r\n", true, false),
            (b"\n", true, false),
            (b"\r\n\r", false, false),
            (b"\r\r\n", true, false),
            (b"\0", false, true),
            (b"a\r\n\0", false, true),
            (b"\r\n\n", true, false),
        ] {
            assert_eq!(Strays { bare, nul }, strays(LF, octets), "{octets:?}");
        }
        assert!(!strays(CR, b"\n").bare && strays(CR, b"a").bare);
    }
}

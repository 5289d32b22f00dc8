//! Names of mailboxes: modified UTF-7 (RFC 3501 §5.1.3) ↔ UTF-8, and INBOX in whatever case.
//!
//! Not here: which names a store can have (`pymta-index`), and the encoding itself (`pymta-types`).

use pymta_types::{from_utf7, to_utf7};

/// The longest name that is taken, in UTF-8.
pub const NAME_OCTETS_MAX: usize = 1000;

/// The name that a client wrote; None where it is none. `utf8`: UTF-8 is what the session has (RFC 6855 §3, RFC 9051
/// §5.1), and `&` a letter as any other.
///
/// INBOX, and its part of a name below it, comes out in capitals; a separator at the end is gone.
pub fn decode(wire: &[u8], utf8: bool) -> Option<String> {
    let text = str::from_utf8(wire).ok()?;
    let name = if utf8 {
        text.to_owned()
    } else {
        from_utf7(text, &[])?
    };
    if name.len() > NAME_OCTETS_MAX || name.chars().any(char::is_control) {
        return None;
    }
    let name = name.strip_suffix('/').unwrap_or(&name);
    Some(match name.split_at_checked(5) {
        Some((first, rest))
            if first.eq_ignore_ascii_case("INBOX") && (rest.is_empty() || rest.starts_with('/')) =>
        {
            format!("INBOX{rest}")
        }
        _ => name.to_owned(),
    })
}

/// A pattern of LIST: as [`decode`], but that a separator at its end stays.
pub fn decode_pattern(wire: &[u8], utf8: bool) -> Option<String> {
    let mut pattern = decode(wire, utf8)?;
    if wire.ends_with(b"/") {
        pattern.push('/');
    }
    Some(pattern)
}

/// The name as the wire has it where UTF-8 was not enabled.
pub fn encode(name: &str) -> String {
    to_utf7(name, &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The examples of RFC 3501 §5.1.3, and names that clients make.
    #[test]
    fn known_answers() {
        for (wire, name) in [
            (
                "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
                "~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}",
            ),
            ("Entw&APw-rfe", "Entw\u{fc}rfe"),
            ("R&-D", "R&D"),
            ("&2D3eAA-", "\u{1f600}"),
            ("", ""),
        ] {
            assert_eq!(Some(name.to_owned()), decode(wire.as_bytes(), false), "{wire}");
            assert_eq!(wire, encode(name));
            assert_eq!(Some(name.to_owned()), decode(name.as_bytes(), true), "{wire}");
        }
    }

    #[test]
    fn a_second_spelling_is_no_name() {
        for wire in [
            "&",
            "&AGE-",
            "&U,BTFw",
            "&Jjo!",
            "&U,BTFw-&ZeVnLIqe-",
            "&APw",
            "&AP-",
            "&2D0-",
            "a\0",
            "a\r",
            "a\n",
            "&AAA-",
            "\u{fc}",
            "&APx-",
        ] {
            assert_eq!(None, decode(wire.as_bytes(), false), "{wire:?}");
        }
        assert_eq!(None, decode(&[0xff], true));
        assert_eq!(None, decode(&vec![b'a'; NAME_OCTETS_MAX + 1], true));
        assert_eq!(None, decode("a\u{85}".as_bytes(), true));
    }

    #[test]
    fn inbox_is_in_capitals_whatever_case_it_came_in() {
        for (wire, name) in [
            ("inbox", "INBOX"),
            ("InBox/Sub", "INBOX/Sub"),
            ("inboxes", "inboxes"),
            ("a/inbox", "a/inbox"),
            ("a/", "a"),
            ("\u{e9}\u{e9}\u{e9}", "\u{e9}\u{e9}\u{e9}"),
        ] {
            assert_eq!(Some(name.to_owned()), decode(wire.as_bytes(), true));
        }
        assert_eq!(Some("INBOX/".to_owned()), decode_pattern(b"inbox/", false));
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "[^\\p{Cc}/]{0,20}") {
            let decoded = decode(encode(&name).as_bytes(), false).unwrap();
            prop_assert!(decoded.eq_ignore_ascii_case(&name));
        }

        #[test]
        fn what_is_a_name_has_one_spelling(wire in "[&,A-Za-c+-]{0,12}") {
            if let Some(name) = decode(wire.as_bytes(), false) {
                prop_assert!(encode(&name).eq_ignore_ascii_case(&wire));
            }
        }
    }
}

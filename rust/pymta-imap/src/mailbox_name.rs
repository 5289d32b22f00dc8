//! Names of mailboxes: modified UTF-7 (RFC 3501 §5.1.3) ↔ UTF-8, and INBOX in whatever case.
//!
//! Not here: which names a store can have (`pymta-index`).

/// The longest name that is taken, in UTF-8.
pub const NAME_OCTETS_MAX: usize = 1000;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// The name that a client wrote; None where it is none. `utf8`: UTF-8 is what the session has (RFC 6855 §3, RFC 9051
/// §5.1), and `&` a letter as any other.
///
/// INBOX, and its part of a name below it, comes out in capitals; a separator at the end is gone.
pub fn decode(wire: &[u8], utf8: bool) -> Option<String> {
    let text = str::from_utf8(wire).ok()?;
    let name = if utf8 { text.to_owned() } else { from_utf7(text)? };
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
pub fn to_utf7(name: &str) -> String {
    let mut wire = String::with_capacity(name.len());
    let mut shifted = String::new();
    for letter in name.chars() {
        if matches!(letter, ' '..='~') {
            shift(&mut wire, &mut shifted);
            wire.push(letter);
            if letter == '&' {
                wire.push('-');
            }
        } else {
            shifted.push(letter);
        }
    }
    shift(&mut wire, &mut shifted);
    wire
}

/// Writes what was gathered between `&` and `-`.
fn shift(wire: &mut String, shifted: &mut String) {
    if shifted.is_empty() {
        return;
    }
    wire.push('&');
    let (mut bits, mut count) = (0u32, 0);
    for unit in shifted.encode_utf16() {
        bits = bits << 16 | u32::from(unit);
        count += 16;
        while count >= 6 {
            count -= 6;
            wire.push(char::from(ALPHABET[(bits >> count & 63) as usize]));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        wire.push(char::from(ALPHABET[(bits << (6 - count) & 63) as usize]));
    }
    wire.push('-');
    shifted.clear();
}

/// None for what `to_utf7` would not have written: two spellings would be two names.
fn from_utf7(wire: &str) -> Option<String> {
    let mut name = String::with_capacity(wire.len());
    let mut rest = wire;
    while let Some((before, behind)) = rest.split_once('&') {
        name.push_str(before);
        let (shifted, after) = behind.split_once('-')?;
        if shifted.is_empty() {
            name.push('&');
        } else {
            name.push_str(&unshift(shifted)?);
        }
        rest = after;
    }
    name.push_str(rest);
    (to_utf7(&name) == wire).then_some(name)
}

fn unshift(shifted: &str) -> Option<String> {
    let (mut bits, mut count) = (0u32, 0);
    let mut units = Vec::with_capacity(shifted.len() * 6 / 16);
    for digit in shifted.bytes() {
        let value = ALPHABET.iter().position(|&one| one == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push(u16::try_from(bits >> count & 0xffff).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    String::from_utf16(&units).ok()
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
            assert_eq!(wire, to_utf7(name));
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
            let decoded = decode(to_utf7(&name).as_bytes(), false).unwrap();
            prop_assert!(decoded.eq_ignore_ascii_case(&name));
        }

        #[test]
        fn what_is_a_name_has_one_spelling(wire in "[&,A-Za-c+-]{0,12}") {
            if let Some(name) = from_utf7(&wire) {
                prop_assert_eq!(wire, to_utf7(&name));
            }
        }
    }
}

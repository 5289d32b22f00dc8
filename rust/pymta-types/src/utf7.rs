//! Modified UTF-7 (RFC 3501 §5.1.3): names of mailboxes as IMAP wrote them before UTF-8, and as their folders are
//! called on disk.
//!
//! Not here: which names there can be. `pymta-imap` has what a client may say, `pymta-maildir` what a folder may be.
//! The rule: a name has one spelling, and what is spelt otherwise is no name, because it would be a second one.

/// Modified base64: `,` stands for `/`.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// The name in ASCII: what is not printable ASCII, and what is in `hidden`, is base64 between `&` and `-`.
pub fn to_utf7(name: &str, hidden: &[char]) -> String {
    let mut wire = String::with_capacity(name.len());
    let mut shifted = String::new();
    for letter in name.chars() {
        if matches!(letter, ' '..='~') && !hidden.contains(&letter) {
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

/// The name; None for what [`to_utf7`] would not have written with the same `hidden`.
pub fn from_utf7(wire: &str, hidden: &[char]) -> Option<String> {
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
    (to_utf7(&name, hidden) == wire).then_some(name)
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
            assert_eq!(wire, to_utf7(name, &[]));
            assert_eq!(Some(name), from_utf7(wire, &[]).as_deref(), "{wire}");
        }
    }

    #[test]
    fn what_is_hidden_is_base64_too_and_only_so() {
        assert_eq!("v1&AC4-0", to_utf7("v1.0", &['.']));
        assert_eq!(Some("v1.0"), from_utf7("v1&AC4-0", &['.']).as_deref());
        assert_eq!(None, from_utf7("v1.0", &['.']));
        assert_eq!(None, from_utf7("v1&AC4-0", &[]));
        assert_eq!("a&AC4A5A-b", to_utf7("a.\u{e4}b", &['.'])); // one run, not two
    }

    /// Not closed, not base64, two runs for one, bits left over, a lone surrogate, printable ASCII in base64.
    #[test]
    fn a_second_spelling_is_no_name() {
        for wire in [
            "&",
            "&U,BTFw",
            "&APw",
            "&Jjo!",
            "&!-",
            "&U,BTFw-&ZeVnLIqe-",
            "&AP-",
            "&APx-",
            "&2D0-",
            "&AGE-",
            "\u{fc}",
        ] {
            assert_eq!(None, from_utf7(wire, &[]), "{wire:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "\\PC{0,20}") {
            for hidden in [&[][..], &['.', '\\'][..]] {
                let wire = to_utf7(&name, hidden);
                prop_assert!(wire.bytes().all(|octet| matches!(octet, b' '..=b'~')));
                prop_assert_eq!(Some(name.clone()), from_utf7(&wire, hidden));
            }
        }

        #[test]
        fn what_is_a_name_has_one_spelling(wire in "[&,A-Za-c+.-]{0,12}") {
            if let Some(name) = from_utf7(&wire, &[]) {
                prop_assert_eq!(wire, to_utf7(&name, &[]));
            }
        }
    }
}

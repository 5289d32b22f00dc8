//! Names of folders on disk: modified UTF-7 (RFC 3501 §5.1.3), levels parted by dots, as Courier and Dovecot have them.
//!
//! What could not be part of a level on disk (a dot, a backslash) is written in base64 as well, so that every name that
//! a client may choose has a folder, and a name read back is the one that was written.

use std::fmt::Write;

use thiserror::Error;

use crate::path::FolderName;

/// Modified base64: `,` stands for `/`.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// A name that no folder can have: an empty level, a control character, or too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Error)]
#[error("no folder can have that name")]
pub struct FolderNameError;

/// The folder for a mailbox's name: UTF-8, levels parted by `/`.
///
/// # Errors
/// Where no folder can have it.
pub fn to_disk(name: &str) -> Result<FolderName, FolderNameError> {
    if name.chars().any(char::is_control) {
        return Err(FolderNameError);
    }
    let levels: Vec<String> = name.split('/').map(encode).collect();
    FolderName::new(&levels.join(".")).map_err(|_| FolderNameError)
}

/// The mailbox's name for a folder on disk, with its leading dot; None where it is none that `to_disk` makes.
pub fn from_disk(on_disk: &str) -> Option<String> {
    let levels: Option<Vec<String>> = on_disk.strip_prefix('.')?.split('.').map(decode).collect();
    let name = levels?.join("/");
    let is_same = to_disk(&name).is_ok_and(|folder| folder.on_disk() == on_disk);
    is_same.then_some(name)
}

fn encode(level: &str) -> String {
    let (mut out, mut wide) = (String::new(), Vec::new());
    for c in level.chars() {
        if matches!(c, ' '..='~') && !matches!(c, '.' | '\\') {
            flush(&mut wide, &mut out);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            wide.extend_from_slice(c.encode_utf16(&mut [0; 2]));
        }
    }
    flush(&mut wide, &mut out);
    out
}

/// Writes what has to be base64.
fn flush(wide: &mut Vec<u16>, out: &mut String) {
    if wide.is_empty() {
        return;
    }
    out.push('&');
    let (mut bits, mut count) = (0u32, 0u32);
    for unit in wide.drain(..) {
        bits = bits << 16 | u32::from(unit);
        count += 16;
        while count >= 6 {
            count -= 6;
            out.push(char::from(ALPHABET[(bits >> count & 63) as usize]));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        out.push(char::from(ALPHABET[(bits << (6 - count) & 63) as usize]));
    }
    let _ = out.write_char('-'); // writing to a String cannot fail
}

fn decode(level: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = level;
    while let Some((plain, after)) = rest.split_once('&') {
        out.push_str(plain);
        let (coded, behind) = after.split_once('-')?;
        rest = behind;
        if coded.is_empty() {
            out.push('&');
            continue;
        }
        let (mut bits, mut count, mut wide) = (0u32, 0u32, Vec::new());
        for octet in coded.bytes() {
            let value = ALPHABET.iter().position(|&known| known == octet)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
            count += 6;
            if count >= 16 {
                count -= 16;
                wide.push(u16::try_from(bits >> count & 0xffff).ok()?);
            }
            bits &= (1 << count) - 1;
        }
        out.push_str(&String::from_utf16(&wide).ok()?);
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_rfc_3501_and_of_dovecot_are_known() {
        for (name, on_disk) in [
            ("Sent", ".Sent"),
            ("Lists/pymta", ".Lists.pymta"),
            ("~peter/mail/台北/日本語", ".~peter.mail.&U,BTFw-.&ZeVnLIqe-"),
            ("Entwürfe", ".Entw&APw-rfe"),
            ("A&B", ".A&-B"),
            ("v1.0", ".v1&AC4-0"),
            ("😀", ".&2D3eAA-"),
        ] {
            assert_eq!(on_disk, to_disk(name).unwrap().on_disk(), "{name}");
            assert_eq!(Some(name), from_disk(on_disk).as_deref());
        }
    }

    #[test]
    fn what_leads_elsewhere_or_is_not_canonical_is_no_name() {
        for name in ["", "/", "a//b", "/a", "a/", "a\nb", "a\0", &"x".repeat(300)] {
            assert_eq!(Err(FolderNameError), to_disk(name), "{name:?}");
        }
        // Not closed, not base64, printable ASCII in base64, a lone surrogate, a slash.
        for on_disk in [
            ".", "..", "x", ".&AOQ", ".&!-", ".&AGE-", ".&2D0-", ".&AC8-", ".a..b",
        ] {
            assert_eq!(None, from_disk(on_disk), "{on_disk:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_survives_the_disk(name in "\\PC{1,20}(/\\PC{1,8}){0,3}") {
            if let Ok(folder) = to_disk(&name) {
                prop_assert_eq!(Some(name), from_disk(folder.on_disk()));
            }
        }

        #[test]
        fn any_folder_is_read_without_panic(on_disk in "\\.[ -~]{0,24}") {
            if let Some(name) = from_disk(&on_disk) {
                let folder = to_disk(&name).unwrap();
                prop_assert_eq!(folder.on_disk(), on_disk);
            }
        }
    }
}

//! Names of folders on disk: modified UTF-7 (RFC 3501 §5.1.3), levels parted by dots, as Courier and Dovecot have them.
//!
//! What could not be part of a level on disk (a dot, a backslash) is written in base64 as well, so that every name that
//! a client may choose has a folder, and a name read back is the one that was written.

use pymta_types::{from_utf7, to_utf7};
use thiserror::Error;

use crate::path::FolderName;

/// Printable, but not in a level on disk: one parts levels, the other parts folders elsewhere.
const HIDDEN: &[char] = &['.', '\\'];

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
    let levels: Vec<String> = name.split('/').map(|level| to_utf7(level, HIDDEN)).collect();
    FolderName::new(&levels.join(".")).map_err(|_| FolderNameError)
}

/// The mailbox's name for a folder on disk, with its leading dot; None where it is none that `to_disk` makes.
pub fn from_disk(on_disk: &str) -> Option<String> {
    let levels: Option<Vec<String>> = on_disk
        .strip_prefix('.')?
        .split('.')
        .map(|level| from_utf7(level, HIDDEN))
        .collect();
    let name = levels?.join("/");
    let is_same = to_disk(&name).is_ok_and(|folder| folder.on_disk() == on_disk);
    is_same.then_some(name)
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

//! Which file of a folder of mboxes is which mailbox, and back.
//!
//! | on the disk | mailbox | written by |
//! | --- | --- | --- |
//! | `INBOX`, `Inbox.mbox` | `INBOX` | most |
//! | `Archive`, `Archive.mbox` | `Archive` | most; we |
//! | `Archive/2026` | `Archive/2026` | mutt, UW, Dovecot |
//! | `Archive.sbd/2026` | `Archive/2026` | Thunderbird |
//! | `Archive.mbox/mbox` | `Archive` | Apple Mail |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pymta_index::INBOX;

use super::read::Reader;
use super::{Escaping, MboxError};

/// Folders below folders; what is deeper is among the files that are no mboxes.
const DEPTH_MAX: usize = 32;
/// Files below one folder; with more of them nothing is taken in.
pub(super) const FILES_MAX: usize = 100_000;

/// Instead of a dot in front of a name.
const DOT: &str = "%2E";

/// A file, and the mailbox that it is.
pub(super) type Found = (PathBuf, String);

/// The mboxes below a folder, in order, and other files, which are none. Hidden ones and links are passed over.
///
/// # Errors
/// `TooManyFiles`, `File`.
pub(super) fn find(top: &Path, files_max: usize) -> Result<(Vec<Found>, Vec<PathBuf>), MboxError> {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    let mut folders = vec![(top.to_owned(), Vec::<String>::new())];
    while let Some((folder, levels)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(MboxError::file(&folder))? {
            let entry = entry.map_err(MboxError::file(&folder))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(MboxError::file(&path))?;
            let Ok(name) = entry.file_name().into_string() else {
                others.push(path);
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            if found.len() + others.len() + folders.len() >= files_max {
                return Err(MboxError::TooManyFiles(top.to_owned(), files_max));
            }
            let mut levels = levels.clone();
            if kind.is_dir() {
                levels.push(level(&name));
                if levels.len() <= DEPTH_MAX {
                    folders.push((path, levels));
                } else {
                    others.push(path);
                }
            } else if kind.is_file() {
                if !is_mbox(&path).map_err(MboxError::file(&path))? {
                    others.push(path);
                    continue;
                }
                let is_inside = name == "mbox" && folder.extension().is_some_and(|end| end == "mbox");
                if !is_inside || levels.is_empty() {
                    levels.push(level(&name));
                }
                found.push((path, mailbox_name(&levels)));
            }
        }
    }
    found.sort();
    others.sort();
    Ok((found, others))
}

fn mailbox_name(levels: &[String]) -> String {
    let name = levels.join("/");
    if name.eq_ignore_ascii_case(INBOX) {
        INBOX.to_owned()
    } else {
        name
    }
}

/// A file's or folder's name as a mailbox's.
fn level(name: &str) -> String {
    let bare = bare(name);
    bare.strip_prefix(DOT)
        .map_or_else(|| bare.to_owned(), |rest| format!(".{rest}"))
}

fn bare(name: &str) -> &str {
    let bare = [".mbox", ".sbd"].iter().find_map(|end| name.strip_suffix(end));
    bare.unwrap_or(name)
}

/// Where a mailbox is written, below a folder.
pub(super) fn path_of(mailbox: &str) -> PathBuf {
    let (above, last) = mailbox.rsplit_once('/').unwrap_or(("", mailbox));
    let above = above.split('/').filter(|level| !level.is_empty());
    let mut path: PathBuf = above
        .map(|level| {
            // Who reads it takes one such ending away; and the folder `A.mbox` would be the file of the mailbox `A`.
            let ending = if bare(level) == level { "" } else { ".sbd" };
            visible(level) + ending
        })
        .collect();
    path.push(visible(last) + ".mbox");
    path
}

/// A dot in front makes a file hidden, or another folder.
fn visible(level: &str) -> String {
    level
        .strip_prefix('.')
        .map_or_else(|| level.to_owned(), |rest| format!("{DOT}{rest}"))
}

/// Whether a file begins as one does, or is empty.
fn is_mbox(path: &Path) -> io::Result<bool> {
    Reader::new(fs::File::open(path)?, Escaping::default()).begins_well()
}

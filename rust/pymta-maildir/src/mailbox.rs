//! One mailbox: its folders, made where they are missing, and what is in them.

use std::io;

use pymta_types::UnixMs;

use crate::MaildirError;
use crate::files::Files;
use crate::name::MessageName;
use crate::path::{FolderName, MailboxPath};

/// What makes a folder a Maildir.
pub(crate) const SUBFOLDERS: [&str; 3] = ["tmp", "new", "cur"];
/// Maildir++: marks a folder as one.
pub(crate) const FOLDER_MARK: &str = "maildirfolder";
/// maildir(5): what lies in `tmp` for so long belongs to nobody.
const LEFTOVER_S: u64 = 36 * 3600;

/// The open handles of a folder that holds messages.
#[derive(Debug)]
pub struct OpenFolder<F: Files> {
    /// Where messages are written.
    pub tmp: F::Folder,
    /// Messages that nobody has looked at.
    pub new: F::Folder,
    /// The others.
    pub cur: F::Folder,
}

/// A message file, as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Name of the file.
    pub file_name: String,
    /// The name taken apart.
    pub name: MessageName,
    /// Nobody has looked at it yet: it is in `new`.
    pub is_new: bool,
    /// Of the file: as its name says, else as the system does.
    pub file_octets: u64,
}

/// Opens a mailbox, and makes it durably where it is missing.
///
/// # Errors
/// What the file system says.
pub fn open_mailbox<F: Files>(files: &F, path: &MailboxPath) -> io::Result<F::Folder> {
    let mut components = path.components();
    // A path has at least one component; without any it would be the root, which is no mailbox.
    let first = components.next().ok_or(io::ErrorKind::InvalidInput)?;
    let mut folder = open_or_make(files, files.root(), first)?;
    for name in components {
        folder = open_or_make(files, &folder, name)?;
    }
    Ok(folder)
}

/// Opens a mailbox that exists; None where it does not.
pub(crate) fn find_mailbox<F: Files>(files: &F, path: &MailboxPath) -> io::Result<Option<F::Folder>> {
    let mut found: Option<F::Folder> = None;
    for name in path.components() {
        match files.open_folder(found.as_ref().unwrap_or_else(|| files.root()), name) {
            Ok(folder) => found = Some(folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Opens `tmp`, `new` and `cur` of a mailbox or of one of its folders, and makes them where they are missing.
///
/// # Errors
/// What the file system says.
pub fn open_for_delivery<F: Files>(
    files: &F,
    mailbox: &F::Folder,
    folder: Option<&FolderName>,
) -> io::Result<OpenFolder<F>> {
    match folder {
        None => open_subfolders(files, mailbox),
        Some(name) => {
            let at = match files.open_folder(mailbox, name.on_disk()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    open_subfolders(files, mailbox)?; // a reader takes no mailbox for one without an inbox
                    let at = open_or_make(files, mailbox, name.on_disk())?;
                    match files.create(&at, FOLDER_MARK) {
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                        Err(error) => return Err(error),
                    }
                    at
                }
                at => at?,
            };
            open_subfolders(files, &at)
        }
    }
}

/// Opens `tmp`, `new` and `cur` below an open folder, and makes them where they are missing.
///
/// # Errors
/// What the file system says.
pub fn open_subfolders<F: Files>(files: &F, at: &F::Folder) -> io::Result<OpenFolder<F>> {
    Ok(OpenFolder {
        tmp: open_or_make(files, at, SUBFOLDERS[0])?,
        new: open_or_make(files, at, SUBFOLDERS[1])?,
        cur: open_or_make(files, at, SUBFOLDERS[2])?,
    })
}

fn open_or_make<F: Files>(files: &F, at: &F::Folder, name: &str) -> io::Result<F::Folder> {
    match files.open_folder(at, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            files.make_folder(at, name)?;
            files.open_folder(at, name)
        }
        outcome => outcome,
    }
}

/// Maildir++ folders of a mailbox, as named on disk.
///
/// # Errors
/// What the file system says.
pub fn folders_of<F: Files>(files: &F, mailbox: &F::Folder) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for name in files.list(mailbox)? {
        if name.starts_with('.') && files.stat(mailbox, &name).is_ok_and(|stat| stat.is_folder) {
            found.push(name);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes what a delivery that never ended left in `tmp`. What cannot be removed stays: it is in nobody's way.
pub(crate) fn sweep_tmp<F: Files>(files: &F, tmp: &F::Folder, now: UnixMs) {
    for name in files.list(tmp).unwrap_or_default() {
        let is_old = files.stat(tmp, &name).is_ok_and(|stat| {
            stat.is_plain_file && (now.0 / 1000).saturating_sub(stat.modified_s) > LEFTOVER_S
        });
        if is_old {
            let _ = files.remove(tmp, &name);
        }
    }
}

/// The messages of a folder, in order of their names; of a mailbox that does not exist, none.
pub(crate) fn entries<F: Files>(
    files: &F,
    path: &MailboxPath,
    folder: Option<&FolderName>,
) -> Result<Vec<Entry>, MaildirError> {
    let found = || -> io::Result<Vec<Entry>> {
        let Some(mut at) = find_mailbox(files, path)? else {
            return Ok(Vec::new());
        };
        if let Some(folder) = folder {
            at = files.open_folder(&at, folder.on_disk())?;
        }
        let mut entries = Vec::new();
        for (subfolder, is_new) in [("new", true), ("cur", false)] {
            let inside = files.open_folder(&at, subfolder)?;
            for file_name in files.list(&inside)? {
                if file_name.starts_with('.') {
                    continue;
                }
                let name = MessageName::parse(&file_name);
                let file_octets = match name.file_octets {
                    Some(octets) => octets,
                    None => match files.stat(&inside, &file_name) {
                        Ok(stat) => stat.octets,
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        Err(error) => return Err(error),
                    },
                };
                entries.push(Entry {
                    file_name,
                    name,
                    is_new,
                    file_octets,
                });
            }
        }
        entries.sort_unstable_by(|a, b| a.file_name.cmp(&b.file_name));
        Ok(entries)
    };
    match found() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        found => found.map_err(MaildirError::io("read the mailbox")),
    }
}

//! The file of rights on disk: read through handles, never through links; written beside itself, synced, then put in place.
//!
//! A folder takes its file with it: renamed, it keeps its rights, and removed, nobody has any.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use pymta_maildir::{Disk, Files, MailboxPath, folders_of, from_disk};
use pymta_types::UnixMs;

use crate::acl::{ACL_NAME, ACL_OCTETS_MAX};
use crate::folders::{INBOX, canonical, on_disk};
use crate::{Account, Acl, IndexError, Mailbox};

/// Mailboxes of one account that are shared.
const SHARED_MAX: usize = 10_000;

/// Who may do what with a mailbox of the account at that place, without opening its index; nothing is made. None where
/// there is no such mailbox.
///
/// # Errors
/// `Io`.
pub fn acl_below(root: &Path, path: &MailboxPath, name: &str) -> Result<Option<Acl>, IndexError> {
    let doing = IndexError::io;
    let disk = Disk::open(root).map_err(doing("open the folder of mailboxes"))?;
    let mut folder: Option<OwnedFd> = None;
    for component in path.components() {
        let at = folder.as_ref().unwrap_or_else(|| disk.root());
        match disk.open_folder(at, component) {
            Ok(found) => folder = Some(found),
            Err(error) if is_nothing(&error) => return Ok(None),
            Err(error) => return Err(doing("open the mailbox")(error)),
        }
    }
    let Some(folder) = folder else { return Ok(None) };
    acl_in(&Disk::below(folder), name)
}

/// Of a mailbox of the account in that folder.
fn acl_in(disk: &Disk, name: &str) -> Result<Option<Acl>, IndexError> {
    let folder = match on_disk(canonical(name)) {
        Ok(folder) => folder,
        Err(_) => return Ok(None),
    };
    let Some(folder) = folder else {
        return read(disk, disk.root()).map(Some);
    };
    match disk.open_folder(disk.root(), folder.on_disk()) {
        Ok(at) => read(disk, &at).map(Some),
        Err(error) if is_nothing(&error) => Ok(None),
        Err(error) => Err(IndexError::io("open the mailbox")(error)),
    }
}

/// The file in that folder; where there is none, nobody has any rights. What cannot be read is not understood: whom it let in
/// is not known any more. Only where we ourselves ran out of something nothing is said about it.
fn read(disk: &Disk, at: &OwnedFd) -> Result<Acl, IndexError> {
    use rustix::io::Errno;
    let error = match disk.read(at, ACL_NAME, ACL_OCTETS_MAX + 1) {
        Ok(octets) => return Ok(Acl::parse(&octets)),
        Err(error) => error,
    };
    let is_ours = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].map(Errno::raw_os_error);
    match error.kind() {
        io::ErrorKind::NotFound => Ok(Acl::default()),
        io::ErrorKind::InvalidInput => Ok(Acl::damaged("it is not a plain file".to_owned())),
        _ if error.raw_os_error().is_some_and(|errno| is_ours.contains(&errno)) => {
            Err(IndexError::io("read the rights")(error))
        }
        _ => Ok(Acl::damaged(error.to_string())),
    }
}

/// Not there, or a link or a file where a folder should be.
fn is_nothing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.kind() == io::ErrorKind::NotFound
        || [Errno::LOOP, Errno::NOTDIR, Errno::ISDIR]
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

impl Mailbox {
    /// Who may do what with it, whatever it is called by now.
    ///
    /// # Errors
    /// `NoMailbox`; `Io`.
    pub fn acl(&self) -> Result<Acl, IndexError> {
        let disk = &self.account.disk;
        match disk.open_folder(&self.folder.cur, "..") {
            Ok(at) => read(disk, &at),
            Err(error) if is_nothing(&error) => Err(IndexError::NoMailbox),
            Err(error) => Err(IndexError::io("open the mailbox")(error)),
        }
    }
}

impl Account {
    /// Who may do what with a mailbox; None where there is none.
    ///
    /// # Errors
    /// `Io`.
    pub fn acl(&self, name: &str) -> Result<Option<Acl>, IndexError> {
        acl_in(&self.disk, name)
    }

    /// Changes that, durably; nobody else of us does meanwhile.
    ///
    /// # Errors
    /// `NoMailbox`, `BadAcl`, `TooMany`, `BadName`; `Io`.
    pub fn set_acl(
        self: &Arc<Self>,
        name: &str,
        change: impl FnOnce(&mut Acl) -> Result<(), IndexError>,
        now: UnixMs,
    ) -> Result<(), IndexError> {
        let mailbox = self.mailbox(name, now)?.ok_or(IndexError::NoMailbox)?;
        self.write(|_| {
            let at = match on_disk(mailbox.name())? {
                None => None,
                Some(folder) => {
                    let opened = self.disk.open_folder(self.disk.root(), folder.on_disk());
                    Some(opened.map_err(|error| match error.kind() {
                        io::ErrorKind::NotFound => IndexError::NoMailbox,
                        _ => IndexError::io("open the mailbox")(error),
                    })?)
                }
            };
            let at = at.as_ref().unwrap_or_else(|| self.disk.root());
            let before = read(&self.disk, at)?;
            let mut acl = before.clone();
            change(&mut acl)?;
            if acl == before {
                return Ok(());
            }
            let unique = self.unique(now);
            self.put(&acl, at, &mailbox.folder.tmp, &unique)
        })
    }

    fn put(&self, acl: &Acl, at: &OwnedFd, tmp: &OwnedFd, unique: &str) -> Result<(), IndexError> {
        if acl.is_empty() {
            return self.act("remove the rights", |disk| {
                match disk.remove(at, ACL_NAME) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                disk.sync_folder(at)
            });
        }
        let text = acl.compose();
        if text.len() > ACL_OCTETS_MAX {
            return Err(IndexError::TooMany("identifiers"));
        }
        let written = self.act("write the rights", |disk| {
            let file = disk.create(tmp, unique)?;
            disk.write(&file, text.as_bytes())?;
            disk.sync_file(&file)
        });
        let placed = written.and_then(|()| {
            self.act("put the rights in place", |disk| {
                disk.replace(tmp, unique, at, ACL_NAME)?;
                disk.sync_folder(at)
            })
        });
        if placed.is_err() {
            let _ = self.disk.remove(tmp, unique);
        }
        placed
    }

    /// Gives a new mailbox the rights of the nearest one that it is made below, as Dovecot does.
    ///
    /// # Errors
    /// As of `set_acl`.
    pub fn inherit_acl(self: &Arc<Self>, name: &str, now: UnixMs) -> Result<(), IndexError> {
        let mut above = name.rmatch_indices('/').map(|(at, _)| &name[..at]);
        let nearest = above.find_map(|parent| self.acl(parent).transpose());
        let Some(acl) = nearest
            .transpose()?
            .filter(|acl| !acl.is_empty() && !acl.is_damaged())
        else {
            return Ok(());
        };
        self.set_acl(
            name,
            |own| {
                *own = acl;
                Ok(())
            },
            now,
        )
    }

    /// What the account gives to whom: the account's name, or None for everybody, and the mailbox.
    ///
    /// # Errors
    /// `Io`.
    pub fn given(&self, owner: &str) -> Result<Vec<(Option<String>, String)>, IndexError> {
        let folders = folders_of(&self.disk, self.disk.root());
        let folders = folders.map_err(IndexError::io("list the mailboxes"))?;
        let names = folders.iter().filter_map(|folder| from_disk(folder));
        let mut given = Vec::new();
        for name in names.chain([INBOX.to_owned()]) {
            // One that cannot be read gives nothing, and does not spoil the others.
            let Ok(Some(acl)) = self.acl(&name) else { continue };
            for to in acl.given_to(owner) {
                given.push((to.map(str::to_owned), name.clone()));
            }
            if given.len() > SHARED_MAX {
                break;
            }
        }
        given.sort_unstable();
        given.dedup();
        given.truncate(SHARED_MAX);
        Ok(given)
    }
}

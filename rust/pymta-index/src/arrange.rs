//! Making, removing and renaming mailboxes, and the list of those that the user wants to see.
//!
//! On disk first. Who is killed in between leaves folders that the next look takes in as they are; only a rename that
//! was cut short costs UIDs, since a folder by another name is another mailbox.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use pymta_maildir::{Disk, Files, FolderName, MessageName, note_change, open_for_delivery};
use pymta_types::UnixMs;
use rusqlite::{OptionalExtension, Transaction};
use rustix::fs::AtFlags;

use crate::copy::CopyMode;
use crate::folders::{INBOX, canonical, forget, insert, object_id, on_disk};
use crate::types::flag;
use crate::{Account, IndexError, ObjectId};

/// In the inbox's `tmp`: mailboxes that were removed, and whose files are about to be.
const REMOVED: &str = ".removed.";
/// What is removed with a mailbox lies at most so deep.
const DEPTH_MAX: usize = 4;
/// RFC 6154 §2 and RFC 8457. Nothing else becomes an attribute of a mailbox: LIST says them as they are.
const SPECIAL_USES: [&str; 8] = [
    "\\All",
    "\\Archive",
    "\\Drafts",
    "\\Flagged",
    "\\Important",
    "\\Junk",
    "\\Sent",
    "\\Trash",
];
/// Names on the list of subscriptions.
const SUBSCRIPTIONS_MAX: i64 = 10_000;

impl Account {
    /// Makes a mailbox; its parents need not exist. `special_use` is `\Sent` or the like.
    ///
    /// # Errors
    /// `Exists`, `BadName`, `BadUse`, `UseTaken`, `TooMany`; `Io`.
    pub fn create(&self, name: &str, special_use: Option<&str>, now: UnixMs) -> Result<ObjectId, IndexError> {
        let folder = on_disk(canonical(name))?.ok_or(IndexError::Exists)?;
        if first_level_is_inbox_alone(name) {
            return Err(IndexError::BadName);
        }
        let special_use = special_use.map(known_use).transpose()?;
        self.find_folders(now)?;
        self.write(|transaction| {
            if self.has_folder(&folder)? {
                return Err(IndexError::Exists);
            }
            Self::has_room(transaction)?;
            if let Some(special_use) = special_use {
                is_free(transaction, special_use, canonical(name))?;
            }
            self.act("make a mailbox", |disk| {
                open_for_delivery(disk, disk.root(), Some(&folder)).map(drop)
            })?;
            let key = insert(transaction, name, special_use, now)?;
            let id = "SELECT object_id FROM mailbox WHERE key = ?1";
            Ok(transaction.query_row(id, [key], |row| row.get(0).map(object_id))?)
        })
    }

    /// Says what a mailbox is for, or that it is for nothing special.
    ///
    /// # Errors
    /// `NoMailbox`, `BadUse`, `UseTaken`.
    pub fn set_special_use(&self, name: &str, special_use: Option<&str>) -> Result<(), IndexError> {
        let special_use = special_use.map(known_use).transpose()?;
        self.write(|transaction| {
            if let Some(special_use) = special_use {
                is_free(transaction, special_use, canonical(name))?;
            }
            let changed = transaction.execute(
                "UPDATE mailbox SET special_use = ?2 WHERE name = ?1",
                (canonical(name), special_use),
            )?;
            if changed == 0 {
                Err(IndexError::NoMailbox)
            } else {
                Ok(())
            }
        })
    }

    /// Removes a mailbox with all its messages. Those below it stay.
    ///
    /// # Errors
    /// `NoMailbox`, `HasToStay`, `BadName`; `Io`.
    pub fn delete(&self, name: &str, now: UnixMs) -> Result<(), IndexError> {
        let folder = on_disk(canonical(name))?.ok_or(IndexError::HasToStay)?;
        let tmp = self.inbox_tmp()?;
        let removed = format!("{REMOVED}{}", self.unique(now));
        let (octets, count) = self.write(|transaction| {
            if !self.has_folder(&folder)? {
                return Err(IndexError::NoMailbox);
            }
            self.act("remove a mailbox", |disk| {
                disk.replace(disk.root(), folder.on_disk(), &tmp, &removed)?;
                disk.sync_folder(disk.root())
            })?;
            let key = "SELECT key FROM mailbox WHERE name = ?1";
            if let Some(key) = transaction.query_row(key, [name], |row| row.get(0)).optional()? {
                forget(transaction, key)?;
            }
            Ok(if name.eq_ignore_ascii_case("Trash") {
                (0, 0)
            } else {
                self.usage_of(&tmp, &removed)
            })
        })?;
        note_change(&self.disk, self.disk.root(), -octets, -count);
        // What cannot be removed now is when the account is opened the next time.
        let _ = remove_tree(&self.disk, &tmp, &removed, 0);
        Ok(())
    }

    /// Renames a mailbox and all below it. Renaming the inbox moves its messages into a new mailbox (RFC 9051 §6.3.6).
    ///
    /// # Errors
    /// `NoMailbox`, `Exists`, `BadName`; `Io`.
    pub fn rename(self: &Arc<Self>, from: &str, to: &str, now: UnixMs) -> Result<(), IndexError> {
        let (from, to) = (canonical(from), canonical(to));
        if to == INBOX {
            return Err(IndexError::Exists);
        }
        if from == INBOX {
            return self.rename_inbox(to, now);
        }
        let below = format!("{from}/");
        if to.starts_with(&below) || first_level_is_inbox_alone(to) {
            return Err(IndexError::BadName);
        }
        on_disk(to)?;
        self.find_folders(now)?;
        self.write(|transaction| {
            let mut query = transaction.prepare("SELECT key, name FROM mailbox ORDER BY name")?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let known: Vec<(i64, String)> = rows.collect::<Result<_, _>>()?;
            let mut renamed = Vec::new();
            for (key, name) in known {
                if name == from || name.starts_with(&below) {
                    let target = format!("{to}{}", &name[from.len()..]);
                    let folders = (on_disk(&name)?, on_disk(&target)?);
                    let (Some(old), Some(new)) = folders else {
                        return Err(IndexError::BadName);
                    };
                    if self.has_folder(&new)? {
                        return Err(IndexError::Exists);
                    }
                    renamed.push((key, target, old, new));
                }
            }
            if renamed.is_empty() {
                return Err(IndexError::NoMailbox);
            }
            self.rename_folders(&renamed)?;
            for (key, target, ..) in &renamed {
                transaction.execute("UPDATE mailbox SET name = ?2 WHERE key = ?1", (key, target))?;
            }
            Ok(())
        })
    }

    /// All or, as far as the disk lets us, none.
    fn rename_folders(&self, renamed: &[(i64, String, FolderName, FolderName)]) -> Result<(), IndexError> {
        for (at, (_, _, old, new)) in renamed.iter().enumerate() {
            let outcome = self.act("rename a mailbox", |disk| {
                disk.rename_new(disk.root(), old.on_disk(), disk.root(), new.on_disk())
            });
            if outcome.is_err() {
                for (_, _, old, new) in renamed[..at].iter().rev() {
                    let _ = self.act("rename a mailbox back", |disk| {
                        disk.rename_new(disk.root(), new.on_disk(), disk.root(), old.on_disk())
                    });
                }
                return outcome;
            }
        }
        self.act("rename a mailbox", |disk| disk.sync_folder(disk.root()))
    }

    fn rename_inbox(self: &Arc<Self>, to: &str, now: UnixMs) -> Result<(), IndexError> {
        self.create(to, None, now)?;
        let inbox = self.mailbox(INBOX, now)?.ok_or(IndexError::NoMailbox)?;
        let target = self.mailbox(to, now)?.ok_or(IndexError::NoMailbox)?;
        inbox.reconcile(now)?;
        let uids: Vec<u32> = inbox.messages()?.iter().map(|message| message.uid).collect();
        inbox.copy(&target, &uids, CopyMode::Move, now)?;
        Ok(())
    }

    /// Puts a name on the list of those that the user wants to see, or takes it away; it need not exist.
    ///
    /// # Errors
    /// `BadName`, `TooMany`.
    pub fn subscribe(&self, name: &str) -> Result<(), IndexError> {
        on_disk(canonical(name))?;
        self.write(|transaction| {
            let count: i64 =
                transaction.query_row("SELECT count(*) FROM subscription", [], |row| row.get(0))?;
            if count >= SUBSCRIPTIONS_MAX {
                return Err(IndexError::TooMany("subscriptions"));
            }
            transaction.execute(
                "INSERT OR IGNORE INTO subscription VALUES (?1)",
                [canonical(name)],
            )?;
            Ok(())
        })
    }

    /// Takes a name from that list.
    ///
    /// # Errors
    /// As of any change.
    pub fn unsubscribe(&self, name: &str) -> Result<(), IndexError> {
        self.write(|transaction| {
            transaction.execute("DELETE FROM subscription WHERE name = ?1", [canonical(name)])?;
            Ok(())
        })
    }

    // ---- disk

    fn has_folder(&self, folder: &FolderName) -> Result<bool, IndexError> {
        match self.disk.stat(self.disk.root(), folder.on_disk()) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(IndexError::io("look for a mailbox")(error)),
        }
    }

    fn inbox_tmp(&self) -> Result<OwnedFd, IndexError> {
        let tmp = self.disk.open_folder(self.disk.root(), "tmp");
        tmp.map_err(IndexError::io("open the inbox"))
    }

    /// Removes what a deletion left that was cut short.
    pub(crate) fn sweep(&self) {
        let Ok(tmp) = self.inbox_tmp() else { return };
        for name in self.disk.list(&tmp).unwrap_or_default() {
            if name.starts_with(REMOVED) {
                let _ = remove_tree(&self.disk, &tmp, &name, 0);
            }
        }
    }

    /// What the messages of a folder count for the quota; those that cannot be read count nothing.
    fn usage_of(&self, at: &OwnedFd, name: &str) -> (i64, i64) {
        let (mut octets, mut count) = (0i64, 0i64);
        for subfolder in ["new", "cur"] {
            let opened = self.disk.open_folder(at, name);
            let Ok(inside) = opened.and_then(|folder| self.disk.open_folder(&folder, subfolder)) else {
                continue;
            };
            for file_name in self.disk.list(&inside).unwrap_or_default() {
                if file_name.starts_with('.') || flag::of_name(&file_name) & flag::DELETED != 0 {
                    continue;
                }
                let known = MessageName::parse(&file_name).file_octets;
                let file_octets =
                    known.or_else(|| self.disk.stat(&inside, &file_name).ok().map(|stat| stat.octets));
                octets = octets.saturating_add(i64::try_from(file_octets.unwrap_or(0)).unwrap_or(0));
                count += 1;
            }
        }
        (octets, count)
    }
}

/// `inbox/x` would be another folder than `INBOX/x` on disk, but the same for a client.
fn first_level_is_inbox_alone(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(first, _)| first.eq_ignore_ascii_case(INBOX) && first != INBOX)
}

/// As its RFC writes it.
fn known_use(special_use: &str) -> Result<&'static str, IndexError> {
    let known = SPECIAL_USES
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(special_use));
    known.ok_or(IndexError::BadUse)
}

/// Whether no mailbox but this one has it.
fn is_free(transaction: &Transaction<'_>, special_use: &str, name: &str) -> Result<(), IndexError> {
    let taken = transaction
        .prepare_cached("SELECT 1 FROM mailbox WHERE special_use = ?1 COLLATE NOCASE AND name != ?2")?
        .exists((special_use, name))?;
    if taken { Err(IndexError::UseTaken) } else { Ok(()) }
}

/// Removes a folder and what is in it, without ever following a link.
fn remove_tree(disk: &Disk, at: &OwnedFd, name: &str, depth: usize) -> io::Result<()> {
    let folder = disk.open_folder(at, name)?;
    for inside in disk.list(&folder)? {
        if depth < DEPTH_MAX && disk.stat(&folder, &inside)?.is_folder {
            remove_tree(disk, &folder, &inside, depth + 1)?;
        } else {
            disk.remove(&folder, &inside)?;
        }
    }
    Ok(rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR)?)
}

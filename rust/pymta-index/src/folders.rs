//! The list of mailboxes: Maildir++ folders on disk, and what the index adds to them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use pymta_maildir::{Files, FolderName, folders_of, from_disk, open_subfolders, to_disk};
use pymta_types::UnixMs;
use rusqlite::{OptionalExtension, Transaction};

use crate::{Account, IndexError, Mailbox, MailboxInfo, ObjectId, schema};

/// The one that is always there; its case does not matter (RFC 9051 §5.1).
pub const INBOX: &str = "INBOX";
/// Folders of an account.
const MAILBOXES_MAX: i64 = 10_000;

impl Account {
    /// All mailboxes, in order of their names, with those that only have children and those only subscribed.
    ///
    /// # Errors
    /// As of any look.
    pub fn mailboxes(&self, now: UnixMs) -> Result<Vec<MailboxInfo>, IndexError> {
        self.find_folders(now)?;
        let mut found = BTreeMap::new();
        let subscribed: HashSet<String> = self.read(|index| {
            let mut query =
                index.prepare_cached("SELECT name, object_id, special_use FROM mailbox ORDER BY name")?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                let name: String = row.get(0)?;
                let info = MailboxInfo {
                    name: name.clone(),
                    id: Some(object_id(row.get(1)?)),
                    special_use: row.get(2)?,
                    subscribed: false,
                    exists: true,
                };
                found.insert(name, info);
            }
            let mut query = index.prepare_cached("SELECT name FROM subscription")?;
            let names = query.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<_, _>>()?)
        })?;
        let names: Vec<String> = found.keys().chain(&subscribed).cloned().collect();
        for name in &names {
            let parents = name.match_indices('/').map(|(at, _)| &name[..at]);
            for each in parents.chain([name.as_str()]) {
                found.entry(each.to_owned()).or_insert_with(|| MailboxInfo {
                    name: each.to_owned(),
                    id: None,
                    special_use: None,
                    subscribed: false,
                    exists: false,
                });
            }
        }
        for name in &subscribed {
            if let Some(info) = found.get_mut(name) {
                info.subscribed = true;
            }
        }
        Ok(found.into_values().collect())
    }

    /// A mailbox by its name; None where there is none.
    ///
    /// # Errors
    /// As of any look.
    pub fn mailbox(self: &Arc<Self>, name: &str, now: UnixMs) -> Result<Option<Arc<Mailbox>>, IndexError> {
        let name = canonical(name);
        let Some(on_disk) = on_disk(name)? else {
            return self.open_mailbox(name, None, now);
        };
        self.open_mailbox(name, Some(&on_disk), now)
    }

    fn open_mailbox(
        self: &Arc<Self>,
        name: &str,
        on_disk: Option<&FolderName>,
        now: UnixMs,
    ) -> Result<Option<Arc<Mailbox>>, IndexError> {
        let opened = match on_disk {
            None => open_subfolders(&self.disk, self.disk.root()),
            Some(on_disk) => self
                .disk
                .open_folder(self.disk.root(), on_disk.on_disk())
                .and_then(|at| open_subfolders(&self.disk, &at)),
        };
        let folder = match opened {
            Ok(folder) => folder,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(IndexError::io("open the mailbox")(error)),
        };
        let mut key = self.key_of(name)?;
        if key.is_none() {
            self.find_folders(now)?;
            key = self.key_of(name)?;
        }
        let Some((key, id, uid_validity)) = key else {
            return Ok(None);
        };
        Ok(Some(Arc::new(Mailbox {
            account: Arc::clone(self),
            name: name.to_owned(),
            key,
            id,
            uid_validity: AtomicU32::new(uid_validity),
            folder,
            status: Mutex::default(),
        })))
    }

    pub(crate) fn key_of(&self, name: &str) -> Result<Option<(i64, ObjectId, u32)>, IndexError> {
        self.read(|index| {
            let mut query =
                index.prepare_cached("SELECT key, object_id, uid_validity FROM mailbox WHERE name = ?1")?;
            let found = query.query_row([name], |row| {
                Ok((row.get(0)?, object_id(row.get(1)?), row.get(2)?))
            });
            Ok(found.optional()?)
        })
    }

    /// Makes the index's list what the disk says.
    pub(crate) fn find_folders(&self, now: UnixMs) -> Result<(), IndexError> {
        let on_disk = || -> Result<BTreeSet<String>, IndexError> {
            let folders = folders_of(&self.disk, self.disk.root());
            let folders = folders.map_err(IndexError::io("list the mailboxes"))?;
            let names = folders.iter().filter_map(|folder| from_disk(folder));
            let names = names.filter(|name| !name.eq_ignore_ascii_case(INBOX));
            Ok(names
                .take(usize::try_from(MAILBOXES_MAX).unwrap_or(usize::MAX))
                .chain([INBOX.to_owned()])
                .collect())
        };
        let known = self.read(|index| {
            let mut query = index.prepare_cached("SELECT name FROM mailbox")?;
            let names = query.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<BTreeSet<String>, _>>()?)
        })?;
        if known == on_disk()? {
            return Ok(());
        }
        self.write(|transaction| {
            let found = on_disk()?; // nobody of us changes folders now
            let mut query = transaction.prepare("SELECT key, name FROM mailbox")?;
            let known = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let known: Vec<(i64, String)> = known.collect::<Result<_, _>>()?;
            let mut missing = found;
            for (key, name) in known {
                if !missing.remove(&name) {
                    forget(transaction, key)?;
                }
            }
            for name in missing {
                insert(transaction, &name, None, now)?;
            }
            Ok(())
        })
    }

    /// How many mailboxes there are, so that there are not too many.
    pub(crate) fn has_room(transaction: &Transaction<'_>) -> Result<(), IndexError> {
        let count: i64 = transaction.query_row("SELECT count(*) FROM mailbox", [], |row| row.get(0))?;
        if count < MAILBOXES_MAX {
            Ok(())
        } else {
            Err(IndexError::TooMany("mailboxes"))
        }
    }
}

/// `inbox` is `INBOX`; all others are as they are.
pub(crate) fn canonical(name: &str) -> &str {
    if name.eq_ignore_ascii_case(INBOX) {
        INBOX
    } else {
        name
    }
}

/// The folder of a mailbox; None for the inbox.
pub(crate) fn on_disk(name: &str) -> Result<Option<FolderName>, IndexError> {
    if name == INBOX {
        return Ok(None);
    }
    to_disk(name).map(Some).map_err(|_| IndexError::BadName)
}

pub(crate) fn object_id(octets: [u8; 16]) -> ObjectId {
    ObjectId(u128::from_be_bytes(octets))
}

/// A row for a new mailbox. Its UIDVALIDITY is one that the account never had.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    name: &str,
    special_use: Option<&str>,
    now: UnixMs,
) -> Result<i64, IndexError> {
    let uid_validity = next_validity(transaction, now)?;
    transaction
        .prepare_cached(
            "INSERT INTO mailbox (name, object_id, uid_validity, uid_next, highest_modseq, special_use)
            VALUES (?1, randomblob(16), ?2, 1, 1, ?3)",
        )?
        .execute((name, uid_validity, special_use))?;
    Ok(transaction.last_insert_rowid())
}

/// From the clock, or one more than the last: also where the index was lost, an old one does not come again.
pub(crate) fn next_validity(transaction: &Transaction<'_>, now: UnixMs) -> Result<u32, IndexError> {
    let now_s = u32::try_from(now.0 / 1000).unwrap_or(u32::MAX - 1);
    Ok(transaction.query_row(
        "UPDATE account SET uid_validity = max(uid_validity + 1, ?1) RETURNING uid_validity",
        [now_s],
        |row| row.get(0),
    )?)
}

/// Takes all rows of a mailbox away.
pub(crate) fn forget(transaction: &Transaction<'_>, key: i64) -> Result<(), IndexError> {
    transaction.execute(schema::FORGET_RECORDS, [key])?;
    for table in schema::OF_MAILBOX {
        transaction.execute(&format!("DELETE FROM {table} WHERE mailbox = ?1"), [key])?;
    }
    transaction.execute("DELETE FROM mailbox WHERE key = ?1", [key])?;
    Ok(())
}

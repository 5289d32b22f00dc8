//! Whether an account's index is whole and says what the Maildir says, and making it so.

use std::sync::Arc;

use pymta_maildir::{Files, folders_of, from_disk};
use pymta_types::UnixMs;

use crate::{Account, IndexError, Mailbox};

/// Findings of SQLite's own that are passed on.
const FINDINGS_MAX: u32 = 20;

/// What a check found. Differences between index and Maildir are no damage: the next look at a mailbox takes them in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What SQLite says against the file; empty: nothing.
    pub damage: Vec<String>,
    /// Folders that are no mailboxes, since no name leads to them.
    pub foreign_folders: Vec<String>,
    /// One line a mailbox.
    pub mailboxes: Vec<MailboxReport>,
}

/// What a check found in one mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailboxReport {
    /// Of the mailbox.
    pub name: String,
    /// In the index.
    pub messages: u64,
    /// In the index, but without a file.
    pub missing_files: u64,
    /// Files that the index does not have.
    pub unknown_files: u64,
    /// Files whose name has other flags than the index.
    pub other_flags: u64,
    /// Messages without a record.
    pub without_records: u64,
}

impl Report {
    /// Nothing to say.
    pub fn is_clean(&self) -> bool {
        let agrees = |one: &MailboxReport| one.missing_files + one.unknown_files + one.other_flags == 0;
        self.damage.is_empty() && self.foreign_folders.is_empty() && self.mailboxes.iter().all(agrees)
    }
}

impl Account {
    /// Looks at everything and changes nothing.
    ///
    /// # Errors
    /// As of any look; `Damaged` where it is so bad that nothing can be said.
    pub fn check(self: &Arc<Self>, now: UnixMs) -> Result<Report, IndexError> {
        let mut report = Report {
            damage: self.damage()?,
            ..Report::default()
        };
        let folders =
            folders_of(&self.disk, self.disk.root()).map_err(IndexError::io("list the mailboxes"))?;
        report.foreign_folders = folders
            .into_iter()
            .filter(|name| from_disk(name).is_none())
            .collect();
        for info in self.mailboxes(now)?.into_iter().filter(|info| info.exists) {
            if let Some(mailbox) = self.mailbox(&info.name, now)? {
                report.mailboxes.push(mailbox.check()?);
            }
        }
        Ok(report)
    }

    /// Takes in what the Maildir says, all of it, and builds what SQLite finds wrong anew where that can be. An index that
    /// stays damaged is set aside: `Damaged`, and who opens the account anew gets a new one.
    ///
    /// # Errors
    /// As of any change.
    pub fn repair(self: &Arc<Self>, now: UnixMs) -> Result<(), IndexError> {
        if !self.damage()?.is_empty() {
            self.write(|transaction| Ok(transaction.execute_batch("REINDEX")?))?;
            let damage = self.damage()?;
            if let Some(first) = damage.first() {
                return self.read(|_| Err(IndexError::Damaged(first.clone())));
            }
        }
        for info in self.mailboxes(now)?.into_iter().filter(|info| info.exists) {
            if let Some(mailbox) = self.mailbox(&info.name, now)? {
                mailbox.rescan(now)?;
            }
        }
        Ok(())
    }

    fn damage(&self) -> Result<Vec<String>, IndexError> {
        self.read(|index| {
            let mut query = index.prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})"))?;
            let rows = query.query_map([], |row| row.get(0))?;
            let findings: Vec<String> = rows.collect::<Result<_, _>>()?;
            Ok(findings.into_iter().filter(|finding| finding != "ok").collect())
        })
    }
}

impl Mailbox {
    fn check(&self) -> Result<MailboxReport, IndexError> {
        let mut unknown = self.flags_on_disk()?;
        let mut report = MailboxReport {
            name: self.name.clone(),
            without_records: self.without_records()?.len() as u64,
            ..MailboxReport::default()
        };
        self.account.read(|index| {
            let mut query = index.prepare(
                "SELECT unique_name, flags FROM file JOIN message USING (mailbox, uid) WHERE mailbox = ?1",
            )?;
            let mut rows = query.query([self.key])?;
            while let Some(row) = rows.next()? {
                report.messages += 1;
                match unknown.remove(&row.get::<_, String>(0)?) {
                    Some(flags) => report.other_flags += u64::from(flags != row.get::<_, u8>(1)?),
                    None => report.missing_files += 1,
                }
            }
            Ok(())
        })?;
        report.unknown_files = unknown.len() as u64;
        Ok(report)
    }
}

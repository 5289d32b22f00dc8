//! Who gives something to whom, over all accounts: so that a LIST need not look into every account, and a name that
//! somebody made up is answered without a look at anybody's mail.
//!
//! One SQLite file in the folder of all mailboxes. It says no more than the files of rights do (`acl`), which are asked
//! before anything is shown: what is missing here is not found by others, and comes back when its owner logs in.
//! Opened for each question, so nobody holds one that was replaced.
//!
//! | column | |
//! | --- | --- |
//! | reader | the account's name; empty for every account |
//! | owner | whose mailbox |
//! | mailbox | its name in the owner's account |

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::IndexError;

/// No account has a name that begins with a dot.
const SHARES_NAME: &str = ".pymta.shares";
/// Another one is thrown away.
const FORMAT: i64 = 1;
/// For so long we wait for other processes.
const BUSY_MS: u64 = 5_000;
/// What one reader is given, at most.
const SHARES_MAX: i64 = 10_000;

const TABLE: &str = "
CREATE TABLE share (
    reader TEXT NOT NULL,
    owner TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    PRIMARY KEY (reader, owner, mailbox)
) WITHOUT ROWID;
CREATE INDEX share_owner ON share (owner);
";

/// A mailbox that somebody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose.
    pub owner: String,
    /// Its name in the owner's account.
    pub mailbox: String,
}

/// See the module.
#[derive(Debug)]
pub struct Shares {
    path: PathBuf,
}

impl Shares {
    /// In the folder of all mailboxes. Nothing is opened or made.
    pub fn below(root: &Path) -> Self {
        Self {
            path: root.join(SHARES_NAME),
        }
    }

    /// What is given to that account, in order of names.
    ///
    /// # Errors
    /// `Busy`, `Sqlite`.
    pub fn of(&self, reader: &str) -> Result<Vec<Share>, IndexError> {
        self.look(Vec::new(), |shares| {
            let mut query = shares.prepare(
                "SELECT DISTINCT owner, mailbox FROM share WHERE reader IN (?1, '') AND owner != ?1
                ORDER BY owner, mailbox LIMIT ?2",
            )?;
            let rows = query.query_map((reader, SHARES_MAX), |row| {
                Ok(Share {
                    owner: row.get(0)?,
                    mailbox: row.get(1)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Whether that account gives anything to that other one.
    ///
    /// # Errors
    /// `Busy`, `Sqlite`.
    pub fn gives(&self, owner: &str, reader: &str) -> Result<bool, IndexError> {
        self.look(false, |shares| {
            shares
                .prepare("SELECT 1 FROM share WHERE reader IN (?1, '') AND owner = ?2 AND owner != ?1")?
                .exists((reader, owner))
        })
    }

    /// What an account gives now: `given` is asked again where that is other than what is written down, when nobody else
    /// writes: of two who changed something at once, the last one to write has seen both changes.
    ///
    /// # Errors
    /// `Busy`, `Sqlite`; those of `given`.
    pub fn put(
        &self,
        owner: &str,
        given: impl Fn() -> Result<Vec<(Option<String>, String)>, IndexError>,
    ) -> Result<(), IndexError> {
        let rows = |shares: &Connection| -> rusqlite::Result<Vec<(Option<String>, String)>> {
            let mut query =
                shares.prepare("SELECT reader, mailbox FROM share WHERE owner = ?1 ORDER BY 1, 2")?;
            let rows = query.query_map([owner], |row| {
                let reader: String = row.get(0)?;
                Ok((Some(reader).filter(|reader| !reader.is_empty()), row.get(1)?))
            })?;
            rows.collect()
        };
        if self.look(Vec::new(), rows)? == given()? {
            return Ok(());
        }
        let changed = self.replace(owner, given);
        if matches!(changed, Err(IndexError::Damaged(_))) {
            self.remove();
        }
        changed
    }

    fn replace(
        &self,
        owner: &str,
        given: impl Fn() -> Result<Vec<(Option<String>, String)>, IndexError>,
    ) -> Result<(), IndexError> {
        let mut shares = self.open()?;
        let transaction = shares.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("DELETE FROM share WHERE owner = ?1", [owner])?;
        for (reader, mailbox) in given()? {
            let row = "INSERT OR IGNORE INTO share VALUES (?1, ?2, ?3)";
            transaction.execute(row, (reader.unwrap_or_default(), owner, mailbox))?;
        }
        Ok(transaction.commit()?)
    }

    /// A look at what there is; where there is nothing, nothing is made.
    fn look<T>(
        &self,
        otherwise: T,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        if self.path.symlink_metadata().is_err() {
            return Ok(otherwise);
        }
        let found = look(&self.open()?).map_err(IndexError::from);
        if matches!(found, Err(IndexError::Damaged(_))) {
            self.remove();
        }
        found
    }

    /// Opens the file; one that is damaged or of another format is made anew, empty.
    fn open(&self) -> Result<Connection, IndexError> {
        match self.connect() {
            Err(IndexError::Damaged(_)) => {
                self.remove();
                self.connect()
            }
            connected => connected,
        }
    }

    /// A damaged one. What it leaves beside it, SQLite removes when the next one is opened, which is empty.
    fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }

    fn connect(&self) -> Result<Connection, IndexError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let mut shares = Connection::open_with_flags(&self.path, flags)?;
        shares.busy_timeout(Duration::from_millis(BUSY_MS))?;
        shares.pragma_update(None, "trusted_schema", false)?;
        let format = |shares: &Connection| shares.pragma_query_value(None, "user_version", |row| row.get(0));
        let found: i64 = format(&shares)?;
        if found != FORMAT {
            let transaction = shares.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if format(&transaction)? != FORMAT {
                transaction.execute_batch("DROP TABLE IF EXISTS share")?;
                transaction.execute_batch(TABLE)?;
                transaction.pragma_update(None, "user_version", FORMAT)?;
            }
            transaction.commit()?;
        }
        Ok(shares)
    }
}

//! The tables, and how older ones become these. docs/index-format.md says what each column is.

use rusqlite::{Connection, TransactionBehavior};

use crate::IndexError;

/// Each makes the format of its number (from 1) of the one before. What is here never changes any more.
const MIGRATIONS: &[&str] = &[FORMAT_1, FORMAT_2];

const FORMAT_1: &str = "
CREATE TABLE account (
    key INTEGER PRIMARY KEY CHECK (key = 1),
    uid_validity INTEGER NOT NULL
);
INSERT INTO account VALUES (1, 0);
CREATE TABLE mailbox (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    object_id BLOB NOT NULL,
    uid_validity INTEGER NOT NULL,
    uid_next INTEGER NOT NULL,
    highest_modseq INTEGER NOT NULL,
    vanished_from INTEGER NOT NULL DEFAULT 0,
    special_use TEXT,
    new_seen_ns INTEGER NOT NULL DEFAULT 0,
    cur_seen_ns INTEGER NOT NULL DEFAULT 0,
    list_again_ms INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE subscription (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE message (
    mailbox INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    keywords INTEGER NOT NULL,
    PRIMARY KEY (mailbox, uid)
) WITHOUT ROWID;
CREATE INDEX message_modseq ON message (mailbox, modseq);
CREATE TABLE file (
    mailbox INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    unique_name TEXT NOT NULL,
    rest TEXT NOT NULL,
    is_new INTEGER NOT NULL,
    internal_date_s INTEGER NOT NULL,
    saved_date_s INTEGER NOT NULL,
    octets INTEGER,
    email_id BLOB NOT NULL,
    thread_id BLOB,
    PRIMARY KEY (mailbox, uid)
) WITHOUT ROWID;
CREATE UNIQUE INDEX file_unique_name ON file (mailbox, unique_name);
CREATE INDEX file_new ON file (mailbox, uid) WHERE is_new = 1;
CREATE TABLE record (
    place INTEGER PRIMARY KEY,
    octets BLOB NOT NULL
);
CREATE TABLE vanished (
    mailbox INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    first_uid INTEGER NOT NULL,
    last_uid INTEGER NOT NULL,
    PRIMARY KEY (mailbox, modseq, first_uid)
) WITHOUT ROWID;
CREATE TABLE keyword (
    mailbox INTEGER NOT NULL,
    bit INTEGER NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    PRIMARY KEY (mailbox, bit),
    UNIQUE (mailbox, name)
) WITHOUT ROWID;
CREATE TABLE metadata (
    mailbox INTEGER NOT NULL,
    entry TEXT NOT NULL COLLATE NOCASE,
    value BLOB NOT NULL,
    PRIMARY KEY (mailbox, entry)
) WITHOUT ROWID;
";

/// What was there before is not recent.
const FORMAT_2: &str = "
ALTER TABLE mailbox ADD COLUMN recent_from INTEGER NOT NULL DEFAULT 1;
UPDATE mailbox SET recent_from = uid_next;
";

/// The tables that have rows of a mailbox; `record` has them as well, by place.
pub(crate) const OF_MAILBOX: [&str; 5] = ["message", "file", "vanished", "keyword", "metadata"];

/// All records of the mailbox ?1. A place is the mailbox's key and the UID in one number: records of some 1000 octets lie
/// in the leaves of a table that has a number for its key, and would each take a page of their own in one that has not.
pub(crate) const FORGET_RECORDS: &str =
    "DELETE FROM record WHERE place BETWEEN ?1 << 32 AND ?1 << 32 | 4294967295";

/// Brings an index to the newest format, in one transaction.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), IndexError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if format(connection)? == known {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = format(&transaction)?; // another process may have been quicker
    let done = usize::try_from(found)
        .ok()
        .filter(|&done| done <= MIGRATIONS.len())
        .ok_or(IndexError::TooNew { found, known })?;
    for migration in &MIGRATIONS[done..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

fn format(connection: &Connection) -> Result<i64, IndexError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_explained_and_a_newer_format_is_not_touched() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        let page = include_str!("../../../docs/index-format.md");
        let mut query = connection
            .prepare(
                "SELECT t.name, c.name FROM pragma_table_list t JOIN pragma_table_info(t.name) c
                WHERE t.name NOT LIKE 'sqlite%'",
            )
            .unwrap();
        let columns: Vec<(String, String)> = query
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert!(columns.len() > 40);
        for (table, column) in columns {
            let section = page.split(&format!("### {table}\n")).nth(1).expect(&table);
            let section = section.split("\n#").next().unwrap();
            assert!(section.contains(&column), "{table}.{column}");
        }
        drop(query);
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(
            migrate(&mut connection),
            Err(IndexError::TooNew { found: 99, .. })
        ));
    }
}

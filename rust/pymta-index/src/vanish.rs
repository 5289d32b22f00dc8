//! UIDs that are gone, as QRESYNC (RFC 7162) tells of them later.

use rusqlite::Transaction;

use crate::IndexError;

/// Ranges that are remembered of a mailbox. What is older is told by what is there.
const RANGES_MAX: i64 = 10_000;
/// So many more are let be before they are counted away.
const RANGES_SLACK: i64 = 1_000;

/// Takes messages out of the index, and remembers that they were there. `uids` ascend.
pub(crate) fn vanish(
    transaction: &Transaction<'_>,
    mailbox: i64,
    uids: &[u32],
    modseq: i64,
) -> Result<(), IndexError> {
    if uids.is_empty() {
        return Ok(());
    }
    for text in [
        "DELETE FROM message WHERE mailbox = ?1 AND uid = ?2",
        "DELETE FROM file WHERE mailbox = ?1 AND uid = ?2",
        "DELETE FROM record WHERE place = ?1 << 32 | ?2",
    ] {
        let mut delete = transaction.prepare_cached(text)?;
        for uid in uids {
            delete.execute((mailbox, uid))?;
        }
    }
    let mut remember = transaction.prepare_cached("INSERT INTO vanished VALUES (?1, ?2, ?3, ?4)")?;
    for range in uids.chunk_by(|a, b| a + 1 == *b) {
        remember.execute((mailbox, modseq, range[0], range[range.len() - 1]))?;
    }
    let count: i64 = transaction
        .prepare_cached("SELECT count(*) FROM vanished WHERE mailbox = ?1")?
        .query_row([mailbox], |row| row.get(0))?;
    if count > RANGES_MAX + RANGES_SLACK {
        // A whole mod-sequence goes or stays.
        let until: i64 = transaction.query_row(
            "SELECT modseq FROM vanished WHERE mailbox = ?1 ORDER BY modseq DESC LIMIT 1 OFFSET ?2",
            (mailbox, RANGES_MAX),
            |row| row.get(0),
        )?;
        transaction.execute(
            "DELETE FROM vanished WHERE mailbox = ?1 AND modseq <= ?2",
            (mailbox, until),
        )?;
        transaction.execute(
            "UPDATE mailbox SET vanished_from = ?2 WHERE key = ?1",
            (mailbox, until),
        )?;
    }
    Ok(())
}

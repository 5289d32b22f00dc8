//! Which bits of a mailbox's messages stand for which keywords.

use rusqlite::Transaction;

use crate::mailbox::{KEYWORDS_MAX, bits, keywords, number_of};
use crate::{IndexError, Mailbox};

impl Mailbox {
    /// The bits of keywords, which get some where they have none. Where there is no free one, those that no message has
    /// are free again, but for those in `held`: of messages that are not noted yet.
    pub(crate) fn bits_of(
        &self,
        transaction: &Transaction<'_>,
        names: &[&str],
        held: u64,
    ) -> Result<u64, IndexError> {
        let mut known = keywords(transaction, self.key)?;
        let mut bits = 0;
        for name in names {
            let at = match known.iter().position(|other| other.eq_ignore_ascii_case(name)) {
                Some(at) => at,
                None => {
                    let free = |known: &[String]| {
                        let at = known.iter().position(String::is_empty).unwrap_or(known.len());
                        (at < KEYWORDS_MAX).then_some(at)
                    };
                    if free(&known).is_none() {
                        // Those named here, of which some stand further on, are not to be lost.
                        let is_named = |one: &String| names.iter().any(|name| one.eq_ignore_ascii_case(name));
                        let named = (0..known.len()).filter(|&at| is_named(&known[at]));
                        let named = named.fold(0, |named, at| named | 1u64 << at);
                        self.free_keywords(transaction, held | bits | named)?;
                        known = keywords(transaction, self.key)?;
                    }
                    let at = free(&known).ok_or(IndexError::TooManyKeywords)?;
                    transaction
                        .prepare_cached("INSERT INTO keyword VALUES (?1, ?2, ?3)")?
                        .execute((self.key, u8::try_from(at).unwrap_or(u8::MAX), name))?;
                    known.resize(known.len().max(at + 1), String::new());
                    known[at] = (*name).to_owned();
                    at
                }
            };
            bits |= 1 << at;
        }
        Ok(bits)
    }

    /// Likewise, but without those for which there is no bit: a message is worth more than its keywords.
    pub(crate) fn bits_that_fit(
        &self,
        transaction: &Transaction<'_>,
        names: &[&str],
        mut held: u64,
    ) -> Result<u64, IndexError> {
        let mut bits = 0;
        for name in names {
            match self.bits_of(transaction, &[name], held) {
                Err(IndexError::TooManyKeywords) => {}
                found => {
                    bits |= found?;
                    held |= bits;
                }
            }
        }
        Ok(bits)
    }

    /// Forgets the names of bits that no message has.
    fn free_keywords(&self, transaction: &Transaction<'_>, held: u64) -> Result<(), IndexError> {
        let mut query = transaction
            .prepare_cached("SELECT DISTINCT keywords FROM message WHERE mailbox = ?1 AND keywords != 0")?;
        let mut rows = query.query([self.key])?;
        let mut used = held;
        while let Some(row) = rows.next()? {
            used |= bits(row.get(0)?);
        }
        transaction
            .prepare_cached("DELETE FROM keyword WHERE mailbox = ?1 AND ?2 >> bit & 1 = 0")?
            .execute((self.key, number_of(used)))?;
        Ok(())
    }

    /// The bits of those keywords that have some.
    pub(crate) fn known_bits(
        &self,
        transaction: &Transaction<'_>,
        names: &[&str],
    ) -> Result<u64, IndexError> {
        let known = keywords(transaction, self.key)?;
        let is_named = |known: &str| names.iter().any(|name| known.eq_ignore_ascii_case(name));
        let named = known.iter().enumerate().filter(|(_, known)| is_named(known));
        Ok(named.fold(0, |bits, (at, _)| bits | 1 << at))
    }
}

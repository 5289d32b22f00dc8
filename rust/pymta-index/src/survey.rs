//! What is new in any of many mailboxes, without opening those in which nothing is.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use pymta_maildir::Files;
use pymta_types::UnixMs;
use rustix::fs::AtFlags;

use crate::folders::on_disk;
use crate::list_again::is_due;
use crate::mailbox::{State, unsigned};
use crate::scan::{Scope, scope};
use crate::{Account, IndexError, Mailbox};

/// How far a mailbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// See [`crate::Status`].
    pub uid_validity: u32,
    /// Likewise.
    pub uid_next: u32,
    /// Likewise.
    pub highest_modseq: u64,
}

/// An annotation, without its value: (key of the mailbox, its name, the entry's name). Those of the account have no name.
pub type Annotation = (i64, Option<String>, String);

impl Numbers {
    fn of(state: State) -> Self {
        Self {
            uid_validity: state.uid_validity,
            uid_next: state.uid_next,
            highest_modseq: unsigned(state.highest_modseq),
        }
    }
}

impl Mailbox {
    /// As of `Account::survey`, of this one, as the index has it: nothing is counted.
    ///
    /// # Errors
    /// As of any look.
    pub fn numbers(&self) -> Result<Numbers, IndexError> {
        self.account.read(|index| self.state(index)).map(Numbers::of)
    }
}

impl Account {
    /// The numbers of these mailboxes, of those that there are. A mailbox is looked into only where its folders changed.
    ///
    /// # Errors
    /// As of any look; those of `Mailbox::reconcile`.
    pub fn survey(
        self: &Arc<Self>,
        names: &BTreeSet<&str>,
        now: UnixMs,
    ) -> Result<BTreeMap<String, Numbers>, IndexError> {
        for (name, state) in self.states(names)? {
            // One that is gone is not in the answer.
            let is_new = match self.folders_touched(&name)? {
                Some(touched) => is_due(&state, now) || scope(&state, touched) != Scope::Nothing,
                None => false,
            };
            if is_new && let Some(mailbox) = self.mailbox(&name, now)? {
                match mailbox.reconcile(now) {
                    Ok(()) | Err(IndexError::NoMailbox) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let states = self.states(names)?.into_iter();
        Ok(states.map(|(name, state)| (name, Numbers::of(state))).collect())
    }

    fn states(&self, names: &BTreeSet<&str>) -> Result<Vec<(String, State)>, IndexError> {
        self.read(|index| {
            let mut query = index.prepare_cached(
                "SELECT name, uid_validity, uid_next, highest_modseq, vanished_from, new_seen_ns, cur_seen_ns,
                list_again_ms FROM mailbox",
            )?;
            let mut rows = query.query([])?;
            let mut found = Vec::with_capacity(names.len());
            while let Some(row) = rows.next()? {
                let name: String = row.get(0)?;
                if names.contains(name.as_str()) {
                    found.push((name, State::of(row, 1)?));
                }
            }
            Ok(found)
        })
    }

    /// When `new` and `cur` of a mailbox were changed last, in ns; None where they are not there.
    fn folders_touched(&self, name: &str) -> Result<Option<(i64, i64)>, IndexError> {
        let folder = on_disk(name)?;
        let at = |subfolder: &str| {
            let path = match &folder {
                Some(folder) => format!("{}/{subfolder}", folder.on_disk()),
                None => subfolder.to_owned(),
            };
            let stat = rustix::fs::statat(self.disk.root(), path, AtFlags::SYMLINK_NOFOLLOW);
            stat.ok().map(|stat| crate::scan::changed_ns(&stat))
        };
        Ok(at("new").zip(at("cur")))
    }

    /// All annotations, each with a number that is another one when its value is.
    ///
    /// # Errors
    /// As of any look.
    pub fn annotations(&self) -> Result<BTreeMap<Annotation, u64>, IndexError> {
        self.read(|index| {
            let mut query = index.prepare_cached(
                "SELECT metadata.mailbox, mailbox.name, entry, value
                FROM metadata LEFT JOIN mailbox ON mailbox.key = metadata.mailbox",
            )?;
            let mut rows = query.query([])?;
            let mut found = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let mut hasher = DefaultHasher::new();
                row.get_ref(3)?
                    .as_bytes_or_null()
                    .unwrap_or_default()
                    .hash(&mut hasher);
                found.insert((row.get(0)?, row.get(1)?, row.get(2)?), hasher.finish());
            }
            Ok(found)
        })
    }

    /// The folders and files whose changes mean that the account may have other mailboxes, or anything of what the index
    /// keeps of them may be another.
    pub fn watch_paths(&self) -> Vec<std::path::PathBuf> {
        let log = format!("{}-wal", crate::account::INDEX_NAME);
        vec![self.path().to_owned(), self.path().join(log)]
    }

    /// Those for messages of a mailbox by that name.
    pub fn watch_paths_of(&self, name: &str) -> Vec<std::path::PathBuf> {
        let folder = match on_disk(name) {
            Ok(Some(folder)) => self.path().join(folder.on_disk()),
            _ => self.path().to_owned(),
        };
        vec![folder.join("new"), folder.join("cur")]
    }
}

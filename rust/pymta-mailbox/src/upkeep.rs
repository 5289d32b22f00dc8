//! What an operator does to an account's mailboxes as a whole: move them in and out, check and repair them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pymta_index::{Account, IndexError, Mailbox, Options, Progress, Report};
use pymta_maildir::{Host, MailboxPath};
use pymta_types::UnixMs;

use crate::backlog::read_bit;
use crate::mbox::{self, Escaping, MboxError};
use crate::searching::{Shelf, trouble};
use crate::source::records;

/// An account, opened for that. A server may have it open at the same time.
#[derive(Debug)]
pub struct Upkeep {
    account: Arc<Account>,
    progress: Progress,
}

impl Upkeep {
    /// Opens an account's Maildir below the folder of all mailboxes.
    ///
    /// # Errors
    /// As of opening an account.
    pub fn open(root: &Path, path: &MailboxPath, host: Host, now: UnixMs) -> Result<Self, IndexError> {
        let account = Account::open_below(root, path, Options::for_once(host), now)?;
        Ok(Self::of(account))
    }

    /// Likewise, but only to check it: a damaged index is left where it is.
    ///
    /// # Errors
    /// As of opening an account; `Damaged`.
    pub fn open_to_check(
        root: &Path,
        path: &MailboxPath,
        host: Host,
        now: UnixMs,
    ) -> Result<Self, IndexError> {
        let account = Account::open_below_to_check(root, path, Options::for_once(host), now)?;
        Ok(Self::of(account))
    }

    fn of(account: Arc<Account>) -> Self {
        Self {
            account,
            progress: Progress::default(),
        }
    }

    /// Why the index was made anew when this was opened.
    pub fn trouble(&self) -> Option<&str> {
        self.account.trouble()
    }

    /// How far an import or an export is; may be asked meanwhile.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Takes the whole Maildir in, with what Dovecot or Courier left beside it, and makes records of all messages, so that
    /// the first client need not wait for that.
    ///
    /// # Errors
    /// As of any change.
    pub fn import(&self, now: UnixMs) -> Result<(), IndexError> {
        let mut make = |mailbox: &Arc<Mailbox>, uids: &[u32]| {
            let mut shelf = Shelf {
                mailbox: Arc::clone(mailbox),
                now,
            };
            records(&mut shelf, uids).map(drop).map_err(trouble)
        };
        self.account.import(&self.progress, &mut make, now)
    }

    /// Reads the texts of all messages, so that the first search need not wait for that.
    ///
    /// # Errors
    /// As of any change; `Stopped`.
    pub fn read_texts(&self, now: UnixMs) -> Result<(), IndexError> {
        for info in self
            .account
            .mailboxes(now)?
            .into_iter()
            .filter(|info| info.exists)
        {
            let Some(mailbox) = self.account.mailbox(&info.name, now)? else {
                continue;
            };
            mailbox.reconcile(now)?;
            while read_bit(&mailbox, now)? {
                self.progress.goes_on()?;
            }
            let count = u64::from(mailbox.status()?.messages);
            self.progress.messages.fetch_add(count, Ordering::Relaxed);
            self.progress.mailboxes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Writes UIDs and keywords where Dovecot finds them.
    ///
    /// # Errors
    /// As of any change.
    pub fn export(&self, now: UnixMs) -> Result<(), IndexError> {
        self.account.export(&self.progress, now)
    }

    /// Takes in an mbox or a folder of them, see [`mbox::import`].
    ///
    /// # Errors
    /// As there.
    pub fn import_mbox(
        &self,
        path: &Path,
        mailbox: Option<&str>,
        escaping: Escaping,
        now: UnixMs,
    ) -> Result<Vec<PathBuf>, MboxError> {
        mbox::import(&self.account, (path, mailbox), escaping, &self.progress, now)
    }

    /// Writes a mailbox as an mbox, or all of them, see [`mbox::export`].
    ///
    /// # Errors
    /// As there.
    pub fn export_mbox(&self, path: &Path, mailbox: Option<&str>, now: UnixMs) -> Result<(), MboxError> {
        mbox::export(&self.account, (path, mailbox), &self.progress, now)
    }

    /// Looks at everything and changes nothing.
    ///
    /// # Errors
    /// As of any look.
    pub fn check(&self, now: UnixMs) -> Result<Report, IndexError> {
        self.account.check(now)
    }

    /// Makes the index what the Maildir says.
    ///
    /// # Errors
    /// `Damaged`: the index was set aside; open the account anew and repair again.
    pub fn repair(&self, now: UnixMs) -> Result<(), IndexError> {
        self.account.repair(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    #[test]
    fn an_import_makes_records_that_clients_need_not_wait_for() {
        let root = std::env::temp_dir().join(format!("pymta-upkeep-{}", std::process::id()));
        let cur = root.join("example.org/alice/cur");
        std::fs::create_dir_all(&cur).unwrap();
        for number in 0..3 {
            let text = format!("Subject: {number}\n\nbody\n");
            std::fs::write(cur.join(format!("170000000{number}.x:2,S")), text).unwrap();
        }
        let path = MailboxPath::new(["example.org", "alice"]).unwrap();
        let now = UnixMs(1_800_000_000_000);
        let upkeep = Upkeep::open(&root, &path, Host::new("h", 1), now).unwrap();
        upkeep.import(now).unwrap();
        upkeep.import(now).unwrap();
        assert_eq!(3, upkeep.progress().records.load(Ordering::Relaxed));
        let inbox = upkeep.account.mailbox("INBOX", now).unwrap().unwrap();
        let kept = inbox.records(&[2]).unwrap();
        assert!(kept[0].as_deref().and_then(Record::decode).is_some());
        assert!(upkeep.check(now).unwrap().is_clean());
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn who_reads_texts_may_be_stopped() {
        let sandbox = crate::sandbox::Sandbox::new();
        sandbox.deliver_many(2);
        let now = crate::sandbox::now();
        let path = MailboxPath::new(["user"]).unwrap();
        let upkeep = Upkeep::open(&sandbox.root, &path, Host::new("h", 1), now).unwrap();
        upkeep.progress().is_to_stop.store(true, Ordering::Relaxed);
        assert!(matches!(upkeep.read_texts(now), Err(IndexError::Stopped)));
        upkeep.progress().is_to_stop.store(false, Ordering::Relaxed);
        upkeep.read_texts(now).unwrap();
        assert_eq!(2, upkeep.progress().messages.load(Ordering::Relaxed));
    }
}

//! The accounts of a process: what is open of one is shared by its views, and given back with the last of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pymta_index::{Account, Acl, IndexError, Options, Rights, Shares};
use pymta_maildir::{Host, MailboxPath, Quota};
use pymta_types::UnixMs;

use crate::chores::Chores;
use crate::shared_rows::SharedRows;
use crate::unread_rights::UnreadRights;
use crate::view::View;

/// Who reads, and what he may keep.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Name of the account, as it is said to him (QUOTA, ACL).
    pub account: String,
    /// What it may keep.
    pub quota: Quota,
    /// The largest message that he may append; another where the server's limit was changed since an earlier view.
    pub append_octets_max: Option<u64>,
    /// Whether he sees mailboxes of others, and may share his own (RFC 4314).
    pub shares: bool,
    /// Whether he may share them with everybody.
    pub shares_with_anyone: bool,
}

impl Reader {
    /// What he may do with a mailbox of that account, as far as the operator heeds what is written down.
    pub(crate) fn rights(&self, acl: Acl, owner: &str) -> Rights {
        match (self.shares, self.shares_with_anyone) {
            (false, _) if self.account == owner => Rights::ALL,
            (false, _) => Rights::NONE,
            (true, false) => acl.without_anyone().rights(&self.account, owner),
            (true, true) => acl.rights(&self.account, owner),
        }
    }
}

/// One account's place in the table; its lock is held while the account is opened, the table's is not.
type Place = Arc<Mutex<Weak<Account>>>;

/// One a process; its clones are the same.
#[derive(Clone, Debug)]
pub struct Accounts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    host: Host,
    shares: Shares,
    chores: Chores,
    unread_rights: UnreadRights,
    rows: SharedRows,
    open: Mutex<HashMap<MailboxPath, Place>>,
}

impl Accounts {
    /// Accounts below that folder. Nothing is opened yet.
    pub fn new(root: &Path, host: Host) -> Self {
        Self::made(root, host, Chores::default())
    }

    /// The folder of all mailboxes.
    pub(crate) fn root(&self) -> &Path {
        &self.0.root
    }

    /// Who gives something to whom.
    pub(crate) fn shares(&self) -> &Shares {
        &self.0.shares
    }

    /// Likewise, with texts kept for searches.
    pub fn with_full_text(root: &Path, host: Host) -> Self {
        Self::made(root, host, Chores::with_texts())
    }

    /// Rows of mailboxes that are selected.
    pub(crate) fn rows(&self) -> &SharedRows {
        &self.0.rows
    }

    /// Files of rights that are not understood.
    pub(crate) fn unread_rights(&self) -> &UnreadRights {
        &self.0.unread_rights
    }

    fn made(root: &Path, host: Host, chores: Chores) -> Self {
        Self(Arc::new(Inner {
            root: root.to_owned(),
            host,
            shares: Shares::below(root),
            chores,
            unread_rights: UnreadRights::default(),
            rows: SharedRows::default(),
            open: Mutex::default(),
        }))
    }

    /// What is to be done when nobody waits for it.
    pub(crate) fn chores(&self) -> &Chores {
        &self.0.chores
    }

    /// Whether `do_chore` is to be called: there may be texts that are not kept yet, much mail in `new`, a
    /// listing that is due, or a long log.
    pub fn has_chores(&self) -> bool {
        !self.0.chores.is_empty()
    }

    /// Does a bit of that.
    ///
    /// # Errors
    /// As of any change; the mailbox waits until somebody looks at it again.
    pub fn do_chore(&self, now: UnixMs) -> Result<(), IndexError> {
        self.0.chores.do_bit(now)
    }

    /// A view on the Maildir at that place, which is made where it is missing.
    ///
    /// # Errors
    /// As of opening an account.
    pub fn open(&self, path: &MailboxPath, reader: Reader, now: UnixMs) -> Result<View, IndexError> {
        let account = self.account(path, reader.quota, now)?;
        let mut view = View::new(Arc::clone(&account), reader, self.clone());
        if view.reader.shares {
            let owner = view.reader.account.clone();
            view.note_shares(&account, &owner);
        }
        Ok(view)
    }

    /// The account at that place, shared by all who have it open.
    pub(crate) fn account(
        &self,
        path: &MailboxPath,
        quota: Quota,
        now: UnixMs,
    ) -> Result<Arc<Account>, IndexError> {
        let place = self.place(path);
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        // One whose index was damaged or replaced answers nothing any more; one with another quota than the operator wants by
        // now is left to the sessions that began with it.
        let shared = place
            .upgrade()
            .filter(|account| account.quota() == quota && account.mailbox("INBOX", now).is_ok());
        let account = match shared {
            Some(account) => account,
            None => {
                let options = Options {
                    host: self.0.host.clone(),
                    quota,
                    full_text: self.0.chores.keeps_texts(),
                    long_logs: Some(self.0.chores.long_logs().clone()),
                };
                let account = Account::open_below(&self.0.root, path, options, now)?;
                *place = Arc::downgrade(&account);
                account
            }
        };
        Ok(account)
    }

    fn place(&self, path: &MailboxPath) -> Place {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = open.get(path) {
            return Arc::clone(place);
        }
        // Whoever is gone leaves his place: one that nobody is opening, and whose account nobody holds.
        open.retain(|_, place| {
            Arc::strong_count(place) > 1 || place.try_lock().is_ok_and(|account| account.strong_count() > 0)
        });
        Arc::clone(open.entry(path.clone()).or_default())
    }
}

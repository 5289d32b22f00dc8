//! Where the names of mailboxes lead, of others' as well (RFC 4314), and what may be done there.
//!
//! Rules:
//! - Every name that a command brings goes through [`View::place`], with the right that the command needs.
//! - Who has no right to see a mailbox is told what he would be told if there were none.

use std::sync::Arc;

use pymta_index::{Account, IndexError, Mailbox, Rights, acl_below};
use pymta_types::UnixMs;

use crate::others::{OTHERS, is_anothers, split};
use crate::view::{Outcome, View};

/// A mailbox that a name leads to, and what this reader may do there. It need not be there any more.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) account: Arc<Account>,
    /// In that account.
    pub(crate) name: String,
    pub(crate) rights: Rights,
    /// Whose it is; None for this reader's own.
    pub(crate) owner: Option<String>,
}

impl View {
    /// Where a name leads, and what may be done there; no right is asked for yet, and none may be there.
    fn rights_at(&self, name: &str, now: UnixMs) -> Outcome<Place> {
        let Some((owner, mailbox)) = split(name).filter(|_| self.reader.shares) else {
            let acl = self.account.acl(name)?.ok_or(IndexError::NoMailbox)?;
            if self.reader.shares {
                let unread = self.others.accounts.unread_rights();
                unread.heed(&acl, &self.reader.account, name);
            }
            return Ok(Place {
                account: Arc::clone(&self.account),
                name: name.to_owned(),
                rights: self.reader.rights(acl, &self.reader.account),
                owner: None,
            });
        };
        let owner = self.owner(owner)?;
        let acl = acl_below(self.others.accounts.root(), &owner.path, mailbox)?;
        if let Some(acl) = &acl {
            let unread = self.others.accounts.unread_rights();
            unread.heed(acl, &owner.account, mailbox);
        }
        let rights = acl.map_or(Rights::NONE, |acl| self.reader.rights(acl, &owner.account));
        if rights.is_empty() {
            return Err(IndexError::NoMailbox);
        }
        Ok(Place {
            account: self.others.open(owner, now)?,
            name: mailbox.to_owned(),
            rights,
            owner: Some(owner.account.clone()),
        })
    }

    /// Where a name leads, for who has one of these rights there.
    ///
    /// # Errors
    /// `NoRight`; `NoMailbox`, also for who may not know that it is there.
    pub(crate) fn place(&self, name: &str, needed: Rights, now: UnixMs) -> Outcome<Place> {
        let place = self.rights_at(name, now)?;
        if place.rights.has_any(needed) {
            Ok(place)
        } else if place.rights.has(Rights::LOOKUP) {
            Err(IndexError::NoRight)
        } else {
            Err(IndexError::NoMailbox)
        }
    }

    /// A mailbox that is there, for who has one of these rights.
    ///
    /// # Errors
    /// As of `place`.
    pub(crate) fn mailbox_for(
        &self,
        name: &str,
        needed: Rights,
        now: UnixMs,
    ) -> Outcome<(Arc<Mailbox>, Place)> {
        let place = self.place(name, needed, now)?;
        match place.account.mailbox(&place.name, now) {
            // A name that no folder can have is one that does not exist.
            Err(IndexError::BadName) | Ok(None) => Err(IndexError::NoMailbox),
            Ok(Some(mailbox)) => Ok((mailbox, place)),
            Err(error) => Err(error),
        }
    }

    /// The nearest mailbox above a name that is there: who may make something below it. None at the top. Where one of
    /// another's is between that this reader may not look up, nothing is his to make, and he is told what he would be told
    /// at the next one above.
    pub(crate) fn parent_of(&self, name: &str, now: UnixMs) -> Outcome<Option<Place>> {
        let mut has_hidden = false;
        for (at, _) in name.rmatch_indices('/') {
            match self.rights_at(&name[..at], now) {
                Err(IndexError::NoMailbox | IndexError::BadName) => {
                    has_hidden |= self.is_hidden(&name[..at])?
                }
                Ok(place) if !place.rights.has_any(Rights::LOOKUP | Rights::CREATE) => has_hidden = true,
                Ok(place) if has_hidden => {
                    let rights = place.rights - Rights::CREATE;
                    return Ok(Some(Place { rights, ..place }));
                }
                found => return found.map(Some),
            }
        }
        Ok(None)
    }

    /// Whether another's mailbox is there, which gives this reader nothing.
    fn is_hidden(&self, name: &str) -> Outcome<bool> {
        let Some((owner, mailbox)) = split(name).filter(|_| self.reader.shares) else {
            return Ok(false);
        };
        let Ok(owner) = self.owner(owner) else {
            return Ok(false);
        };
        Ok(acl_below(self.others.accounts.root(), &owner.path, mailbox)?.is_some())
    }

    /// The account that a new name is in, and the name there, for who may make something there. Nothing is made for
    /// anybody at the top of another's account.
    pub(crate) fn place_for_new(&self, name: &str, now: UnixMs) -> Outcome<(Arc<Account>, String)> {
        let is_anothers = self.reader.shares && is_anothers(name);
        let parent = self.parent_of(name, now)?;
        let parent = parent.filter(|parent| parent.owner.is_some() == is_anothers);
        if let Some(parent) = &parent
            && !parent.rights.has(Rights::CREATE)
        {
            let may_know = parent.rights.has(Rights::LOOKUP);
            return Err(if may_know {
                IndexError::NoRight
            } else {
                IndexError::NoMailbox
            });
        }
        match (split(name).filter(|_| self.reader.shares), parent) {
            // It would hide what is below it.
            (None, _) if self.reader.shares && name == OTHERS => Err(IndexError::BadName),
            (None, _) => Ok((Arc::clone(&self.account), name.to_owned())),
            (Some((_, mailbox)), Some(parent)) => Ok((parent.account, mailbox.to_owned())),
            // Whether that is because he may not see the one above, or there is none, or no such owner.
            (Some(_), None) => Err(IndexError::NoMailbox),
        }
    }
}

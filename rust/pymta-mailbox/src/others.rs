//! Mailboxes of others (RFC 4314, RFC 2342 §5): what names below `Other Users/` lead to, and what may be done there.
//!
//! Rules:
//! - Every name that a command brings goes through [`View::place`], with the right that the command needs.
//! - Who has no right to see a mailbox is told what he would be told if there were none.
//! - Of an account that gives this reader nothing nobody looks anything up, neither here nor in the directory.
//! - What the directory said last counts while it does not answer. Before it said anything about an account, what needs that
//!   ends with UNAVAILABLE, LIST too: who is told that a mailbox is not there removes what he kept of it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use pymta_imap::command::{Command, List};
use pymta_index::{Account, INBOX, IndexError, Mailbox, MailboxInfo, Rights, acl_below};
use pymta_maildir::{MailboxPath, Quota};
use pymta_types::UnixMs;

use crate::accounts::Accounts;
use crate::ending::Ending;
use crate::url::Url;
use crate::view::{Outcome, View};

/// What is above the mailboxes of others.
pub(crate) const OTHERS: &str = "Other Users";
/// Accounts of others that one session has open at a time.
const OPEN_MAX: usize = 8;
/// Names of others that one command is about: the owners that share something with one reader.
const OWNERS_MAX: usize = 1_000;
/// Accounts that a session knows; beyond it all are forgotten, and asked for again.
const KNOWN_MAX: usize = 10 * OWNERS_MAX;

/// Where another account's mail is, as the directory says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub account: String,
    /// Its Maildir.
    pub path: MailboxPath,
    /// What it may keep.
    pub quota: Quota,
}

/// The others that a session knows.
#[derive(Debug)]
pub(crate) struct Others {
    pub(crate) accounts: Accounts,
    /// By their names.
    pub(crate) known: HashMap<String, Owner>,
    /// Names of which nothing is known, because the directory did not answer.
    unanswered: HashSet<String>,
    /// Another spelling of a name, of which there are many, and whose it is: as the last command that named one had it.
    spelling: Option<(String, String)>,
    /// The one used last is the last.
    open: Mutex<Vec<(String, Arc<Account>)>>,
}

impl Others {
    pub(crate) fn new(accounts: Accounts) -> Self {
        Self {
            accounts,
            known: HashMap::new(),
            unanswered: HashSet::new(),
            spelling: None,
            open: Mutex::default(),
        }
    }

    fn open(&self, owner: &Owner, now: UnixMs) -> Outcome<Arc<Account>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let account = self.accounts.account(&owner.path, owner.quota, now)?;
        open.retain(|(name, _)| *name != owner.account);
        if open.len() >= OPEN_MAX {
            open.remove(0);
        }
        open.push((owner.account.clone(), Arc::clone(&account)));
        Ok(account)
    }
}

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

/// `Other Users/olga@example.test/Team/Plans` in two: the owner's name, and the mailbox's in that account. An inbox has no
/// case there either, and rules about it are about one name.
pub(crate) fn split(name: &str) -> Option<(&str, &str)> {
    let below = name.strip_prefix(OTHERS)?.strip_prefix('/')?;
    let (owner, mailbox) = below.split_once('/').unwrap_or((below, ""));
    let is_inbox = mailbox.eq_ignore_ascii_case(INBOX);
    Some((owner, if is_inbox { INBOX } else { mailbox }))
}

/// In front of the names of another's mailboxes.
pub(crate) fn joined(owner: &str, name: &str) -> String {
    format!("{OTHERS}/{owner}/{name}")
}

/// Whether it is about mailboxes of others, or about other accounts' rights: then [`View::others_of`] says which.
pub fn is_about_others(command: &Command) -> bool {
    list_of(command).is_some() || identifier_of(command).is_some() || !owners_of(command).is_empty()
}

/// Likewise, for the name of a mailbox.
pub fn is_anothers(mailbox: &str) -> bool {
    split(mailbox).is_some()
}

/// Likewise, for what a URL names (CATENATE).
pub fn is_url_anothers(url: &str) -> bool {
    Url::parse(url).is_some_and(|url| is_anothers(url.mailbox()))
}

/// Owners whose mailboxes a command names.
fn owners_of(command: &Command) -> Vec<&str> {
    let names: Vec<&String> = match command {
        Command::Select { mailbox, .. }
        | Command::Create { mailbox, .. }
        | Command::Status { mailbox, .. }
        | Command::Copy { mailbox, .. }
        | Command::GetMetadata { mailbox, .. }
        | Command::SetMetadata { mailbox, .. }
        | Command::SetAcl { mailbox, .. }
        | Command::ListRights { mailbox, .. }
        | Command::Delete(mailbox)
        | Command::GetQuotaRoot(mailbox)
        | Command::GetAcl(mailbox)
        | Command::MyRights(mailbox) => vec![mailbox],
        Command::Rename { from, to } => vec![from, to],
        _ => Vec::new(),
    };
    names
        .into_iter()
        .filter_map(|name| split(name).map(|(owner, _)| owner))
        .collect()
}

/// Whose rights it is about, without the sign.
fn identifier_of(command: &Command) -> Option<&str> {
    let (Command::SetAcl { identifier, .. } | Command::ListRights { identifier, .. }) = command else {
        return None;
    };
    let name = identifier.strip_prefix('-').unwrap_or(identifier);
    name.contains('@').then_some(name)
}

/// The patterns of a LIST or LSUB that may find mailboxes of others.
fn list_of(command: &Command) -> Option<Vec<String>> {
    let patterns = match command {
        Command::List(list) => whole_patterns(list),
        Command::Lsub { reference, pattern } => vec![format!("{reference}{pattern}")],
        _ => return None,
    };
    Some(patterns).filter(|patterns| patterns.iter().any(|pattern| may_find_others(pattern)))
}

/// With what is in front of each.
pub(crate) fn whole_patterns(list: &List) -> Vec<String> {
    let patterns = list.patterns.iter();
    patterns
        .map(|pattern| format!("{}{pattern}", list.reference))
        .collect()
}

/// What comes before the first wildcard has to agree with what is above all of them.
fn may_find_others(pattern: &str) -> bool {
    let end = pattern.find(['*', '%']).unwrap_or(pattern.len());
    let (fixed, length) = (&pattern[..end], end.min(OTHERS.len()));
    OTHERS.as_bytes().starts_with(&fixed.as_bytes()[..length]) && (end < pattern.len() || end >= OTHERS.len())
}

impl View {
    /// Names of accounts that the directory is to be asked for before a command is run: owners that give this reader
    /// something, and whom rights are given to.
    pub fn others_of(&self, command: &Command) -> Vec<String> {
        if !self.reader.shares {
            return Vec::new();
        }
        let mut names: Vec<String> = owners_of(command)
            .into_iter()
            .filter(|owner| self.is_given_by(owner))
            .map(str::to_owned)
            .collect();
        names.extend(identifier_of(command).map(str::to_owned));
        if list_of(command).is_some() {
            let shares = self.others.accounts.shares().of(&self.reader.account);
            names.extend(shares.unwrap_or_default().into_iter().map(|share| share.owner));
        }
        names.dedup();
        names.truncate(OWNERS_MAX);
        names
    }

    /// Likewise, for an APPEND into that mailbox.
    pub fn others_of_name(&self, mailbox: &str) -> Vec<String> {
        let owner = split(mailbox).map(|(owner, _)| owner);
        let owner = owner.filter(|owner| self.reader.shares && self.is_given_by(owner));
        owner.map(str::to_owned).into_iter().collect()
    }

    /// Likewise, for a URL.
    pub fn others_of_url(&self, url: &str) -> Vec<String> {
        Url::parse(url).map_or_else(Vec::new, |url| self.others_of_name(url.mailbox()))
    }

    fn is_given_by(&self, owner: &str) -> bool {
        let shares = self.others.accounts.shares();
        shares.gives(owner, &self.reader.account).unwrap_or(false)
    }

    /// What the directory said to a name: None where there is no such account (any more).
    pub fn introduce(&mut self, name: String, owner: Option<Owner>) {
        let others = &mut self.others;
        others.unanswered.remove(&name);
        match owner {
            Some(owner) if owner.account == name => {
                if others.known.len() >= KNOWN_MAX {
                    others.known.clear();
                }
                others.known.insert(name, owner);
            }
            // It would be another name for the same mailboxes, so it leads to none.
            Some(owner) => others.spelling = Some((name, owner.account)),
            None => {
                others.known.remove(&name);
                others.spelling.take_if(|(spelling, _)| *spelling == name);
            }
        }
    }

    /// The directory did not answer.
    pub fn introduce_later(&mut self, name: String) {
        let others = &mut self.others;
        if others.unanswered.len() >= KNOWN_MAX {
            others.unanswered.clear();
        }
        if !others.known.contains_key(&name) {
            others.unanswered.insert(name);
        }
    }

    /// The account of that name, in its canonical form where there is one.
    ///
    /// # Errors
    /// `NoAnswer`.
    pub(crate) fn canonical(&self, name: &str) -> Outcome<String> {
        match &self.others.spelling {
            Some((spelling, account)) if spelling == name => Ok(account.clone()),
            _ if self.others.known.contains_key(name) => Ok(name.to_owned()),
            _ if self.others.unanswered.contains(name) => Err(IndexError::NoAnswer),
            _ => Ok(name.to_ascii_lowercase()),
        }
    }

    fn owner(&self, name: &str) -> Outcome<&Owner> {
        if name == self.reader.account || !self.is_given_by(name) {
            return Err(IndexError::NoMailbox);
        }
        let others = &self.others;
        others.known.get(name).ok_or_else(|| {
            if others.unanswered.contains(name) {
                IndexError::NoAnswer
            } else {
                IndexError::NoMailbox
            }
        })
    }

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

    /// What others show to this reader, for LIST: mailboxes and what is above them, in the order of their names. And
    /// whether that is all.
    fn mailboxes_of_others(&self) -> Outcome<(Vec<MailboxInfo>, bool)> {
        let reader = &self.reader.account;
        let mut infos: Vec<MailboxInfo> = Vec::new();
        let mut is_all = true;
        for share in self.others.accounts.shares().of(reader)? {
            let Some(owner) = self.others.known.get(&share.owner) else {
                is_all &= !self.others.unanswered.contains(&share.owner);
                continue;
            };
            let acl = acl_below(self.others.accounts.root(), &owner.path, &share.mailbox);
            // One whose folder cannot be read does not spoil the list.
            let Ok(Some(acl)) = acl else { continue };
            if self.reader.rights(acl, &owner.account).has(Rights::LOOKUP) {
                let name = joined(&share.owner, &share.mailbox);
                for (at, _) in name.match_indices('/') {
                    infos.push(info(&name[..at], false));
                }
                infos.push(info(&name, true));
            }
        }
        // Of two with one name the one that exists is kept.
        infos.sort_by(|a, b| a.name.cmp(&b.name).then(b.exists.cmp(&a.exists)));
        infos.dedup_by(|later, kept| later.name == kept.name);
        Ok((infos, is_all))
    }

    /// Own mailboxes and those of others, in the order of their names. And how a list of them ends.
    pub(crate) fn all_mailboxes(
        &self,
        patterns: &[String],
        now: UnixMs,
    ) -> Outcome<(Vec<MailboxInfo>, Ending)> {
        let mut infos = self.account.mailboxes(now)?;
        let listed = Ending::ok("Listed");
        if !self.reader.shares {
            return Ok((infos, listed));
        }
        for info in infos.iter_mut().filter(|info| is_anothers(&info.name)) {
            info.exists = false; // subscribed, or a folder of ours that no name leads to
        }
        if !patterns.iter().any(|pattern| may_find_others(pattern)) {
            return Ok((infos, listed));
        }
        let (others, is_all) = self.mailboxes_of_others()?;
        for other in others {
            match infos.binary_search_by(|info| info.name.cmp(&other.name)) {
                Ok(at) => infos[at].exists |= other.exists,
                Err(at) => infos.insert(at, other),
            }
        }
        let ending = if is_all {
            listed
        } else {
            Ending::from(&IndexError::NoAnswer)
        };
        Ok((infos, ending))
    }

    /// Likewise, of the account that a place is in.
    pub(crate) fn note_shares_of(&mut self, place: &Place) {
        let owner = place.owner.clone().unwrap_or_else(|| self.reader.account.clone());
        self.note_shares(&place.account, &owner);
    }

    /// After rights or names of mailboxes changed: what an account gives is written down for others to find. A hint, so
    /// what goes wrong with it is for the operator, and not for who changed something.
    pub(crate) fn note_shares(&mut self, account: &Account, owner: &str) {
        let noted = self.others.accounts.shares().put(owner, || account.given(owner));
        if let Err(error) = noted {
            self.trouble = Some(format!("the list of shared mailboxes: {error}"));
        }
    }
}

fn info(name: &str, exists: bool) -> MailboxInfo {
    MailboxInfo {
        name: name.to_owned(),
        id: None,
        special_use: None,
        subscribed: false,
        exists,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_may_find_others_or_cannot() {
        for pattern in [
            "*",
            "%",
            "O*",
            "Other Users",
            "Other Users/%",
            "Other Users/x/y",
            "Other*x",
            "O%/%",
        ] {
            assert!(may_find_others(pattern), "{pattern}");
        }
        for pattern in ["", "INBOX", "Others*", "other users/%", "Sent/*", "Other"] {
            assert!(!may_find_others(pattern), "{pattern}");
        }
    }

    #[test]
    fn names_are_an_owners_and_a_mailboxs() {
        assert_eq!(Some(("o@x", "a/b")), split("Other Users/o@x/a/b"));
        assert_eq!(Some(("o@x", "")), split("Other Users/o@x"));
        assert_eq!(Some(("o@x", "INBOX")), split("Other Users/o@x/inbox"));
        assert_eq!(None, split("Other Users"));
        assert_eq!(None, split("Other Userss/o@x/a"));
        assert_eq!("Other Users/o@x/a", joined("o@x", "a"));
    }
}

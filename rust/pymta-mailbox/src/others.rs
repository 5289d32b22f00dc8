//! Others, and what they show to a reader (RFC 4314, RFC 2342 §5): whose mailboxes there are below `Other Users/`. Where a
//! name leads is `places`'.
//!
//! Rules:
//! - Of an account that gives this reader nothing nobody looks anything up, neither here nor in the directory.
//! - What the directory said last counts while it does not answer. Before it said anything about an account, what needs that
//!   ends with UNAVAILABLE, LIST too: who is told that a mailbox is not there removes what he kept of it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use pymta_imap::command::{Command, List};
use pymta_index::{Account, INBOX, IndexError, MailboxInfo, Rights, acl_below};
use pymta_maildir::{MailboxPath, Quota};
use pymta_types::UnixMs;

use crate::accounts::Accounts;
use crate::ending::Ending;
use crate::places::Place;
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

    /// Its mailboxes.
    pub(crate) fn open(&self, owner: &Owner, now: UnixMs) -> Outcome<Arc<Account>> {
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

    /// An account that gives this reader something.
    ///
    /// # Errors
    /// `NoMailbox`, `NoAnswer`.
    pub(crate) fn owner(&self, name: &str) -> Outcome<&Owner> {
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

//! Commands about mailboxes as a whole: SELECT, CREATE, LIST, STATUS.

use super::{Cursor, Flaw, Parsed};
use crate::capability::Extension;
use crate::command::{Command, List, Qresync, SequenceSet, StatusItem};
use crate::limits::LIST_MAX;

impl Cursor<'_> {
    pub(crate) fn spaced_mailbox(&mut self) -> Parsed<String> {
        self.space()?;
        let name = self.mailbox()?;
        if name.is_empty() {
            Err(Flaw::Syntax)
        } else {
            Ok(name)
        }
    }

    /// SELECT and EXAMINE with their parameters (RFC 4466 §2.1).
    pub(crate) fn select(&mut self, read_only: bool) -> Parsed<Command> {
        let mailbox = self.spaced_mailbox()?;
        let (mut condstore, mut qresync) = (false, None);
        if self.take(b' ') {
            self.list(|cursor| match cursor.word()?.as_str() {
                "CONDSTORE" if cursor.has(Extension::Condstore) => {
                    condstore = true;
                    Ok(())
                }
                // RFC 7162 §3.2.3: only once it was enabled.
                "QRESYNC" if cursor.grammar.enabled.qresync => {
                    cursor.space()?;
                    qresync = Some(cursor.qresync()?);
                    Ok(())
                }
                _ => Err(Flaw::Syntax),
            })?;
        }
        Ok(Command::Select {
            mailbox,
            read_only,
            condstore,
            qresync,
        })
    }

    /// `(uidvalidity modseq [known-uids] [(numbers uids)])`, RFC 7162 §7.
    fn qresync(&mut self) -> Parsed<Qresync> {
        self.expect(b'(')?;
        let uid_validity = self.nonzero()?;
        self.space()?;
        let modseq = self.number64()?;
        let (mut known_uids, mut match_data) = (None, None);
        if self.take(b' ') {
            if self.peek() != Some(b'(') {
                known_uids = Some(self.known_set()?);
            }
            if known_uids.is_none() || self.take(b' ') {
                match_data = Some(self.match_data()?);
            }
        }
        self.expect(b')')?;
        Ok(Qresync {
            uid_validity,
            modseq,
            known_uids,
            match_data,
        })
    }

    fn match_data(&mut self) -> Parsed<(SequenceSet, SequenceSet)> {
        self.expect(b'(')?;
        let numbers = self.known_set()?;
        self.space()?;
        let uids = self.known_set()?;
        self.expect(b')')?;
        Ok((numbers, uids))
    }

    /// CREATE, with USE (RFC 6154 §3).
    pub(crate) fn create(&mut self) -> Parsed<Command> {
        let mailbox = self.spaced_mailbox()?;
        let mut special_use = Vec::new();
        if self.take(b' ') {
            self.needs(Extension::CreateSpecialUse)
                .map_err(|_| Flaw::Syntax)?;
            self.expect(b'(')?;
            if self.word()? != "USE" {
                return Err(Flaw::Syntax);
            }
            self.space()?;
            special_use = self.list_or_none(|cursor| {
                cursor.expect(b'\\')?;
                Ok(format!("\\{}", cursor.atom()?))
            })?;
            self.expect(b')')?;
        }
        Ok(Command::Create { mailbox, special_use })
    }

    pub(crate) fn lsub(&mut self) -> Parsed<Command> {
        self.space()?;
        let reference = self.reference()?;
        self.space()?;
        let pattern = self.pattern()?;
        Ok(Command::Lsub { reference, pattern })
    }

    /// As a pattern, so that a separator at its end stays.
    fn reference(&mut self) -> Parsed<String> {
        self.pattern()
    }

    /// LIST (RFC 9051 §6.3.9, RFC 5258).
    pub(crate) fn list_command(&mut self) -> Parsed<Command> {
        let mut list = List::default();
        self.space()?;
        if self.peek() == Some(b'(') {
            self.needs_list_extended()?;
            list.extended = true;
            self.list_or_none(|cursor| cursor.selection_option(&mut list))?;
            self.space()?;
            if list.recursive_match && !list.select_subscribed {
                return Err(Flaw::Syntax); // RFC 5258 §3.1: it modifies another
            }
        }
        list.reference = self.reference()?;
        self.space()?;
        if self.peek() == Some(b'(') {
            self.needs_list_extended()?;
            list.extended = true;
            list.patterns = self.list(Self::pattern)?;
        } else {
            list.patterns = vec![self.pattern()?];
        }
        if self.take(b' ') {
            self.needs_list_extended()?;
            list.extended = true;
            if self.word()? != "RETURN" {
                return Err(Flaw::Syntax);
            }
            self.space()?;
            self.list_or_none(|cursor| cursor.return_option(&mut list))?;
        }
        Ok(Command::List(list))
    }

    fn needs_list_extended(&self) -> Parsed<()> {
        let has = [
            Extension::ListExtended,
            Extension::SpecialUse,
            Extension::ListStatus,
        ];
        if has.iter().any(|&one| self.has(one)) {
            Ok(())
        } else {
            Err(Flaw::Syntax)
        }
    }

    fn selection_option(&mut self, list: &mut List) -> Parsed<()> {
        let option = match self.word()?.as_str() {
            "SUBSCRIBED" => &mut list.select_subscribed,
            "REMOTE" => &mut list.select_remote,
            "RECURSIVEMATCH" => &mut list.recursive_match,
            "SPECIAL-USE" if self.has(Extension::SpecialUse) => &mut list.select_special_use,
            _ => return Err(Flaw::Syntax),
        };
        *option = true;
        Ok(())
    }

    fn return_option(&mut self, list: &mut List) -> Parsed<()> {
        match self.word()?.as_str() {
            "SUBSCRIBED" => list.return_subscribed = true,
            "CHILDREN" => list.return_children = true,
            "SPECIAL-USE" if self.has(Extension::SpecialUse) => list.return_special_use = true,
            "MYRIGHTS" if self.has(Extension::ListMyRights) => list.return_my_rights = true,
            "STATUS" if self.has(Extension::ListStatus) => {
                self.space()?;
                list.return_status = Some(self.status_items()?);
            }
            "METADATA" if self.has(Extension::ListMetadata) => {
                self.space()?;
                list.return_metadata = Some(self.list(Self::entry)?);
            }
            _ => return Err(Flaw::Syntax),
        }
        Ok(())
    }

    pub(crate) fn status(&mut self) -> Parsed<Command> {
        let mailbox = self.spaced_mailbox()?;
        self.space()?;
        let items = self.status_items()?;
        Ok(Command::Status { mailbox, items })
    }

    fn status_items(&mut self) -> Parsed<Vec<StatusItem>> {
        let items = self.list(Self::status_item)?;
        if items.len() > LIST_MAX {
            Err(Flaw::TooComplex)
        } else {
            Ok(items)
        }
    }

    fn status_item(&mut self) -> Parsed<StatusItem> {
        let is_rev2 = self.has(Extension::Rev2);
        let is_condstore = self.has(Extension::Condstore);
        Ok(match self.word()?.as_str() {
            "MESSAGES" => StatusItem::Messages,
            "RECENT" => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "DELETED" if is_rev2 || self.has(Extension::Quota) => StatusItem::Deleted,
            "SIZE" if is_rev2 || self.has(Extension::StatusSize) => StatusItem::Size,
            "HIGHESTMODSEQ" if is_condstore => StatusItem::HighestModSeq,
            "MAILBOXID" if self.has(Extension::ObjectId) => StatusItem::MailboxId,
            "APPENDLIMIT" => StatusItem::AppendLimit,
            "DELETED-STORAGE" if self.has(Extension::Quota) => StatusItem::DeletedStorage,
            _ => return Err(Flaw::Syntax),
        })
    }
}

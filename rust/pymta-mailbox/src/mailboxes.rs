//! Commands about mailboxes as a whole: SELECT and its end, STATUS, CREATE, DELETE, RENAME, SUBSCRIBE.

use std::sync::Arc;

use pymta_imap::command::{Qresync, StatusItem};
use pymta_imap::write;
use pymta_index::{IndexError, Mailbox, Rights, flag};
use pymta_types::UnixMs;

use crate::ending::Ending;
use crate::others::is_anothers;
use crate::picture::{Picture, line};
use crate::places::Place;
use crate::rows::RowForm;
use crate::vanished::Known;
use crate::view::{Outcome, View};

impl View {
    /// A mailbox that is there, and may be read.
    pub(crate) fn mailbox(&self, name: &str, now: UnixMs) -> Outcome<Arc<Mailbox>> {
        self.mailbox_for(name, Rights::READ, now)
            .map(|(mailbox, _)| mailbox)
    }

    /// What SELECT does first, also where it fails then. The rows of what it closes may be those of what it opens.
    pub(crate) fn close_selected(&mut self, out: &mut Vec<u8>) -> Option<Picture> {
        let closed = self.selected.take();
        if closed.is_some() {
            line(out, "* OK [CLOSED] The mailbox that was selected is closed");
        }
        closed
    }

    /// SELECT and EXAMINE (RFC 9051 §6.3.2, RFC 7162 §3.2.5).
    pub(crate) fn select(
        &mut self,
        name: &str,
        is_read_only: bool,
        condstore: bool,
        qresync: Option<&Qresync>,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Ending> {
        let (mailbox, place) = self.mailbox_for(name, Rights::READ, now)?;
        let is_read_only = is_read_only || !place.rights.has_any(Rights::CHANGING);
        let shared = self.others.accounts.rows().clone();
        let mut picture = Picture::of(Arc::clone(&mailbox), name, place, is_read_only, shared, now)?;
        if !self.enabled.rev2 {
            picture.take_recent()?;
        }
        picture.condstore = condstore || qresync.is_some() || self.enabled.condstore || self.enabled.qresync;
        picture.say_flags(out);
        line(out, &format!("* {} EXISTS", picture.rows().len()));
        let rev2 = self.enabled.rev2;
        if !rev2 {
            line(out, &format!("* {} RECENT", picture.recent_count()));
            let unseen = picture.rows().iter().position(|row| row.flags & flag::SEEN == 0);
            if let Some(at) = unseen {
                line(out, &format!("* OK [UNSEEN {}] The first one unseen", at + 1));
            }
        }
        let uid_next = picture.uid_next();
        line(
            out,
            &format!("* OK [UIDVALIDITY {}] UIDs valid", picture.uid_validity),
        );
        line(out, &format!("* OK [UIDNEXT {uid_next}] The next UID"));
        line(
            out,
            &format!("* OK [HIGHESTMODSEQ {}] The highest so far", picture.modseq),
        );
        line(
            out,
            &format!("* OK [MAILBOXID (F{})] The mailbox's id", mailbox.id()),
        );
        if rev2 {
            out.extend_from_slice(b"* LIST () \"/\" ");
            write::mailbox(out, name, self.enabled.utf8);
            out.extend_from_slice(b"\r\n");
        }
        if let Some(known) = qresync.filter(|known| known.uid_validity == picture.uid_validity) {
            self.resynchronize(&picture, known, out)?;
        }
        if let Some(notifying) = &self.notify {
            picture.wants = notifying.selected;
        }
        self.selected = Some(picture);
        self.add_chores();
        Ok(if is_read_only {
            Ending::ok_with("READ-ONLY".to_owned(), "Selected for reading")
        } else {
            Ending::ok_with("READ-WRITE".to_owned(), "Selected")
        })
    }

    /// What the client missed (RFC 7162 §3.2.5.1): first what is gone, then what has other flags.
    fn resynchronize(&self, picture: &Picture, known: &Qresync, out: &mut Vec<u8>) -> Outcome<()> {
        let changes = picture.mailbox.changes(known.modseq)?;
        let known_uids = Known::of(known.known_uids.as_ref());
        crate::vanished::say(out, &changes.vanished, &known_uids, picture);
        let form = RowForm {
            with_uid: true,
            with_flags: true,
            with_modseq: true,
        };
        for message in &changes.changed {
            let is_known = known_uids.holds(message.uid);
            if let Some(at) = picture.position(message.uid).filter(|_| is_known) {
                picture.say_row(out, at, form, self.enabled);
            }
        }
        Ok(())
    }

    /// CLOSE: removes what is marked as deleted without a word (RFC 9051 §6.4.1), for who may (RFC 4314 §4).
    pub(crate) fn close(&mut self, now: UnixMs) -> Outcome<Ending> {
        if let Some(picture) = self.selected.take()
            && picture.may(Rights::EXPUNGE)
        {
            let uids = picture.deleted_uids(None);
            picture.mailbox.expunge(&uids, now)?;
        }
        Ok(Ending::ok("Closed"))
    }

    /// STATUS.
    pub(crate) fn status(
        &mut self,
        name: &str,
        items: &[StatusItem],
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Ending> {
        self.say_status(name, items, out, now)?;
        Ok(Ending::ok("Status said"))
    }

    pub(crate) fn say_status(
        &mut self,
        name: &str,
        items: &[StatusItem],
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<()> {
        let mailbox = self.mailbox(name, now)?;
        mailbox.reconcile(now)?;
        let status = mailbox.status()?;
        let mut words = Vec::with_capacity(items.len());
        for item in items {
            words.push(match item {
                StatusItem::Messages => format!("MESSAGES {}", status.messages),
                StatusItem::Recent => format!("RECENT {}", mailbox.recent_count()?),
                StatusItem::UidNext => format!("UIDNEXT {}", status.uid_next),
                StatusItem::UidValidity => format!("UIDVALIDITY {}", status.uid_validity),
                StatusItem::Unseen => format!("UNSEEN {}", status.unseen),
                StatusItem::Deleted => format!("DELETED {}", status.deleted),
                StatusItem::Size => format!("SIZE {}", mailbox.octets(now)?),
                StatusItem::HighestModSeq => {
                    if let Some(picture) = self.selected.as_mut() {
                        picture.condstore = true; // RFC 7162 §3.1: it enables
                    }
                    format!("HIGHESTMODSEQ {}", status.highest_modseq)
                }
                StatusItem::MailboxId => format!("MAILBOXID (F{})", mailbox.id()),
                StatusItem::AppendLimit => match self.reader.append_octets_max {
                    Some(octets) => format!("APPENDLIMIT {octets}"),
                    None => "APPENDLIMIT NIL".to_owned(),
                },
                StatusItem::DeletedStorage => format!("DELETED-STORAGE {}", deleted_octets(&mailbox, now)?),
                _ => continue,
            });
        }
        out.extend_from_slice(b"* STATUS ");
        write::mailbox(out, name, self.enabled.utf8);
        out.push(b' ');
        write::words(out, words.iter().map(String::as_str));
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// CREATE (RFC 9051 §6.3.4, RFC 6154 §3).
    pub(crate) fn create(&mut self, name: &str, special_use: &[String], now: UnixMs) -> Outcome<Ending> {
        if special_use.len() > 1 {
            return Ok(Ending::no("USEATTR", "A mailbox has one use"));
        }
        let (account, local) = self.place_for_new(name, now)?;
        if !special_use.is_empty() && self.reader.shares && is_anothers(name) {
            // His programs would put his mail there.
            return Ok(Ending::no("USEATTR", "Only its owner says what a mailbox is for"));
        }
        let created = account.create(&local, special_use.first().map(String::as_str), now);
        let id = created.map_err(|error| self.not_telling(error, name, now))?;
        account.inherit_acl(&local, now)?;
        if account.acl(&local)?.is_some_and(|acl| !acl.is_empty()) {
            self.note_shares_of(&self.place(name, Rights::ALL, now)?);
        }
        Ok(Ending::ok_with(format!("MAILBOXID (F{id})"), "Created"))
    }

    /// DELETE. Who has it selected is told that it is closed.
    pub(crate) fn delete(&mut self, name: &str, out: &mut Vec<u8>, now: UnixMs) -> Outcome<Ending> {
        let place = self.place(name, Rights::DELETE, now)?;
        let was_shared = place.account.acl(&place.name)?.is_some_and(|acl| !acl.is_empty());
        place.account.delete(&place.name, now)?;
        if was_shared {
            self.note_shares_of(&place);
        }
        if self.selected.as_ref().is_some_and(|picture| picture.name == name) {
            self.close_selected(out);
        }
        Ok(Ending::ok("Deleted"))
    }

    /// RENAME. Of INBOX it moves the messages, and INBOX stays (RFC 9051 §6.3.6). What is below goes along, so all of it that
    /// this reader sees has to be his to take.
    pub(crate) fn rename(&mut self, from: &str, to: &str, now: UnixMs) -> Outcome<Ending> {
        let place = match self.place(from, Rights::DELETE, now) {
            // What only has others below it has no rights of its own.
            Err(IndexError::NoMailbox) if !self.reader.shares || !is_anothers(from) => Place {
                account: Arc::clone(&self.account),
                name: from.to_owned(),
                rights: Rights::ALL,
                owner: None,
            },
            place => place?,
        };
        let (account, target) = self.place_for_new(to, now)?;
        if !Arc::ptr_eq(&account, &place.account) {
            return Ok(Ending::no(
                "CANNOT",
                "From one account to another only messages go",
            ));
        }
        if place.owner.is_some() && place.name == "INBOX" {
            return Err(IndexError::HasToStay);
        }
        let below = format!("{}/", place.name);
        let owner = place.owner.clone().unwrap_or_else(|| self.reader.account.clone());
        let mut is_shared = false;
        for info in account.mailboxes(now)? {
            if info.exists && (info.name == place.name || info.name.starts_with(&below)) {
                let acl = account.acl(&info.name)?.unwrap_or_default();
                is_shared |= !acl.is_empty();
                let rights = self.reader.rights(acl, &owner);
                // One below that is hidden from him goes along: with NO he would learn that it is there. RFC 4314 §4 asks
                // for x of the mailbox that is named only.
                if rights.has(Rights::LOOKUP) && !rights.has(Rights::DELETE) {
                    return Err(IndexError::NoRight);
                }
            }
        }
        let renamed = account.rename(&place.name, &target, now);
        renamed.map_err(|error| self.not_telling(error, to, now))?;
        if is_shared {
            self.note_shares_of(&place);
        }
        if let Some(picture) = self.selected.as_mut() {
            if picture.name == from && from != "INBOX" {
                to.clone_into(&mut picture.name);
            } else if let Some(rest) = picture.name.strip_prefix(from)
                && rest.starts_with('/')
            {
                picture.name = format!("{to}{rest}");
            }
        }
        Ok(Ending::ok("Renamed"))
    }

    /// SUBSCRIBE and UNSUBSCRIBE; a name need not exist (RFC 9051 §6.3.7 allows either).
    pub(crate) fn subscribe(&mut self, name: &str, is_wanted: bool) -> Outcome<Ending> {
        if is_wanted {
            self.account.subscribe(name)?;
        } else {
            self.account.unsubscribe(name)?;
        }
        Ok(Ending::ok("Done"))
    }
}

impl View {
    /// That a name is taken is said only to who may look it up (RFC 4314 §6). But a name cannot be given twice, so who has k
    /// above it is refused there in any case: he is told what he is told wherever he may not make something. It may be this
    /// name, or one above it that is hidden from him. From its owner nothing is.
    fn not_telling(&self, error: IndexError, name: &str, now: UnixMs) -> IndexError {
        let is_anothers = self.reader.shares && is_anothers(name);
        match error {
            IndexError::Exists if is_anothers && self.place(name, Rights::LOOKUP, now).is_err() => {
                IndexError::NoRight
            }
            error => error,
        }
    }

    /// A line that says no more than that a mailbox is not there, for who may make it.
    pub(crate) fn try_create(&self, name: &str, error: IndexError) -> Outcome<Ending> {
        match error {
            IndexError::NoMailbox if !self.reader.shares || !is_anothers(name) => {
                Ok(Ending::no("TRYCREATE", "No such mailbox; CREATE may help"))
            }
            error => Err(error),
        }
    }
}

/// What would come free with an EXPUNGE (RFC 9208 §4.4.3).
fn deleted_octets(mailbox: &Mailbox, now: UnixMs) -> Outcome<u64> {
    let messages = mailbox.messages()?;
    let deleted = messages
        .iter()
        .filter(|message| message.flags & flag::DELETED != 0);
    let uids: Vec<u32> = deleted.map(|message| message.uid).collect();
    Ok(mailbox
        .details(&uids, now)?
        .iter()
        .map(|details| details.octets)
        .sum())
}

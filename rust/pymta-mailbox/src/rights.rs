//! Commands about rights (RFC 4314 §3), and what is said of them. Who may do what is `others`' and each command's.

use pymta_imap::write;
use pymta_index::{AclChange, AclEntry, INBOX, Identifier, IndexError, Rights};
use pymta_types::UnixMs;

use crate::ending::Ending;
use crate::places::Place;
use crate::view::{Outcome, View};

/// Whoever has one of these may ask which he has (RFC 4314 §4).
const FOR_MYRIGHTS: &str = "lrikxa";
/// Every account.
const ANYONE: &str = "anyone";

/// Rights that mean something there: INBOX stays where it is, whoever may delete it, so nobody can be granted x there.
fn meaning(place: &Place, rights: Rights) -> Rights {
    if place.name == INBOX {
        rights - Rights::DELETE
    } else {
        rights
    }
}

impl View {
    /// MYRIGHTS.
    pub(crate) fn my_rights(&mut self, name: &str, out: &mut Vec<u8>, now: UnixMs) -> Outcome<Ending> {
        self.say_my_rights(out, name, now)?;
        Ok(Ending::ok("Rights said"))
    }

    pub(crate) fn say_my_rights(&self, out: &mut Vec<u8>, name: &str, now: UnixMs) -> Outcome<()> {
        let needed = Rights::parse(FOR_MYRIGHTS).unwrap_or_default();
        let place = self.place(name, needed, now)?;
        let rights = meaning(&place, place.rights);
        if !rights.has_any(needed) {
            return Err(IndexError::NoMailbox);
        }
        out.extend_from_slice(b"* MYRIGHTS ");
        write::mailbox(out, name, self.enabled.utf8);
        out.extend_from_slice(format!(" {}\r\n", rights.with_obsolete()).as_bytes());
        Ok(())
    }

    /// GETACL: the owner first, whose rights need not be written down.
    pub(crate) fn get_acl(&mut self, name: &str, out: &mut Vec<u8>, now: UnixMs) -> Outcome<Ending> {
        let (mailbox, place) = self.mailbox_for(name, Rights::ADMIN, now)?;
        let acl = mailbox.acl()?;
        let owner = place.owner.as_deref().unwrap_or(&self.reader.account);
        out.extend_from_slice(b"* ACL ");
        write::mailbox(out, name, self.enabled.utf8);
        let of_owner = meaning(&place, acl.rights(owner, owner)).with_obsolete();
        let is_owners = |entry: &AclEntry| match &entry.identifier {
            Identifier::Owner => !entry.is_negative,
            Identifier::User(name) => name == owner && !entry.is_negative,
            _ => false,
        };
        self.say_word(out, owner);
        self.say_word(out, &of_owner);
        for entry in acl.entries().iter().filter(|entry| !is_owners(entry)) {
            let sign = if entry.is_negative { "-" } else { "" };
            let who = match &entry.identifier {
                Identifier::Owner => owner,
                Identifier::User(name) => name,
                Identifier::Anyone => ANYONE,
                Identifier::Other(name) => name,
                _ => continue,
            };
            self.say_word(out, &format!("{sign}{who}"));
            self.say_word(out, &meaning(&place, entry.rights).with_obsolete());
        }
        out.extend_from_slice(b"\r\n");
        Ok(Ending::ok("Rights said"))
    }

    fn say_word(&self, out: &mut Vec<u8>, word: &str) {
        out.push(b' ');
        write::astring(out, word.as_bytes(), self.enabled.utf8);
    }

    /// SETACL, or DELETEACL where there are no rights.
    pub(crate) fn set_acl(
        &mut self,
        name: &str,
        identifier: &str,
        rights: Option<&str>,
        now: UnixMs,
    ) -> Outcome<Ending> {
        let place = self.place(name, Rights::ADMIN, now)?;
        let (is_negative, who) = self.identifier(identifier, &place)?;
        let Some(who) = who else {
            return Ok(Ending::no(
                "CANNOT",
                "Rights are given to accounts, by their addresses, and to anyone",
            ));
        };
        let change = match rights.map(change_of) {
            None => None,
            Some(Some(change)) => Some(change),
            Some(None) => return Ok(Ending::bad("There is no such right")),
        };
        let gives =
            matches!(change, Some(AclChange::Add(given) | AclChange::Replace(given)) if !given.is_empty());
        if who == Identifier::Anyone && !is_negative && gives && !self.reader.shares_with_anyone {
            return Ok(Ending::no(
                "NOPERM",
                "The operator does not let accounts share with everybody",
            ));
        }
        let changed = place.account.set_acl(
            &place.name,
            |acl| {
                acl.name_owner(place.owner.as_ref().unwrap_or(&self.reader.account));
                match change {
                    Some(change) => acl.set(&who, is_negative, change),
                    None => acl.remove(&who, is_negative),
                }
            },
            now,
        );
        match changed {
            Err(IndexError::BadName) => return Ok(Ending::no("CANNOT", "Not a name for an account")),
            changed => changed?,
        }
        self.note_shares_of(&place);
        Ok(Ending::ok("Done"))
    }

    /// LISTRIGHTS: what the owner has in any case, and every other right by itself.
    pub(crate) fn list_rights(
        &mut self,
        name: &str,
        identifier: &str,
        out: &mut Vec<u8>,
        now: UnixMs,
    ) -> Outcome<Ending> {
        let place = self.place(name, Rights::ADMIN, now)?;
        let (is_negative, who) = self.identifier(identifier, &place)?;
        let always = if who == Some(Identifier::Owner) && !is_negative {
            Rights::OF_OWNER
        } else {
            Rights::NONE
        };
        out.extend_from_slice(b"* LISTRIGHTS ");
        write::mailbox(out, name, self.enabled.utf8);
        self.say_word(out, identifier);
        self.say_word(out, &always.to_string());
        for right in meaning(&place, Rights::ALL - always).each() {
            self.say_word(out, &right.to_string());
        }
        // The obsolete ones last (RFC 4314 §2.1.1).
        out.extend_from_slice(b" c d\r\n");
        Ok(Ending::ok("Rights said"))
    }

    /// Whom a client means, and whether rights are to be taken away: `-` is in front then.
    fn identifier(&self, identifier: &str, place: &Place) -> Outcome<(bool, Option<Identifier>)> {
        let (is_negative, name) = match identifier.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, identifier),
        };
        if name == ANYONE {
            return Ok((is_negative, Some(Identifier::Anyone)));
        }
        if !name.contains('@') {
            return Ok((is_negative, None));
        }
        let name = self.canonical(name)?;
        let is_owner = name == *place.owner.as_ref().unwrap_or(&self.reader.account);
        let who = if is_owner {
            Identifier::Owner
        } else {
            Identifier::User(name)
        };
        Ok((is_negative, Some(who)))
    }
}

/// As SETACL writes it.
fn change_of(text: &str) -> Option<AclChange> {
    Some(match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(letters), _) => AclChange::Add(Rights::parse(letters)?),
        (_, Some(letters)) => AclChange::Remove(Rights::parse(letters)?),
        _ => AclChange::Replace(Rights::parse(text)?),
    })
}

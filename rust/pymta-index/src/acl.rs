//! Who may do what with a mailbox: the file `dovecot-acl` in its folder, as Dovecot documents it.
//!
//! ```text
//! owner lrwstipekxa
//! user=bob@example.org lrws
//! "user=a b@example.org" lr
//! -anyone w                        a right that is taken away, whoever else gives it
//! group=team lr :named             kept as it is: there are no groups here, nor other rights than these letters
//! ```
//! Rules:
//! - Rights are those of all lines that mean somebody, less those of all lines with `-` that do. (Dovecot: the line that
//!   means somebody the closest, less …)
//! - Without a file, or without a line that means him, the owner has all rights; he always has l and a.
//! - A file that is not understood, or cannot be read, gives nobody but the owner anything, and is not written over.

use crate::{IndexError, Rights};

/// Its name.
pub(crate) const ACL_NAME: &str = "dovecot-acl";
/// A larger one is not understood.
pub(crate) const ACL_OCTETS_MAX: usize = 64 * 1024;
/// Lines of one.
const ENTRIES_MAX: usize = 500;
/// An address has at most so many.
const IDENTIFIER_OCTETS_MAX: usize = 320;

/// Whom a line means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identifier {
    /// Whose mailbox it is.
    Owner,
    /// The account of that name.
    User(String),
    /// Every account. Dovecot has `authenticated` beside it, for a server on which somebody may be nobody.
    Anyone,
    /// As it is in the file: it means nobody here.
    Other(String),
}

impl Identifier {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "owner" => Self::Owner,
            "anyone" | "authenticated" | "anonymous" => Self::Anyone,
            _ => match text.split_once('=')? {
                ("user", name) if !name.is_empty() => Self::User(name.to_owned()),
                ("group" | "group-override", _) => Self::Other(text.to_owned()),
                _ => return None,
            },
        })
    }

    fn compose(&self) -> String {
        match self {
            Self::Owner => "owner".to_owned(),
            Self::Anyone => "anyone".to_owned(),
            Self::User(name) => format!("user={name}"),
            Self::Other(text) => text.clone(),
        }
    }

    fn means(&self, reader: &str, owner: &str) -> bool {
        match self {
            Self::Owner => reader == owner,
            Self::User(name) => name == reader,
            Self::Anyone => true,
            Self::Other(_) => false,
        }
    }
}

/// A line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// Whom it means.
    pub identifier: Identifier,
    /// It takes away.
    pub is_negative: bool,
    /// What.
    pub rights: Rights,
    /// What follows the letters: rights by name, which mean nothing here.
    named: String,
}

/// How SETACL means its rights (RFC 4314 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclChange {
    /// These and no others.
    Replace(Rights),
    /// These as well.
    Add(Rights),
    /// Without these.
    Remove(Rights),
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    entries: Vec<AclEntry>,
    /// Why the file is not understood.
    damage: Option<String>,
}

impl Acl {
    pub(crate) fn parse(octets: &[u8]) -> Self {
        if octets.len() > ACL_OCTETS_MAX {
            return Self::damaged(format!("it is longer than {ACL_OCTETS_MAX} octets"));
        }
        let Ok(text) = str::from_utf8(octets) else {
            return Self::damaged("it is not UTF-8".to_owned());
        };
        let mut entries = Vec::new();
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            match parse_line(line) {
                Some(entry) => entries.push(entry),
                None => return Self::damaged(format!("line {number} is not understood")),
            }
        }
        Self {
            entries,
            damage: None,
        }
    }

    pub(crate) fn damaged(why: String) -> Self {
        Self {
            entries: Vec::new(),
            damage: Some(why),
        }
    }

    pub(crate) fn compose(&self) -> String {
        let mut text = String::new();
        for entry in &self.entries {
            let sign = if entry.is_negative { "-" } else { "" };
            let identifier = format!("{sign}{}", entry.identifier.compose());
            if identifier.contains([' ', '"', '\\', '\'']) {
                text.push('"');
                for letter in identifier.chars() {
                    if matches!(letter, '"' | '\\' | '\'') {
                        text.push('\\');
                    }
                    text.push(letter);
                }
                text.push('"');
            } else {
                text.push_str(&identifier);
            }
            text.push_str(&format!(" {}", entry.rights));
            if !entry.named.is_empty() {
                text.push_str(&format!(" {}", entry.named));
            }
            text.push('\n');
        }
        text
    }

    /// The lines, in their order.
    pub fn entries(&self) -> &[AclEntry] {
        &self.entries
    }

    /// Whether there are none: the owner has everything, and nobody else anything.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && !self.is_damaged()
    }

    /// Whether the file is not understood.
    pub fn is_damaged(&self) -> bool {
        self.damage.is_some()
    }

    /// Why it is not, for an operator.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// What an account may do with a mailbox of another, or its own.
    pub fn rights(&self, reader: &str, owner: &str) -> Rights {
        let is_owner = reader == owner;
        if self.is_damaged() {
            return if is_owner { Rights::ALL } else { Rights::NONE };
        }
        let meant = |is_negative: bool| {
            let entries = self.entries.iter();
            let meant = entries.filter(|entry| entry.identifier.means(reader, owner));
            meant
                .filter(|entry| entry.is_negative == is_negative)
                .fold(Rights::NONE, |rights, entry| rights | entry.rights)
        };
        let rights = self.given_to_owner(reader, owner).unwrap_or_default() | meant(false);
        let rights = rights - meant(true);
        if is_owner {
            rights | Rights::OF_OWNER
        } else {
            rights
        }
    }

    /// All, where no line says what the owner has.
    fn given_to_owner(&self, reader: &str, owner: &str) -> Option<Rights> {
        let says = |entry: &AclEntry| match &entry.identifier {
            Identifier::Owner => !entry.is_negative,
            Identifier::User(name) => name == owner && !entry.is_negative,
            _ => false,
        };
        (reader == owner && !self.entries.iter().any(says)).then_some(Rights::ALL)
    }

    /// Whom it gives anything, the owner aside: None for anyone.
    pub fn given_to<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = Option<&'a str>> {
        let entries = self.entries.iter().filter(|entry| !entry.is_negative);
        entries
            .filter(|entry| !entry.rights.is_empty())
            .filter_map(move |entry| match &entry.identifier {
                Identifier::User(name) if name != owner => Some(Some(name.as_str())),
                Identifier::Anyone => Some(None),
                _ => None,
            })
    }

    /// SETACL. Rights that are none are no line; but the owner's are, which would be all.
    ///
    /// # Errors
    /// `TooMany`; `BadName` for an identifier that cannot be written down.
    pub fn set(
        &mut self,
        identifier: &Identifier,
        is_negative: bool,
        change: AclChange,
    ) -> Result<(), IndexError> {
        if self.is_damaged() {
            return Err(IndexError::BadAcl);
        }
        let written = identifier.compose();
        if Identifier::parse(&written).as_ref() != Some(identifier)
            || written.len() > IDENTIFIER_OCTETS_MAX
            || written.chars().any(char::is_control)
        {
            return Err(IndexError::BadName);
        }
        let at = self.gather(identifier, is_negative);
        let is_of_owner = *identifier == Identifier::Owner && !is_negative;
        let held = match at {
            Some(at) => self.entries[at].rights,
            None if is_of_owner => Rights::ALL,
            None => Rights::NONE,
        };
        let rights = match change {
            AclChange::Replace(rights) => rights,
            AclChange::Add(rights) => held | rights,
            AclChange::Remove(rights) => held - rights,
        };
        let is_kept = !rights.is_empty() || is_of_owner;
        match at {
            Some(at) if is_kept => self.entries[at].rights = rights,
            Some(at) => {
                self.entries.remove(at);
            }
            None if is_kept && self.entries.len() >= ENTRIES_MAX => {
                return Err(IndexError::TooMany("identifiers"));
            }
            None if is_kept => self.entries.push(AclEntry {
                identifier: identifier.clone(),
                is_negative,
                rights,
                named: String::new(),
            }),
            None => {}
        }
        Ok(())
    }

    /// Where its line is. Another program may have written several (`anyone` and `authenticated`), which are made one: what
    /// is taken away must not stay in the second.
    fn gather(&mut self, identifier: &Identifier, is_negative: bool) -> Option<usize> {
        let is_same = |entry: &AclEntry| entry.identifier == *identifier && entry.is_negative == is_negative;
        let at = self.entries.iter().position(is_same)?;
        let (first, more) = self.entries.split_at_mut(at + 1);
        for entry in more.iter().filter(|entry| is_same(entry)) {
            first[at].rights = first[at].rights | entry.rights;
        }
        let mut is_first = true;
        self.entries
            .retain(|entry| !is_same(entry) || std::mem::take(&mut is_first));
        Some(at)
    }

    /// Lines that mean the owner by his name are the owner's.
    pub fn name_owner(&mut self, owner: &str) {
        let lines = self.entries.iter_mut().map(|entry| &mut entry.identifier);
        for identifier in
            lines.filter(|identifier| matches!(identifier, Identifier::User(name) if name == owner))
        {
            *identifier = Identifier::Owner;
        }
    }

    /// Without what is given to every account, where the operator does not let accounts do that.
    #[must_use]
    pub fn without_anyone(mut self) -> Self {
        self.entries
            .retain(|entry| entry.is_negative || entry.identifier != Identifier::Anyone);
        self
    }

    /// DELETEACL: also rights that are taken away.
    ///
    /// # Errors
    /// `BadAcl`.
    pub fn remove(&mut self, identifier: &Identifier, is_negative: bool) -> Result<(), IndexError> {
        if self.is_damaged() {
            return Err(IndexError::BadAcl);
        }
        self.entries
            .retain(|entry| entry.identifier != *identifier || entry.is_negative != is_negative);
        Ok(())
    }
}

fn parse_line(line: &str) -> Option<AclEntry> {
    let (identifier, rest) = match line.strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        None => {
            let (identifier, rest) = line.split_once(' ').unwrap_or((line, ""));
            (identifier.to_owned(), rest)
        }
    };
    let (is_negative, identifier) = match identifier.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, identifier.as_str()),
    };
    let rest = rest.trim();
    let end = rest.find([' ', '\t', ':']).unwrap_or(rest.len());
    let named = rest[end..].trim();
    if !named.is_empty() && !named.starts_with(':') {
        return None;
    }
    let rights = Rights::parse(&rest[..end]).filter(|_| !rest[..end].contains(['c', 'd']))?;
    Some(AclEntry {
        identifier: Identifier::parse(identifier)?,
        is_negative,
        rights,
        named: named.to_owned(),
    })
}

/// What is between the quotation marks, and what follows them.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let (mut identifier, mut letters) = (String::new(), quoted.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => {
                let rest = &quoted[at + 1..];
                return (rest.is_empty() || rest.starts_with(' ')).then_some((identifier, rest));
            }
            '\\' => identifier.push(letters.next()?.1),
            letter => identifier.push(letter),
        }
    }
    None
}

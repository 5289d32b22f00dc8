//! Quota, metadata and rights: RFC 9208, RFC 5464, RFC 4314.

use super::{Cursor, Flaw, Parsed};
use crate::capability::Extension;
use crate::command::{Command, MetadataDepth};

impl Cursor<'_> {
    /// The command of that name, of those.
    pub(crate) fn access(&mut self, name: &str) -> Parsed<(&'static str, Command)> {
        let extension = match name {
            "GETQUOTA" | "GETQUOTAROOT" | "SETQUOTA" => Extension::Quota,
            "GETMETADATA" | "SETMETADATA" => Extension::Metadata,
            "GETACL" | "SETACL" | "DELETEACL" | "LISTRIGHTS" | "MYRIGHTS" => Extension::Acl,
            _ => return Err(Flaw::Unknown),
        };
        self.needs(extension)?;
        Ok(match name {
            "GETQUOTA" => {
                self.space()?;
                ("GETQUOTA", Command::GetQuota(self.text()?))
            }
            "GETQUOTAROOT" => ("GETQUOTAROOT", Command::GetQuotaRoot(self.spaced_mailbox()?)),
            "SETQUOTA" => ("SETQUOTA", self.set_quota()?),
            "GETMETADATA" => ("GETMETADATA", self.get_metadata()?),
            "SETMETADATA" => ("SETMETADATA", self.set_metadata()?),
            "GETACL" => ("GETACL", Command::GetAcl(self.spaced_mailbox()?)),
            "SETACL" => ("SETACL", self.set_acl(true)?),
            "DELETEACL" => ("DELETEACL", self.set_acl(false)?),
            "LISTRIGHTS" => {
                let mailbox = self.spaced_mailbox()?;
                self.space()?;
                let identifier = self.text()?;
                ("LISTRIGHTS", Command::ListRights { mailbox, identifier })
            }
            _ => ("MYRIGHTS", Command::MyRights(self.spaced_mailbox()?)),
        })
    }

    fn set_quota(&mut self) -> Parsed<Command> {
        self.space()?;
        let root = self.text()?;
        self.space()?;
        self.list_or_none(|cursor| {
            cursor.atom()?;
            cursor.space()?;
            cursor.number64()
        })?;
        Ok(Command::SetQuota(root))
    }

    fn set_acl(&mut self, sets: bool) -> Parsed<Command> {
        let mailbox = self.spaced_mailbox()?;
        self.space()?;
        let identifier = self.text()?;
        let rights = if sets {
            self.space()?;
            let rights = self.text()?;
            let letters = rights.strip_prefix(['+', '-']).unwrap_or(&rights);
            let is_right = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
            if !letters.chars().all(is_right) {
                return Err(Flaw::Syntax);
            }
            Some(rights)
        } else {
            None
        };
        Ok(Command::SetAcl {
            mailbox,
            identifier,
            rights,
        })
    }

    /// The name of an entry (RFC 5464 §4.1), in lower case.
    pub(crate) fn entry(&mut self) -> Parsed<String> {
        let entry = self.text()?.to_ascii_lowercase();
        let is_fine = entry.starts_with('/')
            && !entry.ends_with('/')
            && !entry.contains("//")
            && entry
                .bytes()
                .all(|octet| matches!(octet, b' '..=b'~') && !matches!(octet, b'*' | b'%'));
        if is_fine { Ok(entry) } else { Err(Flaw::Syntax) }
    }

    /// Options come before the mailbox in the grammar of RFC 5464 §5 and behind it in its examples.
    fn get_metadata(&mut self) -> Parsed<Command> {
        let (mut octets_max, mut depth) = (None, MetadataDepth::Zero);
        self.space()?;
        if self.peek() == Some(b'(') {
            self.metadata_options(&mut octets_max, &mut depth)?;
            self.space()?;
        }
        let mailbox = self.mailbox()?;
        self.space()?;
        let mut ahead = self.clone();
        if ahead.metadata_options(&mut octets_max, &mut depth).is_ok() && ahead.take(b' ') {
            *self = ahead;
        }
        let entries = if self.peek() == Some(b'(') {
            self.list(Self::entry)?
        } else {
            vec![self.entry()?]
        };
        Ok(Command::GetMetadata {
            mailbox,
            entries,
            octets_max,
            depth,
        })
    }

    fn metadata_options(&mut self, octets_max: &mut Option<u64>, depth: &mut MetadataDepth) -> Parsed<()> {
        self.list(|cursor| {
            let name = cursor.word()?;
            cursor.space()?;
            match name.as_str() {
                "MAXSIZE" => *octets_max = Some(cursor.number64()?),
                "DEPTH" => {
                    *depth = match cursor.word()?.as_str() {
                        "0" => MetadataDepth::Zero,
                        "1" => MetadataDepth::One,
                        "INFINITY" => MetadataDepth::Infinity,
                        _ => return Err(Flaw::Syntax),
                    }
                }
                _ => return Err(Flaw::Syntax),
            }
            Ok(())
        })?;
        Ok(())
    }

    fn set_metadata(&mut self) -> Parsed<Command> {
        self.space()?;
        let mailbox = self.mailbox()?;
        self.space()?;
        let entries = self.list(|cursor| {
            let entry = cursor.entry()?;
            cursor.space()?;
            Ok((entry, cursor.nstring8()?))
        })?;
        Ok(Command::SetMetadata { mailbox, entries })
    }
}

//! Commands that change messages, and what they share with APPEND and SEARCH: flags and dates.

use super::{Cursor, Flaw, Parsed};
use crate::capability::Extension;
use crate::command::{Command, Flags, StoreAction};
use crate::limits::LIST_MAX;
use crate::write;

impl Cursor<'_> {
    /// COPY and MOVE.
    pub(crate) fn copy(&mut self, removes: bool) -> Parsed<Command> {
        if removes {
            self.needs(Extension::Move)?;
        }
        self.space()?;
        let set = self.set()?;
        let mailbox = self.spaced_mailbox()?;
        Ok(Command::Copy {
            set,
            mailbox,
            removes,
        })
    }

    /// STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).
    pub(crate) fn store(&mut self) -> Parsed<Command> {
        self.space()?;
        let set = self.set()?;
        self.space()?;
        let mut unchanged_since = None;
        if self.peek() == Some(b'(') {
            self.needs(Extension::Condstore).map_err(|_| Flaw::Syntax)?;
            self.list(|cursor| {
                if cursor.word()? != "UNCHANGEDSINCE" {
                    return Err(Flaw::Syntax);
                }
                cursor.space()?;
                unchanged_since = Some(cursor.number64()?);
                Ok(())
            })?;
            self.space()?;
        }
        let action = if self.take(b'+') {
            StoreAction::Add
        } else if self.take(b'-') {
            StoreAction::Remove
        } else {
            StoreAction::Replace
        };
        let silent = match self.word()?.as_str() {
            "FLAGS" => false,
            "FLAGS.SILENT" => true,
            _ => return Err(Flaw::Syntax),
        };
        self.space()?;
        let flags = if self.peek() == Some(b'(') {
            self.flags()?
        } else {
            self.bare_flags()?
        };
        Ok(Command::Store {
            set,
            unchanged_since,
            action,
            silent,
            flags,
        })
    }

    /// Flags in parentheses; there may be none.
    pub(crate) fn flags(&mut self) -> Parsed<Flags> {
        let mut flags = Flags::default();
        self.list_or_none(|cursor| cursor.flag(&mut flags))?;
        Ok(flags)
    }

    fn bare_flags(&mut self) -> Parsed<Flags> {
        let mut flags = Flags::default();
        for _ in 0..LIST_MAX {
            self.flag(&mut flags)?;
            if !self.take(b' ') {
                return Ok(flags);
            }
        }
        Err(Flaw::TooComplex)
    }

    fn flag(&mut self, flags: &mut Flags) -> Parsed<()> {
        if !self.take(b'\\') {
            let keyword = self.atom()?;
            if !flags
                .keywords
                .iter()
                .any(|one| one.eq_ignore_ascii_case(&keyword))
            {
                flags.keywords.push(keyword);
            }
            return Ok(());
        }
        match self.atom()?.to_ascii_uppercase().as_str() {
            "ANSWERED" => flags.answered = true,
            "FLAGGED" => flags.flagged = true,
            "DELETED" => flags.deleted = true,
            "SEEN" => flags.seen = true,
            "DRAFT" => flags.draft = true,
            // Not for clients to set (RFC 3501 §2.3.2); those that copy flags from elsewhere send it nevertheless.
            "RECENT" => {}
            _ => return Err(Flaw::Syntax),
        }
        Ok(())
    }

    /// `1-Feb-1994`, quoted or not, as days since 1970.
    pub(crate) fn date(&mut self) -> Parsed<i64> {
        let is_quoted = self.take(b'"');
        let days = self.day()?;
        if is_quoted {
            self.expect(b'"')?;
        }
        Ok(days)
    }

    fn day(&mut self) -> Parsed<i64> {
        let day = i64::from(self.digits(1, 2)?);
        self.expect(b'-')?;
        let (name, rest) = self.rest.split_at_checked(3).ok_or(Flaw::Syntax)?;
        let month = write::month(name).ok_or(Flaw::Syntax)?;
        self.rest = rest;
        self.expect(b'-')?;
        let year = i64::from(self.digits(4, 4)?);
        write::days(year, month, day).ok_or(Flaw::Syntax)
    }

    fn digits(&mut self, least: usize, most: usize) -> Parsed<u32> {
        let window = &self.rest[..self.rest.len().min(most)];
        let count = window.iter().take_while(|octet| octet.is_ascii_digit()).count();
        if count < least {
            return Err(Flaw::Syntax);
        }
        let number = window[..count]
            .iter()
            .fold(0, |number, octet| number * 10 + u32::from(octet - b'0'));
        self.rest = &self.rest[count..];
        Ok(number)
    }

    /// `"17-Jul-1996 02:44:25 -0700"` (RFC 9051 §9), as seconds since 1970.
    pub(crate) fn date_time(&mut self) -> Parsed<i64> {
        self.expect(b'"')?;
        self.take(b' ');
        let days = self.day()?;
        self.space()?;
        let hour = self.digits(2, 2)?;
        self.expect(b':')?;
        let minute = self.digits(2, 2)?;
        self.expect(b':')?;
        let second = self.digits(2, 2)?;
        self.space()?;
        let is_west = self.take(b'-');
        if !is_west {
            self.expect(b'+')?;
        }
        let zone = self.digits(4, 4)?;
        self.expect(b'"')?;
        // 60: a leap second.
        if hour > 23 || minute > 59 || second > 60 || zone % 100 > 59 || zone > 2359 {
            return Err(Flaw::Syntax);
        }
        let ahead_s = i64::from(zone / 100 * 3600 + zone % 100 * 60);
        let of_day = i64::from(hour * 3600 + minute * 60 + second);
        Ok(days * 86_400 + of_day - if is_west { -ahead_s } else { ahead_s })
    }
}
